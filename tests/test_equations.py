"""The equations of docs/equations, written down once more in numpy as they stand there, give what the effects put out in float64.

Those that are one line of arithmetic are left to the effects' own tests.
"""

import math

import numpy as np
import pytest
import torch
from scipy.signal import butter, lfilter, sosfilt

import dasp

RATE = 44100
N = 1200
X = np.random.default_rng(0).standard_normal((2, N)) * 0.3 * np.linspace(0.02, 2, N)
MONO = X[0]


def run(effect, x, **controls):
    return effect(torch.from_numpy(np.atleast_2d(x))[None], **controls)[0].numpy()


def follow(v, attack, release):
    out, r = [], 0.0
    for value in v:
        r = value + (attack if value > r else release) * (r - value)
        out.append(r)
    return np.array(out)


def fast(ms):
    return math.exp(-2000 * math.pi / (RATE * ms)) if ms > 0.001 else 0.0


def pole(ms):
    return math.exp(-1000 / (RATE * ms))


def compressor(x, threshold_db, ratio, attack_ms, release_ms):
    level, threshold = follow(np.abs(x), fast(attack_ms), fast(release_ms)), 10 ** (threshold_db / 20)
    return x * np.where(level < threshold, 1, (np.maximum(level, 1e-30) / threshold) ** (1 / ratio - 1))


def limiter(x):
    return np.clip(10 ** ((3.75 + 25) / 20) * compressor(compressor(x, -10, 4, 2, 200), -25, 1000, 0.001, 100), -1, 1)


def noise_gate(x):
    level = follow(np.sqrt(follow(x * x, 0.0, fast(50))), fast(1), fast(100))
    return x * np.where(level > 0.1, 1, (level / 0.1) ** 9)


def level_db(x):
    return 20 * np.log10(np.maximum(np.abs(x), 1e-6))


def soft(over, knee):
    return np.where(over <= -knee / 2, 0, np.where(over >= knee / 2, over, (over + knee / 2) ** 2 / (2 * knee)))


def decoupled(c, attack_ms, release_ms):
    p = follow(c, 0.0, pole(release_ms))
    return follow(p, pole(attack_ms), pole(attack_ms))


def studio(x):
    return x * 10 ** (-decoupled(0.75 * soft(level_db(x) + 20, 6), 10, 100) / 20)


def branching(x):
    return x * 10 ** (-follow(0.75 * soft(level_db(x) + 20, 6), pole(10), pole(100)) / 20)


def expander(x):
    return x * 10 ** (follow(-np.minimum(soft(-20 - level_db(x), 6), 40), pole(1), pole(100)) / 20)


def analog(x, b, a, frequency_hz):
    """A second-order H(s) after the bilinear transform s = k (1 - z) / (1 + z) with z for one sample of delay."""
    k = 1 / math.tan(math.pi * frequency_hz / RATE)
    up, down = np.poly1d([-k, k]), np.poly1d([1, 1])

    def digital(c):
        poly = c[0] * up**2 + c[1] * up * down + c[2] * down**2
        return np.pad(poly.coeffs, (3 - len(poly.coeffs), 0))[::-1]

    return lfilter(digital(b), digital(a), x)


def de_esser(x):
    band = analog(x, [0, 1, 0], [1, 1, 1], 6500)
    return x + (10 ** (-decoupled(0.75 * np.maximum(level_db(band) + 30, 0), 1, 50) / 20) - 1) * band


def multiband(x):
    r = 2**0.5

    def low(x, f):
        return analog(analog(x, [0, 0, 1], [1, r, 1], f), [0, 0, 1], [1, r, 1], f)

    def high(x, f):
        return analog(analog(x, [1, 0, 0], [1, r, 1], f), [1, 0, 0], [1, r, 1], f)

    rest = high(x, 200)
    bands = analog(low(x, 200), [1, -r, 1], [1, r, 1], 3000), low(rest, 3000), high(rest, 3000)
    times = (20, 200), (10, 100), (5, 50)
    return sum(b * 10 ** (-decoupled(soft(level_db(b) + 20, 6) * 2 / 3, *t) / 20) for b, t in zip(bands, times, strict=True))


A, Q, F = 10 ** (9 / 40), 2.0, 1500.0
BAND = {"cutoff_frequency_hz": F, "q": Q}
BIQUADS = {
    "AllpassFilter": ([1, -1 / Q, 1], [1, 1 / Q, 1]),
    "BandpassFilter": ([0, 1 / Q, 0], [1, 1 / Q, 1]),
    "NotchFilter": ([1, 0, 1], [1, 1 / Q, 1]),
    "PeakFilter": ([1, A / Q, 1], [1, 1 / (A * Q), 1]),
    "LowShelfFilter": ([A, A * A**0.5 / Q, A * A], [A, A**0.5 / Q, 1]),
    "HighShelfFilter": ([A * A, A * A**0.5 / Q, A], [1, A**0.5 / Q, A]),
}


