// Magnitude spectra of two signals compared frame by frame, and the comparison's derivative brought back to the time domain.
//
// The frames of a row are the SIMD lanes. A real frame of n samples is a complex transform of n / 2 (even samples real, odd ones
// imaginary), which leaves its output in digit-reversed order; the adjoint takes it from there. No spectrum outlives its frame.
#include "fft_frames.h"

namespace {

using dasp::fft::kBytes;
using dasp::fft::Lanes;
using dasp::fft::Memory;
using dasp::fft::Transform;
using dasp::fft::Types;

constexpr int64_t kPadded = 16;  // stored frames of a row are a multiple of this: of every build's lanes
constexpr int64_t kChunk = 128;  // frames per job, at least

// What is summed over all bins of a frame: (|X| - |Y|)^2, |Y|^2, and a distance of the logarithms and of the magnitudes.
constexpr int64_t kSums = 4;

// Sums of all lanes, in T over a few bins, then in double.
template <typename T>
struct Sums {
    using L = Lanes<T>;
    using V = typename L::V;
    using I = typename L::I;
    V difference{}, power{}, linear{}, logs{}, product = V{} + T(1);
    I exponent{};
    double total[kSums][L::count] = {};

    // The logarithm of a product of ratios >= 1, as a mantissa and an exponent: one logarithm a frame instead of one a bin.
    DASP_INLINE void multiply(const V& ratio) {
        product *= ratio;
        I bits;
        std::memcpy(&bits, &product, sizeof bits);
        exponent += (bits >> Types<T>::shift) - Types<T>::bias;
        bits = (bits & ((typename L::Bits(1) << Types<T>::shift) - 1)) | L::one;
        std::memcpy(&product, &bits, sizeof bits);
    }
    DASP_INLINE void flush() {
        add(total[0], difference), add(total[1], power), add(total[2], logs), add(total[3], linear);
        difference = power = linear = logs = V{};
    }
    DASP_INLINE static void add(double* total, const V& part) {
        for (int64_t l = 0; l < L::count; ++l) total[l] += double(part[l]);
    }
    void finish(int64_t lanes, double* out) {
        flush();
        for (int64_t l = 0; l < lanes; ++l) {
            total[2][l] += std::log(double(product[l])) + double(exponent[l]) * M_LN2;
            if (!std::isfinite(total[0][l])) total[2][l] += total[0][l];  // a product's bits do not show what is not a number
            for (int64_t s = 0; s < kSums; ++s) out[s] += total[s][l];
        }
    }
};

// A bin's derivative along its direction X / |X| is own |X| - other |Y|, plus that of log and linear times the distances.
struct Settings {
    double eps, own, other, log, linear;
};

// Frames of one length and hop of rows of `length` samples.
template <typename T>
class Frames {
    using L = Lanes<T>;
    using V = typename L::V;
    using I = typename L::I;

  public:
    Frames(const T* window, int64_t length, int64_t n, int64_t hop)
        : n(n), half(n / 2), hop(hop), count(1 + (length - n) / hop), padded((count + kPadded - 1) / kPadded * kPadded),
          chunk(std::max(kChunk, ((n + hop - 1) / hop + kPadded - 1) / kPadded * kPadded)), window_(window), transform_(half),
          zeros_(n, T(0)) {
        for (int64_t k = 0; k <= half / 2; ++k) {
            twiddles_.push_back(T(std::cos(-2 * M_PI * double(k) / double(n))));
            twiddles_.push_back(T(std::sin(-2 * M_PI * double(k) / double(n))));
        }
        while (start_ < n && window[start_] == 0) ++start_;
        while (stop_ < n && std::any_of(window + stop_, window + n, [](T w) { return w != 0; })) ++stop_;
        start_ = start_ / L::count * L::count, stop_ = (stop_ + L::count - 1) / L::count * L::count;
    }

    const int64_t n, half, hop, count, padded, chunk;

