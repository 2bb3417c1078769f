// Causal convolution of which every output sample depends on the past alone, to the last bit: however a signal is cut into blocks,
// the same sums are formed. An FFT over a block that is not complete yet would not do. So the first taps are summed directly, and
// taps [M, growth M) by transforms of complete blocks of M samples on a grid fixed in time, for M = head, growth head, ... (W. G.
// Gardner, J. Audio Eng. Soc. 43(3), 1995). All in double.
#include "common.h"

namespace {

// Negacyclic convolution of 2M real values (modulo X^2M + 1) by a complex transform of M: (x[j] + i x[j + M]) exp(i pi j / 2M).
// Only the upper half of a product is used, which the wrapped part does not reach. Spectra stay in bit-reversed order.
class Transform {
  public:
    explicit Transform(int64_t size) : m(size), twist(2 * size), turn(2 * size) {
        const double pi = std::acos(-1.0);
        for (int64_t j = 0; j < m; ++j) {
            twist[j] = std::cos(pi * double(j) / double(2 * m));
            twist[m + j] = std::sin(pi * double(j) / double(2 * m));
        }
        for (int64_t half = 1; half < m; half *= 2)
            for (int64_t j = 0; j < half; ++j) {
                turn[half + j] = std::cos(pi * double(j) / double(half));
                turn[m + half + j] = -std::sin(pi * double(j) / double(half));
            }
    }

    // 2M real values -> M real parts, then M imaginary ones.
    void forward(const double* x, double* spectrum) const {
        double *re = spectrum, *im = spectrum + m;
        const double *c = &twist[0], *s = &twist[m];
        for (int64_t j = 0; j < m; ++j) {
            re[j] = x[j] * c[j] - x[j + m] * s[j];
            im[j] = x[j] * s[j] + x[j + m] * c[j];
        }
        for (int64_t half = m / 2; half >= 1; half /= 2)
            for (int64_t start = 0; start < m; start += 2 * half) {
                double *ar = re + start, *ai = im + start, *br = ar + half, *bi = ai + half;
                const double *wr = &turn[half], *wi = &turn[m + half];
                for (int64_t j = 0; j < half; ++j) {
                    const double dr = ar[j] - br[j], di = ai[j] - bi[j];
                    ar[j] += br[j];
                    ai[j] += bi[j];
                    br[j] = dr * wr[j] - di * wi[j];
                    bi[j] = dr * wi[j] + di * wr[j];
                }
            }
    }

    // Adds the upper M of the 2M values to y; destroys the spectrum.
    void add_upper(double* spectrum, double* y) const {
        double *re = spectrum, *im = spectrum + m;
        for (int64_t half = 1; half < m; half *= 2)
            for (int64_t start = 0; start < m; start += 2 * half) {
                double *ar = re + start, *ai = im + start, *br = ar + half, *bi = ai + half;
                const double *wr = &turn[half], *wi = &turn[m + half];
                for (int64_t j = 0; j < half; ++j) {
                    const double vr = br[j] * wr[j] + bi[j] * wi[j], vi = bi[j] * wr[j] - br[j] * wi[j];
                    br[j] = ar[j] - vr;
                    bi[j] = ai[j] - vi;
                    ar[j] += vr;
                    ai[j] += vi;
                }
            }
        for (int64_t j = 0; j < m; ++j) y[j] += (im[j] * twist[j] - re[j] * twist[m + j]) / double(m);
    }

    const int64_t m;

  private:
    std::vector<double> twist, turn;
};

// A level: taps [m, m + parts m) of one response, by blocks of m.
struct Level {
    const Transform& transform;
    int64_t parts;
    std::vector<double> taps;

    Level(const Transform& t, const double* h, int64_t count, int64_t growth)
        : transform(t), parts((std::min(growth * t.m, count) - 1) / t.m), taps(parts * 2 * t.m) {
        std::vector<double> part(2 * t.m);
        for (int64_t p = 0; p < parts; ++p) {
            std::fill(part.begin(), part.end(), 0.0);
            const int64_t first = (p + 1) * t.m;
            std::copy_n(h + first, std::min(t.m, count - first), part.begin());
            t.forward(part.data(), &taps[p * 2 * t.m]);
        }
    }