@pytest.mark.parametrize("name", BIQUADS)
def test_filters(name):
    gain = {"gain_db": 9.0} if name in ("PeakFilter", "LowShelfFilter", "HighShelfFilter") else {}
    found = run(getattr(dasp, name)(), MONO, **BAND, **gain)[0]
    np.testing.assert_allclose(found, analog(MONO, *BIQUADS[name], F), atol=1e-12)


def first_order(x, kind, f):
    k = math.tan(math.pi * f / RATE)
    return lfilter([k, k] if kind == "low" else [1, -1], [k + 1, k - 1], x)


def swinging(x, delay_of, feedback=0.3, mix=0.5):
    w, v, out = [], 0.0, []
    for n, value in enumerate(x):
        w.append(value - feedback * v)
        at = n - delay_of(math.sin(2 * math.pi * 5 * n / RATE - math.pi))
        i = math.floor(at)
        before, after = (w[j] if 0 <= j < len(w) else 0.0 for j in (i, i + 1))
        v = before + (at - i) * (after - before)
        out.append(v)
    return (1 - mix) * x + mix * np.array(out)


def chorus(x):
    return swinging(x, lambda s: RATE / 1000 * max(1, 7 + 10 * 0.5 * s))


def flanger(x):
    return swinging(x, lambda s: RATE / 1000 * 2 * (1 + 0.5 * s))


def phaser(x):
    highest = min(20000, 0.49 * RATE)
    v, out, before = 0.0, [], [0.0] * 6
    for n, value in enumerate(x):
        if n % 4 == 0:
            z = 0.25 * math.sin(2 * math.pi * 5 * n / RATE - math.pi) + math.log(1300 / 20) / math.log(highest / 20)
            f = 20 * (highest / 20) ** min(max(z, 0), 1)
            g = math.tan(math.pi * f / RATE)
        s = value - 0.3 * v
        for i in range(6):  # in the form whose memory stays right as the corner moves
            low = g / (1 + g) * (s - before[i]) + before[i]
            before[i], s = 2 * low - before[i], 2 * low - s
        v = s
        out.append(v)
    return 0.5 * x + 0.5 * np.array(out)


D = 400


def late(w):
    return np.concatenate([np.zeros(D), w[:-D]])


def looped(x, feedback):
    w = x.copy()
    for n in range(D, len(x)):
        w[n] += feedback * w[n - D]
    return w


def delay(x):
    return 0.5 * x + 0.5 * late(looped(x, 0.5))


def allpass(x):
    y = -0.5 * x
    for n in range(D, len(x)):
        y[n] += x[n - D] + 0.5 * y[n - D]
    return y


def ping_pong(x):
    w = np.zeros_like(x)
    for n in range(x.shape[1]):
        left, right = (w[:, n - D] if n >= D else np.zeros(2)) * 0.5
        w[:, n] = x[:, n].mean() + right, left
    return 0.5 * x + 0.5 * np.stack([late(w[0]), late(w[1])])


def tremolo(x):
    turns = np.arange(N) * 5 / RATE
    return x * (1 - 0.8 * (1 - np.cos(2 * np.pi * turns)) / 2)


def means(antiderivative, z, first):
    before = np.concatenate([[first], z[:-1]])
    return (antiderivative(z) - antiderivative(before)) / (z - before)


def overdrive(x):
    z = 10 * x + 0.3
    v = means(lambda z: np.logaddexp(z, -z), z, 0.3) - math.tanh(0.3)
    return first_order(first_order(v, "high", 10), "low", 6000)


def fuzz(x):
    return means(lambda z: np.where(np.abs(z) <= 1, z * z / 2, np.abs(z) - 0.5), 100 * x, 0.0)


def graphic_eq(x):
    """The integral by a sum that is finer than the effect's own inverse FFT."""
    centres = np.array([31.5, 63, 125, 250, 500, 1000, 2000, 4000, 8000, 16000])
    gains = np.zeros(10)
    gains[[3, 7]] = 9, -6
    late, size = round(0.005 * RATE), 1 << 15
    f = np.clip(np.abs(np.fft.fftfreq(size, 1 / RATE)), centres[0], centres[-1])
    b = np.clip(np.searchsorted(centres, f, side="right") - 1, 0, 8)
    t = np.log(f / centres[b]) / np.log(centres[b + 1] / centres[b])
    g = gains[b] + (gains[b + 1] - gains[b]) * (1 - np.cos(np.pi * t)) / 2
    h = np.fft.ifft(10 ** (g / 20)).real
    taps = np.concatenate([h[late:0:-1], h[: late + 1]]) * np.kaiser(2 * late + 1, 1.0)
    return np.convolve(x, taps)[: len(x)]


