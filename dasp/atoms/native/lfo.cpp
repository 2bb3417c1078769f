// The phase of a low-frequency oscillator as the plugins accumulate it: in float32, wrapped after each step. Its rounding makes
// the true rate a staircase of the nominal one, so no closed form gives the same sound.
#include "common.h"

DASP_EXPORT void lfo_phase(const float* increment, float* phase, float* state, int64_t rows, int64_t samples, int64_t frames,
                           int64_t threads) {
    constexpr float turn = float(2 * 3.14159265358979323846);
    dasp::for_rows(rows, threads, [&](int64_t r) {
        const float* step = increment + r * frames;
        float now = state[r];
        for (int64_t n = 0; n < samples; ++n) {
            phase[r * samples + n] = now;
            now += step[frames == 1 ? 0 : n];
            while (now >= turn) now -= turn;
        }
        state[r] = now;
    });
}