    // The packed transform of frames [first, first + lanes).
    void transform(const T* row, int64_t first, int64_t lanes, V* out) const {
        const T* frames[L::count];
        for (int64_t l = 0; l < L::count; ++l) frames[l] = l < lanes ? row + (first + l) * hop : zeros_.data();
        std::fill(out, out + start_, V{});
        std::fill(out + stop_, out + n, V{});
        dasp::fft::gather(frames, window_, start_, stop_, reinterpret_cast<T*>(out));
        transform_.forward(out);
    }
    // Its adjoint, added to the row.
    void adjoint(V* packed, int64_t first, int64_t lanes, T* row) const {
        T* frames[L::count];
        for (int64_t l = 0; l < lanes; ++l) frames[l] = row + (first + l) * hop;
        transform_.adjoint(packed);
        dasp::fft::scatter(frames, lanes, window_, start_, stop_, reinterpret_cast<const T*>(packed));
    }
    // Calls bin(k, re, im) for every k in [0, n / 2], two at a time, after each of which there is room for other work.
    template <typename F, typename G>
    DASP_INLINE void each(const V* z, F&& bin, G&& then) const {
        const V zero{};
        bin(0, z[0] + z[1], zero), bin(half, z[0] - z[1], zero), then(0);
        for (int64_t k = 1; k < half / 2; ++k) {
            const V *p = z + 2 * transform_.place(k), *q = z + 2 * transform_.place(half - k);
            const T c = twiddles_[2 * k], s = twiddles_[2 * k + 1];
            const V er = (p[0] + q[0]) * T(0.5), ei = (p[1] - q[1]) * T(0.5);
            const V dr = (p[1] + q[1]) * T(0.5), di = (q[0] - p[0]) * T(0.5);
            const V tr = dr * c - di * s, ti = dr * s + di * c;
            bin(k, er + tr, ei + ti), bin(half - k, er - tr, ti - ei), then(k);
        }
        const V* p = z + 2 * transform_.place(half / 2);
        bin(half / 2, p[0], -p[1]), then(half / 2);
    }
    // The adjoint of `each` at one of its steps: a and b are for k and n / 2 - k. Set, or added to what is there.
    template <bool Add>
    DASP_INLINE void pack(int64_t k, const V* a, const V* b, V* z) const {
        V *p = z + 2 * transform_.place(k), *q = z + 2 * transform_.place(half - k), h[4];
        if (k == 0) {
            h[0] = a[0] + b[0], h[1] = a[0] - b[0];
        } else if (k == half / 2) {
            h[0] = a[0], h[1] = -a[1];
        } else {
            const T c = twiddles_[2 * k], s = twiddles_[2 * k + 1];
            const V sr = (a[0] + b[0]) * T(0.5), si = (a[1] - b[1]) * T(0.5);
            const V dr = (a[0] - b[0]) * T(0.5), di = (a[1] + b[1]) * T(0.5);
            const V br = dr * c + di * s, bi = di * c - dr * s;
            h[0] = sr - bi, h[1] = si + br, h[2] = sr + bi, h[3] = br - si;
            q[0] = Add ? q[0] + h[2] : h[2], q[1] = Add ? q[1] + h[3] : h[3];
        }
        p[0] = Add ? p[0] + h[0] : h[0], p[1] = Add ? p[1] + h[1] : h[1];
    }
    // |Y| of every bin, at least sqrt(eps), from a packed transform.
    void magnitudes(const V* z, double eps, V* out) const {
        const V least = V{} + T(eps);
        each(
            z,
            [&](int64_t k, const V& re, const V& im) DASP_INLINED {
                V power = re * re + im * im;
                power = power < least ? least : power;
                L::sqrt(power);
                out[k] = power;
            },
            [](int64_t) DASP_INLINED {});
    }

  private:
    const T* window_;
    Transform<T> transform_;
    std::vector<T> zeros_, twiddles_;
    int64_t start_ = 0, stop_ = 0;
};

// One job's work space, and what it does to a group of frames.
template <typename T, bool Squared>
class Comparison {
    using L = Lanes<T>;
    using V = typename L::V;
    using I = typename L::I;

  public:
    Comparison(const Frames<T>& frames, const Settings& settings)
        : frames_(frames), set_(settings), own_(frames.n * L::count), apart_(frames.n * L::count), other_(frames.n * L::count),
          levels_((frames.half + 1) * L::count) {}

