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

// The spectra of taps [first, first + parts m), m by m; rows that share a response share its spectra.
class Response {
  public:
    Response(const Transform& t, int64_t first, int64_t parts) : transform(t), first(first), parts(parts), spectra(new Four[parts * t.stride()]) {}

    void take(const double* h, int64_t taps) {
        if (h == taken) return;
        taken = h;
        std::vector<double> part(transform.m);
        for (int64_t p = 0; p < parts; ++p) {
            const int64_t from = first + p * transform.m, count = std::min(transform.m, taps - from);
            std::fill(std::copy_n(h + from, count, part.begin()), part.end(), 0.0);
            transform.forward(part.data(), static_cast<const double*>(nullptr), &spectra[p * transform.stride()]);
        }
    }
    const Four* operator[](int64_t part) const { return &spectra[part * transform.stride()]; }

  private:
    const Transform& transform;
    const int64_t first, parts;
    const double* taken = nullptr;
    Buffer spectra;
};

// A level: taps [m, m + parts m) of one response, by blocks of m. Block b is samples [b m, (b + 1) m) of the grid.
template <typename T>
class Level {
  public:
    Level(const Transform& t, int64_t taps, int64_t growth, int64_t batch)
        : transform(t),
          m(t.m),
          width(t.stride()),
          parts((std::min(growth * m, taps) - 1) / m),
          batch(batch),
          slots(parts + batch - 1),
          response(t, m, parts),
          spectra(new Four[slots * width]),
          sums(new Four[batch * width]),
          heard(slots),
          low(m),
          high(m),
          edge(m) {}

    // A row begins, at sample `start` of the grid.
    void begin(const double* h, int64_t taps, int64_t start) {
        response.take(h, taps);
        next = start / m - parts;
    }

