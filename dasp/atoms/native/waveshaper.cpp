// What needs nothing but a sample and a parameter of its item, in one pass over memory; and the sum of two signals with a gain each.
//     gain: a x      tanh: tanh(a x)      clip: x held within -a and a      round: a x to the nearest whole number, / a
// Parameters (batch, K): K = 1 (constant) or T (one a sample). Their gradients in double, (batch * channels, K).
#include "elementwise.h"

namespace {

using dasp::Pack;
using dasp::values;

enum Curve : int64_t { kGain, kTanh, kClip, kRound };

constexpr int64_t kChunk = 1 << 14;  // samples that are worth a thread's while
template <typename T>
constexpr int kLanes = dasp::kVectorBytes / int(sizeof(T));

// Whether this system's tanhf is the one that runs on several values at once here, by a probe; if not it is called for each.
bool is_fdlibm() {
    static const bool known = [] {
        constexpr int N = kLanes<float>;
        Pack<float, N> x;
        for (int i = 0; i < 4096; i += N) {
            for (int k = 0; k < N; ++k) x[k] = std::ldexp(1.0f + float(i + k) / 4096, i / N % 27 - 22);
            const Pack<float, N> y = dasp::tanh_fdlibm<N>(x);
            for (int k = 0; k < N; ++k)
                if (y[k] != ::tanhf(x[k])) return false;
        }
        return true;
    }();
    return known;
}

template <int N>
Pack<float, N> hyperbolic(Pack<float, N> v) {
    if (is_fdlibm()) return dasp::tanh_fdlibm<N>(v);
    for (int i = 0; i < N; ++i) v[i] = ::tanhf(v[i]);
    return v;
}
template <int N>
Pack<double, N> hyperbolic(Pack<double, N> v) {
    for (int i = 0; i < N; ++i) v[i] = std::tanh(v[i]);
    return v;
}

template <int64_t curve, int N, typename V>
V shaped(V x, V a) {
    if constexpr (curve == kGain) return x * a;
    if constexpr (curve == kTanh) return hyperbolic<N>(V(x * a));
    if constexpr (curve == kRound) return dasp::rounded<N>(V(x * a)) * (1 / a);
    const V below = x > a ? a : x;
    return below < -a ? -a : below;
}

// The derivatives in x and a, in double; `y` is the shaped value.
template <int64_t curve, int N, typename D>
void derivatives(D x, D a, D y, D& to_x, D& to_a) {
    if constexpr (curve == kGain) to_x = a, to_a = x;
    if constexpr (curve == kTanh) {
        const D slope = dasp::tanh_slope<N>(D(x * a));
        to_x = slope * a, to_a = slope * x;
    }
    if constexpr (curve == kClip) {
        const D none{}, one = none + 1;
        const auto above = x > a, below = x < -a;
        to_x = above | below ? none : one;
        to_a = above ? one : below ? -one : none;
    }
    // No derivative of use: straight through in x, and the error of rounding held in steps of 1 / a.
    if constexpr (curve == kRound) to_x = D{} + 1, to_a = (x - y) / a;
}

struct Shape {
    int64_t batch, channels, samples;
    int64_t chunks() const { return (samples + kChunk - 1) / kChunk; }
    // f(row, item, first, last) for chunks of rows, on several threads.
    template <typename F>
    void each(int64_t threads, F&& f) const {
        const int64_t per_row = chunks();
        dasp::for_rows(batch * channels * per_row, threads, [&](int64_t i) {
            const int64_t row = i / per_row, first = i % per_row * kChunk;
            f(row, row / channels, first, std::min(first + kChunk, samples));
        });
    }
};

// A parameter's values for one item.
template <bool Moving, typename V, int N, typename T>
struct Parameter {
    const T* row;
    Pack<V, N> fixed;

