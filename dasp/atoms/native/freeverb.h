// Freeverb's network without its mix: per side eight damped combs in parallel, then four all-passes in series.
//     comb:      out = line[n - N],  l = (1 - D) out + D l',  line[n] = in + F l
//     all-pass:  b = line[n - N],    out = b - in,            line[n] = in + b / 2
// F and D (batch, K): K = 1 (constant) or T. Lengths come from the caller: lengths[side][12]. A row's state holds, one
// after the other, its lines (oldest sample first) and after each comb's line its filter's value.
//
// Blocks are no longer than the shortest line: nothing that a block writes comes back within it. So only the combs' filters
// follow their own output sample by sample: a side's eight lie side by side in the lanes of vectors, and two sides' fill the time
// in which one would wait for itself. The rest runs over time.
#pragma once

#include <memory>

#include "simd.h"

namespace freeverb {

using dasp::Lanes;
using dasp::transpose;

constexpr int kCombs = 8, kAllPasses = 4, kLines = kCombs + kAllPasses;
constexpr int64_t kShort = 128;  // samples of a block, at most

template <typename V>
using Combs = Lanes<V, kCombs>;

// The plugin adds and subtracts 0.1 in float32 against denormals, which quantises to 7.5e-9. Not so in double.
template <typename V, typename Value>
DASP_INLINE Value settle(Value v) {
    if constexpr (sizeof(V) == sizeof(float)) v = v + 0.1f - 0.1f;
    return v;
}

// A vector anywhere in memory.
template <typename Vector>
struct __attribute__((packed, may_alias)) Loose {
    Vector value;
};
template <typename Vector, typename V>
DASP_INLINE Vector read(const V* from) {
    return reinterpret_cast<const Loose<Vector>*>(from)->value;
}
template <typename Vector, typename V>
DASP_INLINE void write(const Vector& value, V* to) {
    reinterpret_cast<Loose<Vector>*>(to)->value = value;
}

// The combs' signals, each one after the other in time <-> side by side.
template <typename V>
void to_lanes(const V* const* signals, int64_t count, Combs<V>* lanes) {
    constexpr int L = Combs<V>::kLanes;
    int64_t n = 0;
    for (; n + L <= count; n += L)
        for (int p = 0; p < Combs<V>::kParts; ++p) {
            using Vector = typename Combs<V>::Vector;
            if constexpr (L == 4) {
                const V* const* from = signals + p * L;
                Vector a = read<Vector>(from[0] + n), b = read<Vector>(from[1] + n);
                Vector c = read<Vector>(from[2] + n), d = read<Vector>(from[3] + n);
                dasp::turn(a, b, c, d);
                lanes[n].part[p] = a, lanes[n + 1].part[p] = b, lanes[n + 2].part[p] = c, lanes[n + 3].part[p] = d;
                continue;
            }
            Vector tile[L];
#pragma GCC unroll 8
            for (int i = 0; i < L; ++i) tile[i] = read<Vector>(signals[p * L + i] + n);
            transpose<1>(tile);
#pragma GCC unroll 8
            for (int i = 0; i < L; ++i) lanes[n + i].part[p] = tile[i];
        }
    for (; n < count; ++n)
        for (int i = 0; i < kCombs; ++i) lanes[n].set(i, signals[i][n]);
}
template <typename V>
void from_lanes(const Combs<V>* lanes, int64_t count, V* const* signals) {
    constexpr int L = Combs<V>::kLanes;
    int64_t n = 0;
    for (; n + L <= count; n += L)
        for (int p = 0; p < Combs<V>::kParts; ++p) {
            using Vector = typename Combs<V>::Vector;
            if constexpr (L == 4) {
                V* const* to = signals + p * L;
                Vector a = lanes[n].part[p], b = lanes[n + 1].part[p], c = lanes[n + 2].part[p], d = lanes[n + 3].part[p];
                dasp::turn(a, b, c, d);
                write(a, to[0] + n), write(b, to[1] + n), write(c, to[2] + n), write(d, to[3] + n);
                continue;
            }
            Vector tile[L];
#pragma GCC unroll 8
            for (int i = 0; i < L; ++i) tile[i] = lanes[n + i].part[p];
            transpose<1>(tile);
#pragma GCC unroll 8
            for (int i = 0; i < L; ++i) write(tile[i], signals[p * L + i] + n);
        }
    for (; n < count; ++n)
        for (int i = 0; i < kCombs; ++i) signals[i][n] = lanes[n].get(i);
}

// What the calls share. Controls (batch, frames) of one kind lie `stride` apart from row to row.
struct Shape {
    const int64_t* lengths;
    int64_t batch, channels, sides, samples, frames, stride;

    const int64_t* sizes(int64_t row) const { return lengths + row % sides * kLines; }
    int64_t memory(int64_t side) const {
        int64_t size = kCombs;
        for (int i = 0; i < kLines; ++i) size += lengths[side * kLines + i];
        return size;
    }
    int64_t state(int64_t row) const {  // where a row's state begins
        return row / sides * (memory(0) + (sides == 2 ? memory(1) : 0)) + (row % sides ? memory(0) : 0);
    }
    int64_t block() const {
        const int64_t shortest = *std::min_element(lengths, lengths + sides * kLines);
        return std::min(kShort, shortest < 8 ? shortest : shortest / 8 * 8);
    }
    // f(how many rows of output at once, whether they have one input, the first one) for all of them. The two sides of a stereo
    // row go together, unless there are threads without a row.
    template <typename F>
    void groups(int64_t threads, F&& f) const {
        constexpr std::integral_constant<int, 1> one;
        constexpr std::integral_constant<int, 2> two;
        const int64_t rows = batch * sides, together = rows >= 2 * threads ? 2 : 1;
        dasp::for_rows((rows + together - 1) / together, threads, [&](int64_t group) {
            const int64_t first = group * together;
            if (std::min(together, rows - first) == 1)
                f(one, std::false_type{}, first);
            else if (sides == 2)
                f(two, std::true_type{}, first);
            else
                f(two, std::false_type{}, first);
        });
    }
    bool apart(int64_t threads) const { return sides == 2 && batch < threads; }
};

// The input of the network, and its mix with it:
//     feed = gain x  or  gain (left + right);   y = same wet + cross (the other side's wet) + direct x
template <typename T>
struct Mix {
    const T* x;
    T gain;
    const T* gains;  // same, cross, direct: (batch, 3, frames); null: the network alone
    T* y;
    const Shape& shape;

