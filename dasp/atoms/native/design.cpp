// Coefficients of second-order sections and their derivatives. Controls (batch, sections, K) in double; coefficients (batch,
// sections, 5, K), rows b0, b1, b2, a1, a2 with a0 = 1. The formulas are written once: in float they give the plugin's values, in
// the plugin's order of operations with the system's functions; in double the exact ones; with duals their derivatives.
#include "common.h"

namespace {

enum Kind : int64_t {
    kLowShelf,
    kHighShelf,
    kPeak,
    kLowPass,
    kHighPass,
    kBandPass,
    kNotch,
    kAllPass,
    kButterworthLowPass,
    kButterworthHighPass,
};

const double kPi = std::acos(-1.0);

// A value and its derivatives by frequency, gain and Q.
struct Dual {
    double value, by[3];
    Dual(double v = 0) : value(v), by{0, 0, 0} {}
    Dual(double v, int which) : Dual(v) { by[which] = 1; }
    Dual chain(double v, double slope) const {
        Dual out(v);
        for (int i = 0; i < 3; ++i) out.by[i] = slope * by[i];
        return out;
    }
    friend Dual operator+(Dual a, const Dual& b) {
        a.value += b.value;
        for (int i = 0; i < 3; ++i) a.by[i] += b.by[i];
        return a;
    }
    friend Dual operator-(const Dual& a) { return a.chain(-a.value, -1); }
    friend Dual operator-(const Dual& a, const Dual& b) { return a + -b; }
    friend Dual operator*(const Dual& a, const Dual& b) { return a.chain(a.value * b.value, b.value) + b.chain(0, a.value); }
    friend Dual operator/(const Dual& a, const Dual& b) {
        const double q = a.value / b.value;
        return a.chain(q, 1 / b.value) + b.chain(0, -q / b.value);
    }
};

float root(float v) { return std::sqrt(v); }
double root(double v) { return std::sqrt(v); }
Dual root(const Dual& v) {
    const double r = std::sqrt(v.value);
    return v.chain(r, 0.5 / r);
}
float sine(float v) { return ::sinf(v); }
double sine(double v) { return std::sin(v); }
Dual sine(const Dual& v) { return v.chain(std::sin(v.value), std::cos(v.value)); }
float cosine(float v) { return ::cosf(v); }
double cosine(double v) { return std::cos(v); }
Dual cosine(const Dual& v) { return v.chain(std::cos(v.value), -std::sin(v.value)); }
double tangent(double v) { return std::tan(v); }
Dual tangent(const Dual& v) {
    const double t = std::tan(v.value);
    return v.chain(t, 1 + t * t);
}
// 10^(db / 40); the plugin takes the root of 10^(db / 20).
float amplitude(float db) { return root(::powf(10.0f, db * 0.05f)); }
double amplitude(double db) { return std::pow(10.0, db / 40); }
Dual amplitude(const Dual& db) {
    const double a = std::pow(10.0, db.value / 40);
    return db.chain(a, a * std::log(10.0) / 40);
}
double value_of(double v) { return v; }
double value_of(const Dual& v) { return v.value; }
template <typename T>
T clamp(const T& v, double low, double high) {
    return value_of(v) < low ? T(low) : value_of(v) > high ? T(high) : v;
}

template <typename T>
struct Section {
    T b0, b1, b2, a0, a1, a2;
    void store(T* to) const {
        const T scale = T(1) / a0;
        to[0] = b0 * scale, to[1] = b1 * scale, to[2] = b2 * scale, to[3] = a1 * scale, to[4] = a2 * scale;
    }
};

template <typename T>
Section<T> shelf(bool high, const T& w, const T& gain_db, const T& q) {
    const T a = amplitude(gain_db), cos = cosine(w), beta = sine(w) * root(a) / q;
    const T less = a - T(1), more = a + T(1), turn = less * cos;
    if (high)
        return {a * (more + turn + beta), a * T(-2) * (less + more * cos), a * (more + turn - beta),
                more - turn + beta,       T(2) * (less - more * cos),      more - turn - beta};
    return {a * (more - turn + beta), a * T(2) * (less - more * cos), a * (more - turn - beta),
            more + turn + beta,       T(-2) * (less + more * cos),    more + turn - beta};
}

template <typename T>
Section<T> peak(const T& w, const T& gain_db, const T& q) {
    const T a = amplitude(gain_db), alpha = sine(w) / (q * T(2)), swing = T(-2) * cosine(w);
    const T wide = alpha * a, narrow = alpha / a;
    return {T(1) + wide, swing, T(1) - wide, T(1) + narrow, swing, T(1) - narrow};
}

template <typename T>
Section<T> first_order(bool high, const T& k) {
    const T zero = T(0) * k;
    if (high) return {T(1), T(-1), zero, k + T(1), k - T(1), zero};
    return {k, k, zero, k + T(1), k - T(1), zero};
}

template <typename T>
Section<T> resonant(int64_t kind, const T& w, const T& q) {
    const T one(1), alpha = sine(w) / (T(2) * q), swing = T(-2) * cosine(w);
    const T low = one + swing / T(2), high = one - swing / T(2);
    Section<T> s{alpha, T(0), -alpha, one + alpha, swing, one - alpha};  // band-pass
    if (kind == kNotch) s.b0 = one, s.b1 = swing, s.b2 = one;
    if (kind == kAllPass) s.b0 = one - alpha, s.b1 = swing, s.b2 = one + alpha;
    if (kind == kButterworthLowPass) s.b0 = low / T(2), s.b1 = low, s.b2 = low / T(2);
    if (kind == kButterworthHighPass) s.b0 = high / T(2), s.b1 = -high, s.b2 = high / T(2);
    return s;
}

// In double or with duals.
template <typename T>
Section<T> exact(int64_t kind, const T& f, const T& gain_db, const T& q, double rate) {
    const double highest = rate / 2 - 100;
    if (kind == kLowPass || kind == kHighPass)
        return first_order(kind == kHighPass, tangent(T(kPi) * (value_of(f) > highest ? T(highest) : f) / T(rate)));
    const bool cookbook = kind == kLowShelf || kind == kHighShelf || kind == kPeak;
    const T held = clamp(f, cookbook ? 2.0 : 0.01, highest), w = T(2 * kPi) * held / T(rate);
    if (!cookbook) return resonant(kind, w, q);
    return kind == kPeak ? peak(w, gain_db, q) : shelf(kind == kHighShelf, w, gain_db, q);
}

// Those that Pedalboard has, as it computes them.
Section<float> plugin(int64_t kind, double frequency, double gain, double quality, double rate) {
    const double highest = rate / 2 - 100;
    if (kind == kLowPass || kind == kHighPass)
        return first_order(kind == kHighPass, ::tanf(float(std::min(frequency, highest)) * float(kPi) / float(rate)));
    const float f = std::max(std::min(std::max(float(frequency), 0.01f), float(highest)), 2.0f);
    const float w = f * (2 * float(kPi)) / float(rate), gain_db = float(gain), q = float(quality);
    return kind == kPeak ? peak(w, gain_db, q) : shelf(kind == kHighShelf, w, gain_db, q);
}

}  // namespace

