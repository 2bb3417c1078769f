// Delay line with feedback and a fractional read at a delay that may change every sample; w is what the line holds.
//     prompt:  out[n] = w read d[n] >= 1 samples ago,  w[n] = x[n] + F[n] out[n]
//     late:    w[n] = x[n] + F[n-1] out[n-1],          out[n] = w read d[n] >= 0 samples ago
// Reads, with i whole samples and the rest f:
//     linear:  out = w[n-i] + f (w[n-i-1] - w[n-i]),           0 <= f < 1
//     Thiran:  out = a w[n-i] + w[n-i-1] - a out[n-1],         1/2 <= f < 3/2, a = (1 - f) / (1 + f)
// A row's state: the line's last `memory` samples (oldest first), F out and out of the last sample. Before them is silence.
// Delays stay in double: at two seconds float32 has only some hundredths of a sample left.
#include <memory>

#include "common.h"

namespace {

struct Shape {
    int64_t batch, channels, samples, memory, delays, feedbacks, late, thiran;
    int64_t rows() const { return batch * channels; }
    int64_t state() const { return memory + 2; }
};

constexpr int64_t kShort = 256;  // samples whose taps are found at once
constexpr int64_t kWorth = 8;    // samples that are worth a run without looking back

struct Tap {
    int64_t whole;
    double rest;
    bool limited;  // outside what can be read: no gradient of the delay
};

double shortest(const Shape& s) { return s.thiran ? 1.5 : s.late ? 0.0 : 1.0; }
// Whole samples are counted in 32 bits: a delay of half a day is one of a day.
double longest(const Shape& s) { return double(std::min<int64_t>(s.memory + s.samples + 2, 0x7FFFFFF0)); }

Tap tap(const Shape& s, double delay) {
    const double low = shortest(s), high = longest(s);
    const bool limited = !(delay >= low && delay <= high);
    if (limited) delay = delay < low ? low : high;
    const double whole = std::floor(s.thiran ? delay - 0.5 : delay);
    return {int64_t(whole), delay - whole, limited};
}

// The taps of a few samples: where they read, what is left for the read between samples, and the least look back.
template <typename T>
struct Taps {
    int32_t whole[kShort];
    T rest[kShort];
    int64_t least;