    // Output samples [start, stop) of the grid, added to y; each call goes on where the one before has stopped, and all but the
    // first start where a block does. Sample `origin` of the grid is sample 0 of the line.
    void add(const Line<T>& line, int64_t origin, int64_t start, int64_t stop, double* y) {
        for (int64_t n = start / m; n * m < stop; n += batch) {
            const int64_t count = std::min(batch, (stop - 1) / m + 1 - n);
            for (; next < n + count - 1; ++next) load(line, origin);
            products.resize(count);
            for (int64_t i = 0; i < count; ++i) {
                products[i].begin(&sums[i * width], true);
                for (int64_t p = 1; p <= parts; ++p)
                    if (const int64_t s = slot(n + i - p); heard[s])
                        products[i].terms.emplace_back(&spectra[s * width], response[p - 1]);
            }
            dasp::add_products<false>(products, m);
            for (int64_t i = 0; i < count; ++i) {
                if (products[i].terms.empty()) continue;  // silence, to the last bit
                const int64_t first = (n + i) * m;
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
        if (heard[s]) transform.forward(before, now, &spectra[s * width]);
    }

    const Transform& transform;
    const int64_t m, width, parts, batch, slots;
    int64_t next = 0;
    Response response;
    Buffer spectra, sums;
    std::vector<Products> products;
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

// What both directions are given: history (batch, channels, past), x (batch, channels, samples), h (batch, responses, taps).
template <typename T>
struct Given {
    const T *history, *x;
    const double* h;
    int64_t batch, channels, responses, past, samples, taps;

    Line<T> line(int64_t row) const { return {history + row * past, past, x + row * samples, samples}; }
    const double* response(int64_t row) const {
        return h + (row / channels * responses + (responses == 1 ? 0 : row % channels)) * taps;
    }
    // Calls f(first, stop) for a share of the rows on each thread: rows in a row share what they need to be computed.
    template <typename F>
    void for_shares(int64_t threads, F&& f) const {
        const int64_t rows = batch * channels, shares = std::min(rows, std::max<int64_t>(1, threads));
        dasp::for_rows(shares, threads, [&](int64_t i) { f(i * rows / shares, (i + 1) * rows / shares); });
    }
};

// Sample `origin` of the grid is x's first.
template <typename T>
void convolve(const Given<T>& given, T* y, int64_t origin, int64_t head, int64_t growth, int64_t threads) {
    const int64_t taps = given.taps, samples = given.samples, first = std::min(head, taps);
    int64_t longest = head;
    while (growth * longest < taps) longest *= growth;
    const int64_t chunk = std::max<int64_t>(longest, 1 << 15), most = std::min(chunk, samples);
    given.for_shares(threads, [&](int64_t row, int64_t last) {
        std::vector<Level<T>> levels;
        for (int64_t m = head; m < taps; m *= growth)
            levels.emplace_back(Transform::of(m), taps, growth, std::min<int64_t>(8, chunk / m));
        std::vector<T> room(most + first - 1);
        std::vector<double> in(most + first - 1 + 15), sum(most + 15);
        for (; row < last; ++row) {
            const Line<T> line = given.line(row);
            T* out = y + row * samples;
            for (auto& level : levels) level.begin(given.response(row), taps, origin);
            for (int64_t start = origin, stop; start < origin + samples; start = stop) {
                stop = std::min(origin + samples, (start / chunk + 1) * chunk);
                const int64_t length = stop - start, heard = length + first - 1;
                std::copy_n(line.at(start - origin - first + 1, heard, room.data()), heard, in.data());
                direct(in.data(), given.response(row), first, sum.data(), length);
                for (auto& level : levels) level.add(line, origin, start, stop, sum.data());
                for (int64_t n = 0; n < length; ++n) *out++ = T(sum[n]);
            }
        }
    });
}

// With the gradient g at y: at history and x, sum_k h[k] g[n + k]; at the response of each row, sum_n g[n] x[n - k]. Both are
// correlations with g, by blocks of m, and need its spectra, of blocks b and b + 1, b = 0, 1, ...; the second adds up its products
// over all blocks before it transforms back. A null pointer for what is not asked for; to_h is (batch, channels, taps).
template <typename T>
class Gradient {
  public:
    Gradient(const Given<T>& given, const T* g, T* to_history, T* to_x, double* to_h, int64_t block)
        : given(given),
          g(g),
          to_history(to_history),
          to_x(to_x),
          to_h(to_h),
          transform(Transform::of(block)),
          m(block),
          width(transform.stride()),
          parts((given.taps + m - 1) / m),
          before(std::min(given.past, given.taps - 1)),
          together(std::min<int64_t>(4, std::max<int64_t>(1, (1 << 16) / m))),
          response(transform, 0, parts),
          spectra(new Four[(parts + together - 1) * width]),
          sums(new Four[together * width]),
          inputs(new Four[to_h ? together * width : 0]),
          total(new Four[to_h ? parts * width : 0]),
          heard(parts + together - 1),
          low(m),
          high(m),
          out(m) {}

    void operator()(int64_t row) {
        const Line<T> line = given.line(row), back{nullptr, 0, g + row * given.samples, given.samples};
        const int64_t blocks = (before + given.samples + m - 1) / m;
        if (to_history) std::fill_n(to_history + row * given.past, given.past - before, T(0));
        if (to_history || to_x) response.take(given.response(row), given.taps);
        next = 0;
        for (int64_t b = 0; b < blocks; b += together) {
            const int64_t count = std::min(together, blocks - b);
            for (; next < b + count + parts - 1; ++next) load(back);
            products.clear();
            for (int64_t i = 0; (to_history || to_x) && i < count; ++i) {
                products.emplace_back().begin(&sums[i * width], true);
                for (int64_t p = 0; p < parts; ++p) add_term(response[p], b + i + p);
            }
            if (to_h) take_inputs(line, b, count);
            dasp::add_products<true>(products, m);
            for (int64_t i = 0; (to_history || to_x) && i < count; ++i) give(products[i].sum, row, (b + i) * m - before);
        }
        for (int64_t p = 0; to_h && p < parts; ++p) {
            std::fill(out.begin(), out.end(), 0.0);
            transform.template add_half<false>(&total[p * width], out.data());
            std::copy_n(out.data(), std::min(m, given.taps - p * m), to_h + row * given.taps + p * m);
        }
    }

  private:
    // The spectrum of blocks next and next + 1 of g.
    void load(const Line<T>& back) {
        const T* now = back.at(next * m - before, m, low.data());
        const T* after = back.at((next + 1) * m - before, m, high.data());
        const int64_t slot = next % int64_t(heard.size());
        heard[slot] = sounds(now, m) || sounds(after, m);
        if (heard[slot]) transform.forward(now, after, &spectra[slot * width]);
    }

    void add_term(const Four* factor, int64_t block) {
        const int64_t slot = block % int64_t(heard.size());
        if (heard[slot]) products.back().terms.emplace_back(factor, &spectra[slot * width]);
    }

    // The products of blocks [b, b + count) of the signal, for the response.
    void take_inputs(const Line<T>& line, int64_t b, int64_t count) {
        std::vector<int64_t> sounding;
        for (int64_t i = 0; i < count; ++i) {
            const T* block = line.at((b + i) * m - before, m, low.data());
            if (!sounds(block, m)) continue;
            transform.forward(block, static_cast<const T*>(nullptr), &inputs[i * width]);
            sounding.push_back(i);
        }
        for (int64_t p = 0; p < parts; ++p) {
            products.emplace_back().begin(&total[p * width], b == 0);
            for (const int64_t i : sounding) add_term(&inputs[i * width], b + i + p);
        }
    }

    // The block of the signal's gradient from sample `first` on.
    void give(Four* sum, int64_t row, int64_t first) {
        const int64_t stop = std::min(first + m, given.samples);
        if (!(to_x && stop > 0) && !(to_history && first < 0)) return;
        std::fill(out.begin(), out.end(), 0.0);
        transform.template add_half<false>(sum, out.data());
        for (int64_t n = first; to_history && n < std::min<int64_t>(0, stop); ++n)
            to_history[(row + 1) * given.past + n] = T(out[n - first]);
        for (int64_t n = std::max<int64_t>(0, first); to_x && n < stop; ++n) to_x[row * given.samples + n] = T(out[n - first]);
    }

    const Given<T>& given;
    const T* g;
    T *to_history, *to_x;
    double* to_h;
    const Transform& transform;
    const int64_t m, width, parts, before, together;  // before: so much of the past is heard; together: blocks per step
    int64_t next = 0;
    Response response;
    Buffer spectra, sums, inputs, total;
    std::vector<Products> products;
    std::vector<char> heard;
    std::vector<T> low, high;
    std::vector<double> out;
};

}  // namespace

#define DASP_CONVOLVE(T, SUFFIX)                                                                                                    \
    DASP_EXPORT void convolve_##SUFFIX(const T* history, const T* x, const double* h, T* y, int64_t batch, int64_t channels,        \
                                       int64_t responses, int64_t past, int64_t samples, int64_t taps, int64_t origin, int64_t head, \
                                       int64_t growth, int64_t threads) {                                                           \
        convolve<T>({history, x, h, batch, channels, responses, past, samples, taps}, y, origin, head, growth, threads);            \
    }                                                                                                                               \
    DASP_EXPORT void convolve_gradient_##SUFFIX(const T* history, const T* x, const double* h, const T* g, T* to_history, T* to_x,  \
                                                double* to_h, int64_t batch, int64_t channels, int64_t responses, int64_t past,     \
                                                int64_t samples, int64_t taps, int64_t block, int64_t threads) {                    \
        const Given<T> given{history, x, h, batch, channels, responses, past, samples, taps};                                       \
        given.for_shares(threads, [&](int64_t row, int64_t last) {                                                                  \
            for (Gradient<T> gradient(given, g, to_history, to_x, to_h, block); row < last; ++row) gradient(row);                   \
        });                                                                                                                         \
    }

DASP_CONVOLVE(float, f32)
DASP_CONVOLVE(double, f64)
