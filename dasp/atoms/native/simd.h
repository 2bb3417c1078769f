// Independent rows side by side in the lanes of vector registers. Each lane does exactly what one row alone would do, in the same
// order, so results depend neither on the width nor on the instruction set.
#pragma once

#if defined(__AVX__)
#include <immintrin.h>
#endif

#include <type_traits>
#include <utility>

#include "common.h"

namespace dasp {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX2__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif

// The most rows that one group holds: two registers of V. A recursion waits for itself at every sample; several registers of
// rows that do not wait for each other fill the time, but what they hold must find room in 16 registers.
template <typename V>
constexpr int kWidest = 2 * kVectorBytes / int(sizeof(V));

template <typename T, int N>
struct RegisterOf {
    typedef T type __attribute__((vector_size(N * sizeof(T))));
    static T get(const type& v, int i) { return v[i]; }
    static void set(type& v, int i, T value) { v[i] = value; }
};
template <typename T>
struct RegisterOf<T, 1> {
    typedef T type;
    static T get(const type& v, int) { return v; }
    static void set(type& v, int, T value) { v = value; }
};

template <typename V>
DASP_INLINE V where_above(const V& a, const V& b, const V& yes, const V& no) {
#if defined(__AVX__)
    // Which one it is cannot be foreseen, and GCC makes jumps of a choice between numbers.
    if constexpr (std::is_same_v<V, float>)
        return _mm_cvtss_f32(_mm_blendv_ps(_mm_set_ss(no), _mm_set_ss(yes), _mm_cmplt_ss(_mm_set_ss(b), _mm_set_ss(a))));
    if constexpr (std::is_same_v<V, double>)
        return _mm_cvtsd_f64(_mm_blendv_pd(_mm_set_sd(no), _mm_set_sd(yes), _mm_cmplt_sd(_mm_set_sd(b), _mm_set_sd(a))));
#endif
    return a > b ? yes : no;
}

// W values of type T, one a row.
template <typename T, int W>
struct Lanes {
    // Less than half a register is dealt with number by number: the way into a register and out of it would cost more.
    static constexpr int kBytes = W * int(sizeof(T));
    static constexpr int kLanes = kBytes < 16 ? 1 : kBytes < kVectorBytes ? W : kVectorBytes / int(sizeof(T));
    static constexpr int kParts = W / kLanes;
    using Register = RegisterOf<T, kLanes>;
    using Vector = typename Register::type;
    Vector part[kParts];

    T get(int lane) const { return Register::get(part[lane / kLanes], lane % kLanes); }
    void set(int lane, T value) { Register::set(part[lane / kLanes], lane % kLanes, value); }
    static Lanes all(T value) {
        return each([&](int) { return value - Vector{}; });  // one broadcast; set by set it would be as many insertions
    }
    template <typename F>
    static Lanes each(F&& f) {
        Lanes out;
        for (int i = 0; i < kParts; ++i) out.part[i] = f(i);
        return out;
    }
    friend Lanes operator+(const Lanes& a, const Lanes& b) {
        return each([&](int i) { return a.part[i] + b.part[i]; });
    }
    friend Lanes operator-(const Lanes& a, const Lanes& b) {
        return each([&](int i) { return a.part[i] - b.part[i]; });
    }
    friend Lanes operator*(const Lanes& a, const Lanes& b) {
        return each([&](int i) { return a.part[i] * b.part[i]; });
    }
    friend Lanes operator/(const Lanes& a, const Lanes& b) {
        return each([&](int i) { return a.part[i] / b.part[i]; });
    }
    friend Lanes operator-(const Lanes& a) {
        return each([&](int i) { return -a.part[i]; });
    }
    Lanes& operator+=(const Lanes& b) { return *this = *this + b; }
    Lanes& operator-=(const Lanes& b) { return *this = *this - b; }
    // a > b ? yes : no, lane by lane.
    static Lanes where_above(const Lanes& a, const Lanes& b, const Lanes& yes, const Lanes& no) {
        return each([&](int i) { return dasp::where_above(a.part[i], b.part[i], yes.part[i], no.part[i]); });
    }
};

// Square tiles of a register's width are transposed by exchanging their off-diagonal halves, quarters, eighths.
template <int Step, typename Vector, int... I>
DASP_INLINE void exchange(Vector& a, Vector& b, std::integer_sequence<int, I...>) {
    const Vector upper = a, lower = b;
    a = Vector{(I & Step ? lower[I ^ Step] : upper[I])...};
    b = Vector{(I & Step ? lower[I] : upper[I ^ Step])...};
}
template <int Step, int L, typename Vector>
DASP_INLINE void transpose(Vector (&tile)[L]) {
#pragma GCC unroll 8
    for (int i = 0; i < L; ++i)
        if (!(i & Step)) exchange<Step>(tile[i], tile[i + Step], std::make_integer_sequence<int, L>{});
    if constexpr (2 * Step < L) transpose<2 * Step>(tile);
}

template <typename V>
struct FourOf {
    typedef V Type __attribute__((vector_size(4 * sizeof(V))));
};
template <typename V>
using Four = typename FourOf<V>::Type;

// Four values from memory as type V.
template <typename V, typename T>
DASP_INLINE Four<V> four(const T* from) {
    Four<T> values;
    std::memcpy(&values, from, sizeof values);
#if defined(__AVX__)
    // GCC 12 makes four instructions and a detour through memory of the general form.
    if constexpr (sizeof(T) < sizeof(V)) return Four<V>(_mm256_cvtps_pd(__m128(values)));
#endif
    return __builtin_convertvector(values, Four<V>);
}

// Four rows of four samples -> four samples of four rows, and back. One variable each: an array would be kept in memory.
template <typename Type>
DASP_INLINE void turn(Type& a, Type& b, Type& c, Type& d) {
    using Index = std::conditional_t<sizeof(Type) == 16, int32_t, int64_t>;
    typedef Index Order __attribute__((vector_size(sizeof(Type))));
    constexpr Order ahead = {0, 1, 4, 5}, behind = {2, 3, 6, 7};
    // What one instruction does: floats are interleaved within a register, doubles within its halves.
    if constexpr (sizeof(Type) == 16) {
        constexpr Order low = {0, 4, 1, 5}, high = {2, 6, 3, 7};
        const Type p = __builtin_shuffle(a, b, low), q = __builtin_shuffle(a, b, high);
        const Type r = __builtin_shuffle(c, d, low), s = __builtin_shuffle(c, d, high);
        a = __builtin_shuffle(p, r, ahead), b = __builtin_shuffle(p, r, behind);
        c = __builtin_shuffle(q, s, ahead), d = __builtin_shuffle(q, s, behind);
    } else {
        constexpr Order even = {0, 4, 2, 6}, odd = {1, 5, 3, 7};
        const Type p = __builtin_shuffle(a, b, even), q = __builtin_shuffle(a, b, odd);
        const Type r = __builtin_shuffle(c, d, even), s = __builtin_shuffle(c, d, odd);
        a = __builtin_shuffle(p, r, ahead), b = __builtin_shuffle(q, s, ahead);
        c = __builtin_shuffle(p, r, behind), d = __builtin_shuffle(q, s, behind);
    }
}

// Rows of audio (rows, samples) as W lanes. Where fewer rows are left than lanes, the last one is computed several times and
// stored once.
template <typename T, int W>
struct Group {
    T* rows[W];
    int64_t count;

