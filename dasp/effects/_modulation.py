"""What the modulation effects share: a control's way to its new value, and the mix of dry and wet."""

from __future__ import annotations

import torch
from torch import Tensor

from dasp.atoms.ramp import glide
from dasp.atoms.waveshaper import blend
from dasp.param import Param

GLIDE_SECONDS = 0.05


def swing(low_hz: float, high_hz: float, rate_hz: float, depth: float) -> tuple[Param, Param]:
    """Rate and depth of the oscillator."""
    return (
        Param("rate_hz", "Hz", low_hz, high_hz, rate_hz, "log", "swings a second"),
        Param("depth", "", 0.0, 1.0, depth, doc="how far the swings go"),
    )


def returns() -> tuple[Param, Param]:
    """Feedback and mix."""
    return (
        Param("feedback", "", -0.95, 0.95, 0.0, doc="output that goes in again; its sign chooses the colour"),
        Param("mix", "", 0.0, 1.0, 0.5, doc="0 dry, 1 wet"),
    )


def glided(value: Tensor, samples: int, dtype: torch.dtype, rate: float, state: dict | None, hop: int, name: str) -> Tensor:
    """A control (B, 1, 1 or samples) in the audio's dtype, reaching each new value in 50 ms; its place goes into the state."""
    return glide(value.to(dtype), samples, max(1, int(GLIDE_SECONDS * rate)), state, name, hop)


def mixed(x: Tensor, wet: Tensor, mix: Tensor, sample_rate: float, state: dict | None, hop: int) -> Tensor:
    """(1 - mix) x + mix wet, both gains glided on their own."""
    dry = 1 - (mix if x.dtype == torch.float64 else mix.float())
    way = x.shape[2], x.dtype, sample_rate, state, hop
    return blend(x, wet, glided(dry, *way, "dry"), glided(mix, *way, "wet"))