    Parameter(const T* all, int64_t item, int64_t samples)
        : row(all + item * (Moving ? samples : 1)), fixed(Pack<V, N>{} + V(samples ? *row : T(0))) {}
    Pack<V, N> at(int64_t n, int64_t there) const {
        if constexpr (Moving) return values<V, N>(row + n, there);
        return fixed;
    }
};

// f(n, there) for N values at a time: inlined, the whole ones ask nothing.
template <int N, typename F>
void sweep(int64_t first, int64_t last, F&& f) {
    int64_t n = first;
    for (; n + N <= last; n += N) f(n, int64_t(N));
    if (n < last) f(n, last - n);
}

template <typename F>
void if_moving(int64_t frames, F&& f) {
    if (frames > 1)
        f(std::true_type{});
    else
        f(std::false_type{});
}

// Lanes of the backward passes, whatever the instruction set: sums are formed in the same order everywhere.
constexpr int kSums = 8;

// A parameter's gradient: one a sample, or the sum over a chunk, and in the end over the row.
template <int N>
struct Gradient {
    double* all;
    int64_t frames, chunks;
    std::vector<double> sums;

    Gradient(double* all, int64_t frames, const Shape& s)
        : all(all), frames(frames), chunks(s.chunks()), sums(frames == 1 ? s.batch * s.channels * chunks : 0) {}
    void add(Pack<double, N> v, Pack<double, N>& sum, int64_t row, int64_t n, int64_t there) const {
        if (frames == 1)
            sum += v;
        else
            dasp::keep<N>(v, all + row * frames + n, there);
    }
    void close(Pack<double, N> sum, int64_t row, int64_t first) {
        if (frames > 1) return;
        double& total = sums[row * chunks + first / kChunk];
        for (int i = 0; i < N; ++i) total += sum[i];
    }
    void finish(int64_t rows) {
        if (frames > 1) return;
        for (int64_t row = 0; row < rows; ++row)
            for (int64_t i = 0; i < chunks; ++i) all[row] += sums[row * chunks + i];
    }
};

template <int64_t curve, typename T>
void forward(const Shape& s, const T* x, const T* a, T* y, int64_t frames, int64_t threads) {
    constexpr int N = kLanes<T>;
    s.each(threads, [&](int64_t row, int64_t item, int64_t first, int64_t last) {
        if_moving(frames, [&](auto moving) {
            const Parameter<moving.value, T, N, T> p(a, item, s.samples);
            const T* in = x + row * s.samples;
            T* out = y + row * s.samples;
            sweep<N>(first, last, [&](int64_t n, int64_t there) {
                dasp::keep<N>(shaped<curve, N>(values<T, N>(in + n, there), p.at(n, there)), out + n, there);
            });
        });
    });
}

template <int64_t curve, typename T>
void backward(const Shape& s, const T* g, const T* x, const T* a, T* gx, double* ga, int64_t frames, int64_t threads) {
    constexpr int N = kSums;
    using D = Pack<double, N>;
    Gradient<N> to(ga, frames, s);
    s.each(threads, [&](int64_t row, int64_t item, int64_t first, int64_t last) {
        D sum{};
        if_moving(frames, [&](auto moving) {
            const Parameter<moving.value, double, N, T> p(a, item, s.samples);
            const T *in = x + row * s.samples, *grad = g + row * s.samples;
            T* out = gx + row * s.samples;
            sweep<N>(first, last, [&](int64_t n, int64_t there) {
                const D from = values<double, N>(grad + n, there), v = values<double, N>(in + n, there), q = p.at(n, there);
                D to_x, to_a, y{};
                if constexpr (curve == kRound) {  // rounded as it was, also beside halves
                    using V = Pack<T, N>;
                    y = __builtin_convertvector((shaped<curve, N>(__builtin_convertvector(v, V), __builtin_convertvector(q, V))), D);
                }
                derivatives<curve, N>(v, q, y, to_x, to_a);
                dasp::keep<N>(from * to_x, out + n, there);
                to.add(from * to_a, sum, row, n, there);  // lanes beyond the end have a gradient of 0
            });
        });
        to.close(sum, row, first);
    });
    to.finish(s.batch * s.channels);
}

template <typename F>
void choose(int64_t curve, F&& f) {
    switch (curve) {
        case kGain: return f(std::integral_constant<int64_t, kGain>{});
        case kTanh: return f(std::integral_constant<int64_t, kTanh>{});
        case kClip: return f(std::integral_constant<int64_t, kClip>{});
        case kRound: return f(std::integral_constant<int64_t, kRound>{});
    }
}

template <typename T>
void blend(const Shape& s, const T* x, const T* w, const T* a, const T* b, T* y, int64_t frames_a, int64_t frames_b, int64_t threads) {
    constexpr int N = kLanes<T>;
    s.each(threads, [&](int64_t row, int64_t item, int64_t first, int64_t last) {
        const int64_t at = row * s.samples;
        if_moving(frames_a, [&](auto moving_a) {
            if_moving(frames_b, [&](auto moving_b) {
                const Parameter<moving_a.value, T, N, T> p(a, item, s.samples);
                const Parameter<moving_b.value, T, N, T> q(b, item, s.samples);
                sweep<N>(first, last, [&](int64_t n, int64_t there) {
                    const auto one = values<T, N>(x + at + n, there), two = values<T, N>(w + at + n, there);
                    dasp::keep<N>(p.at(n, there) * one + q.at(n, there) * two, y + at + n, there);
                });
            });
        });
    });
}

template <typename T>
void blend_backward(const Shape& s, const T* g, const T* x, const T* w, const T* a, const T* b, T* gx, T* gw, double* ga, double* gb,
                    int64_t frames_a, int64_t frames_b, int64_t threads) {
    constexpr int N = kSums;
    using D = Pack<double, N>;
    Gradient<N> to_a(ga, frames_a, s), to_b(gb, frames_b, s);
    s.each(threads, [&](int64_t row, int64_t item, int64_t first, int64_t last) {
        const int64_t at = row * s.samples;
        D sum_a{}, sum_b{};
        if_moving(frames_a, [&](auto moving_a) {
            if_moving(frames_b, [&](auto moving_b) {
                const Parameter<moving_a.value, double, N, T> p(a, item, s.samples);
                const Parameter<moving_b.value, double, N, T> q(b, item, s.samples);
                sweep<N>(first, last, [&](int64_t n, int64_t there) {
                    const D from = values<double, N>(g + at + n, there);
                    dasp::keep<N>(from * p.at(n, there), gx + at + n, there);
                    dasp::keep<N>(from * q.at(n, there), gw + at + n, there);
                    to_a.add(from * values<double, N>(x + at + n, there), sum_a, row, n, there);
                    to_b.add(from * values<double, N>(w + at + n, there), sum_b, row, n, there);
                });
            });
        });
        to_a.close(sum_a, row, first);
        to_b.close(sum_b, row, first);
    });
    to_a.finish(s.batch * s.channels);
    to_b.finish(s.batch * s.channels);
}

}  // namespace

