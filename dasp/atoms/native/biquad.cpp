// Cascade of second-order sections, transposed direct form II:
//     y = b0 x + s1,   s1' = b1 x - a1 y + s2,   s2' = b2 x - a2 y
// Coefficients (batch, sections, 5, K): K = 1 (constant) or T (one set a sample).
// State (batch, channels, sections, 3): s1, s2, and how many samples of the plugin's current block are done.
#include "simd.h"

namespace {

using dasp::Group;
using dasp::Lanes;

constexpr int64_t kMemory = 3;     // a section's values in the state
constexpr int64_t kPlugin = 8192;  // samples in a block of the plugin's
constexpr int64_t kShort = 128;    // samples for which all sections' signals lie in the cache
constexpr int kTogether = 3;        // sections that run in one loop

// In float32 tiny and invalid states are cleared at the end of each block, as the plugin does.
struct Blocks {
    int64_t block, done;  // length of a block, and how much of the first one is behind us
    bool flush;
    int64_t stop(int64_t start, int64_t limit) const { return std::min(limit, start + block - (start + done) % block); }
    template <typename V, int W>
    void settle(std::vector<Lanes<V, W>>& states, int64_t stop) const {
        if (!flush || (stop + done) % block != 0) return;
        for (auto& s : states)
            for (int i = 0; i < W; ++i)
                if (!(std::abs(s.get(i)) > V(1e-8))) s.set(i, 0);
    }
};

// The coefficients of a group's rows.
template <typename V, int W, bool Varying>
struct Coefficients {
    const V* rows[W];
    int64_t samples;
    std::vector<Lanes<V, W>> fixed;

