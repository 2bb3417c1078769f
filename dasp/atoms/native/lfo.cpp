// The low-frequency oscillator of the plugins, sin(phase - pi): its float32 phase is accumulated and wrapped step by step, since its
// rounding makes the true rate a staircase of the nominal one and no closed form gives the same sound. In double the phase grows
// without a turn's end. And a delay that swings with it:
//     ms = max(low, sine depth scale + centre),   delay = min(high, ms fs / 1000)
// Steps, depth and centre (rows, K): K = 1 (constant) or T (one a sample). Gradients in double, of the phase as it ran.
#include "elementwise.h"

namespace {

using dasp::kBlock;
using dasp::Pack;
using dasp::values;

constexpr int N = dasp::kVectorBytes / 8;
constexpr double kHalf = 3.14159265358979323846;

inline void wrap(float& phase) {
    constexpr float turn = float(2 * kHalf);
    while (phase >= turn) phase -= turn;
}
inline void wrap(double&) {}

// `count` phases from `now` on, which goes on.
template <typename T>
void phases(const T* step, int64_t stride, int64_t count, T& now, T* to) {
    T phase = now, grown = *step;
    for (int64_t n = 0; n < count; ++n) {
        to[n] = phase;
        if (stride) grown = step[n];
        phase += grown;
        wrap(phase);
    }
    now = phase;
}

// sinf, value for value: in double and rounded, except where the system's own error, of which glibc documents 0.0607 units in the
// last place beyond rounding, might round to another float; there it is asked.
void sines(const float* phase, int64_t count, float* to) {
    using F = Pack<float, N>;
    using I = Pack<int32_t, N>;
    constexpr int64_t kSpan = 512;
    float angles[kSpan];
    int32_t sure[kSpan];
    for (int64_t start = 0; start < count; start += kSpan) {
        const int64_t stop = std::min(count, start + kSpan);
        for (int64_t n = start; n < stop; n += N) {
            const int64_t there = stop - n;
            const F angle = values<float, N>(phase + n, there) - float(kHalf);
            const auto sine = dasp::sin_turn<N>(__builtin_convertvector(angle, Pack<double, N>));
            const F near = __builtin_convertvector(sine, F);
            const I bits = dasp::as_bits<I>(near);
            const F unit = dasp::as_bits<F>((bits & 0x7F800000) - (23 << 23));
            const F miss = __builtin_convertvector(sine - __builtin_convertvector(near, Pack<double, N>), F);
            // Powers of two and tiny values, whose units differ to both sides or are no normal numbers, are asked too.
            const I same = (dasp::absolute<N>(miss) < 0.4375f * unit) & ((bits & 0x7FFFFF) != 0) & ((bits & 0x7F800000) > (24 << 23));
            std::memcpy(sure + (n - start), &same, sizeof same);
            std::memcpy(angles + (n - start), &angle, sizeof angle);
            dasp::keep<N>(near, to + n, there);
        }
        // Apart from the above, which runs on while this waits for branches.
        for (int64_t n = start; n < stop; ++n)
            if (!sure[n - start]) to[n] = ::sinf(angles[n - start]);
    }
}
void sines(const double* phase, int64_t count, double* to) {
    for (int64_t n = 0; n < count; ++n) to[n] = std::sin(phase[n] - kHalf);
}
void cosines(const float* phase, int64_t count, double* to) {
    for (int64_t n = 0; n < count; n += N) dasp::keep<N>(dasp::cos_turn<N>(values<double, N>(phase + n, count - n) - kHalf), to + n, count - n);
}
void cosines(const double* phase, int64_t count, double* to) {
    for (int64_t n = 0; n < count; ++n) to[n] = std::cos(phase[n] - kHalf);
}

struct Sizes {
    int64_t rows, samples, steps;
    int64_t stride() const { return steps == 1 ? 0 : 1; }
    int64_t blocks() const { return (samples + kBlock - 1) / kBlock; }
};

// f(row, start, count, phases) block by block; the state goes on.
template <typename T, typename F>
void run(const Sizes& s, const T* step, T* state, int64_t threads, F&& f) {
    dasp::for_rows(s.rows, threads, [&](int64_t row) {
        std::vector<T> phase(std::min(kBlock, s.samples));
        for (int64_t start = 0; start < s.samples; start += kBlock) {
            const int64_t count = std::min(kBlock, s.samples - start);
            phases(step + row * s.steps + start * s.stride(), s.stride(), count, state[row], phase.data());
            f(row, start, count, phase.data());
        }
    });
}

// In reversed time: f(row, start, count, phases, slopes) replaces the slopes (cosines) by the gradients of the phases; every phase
// after a step has grown by it.
template <typename T, typename F>
void run_back(const Sizes& s, const T* step, const T* state, double* to_step, int64_t threads, F&& f) {
    dasp::for_rows(s.rows, threads, [&](int64_t row) {
        const T* own = step + row * s.steps;
        std::vector<T> starts(s.blocks() + 1, state[row]), phase(std::min(kBlock, s.samples));
        std::vector<double> slope(phase.size());
        for (int64_t b = 0; b + 1 < s.blocks(); ++b) {
            starts[b + 1] = starts[b];
            phases(own + b * kBlock * s.stride(), s.stride(), kBlock, starts[b + 1], phase.data());
        }
        double later = 0;
        for (int64_t b = s.blocks() - 1; b >= 0; --b) {
            const int64_t start = b * kBlock, count = std::min(kBlock, s.samples - start);
            phases(own + start * s.stride(), s.stride(), count, starts[b], phase.data());
            cosines(phase.data(), count, slope.data());
            f(row, start, count, phase.data(), slope.data());
            for (int64_t n = count - 1; n >= 0; --n) {
                to_step[row * s.steps + (start + n) * s.stride()] += later;
                later += slope[n];
            }
        }
    });
}

struct Swing {
    double scale, low, sample_rate, high;
};

template <typename T>
void swing(const Sizes& s, const T* step, const T* depth, const T* centre, const Swing& w, double* delay, T* state, int64_t depths,
           int64_t centres, int64_t threads) {
    const int64_t step_d = depths == 1 ? 0 : 1, step_c = centres == 1 ? 0 : 1;
    const T scale = T(w.scale), low = T(w.low);
    run(s, step, state, threads, [&](int64_t row, int64_t start, int64_t count, T* phase) {
        sines(phase, count, phase);
        const T *d = depth + row * depths + start * step_d, *c = centre + row * centres + start * step_c;
        double* out = delay + row * s.samples + start;
        auto delay_of = [&](T sine, T deep, T middle) {
            const T ms = std::max(low, sine * deep * scale + middle);
            return double(T(std::min(w.high, double(ms) * w.sample_rate / 1000)));
        };
        if (step_d || step_c) {
            for (int64_t n = 0; n < count; ++n) out[n] = delay_of(phase[n], d[n * step_d], c[n * step_c]);
        } else {
            const T deep = *d, middle = *c;
            for (int64_t n = 0; n < count; ++n) out[n] = delay_of(phase[n], deep, middle);
        }
    });
}

template <typename T>
void swing_backward(const Sizes& s, const double* g, const T* step, const T* depth, const T* centre, const Swing& w, const T* state,
                    double* to_step, double* to_depth, double* to_centre, int64_t depths, int64_t centres, int64_t threads) {
    const int64_t step_d = depths == 1 ? 0 : 1, step_c = centres == 1 ? 0 : 1;
    const T scale = T(w.scale), low = T(w.low);
    run_back(s, step, state, to_step, threads, [&](int64_t row, int64_t start, int64_t count, T* phase, double* slope) {
        sines(phase, count, phase);
        const T *d = depth + row * depths + start * step_d, *c = centre + row * centres + start * step_c;
        double *gd = to_depth + row * depths + start * step_d, *gc = to_centre + row * centres + start * step_c;
        const double* in = g + row * s.samples + start;
        for (int64_t n = 0; n < count; ++n) {
            const T ms = phase[n] * d[n * step_d] * scale + c[n * step_c];
            const bool free = ms >= low && double(ms) * w.sample_rate / 1000 <= w.high;
            const double to_ms = free ? in[n] * w.sample_rate / 1000 : 0;
            gc[n * step_c] += to_ms;
            gd[n * step_d] += to_ms * w.scale * phase[n];
            slope[n] *= to_ms * w.scale * d[n * step_d];
        }
    });
}

}  // namespace

