"""Reverb: Freeverb, as Pedalboard's."""

from __future__ import annotations

import torch
from torch import Tensor

from dasp.atoms.freeverb import freeverb
from dasp.atoms.level import as_controls
from dasp.atoms.precision import as_plugin
from dasp.effect import Effect
from dasp.param import Param


def reverb(
    x: Tensor,
    *,
    sample_rate: float = 44100,
    room_size: float | Tensor = 0.5,
    damping: float | Tensor = 0.5,
    wet_level: float | Tensor = 0.33,
    dry_level: float | Tensor = 0.4,
    width: float | Tensor = 1.0,
    state: dict | None = None,
) -> Tensor:
    """Freeverb (Jezar, 2000): eight parallel damped combs and four all-passes a side, mixed with the dry signal.

    Args:
        x: mono (B, 1, T) or stereo (B, 2, T).
        sample_rate: in Hz; delay lengths follow it.
        room_size, damping, wet_level, dry_level, width: in [0, 1]; numbers, (B,) or (B, 1, 1). The dry gain is twice
            dry_level, the wet gain three times wet_level, as in the plugin.
        state: a dict that carries the delay lines between blocks.
    """
    room, damp, wet, dry, wide = as_controls(x, room_size, damping, wet_level, dry_level, width)

    def gains(room: Tensor, damp: Tensor, wet: Tensor, dry: Tensor, wide: Tensor) -> tuple[Tensor, ...]:
        half = 0.5 * (wet * 3)
        return room * 0.28 + 0.7, damp * 0.4, half * (1 + wide), half * (1 - wide), dry * 2

    exact = gains(room, damp, wet, dry, wide)
    if x.dtype != torch.float64:
        rounded = gains(*(t.detach().float() for t in (room, damp, wet, dry, wide)))
        exact = tuple(as_plugin(e, r) for e, r in zip(exact, rounded, strict=True))
    feedback, absorption, same, cross, direct = exact
    y, memory = freeverb(x, feedback, absorption, sample_rate, None if state is None else state.get("lines"))
    if state is not None:
        state["lines"] = memory
    same, cross, direct = (t.to(x.dtype) for t in (same, cross, direct))
    if x.shape[1] == 1:
        return y * same + x * direct
    return y * same + y.flip(1) * cross + x * direct


class Reverb(Effect):
    """Add a room: Freeverb's combs and all-passes."""

    controls = (
        Param("room_size", "", 0.0, 1.0, 0.5, doc="decay: feedback of the combs"),
        Param("damping", "", 0.0, 1.0, 0.5, doc="how much faster high frequencies decay"),
        Param("wet_level", "", 0.0, 1.0, 0.33, doc="level of the reverberation"),
        Param("dry_level", "", 0.0, 1.0, 0.4, doc="level of the direct sound (0.5 is unity)"),
        Param("width", "", 0.0, 1.0, 1.0, doc="stereo width of the reverberation"),
    )
    dsp = staticmethod(reverb)
    plugin = "Reverb"
    channels = (1, 2)
    links_channels = True
    static_because = "the plugin glides to new values over 10 ms of its own; vary the level of a send instead."