    Group(T* data, int64_t stride, int64_t first, int64_t count) : count(count) {
        for (int i = 0; i < W; ++i) rows[i] = data + (first + std::min<int64_t>(i, count - 1)) * stride;
    }
    // Samples [start, start + length) -> lanes, converted. A few rows at a time, and fetching ahead what comes next: rows often
    // lie a power of two apart, where the caches hold few of them at a time.
    template <typename V>
    void load(int64_t start, int64_t length, Lanes<V, W>* to, int64_t ahead = 0) const {
        V* flat = reinterpret_cast<V*>(to);
        if (ahead)
            for (int i = 0; i < W; ++i)
                for (int64_t n = 0; n < length; n += 64 / int64_t(sizeof(T))) __builtin_prefetch(rows[i] + start + ahead + n);
        const int64_t tiled = W < 4 ? 0 : length / 4 * 4;
        for (int i = 0; i < W && tiled; i += 4)
            for (int64_t n = 0; n < tiled; n += 4) {
                const int64_t at = start + n;
                auto a = four<V>(rows[i] + at), b = four<V>(rows[i + 1] + at);
                auto c = four<V>(rows[i + 2] + at), d = four<V>(rows[i + 3] + at);
                turn(a, b, c, d);
                V* out = flat + n * W + i;
                std::memcpy(out, &a, sizeof a);
                std::memcpy(out + W, &b, sizeof b);
                std::memcpy(out + 2 * W, &c, sizeof c);
                std::memcpy(out + 3 * W, &d, sizeof d);
            }
        for (int i = 0; i < W; ++i)
            for (int64_t n = tiled; n < length; ++n) flat[n * W + i] = V(rows[i][start + n]);
    }
    template <typename V>
    void store(int64_t start, int64_t length, const Lanes<V, W>* from) const {
        const V* flat = reinterpret_cast<const V*>(from);
        const int64_t full = W < 4 ? 0 : count / 4 * 4, tiled = length / 4 * 4;
        for (int64_t i = 0; i < full; i += 4)
            for (int64_t n = 0; n < tiled; n += 4) {
                const V* in = flat + n * W + i;
                auto a = four<T>(in), b = four<T>(in + W);
                auto c = four<T>(in + 2 * W), d = four<T>(in + 3 * W);
                turn(a, b, c, d);
                const int64_t at = start + n;
                std::memcpy(rows[i] + at, &a, sizeof a);
                std::memcpy(rows[i + 1] + at, &b, sizeof b);
                std::memcpy(rows[i + 2] + at, &c, sizeof c);
                std::memcpy(rows[i + 3] + at, &d, sizeof d);
            }
        for (int64_t i = 0; i < count; ++i)
            for (int64_t n = i < full ? tiled : 0; n < length; ++n) rows[i][start + n] = T(flat[n * W + i]);
    }
};

// f with the narrowest width that holds `count` rows.
template <int W, typename F>
void narrowest(F&& f, int64_t first, int64_t count) {
    if constexpr (W > 1)
        if (count <= W / 2) return narrowest<W / 2>(f, first, count);
    f(std::integral_constant<int, W>{}, first, count);
}

// Calls f(width, first, count) for groups of rows on which a kernel computes with values of type V, on several threads; `width`
// is an integral_constant, a power of two, at least count. All threads get rows before lanes are filled.
template <typename V, typename F>
void for_groups(int64_t rows, int64_t threads, F&& f) {
    int64_t wide = 1;
    while (wide < kWidest<V> && wide * threads < rows) wide *= 2;
    for_rows((rows + wide - 1) / wide, threads, [&](int64_t group) {
        const int64_t first = group * wide, count = std::min(wide, rows - first);
        narrowest<kWidest<V>>(f, first, count);
    });
}

}  // namespace dasp