DASP_EXPORT void lfo_phase(const float* increment, float* phase, float* state, int64_t rows, int64_t samples, int64_t frames,
                           int64_t threads) {
    run(Sizes{rows, samples, frames}, increment, state, threads, [&](int64_t row, int64_t start, int64_t count, const float* block) {
        std::copy_n(block, count, phase + row * samples + start);
    });
}

#define DASP_LFO(T, SUFFIX)                                                                                                     \
    DASP_EXPORT void lfo_##SUFFIX(const T* step, T* sine, T* state, int64_t rows, int64_t samples, int64_t steps,               \
                                  int64_t threads) {                                                                            \
        run(Sizes{rows, samples, steps}, step, state, threads,                                                                  \
            [&](int64_t row, int64_t start, int64_t count, const T* phase) {                                                    \
                sines(phase, count, sine + row * samples + start);                                                              \
            });                                                                                                                 \
    }                                                                                                                           \
    DASP_EXPORT void lfo_backward_##SUFFIX(const double* g, const T* step, const T* state, double* to_step, int64_t rows,       \
                                           int64_t samples, int64_t steps, int64_t threads) {                                   \
        run_back(Sizes{rows, samples, steps}, step, state, to_step, threads,                                                    \
                 [&](int64_t row, int64_t start, int64_t count, const T*, double* slope) {                                      \
                     for (int64_t n = 0; n < count; ++n) slope[n] *= g[row * samples + start + n];                              \
                 });                                                                                                            \
    }                                                                                                                           \
    DASP_EXPORT void lfo_swing_##SUFFIX(const T* step, const T* depth, const T* centre, const double* w, double* delay, T* state, \
                                        int64_t rows, int64_t samples, int64_t steps, int64_t depths, int64_t centres,          \
                                        int64_t threads) {                                                                      \
        swing({rows, samples, steps}, step, depth, centre, {w[0], w[1], w[2], w[3]}, delay, state, depths, centres, threads);   \
    }                                                                                                                           \
    DASP_EXPORT void lfo_swing_backward_##SUFFIX(const double* g, const T* step, const T* depth, const T* centre,               \
                                                 const double* w, const T* state, double* to_step, double* to_depth,            \
                                                 double* to_centre, int64_t rows, int64_t samples, int64_t steps,               \
                                                 int64_t depths, int64_t centres, int64_t threads) {                            \
        swing_backward({rows, samples, steps}, g, step, depth, centre, {w[0], w[1], w[2], w[3]}, state, to_step, to_depth,      \
                       to_centre, depths, centres, threads);                                                                    \
    }

DASP_LFO(float, f32)
DASP_LFO(double, f64)
