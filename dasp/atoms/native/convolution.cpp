// Causal convolution of which every output sample depends on the past alone, to the last bit: however a signal is cut into blocks,
// the same sums are formed. An FFT over a block that is not complete yet would not do. So the first taps are summed directly, and
// taps [M, growth M) by transforms of complete blocks of M samples on a grid fixed in time, for M = head, growth head, ... (W. G.
// Gardner, J. Audio Eng. Soc. 43(3), 1995). Its gradient needs no such care: blocks of one length. All in double.
#include "fft.h"

using dasp::Buffer;
using dasp::Four;
using dasp::Products;
using dasp::Transform;

namespace {

// What an earlier call has heard, then what this one hears; sample 0 is the first of x, and beyond both ends there is silence.
template <typename T>
struct Line {
    const T* history;
    int64_t past;
    const T* x;
    int64_t samples;

    // Samples [from, from + count): in place where they are in a row, else put together in `room`.
    const T* at(int64_t from, int64_t count, T* room) const {
        if (from >= 0 && from + count <= samples) return x + from;
        if (from >= -past && from + count <= 0) return history + past + from;
        std::fill(room, room + count, T(0));
        auto take = [&](const T* source, int64_t first, int64_t length) {
            const int64_t start = std::max(from, first), stop = std::min(from + count, first + length);
            if (start < stop) std::copy_n(source + start - first, stop - start, room + start - from);
        };
        take(history, -past, past);
        take(x, 0, samples);
        return room;
    }
};

template <typename T>
bool sounds(const T* x, int64_t count) {
    return std::any_of(x, x + count, [](T v) { return v != 0; });
}

// The spectra of taps [first, first + count m), m by m.
Buffer response_spectra(const Transform& transform, const double* h, int64_t taps, int64_t first, int64_t count) {
    const int64_t m = transform.m;
    Buffer spectra(new Four[count * m / 2]);
    std::vector<double> part(m);
    for (int64_t p = 0; p < count; ++p, first += m) {
        std::fill(part.begin(), part.end(), 0.0);
        std::copy_n(h + first, std::min(m, taps - first), part.begin());
        transform.forward(part.data(), static_cast<const double*>(nullptr), &spectra[p * m / 2]);
    }
    return spectra;
}

// A level: taps [m, m + parts m) of one response, by blocks of m. Block b is samples [b m, (b + 1) m) of the grid.
template <typename T>
class Level {
  public:
    Level(const Transform& t, const double* h, int64_t taps, int64_t growth, int64_t start, int64_t batch)
        : transform(t),
          m(t.m),
          parts((std::min(growth * m, taps) - 1) / m),
          batch(batch),
          slots(parts + batch - 1),
          next(start / m - parts),
          response(response_spectra(t, h, taps, m, parts)),
          spectra(new Four[slots * m / 2]),
          sums(new Four[batch * m / 2]),
          heard(slots),
          low(m),
          high(m),
          edge(m) {}

    // Output samples [start, stop) of the grid, added to y; each call goes on where the one before has stopped, and all but the
    // first start where a block does. Sample `origin` of the grid is sample 0 of the line.
    void add(const Line<T>& line, int64_t origin, int64_t start, int64_t stop, double* y) {
        for (int64_t n = start / m; n * m < stop; n += batch) {
            const int64_t count = std::min(batch, (stop - 1) / m + 1 - n);
            for (; next < n + count - 1; ++next) load(line, origin);
            std::vector<Products> products;
            std::vector<int64_t> blocks;
            for (int64_t i = 0; i < count; ++i) {
                Products product{&sums[i * m / 2], true, {}};
                for (int64_t p = 1; p <= parts; ++p)
                    if (const int64_t s = slot(n + i - p); heard[s])
                        product.terms.emplace_back(&spectra[s * m / 2], &response[(p - 1) * m / 2]);
                if (product.terms.empty()) continue;
                products.push_back(std::move(product));
                blocks.push_back(n + i);
            }
            dasp::add_products<false>(products, m);
            for (size_t i = 0; i < blocks.size(); ++i) {
                const int64_t first = blocks[i] * m;
                if (first >= start && first + m <= stop) {
                    transform.template add_half<true>(products[i].sum, y + first - start);
                    continue;
                }
                std::fill(edge.begin(), edge.end(), 0.0);
                transform.template add_half<true>(products[i].sum, edge.data());
                for (int64_t j = std::max(first, start); j < std::min(first + m, stop); ++j) y[j - start] += edge[j - first];
            }
        }
    }