    // Output blocks from the one with sample `start` to the one before `stop`, added to y[0 ...] = sample `start` on. `now` points at
    // sample 0, where a block of every level begins.
    template <typename T>
    void add(const T* now, int64_t start, int64_t stop, double* y) const {
        const int64_t m = transform.m, width = 2 * m;
        std::vector<double> segment(width), spectra(parts * width), sum(width), block(m);
        std::vector<char> sounds(parts);
        auto load = [&](int64_t b) {  // the spectrum of input blocks b - 1 and b; silence needs none
            const int64_t slot = (b % parts + parts) % parts;
            const T* x = now + (b - 1) * m;
            sounds[slot] = std::any_of(x, x + width, [](T v) { return v != 0; });
            if (!sounds[slot]) return;
            std::copy_n(x, width, segment.begin());
            transform.forward(segment.data(), &spectra[slot * width]);
        };
        const int64_t first = start / m, last = (stop - 1) / m;
        for (int64_t b = first - parts; b < first - 1; ++b) load(b);
        for (int64_t n = first; n <= last; ++n) {
            load(n - 1);
            std::fill(sum.begin(), sum.end(), 0.0);
            bool any = false;
            for (int64_t p = 1; p <= parts; ++p) {
                const int64_t slot = ((n - p) % parts + parts) % parts;
                if (!sounds[slot]) continue;
                any = true;
                const double *xr = &spectra[slot * width], *xi = xr + m, *hr = &taps[(p - 1) * width], *hi = hr + m;
                double *sr = &sum[0], *si = &sum[m];
                for (int64_t j = 0; j < m; ++j) {
                    sr[j] += xr[j] * hr[j] - xi[j] * hi[j];
                    si[j] += xr[j] * hi[j] + xi[j] * hr[j];
                }
            }
            if (!any) continue;
            std::fill(block.begin(), block.end(), 0.0);
            transform.add_upper(sum.data(), block.data());
            for (int64_t j = std::max<int64_t>(0, start - n * m), end = std::min(m, stop - n * m); j < end; ++j)
                y[n * m + j - start] += block[j];
        }
    }
};

// x: (batch, channels, past + samples), h: (batch, responses, taps), y: (batch, channels, samples). Sample `origin` of x begins a
// block of every level.
template <typename T>
void convolve(const T* x, const double* h, T* y, int64_t batch, int64_t channels, int64_t responses, int64_t samples,
              int64_t past, int64_t taps, int64_t origin, int64_t head, int64_t growth, int64_t threads) {
    std::vector<Transform> transforms;
    for (int64_t m = head; m < taps; m *= growth) transforms.emplace_back(m);
    dasp::for_rows(batch * channels, threads, [&](int64_t row) {
        const T* in = x + row * (past + samples);
        const double* response = h + (row / channels * responses + (responses == 1 ? 0 : row % channels)) * taps;
        std::vector<double> sum(samples, 0.0);
        for (int64_t k = 0; k < std::min(head, taps); ++k)
            for (int64_t n = 0; n < samples; ++n) sum[n] += response[k] * double(in[past + n - k]);
        for (const auto& transform : transforms)
            Level(transform, response, taps, growth).add(in + origin, past - origin, past - origin + samples, sum.data());
        for (int64_t n = 0; n < samples; ++n) y[row * samples + n] = T(sum[n]);
    });
}

}  // namespace

#define DASP_CONVOLVE(T, SUFFIX)                                                                                              \
    DASP_EXPORT void convolve_##SUFFIX(const T* x, const double* h, T* y, int64_t batch, int64_t channels, int64_t responses, \
                                       int64_t samples, int64_t past, int64_t taps, int64_t origin, int64_t head,             \
                                       int64_t growth, int64_t threads) {                                                     \
        convolve(x, h, y, batch, channels, responses, samples, past, taps, origin, head, growth, threads);                    \
    }

DASP_CONVOLVE(float, f32)
DASP_CONVOLVE(double, f64)
