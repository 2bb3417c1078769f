// Logarithm, exponential and power on registers of doubles: no tables, no branches, no fused operations, so that every instruction
// set gives the same bits. Relative errors are a few 2^-53. Polynomials: Chebyshev fits, their truncation below 2^-56.
#pragma once

#include "simd.h"

namespace dasp {

constexpr int kDoubles = kVectorBytes / int(sizeof(double));
typedef double Doubles __attribute__((vector_size(kVectorBytes)));
typedef uint64_t Words __attribute__((vector_size(kVectorBytes)));
typedef float Floats __attribute__((vector_size(kVectorBytes / 2)));      // as many values
typedef int32_t FloatMask __attribute__((vector_size(kVectorBytes / 2)));  // what comparing them gives: all bits set, or none

template <typename V, typename T>
V load(const T* from) {
    V out;
    std::memcpy(&out, from, sizeof out);
    return out;
}
template <typename V, typename T>
void store(const V& value, T* to) {
    std::memcpy(to, &value, sizeof value);
}
inline Doubles wide(const Doubles& x) { return x; }
inline Doubles wide(const Floats& x) {
#if defined(__AVX512F__)
    return Doubles(_mm512_cvtps_pd(__m256(x)));
#elif defined(__AVX__)
    return Doubles(_mm256_cvtps_pd(__m128(x)));
#else
    return __builtin_convertvector(x, Doubles);
#endif
}
inline Floats narrow(const Doubles& x) { return __builtin_convertvector(x, Floats); }
template <typename M>
bool any(const M& mask) {
#if defined(__AVX__)
    if constexpr (sizeof mask == 16) return _mm_movemask_epi8(__m128i(mask));
    if constexpr (sizeof mask == 32) return _mm256_movemask_ps(__m256(mask));
#endif
    int64_t words[sizeof mask / sizeof(int64_t)], out = 0;
    std::memcpy(words, &mask, sizeof mask);
    for (int64_t word : words) out |= word;
    return out != 0;
}

constexpr uint64_t kRootHalf = 0x3fe6a09e667f3bcd, kOne = 0x3ff0000000000000, kMantissa = 0x000fffffffffffff;
constexpr double kInvert = 1.4426950408889634;  // 1 / log(2)
constexpr double kRound = 0x1.8p52;             // adding it leaves the nearest integer in the last bits

// x >= 0. Below the least normal number as there, -1022; infinity and NaN give NaN.
inline Doubles log2(const Doubles& x) {
    // x = 2^k m with m in [sqrt(1/2), sqrt(2)): then m - 1 is exact, and k and log2(m) do not cancel.
    constexpr double least = 2.2250738585072014e-308;
    const Doubles normal = x > least ? x : Doubles{} + least;
    const Words bits = Words(normal) + (kOne - kRootHalf);
    // An integer below 2^52 in the last bits of 2^52 is that plus 2^52.
    const Doubles k = Doubles((bits >> 52) | 0x4330000000000000) - (0x1p52 + 1023);
    const Doubles f = Doubles((bits & kMantissa) + kRootHalf) - 1;
    // log(1 + f) = 2 artanh(s) with s = f / (2 + f), written around the exact f: f - s (f - r), r = 2 s^2 / 3 + 2 s^4 / 5 + ...
    const Doubles s = f / (2 + f), z = s * s, z2 = z * z;
    const Doubles low = (0.666666666666667 + 0.39999999999899444 * z) + z2 * (0.2857142862600327 + 0.22222211130259878 * z);
    const Doubles high = (0.18182889455674947 + 0.15331710618210773 * z) + z2 * 0.14616585424888623;
    const Doubles r = z * (low + z2 * z2 * high);
    return (k + kInvert * (f - s * (f - r))) + (x - x);
}

// 2^y: 0 below y = -1022.5, where numbers stop being normal, and infinity from 1023.5.
inline Doubles exp2(const Doubles& y) {
    const Doubles lowest = Doubles{} - 1023, highest = Doubles{} + 1024;
    const Doubles top = highest < y ? highest : y, inside = lowest > top ? lowest : top;
    const Doubles shifted = inside + kRound, f = inside - (shifted - kRound), f2 = f * f, f4 = f2 * f2;
    const Doubles p0 = (0.6931471805599453 + 0.24022650695910097 * f) + f2 * (0.0555041086648216 + 0.009618129107606885 * f);
    const Doubles p1 =
        (0.0013333558146416933 + 0.00015403530441741856 * f) + f2 * (1.5252733829839213e-05 + 1.3215442584382707e-06 * f);
    const Doubles p2 = (1.0178062443959398e-07 + 7.072586657066206e-09 * f) + f2 * 4.454960975460706e-10;
    const Doubles scale = Doubles((Words(shifted) << 52) + kOne);  // 0 at -1023
    return (1 + f * (p0 + f4 * (p1 + f4 * p2))) * scale;
}

// x^e, x >= 0; 0 to the power of 0 or of a negative number is not special.
inline Doubles power(const Doubles& x, const Doubles& e) { return exp2(e * log2(x)); }

// a b + c, rounded once where the processor can and else twice: only for what comes to the same in the end.
inline Doubles fused(const Doubles& a, const Doubles& b, const Doubles& c) {
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
    Doubles out;
    for (int i = 0; i < kDoubles; ++i) out[i] = __builtin_fma(a[i], b[i], c[i]);
    return out;
#else
    return a * b + c;
#endif
}
template <bool Fused>
DASP_INLINE Doubles sum(const Doubles& a, const Doubles& b, const Doubles& c) {
    if constexpr (Fused) return fused(a, b, c);
    return a * b + c;
}
inline Doubles all(double value) { return value - Doubles{}; }

// As log2 and exp2 above, for floats: x normal and above 0, to 2^-42; 2^y for |y| < 1023, to 2^-38.
template <bool Fused>
DASP_INLINE Doubles short_log2(const Doubles& x) {
    const Words bits = Words(x) + (kOne - kRootHalf);
    const Doubles k = Doubles((bits >> 52) | 0x4330000000000000) - (0x1p52 + 1023);
    const Doubles f = Doubles((bits & kMantissa) + kRootHalf) - 1, s = f / (2 + f), z = s * s, z2 = z * z;
    const Doubles high = sum<Fused>(all(0.22191394493175057), z, all(0.2857175463573276)) + z2 * 0.19362776836747533;
    const Doubles r = sum<Fused>(z2, high, sum<Fused>(all(0.39999998796848674), z, all(0.6666666666737545)));
    return sum<Fused>(all(kInvert), sum<Fused>(-s, sum<Fused>(-z, r, f), f), k);
}
template <bool Fused>
DASP_INLINE Doubles short_exp2(const Doubles& y) {
    const Doubles lowest = all(-1023), highest = all(1023);
    const Doubles top = highest < y ? highest : y, inside = lowest > top ? lowest : top;
    const Doubles shifted = inside + kRound, g = inside - (shifted - kRound), g2 = g * g, g4 = g2 * g2;
    const Doubles p0 = sum<Fused>(g2, sum<Fused>(all(0.009618129135239455), g, all(0.055504109063306516)),
                                  sum<Fused>(all(0.24022650695888498), g, all(0.6931471805568319)));
    const Doubles p1 = sum<Fused>(g2, sum<Fused>(all(1.3250806932033709e-06), g, all(1.5303702753124403e-05)),
                                  sum<Fused>(all(0.00015403475182110488), g, all(0.001333347846730514)));
    return sum<Fused>(g, sum<Fused>(g4, p1, p0), all(1)) * Doubles((Words(shifted) << 52) + kOne);
}

// x^e for floats to 2^-37, and in which lanes that is surely what powf returns. Arm's powf, which glibc, musl and bionic have, has
// a relative error of |y log2(x)| 1.2685 2^-33 + 1.69 2^-34 before it rounds (its own documentation); correctly rounded ones have
// none. Where the ends of that interval, made wide enough for our own error, round to one float, all of it does. Zero, infinity
// and NaN are never sure.
DASP_INLINE Floats power(const Floats& x, const Doubles& e, FloatMask& sure) {
    const Doubles y = e * short_log2<true>(wide(x)), value = short_exp2<true>(y);
    const Doubles size = Doubles(Words(y) & 0x7fffffffffffffff), error = fused(all(1.3 * 0x1p-33), size, all(0x1p-33));
    const Floats low = narrow(fused(-error, value, value)), high = narrow(fused(error, value, value));
    sure = (low == high) & (x > 0) & (x < __builtin_inff());
    return low;
}

}  // namespace dasp