    void find(const Shape& s, const double* delay, int64_t count) {
        const double low = shortest(s), high = longest(s), shift = s.thiran ? 0.5 : 0.0;
        int32_t nearest = 0x7FFFFFFF;
        for (int64_t n = 0; n < count; ++n) {
            const double d = delay[n] < low ? low : delay[n] <= high ? delay[n] : high;
            const double floor = std::floor(d - shift);
            whole[n] = int32_t(floor);
            rest[n] = s.thiran ? T((1 - (d - floor)) / (1 + (d - floor))) : T(d - floor);
            nearest = std::min(nearest, whole[n]);
        }
        least = nearest;
    }
    void repeat(const Shape& s, double delay) {
        find(s, &delay, 1);
        std::fill(whole + 1, whole + kShort, whole[0]);
        std::fill(rest + 1, rest + kShort, rest[0]);
    }
};

// `line` holds the state's memory, then room for the call's samples.
template <typename T, typename In>
void run(const Shape& s, const In* x, const double* delay, const T* feedback, T* line, T* out, T& fed, T& last) {
    const bool moving = s.delays > 1;
    const int64_t step_f = s.feedbacks == 1 ? 0 : 1;
    T* w = line + s.memory;
    auto at = [&](int64_t n) { return n >= -s.memory ? w[n] : T(0); };
    auto read = [&](int64_t n, int32_t whole, T rest) {
        const T near = at(n - whole), far = at(n - whole - 1);
        return s.thiran ? rest * (near - last) + far : near + rest * (far - near);
    };
    Taps<T> taps;
    if (!moving && s.samples) taps.repeat(s, *delay);
    for (int64_t start = 0, count; start < s.samples; start += count) {
        count = std::min(kShort, s.samples - start);
        if (moving) taps.find(s, delay + start, count);
        if (s.thiran || taps.least < kWorth) {  // each sample may need the one before
            for (int64_t i = 0, n = start; i < count; ++i, ++n) {
                if (s.late) w[n] = T(x[n]) + fed;
                last = read(n, taps.whole[i], taps.rest[i]);
                fed = last * feedback[n * step_f];
                out[n] = last;
                if (!s.late) w[n] = T(x[n]) + fed;
            }
            continue;
        }
        // What these samples read was written before the first of them.
        count = std::min(count, taps.least);
        const int64_t stop = start + count, first = start - taps.whole[0];
        if (moving || first - 1 < -s.memory) {
            for (int64_t i = 0; i < count; ++i) out[start + i] = read(start + i, taps.whole[i], taps.rest[i]);
        } else {
            const T rest = taps.rest[0];
            for (int64_t i = 0; i < count; ++i) out[start + i] = w[first + i] + rest * (w[first + i - 1] - w[first + i]);
        }
        const T* f = feedback + start * step_f;
        if (s.late) {
            w[start] = T(x[start]) + fed;
            for (int64_t n = start + 1, i = 0; n < stop; ++n, ++i) w[n] = T(x[n]) + out[n - 1] * f[i * step_f];
        } else if (step_f) {
            for (int64_t n = start, i = 0; n < stop; ++n, ++i) w[n] = T(x[n]) + out[n] * f[i];
        } else {
            for (int64_t n = start; n < stop; ++n) w[n] = T(x[n]) + out[n] * *f;
        }
        last = out[stop - 1];
        fed = last * f[(count - 1) * step_f];
    }
}

template <typename T>
void forward(const Shape& s, const T* x, const double* delay, const T* feedback, T* out, T* state, int64_t threads) {
    dasp::for_rows(s.rows(), threads, [&](int64_t r) {
        const int64_t item = r / s.channels;
        T* memory = state + r * s.state();
        const std::unique_ptr<T[]> line(new T[s.memory + s.samples]);  // not cleared: all of it is written
        std::copy_n(memory, s.memory, line.get());
        run<T>(s, x + r * s.samples, delay + item * s.delays, feedback + item * s.feedbacks, line.get(), out + r * s.samples,
               memory[s.memory], memory[s.memory + 1]);
        std::copy_n(line.get() + s.samples, s.memory, memory);
    });
}

// Adjoint in double; what the line held is recomputed. Gradients of delay and feedback per row.
template <typename T>
void backward(const Shape& s, const T* g, const T* x, const double* delay, const double* feedback, const T* state, T* gx,
              double* gd, double* gf, int64_t threads) {
    dasp::for_rows(s.rows(), threads, [&](int64_t r) {
        const int64_t item = r / s.channels, step_d = s.delays == 1 ? 0 : 1, step_f = s.feedbacks == 1 ? 0 : 1;
        const T* memory = state + r * s.state();
        const double *d = delay + item * s.delays, *f = feedback + item * s.feedbacks;
        double *to_delay = gd + r * s.delays, *to_feedback = gf + r * s.feedbacks;
        const std::unique_ptr<double[]> line(new double[s.memory + s.samples]), out(new double[s.samples]);
        std::vector<double> grad(s.samples, 0.0);
        std::copy_n(memory, s.memory, line.get());
        double fed = memory[s.memory], last = memory[s.memory + 1];
        const double before = last;
        run<double>(s, x + r * s.samples, d, f, line.get(), out.get(), fed, last);
        const double* w = line.get() + s.memory;
        auto at = [&](int64_t n) { return n >= -s.memory ? w[n] : 0.0; };
        auto add = [&](int64_t n, double v) {
            if (n >= 0) grad[n] += v;
        };
        double later = 0, to_last = 0;  // gradients of the value fed back one sample late, and of out[n-1] in a Thiran read
        for (int64_t n = s.samples - 1; n >= 0; --n) {
            const double to_fed = s.late ? later : grad[n];
            to_feedback[n * step_f] += to_fed * out[n];
            const double to_out = g[r * s.samples + n] + f[n * step_f] * to_fed + to_last;
            const Tap t = tap(s, d[n * step_d]);
            const int64_t m = n - t.whole;
            double slope;
            if (s.thiran) {
                const double a = (1 - t.rest) / (1 + t.rest), previous = n ? out[n - 1] : before;
                add(m, a * to_out);
                add(m - 1, to_out);
                to_last = -a * to_out;
                slope = (at(m) - previous) * -2 / ((1 + t.rest) * (1 + t.rest));
            } else {
                add(m, (1 - t.rest) * to_out);
                add(m - 1, t.rest * to_out);
                slope = at(m - 1) - at(m);
            }
            if (!t.limited) to_delay[n * step_d] += to_out * slope;
            later = grad[n];
            gx[r * s.samples + n] = T(grad[n]);
        }
    });
}

}  // namespace

#define DASP_DELAY_LINE(T, SUFFIX)                                                                                           \
    DASP_EXPORT void delay_line_##SUFFIX(const T* x, const double* delay, const T* feedback, T* out, T* state,               \
                                         int64_t batch, int64_t channels, int64_t samples, int64_t memory, int64_t delays,   \
                                         int64_t feedbacks, int64_t late, int64_t thiran, int64_t threads) {                 \
        forward({batch, channels, samples, memory, delays, feedbacks, late, thiran}, x, delay, feedback, out, state,         \
                threads);                                                                                                    \
    }                                                                                                                        \
    DASP_EXPORT void delay_line_backward_##SUFFIX(const T* g, const T* x, const double* delay, const double* feedback,       \
                                                  const T* state, T* gx, double* gd, double* gf, int64_t batch,              \
                                                  int64_t channels, int64_t samples, int64_t memory, int64_t delays,         \
                                                  int64_t feedbacks, int64_t late, int64_t thiran, int64_t threads) {        \
        backward({batch, channels, samples, memory, delays, feedbacks, late, thiran}, g, x, delay, feedback, state, gx, gd,  \
                 gf, threads);                                                                                               \
    }

DASP_DELAY_LINE(float, f32)
DASP_DELAY_LINE(double, f64)
