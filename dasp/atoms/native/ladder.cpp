// Ladder filter: four one-pole-one-zero stages in a saturating feedback loop. Per sample, with stages s0 ... s4:
//     u = G S(D x),   p = u - 4 r (G' S(D' s4) - k u),   q = 1 - a
//     s0' = p,   si' = 0.23 q s(i-1) + a si + 0.77 q s(i-1)',   y = sum of mix_i si'
// S is tanh read from a table of 128 points on [-5, 5] by linear interpolation: a smooth tanh would differ by up to 6e-4.
// Parameters (batch, 6, K), rows a, r, D, G, D', G': K = 1 (constant) or T (one set a sample). State (batch, channels, 5).
#include "common.h"

namespace {

using dasp::kBlock;

constexpr int kStages = 5, kRows = 6, kPoints = 128;

inline float hyperbolic(float v) { return ::tanhf(v); }
inline double hyperbolic(double v) { return std::tanh(v); }

template <typename T>
struct Saturation {
    T table[kPoints + 1];
    static constexpr T reach = 5, scale = T(kPoints - 1) / (2 * reach), offset = reach * scale;

    Saturation() {
        for (int i = 0; i < kPoints; ++i) table[i] = hyperbolic(-reach + T(i) * (2 * reach) / T(kPoints - 1));
        table[kPoints] = table[kPoints - 1];
    }
    static T clip(T v) { return std::min(reach, std::max(-reach, v)); }
    T operator()(T v) const {
        if (!(v == v)) return v;
        const T at = scale * clip(v) + offset;
        const int i = int(at);
        return table[i] + (at - T(i)) * (table[i + 1] - table[i]);
    }
    T slope(T v) const {
        if (!(std::abs(v) < reach)) return 0;
        const int i = int(scale * v + offset);
        return scale * (table[i + 1] - table[i]);
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

template <typename T>
struct Sample {
    T a, r, drive, gain, drive2, gain2;
    Sample(const T* p, int64_t frames, int64_t n) {
        if (frames == 1) n = 0;
        a = p[n], r = p[frames + n], drive = p[2 * frames + n];
        gain = p[3 * frames + n], drive2 = p[4 * frames + n], gain2 = p[5 * frames + n];
    }
    // The new stages from the old ones.
    void step(const Saturation<T>& curve, T x, T k, T* s) const {
        const T q = a * T(-1) + T(1), b0 = q * kNew<T>, b1 = q * kOld<T>;
        const T u = gain * curve(drive * x);
        T next = u + r * T(-4) * (gain2 * curve(drive2 * s[4]) - u * k);
        for (int i = 1; i < kStages; ++i) {
            const T value = b1 * s[i - 1] + a * s[i] + b0 * next;
            s[i - 1] = next;
            next = value;
        }
        s[kStages - 1] = next;
    }
};

template <typename T>
void forward(const T* x, const T* parameters, const T* mix, T* y, T* state, int64_t batch, int64_t channels, int64_t samples,
             int64_t frames, int64_t threads) {
    const auto& curve = saturation<T>();
    dasp::for_rows(batch * channels, threads, [&](int64_t row) {
        const T* p = parameters + row / channels * kRows * frames;
        T* s = state + row * kStages;
        for (int64_t n = 0; n < samples; ++n) {
            Sample<T>(p, frames, n).step(curve, x[row * samples + n], mix[kStages], s);
            y[row * samples + n] = s[0] * mix[0] + s[1] * mix[1] + s[2] * mix[2] + s[3] * mix[3] + s[4] * mix[4];
        }
    });
}

// Adjoint in double. Forward states are recomputed: once to the start of each block, then within the block.
template <typename T>
void backward(const T* g, const T* x, const double* parameters, const double* mix, const T* state, T* gx, double* gp,
              int64_t batch, int64_t channels, int64_t samples, int64_t frames, int64_t threads) {
    const auto& curve = saturation<double>();
    dasp::for_rows(batch * channels, threads, [&](int64_t row) {
        const double *p = parameters + row / channels * kRows * frames, k = mix[kStages];
        double* to_p = gp + row * kRows * frames;
        const T *in = x + row * samples, *grad = g + row * samples;
        const int64_t blocks = (samples + kBlock - 1) / kBlock;
        std::vector<double> starts(std::max<int64_t>(blocks, 1) * kStages), course((kBlock + 1) * kStages);
        std::copy_n(state + row * kStages, kStages, starts.begin());
        for (int64_t block = 0; block + 1 < blocks; ++block) {
            double* s = &starts[(block + 1) * kStages];
            std::copy_n(s - kStages, kStages, s);
            for (int64_t n = block * kBlock; n < (block + 1) * kBlock; ++n) Sample<double>(p, frames, n).step(curve, in[n], k, s);
        }
        double lambda[kStages] = {0, 0, 0, 0, 0};
        for (int64_t block = blocks - 1; block >= 0; --block) {
            const int64_t start = block * kBlock, count = std::min(samples - start, kBlock);
            std::copy_n(&starts[block * kStages], kStages, course.begin());
            for (int64_t n = 0; n < count; ++n) {
                double* s = &course[(n + 1) * kStages];
                std::copy_n(s - kStages, kStages, s);
                Sample<double>(p, frames, start + n).step(curve, in[start + n], k, s);
            }
            for (int64_t n = count - 1; n >= 0; --n) {
                const int64_t m = start + n;
                const Sample<double> c(p, frames, m);
                const double *s = &course[n * kStages], *next = s + kStages, v = in[m];
                const double q = 1 - c.a, b0 = q * kNew<double>, b1 = q * kOld<double>;
                double l[kStages], before[kStages] = {0, 0, 0, 0, 0}, to_a = 0;
                for (int i = 0; i < kStages; ++i) l[i] = lambda[i] + mix[i] * grad[m];
                for (int i = kStages - 1; i > 0; --i) {
                    before[i - 1] += b1 * l[i];
                    before[i] += c.a * l[i];
                    l[i - 1] += b0 * l[i];
                    to_a += (s[i] - kOld<double> * s[i - 1] - kNew<double> * next[i - 1]) * l[i];
                }
                const double shaped = curve(c.drive * v), u = c.gain * shaped, back = curve(c.drive2 * s[4]);
                const double to_u = (1 + 4 * c.r * k) * l[0], to_shaped = to_u * c.gain * curve.slope(c.drive * v);
                const double to_back = -4 * c.r * c.gain2 * l[0] * curve.slope(c.drive2 * s[4]);
                before[4] += to_back * c.drive2;
                gx[row * samples + m] = T(to_shaped * c.drive);
                const double parts[kRows] = {to_a,          -4 * (c.gain2 * back - k * u) * l[0], to_shaped * v,
                                             to_u * shaped, to_back * s[4],                      -4 * c.r * back * l[0]};
                for (int i = 0; i < kRows; ++i) to_p[i * frames + (frames == 1 ? 0 : m)] += parts[i];
                std::copy_n(before, kStages, lambda);
            }
        }
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
