"""Chorus: a swinging delay beside the dry signal, as Pedalboard's."""

from __future__ import annotations

import math

from torch import Tensor

from dasp.atoms.level import as_controls
from dasp.atoms.lfo import swinging_delay
from dasp.effect import Effect
from dasp.effects._delays import echoes
from dasp.effects._modulation import glided, mixed, returns, swing
from dasp.param import Param

_LONGEST_SECONDS = 0.11
_SWING_MS = 20.0


def chorus(
    x: Tensor,
    *,
    sample_rate: float = 44100,
    rate_hz: float | Tensor = 1.0,
    depth: float | Tensor = 0.25,
    centre_delay_ms: float | Tensor = 7.0,
    feedback: float | Tensor = 0.0,
    mix: float | Tensor = 0.5,
    state: dict | None = None,
    hop: int = 0,
) -> Tensor:
    """y = (1 - mix) x + mix out; out is the line, fed x - feedback out, read at max(1, centre + 10 depth sin(phase - pi)) ms.

    Linear interpolation, one oscillator for all channels; its phase is the plugin's float32 one. The derivatives are true, with
    kinks where the delay is a whole number of samples or held at 1 ms. All controls but the centre reach new values in 50 ms.

    Args:
        x: audio (B, C, T).
        sample_rate: in Hz.
        rate_hz, depth, centre_delay_ms, feedback, mix: numbers, (B,), (B, 1, 1) or (B, 1, T). The centre is held within 1 to 100.
        state: a dict that carries line, phase and gliding controls between blocks.
        hop: samples for which each value is held where controls vary in time.
    """
    rate, deep, centre, fed, wet = as_controls(x, rate_hz, depth, centre_delay_ms, feedback, mix)
    way = x.shape[2], x.dtype, sample_rate, state, hop
    rate, half, fed = (glided(v, *way, name) for v, name in ((rate, "rate"), (deep / 2, "depth"), (fed, "feedback")))
    memory = {} if state is None else state
    limits = {"scale": _SWING_MS, "low_ms": 1.0, "high": float(math.ceil(_LONGEST_SECONDS * sample_rate))}
    samples, memory["phase"] = swinging_delay(
        rate, half, centre.clamp(1, 100), sample_rate, x.shape[2], x.dtype, memory.get("phase"), **limits
    )
    out = echoes(x, samples, -fed, _LONGEST_SECONDS * sample_rate, state, late=True)
    return mixed(x, out, wet, sample_rate, state, hop)


class Chorus(Effect):
    """Thicken a sound with a copy of itself whose pitch sways."""

    controls = (
        *swing(0.1, 10.0, 1.0, 0.25),
        Param("centre_delay_ms", "ms", 1.0, 50.0, 7.0, "log", "delay about which the copy swings by up to 10 ms"),
        *returns(),
    )
    dsp = staticmethod(chorus)
    plugin = "Chorus"
