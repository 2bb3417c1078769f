// The adjoint of Freeverb, in double.
#include "freeverb.h"

namespace {

using namespace freeverb;

constexpr int64_t kSegment = 1 << 14;  // samples between two checkpoints of the backward pass

// Comb after comb, however many a register holds.
DASP_INLINE void add(double& sum, const Combs<double>::Vector& v) {
    for (int i = 0; i < Combs<double>::kLanes; ++i) sum += Combs<double>::Register::get(v, i);
}
double total(const Combs<double>& v) {
    double sum = 0;
    for (const auto& part : v.part) add(sum, part);
    return sum;
}

// Adjoint of the mix in double, from the cotangent g of its output.
template <typename T>
struct Unmix {
    const T *g, *x;
    double gain;
    const double* gains;  // null: the network alone
    const T* wet;
    T* gx;
    double* ggains;
    const Shape& shape;

    // f(same, cross, direct) with controls to be asked for sample n.
    template <typename F>
    void with(int64_t row, int64_t start, F&& f) const {
        const double* first = gains + row * shape.stride + (shape.frames == 1 ? 0 : start);
        auto fixed = [&](int i) { return [v = first[i]](int64_t) { return v; }; };
        auto varying = [&](int i) { return [p = first + i * shape.frames](int64_t n) { return p[n]; }; };
        if (shape.frames == 1)
            f(fixed(0), fixed(1), fixed(2));
        else
            f(varying(0), varying(1), varying(2));
    }
    // Cotangent of a row of the network's output.
    void to_wet(int64_t row, int64_t start, int64_t count, double* __restrict out) const {
        const T* mine = g + row * shape.samples + start;
        const T* other = mine + (shape.sides == 1 ? 0 : row % 2 ? -shape.samples : shape.samples);
        if (!gains) {
            std::copy_n(mine, count, out);
            return;
        }
        with(row / shape.sides, start, [&](auto same, auto cross, auto) {
            if (shape.sides == 1)
                for (int64_t n = 0; n < count; ++n) out[n] = mine[n] * same(n);
            else
                for (int64_t n = 0; n < count; ++n) out[n] = mine[n] * same(n) + other[n] * cross(n);
        });
    }
    // Sum of a[n] b[n], in the lanes of vectors.
    static double dot(const double* a, const double* b, int64_t count) {
        Combs<double> sums{};
        int64_t n = 0;
        for (; n + kCombs <= count; n += kCombs)
            for (int p = 0; p < Combs<double>::kParts; ++p) {
                const int64_t at = n + p * Combs<double>::kLanes;
                sums.part[p] += read<Combs<double>::Vector>(a + at) * read<Combs<double>::Vector>(b + at);
            }
        double sum = total(sums);
        for (; n < count; ++n) sum += a[n] * b[n];
        return sum;
    }
    // Gradients of a row's gains and, where `arrived` is that of the network's input, of x. At most a block.
    void to_inputs(int64_t row, int64_t start, int64_t count, const double* arrived) const {
        const int64_t first = row * shape.sides * shape.samples + start;
        if (!gains) {
            for (int64_t n = 0; n < count; ++n) gx[row * shape.samples + start + n] = T(arrived[n] * gain);
            return;
        }
        double from[2][kShort], dry[2][kShort], heard[2][kShort];
        for (int s = 0; s < shape.sides; ++s) {
            const int64_t at = first + s * shape.samples;
            std::copy_n(g + at, count, from[s]);
            std::copy_n(x + at, count, dry[s]);
            std::copy_n(wet + at, count, heard[s]);
            with(row, start, [&](auto, auto, auto direct) {
                for (int64_t n = 0; n < count; ++n) gx[at + n] = T(from[s][n] * direct(n) + arrived[n] * gain);
            });
        }
        double* to = ggains + row * shape.stride + (shape.frames == 1 ? 0 : start);
        for (int s = 0; s < shape.sides; ++s) {
            const double* sources[3] = {heard[s], shape.sides == 1 ? nullptr : heard[1 - s], dry[s]};
            for (int i = 0; i < 3; ++i)
                if (!sources[i])
                    continue;
                else if (shape.frames == 1)
                    to[i] += dot(from[s], sources[i], count);
                else
                    for (int64_t n = 0; n < count; ++n) to[i * shape.frames + n] += from[s][n] * sources[i][n];
        }
    }
};

// Adjoint of the network in double. The combs' states are recomputed: once to the start of each segment, then within the segment,
// and kept there as
//     q = l' - out,  from which  l' = l + (1 - D) q.
template <int S, bool Linked, bool Varying, typename T>
struct Backward {
    using C = Combs<double>;
    using Vector = typename C::Vector;
    static constexpr int kInputs = Linked ? 1 : S;

