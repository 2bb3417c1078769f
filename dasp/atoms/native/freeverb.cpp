// Freeverb forward, in the audio's precision.
#include "freeverb.h"

namespace {

using namespace freeverb;

// Rows [first, first + S) of the output; linked ones have one input. Those that are together are mixed at once; the wet signal is
// stored where there is room for it.
template <int S, bool Linked, bool Varying, typename T>
void forward_group(const Mix<T>& mix, const T* feedback, const T* damping, T* wet, const T* state, T* after, int64_t first) {
    const Shape& shape = mix.shape;
    std::unique_ptr<Lines<T>> sides[S];
    Combs<T> last[S], lanes[S][kShort];
    T feed[S][kShort], space[S][kShort], *through[S];
    for (int s = 0; s < S; ++s) {
        sides[s] = std::make_unique<Lines<T>>(shape.sizes(first + s), kLines);
        sides[s]->load(state + shape.state(first + s), &last[s]);
    }
    const Control<S, Varying, T> fs(feedback, shape, first), ds(damping, shape, first);
    const int64_t block = shape.block();
    for (int64_t start = 0, count; start < shape.samples; start += count) {
        count = std::min(block, shape.samples - start);
        for (int s = 0; s < S; ++s) {
            if (!Linked || s == 0) mix.feed((first + s) / shape.sides, start, count, feed[s]);
            through[s] = wet ? wet + (first + s) * shape.samples + start : space[s];
            sides[s]->take(count);
            sides[s]->sum(count, through[s]);
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
                    line = settle<T>(feed[Linked ? 0 : s][n] + l[s] * f);
                }
            for (int s = 0; s < S; ++s) last[s].part[p] = l[s];
        }
        for (int s = 0; s < S; ++s) {
            from_lanes(lanes[s], count, sides[s]->runs);
            for (int i = kCombs; i < kLines; ++i) {
                T *__restrict line = sides[s]->runs[i], *__restrict out = through[s];
                for (int64_t n = 0; n < count; ++n) {
                    const T delayed = line[n];
                    line[n] = settle<T>(out[n] + delayed * T(0.5));
                    out[n] = delayed - out[n];
                }
            }
            sides[s]->give(count);
            sides[s]->move(count);
        }
        for (int s = 0; s < S && mix.gains && shape.sides == (Linked ? S : 1); s += shape.sides)
            mix.mix((first + s) / shape.sides, start, count, through + s);
    }
    for (int s = 0; s < S; ++s) sides[s]->store(after + shape.state(first + s), last[s]);
}

template <typename T>
void forward(const Mix<T>& mix, const T* feedback, const T* damping, T* wet, const T* state, T* after, int64_t threads) {
    const Shape& shape = mix.shape;
    const bool later = mix.gains && shape.apart(threads);
    std::vector<T> room(later && !wet ? shape.batch * 2 * shape.samples : 0);
    if (later && !wet) wet = room.data();
    shape.groups(threads, [&](auto count, auto linked, int64_t first) {
        constexpr int S = decltype(count)::value;
        constexpr bool Linked = decltype(linked)::value;
        if (shape.frames == 1)
            forward_group<S, Linked, false>(mix, feedback, damping, wet, state, after, first);
        else
            forward_group<S, Linked, true>(mix, feedback, damping, wet, state, after, first);
    });
    for (int64_t row = 0; later && row < shape.batch; ++row) {
        const T* sides[2] = {wet + 2 * row * shape.samples, wet + (2 * row + 1) * shape.samples};
        mix.mix(row, 0, shape.samples, sides);
    }
}

}  // namespace

// The network alone, from its feed (batch, 1, samples); and mixed with x (batch, sides, samples), where controls (batch, 5,
// frames) are the feedback, the damping and the gains.
#define DASP_FREEVERB(T, SUFFIX)                                                                                                 \
    DASP_EXPORT void freeverb_##SUFFIX(const T* in, const T* feedback, const T* damping, T* out, const T* state, T* after,       \
                                       const int64_t* lengths, int64_t batch, int64_t sides, int64_t samples, int64_t frames,    \
                                       int64_t threads) {                                                                        \
        const Shape shape{lengths, batch, 1, sides, samples, frames, frames};                                                    \
        forward<T>({in, 1, nullptr, nullptr, shape}, feedback, damping, out, state, after, threads);                             \
    }                                                                                                                            \
    DASP_EXPORT void freeverb_mix_##SUFFIX(const T* x, const T* gain, const T* controls, T* y, T* wet, const T* state, T* after, \
                                     const int64_t* lengths, int64_t batch, int64_t sides, int64_t samples, int64_t frames,      \
                                     int64_t threads) {                                                                          \
        const Shape shape{lengths, batch, sides, sides, samples, frames, 5 * frames};                                            \
        forward<T>({x, *gain, controls + 2 * frames, y, shape}, controls, controls + frames, wet, state, after, threads);        \
    }

DASP_FREEVERB(float, f32)
DASP_FREEVERB(double, f64)
