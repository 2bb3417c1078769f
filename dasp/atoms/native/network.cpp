// A linear network of delay lines, given as a program that runs once a sample; and its exact adjoint.
//
// An instruction is six integers: op, dst, a, b, c, d. Registers are written once a program; a line's offset n means its value n
// samples ago. Parameters (batch, count, K) in double: K = 1 (constant) or T; coefficients are rounded to the audio's
// precision where they are used, delays are not. A row's state holds the lines' values, oldest first, one line after the other.
#include "common.h"

namespace {

enum Op : int64_t {
    kInput,    // dst = x[a]
    kTap,      // dst = line a, b samples ago
    kSlide,    // dst = line a, parameter b samples ago, between samples linearly; dst + 1: slope
    kStep,     // dst = line a, parameter b rounded samples ago; dst + 1: slope, as kSlide's
    kSum,      // dst = a + b
    kDiff,     // dst = a - b
    kScaled,   // dst = a + parameter c * b
    kWrite,    // line a = b
    kOutput,   // y[a] = b
    kAllPass,  // t = line b, c samples ago; dst = p a + q t, line b = q a - p t; p = parameter d, q^2 = 1 - p^2; dst + 1: t
};

struct Instruction {
    int64_t op, dst, a, b, c, d;
};

// Far below anything that sounds; a float32 tail would otherwise end in denormals, a hundred times slower.
inline float settle(float v) { return std::abs(v) < 1e-30f ? 0.0f : v; }
inline double settle(double v) { return v; }

// Rings whose sizes are powers of two: time n lies at n & mask, whatever the sign of n.
struct Layout {
    std::vector<int64_t> sizes, starts, masks;
    int64_t state = 0, total = 0;
    Layout(const int64_t* lengths, int64_t count) : sizes(lengths, lengths + count) {
        for (int64_t size : sizes) {
            int64_t ring = 1;
            while (ring < size + 1) ring *= 2;
            starts.push_back(total);
            masks.push_back(ring - 1);
            total += ring;
            state += size;
        }
    }
    int64_t at(int64_t line, int64_t time) const { return starts[line] + (time & masks[line]); }
    template <typename T, typename U>
    void load(const T* from, U* rings) const {
        for (size_t l = 0; l < sizes.size(); ++l)
            for (int64_t n = -sizes[l]; n < 0; ++n) rings[at(l, n)] = *from++;
    }
    template <typename T>
    void store(const T* rings, T* to, int64_t now) const {
        for (size_t l = 0; l < sizes.size(); ++l)
            for (int64_t n = now - sizes[l]; n < now; ++n) *to++ = rings[at(l, n)];
    }
};

struct Parameters {
    const double* values;
    int64_t frames;
    double at(int64_t p, int64_t n) const { return frames == 1 ? values[p] : values[p * frames + n]; }
};

struct Delay {
    int64_t whole;
    double part;
    bool inside;  // not held at the line's ends
    Delay(double value, int64_t size, bool rounded) {
        const double held = std::min(std::max(value, 1.0), double(size - 1));
        inside = held == value;
        whole = rounded ? int64_t(std::nearbyint(held)) : std::min(int64_t(held), size - 2);
        whole = std::min(std::max(whole, int64_t(1)), size - 1);
        part = rounded ? 0 : held - double(whole);
    }
};

// One sample; V is what values are computed in, T the audio's type, to which coefficients are rounded.
template <typename T, typename V, typename X>
inline void tick(const std::vector<Instruction>& program, const Layout& layout, const Parameters& p, const X* x, int64_t samples,
                 int64_t n, V* r, V* rings, T* y) {
    for (const Instruction& i : program) {
        switch (i.op) {
            case kInput: r[i.dst] = x[i.a * samples + n]; break;
            case kTap: r[i.dst] = rings[layout.at(i.a, n - i.b)]; break;
            case kSlide:
            case kStep: {
                const Delay delay(p.at(i.b, n), layout.sizes[i.a], i.op == kStep);
                const V near = rings[layout.at(i.a, n - delay.whole)], far = rings[layout.at(i.a, n - delay.whole - 1)];
                r[i.dst + 1] = delay.inside ? far - near : V(0);
                r[i.dst] = near + V(delay.part) * (far - near);
                break;
            }
            case kSum: r[i.dst] = r[i.a] + r[i.b]; break;
            case kDiff: r[i.dst] = r[i.a] - r[i.b]; break;
            case kScaled: r[i.dst] = r[i.a] + V(T(p.at(i.c, n))) * r[i.b]; break;
            case kWrite: rings[layout.at(i.a, n)] = settle(r[i.b]); break;
            case kOutput:
                if (y) y[i.a * samples + n] = T(r[i.b]);
                break;
            case kAllPass: {
                const V c = V(T(p.at(i.d, n))), q = std::sqrt(V(1) - c * c), t = rings[layout.at(i.b, n - i.c)];
                rings[layout.at(i.b, n)] = settle(q * r[i.a] - c * t);
                r[i.dst] = c * r[i.a] + q * t;
                r[i.dst + 1] = t;
                break;
            }
        }
    }
}

std::vector<Instruction> decode(const int64_t* code, int64_t count) {
    std::vector<Instruction> program(count);
    for (int64_t i = 0; i < count; ++i, code += 6) program[i] = {code[0], code[1], code[2], code[3], code[4], code[5]};
    return program;
}

template <typename T>
void forward(const T* x, const double* params, T* y, T* state, const int64_t* code, int64_t instructions, const int64_t* lengths,
             int64_t lines, int64_t registers, int64_t batch, int64_t inputs, int64_t outputs, int64_t samples, int64_t count,
             int64_t frames, int64_t threads) {
    const auto program = decode(code, instructions);
    const Layout layout(lengths, lines);
    dasp::for_rows(batch, threads, [&](int64_t row) {
        std::vector<T> r(registers, T(0)), rings(layout.total, T(0));
        T* memory = state + row * layout.state;
        layout.load(memory, rings.data());
        const Parameters p{params + row * count * frames, frames};
        for (int64_t n = 0; n < samples; ++n)
            tick(program, layout, p, x + row * inputs * samples, samples, n, r.data(), rings.data(), y + row * outputs * samples);
        layout.store(rings.data(), memory, samples);
    });
}

// The adjoint runs the program backwards, block by block: the rings at each block's start are kept, the registers within a block
// are computed again. A value's adjoint waits in a ring of its own until the time when the value was written.
template <typename T>
void backward(const T* g, const T* x, const double* params, const T* state, double* gx, double* gp, const int64_t* code,
              int64_t instructions, const int64_t* lengths, int64_t lines, int64_t registers, int64_t batch, int64_t inputs,
              int64_t outputs, int64_t samples, int64_t count, int64_t frames, int64_t threads) {
    const auto program = decode(code, instructions);
    const Layout layout(lengths, lines);
    // Both memories, of rings and of registers, equally large.
    const int64_t balanced = int64_t(std::sqrt(double(samples) * double(layout.total) / double(registers)));
    const int64_t size = std::min(std::max(balanced, int64_t(256)), std::max(samples, int64_t(1)));
    const int64_t blocks = (samples + size - 1) / size;
    dasp::for_rows(batch, threads, [&](int64_t row) {
        const T* in = x + row * inputs * samples;
        const T* grad = g + row * outputs * samples;
        double *to_in = gx + row * inputs * samples, *to_p = gp + row * count * frames;
        const Parameters p{params + row * count * frames, frames};
        std::vector<double> starts(blocks * layout.total), rings(layout.total, 0.0), waiting(layout.total, 0.0);
        std::vector<double> tape(size * registers, 0.0), gr(registers, 0.0);
        layout.load(state + row * layout.state, rings.data());
        auto run = [&](int64_t block) {
            const int64_t start = block * size, stop = std::min(samples, start + size);
            for (int64_t n = start; n < stop; ++n)
                tick(program, layout, p, in, samples, n, &tape[(n - start) * registers], rings.data(), static_cast<T*>(nullptr));
        };
        for (int64_t block = 0; block < blocks; ++block) {
            std::copy(rings.begin(), rings.end(), &starts[block * layout.total]);
            if (block + 1 < blocks) run(block);
        }
        for (int64_t block = blocks - 1; block >= 0; --block) {
            std::copy_n(&starts[block * layout.total], layout.total, rings.begin());
            run(block);
            const int64_t start = block * size, stop = std::min(samples, start + size);
            for (int64_t n = stop - 1; n >= start; --n) {
                const double* r = &tape[(n - start) * registers];
                const int64_t k = frames == 1 ? 0 : n;
                auto take = [&](double& v) {
                    const double taken = v;
                    v = 0;
                    return taken;
                };
                for (auto i = program.rbegin(); i != program.rend(); ++i) {
                    switch (i->op) {
                        case kInput: to_in[i->a * samples + n] += take(gr[i->dst]); break;
                        case kTap: waiting[layout.at(i->a, n - i->b)] += take(gr[i->dst]); break;
                        case kSlide:
                        case kStep: {
                            const Delay delay(p.at(i->b, n), layout.sizes[i->a], i->op == kStep);
                            const double v = take(gr[i->dst]);
                            waiting[layout.at(i->a, n - delay.whole)] += (1 - delay.part) * v;
                            waiting[layout.at(i->a, n - delay.whole - 1)] += delay.part * v;
                            to_p[i->b * frames + k] += r[i->dst + 1] * v;
                            break;
                        }
                        case kSum:
                        case kDiff: {
                            const double v = take(gr[i->dst]);
                            gr[i->a] += v;
                            gr[i->b] += i->op == kSum ? v : -v;
                            break;
                        }
                        case kScaled: {
                            const double v = take(gr[i->dst]);
                            gr[i->a] += v;
                            gr[i->b] += double(T(p.at(i->c, n))) * v;
                            to_p[i->c * frames + k] += r[i->b] * v;
                            break;
                        }
                        case kWrite: gr[i->b] += take(waiting[layout.at(i->a, n)]); break;
                        case kOutput: gr[i->b] += grad[i->a * samples + n]; break;
                        case kAllPass: {
                            const double c = double(T(p.at(i->d, n))), q = std::sqrt(1 - c * c);
                            const double v = take(gr[i->dst]), w = take(waiting[layout.at(i->b, n)]);
                            const double x = r[i->a], t = r[i->dst + 1];
                            gr[i->a] += c * v + q * w;
                            waiting[layout.at(i->b, n - i->c)] += q * v - c * w;
                            to_p[i->d * frames + k] += (x - c / q * t) * v - (t + c / q * x) * w;
                            break;
                        }
                    }
                }
                gr[0] = 0;  // the register that is always zero
            }
        }
    });
}

}  // namespace

