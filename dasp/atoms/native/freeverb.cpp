// Freeverb's network without its mix: per side eight damped combs in parallel, then four all-passes in series.
//     comb:      out = line[n - N],  l = (1 - D) out + D l',  line[n] = in + F l
//     all-pass:  b = line[n - N],    out = b - in,            line[n] = in + b / 2
// F and D (batch, K): K = 1 (constant) or T. Lengths come from the caller: lengths[side][12]. A row's state holds, one
// after the other, its lines (oldest sample first) and after each comb's line its filter's value.
//
// Blocks are no longer than the shortest line: nothing that a block writes comes back within it. So only the combs' filters follow
// their own output sample by sample: a side's eight lie side by side in the lanes of vectors, and two sides' fill the time in which
// one would wait for itself. The rest runs over time.
#include <memory>
#include <utility>

#include "simd.h"

#define DASP_INLINE inline __attribute__((always_inline))

namespace {

using dasp::Lanes;

constexpr int kCombs = 8, kAllPasses = 4, kLines = kCombs + kAllPasses;
constexpr int64_t kShort = 64;         // samples of a block, at most
constexpr int64_t kSegment = 1 << 14;  // samples between two checkpoints of the backward pass

template <typename V>
using Combs = Lanes<V, kCombs>;

// The plugin adds and subtracts 0.1 in float32 against denormals, which quantises to 7.5e-9. Not so in double.
template <typename V, typename Value>
DASP_INLINE Value settle(Value v) {
    if constexpr (sizeof(V) == sizeof(float)) v = v + 0.1f - 0.1f;
    return v;
}

// Square tiles of a register's width are transposed by exchanging their off-diagonal halves, quarters, eighths.
template <int Step, typename Vector, int... I>
DASP_INLINE void exchange(Vector& a, Vector& b, std::integer_sequence<int, I...>) {
    const Vector upper = a, lower = b;
    a = Vector{(I & Step ? lower[I ^ Step] : upper[I])...};
    b = Vector{(I & Step ? lower[I] : upper[I ^ Step])...};
}
template <int Step, int L, typename Vector>
DASP_INLINE void transpose(Vector (&tile)[L]) {
    for (int i = 0; i < L; ++i)
        if (!(i & Step)) exchange<Step>(tile[i], tile[i + Step], std::make_integer_sequence<int, L>{});
    if constexpr (2 * Step < L) transpose<2 * Step>(tile);
}

// The combs' signals, each one after the other in time <-> side by side.
template <typename V>
void to_lanes(const V* const* signals, int64_t count, Combs<V>* lanes) {
    constexpr int L = Combs<V>::kLanes;
    int64_t n = 0;
    for (; n + L <= count; n += L)
        for (int p = 0; p < Combs<V>::kParts; ++p) {
            typename Combs<V>::Vector tile[L];
            for (int i = 0; i < L; ++i) std::memcpy(&tile[i], signals[p * L + i] + n, sizeof(tile[i]));
            transpose<1>(tile);
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
            typename Combs<V>::Vector tile[L];
            for (int i = 0; i < L; ++i) tile[i] = lanes[n + i].part[p];
            transpose<1>(tile);
            for (int i = 0; i < L; ++i) std::memcpy(signals[p * L + i] + n, &tile[i], sizeof(tile[i]));
        }
    for (; n < count; ++n)
        for (int i = 0; i < kCombs; ++i) signals[i][n] = lanes[n].get(i);
}

// What the calls share.
struct Shape {
    const int64_t* lengths;
    int64_t batch, sides, samples, frames;

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
};

// Delay lines of one side, as rings: sample n of line i at place n % lengths[i].
template <typename V>
struct Lines {
    const int64_t* lengths;
    int count;
    std::vector<V> memory;
    V *starts[kLines], *runs[kLines], space[kLines][kShort];
    int64_t at[kLines];

