// Delay line with feedback and a fractional read at a delay that may change every sample; w is what the line holds.
//     prompt:  out[n] = w read d[n] >= 1 samples ago,  w[n] = x[n] + F[n] out[n]
//     late:    w[n] = x[n] + F[n-1] out[n-1],          out[n] = w read d[n] >= 0 samples ago
// Reads, with i whole samples and the rest f:
//     linear:  out = w[n-i] + f (w[n-i-1] - w[n-i]),           0 <= f < 1
//     Thiran:  out = a w[n-i] + w[n-i-1] - a out[n-1],         1/2 <= f < 3/2, a = (1 - f) / (1 + f)
// A row's state: the line's last `memory` samples (oldest first), F out and out of the last sample. Before them is silence.
// Delays stay in double: at two seconds float32 has only some hundredths of a sample left.
#include "common.h"

namespace {

struct Shape {
    int64_t batch, channels, samples, memory, delays, feedbacks, late, thiran;
    int64_t rows() const { return batch * channels; }
    int64_t state() const { return memory + 2; }
};

struct Tap {
    int64_t whole;
    double rest;
    bool limited;  // outside what can be read: no gradient of the delay
};

Tap tap(const Shape& s, double delay) {
    const double low = s.thiran ? 1.5 : s.late ? 0.0 : 1.0, high = double(s.memory + s.samples + 2);
    const bool limited = !(delay >= low && delay <= high);
    if (limited) delay = delay < low ? low : high;
    const double whole = std::floor(s.thiran ? delay - 0.5 : delay);
    return {int64_t(whole), delay - whole, limited};
}

// `line` holds the state's memory, then room for the call's samples.
template <typename T, typename In>
void run(const Shape& s, const In* x, const double* delay, const T* feedback, T* line, T* out, T& fed, T& last) {
    const int64_t step_d = s.delays == 1 ? 0 : 1, step_f = s.feedbacks == 1 ? 0 : 1;
    T* w = line + s.memory;
    auto at = [&](int64_t n) { return n >= -s.memory ? w[n] : T(0); };
    for (int64_t n = 0; n < s.samples; ++n) {
        if (s.late) w[n] = T(x[n]) + fed;
        const Tap t = tap(s, delay[n * step_d]);
        const T near = at(n - t.whole), far = at(n - t.whole - 1);
        if (s.thiran) {
            const T a = T((1 - t.rest) / (1 + t.rest));
            last = a * (near - last) + far;
        } else {
            last = near + T(t.rest) * (far - near);
        }
        fed = last * feedback[n * step_f];
        out[n] = last;
        if (!s.late) w[n] = T(x[n]) + fed;
    }
}

template <typename T>
void forward(const Shape& s, const T* x, const double* delay, const T* feedback, T* out, T* state, int64_t threads) {
    dasp::for_rows(s.rows(), threads, [&](int64_t r) {
        const int64_t item = r / s.channels;
        T* memory = state + r * s.state();
        std::vector<T> line(s.memory + s.samples);
        std::copy_n(memory, s.memory, line.begin());
        run<T>(s, x + r * s.samples, delay + item * s.delays, feedback + item * s.feedbacks, line.data(), out + r * s.samples,
               memory[s.memory], memory[s.memory + 1]);
        std::copy_n(line.begin() + s.samples, s.memory, memory);
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
        std::vector<double> line(s.memory + s.samples), out(s.samples), grad(s.samples, 0.0);
        std::copy_n(memory, s.memory, line.begin());
        double fed = memory[s.memory], last = memory[s.memory + 1];
        const double before = last;
        run<double>(s, x + r * s.samples, d, f, line.data(), out.data(), fed, last);
        const double* w = line.data() + s.memory;
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
