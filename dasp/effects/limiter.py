"""Limiter: two compressors in series, make-up gain, clipping, as Pedalboard's."""

from __future__ import annotations

import torch
from torch import Tensor

from dasp.atoms.level import as_controls, db_to_gain
from dasp.atoms.precision import as_plugin
from dasp.atoms.ramp import glide
from dasp.effect import Effect
from dasp.effects.compressor import compressor
from dasp.param import Param

_STAGE_MAKEUP = 10**0.1875  # half of what the first stage takes from full scale: 10 dB (1 - 1/4) / 2
_RAMP_SECONDS = 0.001


def limiter(
    x: Tensor,
    *,
    sample_rate: float = 44100,
    threshold_db: float | Tensor = -10.0,
    release_ms: float | Tensor = 100.0,
    state: dict | None = None,
    hop: int = 0,
) -> Tensor:
    """A 4:1 compressor at -10 dB, a 1000:1 compressor at the threshold, 3.75 dB - threshold_db of gain, clipping to +-1.

    It aims at full scale whatever the threshold, so a lower threshold is louder. The gain glides to a new threshold in 1 ms.
    Each channel for itself. Where the last stage clips, every derivative is 0.

    Args:
        x: audio (B, C, T).
        sample_rate: in Hz.
        threshold_db, release_ms: numbers, (B,), (B, 1, 1) or (B, 1, T). The time is the plugin's: the follower's time constant
            is 1/(2 pi) of it.
        state: a dict that carries both followers and the glide between blocks.
        hop: samples for which each value is held where controls vary in time.
    """
    threshold, release = as_controls(x, threshold_db, release_ms)

    def stage(x: Tensor, name: str, *values: float | Tensor) -> Tensor:
        names = ("threshold_db", "ratio", "attack_ms", "release_ms")
        memory = None if state is None else state.setdefault(name, {})
        return compressor(x, sample_rate=sample_rate, state=memory, **dict(zip(names, values, strict=True)))

    y = stage(x, "leveller", -10.0, 4.0, 2.0, 200.0)
    y = stage(y, "peaks", threshold, 1000.0, 0.001, release)
    gain = db_to_gain(-threshold, x.dtype)
    makeup = _STAGE_MAKEUP * gain
    if x.dtype != torch.float64:
        makeup = as_plugin(makeup, _STAGE_MAKEUP * gain.detach().float())
    makeup = glide(makeup.to(x.dtype), x.shape[2], max(1, int(_RAMP_SECONDS * sample_rate)), state, "makeup", hop)
    return (y * makeup).clamp(-1, 1)


class Limiter(Effect):
    """Bring everything to full scale and nothing above it."""

    controls = (
        Param("threshold_db", "dB", -40.0, 0.0, -10.0, doc="level above which the peaks are held; the rest is raised by as much"),
        Param("release_ms", "ms", 1.0, 1000.0, 100.0, "log", "how fast the gain recovers"),
    )
    dsp = staticmethod(limiter)
    plugin = "Limiter"
