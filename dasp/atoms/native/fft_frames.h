// Fourier transforms of several frames at once, one in each SIMD lane: a butterfly works on one index of all of them and needs no
// shuffles, whatever the instruction set.
#pragma once

#include <cstdlib>
#include <memory>

#include "simd.h"

namespace dasp::fft {

constexpr int64_t kBytes = std::min(kVectorBytes, 32);
constexpr int64_t kInCache = 256;  // complex points: larger transforms recurse until their parts stay near

template <typename T>
struct Types;
template <>
struct Types<float> {
    using Bits = int32_t;
    static constexpr int shift = 23, bias = 127;
};
template <>
struct Types<double> {
    using Bits = int64_t;
    static constexpr int shift = 52, bias = 1023;
};

template <typename T>
struct Lanes {
    static constexpr int64_t count = kBytes / int64_t(sizeof(T));
    using Bits = typename Types<T>::Bits;
    typedef T V __attribute__((vector_size(kBytes)));
    typedef Bits I __attribute__((vector_size(kBytes)));
    static constexpr Bits one = Bits(Types<T>::bias) << Types<T>::shift;

    static inline void sqrt(V& v) {
        for (int64_t l = 0; l < count; ++l) v[l] = std::sqrt(v[l]);
    }
};

template <typename T>
struct Memory {
    explicit Memory(int64_t values)
        : data(static_cast<T*>(std::aligned_alloc(64, (values * sizeof(T) + 63) / 64 * 64)), std::free) {}
    std::unique_ptr<T, decltype(&std::free)> data;
    typename Lanes<T>::V* vectors() const { return reinterpret_cast<typename Lanes<T>::V*>(data.get()); }
};

// A frame of each lane times the window, turned so that each sample's lanes lie side by side.
template <typename T>
void gather(const T* const* frames, const T* window, int64_t start, int64_t stop, T* __restrict out) {
    constexpr int64_t n = Lanes<T>::count;
    const T* rows[n];
    std::copy(frames, frames + n, rows);
    for (int64_t i = start; i < stop; i += n)
        for (int64_t j = i; j < i + n; ++j)
            for (int64_t l = 0; l < n; ++l) out[j * n + l] = rows[l][j] * window[j];
}

// Its adjoint, added to the signal. From the end, so that a sample's frames are summed in their order, however many lie side by
// side.
template <typename T>
void scatter(T* const* frames, int64_t lanes, const T* window, int64_t start, int64_t stop, const T* __restrict in) {
    constexpr int64_t n = Lanes<T>::count;
    for (int64_t i = stop - n; i >= start; i -= n) {
        T turned[n * n];
        for (int64_t l = 0; l < n; ++l)
            for (int64_t j = 0; j < n; ++j) turned[l * n + j] = in[(i + j) * n + l] * window[i + j];
        for (int64_t l = 0; l < lanes; ++l) {
            typename Lanes<T>::V sum, part;
            std::memcpy(&sum, frames[l] + i, sizeof sum);
            std::memcpy(&part, turned + l * n, sizeof part);
            sum += part;
            std::memcpy(frames[l] + i, &sum, sizeof sum);
        }
    }
}

// A complex transform of `points` (a power of two) on all lanes: forward in digit-reversed order, and its adjoint from there.
template <typename T>
class Transform {
    using V = typename Lanes<T>::V;

  public:
    explicit Transform(int64_t points) : points_(points), place_(points), twiddles_() {
        for (int64_t size = points; size >= 4; size /= 4) {
            offsets_.push_back(int64_t(twiddles_.size()));
            for (int64_t j = 0; j < size / 4; ++j) {
                for (int64_t r = 1; r < 4; ++r) {
                    const double angle = -2.0 * M_PI * double(j * r) / double(size);
                    twiddles_.push_back(T(std::cos(angle)));
                    twiddles_.push_back(T(std::sin(angle)));
                }
            }
        }
        for (int64_t k = 0; k < points; ++k) {
            int64_t rest = k, place = 0, size = points;
            for (; size >= 4; size /= 4, rest /= 4) place += rest % 4 * (size / 4);
            place_[k] = place + rest;
        }
    }

