// Linear ramp to a new target over a fixed number of samples, as hosts smooth a control: every change starts it anew from where it
// stands. State of a row: value, target, step, samples left.
#include "common.h"

namespace {

enum Kind : uint8_t { kSettled = 0, kStep = 1, kLast = 2, kStart = 4 };

// One sample's course, from the target alone: which of the above; a start comes together with a step or a last.
template <typename T>
uint8_t course(T target, T& goal, T& left, T length) {
    uint8_t kind = 0;
    if (target != goal) goal = target, left = length, kind = kStart;
    if (left <= 0) return kSettled;
    left -= 1;
    return kind | (left > 0 ? kStep : kLast);
}

template <typename T>
void forward(const T* target, T* y, T* state, int64_t rows, int64_t samples, int64_t length, int64_t threads) {
    dasp::for_rows(rows, threads, [&](int64_t row) {
        const T* t = target + row * samples;
        T* s = state + row * 4;
        T value = s[0], goal = s[1], step = s[2], left = s[3];
        for (int64_t n = 0; n < samples; ++n) {
            const uint8_t kind = course(t[n], goal, left, T(length));
            if (kind & kStart) step = (goal - value) / T(length);
            value = kind & kStep ? value + step : goal;
            y[row * samples + n] = value;
        }
        s[0] = value, s[1] = goal, s[2] = step, s[3] = left;
    });
}

// `hop`: how many samples a target is held for. At rest the value obeys every target at once, but next to a rest, where targets differ
// by however little, each hop starts a ramp: the derivative at rest is the limit of those, so a ramp of no height starts there too.
template <typename T>
void backward(const T* g, const T* target, const T* state, T* gt, int64_t rows, int64_t samples, int64_t length, int64_t hop,
              int64_t threads) {
    dasp::for_rows(rows, threads, [&](int64_t row) {
        const T* t = target + row * samples;
        std::vector<uint8_t> kinds(samples);
        T goal = state[row * 4 + 1], left = state[row * 4 + 3];
        bool rest = false;
        for (int64_t n = 0; n < samples; ++n) {
            rest = t[n] == goal && (rest || left <= 0);
            const bool again = rest && hop && n >= hop && n % hop == 0;
            if (again) left = T(length);
            kinds[n] = course(t[n], goal, left, T(length)) | (again ? kStart : 0);
        }
        double to_value = 0, to_goal = 0, to_step = 0;
        for (int64_t n = samples - 1; n >= 0; --n) {
            double out = 0;
            to_value += g[row * samples + n];
            if (kinds[n] == kSettled) {
                // The value is this sample's target; so a control held still has its gradient at every sample, not at the first.
                out = to_value, to_value = 0;
            } else if (kinds[n] & kStep) {
                to_step += to_value;
            } else {
                to_goal += to_value, to_value = 0;
            }
            if (kinds[n] & kStart) {
                out += to_goal + to_step / double(length);
                to_value -= to_step / double(length);
                to_goal = to_step = 0;
            }
            gt[row * samples + n] = T(out);
        }
    });
}

}  // namespace

#define DASP_RAMP(T, SUFFIX)                                                                                                \
    DASP_EXPORT void ramp_##SUFFIX(const T* target, T* y, T* state, int64_t rows, int64_t samples, int64_t length,         \
                                   int64_t threads) {                                                                       \
        forward(target, y, state, rows, samples, length, threads);                                                          \
    }                                                                                                                        \
    DASP_EXPORT void ramp_backward_##SUFFIX(const T* g, const T* target, const T* state, T* gt, int64_t rows,              \
                                            int64_t samples, int64_t length, int64_t hop, int64_t threads) {                \
        backward(g, target, state, gt, rows, samples, length, hop, threads);                                                \
    }

DASP_RAMP(float, f32)
DASP_RAMP(double, f64)
