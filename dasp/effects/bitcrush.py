"""Bitcrush: fewer bits a sample."""

from __future__ import annotations

import torch
from torch import Tensor

from dasp.atoms.level import as_controls
from dasp.atoms.precision import as_plugin
from dasp.atoms.waveshaper import shape
from dasp.effect import Effect
from dasp.param import Param


def bitcrush(x: Tensor, *, sample_rate: float = 44100, bit_depth: float | Tensor = 8.0) -> Tensor:
    """y = round(s x) / s with s = 2^bit_depth, halves to the even side, as Pedalboard's Bitcrush; depths between integers count.

    A staircase has no derivative of use, so both gradients are surrogates. That of the audio passes straight through
    (Bengio, Leonard, Courville 2013). That of the depth holds the error of rounding, measured in steps, and lets the
    step 1 / s vary: dy/d bit_depth = -ln 2 (y - x). One bit more halves the error, and that is also how its
    expected square 1 / (12 s^2) falls, so gradients of levels and squared errors are right on average.

    Args:
        x: audio (B, C, T).
        sample_rate: in Hz; a quantiser does not depend on it.
        bit_depth: number, (B,), (B, 1, 1) or (B, 1, T), in bits; full scale has 2^(bit_depth + 1) steps.
    """
    (bits,) = as_controls(x, bit_depth)
    scale = 2**bits
    if x.dtype != torch.float64:
        scale = as_plugin(scale, (2 ** bits.detach().float().double()).float())  # a power in double, rounded
    return shape(x, scale, "round")


class Bitcrush(Effect):
    """Round every sample to fewer bits."""

    controls = (
        Param(
            "bit_depth", "bits", 1.0, 16.0, 8.0, doc="bits a sample",
            surrogate="-ln 2 (y - x): the error of rounding held in steps, as the step varies",
        ),
    )  # fmt: skip
    dsp = staticmethod(bitcrush)
    plugin = "Bitcrush"
    audio_surrogate = "straight-through: 1"
