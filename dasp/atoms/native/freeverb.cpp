// Freeverb's network without its mix: per side eight damped combs in parallel, then four all-passes in series.
//     comb:      out = line[n - N],  l = (1 - D) out + D l',  line[n] = in + F l
//     all-pass:  b = line[n - N],    out = b - in,            line[n] = in + b / 2
// Lengths come from the caller: lengths[side][12]. A row's state holds, one after the other, its lines (oldest sample
// first) and after each comb's line its filter's value.
#include "common.h"

namespace {

constexpr int kCombs = 8, kAllPasses = 4, kLines = kCombs + kAllPasses;

// The plugin adds and subtracts 0.1 in float32 against denormals, which quantises to 7.5e-9. Not so in double.
inline float settle(float v) {
    v += 0.1f;
    v -= 0.1f;
    return v;
}
inline double settle(double v) { return v; }

int64_t row_size(const int64_t* lengths) {
    int64_t size = kCombs;
    for (int i = 0; i < kLines; ++i) size += lengths[i];
    return size;
}

template <typename T>
struct Line {
    T* data;
    int64_t length, at;
    T read() const { return data[at]; }
    void write(T v) {
        data[at] = v;
        if (++at == length) at = 0;
    }
    void unroll() { std::rotate(data, data + at, data + length); }
};

template <typename T>
void forward(const T* in, const T* feedback, const T* damping, T* out, T* state, const int64_t* lengths, int64_t batch,
             int64_t sides, int64_t samples, int64_t threads) {
    dasp::for_rows(batch * sides, threads, [&](int64_t r) {
        const int64_t* sizes = lengths + (r % sides) * kLines;
        const T* x = in + (r / sides) * samples;
        T* y = out + r * samples;
        T* memory = state + (r / sides) * (row_size(lengths) + (sides == 2 ? row_size(lengths + kLines) : 0));
        if (r % sides == 1) memory += row_size(lengths);
        Line<T> lines[kLines];
        T last[kCombs], *stores[kCombs];
        for (int i = 0; i < kLines; ++i) {
            lines[i] = {memory, sizes[i], 0};
            memory += sizes[i];
            if (i < kCombs) {
                last[i] = *memory;
                stores[i] = memory++;
            }
        }
        const T f = feedback[r / sides], d = damping[r / sides], keep = T(1) - d;
        for (int64_t n = 0; n < samples; ++n) {
            T sum = 0;
            for (int i = 0; i < kCombs; ++i) {
                const T delayed = lines[i].read();
                last[i] = settle(delayed * keep + last[i] * d);
                lines[i].write(settle(x[n] + last[i] * f));
                sum += delayed;
            }
            for (int i = kCombs; i < kLines; ++i) {
                const T delayed = lines[i].read();
                lines[i].write(settle(sum + delayed * T(0.5)));
                sum = delayed - sum;
            }
            y[n] = sum;
        }
        for (auto& line : lines) line.unroll();
        for (int i = 0; i < kCombs; ++i) *stores[i] = last[i];
    });
}

// Adjoint in double, line by line in reversed time; gradients of the input per side, of feedback and damping per row.
template <typename T>
void backward(const T* g, const T* in, const double* feedback, const double* damping, const T* state, double* gin, double* gf,
              double* gd, const int64_t* lengths, int64_t batch, int64_t sides, int64_t samples, int64_t threads) {
    dasp::for_rows(batch * sides, threads, [&](int64_t r) {
        const int64_t* sizes = lengths + (r % sides) * kLines;
        const T* x = in + (r / sides) * samples;
        const T* memory = state + (r / sides) * (row_size(lengths) + (sides == 2 ? row_size(lengths + kLines) : 0));
        if (r % sides == 1) memory += row_size(lengths);
        double* to_in = gin + r * samples;
        std::vector<double> grad(g + r * samples, g + (r + 1) * samples), line(samples), store(samples), out(samples);
        for (int i = kLines - 1; i >= kCombs; --i) {
            const int64_t length = sizes[i];
            for (int64_t n = samples - 1; n >= 0; --n) {
                const double to_line = n + length < samples ? line[n + length] : 0.0;
                line[n] = grad[n] + 0.5 * to_line;  // adjoint of the delayed value
                grad[n] = to_line - grad[n];
            }
        }
        const double f = feedback[r / sides], d = damping[r / sides];
        double sum_f = 0, sum_d = 0;
        std::fill_n(to_in, samples, 0.0);
        for (int i = 0; i < kCombs; ++i) {
            const int64_t length = sizes[i];
            const double first = memory[length];
            double level = first;
            for (int64_t n = 0; n < samples; ++n) {
                out[n] = n < length ? double(memory[n]) : x[n - length] + f * store[n - length];
                level = (1 - d) * out[n] + d * level;
                store[n] = level;
            }
            double lambda = 0;
            for (int64_t n = samples - 1; n >= 0; --n) {
                const double to_line = n + length < samples ? line[n + length] : 0.0;
                to_in[n] += to_line;
                sum_f += to_line * store[n];
                lambda = f * to_line + d * lambda;
                sum_d += lambda * ((n ? store[n - 1] : first) - out[n]);
                line[n] = grad[n] + (1 - d) * lambda;
            }
            memory += length + 1;
        }
        gf[r] = sum_f;
        gd[r] = sum_d;
    });
}

}  // namespace

#define DASP_FREEVERB(T, SUFFIX)                                                                                             \
    DASP_EXPORT void freeverb_##SUFFIX(const T* in, const T* feedback, const T* damping, T* out, T* state,                   \
                                       const int64_t* lengths, int64_t batch, int64_t sides, int64_t samples,                \
                                       int64_t threads) {                                                                    \
        forward(in, feedback, damping, out, state, lengths, batch, sides, samples, threads);                                 \
    }                                                                                                                        \
    DASP_EXPORT void freeverb_backward_##SUFFIX(const T* g, const T* in, const double* feedback, const double* damping,      \
                                                const T* state, double* gin, double* gf, double* gd,                         \
                                                const int64_t* lengths, int64_t batch, int64_t sides, int64_t samples,       \
                                                int64_t threads) {                                                           \
        backward(g, in, feedback, damping, state, gin, gf, gd, lengths, batch, sides, samples, threads);                     \
    }

DASP_FREEVERB(float, f32)
DASP_FREEVERB(double, f64)
