"""Synthetic sounds that excite effects where music seldom does: each a function of a random generator, peaks near 1."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Generator = np.random.Generator
Sound = Callable[[Generator, int, float], np.ndarray]
"""(generator, samples T, sample rate in Hz) -> mono float64 (T,)."""


def noise(generator: Generator, samples: int, rate: float) -> np.ndarray:
    """Noise whose power falls by 0 to 9 dB an octave: white, pink, brown and between."""
    return _coloured(generator, samples, generator.uniform(0, 1.5))


def sweep(generator: Generator, samples: int, rate: float) -> np.ndarray:
    """A sine gliding between two frequencies on a log scale, upwards or downwards."""
    start, end = _frequency(generator, rate), _frequency(generator, rate)
    frequency = start * (end / start) ** np.linspace(0, 1, samples)
    return np.sin(2 * np.pi * (np.cumsum(frequency) / rate + generator.random()))


def tone(generator: Generator, samples: int, rate: float) -> np.ndarray:
    """A sine with up to five harmonics."""
    return _harmonic(generator, samples, rate, _frequency(generator, rate, high=2000))


def bursts(generator: Generator, samples: int, rate: float) -> np.ndarray:
    """A tone or noise that jumps between levels of 40 dB range: attacks and releases one by one."""
    carrier = tone(generator, samples, rate) if generator.random() < 0.5 else noise(generator, samples, rate)
    steps = np.sort(generator.integers(0, samples + 1, generator.integers(1, 9)))
    levels = 10 ** (generator.uniform(-40, 0, len(steps) + 1) / 20)
    return carrier * levels[np.searchsorted(steps, np.arange(samples), side="right")]


def clicks(generator: Generator, samples: int, rate: float) -> np.ndarray:
    """Single samples of either sign over faint noise."""
    y = 1e-3 * generator.standard_normal(samples)
    count = int(generator.integers(1, 12))
    y[generator.integers(0, samples, count)] += generator.uniform(0.1, 1, count) * generator.choice([-1.0, 1.0], count)
    return y


def chord(generator: Generator, samples: int, rate: float) -> np.ndarray:
    """Three to six harmonic tones struck one after the other, each gliding a little, with a decay of its own."""
    y = np.zeros(samples)
    for _ in range(int(generator.integers(3, 7))):
        start = int(generator.integers(0, max(samples // 2, 1)))
        length = samples - start
        decay = np.exp(-np.arange(length) / (rate * generator.uniform(0.03, 1.0)))
        y[start:] += decay * _harmonic(
            generator, length, rate, _frequency(generator, rate, 55, 1200), generator.uniform(0.97, 1.03)
        )
    return y


def drums(generator: Generator, samples: int, rate: float) -> np.ndarray:
    """Strokes: a sine falling in pitch plus noise, each with an exponential decay."""
    y = np.zeros(samples)
    for start in generator.integers(0, samples, generator.integers(1, 7)):
        time = np.arange(samples - start) / rate
        pitch = generator.uniform(40, 400)
        phase = pitch * (time + generator.uniform(0, 3) * 0.02 * -np.expm1(-time / 0.02))
        body = np.sin(2 * np.pi * phase) * np.exp(-time / generator.uniform(0.02, 0.3))
        snare = _coloured(generator, len(time), generator.uniform(0, 0.7)) * np.exp(-time / generator.uniform(0.01, 0.15))
        share = generator.random()
        y[start:] += generator.uniform(0.2, 1) * (share * body + (1 - share) * snare)
    return y


SOUNDS: tuple[Sound, ...] = (noise, sweep, tone, bursts, clicks, chord, drums)


def synthetic(generator: Generator, samples: int, channels: int, rate: float) -> np.ndarray:
    """One of `SOUNDS`: float64 (channels, samples), peak 1; channels differ in level and by a share of a sound of their own."""
    sound = SOUNDS[int(generator.integers(len(SOUNDS)))]
    common = _normal(sound(generator, samples, rate))
    if channels == 1:
        return common[None]
    own = np.stack([_normal(sound(generator, samples, rate)) for _ in range(channels)])
    width = generator.uniform(0, 0.7) * (generator.random() < 0.7)
    return _normal(generator.uniform(0.3, 1, (channels, 1)) * ((1 - width) * common + width * own))


def _normal(y: np.ndarray) -> np.ndarray:
    return y / max(float(np.abs(y).max(initial=0.0)), 1e-9)


def _frequency(generator: Generator, rate: float, low: float = 25, high: float = 16000) -> float:
    return float(np.exp(generator.uniform(np.log(low), np.log(min(high, 0.45 * rate)))))


def _harmonic(generator: Generator, samples: int, rate: float, pitch: float, glide: float = 1.0) -> np.ndarray:
    """Up to six partials below 0.45 of the sample rate, gliding to `glide` times the pitch."""
    phase = np.cumsum(np.linspace(pitch, pitch * glide, samples)) / rate
    y = np.zeros(samples)
    for n in range(1, 1 + int(generator.integers(1, 7))):
        if n * pitch * max(glide, 1) < 0.45 * rate:
            y += generator.uniform(0.2, 1) / n * np.sin(2 * np.pi * (n * phase + generator.random()))
    return y


def _coloured(generator: Generator, samples: int, slope: float) -> np.ndarray:
    """Gaussian noise with a magnitude spectrum of 1 / f^slope, standard deviation 1."""
    spectrum = np.fft.rfft(generator.standard_normal(samples))
    spectrum *= np.maximum(np.arange(len(spectrum)), 1.0) ** -slope
    y = np.fft.irfft(spectrum, samples)
    return y / max(float(y.std()), 1e-12)