    // Where the value of frequency k lies.
    int64_t place(int64_t k) const { return place_[k]; }

    void forward(V* a) const { forward(a, points_, 0); }
    void adjoint(V* a) const { adjoint(a, points_, 0); }

  private:
    void forward(V* a, int64_t size, size_t level) const {
        if (size > kInCache) {
            split<false>(a, 1, size, level);
            for (int64_t r = 0; r < 4; ++r) forward(a + r * size / 2, size / 4, level + 1);
            return;
        }
        int64_t blocks = 1, s = size;
        for (; s >= 4; s /= 4, blocks *= 4) split<false>(a, blocks, s, level++);
        if (s == 2) pairs(a, blocks);
    }

    void adjoint(V* a, int64_t size, size_t level) const {
        if (size > kInCache) {
            for (int64_t r = 0; r < 4; ++r) adjoint(a + r * size / 2, size / 4, level + 1);
            split<true>(a, 1, size, level);
            return;
        }
        int64_t blocks = 1, s = size;
        for (; s >= 4; s /= 4, blocks *= 4) ++level;
        if (s == 2) pairs(a, blocks);
        while (blocks > 1) {
            blocks /= 4, s *= 4;
            split<true>(a, blocks, s, --level);
        }
    }

    static void pairs(V* a, int64_t blocks) {
        for (int64_t b = 0; b < blocks; ++b, a += 4) {
            for (int64_t part = 0; part < 2; ++part) {
                const V x = a[part], y = a[part + 2];
                a[part] = x + y, a[part + 2] = x - y;
            }
        }
    }

    // One radix-4 stage over `blocks` neighbouring transforms of `size` points.
    template <bool Adjoint>
    void split(V* a, int64_t blocks, int64_t size, size_t level) const {
        const int64_t q = size / 4;
        const T* table = twiddles_.data() + offsets_[level];
        for (int64_t b = 0; b < blocks; ++b, a += 2 * size) {
            const T* w = table;
            for (int64_t j = 0; j < q; ++j, w += 6) {
                V *p0 = a + 2 * j, *p1 = p0 + 2 * q, *p2 = p1 + 2 * q, *p3 = p2 + 2 * q;
                V r0 = p0[0], i0 = p0[1], r1 = p1[0], i1 = p1[1], r2 = p2[0], i2 = p2[1], r3 = p3[0], i3 = p3[1];
                if (Adjoint) {
                    V t = r1 * w[0] + i1 * w[1];
                    i1 = i1 * w[0] - r1 * w[1], r1 = t;
                    t = r2 * w[2] + i2 * w[3];
                    i2 = i2 * w[2] - r2 * w[3], r2 = t;
                    t = r3 * w[4] + i3 * w[5];
                    i3 = i3 * w[4] - r3 * w[5], r3 = t;
                }
                const V sr = r0 + r2, si = i0 + i2, dr = r0 - r2, di = i0 - i2;
                const V tr = r1 + r3, ti = i1 + i3, er = r1 - r3, ei = i1 - i3;
                p0[0] = sr + tr, p0[1] = si + ti;
                if (Adjoint) {
                    p1[0] = dr - ei, p1[1] = di + er;
                    p2[0] = sr - tr, p2[1] = si - ti;
                    p3[0] = dr + ei, p3[1] = di - er;
                } else {
                    const V ar = dr + ei, ai = di - er, br = sr - tr, bi = si - ti, cr = dr - ei, ci = di + er;
                    p1[0] = ar * w[0] - ai * w[1], p1[1] = ar * w[1] + ai * w[0];
                    p2[0] = br * w[2] - bi * w[3], p2[1] = br * w[3] + bi * w[2];
                    p3[0] = cr * w[4] - ci * w[5], p3[1] = cr * w[5] + ci * w[4];
                }
            }
        }
    }

    int64_t points_;
    std::vector<int64_t> place_;
    std::vector<T> twiddles_;
    std::vector<int64_t> offsets_;
};

}  // namespace dasp::fft
