"""Overdrive: a saturating stage with a shifted operating point, as a tube's."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from dasp.atoms.antialias import antialiased, mean_tanh
from dasp.atoms.biquad import biquad
from dasp.atoms.level import as_controls, db_to_gain
from dasp.atoms.libm import tanh
from dasp.effect import Effect
from dasp.param import Param

_BLOCKER_HZ = 10.0


def overdrive(
    x: Tensor,
    *,
    sample_rate: float = 44100,
    drive_db: float | Tensor = 20.0,
    bias: float | Tensor = 0.3,
    tone_hz: float | Tensor = 6000.0,
    level_db: float | Tensor = 0.0,
    state: dict | None = None,
) -> Tensor:
    """y = tanh(10^(drive_db / 20) x + bias) - tanh(bias), then a DC blocker, a low-pass and a gain.

    A bias moves the operating point along the curve, so that one half-wave saturates earlier: even harmonics, and none at
    bias 0 where the curve is odd (J. Pakarinen, D. T. Yeh: A review of digital techniques for modeling vacuum-tube guitar
    amplifiers, Computer Music Journal 33(2), 2009). The direct component that the curve makes is blocked as by a coupling
    capacitor: first-order high-pass at 10 Hz. Antialiased by first-order antiderivatives (`dasp.atoms.antialias`): half a sample
    of delay, -3 dB at fs/4. Computed in double for float32 audio too.

    Args:
        x: audio (B, C, T).
        sample_rate: in Hz.
        drive_db: gain in front of the curve.
        bias: 0 symmetric to 1; where 1 the quiescent point lies at tanh(1) = 0.76 of saturation.
        tone_hz: corner of a first-order low-pass; acts up to fs/2 - 100 Hz.
        level_db: gain behind it all. Controls are numbers, (B,), (B, 1, 1) or (B, 1, T).
        state: a dict that carries the last sample and the filters' memory between blocks.
    """
    drive, shift, tone, level = as_controls(x, drive_db, bias, tone_hz, level_db)
    memory = {} if state is None else state
    z = x.double() * db_to_gain(drive, torch.float64) + shift
    quiet = shift[..., :1].expand(*x.shape[:2], -1)  # what a silent past left on the curve
    shaped, last = antialiased(mean_tanh, z, memory.get("last", quiet))
    y, after = biquad(shaped - tanh(shift), _filters(tone, sample_rate), memory.get("filters"))
    memory |= {"last": last, "filters": after}
    return (y * db_to_gain(level, torch.float64)).to(x.dtype)


def _filters(tone: Tensor, sample_rate: float) -> Tensor:
    """DC blocker and tone as two bilinear first-order sections, (B, 2, 5, K)."""
    block = torch.tan(torch.full_like(tone, math.pi * _BLOCKER_HZ / sample_rate))
    low = torch.tan(math.pi * tone.clamp_max(sample_rate / 2 - 100) / sample_rate)
    zero = torch.zeros_like(tone)
    rows = [
        torch.stack([f / (1 + k), g / (1 + k), zero, (k - 1) / (1 + k), zero], dim=2)
        for k, f, g in ((block, torch.ones_like(tone), -torch.ones_like(tone)), (low, low, low))
    ]
    return torch.cat(rows, dim=1)


class Overdrive(Effect):
    """Saturate warmly: an asymmetric, antialiased curve with even harmonics, as of a tube."""

    controls = (
        Param("drive_db", "dB", 0.0, 40.0, 20.0, doc="gain in front of the curve"),
        Param("bias", "", 0.0, 1.0, 0.3, doc="asymmetry: 0 odd harmonics only, above 0 even ones too"),
        Param("tone_hz", "Hz", 500.0, 20000.0, 6000.0, "log", "corner of the low-pass behind the curve"),
        Param("level_db", "dB", -24.0, 12.0, 0.0, doc="gain of the output"),
    )
    dsp = staticmethod(overdrive)
