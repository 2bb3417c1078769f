"""Reverb: Freeverb, as Pedalboard's."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from dasp.atoms.freeverb import INPUT_GAIN
from dasp.atoms.freeverb_mix import freeverb_mix
from dasp.atoms.level import as_controls
from dasp.atoms.precision import as_plugin
from dasp.atoms.ramp import glide
from dasp.effect import Effect
from dasp.param import Param

GLIDE_SECONDS = 0.01


def reverb(
    x: Tensor,
    *,
    sample_rate: float = 44100,
    room_size: float | Tensor = 0.5,
    damping: float | Tensor = 0.5,
    wet_level: float | Tensor = 0.33,
    dry_level: float | Tensor = 0.4,
    width: float | Tensor = 1.0,
    freeze_mode: float = 0.0,
    state: dict | None = None,
    hop: int = 0,
) -> Tensor:
    """Freeverb (Jezar, 2000): eight parallel damped combs and four all-passes a side, mixed with the dry signal.

    Feedback, damping and gains glide to new values in 10 ms, as the plugin's.

    Args:
        x: mono (B, 1, T) or stereo (B, 2, T).
        sample_rate: in Hz; delay lengths follow it.
        room_size, damping, wet_level, dry_level, width: in [0, 1]; numbers, (B,), (B, 1, 1) or (B, 1, T). The dry gain is
            twice dry_level, the wet gain three times wet_level, as in the plugin.
        freeze_mode: from 0.5 the room takes nothing in and what is in it rings on undamped, whatever room_size and damping.
        state: a dict that carries the delay lines and the glide between blocks.
        hop: samples for which each value is held where controls vary in time.
    """
    frozen = freeze_mode >= 0.5

    def gains(room: Tensor, damp: Tensor, wet: Tensor, dry: Tensor, wide: Tensor) -> Tensor:
        half = 0.5 * (wet * 3)
        decay = (0 * room + 1, 0 * damp) if frozen else (room * 0.28 + 0.7, damp * 0.4)
        return torch.cat(torch.broadcast_tensors(*decay, half * (1 + wide), half * (1 - wide), dry * 2), 1)

    controls = as_controls(x, room_size, damping, wet_level, dry_level, width)
    values = gains(*controls)
    if x.dtype != torch.float64:
        values = as_plugin(values, gains(*(t.detach().float() for t in controls)))
    if state is not None or values.shape[2] > 1:  # at rest they keep their double precision
        values = glide(values.to(x.dtype), x.shape[2], math.floor(GLIDE_SECONDS * sample_rate), state, "glide", hop)
    memory = {} if state is None else state
    y, memory["lines"] = freeverb_mix(x, values, sample_rate, memory.get("lines"), 0.0 if frozen else INPUT_GAIN)
    return y


def _plugin(**settings: Any) -> list[tuple[str, dict[str, Any]]]:
    return [("Reverb", settings)]


class Reverb(Effect):
    """Add a room: Freeverb's combs and all-passes. Option `freeze_mode`: from 0.5 the room is shut and rings on for ever."""

    controls = (
        Param("room_size", "", 0.0, 1.0, 0.5, doc="decay: feedback of the combs"),
        Param("damping", "", 0.0, 1.0, 0.5, doc="how much faster high frequencies decay"),
        Param("wet_level", "", 0.0, 1.0, 0.33, doc="level of the reverberation"),
        Param("dry_level", "", 0.0, 1.0, 0.4, doc="level of the direct sound (0.5 is unity)"),
        Param("width", "", 0.0, 1.0, 1.0, doc="stereo width of the reverberation"),
    )
    dsp = staticmethod(reverb)
    plugin = staticmethod(_plugin)
    options = {"freeze_mode": 0.0}
    channels = (1, 2)
    links_channels = True
