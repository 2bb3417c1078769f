// A compressor or a gate in one pass: detector (|key|, or the root of its followed square), follower with attack and release,
// static gain curve g = (r / threshold)^exponent on one side of the threshold and 1 on the other, times the audio.
// Parameters (batch, P, K): attack, release, threshold, exponent, and for the square its own attack and release; K = 1 or samples.
// State (batch, channels, P / 2 - 1): the level, and before it the square where there is one.
#include "elementary.h"

namespace {

using dasp::any;
using dasp::Doubles;
using dasp::FloatMask;
using dasp::Floats;
using dasp::Group;
using dasp::kDoubles;
using dasp::Lanes;
using dasp::load;
using dasp::store;
using dasp::wide;

constexpr int64_t kShort = 64;  // samples for which all signals of a group lie in the cache
// kInverse: 1 / threshold.
enum Row { kAttack, kRelease, kThreshold, kExponent, kSquareAttack, kSquareRelease, kInverse, kRows };
constexpr double kLog2 = 0.6931471805599453, kLeast = 2.2250738585072014e-308;  // the least normal number

struct Sizes {
    int64_t batch, channels, samples, parameters, frames, below, threads;
    int64_t rows() const { return batch * channels; }
    int64_t followers() const { return parameters / 2 - 1; }
};

// The parameters of a group's rows, lane by lane; constant ones as often as fills a register.
template <typename V, int W, bool Varying>
struct Parameters {
    static constexpr int64_t kPeriod = std::max(W, kDoubles);
    const V* rows[W];
    int64_t count, samples;
    std::vector<Lanes<V, W>> values[kRows];