    const Mix<T>& mix;
    const Unmix<T>& unmix;
    const Shape& shape;
    const Control<S, Varying, double> fs, ds;
    const int64_t first, block, length;  // row of output, samples of a block and of a segment
    std::unique_ptr<Lines<double>> combs[S], adjoint[S];
    C last[S], carried[S], sum_f[S], sum_d[S], lanes[S][kShort];  // carried: what a filter's next value hands back
    std::vector<C> kept, levels;                                  // q of a segment's samples, l' at the start of its blocks

    Backward(const Mix<T>& mix, const Unmix<T>& unmix, const double* feedback, const double* damping, const T* state,
             int64_t first)
        : mix(mix),
          unmix(unmix),
          shape(mix.shape),
          fs(feedback, shape, first),
          ds(damping, shape, first),
          first(first),
          block(shape.block()),
          length(std::min(shape.samples, kSegment)),
          kept(S * length),
          levels(S * (length / block + 2)) {
        for (int s = 0; s < S; ++s) {
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
            T feed[kInputs][kShort];
            for (int i = 0; i < kInputs; ++i) mix.feed((first + i) / shape.sides, start, count, feed[i]);
            for (int s = 0; s < S; ++s) {
                combs[s]->take(count);
                to_lanes(combs[s]->runs, count, lanes[s]);
                if (Keep) *level++ = last[s];
            }
            Vector l[S][C::kParts];
            for (int s = 0; s < S; ++s) std::copy_n(last[s].part, C::kParts, l[s]);
            for (int64_t n = 0; n < count; ++n)
                for (int s = 0; s < S; ++s) {
                    const double f = fs.at(s, start + n), d = ds.at(s, start + n), in = feed[Linked ? 0 : s][n];
#pragma GCC unroll 4
                    for (int p = 0; p < C::kParts; ++p) {
                        auto& line = lanes[s][n].part[p];
                        if (Keep) q[n * S + s].part[p] = l[s][p] - line;
                        l[s][p] = line * (1 - d) + l[s][p] * d;
                        line = in + l[s][p] * f;
                    }
                }
            for (int s = 0; s < S; ++s) std::copy_n(l[s], C::kParts, last[s].part);
            q += Keep ? count * S : 0;
            for (int s = 0; s < S; ++s) {
                from_lanes(lanes[s], count, combs[s]->runs);
                combs[s]->give(count);
                combs[s]->move(count);
            }
        }
        if (Keep) std::copy_n(last, S, level);
    }