    // Adds a group's sums, and its gradient where one is wanted (`signal`; `apart`: that of sum (|X| - |Y|)^2 / 2).
    template <bool Gradient>
    void run(const T* x, const T* y, const T* levels, int64_t first, int64_t lanes, double* sums, T* apart, T* signal) {
        V* z = own_.vectors();
        const V* my = reinterpret_cast<const V*>(levels);
        if (!levels) {
            frames_.transform(y, first, lanes, other_.vectors());
            frames_.magnitudes(other_.vectors(), set_.eps, levels_.vectors());
            my = levels_.vectors();
        }
        frames_.transform(x, first, lanes, z);
        Sums<T> s;
        I loud{}, heard{};
        const V least = V{} + T(set_.eps);
        V floor = least;
        L::sqrt(floor);
        V u[2][2], v[2][2];
        frames_.each(
            z,
            [&](int64_t k, const V& re, const V& im) DASP_INLINED {
                const V power = re * re + im * im;
                const I quiet = power < least;
                loud |= ~quiet, heard |= my[k] > floor;
                V mx = quiet ? least : power;
                L::sqrt(mx);
                const V d = mx - my[k];
                s.difference += d * d, s.power += my[k] * my[k];
                V ratio{};
                if (Squared) {
                    ratio = mx / my[k];
                    for (int64_t l = 0; l < L::count; ++l) ratio[l] = std::log(ratio[l]);
                    s.logs += ratio * ratio, s.linear += d * d;
                } else {
                    const I above = d > V{};
                    const V high = above ? mx : my[k], low = above ? my[k] : mx;
                    s.multiply(high / low), s.linear += high - low;
                }
                if (!Gradient) return;
                const V inverse = quiet ? V{} : T(1) / mx;
                const int64_t side = k > frames_.half / 2;
                const V dr = re * inverse, di = im * inverse, slope = this->slope(mx, my[k], d, inverse, ratio);
                u[side][0] = d * dr, u[side][1] = d * di;
                v[side][0] = slope * dr, v[side][1] = slope * di;
            },
            [&](int64_t k) DASP_INLINED {
                if (k % 16 == 0) s.flush();
                if (Gradient && apart) frames_.template pack<false>(k, u[0], u[1], apart_.vectors());
                if (Gradient && signal) frames_.template pack<false>(k, v[0], v[1], z);
            });
        s.finish(lanes, sums);
        if (!Gradient) return;
        const I silent = ~loud & heard;
        for (int64_t l = 0; l < lanes; ++l) {
            if (!silent[l]) continue;
            if (levels) frames_.transform(y, first, lanes, other_.vectors());
            leave_silence(my, silent, floor, apart, signal);
            break;
        }
        if (apart) frames_.adjoint(apart_.vectors(), first, lanes, apart);
        if (signal) frames_.adjoint(z, first, lanes, signal);
    }

  private:
    DASP_INLINE V slope(const V& mx, const V& my, const V& d, const V& inverse, const V& logs) const {
        const V log = inverse * T(set_.log), linear = V{} + T(set_.linear), base = mx * T(set_.own) - my * T(set_.other);
        if (Squared) return base + T(2) * (logs * log + d * linear);
        const V size = log + linear;
        return base + (d > V{} ? size : (d < V{} ? -size : V{}));
    }

    // Where no bin of a frame reaches sqrt(eps), X / |X| is the target's Y / |Y|, and the slope that just above.
    void leave_silence(const V* levels, const I& silent, const V& floor, T* apart, T* signal) {
        V u[2][2], v[2][2];
        const V inverse = T(1) / floor;
        frames_.each(
            other_.vectors(),
            [&](int64_t k, const V& re, const V& im) DASP_INLINED {
                const V my = levels[k], d = floor - my;
                V logs{};
                if (Squared)
                    for (int64_t l = 0; l < L::count; ++l) logs[l] = std::log(floor[l] / my[l]);
                const int64_t side = k > frames_.half / 2;
                const V dr = silent ? re / my : V{}, di = silent ? im / my : V{};
                const V slope = this->slope(floor, my, d, inverse, logs);
                u[side][0] = d * dr, u[side][1] = d * di;
                v[side][0] = slope * dr, v[side][1] = slope * di;
            },
            [&](int64_t k) DASP_INLINED {
                if (apart) frames_.template pack<true>(k, u[0], u[1], apart_.vectors());
                if (signal) frames_.template pack<true>(k, v[0], v[1], own_.vectors());
            });
    }

