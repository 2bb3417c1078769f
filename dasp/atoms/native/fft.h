// Transforms for convolution, in double, of power-of-two sizes, four values side by side in every operation. The width is the same
// for all instruction sets, and so are the results.
#pragma once

#include <memory>
#include <mutex>
#include <utility>

#include "common.h"

namespace dasp {

typedef double Four __attribute__((vector_size(32)));
typedef double FourAnywhere __attribute__((vector_size(32), aligned(8), may_alias));
using Buffer = std::unique_ptr<Four[]>;  // not initialised

DASP_INLINE Four all(double v) { return Four{v, v, v, v}; }
DASP_INLINE Four load(const double* p) { return *reinterpret_cast<const FourAnywhere*>(p); }
DASP_INLINE Four load(const float* p) { return Four{double(p[0]), double(p[1]), double(p[2]), double(p[3])}; }
DASP_INLINE void store(double* p, const Four& v) { *reinterpret_cast<FourAnywhere*>(p) = v; }

// Four complex values; in memory four real parts, then four imaginary ones.
struct Complex {
    Four re, im;
    static DASP_INLINE Complex from(const Four* p) { return {p[0], p[1]}; }
    DASP_INLINE void to(Four* p) const {
        p[0] = re;
        p[1] = im;
    }
};
DASP_INLINE Complex operator+(const Complex& a, const Complex& b) { return {a.re + b.re, a.im + b.im}; }
DASP_INLINE Complex operator-(const Complex& a, const Complex& b) { return {a.re - b.re, a.im - b.im}; }
DASP_INLINE Complex operator*(const Complex& a, const Complex& b) {
    return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}
DASP_INLINE Complex conjugate_times(const Complex& a, const Complex& b) {
    return {a.re * b.re + a.im * b.im, a.re * b.im - a.im * b.re};
}

// The discrete Fourier transform of four values, each with exp(-i ...), or the inverse, without its factor.
template <bool Inverse>
DASP_INLINE void butterfly(Complex& a, Complex& b, Complex& c, Complex& d) {
    const Complex s = a + c, t = a - c, u = b + d, v = b - d;
    const Complex plus{t.re - v.im, t.im + v.re}, minus{t.re + v.im, t.im - v.re};
    a = s + u;
    c = s - u;
    b = Inverse ? plus : minus;
    d = Inverse ? minus : plus;
}

DASP_INLINE void transpose(Four& a, Four& b, Four& c, Four& d) {
    const Four p{a[0], b[0], c[0], d[0]}, q{a[1], b[1], c[1], d[1]}, r{a[2], b[2], c[2], d[2]}, s{a[3], b[3], c[3], d[3]};
    a = p, b = q, c = r, d = s;
}

// Negacyclic convolution of 2M real values (modulo X^2M + 1) by a complex transform of M: (x[j] + i x[j + M]) exp(i pi j / 2M).
// A product's upper half is not reached by the wrapped part if one factor's upper half is silent; the lower half of a
// correlation likewise. Radix 4, depth first, so that all but the first passes stay in the cache; spectra stay in the order in
// which the passes leave them.
class Transform {
  public:
    // The tables of each size, at least 64, are made once.
    static const Transform& of(int64_t size) {
        static std::once_flag once[64];
        static std::unique_ptr<const Transform> made[64];
        int log = 0;
        while (int64_t(1) << log < size) ++log;
        std::call_once(once[log], [&] { made[log].reset(new Transform(size)); });
        return *made[log];
    }

    // 2M real values, of which `high` may be null for silence -> M complex ones.
    template <typename T>
    void forward(const T* low, const T* high, Four* spectrum) const {
        const int64_t quarter = m / 4;
        const Four *w = turns.get(), *t = twist.get();
        auto twisted = [&](int64_t j) {
            const Complex turn = Complex::from(t);
            t += 2;
            if (!high) return Complex{load(low + j) * turn.re, load(low + j) * turn.im};
            return Complex{load(low + j), load(high + j)} * turn;
        };
        for (int64_t j = 0; j < quarter; j += 4, w += 6) {
            Complex a = twisted(j);
            Complex b = twisted(j + quarter);
            Complex c = twisted(j + 2 * quarter);
            Complex d = twisted(j + 3 * quarter);
            spread(a, b, c, d, w, spectrum + j / 2, quarter);
        }
        for (int k = 0; k < 4; ++k) down(spectrum + k * quarter / 2, quarter, w);
    }

