// Elementary functions on several values at once, in straight lines of arithmetic without a branch or a call.
#pragma once

#include "simd.h"

namespace dasp {

// N values, N a power of two above 1.
template <typename T, int N>
using Pack = typename RegisterOf<T, N>::type;

template <typename To, typename From>
To as_bits(From v) {
    static_assert(sizeof(To) == sizeof(From));
    To out;
    std::memcpy(&out, &v, sizeof out);
    return out;
}

template <int N>
Pack<float, N> absolute(Pack<float, N> v) {
    return as_bits<Pack<float, N>>(as_bits<Pack<int32_t, N>>(v) & 0x7FFFFFFF);
}
template <int N>
Pack<double, N> absolute(Pack<double, N> v) {
    return as_bits<Pack<double, N>>(as_bits<Pack<int64_t, N>>(v) & 0x7FFFFFFFFFFFFFFF);
}

// N values of a row, of which only `there` are; they keep their place in memory, or are converted.
template <typename V, int N, typename T>
Pack<V, N> values(const T* from, int64_t there) {
    if (there >= N) {
        Pack<T, N> v;
        std::memcpy(&v, from, sizeof v);
        return __builtin_convertvector(v, Pack<V, N>);
    }
    Pack<V, N> v{};
    for (int i = 0; i < there; ++i) v[i] = V(from[i]);
    return v;
}
template <int N, typename V, typename T>
void keep(V v, T* to, int64_t there) {
    const auto converted = __builtin_convertvector(v, Pack<T, N>);
    if (there >= N)
        std::memcpy(to, &converted, sizeof converted);
    else
        for (int i = 0; i < there; ++i) to[i] = converted[i];
}

// To the nearest whole number, halves to the even side.
template <int N>
Pack<float, N> rounded(Pack<float, N> v) {
    using I = Pack<int32_t, N>;
    constexpr float big = 8388608.0f;  // 2^23: its last bit stands for 1, and what is larger is whole
    const Pack<float, N> size = absolute<N>(v), whole = size < big ? (size + big) - big : size;
    return as_bits<Pack<float, N>>(as_bits<I>(whole) | (as_bits<I>(v) & I(I{} + int32_t(0x80000000))));
}
template <int N>
Pack<double, N> rounded(Pack<double, N> v) {
    using I = Pack<int64_t, N>;
    constexpr double big = 4503599627370496.0;  // 2^52
    const Pack<double, N> size = absolute<N>(v), whole = size < big ? (size + big) - big : size;
    return as_bits<Pack<double, N>>(as_bits<I>(whole) | (as_bits<I>(v) & I(I{} + INT64_MIN)));
}

// exp for values of 0 and less, within 2 units in the last place; 0 below -708.
template <int N>
Pack<double, N> exp_of_negative(Pack<double, N> v) {
    using D = Pack<double, N>;
    const D turns = rounded<N>(v * 1.4426950408889634);
    const D r = (v - turns * 0x1.62e42feep-1) - turns * 0x1.a39ef35793c76p-33;
    D sum = D{} + 1.6059043836821613e-10;  // 1 / 13!, and so on down
    for (double term : {2.08767569878681e-09, 2.505210838544172e-08, 2.755731922398589e-07, 2.7557319223985893e-06,
                        2.48015873015873e-05, 1.984126984126984e-04, 1.388888888888889e-03, 8.333333333333333e-03,
                        4.1666666666666664e-02, 1.6666666666666666e-01, 0.5, 1.0, 1.0})
        sum = sum * r + term;
    const auto power = as_bits<Pack<int64_t, N>>(turns + 6755399441055744.0) << 52;  // the low bits are the whole number
    const D scaled = as_bits<D>(as_bits<Pack<int64_t, N>>(sum) + power);
    return v > -708.0 ? scaled : D{};
}

// The derivative of tanh, 1 / cosh^2 = 4 e / (1 + e)^2 with e = exp(-2|v|): no cancellation near saturation.
template <int N>
Pack<double, N> tanh_slope(Pack<double, N> v) {
    const Pack<double, N> e = exp_of_negative<N>(-2 * absolute<N>(v)), whole = 1 + e;
    return 4 * e / (whole * whole);
}

// sin for sizes up to pi / 2, within 2 units in the last place.
template <int N>
Pack<double, N> sin_quarter(Pack<double, N> v) {
    const Pack<double, N> square = v * v;
    Pack<double, N> sum = Pack<double, N>{} + 1.9572941063391263e-20;  // 1 / 21!, and so on down, signs in turns
    for (double term : {-8.22063524662433e-18, 2.8114572543455206e-15, -7.647163731819816e-13, 1.6059043836821613e-10,
                        -2.505210838544172e-08, 2.7557319223985893e-06, -1.984126984126984e-04, 8.333333333333333e-03,
                        -1.6666666666666666e-01})
        sum = sum * square + term;
    return v + v * (square * sum);
}

// sin for sizes up to pi and a little more: relative precision, also beside pi.
template <int N>
Pack<double, N> sin_turn(Pack<double, N> v) {
    const Pack<double, N> size = absolute<N>(v);
    const Pack<double, N> folded = (3.141592653589793116 - size) + 1.2246467991473532e-16;
    const Pack<double, N> part = size > 1.5707963267948966 ? folded : size;
    const Pack<double, N> value = sin_quarter<N>(part);
    return v < 0 ? -value : value;
}

// cos for sizes up to pi: absolute precision.
template <int N>
Pack<double, N> cos_turn(Pack<double, N> v) {
    return sin_quarter<N>(1.5707963267948966 - absolute<N>(v));
}

// tanh in float32, operation for operation the one of C libraries that descend from Sun's fdlibm: of t = exp(2|x|) - 1 or
// exp(-2|x|) - 1, and exp(v) - 1 from v = k ln 2 + r and a rational function about r = 0.
template <int N>
Pack<float, N> tanh_fdlibm(Pack<float, N> x) {
    using F = Pack<float, N>;
    using I = Pack<int32_t, N>;
    const F size = absolute<N>(x);
    const I up = size >= 1.0f;
    const F capped = size < 22.0f ? size : F{} + 22.0f, v = up ? 2 * capped : -2 * capped;
    const I far = as_bits<I>(2 * capped);
    I k = __builtin_convertvector(1.4426950216e+00f * v + (up ? F{} + 0.5f : F{} - 0.5f), I);
    k = far < 0x3F851592 ? (up ? I{} + 1 : I{} - 1) : k;
    k = far > 0x3EB17218 ? k : I{};
    // ln 2 in two parts; c is what r lost in rounding.
    const F turns = __builtin_convertvector(k, F), high = v - turns * 6.9313812256e-01f, low = turns * 9.0580006145e-06f;
    const F r = high - low, c = (high - r) - low, half = 0.5f * r, square = r * half;
    const F poly = -7.9365076090e-05f + square * (4.0082177293e-06f + square * -2.0109921195e-07f);
    const F r1 = 1.0f + square * (-3.3333335072e-02f + square * (1.5873016091e-03f + square * poly));
    const F t = 3.0f - r1 * half, quotient = square * ((r1 - t) / (6.0f - r * t));
    const F e = (r * (quotient - c) - c) - square;
    // The scaling by 2^k that loses least, each for its range of k.
    const F scale = as_bits<F>((k + 127) << 23), inverse = as_bits<F>((127 - k) << 23);
    const F below = k == -1 ? 0.5f * (r - e) - 0.5f : (1.0f - (e - r)) * scale - 1.0f;
    const F above = k < 23 ? ((1.0f - inverse) - (e - r)) * scale : ((r - (e + inverse)) + 1.0f) * scale;
    const F expm1 = k == 0 ? r - e : (k < 0 ? below : above);
    const F ratio = (up ? F{} + 2.0f : -expm1) / (expm1 + 2.0f);
    F value = up ? 1.0f - ratio : ratio;
    value = size >= 22.0f ? F{} + 1.0f : value;
    value = x == x ? value : x;
    return as_bits<F>(as_bits<I>(value) | (as_bits<I>(x) & I(I{} + int32_t(0x80000000))));
}

}  // namespace dasp