def spring(x):
    stages, a, d, k = 6, 0.62, 40 * RATE / 1000, round(RATE / 8800)
    low = sosfilt(butter(8, 0.95 / k, output="sos"), x)
    w, e, memory = np.zeros(len(x)), np.zeros(len(x)), np.zeros((stages, 2, len(x)))
    for n in range(len(x)):
        i = math.floor(n - d)
        e[n] = np.interp(n - d, [i, i + 1], [w[i] if i >= 0 else 0.0, w[i + 1] if i + 1 >= 0 else 0.0])
        s = low[n] - 0.6 * e[n]
        for taken, given in memory:
            taken[n], given[n] = s, a * s + (taken[n - k] - a * given[n - k] if n >= k else 0.0)
            s = given[n]
        w[n] = s
    return 0.7 * x + 0.3 * e


def reverb(x):
    total = np.zeros(len(x))
    for size in (1116, 1188, 1277, 1356, 1422, 1491, 1557, 1617):
        comb, low = np.zeros(len(x) + size), 0.0
        for n, value in enumerate(x):
            low = 0.8 * comb[n] + 0.2 * low
            comb[n + size] = 0.015 * value + 0.84 * low
        total += comb[: len(x)]
    for size in (556, 441, 341, 225):
        b = total.copy()
        for n in range(size, len(x)):
            b[n] += 0.5 * b[n - size]
        total = np.concatenate([np.zeros(size), b[:-size]]) - total
    return 1.5 * 0.33 * 2 * total + 2 * 0.4 * x


MOVING = {"rate_hz": 5.0, "depth": 0.5, "feedback": 0.3}
LONG = np.concatenate([MONO, np.zeros(2400)])
EQUATIONS = {
    "Compressor": (lambda x: compressor(x, -20, 4, 5, 100), {}, {}, MONO),
    "Limiter": (limiter, {}, {"threshold_db": -25.0}, MONO),
    "NoiseGate": (noise_gate, {}, {"threshold_db": -20.0}, MONO),
    "StudioCompressor": (studio, {}, {}, MONO),
    "StudioCompressor, branching": (branching, {"smoothing": "branching"}, {}, MONO),
    "Expander": (expander, {"detector": "peak"}, {"threshold_db": -20.0}, MONO),
    "DeEsser": (de_esser, {}, {}, MONO),
    "MultibandCompressor": (multiband, {}, {}, MONO),
    "HighpassFilter": (lambda x: first_order(x, "high", F), {}, {"cutoff_frequency_hz": F}, MONO),
    "LowpassFilter": (lambda x: first_order(x, "low", F), {}, {"cutoff_frequency_hz": F}, MONO),
    "Chorus": (chorus, {}, MOVING, MONO),
    "Flanger": (flanger, {}, MOVING, MONO),
    "Phaser": (phaser, {}, MOVING, MONO),
    "Tremolo": (tremolo, {}, {"depth": 0.8}, MONO),
    "Delay": (delay, {}, {"delay_seconds": (D + 0.5) / RATE, "feedback": 0.5}, MONO),
    "Comb": (lambda x: looped(x, 0.5), {}, {"delay_ms": 1000 * D / RATE, "gain": 0.5}, MONO),
    "Allpass": (allpass, {}, {"delay_ms": 1000 * D / RATE, "gain": 0.5}, MONO),
    "PingPongDelay": (ping_pong, {}, {"delay_seconds": D / RATE, "feedback": 0.5}, X),
    "Overdrive": (overdrive, {}, {}, MONO),
    "Fuzz": (fuzz, {}, {}, MONO),
    "Spring": (spring, {"stages": 6}, {}, LONG),
    "Reverb": (reverb, {}, {}, LONG),
}


@pytest.mark.parametrize("name", EQUATIONS)
def test_an_equation_is_what_the_effect_does(name):
    equation, options, controls, x = EQUATIONS[name]
    found = run(getattr(dasp, name.split(",")[0])(RATE, **options), x, **controls)
    expected = np.atleast_2d(equation(x))
    assert np.abs(found - x).max() > 1e-3  # it acted
    np.testing.assert_allclose(found, expected, atol=1e-8 * np.abs(expected).max())


def test_graphic_eq():
    """Its inverse FFT has four times the filter's length; the integral of its equation is a finer sum."""
    found = run(dasp.GraphicEQ(delay_ms=5.0), MONO, band_250_hz_gain_db=9.0, band_4000_hz_gain_db=-6.0)[0]
    np.testing.assert_allclose(found, graphic_eq(MONO), atol=2e-3 * np.abs(found).max())