    Parameters(const V* data, const Sizes& s, int64_t first, int64_t rows_here) : count(s.parameters), samples(s.samples) {
        for (int i = 0; i < W; ++i)
            rows[i] = data + (first + std::min<int64_t>(i, rows_here - 1)) / s.channels * s.parameters * s.frames;
        for (auto& v : values) v.resize(Varying ? kShort + kPeriod : kPeriod / W);
        if (!Varying) fill(0, kPeriod / W);
    }
    void at(int64_t start, int64_t length) {
        if (Varying) fill(start, length);
    }
    void fill(int64_t start, int64_t length) {
        for (int64_t p = 0; p < count; ++p)
            for (int i = 0; i < W; ++i)
                for (int64_t n = 0; n < length; ++n)
                    values[p][n].set(i, rows[i][Varying ? p * samples + start + n : p]);
        for (int64_t n = 0; n < length; ++n) values[kInverse][n] = Lanes<V, W>::all(1) / values[kThreshold][n];
    }
    const Lanes<V, W>& lanes(int row, int64_t n) const { return values[row][Varying ? n : 0]; }
    template <typename R>
    R flat(int row, int64_t j) const {
        return load<R>(reinterpret_cast<const V*>(values[row].data()) + (Varying ? j : j % kPeriod));
    }
};

// r' = v + c (r - v), c = attack where v > r, else release. `to` may be `from`.
template <typename V, int W, bool Varying>
void follow(const Parameters<V, W, Varying>& p, int attack, const Lanes<V, W>* from, Lanes<V, W>* to, int64_t length,
            Lanes<V, W>& state) {
    using L = Lanes<V, W>;
    L r = state, up = p.lanes(attack, 0), down = p.lanes(attack + 1, 0);
    for (int64_t n = 0; n < length; ++n) {
        const L& v = from[n];  // a copy would go through memory in pieces and be waited for
        if (Varying) up = p.lanes(attack, n), down = p.lanes(attack + 1, n);
        r = v + L::where_above(v, r, up, down) * (r - v);
        to[n] = r;
    }
    state = r;
}

// audio *= gain, over `count` values lane by lane.
template <int W, bool Varying>
void amplify(const Parameters<float, W, Varying>& p, bool below, const float* level, float* audio, int64_t count) {
    for (int64_t j = 0; j < count; j += kDoubles) {
        const Floats r = load<Floats>(level + j), t = p.template flat<Floats>(kThreshold, j);
        const FloatMask acts = below ? ~(r > t) : ~(r < t);
        if (!any(acts)) continue;
        const Floats base = r * p.template flat<Floats>(kInverse, j), e = p.template flat<Floats>(kExponent, j);
        FloatMask sure = {};
        Floats gain = {};
        if constexpr (kDoubles > 2) gain = dasp::power(base, wide(e), sure);  // two at a time are slower than powf
        const FloatMask rest = acts & ~sure;
        if (any(rest))
            for (int i = 0; i < kDoubles; ++i)
                if (rest[i]) gain[i] = ::powf(base[i], e[i]);
        store(load<Floats>(audio + j) * (acts ? gain : Floats{} + 1), audio + j);
    }
}
template <int W, bool Varying>
void amplify(const Parameters<double, W, Varying>& p, bool below, const double* level, double* audio, int64_t count) {
    for (int64_t j = 0; j < count; j += kDoubles) {
        const Doubles r = load<Doubles>(level + j), t = p.template flat<Doubles>(kThreshold, j);
        const auto acts = below ? ~(r > t) : ~(r < t);
        if (!any(acts)) continue;
        const Doubles e = p.template flat<Doubles>(kExponent, j), at_zero = e == 0 ? Doubles{} + 1 : Doubles{};
        const Doubles power = dasp::power(r * p.template flat<Doubles>(kInverse, j), e), gain = r == 0 ? at_zero : power;
        store(load<Doubles>(audio + j) * (acts ? gain : Doubles{} + 1), audio + j);
    }
}

template <typename V, int W>
V* flat(std::vector<Lanes<V, W>>& signal) {
    return reinterpret_cast<V*>(signal.data());
}

template <typename V, int W, typename T>
std::vector<Lanes<V, W>> states_of(const T* state, int64_t followers, int64_t first, int64_t count) {
    std::vector<Lanes<V, W>> out(followers);
    for (int64_t k = 0; k < followers; ++k)
        for (int i = 0; i < W; ++i) out[k].set(i, V(state[(first + std::min<int64_t>(i, count - 1)) * followers + k]));
    return out;
}

template <int W, bool Varying, typename T>
void forward_group(const T* x, const T* key, const T* parameters, T* y, T* state, const Sizes& s, int64_t first, int64_t count) {
    using L = Lanes<T, W>;
    const Group<const T, W> in(x, s.samples, first, count), side(key, s.samples, first, count);
    const Group<T, W> out(y, s.samples, first, count);
    Parameters<T, W, Varying> p(parameters, s, first, count);
    auto states = states_of<T, W>(state, s.followers(), first, count);
    std::vector<L> audio(kShort + kDoubles), level(kShort + kDoubles);  // room for the last register
    for (int64_t start = 0; start < s.samples; start += kShort) {
        const int64_t length = std::min(kShort, s.samples - start);
        p.at(start, length);
        in.load(start, length, audio.data(), kShort);
        if (key == x)
            std::copy_n(audio.data(), length, level.data());
        else
            side.load(start, length, level.data(), kShort);
        T* v = flat(level);
        if (s.followers() == 2) {
            for (int64_t j = 0; j < length * W; ++j) v[j] = v[j] * v[j];
            follow(p, kSquareAttack, level.data(), level.data(), length, states[0]);
            for (int64_t j = 0; j < length * W; ++j) v[j] = std::sqrt(v[j]);
        } else {
            for (int64_t j = 0; j < length * W; ++j) v[j] = std::abs(v[j]);
        }
        follow(p, kAttack, level.data(), level.data(), length, states.back());
        amplify(p, s.below, v, flat(audio), length * W);
        out.store(start, length, audio.data());
    }
    for (int64_t k = 0; k < s.followers(); ++k)
        for (int64_t i = 0; i < count; ++i) state[(first + i) * s.followers() + k] = states[k].get(int(i));
}

// What the backward pass recomputes in a block: detector inputs and what is followed, from one sample before on.
template <int W>
struct Detected {
    using D = Lanes<double, W>;
    std::vector<D> key, power, square, root, level;
    Detected() : key(kShort + kDoubles), power(kShort), square(kShort + 1), root(kShort), level(kShort + 1 + kDoubles) {}

