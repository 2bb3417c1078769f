// Ladder filter: four one-pole-one-zero stages in a saturating feedback loop. Per sample, with stages s0 ... s4:
//     u = G S(D x),   p = u - 4 r (G' S(D' s4) - k u),   q = 1 - a
//     s0' = p,   si' = 0.23 q s(i-1) + a si + 0.77 q s(i-1)',   y = sum of mix_i si'
// S is tanh read from a table of 128 points on [-5, 5] by linear interpolation: a smooth tanh would differ by up to 6e-4.
// Parameters (batch, 6, K), rows a, r, D, G, D', G': K = 1 (constant) or T (one set a sample). State (batch, channels, 5).
#include "simd.h"

namespace {

using dasp::Group;
using dasp::Lanes;

constexpr int kStages = 5, kRows = 6, kPoints = 128;
constexpr int64_t kShort = 128;  // samples for which signals and states of a group lie in the cache

inline float hyperbolic(float v) { return ::tanhf(v); }
inline double hyperbolic(double v) { return std::tanh(v); }

template <typename T>
struct Saturation {
    struct Point {
        T value, rise;  // rise: to the next point
    };
    Point table[kPoints];
    static constexpr T reach = 5, scale = T(kPoints - 1) / (2 * reach), offset = reach * scale;

    Saturation() {
        auto point = [](int i) { return hyperbolic(-reach + T(i) * (2 * reach) / T(kPoints - 1)); };
        for (int i = 0; i < kPoints; ++i) table[i] = {T(point(i)), i + 1 < kPoints ? T(point(i + 1)) - T(point(i)) : T(0)};
    }
    // NaN stays NaN; whatever integer it becomes, its last bits are a place in the table.
    static int place(T at) { return int(at) & (kPoints - 1); }
    T one(T v) const {
        const T at = scale * std::min(std::max(v, -reach), +reach) + offset;
        const Point& point = table[place(at)];
        return point.value + (at - std::trunc(at)) * point.rise;
    }
    template <int W>
    Lanes<T, W> operator()(const Lanes<T, W>& v) const {
        using L = Lanes<T, W>;
        if constexpr (W <= 2) {  // not worth the way between a vector's lanes
            L value = v;
            for (int k = 0; k < W; ++k) value.set(k, one(v.get(k)));
            return value;
        }
        const L high = L::all(reach), low = -high, above = L::where_above(low, v, low, v);
        const L at = L::all(scale) * L::where_above(above, high, high, above) + L::all(offset);
        auto gathered = [&](auto&& pick) {
            return L::each([&](int part) {
                typename L::Vector v{};
                for (int k = 0; k < L::kLanes; ++k) L::Register::set(v, k, pick(L::Register::get(at.part[part], k)));
                return v;
            });
        };
        const L value = gathered([&](T v) { return table[place(v)].value; }), rise = gathered([&](T v) { return table[place(v)].rise; });
        return value + gathered([](T v) { return v - std::trunc(v); }) * rise;
    }
    template <int W>
    Lanes<T, W> slope(const Lanes<T, W>& v) const {
        Lanes<T, W> out = v;
        for (int k = 0; k < W; ++k) {
            const T at = v.get(k);
            out.set(k, std::abs(at) < reach ? scale * table[place(scale * at + offset)].rise : T(0));
        }
        return out;
    }
};

template <typename T>
const Saturation<T>& saturation() {
    static const Saturation<T> shared;
    return shared;
}

// A stage's zero at -0.3: the weights of its newest and of its last input.
template <typename T>
constexpr T kNew = T(0.76923076923);
template <typename T>
constexpr T kOld = T(0.23076923076);

// The parameters of a group's rows.
template <typename V, int W, bool Moving>
struct Parameters {
    using L = Lanes<V, W>;
    const V* rows[W];
    int64_t frames;
    L fixed[kRows];

