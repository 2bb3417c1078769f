"""What the checks run on: an exciting signal, controls away from the edges, and how far apart two outputs are."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from dasp.chain import Compound
from dasp.effect import Effect

Make = Callable[..., Effect]
RATE = 44100
ACTS_DB = -40.0  # an output nearer to the input than this proves nothing


def music(rate: float = RATE, seconds: float = 0.1, channels: int = 2, batch: int = 1, seed: int = 0) -> Tensor:
    """An exciting signal, float64 (B, C, T): struck decaying tones from 60 Hz to 8 kHz over a little noise; channels differ,
    the same sound at every rate, and loud enough (peak 0.9) that thresholds are crossed."""
    samples = round(seconds * rate)
    generator = torch.Generator().manual_seed(seed)
    t = torch.arange(samples, dtype=torch.float64) / rate
    frequency = torch.logspace(math.log10(60), math.log10(8000), 24, dtype=torch.float64)
    phase = torch.rand(batch, channels, 24, 1, generator=generator, dtype=torch.float64) * 2 * math.pi
    onset = torch.rand(batch, channels, 24, 1, generator=generator, dtype=torch.float64) * seconds * 0.5
    decay = torch.exp(-(t - onset).clamp_min(0) / (0.2 * seconds)) * (t >= onset)
    tones = (torch.sin(2 * math.pi * frequency[:, None] * t + phase) * decay).sum(2)
    noise = torch.randn(batch, channels, samples, generator=generator, dtype=torch.float64)
    x = tones + 0.05 * noise
    return 0.9 * x / x.abs().amax(-1, keepdim=True).clamp_min(1e-9)


def draw(effect: Effect, batch: int = 1, seed: int = 1, low: float = 0.2, high: float = 0.8) -> Tensor:
    """Random controls (batch, P), float64, away from the edges."""
    generator = torch.Generator().manual_seed(seed)
    return low + (high - low) * torch.rand(batch, len(effect.controls), generator=generator, dtype=torch.float64)


def widths(effect: Effect) -> tuple[int, ...]:
    return effect.channels or (1, 2, 5)


def width_of(effect: Effect) -> int:
    return 2 if 2 in widths(effect) else widths(effect)[0]


def setting(make: Make, **kwargs: Any) -> tuple[Effect, Tensor, Tensor]:
    """An effect, music, and controls at which the one acts on the other: the first draw, or where that does nothing (a gate
    leaves loud music alone at most settings) the one of eight that does most."""
    effect = make(RATE, **kwargs)
    x = music(channels=width_of(effect))

    def action(u: Tensor) -> float:
        with torch.no_grad():
            y = effect(x, u)
        return error_db(y, x.expand_as(y))

    first, *others = (draw(effect, seed=seed) for seed in range(1, 9))
    return effect, x, first if action(first) > ACTS_DB else max(others, key=action)


def error_db(a: Tensor, b: Tensor) -> float:
    """Energy of a - b over that of b, in dB."""
    a, b = a.detach().double(), b.detach().double()
    return float(10 * torch.log10(((a - b) ** 2).sum().clamp_min(1e-300) / (b**2).sum().clamp_min(1e-300)))


def assert_equal(a: Tensor, b: Tensor, db: float, what: str, effect: Effect) -> None:
    assert a.shape == b.shape, f"{effect.name}: {what}: shapes {tuple(a.shape)} and {tuple(b.shape)}"
    error = error_db(a, b)
    assert error <= db, f"{effect.name}: {what}: they differ by {error:.1f} dB, allowed {db:.0f} dB"


def leaves(effect: Effect) -> list[Effect]:
    return [leaf for e in effect for leaf in leaves(e)] if isinstance(effect, Compound) else [effect]