#define DASP_NETWORK(T, SUFFIX)                                                                                              \
    DASP_EXPORT void network_##SUFFIX(const T* x, const double* params, T* y, T* state, const int64_t* code,                 \
                                      int64_t instructions, const int64_t* lengths, int64_t lines, int64_t registers,        \
                                      int64_t batch, int64_t inputs, int64_t outputs, int64_t samples, int64_t count,        \
                                      int64_t frames, int64_t threads) {                                                     \
        forward(x, params, y, state, code, instructions, lengths, lines, registers, batch, inputs, outputs, samples, count,  \
                frames, threads);                                                                                            \
    }                                                                                                                        \
    DASP_EXPORT void network_backward_##SUFFIX(const T* g, const T* x, const double* params, const T* state, double* gx,     \
                                               double* gp, const int64_t* code, int64_t instructions,                        \
                                               const int64_t* lengths, int64_t lines, int64_t registers, int64_t batch,      \
                                               int64_t inputs, int64_t outputs, int64_t samples, int64_t count,              \
                                               int64_t frames, int64_t threads) {                                            \
        backward(g, x, params, state, gx, gp, code, instructions, lengths, lines, registers, batch, inputs, outputs,         \
                 samples, count, frames, threads);                                                                           \
    }

DASP_NETWORK(float, f32)
DASP_NETWORK(double, f64)