    Parameters(const V* p, int64_t channels, int64_t first, int64_t count, int64_t frames) : frames(frames) {
        for (int i = 0; i < W; ++i) {
            rows[i] = p + (first + std::min<int64_t>(i, count - 1)) / channels * kRows * frames;
            for (int k = 0; k < kRows; ++k) fixed[k].set(i, frames ? rows[i][k * frames] : V(0));
        }
    }
    L at(int k, int64_t n) const {
        if constexpr (!Moving) return fixed[k];
        L out;
        for (int i = 0; i < W; ++i) out.set(i, rows[i][k * frames + n]);
        return out;
    }
};

// `count` samples from `start` on: `u`, the saturated input, drives the stages s; seen(n, s) after each.
template <typename V, int W, bool Moving, typename Seen>
void run(const Saturation<V>& curve, const Parameters<V, W, Moving>& p, V leak, int64_t start, int64_t count, const Lanes<V, W>* u,
         Lanes<V, W>* stages, Seen&& seen) {
    using L = Lanes<V, W>;
    L s[kStages];
    std::copy_n(stages, kStages, s);
    const L k = L::all(leak), one = L::all(1), to_new = L::all(kNew<V>), to_old = L::all(kOld<V>), four = L::all(-4);
    for (int64_t n = 0; n < count; ++n) {
        const L a = p.at(0, start + n), q = a * -one + one, b0 = q * to_new, b1 = q * to_old;
        const L turned = p.at(1, start + n) * four, leaked = u[n] * k;
        L next = u[n] + turned * (p.at(5, start + n) * curve(p.at(4, start + n) * s[4]) - leaked);
        for (int i = 1; i < kStages; ++i) {
            const L value = b1 * s[i - 1] + a * s[i] + b0 * next;
            s[i - 1] = next;
            next = value;
        }
        s[kStages - 1] = next;
        seen(n, s);
    }
    std::copy_n(s, kStages, stages);
}

// The saturated input: waits for nothing before it.
template <typename V, int W, bool Moving>
void drive(const Saturation<V>& curve, const Parameters<V, W, Moving>& p, int64_t start, int64_t count, const Lanes<V, W>* x, Lanes<V, W>* u) {
    for (int64_t n = 0; n < count; ++n) u[n] = p.at(3, start + n) * curve(p.at(2, start + n) * x[n]);
}

template <typename V, int W, typename T>
void begin(const T* state, int64_t first, int64_t count, Lanes<V, W>* stages) {
    for (int i = 0; i < W; ++i)
        for (int k = 0; k < kStages; ++k) stages[k].set(i, V(state[(first + std::min<int64_t>(i, count - 1)) * kStages + k]));
}

template <int W, bool Moving, typename T>
void forward_group(const T* x, const T* parameters, const T* mix, T* y, T* state, int64_t first, int64_t count, int64_t channels,
                   int64_t samples, int64_t frames) {
    using L = Lanes<T, W>;
    const auto& curve = saturation<T>();
    const Parameters<T, W, Moving> p(parameters, channels, first, count, frames);
    const Group<const T, W> in(x, samples, first, count);
    const Group<T, W> out(y, samples, first, count);
    L stages[kStages], weights[kStages], signal[kShort];
    begin<T, W>(state, first, count, stages);
    for (int k = 0; k < kStages; ++k) weights[k] = L::all(mix[k]);
    for (int64_t start = 0; start < samples; start += kShort) {
        const int64_t length = std::min(kShort, samples - start);
        in.load(start, length, signal, kShort);
        drive(curve, p, start, length, signal, signal);
        run(curve, p, mix[kStages], start, length, signal, stages, [&](int64_t n, const L* s) {
            signal[n] = s[0] * weights[0] + s[1] * weights[1] + s[2] * weights[2] + s[3] * weights[3] + s[4] * weights[4];
        });
        out.store(start, length, signal);
    }
    for (int i = 0; i < count; ++i)
        for (int k = 0; k < kStages; ++k) state[(first + i) * kStages + k] = stages[k].get(i);
}

template <typename T>
void forward(const T* x, const T* parameters, const T* mix, T* y, T* state, int64_t batch, int64_t channels, int64_t samples,
             int64_t frames, int64_t threads) {
    if (frames == 1)
        dasp::for_groups<T>(batch * channels, threads, [&](auto width, int64_t first, int64_t count) {
            forward_group<decltype(width)::value, false>(x, parameters, mix, y, state, first, count, channels, samples, frames);
        });
    else
        dasp::for_rows(batch * channels, threads, [&](int64_t row) {
            forward_group<1, true>(x, parameters, mix, y, state, row, 1, channels, samples, frames);
        });
}

// Adjoint in double. Forward states are recomputed: once to the start of each short block, then within the block.
template <int W, bool Moving, typename T>
void backward_group(const T* g, const T* x, const double* parameters, const double* mix, const T* state, T* gx, double* gp,
                    int64_t first, int64_t rows, int64_t channels, int64_t samples, int64_t frames) {
    using D = Lanes<double, W>;
    const auto& curve = saturation<double>();
    const Parameters<double, W, Moving> p(parameters, channels, first, rows, frames);
    const Group<const T, W> in(x, samples, first, rows), from(g, samples, first, rows);
    const Group<T, W> to(gx, samples, first, rows);
    const int64_t blocks = (samples + kShort - 1) / kShort;
    std::vector<D> starts((blocks + 1) * kStages), course((kShort + 1) * kStages), signal(kShort), u(kShort), grad(kShort);
    begin<double, W>(state, first, rows, starts.data());
    auto length = [&](int64_t block) { return std::min(samples - block * kShort, kShort); };
    auto recompute = [&](int64_t block, D* stages, auto&& seen) {
        in.load(block * kShort, length(block), signal.data(), kShort);
        drive(curve, p, block * kShort, length(block), signal.data(), u.data());
        run(curve, p, mix[kStages], block * kShort, length(block), u.data(), stages, seen);
    };
    for (int64_t block = 0; block + 1 < blocks; ++block) {
        D* next = &starts[(block + 1) * kStages];
        std::copy_n(&starts[block * kStages], kStages, next);
        recompute(block, next, [](int64_t, const D*) {});
    }
    D lambda[kStages], sums[kRows], weights[kStages];
    for (D& l : lambda) l = D::all(0);
    for (D& sum : sums) sum = D::all(0);
    for (int k = 0; k < kStages; ++k) weights[k] = D::all(mix[k]);
    const D k = D::all(mix[kStages]), one = D::all(1), to_new = D::all(kNew<double>), to_old = D::all(kOld<double>);
    const D four = D::all(4);
    for (int64_t block = blocks - 1; block >= 0; --block) {
        const int64_t start = block * kShort;
        std::copy_n(&starts[block * kStages], kStages, course.begin());
        recompute(block, &starts[block * kStages], [&](int64_t n, const D* s) { std::copy_n(s, kStages, &course[(n + 1) * kStages]); });
        from.load(start, length(block), grad.data());
        for (int64_t n = length(block) - 1; n >= 0; --n) {
            const D a = p.at(0, start + n), r = p.at(1, start + n), gain = p.at(3, start + n);
            const D drive2 = p.at(4, start + n), gain2 = p.at(5, start + n), driven = p.at(2, start + n) * signal[n];
            const D q = one - a, b0 = q * to_new, b1 = q * to_old;
            const D *s = &course[n * kStages], *next = s + kStages;
            D l[kStages], before[kStages], to_a = D::all(0);
            for (int i = 0; i < kStages; ++i) l[i] = lambda[i] + weights[i] * grad[n], before[i] = D::all(0);
            for (int i = kStages - 1; i > 0; --i) {
                before[i - 1] += b1 * l[i];
                before[i] += a * l[i];
                l[i - 1] += b0 * l[i];
                to_a += (s[i] - to_old * s[i - 1] - to_new * next[i - 1]) * l[i];
            }
            const D back = curve(drive2 * s[4]), turned = four * r * l[0];
            const D to_u = l[0] + k * turned, to_shaped = to_u * gain * curve.slope(driven);
            const D to_back = -(turned * gain2 * curve.slope(drive2 * s[4]));
            before[4] += to_back * drive2;
            const D parts[kRows] = {to_a, four * (k * u[n] - gain2 * back) * l[0], to_shaped * signal[n],
                                    to_u * curve(driven), to_back * s[4], -(turned * back)};
            grad[n] = to_shaped * p.at(2, start + n);
            for (int i = 0; i < kRows; ++i) {
                if constexpr (Moving)
                    for (int lane = 0; lane < rows; ++lane) gp[((first + lane) * kRows + i) * frames + start + n] = parts[i].get(lane);
                else
                    sums[i] += parts[i];
            }
            std::copy_n(before, kStages, lambda);
        }
        to.store(start, length(block), grad.data());
    }
    if constexpr (!Moving)
        for (int lane = 0; lane < rows; ++lane)
            for (int i = 0; i < kRows; ++i) gp[(first + lane) * kRows + i] = sums[i].get(lane);
}

template <typename T>
void backward(const T* g, const T* x, const double* parameters, const double* mix, const T* state, T* gx, double* gp,
              int64_t batch, int64_t channels, int64_t samples, int64_t frames, int64_t threads) {
    if (frames == 1)
        dasp::for_groups<double>(batch * channels, threads, [&](auto width, int64_t first, int64_t count) {
            backward_group<decltype(width)::value, false>(g, x, parameters, mix, state, gx, gp, first, count, channels, samples, frames);
        });
    else
        dasp::for_rows(batch * channels, threads, [&](int64_t row) {
            backward_group<1, true>(g, x, parameters, mix, state, gx, gp, row, 1, channels, samples, frames);
        });
}

}  // namespace

#define DASP_LADDER(T, SUFFIX)                                                                                               \
    DASP_EXPORT void ladder_##SUFFIX(const T* x, const T* parameters, const T* mix, T* y, T* state, int64_t batch,           \
                                     int64_t channels, int64_t samples, int64_t frames, int64_t threads) {                   \
        forward(x, parameters, mix, y, state, batch, channels, samples, frames, threads);                                    \
    }                                                                                                                        \
    DASP_EXPORT void ladder_backward_##SUFFIX(const T* g, const T* x, const double* parameters, const double* mix,           \
                                              const T* state, T* gx, double* gp, int64_t batch, int64_t channels,            \
                                              int64_t samples, int64_t frames, int64_t threads) {                            \
        backward(g, x, parameters, mix, state, gx, gp, batch, channels, samples, frames, threads);                           \
    }

DASP_LADDER(float, f32)
DASP_LADDER(double, f64)