#define DASP_WAVESHAPER(T, SUFFIX)                                                                                              \
    DASP_EXPORT void shape_##SUFFIX(const T* x, const T* a, T* y, int64_t batch, int64_t channels, int64_t samples,             \
                                    int64_t frames, int64_t curve, int64_t threads) {                                           \
        choose(curve, [&](auto kind) { forward<kind.value>({batch, channels, samples}, x, a, y, frames, threads); });           \
    }                                                                                                                           \
    DASP_EXPORT void shape_backward_##SUFFIX(const T* g, const T* x, const T* a, T* gx, double* ga, int64_t batch,              \
                                             int64_t channels, int64_t samples, int64_t frames, int64_t curve,                  \
                                             int64_t threads) {                                                                 \
        choose(curve, [&](auto kind) {                                                                                          \
            backward<kind.value>({batch, channels, samples}, g, x, a, gx, ga, frames, threads);                                 \
        });                                                                                                                     \
    }                                                                                                                           \
    DASP_EXPORT void blend_##SUFFIX(const T* x, const T* w, const T* a, const T* b, T* y, int64_t batch, int64_t channels,      \
                                    int64_t samples, int64_t frames_a, int64_t frames_b, int64_t threads) {                     \
        blend({batch, channels, samples}, x, w, a, b, y, frames_a, frames_b, threads);                                          \
    }                                                                                                                           \
    DASP_EXPORT void blend_backward_##SUFFIX(const T* g, const T* x, const T* w, const T* a, const T* b, T* gx, T* gw,          \
                                             double* ga, double* gb, int64_t batch, int64_t channels, int64_t samples,          \
                                             int64_t frames_a, int64_t frames_b, int64_t threads) {                             \
        blend_backward({batch, channels, samples}, g, x, w, a, b, gx, gw, ga, gb, frames_a, frames_b, threads);                 \
    }

DASP_WAVESHAPER(float, f32)
DASP_WAVESHAPER(double, f64)
