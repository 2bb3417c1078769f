"""What is measured of an effect for its picture: signals in, numbers out; for controls (K, P) a curve each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dasp import Effect

_FLOOR = 1e-12


@dataclass(frozen=True)
class Curves:
    """Curves over one axis.

    Attributes:
        x: (N,).
        y: (K, N).
        x_label, y_label: with units.
        kind: "frequency" for a logarithmic axis in Hz, "" for a linear one.
        floor: how far below the highest value the axis goes; None: as far as the values.
        clicks: whether single values may lie far off the rest.
    """

    x: np.ndarray
    y: np.ndarray
    x_label: str
    y_label: str
    kind: str = ""
    floor: float | None = None
    clicks: bool = False


@dataclass(frozen=True)
class Size:
    """How exactly things are measured.

    Attributes:
        points: of a curve over level.
        response: samples of a filter's impulse response.
        seconds: of what rings or swings.
    """

    points: int = 25
    response: int = 1 << 14
    seconds: float = 3.0


QUICK = Size(points=9, response=1 << 10, seconds=0.3)
"""For tests: the same pictures, coarse."""


@torch.no_grad()
def played(effect: Effect, x: Tensor, controls: Tensor) -> Tensor:
    """x (1, T) or (K, T) through the effect at each of the controls (K, P): (K, C, T), in float64."""
    width = max(effect.channels or (1,))
    audio = x.double().expand(len(controls), -1)[:, None].expand(-1, width, -1)
    return effect(audio.contiguous(), controls)


def impulse(samples: int, level: float = 1.0) -> Tensor:
    """(1, samples)."""
    x = torch.zeros(1, samples)
    x[0, 0] = level
    return x


def decibels(power: np.ndarray) -> np.ndarray:
    """Of a power."""
    return 10 * np.log10(np.maximum(power, _FLOOR))


def magnitude(effect: Effect, controls: Tensor, size: Size) -> Curves:
    """Magnitude response, by an impulse small enough that what saturates does not."""
    level = 1e-3
    y = played(effect, impulse(size.response, level), controls)[:, 0].numpy() / level
    spectrum = np.abs(np.fft.rfft(y, axis=-1)) ** 2
    frequency = np.fft.rfftfreq(size.response, 1 / effect.sample_rate)
    at = np.geomspace(20, min(20000, 0.499 * effect.sample_rate), 400)
    curves = np.stack([np.interp(at, frequency, row) for row in decibels(spectrum)])
    return Curves(at, curves, "frequency (Hz)", "gain (dB)", "frequency", 60.0)


def smoothed(effect: Effect, controls: Tensor, size: Size) -> Curves:
    """Spectrum of a long impulse response in third octaves."""
    samples = round(size.seconds * effect.sample_rate)
    y = played(effect, impulse(samples), controls).numpy()
    power = (np.abs(np.fft.rfft(y, axis=-1)) ** 2).mean(1)
    frequency = np.fft.rfftfreq(samples, 1 / effect.sample_rate)
    centres = 1000 * 2.0 ** (np.arange(-15, 13) / 3)
    centres = centres[(centres > 6 / size.seconds) & (centres < 0.45 * effect.sample_rate)]
    bands = [(frequency >= c * 2 ** (-1 / 6)) & (frequency < c * 2 ** (1 / 6)) for c in centres]
    level = decibels(np.stack([power[:, b].mean(-1) for b in bands], -1))
    return Curves(centres, level, "frequency (Hz)", "level (dB)", "frequency", 60.0)


def decay(effect: Effect, controls: Tensor, size: Size, side: bool = False) -> Curves:
    """Energy that is still to come of an impulse response (M. R. Schroeder 1965), relative to the input's; on request of the
    side channel."""
    samples = round(size.seconds * effect.sample_rate)
    y = played(effect, impulse(samples), controls).numpy()
    if side and y.shape[1] == 2:
        y = (y[:, :1] - y[:, 1:]) / math.sqrt(2)
    left = np.cumsum((y**2).mean(1)[:, ::-1], -1)[:, ::-1]
    shown = 2 * samples // 3  # what comes after is heard in the sum, or the curve would end in a cliff
    at = np.unique(np.concatenate([[0, 1], np.linspace(1, shown, 600)]).astype(int))
    what = "side energy to come (dB)" if side else "energy to come (dB)"
    # Begun a little before the impulse, so that the direct sound is seen as a step at 0 s.
    times = np.concatenate([[-0.03 * size.seconds, 0.0], at[1:] / effect.sample_rate])
    levels = decibels(np.concatenate([left[:, :1], left[:, :1], left[:, at[1:]]], 1))
    return Curves(times, levels, "time (s)", what, floor=70.0)


def curve(effect: Effect, controls: Tensor, size: Size) -> Curves:
    """Output over input of a sine so slow that memory plays no part."""
    rate, level = effect.sample_rate, 1.0
    period = round(rate / 20)
    t = torch.arange(2 * period, dtype=torch.float64) / period
    x = level * torch.sin(2 * math.pi * t)[None]
    y = played(effect, x, controls)[:, 0, -period:].numpy()
    at = x[0, -period:].numpy()
    rising = slice(-period // 4, None), slice(None, period // 4)
    way = np.concatenate([np.arange(period)[s] for s in rising])
    way = way[np.argsort(at[way])]  # the turning points may lie between samples
    return Curves(at[way], y[:, way], "input", "output")


def levels(effect: Effect, controls: Tensor, size: Size, tone: float = 1000.0) -> Curves:
    """Output level over input level of a steady tone, behind attack and release."""
    rate = effect.sample_rate
    ins = np.linspace(-70, 0, size.points)
    samples = round(min(0.25, size.seconds) * rate)
    wave = torch.sin(2 * math.pi * tone * torch.arange(samples, dtype=torch.float64) / rate)
    x = wave * torch.tensor(10 ** (ins / 20))[:, None]
    outs = []
    for u in controls:
        y = played(effect, x, u.expand(len(ins), -1))[:, 0, samples // 2 :].numpy()
        outs.append(decibels(2 * (y**2).mean(-1)))
    return Curves(ins, np.stack(outs), "input level (dB)", "output level (dB)", floor=90.0)


def gain(effect: Effect, controls: Tensor, size: Size, tone: float = 1000.0, quiet_db: float = -50.0) -> Curves:
    """Gain over time of a tone that is loud for a while and quiet before and after."""
    rate = effect.sample_rate
    samples = round(min(1.2, size.seconds) * rate)
    t = torch.arange(samples, dtype=torch.float64) / rate
    loud = (t > 0.2 * samples / rate) & (t < 0.55 * samples / rate)
    x = torch.sin(2 * math.pi * tone * t) * torch.where(loud, 10 ** (-3 / 20), 10 ** (quiet_db / 20))
    y = played(effect, x[None], controls)[:, 0]
    hop = round(max(1, 2 * rate / tone))  # two periods
    count = samples // hop
    power_in = x[: count * hop].reshape(count, hop).square().mean(-1).numpy()
    power_out = y[:, : count * hop].reshape(len(y), count, hop).square().mean(-1).numpy()
    at = (np.arange(count) + 0.5) * hop / rate
    return Curves(
        at, decibels(power_out) - decibels(power_in), "time (s); loud in the middle", "gain (dB)", floor=60.0, clicks=True
    )


def swing(effect: Effect, controls: Tensor, size: Size, tone: float = 1000.0) -> Curves:
    """Level over time of a steady tone."""
    rate = effect.sample_rate
    samples = round(min(1.5, size.seconds) * rate)
    x = torch.sin(2 * math.pi * tone * torch.arange(samples, dtype=torch.float64) / rate)
    y = played(effect, x[None], controls)[:, 0]
    hop = round(max(1, 2 * rate / tone))
    count = samples // hop
    power = 2 * y[:, : count * hop].reshape(len(y), count, hop).square().mean(-1).numpy()
    return Curves(
        (np.arange(count) + 0.5) * hop / rate, decibels(power), "time (s)", f"level of a {tone:g} Hz tone (dB)", floor=40.0
    )


@torch.no_grad()
def matrix(effect: Effect, controls: Tensor) -> np.ndarray:
    """Gain from each input channel to each output channel of an effect without memory: (K, inputs, outputs)."""
    width = min(effect.channels or (2,))
    gains = []
    for n in range(width):
        x = torch.zeros(len(controls), width, 64, dtype=torch.float64)
        x[:, n] = 0.5
        gains.append(effect(x, controls)[:, :, -1].numpy() / 0.5)
    return np.stack(gains, 1)


def at_units(effect: Effect, base: Tensor, number: int, units: Sequence[float]) -> Tensor:
    """Controls (K, P): the base with one control at each of some places in [0, 1]."""
    u = base.expand(len(units), -1).clone()
    u[:, number] = torch.tensor(list(units), dtype=base.dtype)
    return u