    const Frames<T>& frames_;
    const Settings& set_;
    Memory<T> own_, apart_, other_, levels_;
};

template <typename T, bool Squared>
void compare(const T* x, const T* y, const T* levels, const T* window, const double* settings, double* sums, T* apart, T* signal,
             int64_t rows, int64_t length, int64_t n, int64_t hop, int64_t threads) {
    const Frames<T> frames(window, length, n, hop);
    const Settings set{settings[0], settings[1], settings[2], settings[3], settings[4]};
    const int64_t chunks = (frames.count + frames.chunk - 1) / frames.chunk;
    std::vector<double> parts(rows * chunks * kSums, 0.0);
    // Neighbouring chunks overlap in the gradient; every second one does not.
    for (int64_t phase = 0; phase < 2; ++phase) {
        const int64_t jobs = (chunks + 1 - phase) / 2;
        dasp::for_rows(rows * jobs, threads, [&](int64_t job) {
            const int64_t row = job / jobs, c = job % jobs * 2 + phase, stop = std::min((c + 1) * frames.chunk, frames.count);
            Comparison<T, Squared> comparison(frames, set);
            for (int64_t f = c * frames.chunk; f < stop; f += Lanes<T>::count) {
                auto run = [&](auto gradient) {
                    comparison.template run<gradient>(
                        x + row * length, y + row * length,
                        levels ? levels + (row * frames.padded + f) * (frames.half + 1) : nullptr, f,
                        std::min(Lanes<T>::count, frames.count - f), &parts[(row * chunks + c) * kSums],
                        apart ? apart + row * length : nullptr, signal ? signal + row * length : nullptr);
                };
                apart || signal ? run(std::true_type{}) : run(std::false_type{});
            }
        });
    }
    std::fill(sums, sums + kSums, 0.0);
    for (size_t i = 0; i < parts.size(); ++i) sums[i % kSums] += parts[i];
}

template <typename T>
void magnitudes(const T* y, const T* window, const double* eps, T* out, int64_t rows, int64_t length, int64_t n, int64_t hop,
                int64_t threads) {
    const Frames<T> frames(window, length, n, hop);
    const int64_t chunks = (frames.count + frames.chunk - 1) / frames.chunk;
    dasp::for_rows(rows * chunks, threads, [&](int64_t job) {
        const int64_t row = job / chunks, c = job % chunks, stop = std::min((c + 1) * frames.chunk, frames.count);
        Memory<T> z(n * Lanes<T>::count), levels((n / 2 + 1) * Lanes<T>::count);
        for (int64_t f = c * frames.chunk; f < stop; f += Lanes<T>::count) {
            frames.transform(y + row * length, f, std::min(Lanes<T>::count, frames.count - f), z.vectors());
            frames.magnitudes(z.vectors(), *eps, levels.vectors());
            std::memcpy(out + (row * frames.padded + f) * (frames.half + 1), levels.vectors(),
                        size_t((frames.half + 1) * kBytes));
        }
    });
}

}  // namespace

// x, y (rows, length): padded signals; levels: |Y| from spectral_magnitudes, or null; window (n,), n a power of two >= 32;
// settings: eps, own, other, log, linear; sums (4,); apart, signal (rows, length): added to, or null.
#define DASP_SPECTRAL(T, S)                                                                                                      \
    DASP_EXPORT void spectral_compare_##S(const T* x, const T* y, const T* levels, const T* window, const double* settings,      \
                                          double* sums, T* apart, T* signal, int64_t rows, int64_t length, int64_t n,            \
                                          int64_t hop, int64_t squared, int64_t threads) {                                       \
        (squared ? compare<T, true> : compare<T, false>)(x, y, levels, window, settings, sums, apart, signal, rows, length, n,   \
                                                         hop, threads);                                                          \
    }                                                                                                                            \
    DASP_EXPORT void spectral_magnitudes_##S(const T* y, const T* window, const double* eps, T* out, int64_t rows,               \
                                             int64_t length, int64_t n, int64_t hop, int64_t threads) {                          \
        magnitudes(y, window, eps, out, rows, length, n, hop, threads);                                                          \
    }
DASP_SPECTRAL(float, f32)
DASP_SPECTRAL(double, f64)