    // Adds the lower or the upper M of the 2M values to y; destroys the spectrum.
    template <bool Upper>
    void add_half(Four* spectrum, double* y) const {
        const int64_t quarter = m / 4;
        const Four *w = turns.get(), *t = twist.get();
        for (int k = 0; k < 4; ++k) up(spectrum + k * quarter / 2, quarter, w + 6 * quarter / 4);
        const Four scale = all(1 / double(m));
        auto add = [&](int64_t j, const Complex& v) {
            const Complex x = conjugate_times(Complex::from(t), v);
            t += 2;
            store(y + j, load(y + j) + (Upper ? x.im : x.re) * scale);
        };
        for (int64_t j = 0; j < quarter; j += 4, w += 6) {
            Complex a, b, c, d;
            gather(a, b, c, d, w, spectrum + j / 2, quarter);
            add(j, a);
            add(j + quarter, b);
            add(j + 2 * quarter, c);
            add(j + 3 * quarter, d);
        }
    }

    // From one spectrum to the next where several are kept: were it a power of two, they would drive each other out of the cache.
    int64_t stride() const { return m / 2 + 32; }

    const int64_t m;

  private:
    Buffer twist, turns;  // in the order of their use; turns: of every pass, longest first, exp(-2 pi i k j / n), k = 1, 2, 3
    Complex turns16[3];
    Four turns32[8];

    explicit Transform(int64_t size) : m(size), twist(new Four[size / 2]), turns(new Four[size / 2]) {
        auto set = [](Four* to, int64_t lane, int64_t of, int64_t whole) {  // exp(-2 pi i of / whole)
            // Folded into an eighth of the circle, where sine and cosine of the rounded angle are exact to the last bit or so.
            const double pi = std::acos(-1.0);
            int64_t a = of % whole;
            const bool below = 2 * a > whole;
            if (below) a = whole - a;
            const bool left = 4 * a > whole;
            if (left) a = whole / 2 - a;
            const bool steep = 8 * a > whole;
            if (steep) a = whole / 4 - a;
            const double angle = 2 * pi * double(a) / double(whole);
            double c = std::cos(angle), s = std::sin(angle);
            if (steep) std::swap(c, s);
            to[0][lane] = left ? -c : c;
            to[1][lane] = below ? s : -s;
        };
        for (int64_t j = 0; j < m; ++j) {
            const int64_t quarter = m / 4, place = j % quarter / 4 * 4 + j / quarter;
            set(&twist[2 * place], j % 4, 4 * m - j, 4 * m);
        }
        Four* w = turns.get();
        for (int64_t n = m; n > 32; n /= 4)
            for (int64_t j = 0; j < n / 4; j += 4, w += 6)
                for (int64_t k = 1; k < 4; ++k)
                    for (int64_t i = 0; i < 4; ++i) set(w + 2 * (k - 1), i, k * (j + i), n);
        for (int64_t j = 0; j < 16; ++j) set(turns32 + j / 4 * 2, j % 4, j, 32);
        for (int64_t k = 1; k < 4; ++k) {
            Four turn[2];
            for (int64_t i = 0; i < 4; ++i) set(turn, i, k * i, 16);
            turns16[k - 1] = Complex::from(turn);
        }
    }

    static DASP_INLINE void spread(Complex& a, Complex& b, Complex& c, Complex& d, const Four* w, Four* z, int64_t quarter) {
        butterfly<false>(a, b, c, d);
        a.to(z);
        (b * Complex::from(w)).to(z + quarter / 2);
        (c * Complex::from(w + 2)).to(z + quarter);
        (d * Complex::from(w + 4)).to(z + 3 * quarter / 2);
    }
    static DASP_INLINE void gather(Complex& a, Complex& b, Complex& c, Complex& d, const Four* w, const Four* z, int64_t quarter) {
        a = Complex::from(z);
        b = conjugate_times(Complex::from(w), Complex::from(z + quarter / 2));
        c = conjugate_times(Complex::from(w + 2), Complex::from(z + quarter));
        d = conjugate_times(Complex::from(w + 4), Complex::from(z + 3 * quarter / 2));
        butterfly<true>(a, b, c, d);
    }

