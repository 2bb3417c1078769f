// Linear recurrences of order 1, y[n] = x[n] + a[n] y[n-1], and 2, y[n] = x[n] - a1[n] y[n-1] - a2[n] y[n-2]; and what is their
// adjoint with respect to x, the same in reversed time: y[n] = x[n] + a[n+1] y[n+1], y[n] = x[n] - a1[n+1] y[n+1] - a2[n+2] y[n+2].
// Poles (batch, 1 or channels, 1 or samples). State (batch, channels, order), double: y[-1] and y[-2].
#include "simd.h"

namespace {

using dasp::Group;
using dasp::Lanes;

constexpr int64_t kShort = 64;  // samples for which a group's signals lie in the cache

struct Sizes {
    int64_t batch, channels, samples, pole_channels, frames, reverse, threads;
};

// One pole of a group's rows: a value a sample in [start, start + length), or one for all.
template <typename A, int W>
struct Pole {
    using D = Lanes<double, W>;
    const A* rows[W];
    int64_t samples;
    bool varies;
    std::vector<D> values;

    Pole(const A* data, const Sizes& s, int64_t first, int64_t count)
        : samples(s.samples), varies(s.frames != 1), values(kShort + 2) {
        for (int i = 0; i < W; ++i) {
            const int64_t row = first + std::min<int64_t>(i, count - 1);
            rows[i] = data + (s.pole_channels == 1 ? row / s.channels : row) * s.frames;
        }
        for (auto& v : values)
            for (int i = 0; i < W; ++i) v.set(i, double(rows[i][0]));
    }
    // Reversed in time, sample n takes what acts on sample n + late; behind the end there is nothing to act on.
    void at(int64_t start, int64_t length, int64_t late, int64_t ahead) {
        if (!varies) return;
        Group<const A, W> group(rows[0], 0, 0, 1);
        std::copy_n(rows, W, group.rows);
        const int64_t inside = std::max<int64_t>(0, std::min(length, samples - start - late));
        group.load(start + late, inside, values.data(), ahead);
        for (int64_t n = inside; n < length; ++n) values[n] = D::all(0);
    }
};

template <int Order, bool Varying, int W>
void steps(Lanes<double, W>* signal, const Lanes<double, W>* one, const Lanes<double, W>* two, int64_t n, int64_t direction,
           int64_t count, Lanes<double, W>& state1, Lanes<double, W>& state2) {
    using D = Lanes<double, W>;
    D y1 = state1, y2 = state2;
    for (; count > 0; --count, n += direction) {
        const int64_t at = Varying ? n : 0;
        // First what has been known for longer.
        const D y = Order == 1 ? signal[n] + one[at] * y1 : signal[n] - two[at] * y2 - one[at] * y1;
        y2 = y1;
        signal[n] = y1 = y;
    }
    state1 = y1, state2 = y2;
}

template <int Order, int W, typename T, typename A>
void run(const T* x, const A* a1, const A* a2, T* y, double* state, const Sizes& s, int64_t first, int64_t count) {
    using D = Lanes<double, W>;
    const Group<const T, W> in(x, s.samples, first, count);
    const Group<T, W> out(y, s.samples, first, count);
    Pole<A, W> one(a1, s, first, count), two(Order == 2 ? a2 : a1, s, first, count);
    std::vector<D> signal(kShort);
    D y1 = D::all(0), y2 = D::all(0);
    for (int i = 0; i < W; ++i) {
        const double* memory = state + (first + std::min<int64_t>(i, count - 1)) * Order;
        y1.set(i, memory[0]);
        if (Order == 2) y2.set(i, memory[1]);
    }
    const int64_t blocks = (s.samples + kShort - 1) / kShort;
    for (int64_t k = 0; k < blocks; ++k) {
        const int64_t start = (s.reverse ? blocks - 1 - k : k) * kShort, length = std::min(kShort, s.samples - start);
        const int64_t ahead = s.reverse ? -kShort : kShort;
        in.load(start, length, signal.data(), ahead);
        one.at(start, length, s.reverse ? 1 : 0, ahead);
        if (Order == 2) two.at(start, length, s.reverse ? 2 : 0, ahead);
        const int64_t from = s.reverse ? length - 1 : 0, direction = s.reverse ? -1 : 1;
        if (one.varies)
            steps<Order, true>(signal.data(), one.values.data(), two.values.data(), from, direction, length, y1, y2);
        else
            steps<Order, false>(signal.data(), one.values.data(), two.values.data(), from, direction, length, y1, y2);
        out.store(start, length, signal.data());
    }
    for (int64_t i = 0; i < count; ++i) {
        state[(first + i) * Order] = y1.get(int(i));
        if (Order == 2) state[(first + i) * Order + 1] = y2.get(int(i));
    }
}

// The adjoint in one pass: h as `run` reversed has it, and beside it the poles' gradients, h[n] y[n-1] and -h[n] y[n-1], -h[n] y[n-2]
// (batch, channels, 1 or samples).
template <int Order, int W, typename T, typename A>
void run_back(const T* g, const A* a1, const A* a2, const T* y, const double* state, T* gx, A* ga1, A* ga2, const Sizes& s,
              int64_t first, int64_t count) {
    using D = Lanes<double, W>;
    const Group<const T, W> in(g, s.samples, first, count), before(y, s.samples, first, count);
    const Group<T, W> out(gx, s.samples, first, count);
    const Group<A, W> to1(ga1, s.frames, first, count), to2(ga2, s.frames, first, count);
    Pole<A, W> one(a1, s, first, count), two(Order == 2 ? a2 : a1, s, first, count);
    std::vector<D> signal(kShort), past(kShort + 2);  // past: y from two samples before on
    D h1 = D::all(0), h2 = D::all(0), sum1 = D::all(0), sum2 = D::all(0);
    const int64_t blocks = (s.samples + kShort - 1) / kShort;
    for (int64_t k = blocks - 1; k >= 0; --k) {
        const int64_t start = k * kShort, length = std::min(kShort, s.samples - start);
        in.load(start, length, signal.data(), -kShort);
        one.at(start, length, 1, -kShort);
        if (Order == 2) two.at(start, length, 2, -kShort);
        if (one.varies)
            steps<Order, true>(signal.data(), one.values.data(), two.values.data(), length - 1, -1, length, h1, h2);
        else
            steps<Order, false>(signal.data(), one.values.data(), two.values.data(), length - 1, -1, length, h1, h2);
        out.store(start, length, signal.data());
        if (start) {
            before.load(start - 2, length + 2, past.data(), -kShort);
        } else {
            before.load(0, length, past.data() + 2);
            for (int i = 0; i < W; ++i) {
                const double* memory = state + (first + std::min<int64_t>(i, count - 1)) * Order;
                past[1].set(i, memory[0]);
                past[0].set(i, Order == 2 ? memory[1] : 0);
            }
        }
        double *h = reinterpret_cast<double*>(signal.data()), *earlier = reinterpret_cast<double*>(past.data());
        for (int64_t j = 0; j < length * W; ++j) {
            if (Order == 2) earlier[j] *= -h[j];
            h[j] *= Order == 1 ? earlier[j + W] : -earlier[j + W];
        }
        if (one.varies) {
            to1.store(start, length, signal.data());
            if (Order == 2) to2.store(start, length, past.data());
        } else {
            for (int64_t n = length - 1; n >= 0; --n) {
                sum1 += signal[n];
                if (Order == 2) sum2 += past[n];
            }
        }
    }
    if (one.varies) return;
    to1.store(0, 1, &sum1);
    if (Order == 2) to2.store(0, 1, &sum2);
}

template <int Order, typename T, typename A>
void rows_back(const T* g, const A* a1, const A* a2, const T* y, const double* state, T* gx, A* ga1, A* ga2, const Sizes& s) {
    dasp::for_groups<double>(s.batch * s.channels, s.threads, [&](auto width, int64_t first, int64_t count) {
        run_back<Order, decltype(width)::value>(g, a1, a2, y, state, gx, ga1, ga2, s, first, count);
    });
}

template <int Order, typename T, typename A>
void rows(const T* x, const A* a1, const A* a2, T* y, double* state, const Sizes& s) {
    dasp::for_groups<double>(s.batch * s.channels, s.threads, [&](auto width, int64_t first, int64_t count) {
        run<Order, decltype(width)::value>(x, a1, a2, y, state, s, first, count);
    });
}

}  // namespace

