"""Second-order sections of crossovers and band filters, in double, differentiable in frequency.

Bilinear transforms of Butterworth's low and high pass, of the all-pass with the same poles, and of the constant-peak band pass
(R. Bristow-Johnson's cookbook). Frequencies (B, 1, K) are limited to [0.01, fs/2 - 100] Hz, with zero gradient beyond.
Each returns a section (B, 1, 5, K): rows b0, b1, b2, a1, a2 with a0 = 1.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from dasp.atoms.biquad import biquad

_BUTTERWORTH_Q = 0.5**0.5


def low_pass(frequency: Tensor, sample_rate: float) -> Tensor:
    cos, alpha = _angle(frequency, sample_rate, _BUTTERWORTH_Q)
    half = (1 - cos) / 2
    return _section(half, 1 - cos, half, cos, alpha)


def high_pass(frequency: Tensor, sample_rate: float) -> Tensor:
    cos, alpha = _angle(frequency, sample_rate, _BUTTERWORTH_Q)
    half = (1 + cos) / 2
    return _section(half, -1 - cos, half, cos, alpha)


def all_pass(frequency: Tensor, sample_rate: float) -> Tensor:
    cos, alpha = _angle(frequency, sample_rate, _BUTTERWORTH_Q)
    return _section(1 - alpha, -2 * cos, 1 + alpha, cos, alpha)


def band_pass(frequency: Tensor, sample_rate: float, q: float) -> Tensor:
    """0 dB at the centre; the rest of the signal, x minus this, is the notch with the same poles."""
    cos, alpha = _angle(frequency, sample_rate, q)
    return _section(alpha, torch.zeros_like(alpha), -alpha, cos, alpha)


def three_bands(x: Tensor, low_hz: Tensor, high_hz: Tensor, sample_rate: float, state: dict | None = None) -> Tensor:
    """Audio (B, C, T) -> its low, middle and high band (3, B, C, T), float64, by fourth-order Linkwitz-Riley crossovers.

    Squared Butterworth filters are in phase and add up to an all-pass (S. H. Linkwitz, J. Audio Eng. Soc. 24(1), 1976). The low
    band goes through the upper crossover's all-pass too, so that all three stay in phase and their sum has a flat magnitude.
    """

    def filtered(x: Tensor, name: str, *sections: Tensor) -> Tensor:
        y, memory = biquad(x, torch.cat(sections, 1), None if state is None else state.get(name))
        if state is not None:
            state[name] = memory
        return y

    # In double: in single precision, rounding at low crossovers is as loud as -60 dB.
    x = x.double()
    lower, upper = low_pass(low_hz, sample_rate), high_pass(low_hz, sample_rate)
    low = filtered(x, "low", lower, lower, all_pass(high_hz, sample_rate))
    rest = filtered(x, "rest", upper, upper)
    ways = torch.cat([low_pass(high_hz, sample_rate), high_pass(high_hz, sample_rate)])
    both = filtered(rest.repeat(2, 1, 1), "ways", ways, ways)
    return torch.cat([low, both]).unflatten(0, (3, -1))


def _angle(frequency: Tensor, sample_rate: float, q: float) -> tuple[Tensor, Tensor]:
    w = 2 * math.pi * frequency.clamp(0.01, sample_rate / 2 - 100) / sample_rate
    return torch.cos(w), torch.sin(w) / (2 * q)


def _section(b0: Tensor, b1: Tensor, b2: Tensor, cos: Tensor, alpha: Tensor) -> Tensor:
    return torch.stack([b0, b1, b2, -2 * cos, 1 - alpha], -2) / (1 + alpha).unsqueeze(-2)