    Lines(const int64_t* lengths, int count) : lengths(lengths), count(count), memory(total()) {
        V* start = memory.data();
        for (int i = 0; i < count; ++i) starts[i] = start, start += lengths[i];
        seek(0);
    }
    Lines(const Lines&) = delete;
    int64_t total() const {
        int64_t size = 0;
        for (int i = 0; i < count; ++i) size += lengths[i];
        return size;
    }
    void seek(int64_t n) {
        for (int i = 0; i < count; ++i) at[i] = n % lengths[i];
    }
    void move(int64_t step) {  // by less than a line
        for (int i = 0; i < count; ++i) {
            at[i] += step;
            if (at[i] >= lengths[i]) at[i] -= lengths[i];
            if (at[i] < 0) at[i] += lengths[i];
        }
    }
    // runs[i]: the next `samples` values, where they lie or, where the line ends among them, copied. `give` puts copies back.
    void take(int64_t samples) {
        for (int i = 0; i < count; ++i) {
            const int64_t head = lengths[i] - at[i];
            runs[i] = starts[i] + at[i];
            if (samples <= head) continue;
            std::copy_n(starts[i], samples - head, std::copy_n(runs[i], head, space[i]));
            runs[i] = space[i];
        }
    }
    void give(int64_t samples) {
        for (int i = 0; i < count; ++i) {
            if (runs[i] != space[i]) continue;
            const int64_t head = lengths[i] - at[i];
            std::copy_n(space[i], head, starts[i] + at[i]);
            std::copy_n(space[i] + head, samples - head, starts[i]);
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
        for (int64_t n = 0; n < samples; ++n) out[n] = V(0) + a[n] + b[n] + c[n] + d[n] + e[n] + f[n] + g[n] + h[n];
    }
};

// A control of S sides.
template <int S, bool Varying, typename V>
struct Control {
    const V* rows[S];
    V fixed[S];

    Control(const V* values, const Shape& shape, int64_t first) {
        for (int s = 0; s < S; ++s) {
            rows[s] = values + (first + s) / shape.sides * shape.frames;
            fixed[s] = *rows[s];
        }
    }
    V at(int s, int64_t n) const { return Varying ? rows[s][n] : fixed[s]; }
};

template <int S, bool Varying, typename T>
void forward_group(const T* in, const T* feedback, const T* damping, T* out, const T* state, T* after, const Shape& shape,
                   int64_t first) {
    std::vector<std::unique_ptr<Lines<T>>> sides;
    Combs<T> last[S];
    for (int s = 0; s < S; ++s) {
        sides.push_back(std::make_unique<Lines<T>>(shape.sizes(first + s), kLines));
        sides[s]->load(state + shape.state(first + s), &last[s]);
    }
    const Control<S, Varying, T> fs(feedback, shape, first), ds(damping, shape, first);
    Combs<T> lanes[S][kShort];
    const int64_t block = shape.block();
    for (int64_t start = 0, count; start < shape.samples; start += count) {
        count = std::min(block, shape.samples - start);
        T* y[S];
        const T* x[S];
        for (int s = 0; s < S; ++s) {
            x[s] = in + (first + s) / shape.sides * shape.samples + start;
            y[s] = out + (first + s) * shape.samples + start;
            sides[s]->take(count);
            sides[s]->sum(count, y[s]);
            to_lanes(sides[s]->runs, count, lanes[s]);
        }
        for (int p = 0; p < Combs<T>::kParts; ++p) {
            typename Combs<T>::Vector l[S];
            for (int s = 0; s < S; ++s) l[s] = last[s].part[p];
            for (int64_t n = 0; n < count; ++n)
                for (int s = 0; s < S; ++s) {
                    const T f = fs.at(s, start + n), d = ds.at(s, start + n);
                    auto& line = lanes[s][n].part[p];
                    l[s] = settle<T>(line * (1 - d) + l[s] * d);
                    line = settle<T>(x[s][n] + l[s] * f);
                }
            for (int s = 0; s < S; ++s) last[s].part[p] = l[s];
        }
        for (int s = 0; s < S; ++s) {
            from_lanes(lanes[s], count, sides[s]->runs);
            for (int i = kCombs; i < kLines; ++i) {
                T *__restrict line = sides[s]->runs[i], *__restrict through = y[s];
                for (int64_t n = 0; n < count; ++n) {
                    const T delayed = line[n];
                    line[n] = settle<T>(through[n] + delayed * T(0.5));
                    through[n] = delayed - through[n];
                }
            }
            sides[s]->give(count);
            sides[s]->move(count);
        }
    }
    for (int s = 0; s < S; ++s) sides[s]->store(after + shape.state(first + s), last[s]);
}

template <typename T>
void forward(const T* in, const T* feedback, const T* damping, T* out, const T* state, T* after, const Shape& shape,
             int64_t threads) {
    const int64_t rows = shape.batch * shape.sides, together = rows >= 2 * threads ? 2 : 1;
    dasp::for_rows((rows + together - 1) / together, threads, [&](int64_t group) {
        const int64_t first = group * together;
        auto run = [&](auto count, auto varying) {
            constexpr int S = decltype(count)::value;
            forward_group<S, decltype(varying)::value>(in, feedback, damping, out, state, after, shape, first);
        };
        auto with = [&](auto count) { shape.frames == 1 ? run(count, std::false_type{}) : run(count, std::true_type{}); };
        std::min(together, rows - first) == 2 ? with(std::integral_constant<int, 2>{}) : with(std::integral_constant<int, 1>{});
    });
}

DASP_INLINE double total(const Combs<double>::Vector& v) {
    double sum = 0;
    for (int i = 0; i < Combs<double>::kLanes; ++i) sum += Combs<double>::Register::get(v, i);
    return sum;
}
double total(const Combs<double>& v) {
    double sum = 0;
    for (const auto& part : v.part) sum += total(part);
    return sum;
}

// Adjoint in double. The combs' states are recomputed: once to the start of each segment, then within the segment, and kept there as
//     q = l' - out,  from which  l' = l + (1 - D) q.
// Linked sides have one input.
template <int S, bool Linked, bool Varying, typename T>
struct Backward {
    using C = Combs<double>;
    using Vector = typename C::Vector;
    static constexpr int kInputs = Linked ? 1 : S;