    // Sixteen values: four in each of four registers.
    DASP_INLINE void down16(Four* z) const {
        Complex a = Complex::from(z), b = Complex::from(z + 2), c = Complex::from(z + 4), d = Complex::from(z + 6);
        butterfly<false>(a, b, c, d);
        b = b * turns16[0];
        c = c * turns16[1];
        d = d * turns16[2];
        transpose(a.re, b.re, c.re, d.re);
        transpose(a.im, b.im, c.im, d.im);
        butterfly<false>(a, b, c, d);
        a.to(z);
        b.to(z + 2);
        c.to(z + 4);
        d.to(z + 6);
    }
    DASP_INLINE void up16(Four* z) const {
        Complex a = Complex::from(z), b = Complex::from(z + 2), c = Complex::from(z + 4), d = Complex::from(z + 6);
        butterfly<true>(a, b, c, d);
        transpose(a.re, b.re, c.re, d.re);
        transpose(a.im, b.im, c.im, d.im);
        b = conjugate_times(turns16[0], b);
        c = conjugate_times(turns16[1], c);
        d = conjugate_times(turns16[2], d);
        butterfly<true>(a, b, c, d);
        a.to(z);
        b.to(z + 2);
        c.to(z + 4);
        d.to(z + 6);
    }

    void down(Four* z, int64_t n, const Four* w) const {
        if (n == 16) return down16(z);
        if (n == 32) {
            for (int g = 0; g < 8; g += 2) {
                const Complex a = Complex::from(z + g), b = Complex::from(z + 8 + g);
                (a + b).to(z + g);
                ((a - b) * Complex::from(turns32 + g)).to(z + 8 + g);
            }
            down16(z);
            down16(z + 8);
            return;
        }
        const int64_t quarter = n / 4;
        for (int64_t j = 0; j < quarter; j += 4, w += 6) {
            Four* at = z + j / 2;
            Complex a = Complex::from(at), b = Complex::from(at + quarter / 2), c = Complex::from(at + quarter),
                    d = Complex::from(at + 3 * quarter / 2);
            spread(a, b, c, d, w, at, quarter);
        }
        for (int k = 0; k < 4; ++k) down(z + k * quarter / 2, quarter, w);
    }

    void up(Four* z, int64_t n, const Four* w) const {
        if (n == 16) return up16(z);
        if (n == 32) {
            up16(z);
            up16(z + 8);
            for (int g = 0; g < 8; g += 2) {
                const Complex a = Complex::from(z + g), b = conjugate_times(Complex::from(turns32 + g), Complex::from(z + 8 + g));
                (a + b).to(z + g);
                (a - b).to(z + 8 + g);
            }
            return;
        }
        const int64_t quarter = n / 4;
        for (int k = 0; k < 4; ++k) up(z + k * quarter / 2, quarter, w + 6 * quarter / 4);
        for (int64_t j = 0; j < quarter; j += 4, w += 6) {
            Four* at = z + j / 2;
            Complex a, b, c, d;
            gather(a, b, c, d, w, at, quarter);
            a.to(at);
            b.to(at + quarter / 2);
            c.to(at + quarter);
            d.to(at + 3 * quarter / 2);
        }
    }
};

// A sum of products of spectra: of pairs (a, b), a b or conj(a) b, in their order, from zero or on top of what is there.
struct Products {
    Four* sum;
    bool from_zero;
    std::vector<std::pair<const Four*, const Four*>> terms;

    void begin(Four* to, bool zero) {
        sum = to;
        from_zero = zero;
        terms.clear();
    }
};

// Several such sums that share spectra, tile by tile: each value comes from memory once.
template <bool Conjugate>
void add_products(const std::vector<Products>& sums, int64_t m) {
    constexpr int kWide = 4;
    const int64_t values = m / 2, tile = std::min<int64_t>(values, 512);
    for (int64_t start = 0; start < values; start += tile)
        for (const auto& s : sums)
            for (int64_t v = start; v < start + tile; v += 2 * kWide) {
                Complex sum[kWide]{};
                for (int i = 0; i < kWide && !s.from_zero; ++i) sum[i] = Complex::from(s.sum + v + 2 * i);
                for (const auto& [a, b] : s.terms)
                    for (int i = 0; i < kWide; ++i) {
                        const Complex p = Complex::from(a + v + 2 * i), q = Complex::from(b + v + 2 * i);
                        sum[i] = sum[i] + (Conjugate ? conjugate_times(p, q) : p * q);
                    }
                for (int i = 0; i < kWide; ++i) sum[i].to(s.sum + v + 2 * i);
            }
}

}  // namespace dasp