    void feed(int64_t row, int64_t start, int64_t count, T* out) const {
        const T* left = x + row * shape.channels * shape.samples + start;
        if (shape.channels == 1)
            for (int64_t n = 0; n < count; ++n) out[n] = left[n] * gain;
        else
            for (int64_t n = 0; n < count; ++n) out[n] = (left[n] + left[n + shape.samples]) * gain;
    }
    void mix(int64_t row, int64_t start, int64_t count, const T* const* wet) const {
        const T *same = gains + row * shape.stride + (shape.frames == 1 ? 0 : start), *cross = same + shape.frames;
        auto each = [&](auto at) {
            for (int s = 0; s < shape.sides; ++s) {
                const int64_t offset = (row * shape.sides + s) * shape.samples + start;
                const T *__restrict in = x + offset, *__restrict mine = wet[s], *__restrict other = wet[shape.sides - 1 - s];
                T* __restrict out = y + offset;
                if (shape.sides == 1)
                    for (int64_t n = 0; n < count; ++n) out[n] = mine[n] * at(same, n) + in[n] * at(cross + shape.frames, n);
                else
                    for (int64_t n = 0; n < count; ++n)
                        out[n] = mine[n] * at(same, n) + other[n] * at(cross, n) + in[n] * at(cross + shape.frames, n);
            }
        };
        if (shape.frames == 1)
            each([](const T* control, int64_t) { return *control; });
        else
            each([](const T* control, int64_t n) { return control[n]; });
    }
};

// Delay lines of one side, as rings: sample n of line i at place n % lengths[i]. Behind each there is room for a block, so that
// one that goes on at the start lies in one piece.
template <typename V>
struct Lines {
    const int64_t* lengths;
    int count;
    std::vector<V> memory;
    V *starts[kLines], *runs[kLines];
    int64_t at[kLines];

    Lines(const int64_t* lengths, int count) : lengths(lengths), count(count) {
        int64_t size = 0;
        for (int i = 0; i < count; ++i) size += lengths[i] + kShort;
        memory.resize(size);
        seek(0);
    }
    Lines(const Lines&) = delete;
    void seek(int64_t n) {
        V* start = memory.data();
        for (int i = 0; i < count; ++i) {
            starts[i] = start;
            start += lengths[i] + kShort;
            at[i] = n % lengths[i];
        }
    }
    void restore(std::vector<V>& earlier, int64_t n) {
        memory.swap(earlier);
        seek(n);
    }
    void move(int64_t step) {  // by less than a line
        for (int i = 0; i < count; ++i) {
            at[i] += step;
            if (at[i] >= lengths[i]) at[i] -= lengths[i];
            if (at[i] < 0) at[i] += lengths[i];
        }
    }
    // runs[i]: the next `samples` values, to be changed where they are and then given back.
    void take(int64_t samples) {
        for (int i = 0; i < count; ++i) {
            const int64_t beyond = at[i] + samples - lengths[i];
            runs[i] = starts[i] + at[i];
            if (beyond > 0) std::copy_n(starts[i], beyond, starts[i] + lengths[i]);
        }
    }
    void give(int64_t samples) {
        for (int i = 0; i < count; ++i) {
            const int64_t beyond = at[i] + samples - lengths[i];
            if (beyond > 0) std::copy_n(starts[i] + lengths[i], beyond, starts[i]);
        }
    }
    template <typename T>
    void load(const T* state, Combs<V>* last) {
        for (int i = 0; i < count; ++i) {
            std::copy_n(state, lengths[i], starts[i]);
            state += lengths[i];
            if (i < kCombs) last->set(i, V(*state++));
        }
    }
    void store(V* state, const Combs<V>& last) const {
        for (int i = 0; i < count; ++i) {
            state = std::copy(starts[i] + at[i], starts[i] + lengths[i], state);
            state = std::copy(starts[i], starts[i] + at[i], state);
            if (i < kCombs) *state++ = last.get(i);
        }
    }
    // The combs' sum, in their order.
    void sum(int64_t samples, V* __restrict out) const {
        const V *const a = runs[0], *const b = runs[1], *const c = runs[2], *const d = runs[3];
        const V *const e = runs[4], *const f = runs[5], *const g = runs[6], *const h = runs[7];
        for (int64_t n = 0; n < samples; ++n)
            out[n] = V(0) + a[n] + b[n] + c[n] + d[n] + e[n] + f[n] + g[n] + h[n];
    }
};

// A control of S sides.
template <int S, bool Varying, typename V>
struct Control {
    const V* rows[S];
    V fixed[S];

    Control(const V* values, const Shape& shape, int64_t first) {
        for (int s = 0; s < S; ++s) {
            rows[s] = values + (first + s) / shape.sides * shape.stride;
            fixed[s] = Varying ? 0 : *rows[s];
        }
    }
    V at(int s, int64_t n) const { return Varying ? rows[s][n] : fixed[s]; }
};

}  // namespace freeverb
