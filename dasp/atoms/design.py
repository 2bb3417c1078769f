"""Coefficients of filters. Those that Pedalboard has: in the plugin's float32 with exact derivatives.

R. Bristow-Johnson's cookbook forms with A = 10^(gain_db / 40) and w = 2 pi f / fs; the shelves' Q enters as 2 sqrt(A) alpha =
sin(w) sqrt(A) / Q. Frequencies are limited to fs/2 - 100 Hz (as Pedalboard does in shelves and peaks), with zero gradient beyond.
Band-pass, notch and all-pass have no counterpart there: float64 always.
Controls of any one shape -> rows b0, b1, b2, a1, a2 (a0 = 1) stacked in `dim`; float64, float32 values for float32 audio.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from dasp.atoms.libm import libm
from dasp.atoms.precision import as_plugin

BUTTERWORTH_Q = 0.5**0.5
_Rows = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]


def low_shelf(frequency: Tensor, gain_db: Tensor, q: Tensor, sample_rate: float, dtype: torch.dtype, dim: int = -2) -> Tensor:
    return _design(_low_shelf_rows, frequency, gain_db, q, sample_rate, dtype, dim)


def high_shelf(frequency: Tensor, gain_db: Tensor, q: Tensor, sample_rate: float, dtype: torch.dtype, dim: int = -2) -> Tensor:
    return _design(_high_shelf_rows, frequency, gain_db, q, sample_rate, dtype, dim)


def peak(frequency: Tensor, gain_db: Tensor, q: Tensor, sample_rate: float, dtype: torch.dtype, dim: int = -2) -> Tensor:
    return _design(_peak_rows, frequency, gain_db, q, sample_rate, dtype, dim)


def low_pass(frequency: Tensor, sample_rate: float, dtype: torch.dtype, dim: int = -2) -> Tensor:
    """First order, by the bilinear transform: H = k (1 + 1/z) / (k + 1 + (k - 1)/z), k = tan(pi f / fs)."""
    return _first_order(lambda k: (k, k), frequency, sample_rate, dtype, dim)


def high_pass(frequency: Tensor, sample_rate: float, dtype: torch.dtype, dim: int = -2) -> Tensor:
    """First order, by the bilinear transform: H = (1 - 1/z) / (k + 1 + (k - 1)/z)."""
    return _first_order(lambda k: (torch.ones_like(k), -torch.ones_like(k)), frequency, sample_rate, dtype, dim)


def band_pass(frequency: Tensor, q: float | Tensor, sample_rate: float, dim: int = -2) -> Tensor:
    """Second order, gain 1 at its centre. float64."""
    return _resonant(lambda alpha, swing: (alpha, 0 * alpha, -alpha), frequency, q, sample_rate, dim)


def notch(frequency: Tensor, q: float | Tensor, sample_rate: float, dim: int = -2) -> Tensor:
    """Second order. float64."""
    return _resonant(lambda alpha, swing: (torch.ones_like(alpha), swing, torch.ones_like(alpha)), frequency, q, sample_rate, dim)


def all_pass(frequency: Tensor, q: float | Tensor, sample_rate: float, dim: int = -2) -> Tensor:
    """Second order. float64."""
    return _resonant(lambda alpha, swing: (1 - alpha, swing, 1 + alpha), frequency, q, sample_rate, dim)


def butterworth_low_pass(frequency: Tensor, sample_rate: float, dim: int = -2) -> Tensor:
    """Second order. float64."""
    return _resonant(lambda alpha, swing: _squared(1 + swing / 2, 1), frequency, BUTTERWORTH_Q, sample_rate, dim)


def butterworth_high_pass(frequency: Tensor, sample_rate: float, dim: int = -2) -> Tensor:
    """Second order. float64."""
    return _resonant(lambda alpha, swing: _squared(1 - swing / 2, -1), frequency, BUTTERWORTH_Q, sample_rate, dim)


def highest(sample_rate: float) -> float:
    """The highest frequency that filters are tuned to, in Hz."""
    return sample_rate / 2 - 100


def _first_order(
    numerator: Callable[[Tensor], tuple[Tensor, Tensor]], frequency: Tensor, sample_rate: float, dtype: torch.dtype, dim: int
) -> Tensor:
    def rows(k: Tensor) -> _Rows:
        zero = torch.zeros_like(k)
        return *numerator(k), zero, k + 1, k - 1, zero

    f = frequency.clamp_max(highest(sample_rate))
    exact = _normalised(rows(torch.tan(math.pi * f / sample_rate)), dim)
    if dtype == torch.float64:
        return exact
    with torch.no_grad():
        k = libm("tanf", f.float() * torch.tensor(math.pi, dtype=torch.float32).to(f.device) / sample_rate)
        rounded = _normalised(rows(k), dim)
    return as_plugin(exact, rounded)


def _squared(gain: Tensor, sign: int) -> tuple[Tensor, Tensor, Tensor]:
    """gain / 2 (1 +- 1/z)^2."""
    return gain / 2, sign * gain, gain / 2


def _resonant(
    numerator: Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]],
    frequency: Tensor,
    q: float | Tensor,
    rate: float,
    dim: int,
) -> Tensor:
    w = 2 * math.pi * frequency.clamp(0.01, highest(rate)) / rate
    alpha, swing = torch.sin(w) / (2 * q), -2 * torch.cos(w)
    return _normalised((*numerator(alpha, swing), 1 + alpha, swing, 1 - alpha), dim)


def _design(
    rows: Callable[..., _Rows], frequency: Tensor, gain_db: Tensor, q: Tensor, sample_rate: float, dtype: torch.dtype, dim: int
) -> Tensor:
    nyquist = highest(sample_rate)
    w = 2 * math.pi * frequency.clamp(0.01, nyquist).clamp_min(2.0) / sample_rate
    exact = _normalised(rows(10 ** (gain_db / 40), torch.sin(w), torch.cos(w), q), dim)
    if dtype == torch.float64:
        return exact
    with torch.no_grad():
        # Same formulas, float32, in the plugin's order of operations and with libm's functions.
        f, g, q = frequency.detach().float(), gain_db.detach().float(), q.detach().float()
        a = _root(libm("powf", g.new_tensor(10.0), g * 0.05))
        w = f.clamp(0.01, nyquist).clamp_min(2.0) * (2 * torch.tensor(math.pi, dtype=torch.float32)).to(f)
        w = w / sample_rate
        rounded = _normalised(rows(a, libm("sinf", w), libm("cosf", w), q), dim)
    return as_plugin(exact, rounded)


def _normalised(rows: _Rows, dim: int) -> Tensor:
    b0, b1, b2, a0, a1, a2 = torch.broadcast_tensors(*rows)
    return torch.stack([b0, b1, b2, a1, a2], dim) * (1 / a0).unsqueeze(dim)


def _root(t: Tensor) -> Tensor:
    # torch's float32 square root is not correctly rounded on every build; double's, rounded once more, is.
    return t.double().sqrt().to(t.dtype)


def _low_shelf_rows(a: Tensor, sin: Tensor, cos: Tensor, q: Tensor) -> _Rows:
    beta = sin * _root(a) / q
    less, more = a - 1, a + 1
    turn = less * cos
    return (
        a * (more - turn + beta),
        a * 2 * (less - more * cos),
        a * (more - turn - beta),
        more + turn + beta,
        -2 * (less + more * cos),
        more + turn - beta,
    )


def _high_shelf_rows(a: Tensor, sin: Tensor, cos: Tensor, q: Tensor) -> _Rows:
    beta = sin * _root(a) / q
    less, more = a - 1, a + 1
    turn = less * cos
    return (
        a * (more + turn + beta),
        a * -2 * (less + more * cos),
        a * (more + turn - beta),
        more - turn + beta,
        2 * (less - more * cos),
        more - turn - beta,
    )


def _peak_rows(a: Tensor, sin: Tensor, cos: Tensor, q: Tensor) -> _Rows:
    alpha = sin / (q * 2)
    swing = -2 * cos
    wide, narrow = alpha * a, alpha / a
    return 1 + wide, swing, 1 - wide, 1 + narrow, swing, 1 - narrow
