// Cascade of second-order sections, transposed direct form II:
//     y = b0 x + s1,   s1' = b1 x - a1 y + s2,   s2' = b2 x - a2 y
// Coefficients (batch, sections, 5, K): K = 1 (constant) or T (one set a sample).
// State (batch, channels, sections, 3): s1, s2, and how many samples of the plugin's current block are done.
#include "common.h"

namespace {

using dasp::kBlock;

// In float32 tiny and invalid states are cleared at the end of each block, as the plugin does.
template <typename T>
struct Blocks {
    int64_t block, done;  // length of a block, and how much of the first one is behind us
    bool flush;
    int64_t stop(int64_t start, int64_t samples) const { return std::min(samples, start + block - (start + done) % block); }
    void settle(T& s, int64_t stop) const {
        if (flush && (stop + done) % block == 0 && !(std::abs(s) > T(1e-8))) s = 0;
    }
};

constexpr int64_t kMemory = 3;  // a section's values in the state

template <typename T, bool Varying>
struct Rows {
    const T* c;       // this row's coefficients, (sections, 5, K)
    int64_t samples;  // K when varying
    T at(int64_t section, int i, int64_t n) const {
        return Varying ? c[(section * 5 + i) * samples + n] : c[section * 5 + i];
    }
};

template <typename T>
void forward_varying(const T* x, const T* c, T* y, T* state, int64_t sections, int64_t samples, Blocks<T> blocks) {
    const Rows<T, true> rows{c, samples};
    for (int64_t start = 0, stop; start < samples; start = stop) {
        stop = blocks.stop(start, samples);
        for (int64_t s = 0; s < sections; ++s) {
            const T* in = s == 0 ? x : y;
            T *memory = state + s * kMemory, s1 = memory[0], s2 = memory[1];
            for (int64_t n = start; n < stop; ++n) {
                const T v = in[n];
                const T out = rows.at(s, 0, n) * v + s1;
                s1 = rows.at(s, 1, n) * v - rows.at(s, 3, n) * out + s2;
                s2 = rows.at(s, 2, n) * v - rows.at(s, 4, n) * out;
                y[n] = out;
            }
            blocks.settle(s1, stop), blocks.settle(s2, stop);
            memory[0] = s1, memory[1] = s2;
        }
    }
}

// Adjoint in double. Forward states are recomputed: once to the start of each block, then within the block.
template <typename T, bool Varying>
void backward_row(const T* g, const T* x, const double* c, const T* state, T* gx, double* gc, int64_t sections, int64_t samples) {
    const Rows<double, Varying> rows{c, samples};
    const int64_t blocks = (samples + kBlock - 1) / kBlock;
    std::vector<double> starts((blocks + 1) * sections * 2), lambda(sections * 2, 0.0);
    std::vector<double> signal((sections + 1) * kBlock), grad(kBlock);
    for (int64_t i = 0; i < 2 * sections; ++i) starts[i] = state[i / 2 * kMemory + i % 2];

    auto run = [&](int64_t block, double* s) {
        const int64_t start = block * kBlock, count = std::min(samples - start, kBlock);
        for (int64_t n = 0; n < count; ++n) signal[n] = x[start + n];
        for (int64_t k = 0; k < sections; ++k) {
            const double* in = &signal[k * kBlock];
            double* out = &signal[(k + 1) * kBlock];
            double s1 = s[2 * k], s2 = s[2 * k + 1];
            for (int64_t n = 0; n < count; ++n) {
                const int64_t m = start + n;
                out[n] = rows.at(k, 0, m) * in[n] + s1;
                s1 = rows.at(k, 1, m) * in[n] - rows.at(k, 3, m) * out[n] + s2;
                s2 = rows.at(k, 2, m) * in[n] - rows.at(k, 4, m) * out[n];
            }
            s[2 * k] = s1, s[2 * k + 1] = s2;
        }
    };
    for (int64_t block = 0; block + 1 < blocks; ++block) {
        double* next = &starts[(block + 1) * sections * 2];
        std::copy_n(&starts[block * sections * 2], sections * 2, next);
        run(block, next);
    }
    for (int64_t block = blocks - 1; block >= 0; --block) {
        const int64_t start = block * kBlock, count = std::min(samples - start, kBlock);
        std::vector<double> s(&starts[block * sections * 2], &starts[(block + 1) * sections * 2]);
        run(block, s.data());
        for (int64_t n = 0; n < count; ++n) grad[n] = g[start + n];
        for (int64_t k = sections - 1; k >= 0; --k) {
            const double *in = &signal[k * kBlock], *out = &signal[(k + 1) * kBlock];
            double l1 = lambda[2 * k], l2 = lambda[2 * k + 1];
            double sum[5] = {0, 0, 0, 0, 0};
            for (int64_t n = count - 1; n >= 0; --n) {
                const int64_t m = start + n;
                const double gy = grad[n] - rows.at(k, 3, m) * l1 - rows.at(k, 4, m) * l2;
                const double parts[5] = {gy * in[n], l1 * in[n], l2 * in[n], -l1 * out[n], -l2 * out[n]};
                for (int i = 0; i < 5; ++i) {
                    if (Varying)
                        gc[(k * 5 + i) * samples + m] = parts[i];
                    else
                        sum[i] += parts[i];
                }
                grad[n] = rows.at(k, 0, m) * gy + rows.at(k, 1, m) * l1 + rows.at(k, 2, m) * l2;
                l2 = l1;
                l1 = gy;
            }
            if (!Varying)
                for (int i = 0; i < 5; ++i) gc[k * 5 + i] += sum[i];
            lambda[2 * k] = l1, lambda[2 * k + 1] = l2;
        }
        for (int64_t n = 0; n < count; ++n) gx[start + n] = T(grad[n]);
    }
}

// Constant coefficients: a row's recursion waits for itself at every sample, so several rows advance together.
template <typename T, int R>
void forward_rows(const T* x, const T* const* c, T* y, T* state, int64_t sections, int64_t samples, Blocks<T> blocks) {
    for (int64_t start = 0, stop; start < samples; start = stop) {
        stop = blocks.stop(start, samples);
        for (int64_t s = 0; s < sections; ++s) {
            const T* in = s == 0 ? x : y;
            T b0[R], b1[R], b2[R], a1[R], a2[R], s1[R], s2[R];
            for (int r = 0; r < R; ++r) {
                const T* k = c[r] + s * 5;
                b0[r] = k[0], b1[r] = k[1], b2[r] = k[2], a1[r] = k[3], a2[r] = k[4];
                const T* memory = state + (r * sections + s) * kMemory;
                s1[r] = memory[0], s2[r] = memory[1];
            }
            for (int64_t n = start; n < stop; ++n) {
                for (int r = 0; r < R; ++r) {
                    const T v = in[r * samples + n];
                    const T out = b0[r] * v + s1[r];
                    s1[r] = b1[r] * v - a1[r] * out + s2[r];
                    s2[r] = b2[r] * v - a2[r] * out;
                    y[r * samples + n] = out;
                }
            }
            for (int r = 0; r < R; ++r) {
                T* memory = state + (r * sections + s) * kMemory;
                blocks.settle(s1[r], stop), blocks.settle(s2[r], stop);
                memory[0] = s1[r], memory[1] = s2[r];
            }
        }
    }
}

// `hop`: the plugin's block where it is fed hop by hop, starting with this call; 0: its own blocks since the stream began.
template <typename T>
void forward(const T* x, const T* c, T* y, T* state, int64_t batch, int64_t channels, int64_t samples, int64_t sections,
             int64_t frames, int64_t hop, int64_t threads) {
    constexpr int64_t plugin_block = 8192;
    constexpr bool flush = sizeof(T) == sizeof(float);
    const int64_t rows = batch * channels, size = sections * 5 * frames, width = sections * kMemory;
    auto position = [&](int64_t r) { return int64_t(state[r * width + 2]); };
    auto blocks = [&](int64_t r) {
        return hop ? Blocks<T>{hop, 0, flush} : Blocks<T>{plugin_block, position(r), flush};
    };
    // As many rows at a time as keep every thread busy.
    const int64_t wide = frames != 1 ? 1 : rows >= 4 * threads ? 4 : rows >= 2 * threads ? 2 : 1;
    dasp::for_rows(sections ? (rows + wide - 1) / wide : 0, threads, [&](int64_t group) {
        for (int64_t r = group * wide, stop = std::min(rows, r + wide); r < stop;) {
            const T* k[4];
            for (int64_t i = 0; i < 4; ++i) k[i] = c + (std::min(r + i, rows - 1) / channels) * size;
            int64_t alike = 1;
            while (r + alike < stop && position(r + alike) == position(r)) ++alike;
            const int64_t together = alike >= 4 ? 4 : alike >= 2 ? 2 : 1;
            const auto at = blocks(r);
            const T* in = x + r * samples;
            T *out = y + r * samples, *memory = state + r * width;
            if (frames != 1) {
                forward_varying(in, k[0], out, memory, sections, samples, at);
            } else {
                auto run = together == 4 ? forward_rows<T, 4> : together == 2 ? forward_rows<T, 2> : forward_rows<T, 1>;
                run(in, k, out, memory, sections, samples, at);
            }
            for (int64_t i = 0; i < together * sections; ++i) {
                T& done = memory[i * kMemory + 2];
                done = T((int64_t(done) + samples) % plugin_block);
            }
            r += together;
        }
    });
}

template <typename T>
void backward(const T* g, const T* x, const double* c, const T* state, T* gx, double* gc, int64_t batch, int64_t channels,
              int64_t samples, int64_t sections, int64_t frames, int64_t threads) {
    dasp::for_rows(batch * channels, threads, [&](int64_t r) {
        const int64_t size = sections * 5 * frames;
        auto row = frames == 1 ? backward_row<T, false> : backward_row<T, true>;
        row(g + r * samples, x + r * samples, c + (r / channels) * size, state + r * sections * kMemory, gx + r * samples,
            gc + r * size, sections, samples);
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