    const Shape& shape;
    const Control<S, Varying, double> fs, ds;
    const T *x[S], *g[S];
    const int64_t block, length;  // samples of a block and of a segment
    std::unique_ptr<Lines<double>> combs[S], adjoint[S];
    C last[S], carried[S], sum_f[S], sum_d[S], lanes[S][kShort];  // carried: what a filter's next value hands back
    std::vector<C> kept, levels;                                  // q of a segment's samples, l' at the start of its blocks

    Backward(const T* cotangent, const T* in, const double* feedback, const double* damping, const T* state, const Shape& shape,
             int64_t first)
        : shape(shape),
          fs(feedback, shape, first),
          ds(damping, shape, first),
          block(shape.block()),
          length(std::min(shape.samples, kSegment)),
          kept(S * length),
          levels(S * (length / block + 2)) {
        for (int s = 0; s < S; ++s) {
            x[s] = in + (first + s) / shape.sides * shape.samples;
            g[s] = cotangent + (first + s) * shape.samples;
            combs[s] = std::make_unique<Lines<double>>(shape.sizes(first + s), kCombs);
            combs[s]->load(state + shape.state(first + s), &last[s]);
            adjoint[s] = std::make_unique<Lines<double>>(shape.sizes(first + s), kLines);
            adjoint[s]->seek(shape.samples);
            carried[s] = sum_f[s] = sum_d[s] = C{};
        }
    }

    template <bool Keep>
    void replay(int64_t from, int64_t stop) {
        C *q = kept.data(), *level = levels.data();
        for (int64_t start = from, count; start < stop; start += count) {
            count = std::min(block, stop - start);
            for (int s = 0; s < S; ++s) {
                combs[s]->take(count);
                to_lanes(combs[s]->runs, count, lanes[s]);
                if (Keep) *level++ = last[s];
            }
            for (int p = 0; p < C::kParts; ++p) {
                Vector l[S];
                for (int s = 0; s < S; ++s) l[s] = last[s].part[p];
                for (int64_t n = 0; n < count; ++n)
                    for (int s = 0; s < S; ++s) {
                        const double f = fs.at(s, start + n), d = ds.at(s, start + n);
                        auto& line = lanes[s][n].part[p];
                        if (Keep) q[n * S + s].part[p] = l[s] - line;
                        l[s] = line * (1 - d) + l[s] * d;
                        line = double(x[s][start + n]) + l[s] * f;
                    }
                for (int s = 0; s < S; ++s) last[s].part[p] = l[s];
            }
            q += Keep ? count * S : 0;
            for (int s = 0; s < S; ++s) {
                from_lanes(lanes[s], count, combs[s]->runs);
                combs[s]->give(count);
                combs[s]->move(count);
            }
        }
        if (Keep) std::copy_n(last, S, level);
    }