  private:
    int64_t slot(int64_t block) const { return (block % slots + slots) % slots; }

    // The spectrum of input blocks next - 1 and next; silence needs none.
    void load(const Line<T>& line, int64_t origin) {
        const T* before = line.at((next - 1) * m - origin, m, low.data());
        const T* now = line.at(next * m - origin, m, high.data());
        const int64_t s = slot(next);
        heard[s] = sounds(before, m) || sounds(now, m);
        if (heard[s]) transform.forward(before, now, &spectra[s * m / 2]);
    }

    const Transform& transform;
    const int64_t m, parts, batch, slots;
    int64_t next;
    Buffer response, spectra, sums;
    std::vector<char> heard;
    std::vector<T> low, high;
    std::vector<double> edge;
};

// y[n] = sum over k < taps of h[k] x[n - k]; x begins taps - 1 samples before y, and both may be read and written up to 15 behind
// their ends.
void direct(const double* x, const double* h, int64_t taps, double* y, int64_t samples) {
    for (int64_t n = 0; n < samples; n += 16) {
        Four a{}, b{}, c{}, d{};
        for (int64_t k = 0; k < taps; ++k) {
            const double* from = x + n + taps - 1 - k;
            const Four tap = dasp::all(h[k]);
            a += tap * dasp::load(from);
            b += tap * dasp::load(from + 4);
            c += tap * dasp::load(from + 8);
            d += tap * dasp::load(from + 12);
        }
        dasp::store(y + n, a);
        dasp::store(y + n + 4, b);
        dasp::store(y + n + 8, c);
        dasp::store(y + n + 12, d);
    }
}

// history: (batch, channels, past), x and y: (batch, channels, samples), h: (batch, responses, taps). Sample `origin` of the grid is
// x's first.
template <typename T>
void convolve(const T* history, const T* x, const double* h, T* y, int64_t batch, int64_t channels, int64_t responses, int64_t past,
              int64_t samples, int64_t taps, int64_t origin, int64_t head, int64_t growth, int64_t threads) {
    int64_t longest = head;
    while (growth * longest < taps) longest *= growth;
    const int64_t chunk = std::max<int64_t>(longest, 1 << 15), first = std::min(head, taps);
    dasp::for_rows(batch * channels, threads, [&](int64_t row) {
        const Line<T> line{history + row * past, past, x + row * samples, samples};
        const double* response = h + (row / channels * responses + (responses == 1 ? 0 : row % channels)) * taps;
        std::vector<Level<T>> levels;
        for (int64_t m = head; m < taps; m *= growth)
            levels.emplace_back(Transform::of(m), response, taps, growth, origin, std::min<int64_t>(8, chunk / m));
        const int64_t most = std::min(chunk, samples);
        std::vector<T> room(most + first - 1);
        std::vector<double> in(most + first - 1 + 15), sum(most + 15);
        T* out = y + row * samples;
        for (int64_t start = origin, stop; start < origin + samples; start = stop) {
            stop = std::min(origin + samples, (start / chunk + 1) * chunk);
            const int64_t length = stop - start, heard = length + first - 1;
            std::copy_n(line.at(start - origin - first + 1, heard, room.data()), heard, in.data());
            direct(in.data(), response, first, sum.data(), length);
            for (auto& level : levels) level.add(line, origin, start, stop, sum.data());
            for (int64_t n = 0; n < length; ++n) *out++ = T(sum[n]);
        }
    });
}

// With the gradient g at y: at history and x, sum_k h[k] g[n + k]; at the response of each row, sum_n g[n] x[n - k]. Both are
// correlations with g, by blocks of m, and need its spectra, of blocks b and b + 1, b = 0, 1, ...; the second adds up its products
// over all blocks before it transforms back. A null pointer for what is not asked for; g_h is (batch, channels, taps).
template <typename T>
void gradient(const T* history, const T* x, const double* h, const T* g, T* g_history, T* g_x, double* g_h, int64_t batch,
              int64_t channels, int64_t responses, int64_t past, int64_t samples, int64_t taps, int64_t m, int64_t threads) {
    const Transform& transform = Transform::of(m);
    const int64_t parts = (taps + m - 1) / m, width = m / 2, together = 4, slots = parts + together - 1;
    const int64_t before = std::min(past, taps - 1), blocks = (before + samples + m - 1) / m;  // what g hears of the past
    const bool to_signal = g_history || g_x;
    dasp::for_rows(batch * channels, threads, [&](int64_t row) {
        const Line<T> line{history + row * past, past, x + row * samples, samples}, back{nullptr, 0, g + row * samples, samples};
        const double* response = h + (row / channels * responses + (responses == 1 ? 0 : row % channels)) * taps;
        const Buffer taken = to_signal ? response_spectra(transform, response, taps, 0, parts) : nullptr;
        const Buffer spectra(new Four[slots * width]), sums(new Four[together * width]), inputs(new Four[together * width]);
        const Buffer to_h(new Four[g_h ? parts * width : 0]);
        std::vector<char> heard(slots);
        std::vector<T> low(m), high(m);
        std::vector<double> out(m);
        if (g_history) std::fill_n(g_history + row * past, past - before, T(0));
        if (g_h) std::fill_n(reinterpret_cast<double*>(to_h.get()), parts * m * 2, 0.0);
        int64_t next = 0;
        for (int64_t b = 0; b < blocks; b += together) {
            const int64_t count = std::min(together, blocks - b);
            for (; next < b + count + parts - 1; ++next) {
                const T* now = back.at(next * m - before, m, low.data());
                const T* after = back.at((next + 1) * m - before, m, high.data());
                heard[next % slots] = sounds(now, m) || sounds(after, m);
                if (heard[next % slots]) transform.forward(now, after, &spectra[next % slots * width]);
            }
            std::vector<Products> products;
            for (int64_t i = 0; to_signal && i < count; ++i) {
                products.push_back({&sums[i * width], true, {}});
                for (int64_t p = 0; p < parts; ++p)
                    if (const int64_t s = (b + i + p) % slots; heard[s])
                        products.back().terms.emplace_back(&taken[p * width], &spectra[s * width]);
            }
            std::vector<int64_t> given;
            for (int64_t i = 0; g_h && i < count; ++i) {
                const T* block = line.at((b + i) * m - before, m, low.data());
                if (!sounds(block, m)) continue;
                transform.forward(block, static_cast<const T*>(nullptr), &inputs[i * width]);
                given.push_back(i);
            }
            for (int64_t p = 0; g_h && p < parts; ++p) {
                products.push_back({&to_h[p * width], false, {}});
                for (const int64_t i : given)
                    if (const int64_t s = (b + i + p) % slots; heard[s])
                        products.back().terms.emplace_back(&inputs[i * width], &spectra[s * width]);
            }
            dasp::add_products<true>(products, m);
            for (int64_t i = 0; to_signal && i < count; ++i) {
                const int64_t first = (b + i) * m - before, stop = std::min(first + m, samples);
                if (!(g_x && stop > 0) && !(g_history && first < 0)) continue;
                std::fill(out.begin(), out.end(), 0.0);
                transform.add_half<false>(products[i].sum, out.data());
                for (int64_t n = first; g_history && n < std::min<int64_t>(0, stop); ++n)
                    g_history[row * past + past + n] = T(out[n - first]);
                for (int64_t n = std::max<int64_t>(0, first); g_x && n < stop; ++n) g_x[row * samples + n] = T(out[n - first]);
            }
        }
        for (int64_t p = 0; g_h && p < parts; ++p) {
            std::fill(out.begin(), out.end(), 0.0);
            transform.add_half<false>(&to_h[p * width], out.data());
            std::copy_n(out.data(), std::min(m, taps - p * m), g_h + row * taps + p * m);
        }
    });
}

}  // namespace

#define DASP_CONVOLVE(T, SUFFIX)                                                                                                    \
    DASP_EXPORT void convolve_##SUFFIX(const T* history, const T* x, const double* h, T* y, int64_t batch, int64_t channels,        \
                                       int64_t responses, int64_t past, int64_t samples, int64_t taps, int64_t origin, int64_t head, \
                                       int64_t growth, int64_t threads) {                                                           \
        convolve(history, x, h, y, batch, channels, responses, past, samples, taps, origin, head, growth, threads);                 \
    }                                                                                                                               \
    DASP_EXPORT void convolve_gradient_##SUFFIX(const T* history, const T* x, const double* h, const T* g, T* g_history, T* g_x,    \
                                                double* g_h, int64_t batch, int64_t channels, int64_t responses, int64_t past,      \
                                                int64_t samples, int64_t taps, int64_t m, int64_t threads) {                        \
        gradient(history, x, h, g, g_history, g_x, g_h, batch, channels, responses, past, samples, taps, m, threads);               \
    }

DASP_CONVOLVE(float, f32)
DASP_CONVOLVE(double, f64)
