// Parameters of level followers and gain curves from controls in their units, value by value: (batch, P, K), one kind a row.
#include "common.h"

namespace {

enum Kind { kPole, kGain, kAbove, kBelow };
constexpr double kShortest = 1e-3;  // ms; below, a follower is instant
constexpr double kFloor = -200;     // dB; a gain of 0 from there down
constexpr double kOctave = 0.11512925464970228;  // log(10) / 20
constexpr double kTurn = -2000 * 3.141592653589793;

// In the plugin's precision, and its functions.
double narrow(Kind kind, float v, double rate) {
    switch (kind) {
        case kPole: return v < kShortest ? 0 : float(std::exp(kTurn / (rate * double(v))));
        case kGain: return v <= float(kFloor) ? 0 : ::powf(10.0f, v * 0.05f);
        case kAbove: return 1 / v - 1;
        default: return v - 1;
    }
}

double exact(Kind kind, double v, double rate) {
    switch (kind) {
        case kPole: return v < kShortest ? 0 : std::exp(kTurn / (rate * v));
        case kGain: return v <= kFloor ? 0 : std::pow(10.0, v / 20);
        case kAbove: return 1 / v - 1;
        default: return v - 1;
    }
}

double slope(Kind kind, double v, double rate) {
    switch (kind) {
        case kPole: return -exact(kind, v, rate) * kTurn / (rate * std::max(v, kShortest) * std::max(v, kShortest));
        case kGain: return kOctave * exact(kind, v, rate);
        case kAbove: return -1 / (v * v);
        default: return 1;
    }
}

Kind kind_of(int64_t kinds, int64_t index, int64_t rows, int64_t frames) { return Kind(kinds >> 2 * (index / frames % rows) & 3); }

}  // namespace

DASP_EXPORT void level_design(const double* values, const double* rate, double* out, int64_t count, int64_t rows, int64_t frames,
                              int64_t kinds, int64_t single, int64_t threads) {
    dasp::each(count, threads, [&](int64_t i) {
        const Kind kind = kind_of(kinds, i, rows, frames);
        out[i] = single ? narrow(kind, float(values[i]), *rate) : exact(kind, values[i], *rate);
    });
}
DASP_EXPORT void level_design_backward(const double* g, const double* values, const double* rate, double* out, int64_t count,
                                       int64_t rows, int64_t frames, int64_t kinds, int64_t threads) {
    dasp::each(count, threads, [&](int64_t i) { out[i] = g[i] * slope(kind_of(kinds, i, rows, frames), values[i], *rate); });
}
