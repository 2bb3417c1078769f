// Equal first-order all-passes in series (topology-preserving one-poles), the output fed back one sample late:
//     in = x - F[n-1] out[n-1];  each stage: v = G (in - s),  y = v + s,  s' = y + v,  in <- 2 y - in;  out = in
// Coefficients and feedback (batch, K): K = 1 (constant) or T. A row's state: every stage's s, then F out.
#include "common.h"

namespace {

using dasp::kBlock;

struct Shape {
    int64_t batch, channels, samples, stages, coefficients, feedbacks;
    int64_t rows() const { return batch * channels; }
};

template <typename T>
void forward(const Shape& shape, const T* x, const T* coefficient, const T* feedback, T* out, T* state, int64_t threads) {
    const int64_t step_c = shape.coefficients == 1 ? 0 : 1, step_f = shape.feedbacks == 1 ? 0 : 1;
    dasp::for_rows(shape.rows(), threads, [&](int64_t r) {
        const int64_t item = r / shape.channels;
        const T *c = coefficient + item * shape.coefficients, *f = feedback + item * shape.feedbacks;
        T *s = state + r * (shape.stages + 1), *fed = s + shape.stages;
        for (int64_t n = 0; n < shape.samples; ++n) {
            T in = x[r * shape.samples + n] - *fed;
            for (int64_t k = 0; k < shape.stages; ++k) {
                const T v = c[n * step_c] * (in - s[k]), y = v + s[k];
                s[k] = y + v;
                in = y * 2 - in;
            }
            out[r * shape.samples + n] = in;
            *fed = in * f[n * step_f];
        }
    });
}

// Adjoint in double. States are recomputed: once to the start of each block, then within the block.
template <typename T>
void backward(const Shape& shape, const T* g, const T* x, const double* coefficient, const double* feedback, const T* state,
              T* gx, double* gc, double* gf, int64_t threads) {
    const int64_t step_c = shape.coefficients == 1 ? 0 : 1, step_f = shape.feedbacks == 1 ? 0 : 1, stages = shape.stages;
    const int64_t blocks = (shape.samples + kBlock - 1) / kBlock, size = stages + 1;
    dasp::for_rows(shape.rows(), threads, [&](int64_t r) {
        const int64_t item = r / shape.channels;
        const double *c = coefficient + item * shape.coefficients, *f = feedback + item * shape.feedbacks;
        double *to_c = gc + r * shape.coefficients, *to_f = gf + r * shape.feedbacks;
        std::vector<double> starts((blocks + 1) * size), memory(kBlock * stages), signal(kBlock * size), lambda(stages, 0.0);
        for (int64_t i = 0; i < size; ++i) starts[i] = state[r * size + i];
        auto run = [&](int64_t block) {
            const int64_t start = block * kBlock, count = std::min(shape.samples - start, kBlock);
            std::vector<double> s(&starts[block * size], &starts[block * size] + size);
            for (int64_t n = 0; n < count; ++n) {
                double in = x[r * shape.samples + start + n] - s[stages];
                for (int64_t k = 0; k < stages; ++k) {
                    memory[n * stages + k] = s[k], signal[n * size + k] = in;
                    const double v = c[(start + n) * step_c] * (in - s[k]), y = v + s[k];
                    s[k] = y + v;
                    in = y * 2 - in;
                }
                signal[n * size + stages] = in;
                s[stages] = in * f[(start + n) * step_f];
            }
            std::copy(s.begin(), s.end(), &starts[(block + 1) * size]);
        };
        for (int64_t block = 0; block + 1 < blocks; ++block) run(block);
        double to_fed = 0;
        for (int64_t block = blocks - 1; block >= 0; --block) {
            run(block);
            const int64_t start = block * kBlock, count = std::min(shape.samples - start, kBlock);
            for (int64_t n = count - 1; n >= 0; --n) {
                const int64_t m = start + n;
                const double gain = c[m * step_c];
                to_f[m * step_f] += to_fed * signal[n * size + stages];
                double grad = g[r * shape.samples + m] + f[m * step_f] * to_fed, sum = 0;
                for (int64_t k = stages - 1; k >= 0; --k) {
                    const double to_y = 2 * grad + lambda[k], to_v = to_y + lambda[k];
                    sum += to_v * (signal[n * size + k] - memory[n * stages + k]);
                    lambda[k] = to_y - gain * to_v;
                    grad = gain * to_v - grad;
                }
                to_c[m * step_c] += sum;
                gx[r * shape.samples + m] = T(grad);
                to_fed = -grad;
            }
        }
    });
}

}  // namespace

#define DASP_ALLPASS_CASCADE(T, SUFFIX)                                                                                      \
    DASP_EXPORT void allpass_cascade_##SUFFIX(const T* x, const T* coefficient, const T* feedback, T* out, T* state,         \
                                              int64_t batch, int64_t channels, int64_t samples, int64_t stages,              \
                                              int64_t coefficients, int64_t feedbacks, int64_t threads) {                    \
        forward({batch, channels, samples, stages, coefficients, feedbacks}, x, coefficient, feedback, out, state, threads); \
    }                                                                                                                        \
    DASP_EXPORT void allpass_cascade_backward_##SUFFIX(                                                                      \
        const T* g, const T* x, const double* coefficient, const double* feedback, const T* state, T* gx, double* gc,        \
        double* gf, int64_t batch, int64_t channels, int64_t samples, int64_t stages, int64_t coefficients,                  \
        int64_t feedbacks, int64_t threads) {                                                                                \
        backward({batch, channels, samples, stages, coefficients, feedbacks}, g, x, coefficient, feedback, state, gx, gc,    \
                 gf, threads);                                                                                               \
    }

DASP_ALLPASS_CASCADE(float, f32)
DASP_ALLPASS_CASCADE(double, f64)
