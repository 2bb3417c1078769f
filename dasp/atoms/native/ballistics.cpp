// Level follower with separate attack and release, r' = v + c (r - v), c = attack where v > r, else release;
// and the static gain curve g = (r / threshold)^exponent above the threshold (a compressor), or below it (a gate), else 1.
// Parameters (batch, K): K = 1 (constant) or T.
#include "common.h"

namespace {

using dasp::kBlock;

// A row waits for itself at every sample, so R rows advance together.
template <typename T, int R>
void follow(const T* v, const T* const* attack, const T* const* release, T* r, T* state, int64_t samples, int64_t step) {
    T level[R];
    for (int i = 0; i < R; ++i) level[i] = state[i];
    for (int64_t n = 0; n < samples; ++n) {
        for (int i = 0; i < R; ++i) {
            const T x = v[i * samples + n];
            const T up = attack[i][n * step], down = release[i][n * step];
            level[i] = x + (x > level[i] ? up : down) * (level[i] - x);
            r[i * samples + n] = level[i];
        }
    }
    for (int i = 0; i < R; ++i) state[i] = level[i];
}

template <typename T>
void forward(const T* v, const T* attack, const T* release, T* r, T* state, int64_t batch, int64_t channels, int64_t samples,
             int64_t frames, int64_t threads) {
    const int64_t rows = batch * channels, step = frames == 1 ? 0 : 1;
    const int64_t wide = rows >= 4 * threads ? 4 : rows >= 2 * threads ? 2 : 1;
    dasp::for_rows((rows + wide - 1) / wide, threads, [&](int64_t group) {
        for (int64_t row = group * wide, stop = std::min(rows, row + wide); row < stop;) {
            const T *up[4], *down[4];
            for (int64_t i = 0; i < 4; ++i) {
                const int64_t item = std::min(row + i, rows - 1) / channels;
                up[i] = attack + item * frames, down[i] = release + item * frames;
            }
            const int64_t left = stop - row, together = left >= 4 ? 4 : left >= 2 ? 2 : 1;
            auto run = together == 4 ? follow<T, 4> : together == 2 ? follow<T, 2> : follow<T, 1>;
            run(v + row * samples, up, down, r + row * samples, state + row, samples, step);
            row += together;
        }
    });
}

template <typename T>
void backward(const T* g, const T* v, const double* attack, const double* release, const T* state, T* gv, double* ga, double* gr,
              int64_t batch, int64_t channels, int64_t samples, int64_t frames, int64_t threads) {
    dasp::for_rows(batch * channels, threads, [&](int64_t row) {
        const T *in = v + row * samples, *grad = g + row * samples;
        T* out = gv + row * samples;
        const double *up = attack + (row / channels) * frames, *down = release + (row / channels) * frames;
        double *to_up = ga + row * frames, *to_down = gr + row * frames;
        const int64_t step = frames == 1 ? 0 : 1, blocks = (samples + kBlock - 1) / kBlock;
        std::vector<double> starts(blocks + 1), before(kBlock);
        starts[0] = state[row];
        auto run = [&](int64_t block) {
            double level = starts[block];
            const int64_t start = block * kBlock, count = std::min(samples - start, kBlock);
            for (int64_t n = 0; n < count; ++n) {
                before[n] = level;
                const double x = in[start + n];
                level = x + (x > level ? up : down)[(start + n) * step] * (level - x);
            }
            starts[block + 1] = level;
        };
        for (int64_t block = 0; block + 1 < blocks; ++block) run(block);
        double lambda = 0;
        for (int64_t block = blocks - 1; block >= 0; --block) {
            run(block);
            const int64_t start = block * kBlock, count = std::min(samples - start, kBlock);
            for (int64_t n = count - 1; n >= 0; --n) {
                const int64_t m = start + n;
                const double x = in[m], total = grad[m] + lambda;
                const bool rising = x > before[n];
                const double c = (rising ? up : down)[m * step];
                (rising ? to_up : to_down)[m * step] += total * (before[n] - x);
                out[m] = T(total * (1 - c));
                lambda = total * c;
            }
        }
    });
}

template <typename T>
void curve(const T* r, const T* threshold, const T* exponent, T* g, int64_t below, int64_t batch, int64_t channels,
           int64_t samples, int64_t frames, int64_t threads) {
    dasp::for_rows(batch * channels, threads, [&](int64_t row) {
        const T *in = r + row * samples, *limit = threshold + (row / channels) * frames;
        const T* power = exponent + (row / channels) * frames;
        T* out = g + row * samples;
        const int64_t step = frames == 1 ? 0 : 1;
        T inverse = T(1) / limit[0];
        for (int64_t n = 0; n < samples; ++n) {
            if (step) inverse = T(1) / limit[n];
            const T t = limit[n * step];
            out[n] = (below ? in[n] > t : in[n] < t) ? T(1) : std::pow(in[n] * inverse, power[n * step]);
        }
    });
}

template <typename T>
void curve_backward(const T* grad, const T* r, const T* g, const double* threshold, const double* exponent, T* gr, double* gt,
                    double* ge, int64_t below, int64_t batch, int64_t channels, int64_t samples, int64_t frames,
                    int64_t threads) {
    dasp::for_rows(batch * channels, threads, [&](int64_t row) {
        const int64_t step = frames == 1 ? 0 : 1, base = row * samples;
        const double *limit = threshold + (row / channels) * frames, *power = exponent + (row / channels) * frames;
        double *to_limit = gt + row * frames, *to_power = ge + row * frames;
        for (int64_t n = 0; n < samples; ++n) {
            const double level = r[base + n], t = limit[n * step], e = power[n * step];
            // Decide as the forward pass did, on the values it saw. At 0, where a gate's slope may be infinite, it is taken for 0.
            if (!(below ? r[base + n] <= T(t) : r[base + n] >= T(t)) || !(level > 0)) {
                gr[base + n] = 0;
                continue;
            }
            const double dg = double(grad[base + n]) * double(g[base + n]);
            gr[base + n] = T(dg * e / level);
            to_limit[n * step] -= dg * e / t;
            to_power[n * step] += dg * std::log(level / t);
        }
    });
}

}  // namespace