#define DASP_RECURRENCE(T, A, SUFFIX)                                                                                             \
    DASP_EXPORT void one_pole_##SUFFIX(const T* x, const A* a, T* y, double* state, int64_t batch, int64_t channels,             \
                                       int64_t samples, int64_t pole_channels, int64_t frames, int64_t reverse,                  \
                                       int64_t threads) {                                                                         \
        rows<1>(x, a, a, y, state, {batch, channels, samples, pole_channels, frames, reverse, threads});                         \
    }                                                                                                                             \
    DASP_EXPORT void two_pole_##SUFFIX(const T* x, const A* a1, const A* a2, T* y, double* state, int64_t batch,                 \
                                       int64_t channels, int64_t samples, int64_t pole_channels, int64_t frames,                 \
                                       int64_t reverse, int64_t threads) {                                                        \
        rows<2>(x, a1, a2, y, state, {batch, channels, samples, pole_channels, frames, reverse, threads});                       \
    }                                                                                                                             \
    DASP_EXPORT void one_pole_backward_##SUFFIX(const T* g, const A* a, const T* y, const double* state, T* gx, A* ga,           \
                                                int64_t batch, int64_t channels, int64_t samples, int64_t pole_channels,         \
                                                int64_t frames, int64_t threads) {                                                \
        rows_back<1>(g, a, a, y, state, gx, ga, ga, {batch, channels, samples, pole_channels, frames, 1, threads});              \
    }                                                                                                                             \
    DASP_EXPORT void two_pole_backward_##SUFFIX(const T* g, const A* a1, const A* a2, const T* y, const double* state, T* gx,    \
                                                A* ga1, A* ga2, int64_t batch, int64_t channels, int64_t samples,                \
                                                int64_t pole_channels, int64_t frames, int64_t threads) {                         \
        rows_back<2>(g, a1, a2, y, state, gx, ga1, ga2, {batch, channels, samples, pole_channels, frames, 1, threads});          \
    }

DASP_RECURRENCE(float, float, f32_f32)
DASP_RECURRENCE(float, double, f32_f64)
DASP_RECURRENCE(double, float, f64_f32)
DASP_RECURRENCE(double, double, f64_f64)