    // Gradients of what the sides' inputs, feedback and damping are from sample `from` to `stop`.
    template <typename G>
    void reverse(int64_t from, int64_t stop, G* const* gin, double* const* gf, double* const* gd) {
        for (int64_t k = (stop - from - 1) / block; k >= 0; --k) {
            const int64_t start = from + k * block, count = std::min(block, stop - start);
            double grad[S][kShort], arrived[S][kShort], to_f[kInputs][kShort] = {}, to_d[kInputs][kShort] = {};
            for (int s = 0; s < S; ++s) {
                adjoint[s]->move(-count);
                adjoint[s]->take(count);
                std::copy_n(g[s] + start, count, grad[s]);
                for (int i = kLines - 1; i >= kCombs; --i) {
                    double *__restrict line = adjoint[s]->runs[i], *__restrict through = grad[s];
                    for (int64_t n = 0; n < count; ++n) {
                        const double to_line = line[n];
                        line[n] = through[n] + 0.5 * to_line;  // adjoint of the delayed value
                        through[n] = to_line - through[n];
                    }
                }
                adjoint[s]->sum(count, arrived[s]);
                to_lanes(adjoint[s]->runs, count, lanes[s]);
            }
            const C *q = &kept[(start - from) * S], *level = &levels[(k + 1) * S];
            for (int p = 0; p < C::kParts; ++p) {
                Vector l[S], back[S], by_f[S], by_d[S];
                for (int s = 0; s < S; ++s) {
                    l[s] = level[s].part[p], back[s] = carried[s].part[p];
                    by_f[s] = sum_f[s].part[p], by_d[s] = sum_d[s].part[p];
                }
                for (int64_t n = count - 1; n >= 0; --n)
                    for (int s = 0; s < S; ++s) {
                        const double f = fs.at(s, start + n), d = ds.at(s, start + n);
                        const Vector to_line = lanes[s][n].part[p], lambda = to_line * f + back[s];
                        const Vector change = q[n * S + s].part[p];
                        if constexpr (Varying) {
                            to_f[Linked ? 0 : s][n] += total(to_line * l[s]);
                            to_d[Linked ? 0 : s][n] += total(lambda * change);
                        } else {
                            by_f[s] += to_line * l[s];
                            by_d[s] += lambda * change;
                        }
                        l[s] += change * (1 - d);
                        lanes[s][n].part[p] = grad[s][n] + lambda * (1 - d);
                        back[s] = lambda * d;
                    }
                for (int s = 0; s < S; ++s)
                    carried[s].part[p] = back[s], sum_f[s].part[p] = by_f[s], sum_d[s].part[p] = by_d[s];
            }
            for (int i = 0; Varying && i < kInputs; ++i) {
                std::copy_n(to_f[i], count, gf[i] + start);
                std::copy_n(to_d[i], count, gd[i] + start);
            }
            for (int s = 0; s < S; ++s) {
                from_lanes(lanes[s], count, adjoint[s]->runs);
                adjoint[s]->give(count);
            }
            for (int i = 0; i < kInputs; ++i)
                for (int64_t n = 0; n < count; ++n) gin[i][start + n] = G(Linked ? arrived[0][n] + arrived[S - 1][n] : arrived[i][n]);
        }
    }

