"""Tremolo: a level that swings."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from dasp.atoms.level import as_controls
from dasp.atoms.libm import libm
from dasp.atoms.precision import as_plugin
from dasp.effect import Effect, nearest
from dasp.param import Param

SHAPES = ("sine", "triangle")

# A turn of the oscillator in integers: their sum is the same in any order, hence for any split into blocks, and never drifts.
# 2^45 keeps 3.6 hours at 20 Hz below 2^63, and the rate within 2^-46 turns a sample.
_TURN = 2**45


def tremolo(
    x: Tensor,
    *,
    sample_rate: float = 44100,
    rate_hz: float | Tensor = 5.0,
    depth: float | Tensor = 0.5,
    shape: str = "sine",
    state: dict | None = None,
) -> Tensor:
    """y = x (1 - depth swing(phase)), where swing goes from 0 to 1 and back in a turn: (1 - cos) / 2 or a triangle.

    The amplitude modulation of guitar amplifiers (U. Zoelzer (ed.): DAFX, 2nd edition, 2011, chapter 3). The phase is the
    integral of the rate, so a rate that varies in time bends it without a jump. It starts at 0, where the level is full.

    Args:
        x: audio (B, C, T); all channels swing together.
        sample_rate: in Hz.
        rate_hz: turns a second.
        depth: 0 leaves the level alone, 1 swings down to silence. Controls are numbers, (B,), (B, 1, 1) or (B, 1, T).
        shape: "sine" or "triangle".
        state: a dict that carries the phase between blocks.

    Raises:
        ValueError: another shape.
    """
    if shape not in SHAPES:
        raise ValueError(f"Tremolo: shape is one of {', '.join(SHAPES)}; got {shape!r}.{nearest(shape, SHAPES)}")
    rate, amount = as_controls(x, rate_hz, depth)
    memory = {} if state is None else state
    turns, memory["phase"] = _phase(rate.expand(-1, -1, x.shape[2]), sample_rate, memory.get("phase"))
    swing = (1 - _cosine(turns, x.dtype)) / 2 if shape == "sine" else 1 - (1 - 2 * turns).abs()
    return x * (1 - amount * swing).to(x.dtype)


def _phase(rate: Tensor, sample_rate: float, start: Tensor | None) -> tuple[Tensor, Tensor]:
    """Turns in [0, 1) before each sample of rate (B, 1, T), and the integer phase (B, 1, 1) after them."""
    advance = rate / sample_rate
    steps = torch.round(advance.detach() * _TURN).long()
    if start is None:
        start = steps.new_zeros(*steps.shape[:2], 1)
    before = (start + steps.cumsum(2) - steps) % _TURN
    sums = advance.cumsum(2) - advance
    return before.double() / _TURN + (sums - sums.detach()), (start + steps.sum(2, keepdim=True)) % _TURN


def _cosine(turns: Tensor, dtype: torch.dtype) -> Tensor:
    """For float32 audio the value of libm, one sample at a time: torch's own last bit depends on the place in memory."""
    angle = 2 * math.pi * turns
    exact = torch.cos(angle)
    return exact if dtype == torch.float64 else as_plugin(exact, libm("cosf", angle.detach().float()))


class Tremolo(Effect):
    """Swing the level up and down. Option `shape`: sine or triangle."""

    controls = (
        Param("rate_hz", "Hz", 1.0, 20.0, 5.0, "log", "swings a second"),
        Param("depth", "", 0.0, 1.0, 0.5, doc="0 leaves the level alone, 1 swings down to silence"),
    )
    dsp = staticmethod(tremolo)
    options = {"shape": "sine"}