#define DASP_BALLISTICS(T, SUFFIX)                                                                                            \
    DASP_EXPORT void ballistics_##SUFFIX(const T* v, const T* attack, const T* release, T* r, T* state, int64_t batch,       \
                                         int64_t channels, int64_t samples, int64_t frames, int64_t threads) {               \
        forward(v, attack, release, r, state, batch, channels, samples, frames, threads);                                    \
    }                                                                                                                         \
    DASP_EXPORT void ballistics_backward_##SUFFIX(const T* g, const T* v, const double* attack, const double* release,       \
                                                  const T* state, T* gv, double* ga, double* gr, int64_t batch,              \
                                                  int64_t channels, int64_t samples, int64_t frames, int64_t threads) {      \
        backward(g, v, attack, release, state, gv, ga, gr, batch, channels, samples, frames, threads);                       \
    }                                                                                                                         \
    DASP_EXPORT void gain_curve_##SUFFIX(const T* r, const T* threshold, const T* exponent, T* g, int64_t below,             \
                                         int64_t batch, int64_t channels, int64_t samples, int64_t frames,                   \
                                         int64_t threads) {                                                                  \
        curve(r, threshold, exponent, g, below, batch, channels, samples, frames, threads);                                  \
    }                                                                                                                         \
    DASP_EXPORT void gain_curve_backward_##SUFFIX(const T* grad, const T* r, const T* g, const double* threshold,            \
                                                  const double* exponent, T* gr, double* gt, double* ge, int64_t below,      \
                                                  int64_t batch, int64_t channels, int64_t samples, int64_t frames,          \
                                                  int64_t threads) {                                                         \
        curve_backward(grad, r, g, threshold, exponent, gr, gt, ge, below, batch, channels, samples, frames, threads);       \
    }

DASP_BALLISTICS(float, f32)
DASP_BALLISTICS(double, f64)
