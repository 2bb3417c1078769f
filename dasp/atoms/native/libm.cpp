// The system's float32 elementary functions, value for value what the plugins call; and tanh with its derivative.
#include "common.h"

DASP_EXPORT int64_t dasp_abi() { return 5; }

// The widest of the instruction sets that the kernels are built for and this processor has: the suffix of that build's name.
DASP_EXPORT const char* dasp_instructions() {
#if defined(__x86_64__)
    __builtin_cpu_init();
    auto all = [](auto... has) { return (has && ...); };
    if (!all(__builtin_cpu_supports("avx2"), __builtin_cpu_supports("fma"), __builtin_cpu_supports("bmi2"))) return "";
    const bool wide = all(__builtin_cpu_supports("avx512f"), __builtin_cpu_supports("avx512bw"), __builtin_cpu_supports("avx512cd"),
                          __builtin_cpu_supports("avx512dq"), __builtin_cpu_supports("avx512vl"));
    return wide ? "_avx512" : "_avx2";
#else
    return "";
#endif
}

using dasp::each;

#define DASP_UNARY(NAME)                                                                             \
    DASP_EXPORT void libm_##NAME(const float* x, float* y, int64_t count, int64_t threads) {         \
        each(count, threads, [&](int64_t i) { y[i] = ::NAME(x[i]); });                               \
    }

DASP_UNARY(expf)
DASP_UNARY(sinf)
DASP_UNARY(cosf)
DASP_UNARY(tanf)
DASP_UNARY(tanhf)
DASP_UNARY(log10f)

DASP_EXPORT void libm_powf(const float* x, const float* e, float* y, int64_t count, int64_t threads) {
    each(count, threads, [&](int64_t i) { y[i] = ::powf(x[i], e[i]); });
}
DASP_EXPORT void libm_tan(const double* x, double* y, int64_t count, int64_t threads) {
    each(count, threads, [&](int64_t i) { y[i] = std::tan(x[i]); });
}
DASP_EXPORT void tanh_f64(const double* x, double* y, int64_t count, int64_t threads) {
    each(count, threads, [&](int64_t i) { y[i] = std::tanh(x[i]); });
}
// 1 - tanh^2 = 1 / cosh^2, without the cancellation near saturation.
DASP_EXPORT void tanh_backward_f32(const float* g, const float* x, float* gx, int64_t count, int64_t threads) {
    each(count, threads, [&](int64_t i) {
        const double c = std::cosh(double(x[i]));
        gx[i] = float(g[i] / (c * c));
    });
}
DASP_EXPORT void tanh_backward_f64(const double* g, const double* x, double* gx, int64_t count, int64_t threads) {
    each(count, threads, [&](int64_t i) {
        const double c = std::cosh(x[i]);
        gx[i] = g[i] / (c * c);
    });
}