    // From sample `stop` back to `from`. Gradients of the inputs' samples go to `arrived`, or on to the mix if that is null.
    void reverse(int64_t from, int64_t stop, double* const* arrived, double* const* gf, double* const* gd) {
        for (int64_t k = (stop - from - 1) / block; k >= 0; --k) {
            const int64_t start = from + k * block, count = std::min(block, stop - start);
            double grad[S][kShort], to_in[S][kShort], to_f[kInputs][kShort] = {}, to_d[kInputs][kShort] = {};
            for (int s = 0; s < S; ++s) {
                adjoint[s]->move(-count);
                adjoint[s]->take(count);
                unmix.to_wet(first + s, start, count, grad[s]);
                for (int i = kLines - 1; i >= kCombs; --i) {
                    double *__restrict line = adjoint[s]->runs[i], *__restrict through = grad[s];
                    for (int64_t n = 0; n < count; ++n) {
                        const double to_line = line[n];
                        line[n] = through[n] + 0.5 * to_line;  // adjoint of the delayed value
                        through[n] = to_line - through[n];
                    }
                }
                adjoint[s]->sum(count, to_in[s]);
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
                            add(to_f[Linked ? 0 : s][n], to_line * l[s]);
                            add(to_d[Linked ? 0 : s][n], lambda * change);
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
            for (int64_t n = 0; Linked && n < count; ++n) to_in[0][n] += to_in[S - 1][n];
            for (int i = 0; i < kInputs; ++i)
                if (arrived)
                    std::copy_n(to_in[i], count, arrived[i] + start);
                else
                    unmix.to_inputs((first + i) / shape.sides, start, count, to_in[i]);
        }
    }

    // Gradients of input i go to arrived[i], gf[i] and gd[i].
    void run(double* const* arrived, double* const* gf, double* const* gd) {
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
        reverse(start, shape.samples, arrived, gf, gd);
        for (; !checkpoints.empty(); checkpoints.pop_back()) {
            start -= kSegment;
            for (int s = 0; s < S; ++s) {
                combs[s]->restore(checkpoints.back().memory[s], start);
                last[s] = checkpoints.back().last[s];
            }
            replay<true>(start, start + kSegment);
            reverse(start, start + kSegment, arrived, gf, gd);
        }
        if (Varying) return;
        for (int s = 0; s < S; ++s) {
            *gf[Linked ? 0 : s] = total(sum_f[s]) + (Linked && s ? *gf[0] : 0);
            *gd[Linked ? 0 : s] = total(sum_d[s]) + (Linked && s ? *gd[0] : 0);
        }
    }
};

// Gradients of x, the gains, the feedback and the damping.
template <typename T>
void backward(const Mix<T>& mix, const Unmix<T>& unmix, const double* feedback, const double* damping, const T* state, double* gf,
              double* gd, int64_t threads) {
    const Shape& shape = mix.shape;
    const bool apart = shape.apart(threads);
    std::vector<double> room(apart ? shape.batch * 2 * (shape.samples + 2 * shape.frames) : 0);
    double *arrived = room.data(), *fs = arrived + shape.batch * 2 * shape.samples, *ds = fs + shape.batch * 2 * shape.frames;
    for (int64_t row = 0; unmix.gains && row < shape.batch; ++row)
        std::fill_n(unmix.ggains + row * shape.stride, 3 * shape.frames, 0.0);
    shape.groups(threads, [&](auto count, auto linked, int64_t first) {
        constexpr int S = decltype(count)::value;
        constexpr bool Linked = decltype(linked)::value;
        double *to_in[S], *to_f[S], *to_d[S];
        for (int s = 0; s < S; ++s) {
            const int64_t row = (first + s) / shape.sides;
            to_in[s] = arrived + (first + s) * shape.samples;
            to_f[s] = apart ? fs + (first + s) * shape.frames : gf + row * shape.stride;
            to_d[s] = apart ? ds + (first + s) * shape.frames : gd + row * shape.stride;
        }
        auto run = [&](auto varying) {
            Backward<S, Linked, decltype(varying)::value, T>(mix, unmix, feedback, damping, state, first)
                .run(apart ? to_in : nullptr, to_f, to_d);
        };
        shape.frames == 1 ? run(std::false_type{}) : run(std::true_type{});
    });
    for (int64_t row = 0; apart && row < shape.batch; ++row) {
        auto add = [&](double* sides, int64_t size, double* to) {
            const double *left = sides + 2 * row * size, *right = left + size;
            for (int64_t n = 0; n < size; ++n) to[n] = left[n] + right[n];
        };
        double* sum = arrived + 2 * row * shape.samples;
        add(arrived, shape.samples, sum);
        add(fs, shape.frames, gf + row * shape.stride);
        add(ds, shape.frames, gd + row * shape.stride);
        for (int64_t start = 0; start < shape.samples; start += kShort)
            unmix.to_inputs(row, start, std::min(kShort, shape.samples - start), sum + start);
    }
}

}  // namespace

#define DASP_FREEVERB_BACKWARD(T, SUFFIX)                                                                                        \
    DASP_EXPORT void freeverb_backward_##SUFFIX(const T* g, const T* in, const double* feedback, const double* damping,          \
                                                const T* state, T* gin, double* gf, double* gd, const int64_t* lengths,          \
                                                int64_t batch, int64_t sides, int64_t samples, int64_t frames,                   \
                                                int64_t threads) {                                                               \
        const Shape shape{lengths, batch, 1, sides, samples, frames, frames};                                                    \
        backward<T>({in, 1, nullptr, nullptr, shape}, {g, in, 1, nullptr, nullptr, gin, nullptr, shape}, feedback, damping,      \
                    state, gf, gd, threads);                                                                                     \
    }                                                                                                                            \
    DASP_EXPORT void freeverb_mix_backward_##SUFFIX(const T* g, const T* x, const T* gain, const double* controls, const T* wet, \
                                              const T* state, T* gx, double* gcontrols, const int64_t* lengths, int64_t batch,   \
                                              int64_t sides, int64_t samples, int64_t frames, int64_t threads) {                 \
        const Shape shape{lengths, batch, sides, sides, samples, frames, 5 * frames};                                            \
        const double* gains = controls + 2 * frames;                                                                             \
        backward<T>({x, *gain, nullptr, nullptr, shape}, {g, x, *gain, gains, wet, gx, gcontrols + 2 * frames, shape},           \
                    controls, controls + frames, state, gcontrols, gcontrols + frames, threads);                                 \
    }

DASP_FREEVERB_BACKWARD(float, f32)
DASP_FREEVERB_BACKWARD(double, f64)