    // Gradients of input i go to gin[i], gf[i] and gd[i].
    template <typename G>
    void run(G* const* gin, double* const* gf, double* const* gd) {
        struct Checkpoint {
            std::vector<double> memory[S];
            C last[S];
        };
        std::vector<Checkpoint> checkpoints;
        int64_t start = 0;
        for (; start + kSegment < shape.samples; start += kSegment) {
            checkpoints.emplace_back();
            for (int s = 0; s < S; ++s) checkpoints.back().memory[s] = combs[s]->memory, checkpoints.back().last[s] = last[s];
            replay<false>(start, start + kSegment);
        }
        replay<true>(start, shape.samples);
        reverse(start, shape.samples, gin, gf, gd);
        for (; !checkpoints.empty(); checkpoints.pop_back()) {
            start -= kSegment;
            for (int s = 0; s < S; ++s) {
                std::copy(checkpoints.back().memory[s].begin(), checkpoints.back().memory[s].end(), combs[s]->memory.begin());
                combs[s]->seek(start);
                last[s] = checkpoints.back().last[s];
            }
            replay<true>(start, start + kSegment);
            reverse(start, start + kSegment, gin, gf, gd);
        }
        if (Varying) return;
        for (int s = 0; s < S; ++s) {
            *gf[Linked ? 0 : s] = total(sum_f[s]) + (Linked && s ? *gf[0] : 0);
            *gd[Linked ? 0 : s] = total(sum_d[s]) + (Linked && s ? *gd[0] : 0);
        }
    }
};

// Gradients of the input (batch, samples), the feedback and the damping (batch, frames).
template <typename T>
void backward(const T* g, const T* in, const double* feedback, const double* damping, const T* state, T* gin, double* gf,
              double* gd, const Shape& shape, int64_t threads) {
    auto run = [&](auto count, auto linked, auto* gin, double* gf, double* gd, int64_t first) {
        constexpr int S = decltype(count)::value;
        constexpr bool Linked = decltype(linked)::value;
        decltype(gin) to_in[S];
        double *to_f[S], *to_d[S];
        for (int s = 0; s < S; ++s) {
            const int64_t row = Linked ? first / S : first + s;
            to_in[s] = gin + row * shape.samples, to_f[s] = gf + row * shape.frames, to_d[s] = gd + row * shape.frames;
        }
        if (shape.frames == 1)
            Backward<S, Linked, false, T>(g, in, feedback, damping, state, shape, first).run(to_in, to_f, to_d);
        else
            Backward<S, Linked, true, T>(g, in, feedback, damping, state, shape, first).run(to_in, to_f, to_d);
    };
    constexpr std::integral_constant<int, 1> single;
    constexpr std::integral_constant<int, 2> pair;
    const int64_t rows = shape.batch * shape.sides;
    if (shape.sides == 2 && shape.batch >= threads) {
        dasp::for_rows(shape.batch, threads, [&](int64_t row) { run(pair, std::true_type{}, gin, gf, gd, 2 * row); });
    } else if (shape.sides == 2) {  // each thread gets a side
        std::vector<double> to_in(rows * shape.samples), to_f(rows * shape.frames), to_d(rows * shape.frames);
        dasp::for_rows(rows, threads, [&](int64_t row) { run(single, std::false_type{}, to_in.data(), to_f.data(), to_d.data(), row); });
        auto add = [&](const std::vector<double>& from, int64_t size, auto* to) {
            for (int64_t row = 0; row < shape.batch; ++row)
                for (int64_t n = 0; n < size; ++n)
                    to[row * size + n] = std::decay_t<decltype(*to)>(from[2 * row * size + n] + from[(2 * row + 1) * size + n]);
        };
        add(to_in, shape.samples, gin), add(to_f, shape.frames, gf), add(to_d, shape.frames, gd);
    } else {
        const int64_t together = rows >= 2 * threads ? 2 : 1;
        dasp::for_rows((rows + together - 1) / together, threads, [&](int64_t group) {
            const int64_t first = group * together;
            if (std::min(together, rows - first) == 2)
                run(pair, std::false_type{}, gin, gf, gd, first);
            else
                run(single, std::false_type{}, gin, gf, gd, first);
        });
    }
}

}  // namespace

#define DASP_FREEVERB(T, SUFFIX)                                                                                               \
    DASP_EXPORT void freeverb_##SUFFIX(const T* in, const T* feedback, const T* damping, T* out, const T* state, T* after,    \
                                       const int64_t* lengths, int64_t batch, int64_t sides, int64_t samples,                 \
                                       int64_t frames, int64_t threads) {                                                     \
        forward(in, feedback, damping, out, state, after, {lengths, batch, sides, samples, frames}, threads);                 \
    }                                                                                                                         \
    DASP_EXPORT void freeverb_backward_##SUFFIX(const T* g, const T* in, const double* feedback, const double* damping,       \
                                                const T* state, T* gin, double* gf, double* gd, const int64_t* lengths,       \
                                                int64_t batch, int64_t sides, int64_t samples, int64_t frames,                \
                                                int64_t threads) {                                                            \
        backward(g, in, feedback, damping, state, gin, gf, gd, {lengths, batch, sides, samples, frames}, threads);            \
    }

DASP_FREEVERB(float, f32)
DASP_FREEVERB(double, f64)
