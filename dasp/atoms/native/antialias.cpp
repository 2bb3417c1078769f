// Mean of tanh between two values: by its antiderivative log cosh, and by quadrature where they are close; and its derivatives.
// One value at a time with the system's functions, so that a sample's value does not depend on where it stands in memory.
#include "common.h"

using dasp::each;

namespace {

// Gauss-Legendre with four points on [0, 1]: within 1e-13 of the mean over a step below kNear.
constexpr double kNear = 0.1;
constexpr double kNodes[] = {0.06943184420297371, 0.33000947820757187, 0.66999052179242813, 0.93056815579702629};
constexpr double kWeights[] = {0.17392742256872693, 0.32607257743127307, 0.32607257743127307, 0.17392742256872693};

double log_cosh(double z) {
    const double size = std::abs(z);
    return size + std::log1p(std::exp(-2 * size)) - 0.69314718055994530942;
}

double mean_tanh(double a, double b) {
    const double step = b - a;
    if (step == 0) return std::tanh(a);  // to the bit, so that what is left of silence is nothing
    if (!(std::abs(step) < kNear)) return (log_cosh(b) - log_cosh(a)) / step;
    double sum = 0;
    for (int i = 0; i < 4; ++i) sum += kWeights[i] * std::tanh(a + kNodes[i] * step);
    return sum;
}

}  // namespace

DASP_EXPORT void mean_tanh_f64(const double* a, const double* b, double* y, int64_t count, int64_t threads) {
    each(count, threads, [&](int64_t i) { y[i] = mean_tanh(a[i], b[i]); });
}
DASP_EXPORT void mean_tanh_backward_f64(const double* g, const double* a, const double* b, double* ga, double* gb, int64_t count,
                                        int64_t threads) {
    each(count, threads, [&](int64_t i) {
        const double step = b[i] - a[i];
        double to_a = 0, to_b = 0;
        if (!(std::abs(step) < kNear)) {
            const double mean = mean_tanh(a[i], b[i]);
            to_a = (mean - std::tanh(a[i])) / step;
            to_b = (std::tanh(b[i]) - mean) / step;
        } else {
            for (int k = 0; k < 4; ++k) {
                const double c = std::cosh(a[i] + kNodes[k] * step), slope = kWeights[k] / (c * c);
                to_a += (1 - kNodes[k]) * slope;
                to_b += kNodes[k] * slope;
            }
        }
        ga[i] = g[i] * to_a;
        gb[i] = g[i] * to_b;
    });
}