// single: the plugin's float values for the kinds that it has, in double as all others.
DASP_EXPORT void design(const double* f, const double* gain_db, const double* q, const double* rate, const int64_t* kinds,
                        double* out, int64_t single, int64_t batch, int64_t sections, int64_t frames, int64_t threads) {
    dasp::each(batch * sections * frames, threads, [&](int64_t i) {
        const int64_t kind = kinds[i / frames % sections];
        double rows[5];
        if (single && kind <= kHighPass) {
            float narrow[5];
            plugin(kind, f[i], gain_db[i], q[i], *rate).store(narrow);
            std::copy_n(narrow, 5, rows);
        } else {
            exact<double>(kind, f[i], gain_db[i], q[i], *rate).store(rows);
        }
        for (int k = 0; k < 5; ++k) out[(i / frames * 5 + k) * frames + i % frames] = rows[k];
    });
}

DASP_EXPORT void design_backward(const double* g, const double* f, const double* gain_db, const double* q, const double* rate,
                                 const int64_t* kinds, double* gf, double* gg, double* gq, int64_t batch, int64_t sections,
                                 int64_t frames, int64_t threads) {
    dasp::each(batch * sections * frames, threads, [&](int64_t i) {
        Dual rows[5], sum;
        exact<Dual>(kinds[i / frames % sections], {f[i], 0}, {gain_db[i], 1}, {q[i], 2}, *rate).store(rows);
        for (int k = 0; k < 5; ++k) sum = sum + rows[k] * Dual(g[(i / frames * 5 + k) * frames + i % frames]);
        gf[i] = sum.by[0], gg[i] = sum.by[1], gq[i] = sum.by[2];
    });
}
