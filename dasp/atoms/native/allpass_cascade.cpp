// Equal first-order all-passes in series (topology-preserving one-poles), the output fed back one sample late:
//     in = x - F[n-1] out[n-1];  each stage: v = G (in - s),  y = v + s,  s' = y + v,  in <- 2 y - in;  out = in
// Coefficients and feedback (batch, K): K = 1 (constant) or T. A row's state: every stage's s, then F out.
#include "simd.h"

namespace {

using dasp::Group;
using dasp::Lanes;

constexpr int64_t kShort = 128;  // samples for which signals and states of a group lie in the cache

struct Shape {
    int64_t batch, channels, samples, stages, coefficients, feedbacks;
    int64_t rows() const { return batch * channels; }
};

// A control of a group's rows for a few samples, as lanes.
template <typename V, int W>
struct Control {
    Group<const V, W> rows;
    bool moving;
    std::vector<Lanes<V, W>> block;

    Control(const V* all, int64_t frames, int64_t channels, int64_t first, int64_t count)
        : rows(all, 0, 0, 1), moving(frames > 1), block(kShort) {
        for (int i = 0; i < W; ++i) rows.rows[i] = all + (first + std::min<int64_t>(i, count - 1)) / channels * frames;
        if (moving || !frames) return;
        rows.load(0, 1, block.data());
        std::fill(block.begin() + 1, block.end(), block[0]);
    }
    void load(int64_t start, int64_t count) {
        if (moving) rows.load(start, count, block.data());
    }
    const Lanes<V, W>& operator[](int64_t n) const { return block[n]; }
};

// `count` samples of a group: signal in, out in its place; seen(n, k, in, s) before each stage.
template <typename V, int W, typename Seen>
void run(const Control<V, W>& c, const Control<V, W>& f, int64_t stages, int64_t count, Lanes<V, W>* signal, Lanes<V, W>* s, Seen&& seen) {
    using L = Lanes<V, W>;
    const L two = L::all(2);
    L fed = s[stages];
    for (int64_t n = 0; n < count; ++n) {
        L in = signal[n] - fed;
        for (int64_t k = 0; k < stages; ++k) {
            seen(n, k, in, s[k]);
            const L v = c[n] * (in - s[k]), y = v + s[k];
            s[k] = y + v;
            in = y * two - in;
        }
        signal[n] = in;
        fed = in * f[n];
    }
    s[stages] = fed;
}

template <typename V, int W, typename T>
std::vector<Lanes<V, W>> states_of(const T* state, int64_t size, int64_t first, int64_t count) {
    std::vector<Lanes<V, W>> out(size);
    for (int i = 0; i < W; ++i)
        for (int64_t k = 0; k < size; ++k) out[k].set(i, V(state[(first + std::min<int64_t>(i, count - 1)) * size + k]));
    return out;
}

template <typename T>
void forward(const Shape& shape, const T* x, const T* coefficient, const T* feedback, T* out, T* state, int64_t threads) {
    const int64_t size = shape.stages + 1;
    dasp::for_groups<T>(shape.rows(), threads, [&](auto width, int64_t first, int64_t count) {
        constexpr int W = decltype(width)::value;
        Control<T, W> c(coefficient, shape.coefficients, shape.channels, first, count);
        Control<T, W> f(feedback, shape.feedbacks, shape.channels, first, count);
        const Group<const T, W> in(x, shape.samples, first, count);
        const Group<T, W> to(out, shape.samples, first, count);
        auto s = states_of<T, W>(state, size, first, count);
        std::vector<Lanes<T, W>> signal(kShort);
        for (int64_t start = 0; start < shape.samples; start += kShort) {
            const int64_t length = std::min(kShort, shape.samples - start);
            in.load(start, length, signal.data(), kShort);
            c.load(start, length), f.load(start, length);
            run(c, f, shape.stages, length, signal.data(), s.data(), [](auto&&...) {});
            to.store(start, length, signal.data());
        }
        for (int i = 0; i < count; ++i)
            for (int64_t k = 0; k < size; ++k) state[(first + i) * size + k] = s[k].get(i);
    });
}

// Adjoint in double. States are recomputed: once to the start of each short block, then within the block.
template <typename T>
void backward(const Shape& shape, const T* g, const T* x, const double* coefficient, const double* feedback, const T* state,
              T* gx, double* gc, double* gf, int64_t threads) {
    const int64_t stages = shape.stages, size = stages + 1, blocks = (shape.samples + kShort - 1) / kShort;
    dasp::for_groups<double>(shape.rows(), threads, [&](auto width, int64_t first, int64_t count) {
        constexpr int W = decltype(width)::value;
        using D = Lanes<double, W>;
        Control<double, W> c(coefficient, shape.coefficients, shape.channels, first, count);
        Control<double, W> f(feedback, shape.feedbacks, shape.channels, first, count);
        const Group<const T, W> in(x, shape.samples, first, count), from(g, shape.samples, first, count);
        const Group<T, W> to(gx, shape.samples, first, count);
        std::vector<D> starts((blocks + 1) * size), signal(kShort), grad(kShort), to_c(kShort), to_f(kShort);
        std::vector<D> memory(kShort * stages), inputs(kShort * stages), lambda(stages, D::all(0));
        const auto begin = states_of<double, W>(state, size, first, count);
        std::copy(begin.begin(), begin.end(), starts.begin());
        auto length = [&](int64_t block) { return std::min(shape.samples - block * kShort, kShort); };
        auto recompute = [&](int64_t block, D* s, auto&& seen) {
            in.load(block * kShort, length(block), signal.data(), kShort);
            c.load(block * kShort, length(block)), f.load(block * kShort, length(block));
            run(c, f, stages, length(block), signal.data(), s, seen);
        };
        for (int64_t block = 0; block + 1 < blocks; ++block) {
            std::copy_n(&starts[block * size], size, &starts[(block + 1) * size]);
            recompute(block, &starts[(block + 1) * size], [](auto&&...) {});
        }
        // A moving control's gradients are stored block by block, a constant one's are summed up.
        auto keep = [&](double* all, int64_t frames, int64_t start, int64_t n, std::vector<D>& parts) {
            if (frames > 1)
                Group<double, W>(all, frames, first, count).store(start, n, parts.data());
            else
                for (int64_t i = 1; i < n; ++i) parts[0] += parts[i];
            if (frames == 1)
                for (int i = 0; i < count; ++i) all[first + i] += parts[0].get(i);
        };
        D to_fed = D::all(0);
        const D two = D::all(2);
        for (int64_t block = blocks - 1; block >= 0; --block) {
            const int64_t start = block * kShort;
            recompute(block, &starts[block * size], [&](int64_t n, int64_t k, const D& before, const D& s) {
                inputs[n * stages + k] = before, memory[n * stages + k] = s;
            });
            from.load(start, length(block), grad.data());
            for (int64_t n = length(block) - 1; n >= 0; --n) {
                to_f[n] = to_fed * signal[n];
                D gradient = grad[n] + f[n] * to_fed, sum = D::all(0);
                for (int64_t k = stages - 1; k >= 0; --k) {
                    const D to_y = two * gradient + lambda[k], to_v = to_y + lambda[k];
                    sum += to_v * (inputs[n * stages + k] - memory[n * stages + k]);
                    lambda[k] = to_y - c[n] * to_v;
                    gradient = c[n] * to_v - gradient;
                }
                to_c[n] = sum;
                grad[n] = gradient;
                to_fed = -gradient;
            }
            to.store(start, length(block), grad.data());
            keep(gc, shape.coefficients, start, length(block), to_c);
            keep(gf, shape.feedbacks, start, length(block), to_f);
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