    template <typename T, bool Varying>
    void run(const Group<const T, W>& side, const Parameters<double, W, Varying>& p, bool rms, int64_t start, int64_t length,
             int64_t ahead, D* states) {
        side.load(start, length, key.data(), ahead);
        const double* k = flat(key);
        double* v = flat(root);
        if (rms) {
            square[0] = states[0];
            double* u = flat(power);
            for (int64_t j = 0; j < length * W; ++j) u[j] = k[j] * k[j];
            follow(p, kSquareAttack, power.data(), square.data() + 1, length, states[0]);
            const double* s = flat(square) + W;
            for (int64_t j = 0; j < length * W; ++j) v[j] = std::sqrt(s[j]);
        } else {
            for (int64_t j = 0; j < length * W; ++j) v[j] = std::abs(k[j]);
        }
        level[0] = states[rms];
        follow(p, kAttack, root.data(), level.data() + 1, length, states[rms]);
    }
};

// Adjoint of `follow`, in place: gradient of its output -> of its input; that of the two poles for every sample where they vary,
// else added to what there is.
template <int W, bool Varying>
void follow_back(const Parameters<double, W, Varying>& p, int attack, const Lanes<double, W>* input, const Lanes<double, W>* before,
                 Lanes<double, W>* grad, int64_t length, Lanes<double, W>& lambda, Lanes<double, W>* to_up,
                 Lanes<double, W>* to_down) {
    using D = Lanes<double, W>;
    const D zero = D::all(0);
    D l = lambda, up = p.lanes(attack, 0), down = p.lanes(attack + 1, 0), sum_up = *to_up, sum_down = *to_down;
    for (int64_t n = length - 1; n >= 0; --n) {
        const D &v = input[n], &r = before[n];
        if (Varying) up = p.lanes(attack, n), down = p.lanes(attack + 1, n);
        const D total = grad[n] + l, moved = total * (r - v);
        if (Varying)
            to_up[n] = D::where_above(v, r, moved, zero), to_down[n] = D::where_above(v, r, zero, moved);
        else
            sum_up += D::where_above(v, r, moved, zero), sum_down += D::where_above(v, r, zero, moved);
        l = total * D::where_above(v, r, up, down);
        grad[n] = total - l;
    }
    lambda = l;
    if (!Varying) *to_up = sum_up, *to_down = sum_down;
}

template <int W, bool Varying, typename T>
void backward_group(const T* g, const T* x, const T* key, const double* parameters, const T* state, T* gx, T* gkey, double* gp,
                    const Sizes& s, int64_t first, int64_t count) {
    using D = Lanes<double, W>;
    const bool rms = s.followers() == 2, own = key == x;
    const Group<const T, W> in(x, s.samples, first, count), side(key, s.samples, first, count), from(g, s.samples, first, count);
    const Group<T, W> to(gx, s.samples, first, count), to_key(gkey, s.samples, first, count);
    Parameters<double, W, Varying> p(parameters, s, first, count);
    const int64_t blocks = (s.samples + kShort - 1) / kShort, size = s.followers();
    std::vector<D> starts((blocks + 1) * size), lambda(size, D::all(0));
    // Gradients of the parameters: of a block's samples where they vary, else sums over all.
    const int64_t kept = Varying ? kShort : 1;
    std::vector<D> found(s.parameters * kept, D::all(0));
    std::vector<D> audio(kShort + kDoubles), grad(kShort + kDoubles), shares(kShort + kDoubles), logs(kShort + kDoubles),
        slopes(kShort + kDoubles);
    Detected<W> now;
    auto begin = states_of<double, W>(state, size, first, count);
    std::copy(begin.begin(), begin.end(), starts.begin());
    for (int64_t block = 0; block + 1 < blocks; ++block) {
        D* next = &starts[(block + 1) * size];
        std::copy_n(&starts[block * size], size, next);
        p.at(block * kShort, kShort);
        now.run(side, p, rms, block * kShort, kShort, kShort, next);
    }
    for (int64_t block = blocks - 1; block >= 0; --block) {
        const int64_t start = block * kShort, length = std::min(s.samples - start, kShort);
        p.at(start, length);
        now.run(side, p, rms, start, length, -kShort, &starts[block * size]);
        from.load(start, length, grad.data(), -kShort);
        if (own)
            std::copy_n(now.key.data(), length, audio.data());
        else
            in.load(start, length, audio.data(), -kShort);

        // The curve: share = dL/dg g where it acts; gradients of audio, level, threshold and exponent follow from it.
        const double* r = flat(now.level) + W;
        for (int64_t j = 0; j < length * W; j += kDoubles) {
            const Doubles level = load<Doubles>(r + j), t = p.template flat<Doubles>(kThreshold, j), zero = {};
            const auto acts = (s.below ? level <= t : level >= t) & (level > 0);
            Doubles share = zero, log = zero, slope = zero;
            if (any(acts)) {
                const Doubles e = p.template flat<Doubles>(kExponent, j), out = load<Doubles>(flat(grad) + j);
                const Doubles base = level * p.template flat<Doubles>(kInverse, j);
                Doubles gained;
                if constexpr (sizeof(T) == sizeof(float)) {  // what is rounded to float in the end needs no more
                    log = acts ? dasp::short_log2<false>(base > kLeast ? base : zero + kLeast) : zero;
                    gained = out * dasp::short_exp2<false>(e * log);
                } else {
                    log = acts ? dasp::log2(base) : zero;
                    gained = out * dasp::exp2(e * log);
                }
                share = acts ? gained * load<Doubles>(flat(audio) + j) : zero;
                slope = share * e / (acts ? level : zero + 1);
                store(gained, flat(grad) + j);
                log = share * log;
            }
            store(share, flat(shares) + j);
            store(log, flat(logs) + j);
            store(slope, flat(slopes) + j);
        }
        if constexpr (Varying) {
            for (int64_t n = 0; n < length; ++n) {
                found[kThreshold * kept + n] = -(shares[n] * p.lanes(kExponent, n) * p.lanes(kInverse, n));
                found[kExponent * kept + n] = D::all(kLog2) * logs[n];
            }
        } else {
            D share = found[kThreshold], log = found[kExponent];
            for (int64_t n = 0; n < length; ++n) share += shares[n], log += logs[n];
            found[kThreshold] = share, found[kExponent] = log;
        }
        auto back = [&](int attack, const D* input, const D* before, D& last) {
            follow_back(p, attack, input, before, slopes.data(), length, last, &found[attack * kept], &found[(attack + 1) * kept]);
        };
        back(kAttack, now.root.data(), now.level.data(), lambda[rms]);
        double *slope = flat(slopes), *k = flat(now.key);
        if (rms) {
            // The root's slope at 0 is infinite; it is taken for 0.
            const double* v = flat(now.root);
            for (int64_t j = 0; j < length * W; ++j) slope[j] = v[j] > 0 ? slope[j] / (2 * v[j]) : 0;
            back(kSquareAttack, now.power.data(), now.square.data(), lambda[0]);
            for (int64_t j = 0; j < length * W; ++j) slope[j] *= 2 * k[j];
        } else {
            for (int64_t j = 0; j < length * W; ++j) slope[j] = k[j] > 0 ? slope[j] : k[j] < 0 ? -slope[j] : 0;
        }
        if (own)
            for (int64_t n = 0; n < length; ++n) grad[n] += slopes[n];
        else
            to_key.store(start, length, slopes.data());
        to.store(start, length, grad.data());
        for (int64_t row = 0; Varying && row < s.parameters; ++row)
            for (int64_t i = 0; i < count; ++i)
                for (int64_t n = 0; n < length; ++n)
                    gp[((first + i) * s.parameters + row) * s.samples + start + n] = found[row * kept + n].get(int(i));
    }
    if (Varying) return;
    found[kThreshold] = -(found[kThreshold] * p.lanes(kExponent, 0) * p.lanes(kInverse, 0));
    found[kExponent] = D::all(kLog2) * found[kExponent];
    for (int64_t i = 0; i < count; ++i)
        for (int64_t row = 0; row < s.parameters; ++row) gp[(first + i) * s.parameters + row] = found[row].get(int(i));
}

template <typename T>
void forward(const T* x, const T* key, const T* parameters, T* y, T* state, const Sizes& s) {
    dasp::for_groups<T>(s.rows(), s.threads, [&](auto width, int64_t first, int64_t count) {
        constexpr int W = decltype(width)::value;
        if (s.frames == 1)
            forward_group<W, false>(x, key, parameters, y, state, s, first, count);
        else
            forward_group<W, true>(x, key, parameters, y, state, s, first, count);
    });
}

template <typename T>
void backward(const T* g, const T* x, const T* key, const double* parameters, const T* state, T* gx, T* gkey, double* gp,
              const Sizes& s) {
    dasp::for_groups<double>(s.rows(), s.threads, [&](auto width, int64_t first, int64_t count) {
        constexpr int W = decltype(width)::value;
        if (s.frames == 1)
            backward_group<W, false>(g, x, key, parameters, state, gx, gkey, gp, s, first, count);
        else
            backward_group<W, true>(g, x, key, parameters, state, gx, gkey, gp, s, first, count);
    });
}

}  // namespace

#define DASP_DYNAMICS(T, SUFFIX)                                                                                                  \
    DASP_EXPORT void dynamics_##SUFFIX(const T* x, const T* key, const T* parameters, T* y, T* state, int64_t batch,             \
                                       int64_t channels, int64_t samples, int64_t count, int64_t frames, int64_t below,          \
                                       int64_t threads) {                                                                         \
        forward(x, key, parameters, y, state, {batch, channels, samples, count, frames, below, threads});                        \
    }                                                                                                                             \
    DASP_EXPORT void dynamics_backward_##SUFFIX(const T* g, const T* x, const T* key, const double* parameters, const T* state,  \
                                                T* gx, T* gkey, double* gp, int64_t batch, int64_t channels, int64_t samples,    \
                                                int64_t count, int64_t frames, int64_t below, int64_t threads) {                 \
        backward(g, x, key, parameters, state, gx, gkey, gp, {batch, channels, samples, count, frames, below, threads});         \
    }

DASP_DYNAMICS(float, f32)
DASP_DYNAMICS(double, f64)
