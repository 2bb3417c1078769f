"""Panner: place a signal between two loudspeakers."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from dasp.atoms.level import as_controls
from dasp.effect import Effect, nearest
from dasp.param import Param

LAWS = ("constant_power", "linear", "-4.5dB")


def pan_gains(pan: Tensor, law: str) -> tuple[Tensor, Tensor]:
    """Left and right gain at pan in [0, 1] (angle pan * pi / 2), any shape.

    linear: 1 - pan and pan; constant_power: cos and sin; -4.5dB: the square root of their product (Steinmetz et al. 2022, ISMIR
    tutorial, part 1). The last is written with sinc, cos(pi p / 2) = (pi / 2)(1 - p) sinc((1 - p) / 2), so that
    its gradient is finite at both ends, where sqrt's is not.
    """
    if law == "linear":
        return 1 - pan, pan
    if law == "constant_power":
        angle = pan * (math.pi / 2)
        return torch.cos(angle), torch.sin(angle)
    if law == "-4.5dB":
        left, right = 1 - pan, pan
        return left * _root(left), right * _root(right)
    raise ValueError(f"Panner: law is one of {', '.join(LAWS)}; got {law!r}.{nearest(law, LAWS)}")


def _root(side: Tensor) -> Tensor:
    return torch.sqrt(math.pi / 2 * torch.sinc(side / 2))


def panner(x: Tensor, *, sample_rate: float = 44100, pan: float | Tensor = 0.5, law: str = "constant_power") -> Tensor:
    """Mono (B, 1, T) or stereo (B, 2, T) -> stereo (B, 2, T).

    A stereo signal is balanced: its left and right channels get the gains that a mono signal would, so that dual mono
    sounds as mono does.

    Args:
        x: audio (B, 1, T) or (B, 2, T).
        sample_rate: in Hz; panning does not depend on it.
        pan: 0 left, 0.5 centre, 1 right; number, (B,), (B, 1, 1) or (B, 1, T).
        law: "constant_power" (-3 dB in the centre), "linear" (-6 dB) or "-4.5dB".

    Raises:
        ValueError: another law.
    """
    (position,) = as_controls(x, pan)
    left, right = pan_gains(position, law)
    return x * torch.cat([left, right], dim=1).to(x.dtype)


class Panner(Effect):
    """Place a signal between left and right. Option `law`: constant_power, linear or -4.5dB."""

    controls = (Param("pan", "", 0.0, 1.0, 0.5, doc="0 left, 0.5 centre, 1 right"),)
    dsp = staticmethod(panner)
    options = {"law": "constant_power"}
    channels = (1, 2)

    @classmethod
    def out_channels(cls, channels: int) -> int:
        return 2