    Coefficients(const V* c, int64_t sections, int64_t channels, int64_t first, int64_t count, int64_t samples) : samples(samples) {
        const int64_t size = sections * 5 * (Varying ? samples : 1);
        for (int i = 0; i < W; ++i) rows[i] = c + (first + std::min<int64_t>(i, count - 1)) / channels * size;
        if (Varying) return;
        fixed.resize(sections * 5);
        for (int64_t k = 0; k < sections * 5; ++k)
            for (int i = 0; i < W; ++i) fixed[k].set(i, rows[i][k]);
    }
    Lanes<V, W> at(int64_t section, int i, int64_t n) const {
        if constexpr (Varying) {
            Lanes<V, W> out;
            for (int lane = 0; lane < W; ++lane) out.set(lane, rows[lane][(section * 5 + i) * samples + n]);
            return out;
        } else {
            return fixed[section * 5 + i];
        }
    }
};


// Sections [first, first + K) on `count` samples from `start` on. Each waits for the one before at every sample, but not for its
// next sample: together they fill the time in which one would wait for itself. Output n of section k goes to
// signal[(k + 1) * stride + n]; stride 0: in place.
template <int K, typename V, int W, bool Varying>
void run(const Coefficients<V, W, Varying>& c, int64_t first, Lanes<V, W>* signal, int64_t stride, int64_t start, int64_t count,
         Lanes<V, W>* states) {
    Lanes<V, W> s1[K], s2[K];
    for (int k = 0; k < K; ++k) s1[k] = states[2 * k], s2[k] = states[2 * k + 1];
    for (int64_t n = 0; n < count; ++n) {
        Lanes<V, W> v = signal[n];
        for (int k = 0; k < K; ++k) {
            const auto out = c.at(first + k, 0, start + n) * v + s1[k];
            s1[k] = c.at(first + k, 1, start + n) * v - c.at(first + k, 3, start + n) * out + s2[k];
            s2[k] = c.at(first + k, 2, start + n) * v - c.at(first + k, 4, start + n) * out;
            v = out;
            if (stride || k == K - 1) signal[(k + 1) * stride + n] = v;
        }
    }
    for (int k = 0; k < K; ++k) states[2 * k] = s1[k], states[2 * k + 1] = s2[k];
}

template <typename V, int W, bool Varying>
void cascade(const Coefficients<V, W, Varying>& c, int64_t sections, Lanes<V, W>* signal, int64_t stride, int64_t start,
             int64_t count, Lanes<V, W>* states) {
    int64_t k = 0;
    for (; k + kTogether <= sections; k += kTogether)
        run<kTogether>(c, k, signal + k * stride, stride, start, count, states + 2 * k);
    for (; k < sections; ++k) run<1>(c, k, signal + k * stride, stride, start, count, states + 2 * k);
}

template <typename V, int W, typename T>
std::vector<Lanes<V, W>> states_of(const T* state, int64_t sections, int64_t first, int64_t count) {
    std::vector<Lanes<V, W>> out(2 * sections);
    for (int i = 0; i < W; ++i) {
        const T* memory = state + (first + std::min<int64_t>(i, count - 1)) * sections * kMemory;
        for (int64_t k = 0; k < 2 * sections; ++k) out[k].set(i, V(memory[k / 2 * kMemory + k % 2]));
    }
    return out;
}

template <int W, bool Varying, typename T>
void forward_group(const T* x, const T* c, T* y, T* state, int64_t first, int64_t count, int64_t channels, int64_t samples,
                   int64_t sections, Blocks blocks) {
    const Group<const T, W> in(x, samples, first, count);
    const Group<T, W> out(y, samples, first, count);
    const Coefficients<T, W, Varying> rows(c, sections, channels, first, count, samples);
    auto states = states_of<T, W>(state, sections, first, count);
    std::vector<Lanes<T, W>> signal(kShort);
    for (int64_t start = 0, stop; start < samples; start = stop) {
        stop = std::min(blocks.stop(start, samples), start + kShort);
        in.load(start, stop - start, signal.data(), kShort);
        cascade(rows, sections, signal.data(), 0, start, stop - start, states.data());
        out.store(start, stop - start, signal.data());
        blocks.settle(states, stop);
    }
    for (int64_t i = 0; i < count; ++i) {
        T* memory = state + (first + i) * sections * kMemory;
        for (int64_t k = 0; k < sections; ++k) {
            memory[k * kMemory] = states[2 * k].get(int(i));
            memory[k * kMemory + 1] = states[2 * k + 1].get(int(i));
            memory[k * kMemory + 2] = T((int64_t(memory[k * kMemory + 2]) + samples) % kPlugin);
        }
    }
}

template <typename T>
void forward(const T* x, const T* c, T* y, T* state, int64_t batch, int64_t channels, int64_t samples, int64_t sections,
             int64_t frames, int64_t hop, int64_t threads) {
    constexpr bool flush = sizeof(T) == sizeof(float);
    const int64_t rows = sections ? batch * channels : 0;
    auto position = [&](int64_t row) { return int64_t(state[row * sections * kMemory + 2]); };
    auto run = [&](auto width, int64_t first, int64_t count) {
        const Blocks blocks = hop ? Blocks{hop, 0, flush} : Blocks{kPlugin, position(first), flush};
        if (frames == 1)
            forward_group<decltype(width)::value, false>(x, c, y, state, first, count, channels, samples, sections, blocks);
        else
            forward_group<1, true>(x, c, y, state, first, 1, channels, samples, sections, blocks);
    };
    bool alike = true;
    for (int64_t row = 1; row < rows; ++row) alike = alike && position(row) == position(0);
    if (frames == 1 && (alike || hop))
        dasp::for_groups<T>(rows, threads, run);
    else
        dasp::for_rows(rows, threads, [&](int64_t row) { run(std::integral_constant<int, 1>{}, row, 1); });
}

// Adjoint of K sections on `count` samples, in reversed time. `signal` holds each section's input, the last one's output behind it;
// `grad` the gradient of that output, and then of the first one's input. Lambda: adjoints of the states; sums: of constant
// coefficients. `record` takes those of coefficients that vary.
template <int K, int W, bool Varying, typename Record>
void run_back(const Coefficients<double, W, Varying>& c, int64_t first, const Lanes<double, W>* signal, Lanes<double, W>* grad,
              int64_t start, int64_t count, Lanes<double, W>* lambda, Lanes<double, W>* sums, Record&& record) {
    using D = Lanes<double, W>;
    D l1[K], l2[K], sum[K][5];
    for (int k = 0; k < K; ++k) {
        l1[k] = lambda[2 * k], l2[k] = lambda[2 * k + 1];
        for (int i = 0; i < 5; ++i) sum[k][i] = D::all(0);
    }
    for (int64_t n = count - 1; n >= 0; --n) {
        D g = grad[n];
        for (int k = K - 1; k >= 0; --k) {
            const D in = signal[k * kShort + n], out = signal[(k + 1) * kShort + n];
            const D gy = g - c.at(first + k, 4, start + n) * l2[k] - c.at(first + k, 3, start + n) * l1[k];
            if constexpr (Varying) {
                const D parts[5] = {gy * in, l1[k] * in, l2[k] * in, -(l1[k] * out), -(l2[k] * out)};
                record(first + k, start + n, parts);
            } else {
                sum[k][0] += gy * in;
                sum[k][1] += l1[k] * in;
                sum[k][2] += l2[k] * in;
                sum[k][3] -= l1[k] * out;
                sum[k][4] -= l2[k] * out;
            }
            g = c.at(first + k, 0, start + n) * gy + c.at(first + k, 1, start + n) * l1[k] + c.at(first + k, 2, start + n) * l2[k];
            l2[k] = l1[k];
            l1[k] = gy;
        }
        grad[n] = g;
    }
    for (int k = 0; k < K; ++k) {
        lambda[2 * k] = l1[k], lambda[2 * k + 1] = l2[k];
        for (int i = 0; i < 5; ++i) sums[5 * k + i] += sum[k][i];
    }
}

// Adjoint in double. Forward states are recomputed: once to the start of each short block, then within the block.
template <int W, bool Varying, typename T>
void backward_group(const T* g, const T* x, const double* c, const T* state, T* gx, double* gc, int64_t first, int64_t count,
                    int64_t channels, int64_t samples, int64_t sections) {
    using D = Lanes<double, W>;
    const Group<const T, W> in(x, samples, first, count), from(g, samples, first, count);
    const Group<T, W> to(gx, samples, first, count);
    const Coefficients<double, W, Varying> rows(c, sections, channels, first, count, samples);
    const int64_t blocks = (samples + kShort - 1) / kShort, size = 2 * sections;
    std::vector<D> starts((blocks + 1) * size), signal((sections + 1) * kShort), grad(kShort);
    std::vector<D> lambda(size, D::all(0)), sums(5 * sections, D::all(0));
    auto begin = states_of<double, W>(state, sections, first, count);
    std::copy(begin.begin(), begin.end(), starts.begin());
    for (int64_t block = 0; block + 1 < blocks; ++block) {
        D* next = &starts[(block + 1) * size];
        std::copy_n(&starts[block * size], size, next);
        in.load(block * kShort, kShort, signal.data(), kShort);
        cascade(rows, sections, signal.data(), 0, block * kShort, kShort, next);
    }
    auto record = [&](int64_t section, int64_t n, const D* parts) {
        for (int64_t lane = 0; lane < count; ++lane)
            for (int i = 0; i < 5; ++i) gc[(((first + lane) * sections + section) * 5 + i) * samples + n] = parts[i].get(int(lane));
    };
    for (int64_t block = blocks - 1; block >= 0; --block) {
        const int64_t start = block * kShort, length = std::min(samples - start, kShort);
        in.load(start, length, signal.data(), -kShort);
        cascade(rows, sections, signal.data(), kShort, start, length, &starts[block * size]);
        from.load(start, length, grad.data(), -kShort);
        auto back = [&](auto together, int64_t k) {
            run_back<decltype(together)::value>(rows, k, &signal[k * kShort], grad.data(), start, length, &lambda[2 * k], &sums[5 * k],
                                                record);
        };
        // One section of two registers' rows, or two sections of one's: more would not fit the processor's 16 registers.
        constexpr int kBoth = D::kParts > 1 ? 1 : 2;
        int64_t k = sections;
        for (; k >= kBoth; k -= kBoth) back(std::integral_constant<int, kBoth>{}, k - kBoth);
        for (; k > 0; --k) back(std::integral_constant<int, 1>{}, k - 1);
        to.store(start, length, grad.data());
    }
    if (Varying) return;
    for (int64_t lane = 0; lane < count; ++lane)
        for (int64_t i = 0; i < 5 * sections; ++i) gc[(first + lane) * sections * 5 + i] = sums[i].get(int(lane));
}

template <typename T>
void backward(const T* g, const T* x, const double* c, const T* state, T* gx, double* gc, int64_t batch, int64_t channels,
              int64_t samples, int64_t sections, int64_t frames, int64_t threads) {
    // Coefficients that vary have to be gathered row by row: lanes would gain nothing.
    if (frames == 1)
        dasp::for_groups<double>(batch * channels, threads, [&](auto width, int64_t first, int64_t count) {
            constexpr int W = decltype(width)::value;
            backward_group<W, false>(g, x, c, state, gx, gc, first, count, channels, samples, sections);
        });
    else
        dasp::for_rows(batch * channels, threads, [&](int64_t row) {
            backward_group<1, true>(g, x, c, state, gx, gc, row, 1, channels, samples, sections);
        });
}

}  // namespace

