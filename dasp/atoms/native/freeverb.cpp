// Freeverb's network without its mix: per side eight damped combs in parallel, then four all-passes in series.
//     comb:      out = line[n - N],  l = (1 - D) out + D l',  line[n] = in + F l
//     all-pass:  b = line[n - N],    out = b - in,            line[n] = in + b / 2
// F and D (batch, K): K = 1 (constant) or T. Lengths come from the caller: lengths[side][12]. A row's state holds, one
// after the other, its lines (oldest sample first) and after each comb's line its filter's value.
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
             int64_t sides, int64_t samples, int64_t frames, int64_t threads) {
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
        const T *fs = feedback + (r / sides) * frames, *ds = damping + (r / sides) * frames;
        const int64_t step = frames == 1 ? 0 : 1;
        for (int64_t n = 0; n < samples; ++n) {
            const T f = fs[n * step], d = ds[n * step], keep = T(1) - d;
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

// Adjoint in double, line by line in reversed time; gradients of the input, feedback and damping per side.
template <typename T>
void backward(const T* g, const T* in, const double* feedback, const double* damping, const T* state, double* gin, double* gf,
              double* gd, const int64_t* lengths, int64_t batch, int64_t sides, int64_t samples, int64_t frames,
              int64_t threads) {
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
        const double *f = feedback + (r / sides) * frames, *d = damping + (r / sides) * frames;
        double *to_f = gf + r * frames, *to_d = gd + r * frames;
        const int64_t step = frames == 1 ? 0 : 1;
        std::fill_n(to_in, samples, 0.0);
        for (int i = 0; i < kCombs; ++i) {
            const int64_t length = sizes[i];
            const double first = memory[length];
            double level = first;
            for (int64_t n = 0; n < samples; ++n) {
                out[n] = n < length ? double(memory[n]) : x[n - length] + f[(n - length) * step] * store[n - length];
                level = (1 - d[n * step]) * out[n] + d[n * step] * level;
                store[n] = level;
            }
            double carried = 0;  // what the filter's next value hands back
            for (int64_t n = samples - 1; n >= 0; --n) {
                const int64_t k = n * step;
                const double to_line = n + length < samples ? line[n + length] : 0.0;
                to_in[n] += to_line;
                to_f[k] += to_line * store[n];
                const double lambda = f[k] * to_line + carried;
                to_d[k] += lambda * ((n ? store[n - 1] : first) - out[n]);
                line[n] = grad[n] + (1 - d[k]) * lambda;
                carried = d[k] * lambda;
            }
            memory += length + 1;
        }
    });
}

}  // namespace

#define DASP_FREEVERB(T, SUFFIX)                                                                                             \
    DASP_EXPORT void freeverb_##SUFFIX(const T* in, const T* feedback, const T* damping, T* out, T* state,                   \
                                       const int64_t* lengths, int64_t batch, int64_t sides, int64_t samples,                \
                                       int64_t frames, int64_t threads) {                                                    \
        forward(in, feedback, damping, out, state, lengths, batch, sides, samples, frames, threads);                         \
    }                                                                                                                        \
    DASP_EXPORT void freeverb_backward_##SUFFIX(const T* g, const T* in, const double* feedback, const double* damping,      \
                                                const T* state, double* gin, double* gf, double* gd,                         \
                                                const int64_t* lengths, int64_t batch, int64_t sides, int64_t samples,       \
                                                int64_t frames, int64_t threads) {                                           \
        backward(g, in, feedback, damping, state, gin, gf, gd, lengths, batch, sides, samples, frames, threads);             \
    }

DASP_FREEVERB(float, f32)
DASP_FREEVERB(double, f64)