DASP_EXPORT void biquad_f32(const float* x, const float* c, float* y, float* state, int64_t batch, int64_t channels,
                            int64_t samples, int64_t sections, int64_t frames, int64_t hop, int64_t threads) {
    forward(x, c, y, state, batch, channels, samples, sections, frames, hop, threads);
}
DASP_EXPORT void biquad_f64(const double* x, const double* c, double* y, double* state, int64_t batch, int64_t channels,
                            int64_t samples, int64_t sections, int64_t frames, int64_t hop, int64_t threads) {
    forward(x, c, y, state, batch, channels, samples, sections, frames, hop, threads);
}
DASP_EXPORT void biquad_backward_f32(const float* g, const float* x, const double* c, const float* state, float* gx,
                                     double* gc, int64_t batch, int64_t channels, int64_t samples, int64_t sections,
                                     int64_t frames, int64_t threads) {
    backward(g, x, c, state, gx, gc, batch, channels, samples, sections, frames, threads);
}
DASP_EXPORT void biquad_backward_f64(const double* g, const double* x, const double* c, const double* state, double* gx,
                                     double* gc, int64_t batch, int64_t channels, int64_t samples, int64_t sections,
                                     int64_t frames, int64_t threads) {
    backward(g, x, c, state, gx, gc, batch, channels, samples, sections, frames, threads);
}
