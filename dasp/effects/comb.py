"""Comb: a signal and its echo, with evenly spaced peaks."""

from __future__ import annotations

import torch
from torch import Tensor

from dasp.atoms.level import as_controls
from dasp.effect import Effect, nearest
from dasp.effects._delays import echoes, gliding
from dasp.param import Param

KINDS = ("feedback", "feedforward")
_LONGEST_MS = 100.0


def comb(
    x: Tensor,
    *,
    sample_rate: float = 44100,
    delay_ms: float | Tensor = 10.0,
    gain: float | Tensor = 0.5,
    kind: str = "feedback",
    state: dict | None = None,
    hop: int = 0,
) -> Tensor:
    """feedback: y[n] = x[n] + gain y[n - d]; feedforward: y[n] = x[n] + gain x[n - d].

    M. R. Schroeder, "Natural sounding artificial reverberation", J. Audio Eng. Soc. 10 (1962). Linear
    interpolation, gliding to new delays within 32 samples; the gradient of the delay is true.

    Args:
        x: audio (B, C, T).
        sample_rate: in Hz.
        delay_ms: number, (B,), (B, 1, 1) or (B, 1, T); 0.5 to 100, longer ones too where no state is carried;
            at least one sample.
        gain: between -1 and 1; same shapes.
        kind: "feedback" or "feedforward".
        state: a dict that carries the line between blocks.
        hop: samples for which each value is held where controls vary in time.

    Raises:
        ValueError: another kind.
    """
    if kind not in KINDS:
        raise ValueError(f"Comb: kind is one of {', '.join(KINDS)}; got {kind!r}.{nearest(kind, KINDS)}")
    ms, level = as_controls(x, delay_ms, gain)
    samples = gliding(ms * (sample_rate / 1000), x.shape[2], state, hop)
    fed = level if kind == "feedback" else torch.zeros_like(level)
    out = echoes(x, samples, fed, _LONGEST_MS * sample_rate / 1000, state)
    return x + level.to(x.dtype) * out


class Comb(Effect):
    """Colour a sound with evenly spaced peaks. Option `kind`: feedback (sharp peaks) or feedforward (sharp dips)."""

    controls = (
        Param("delay_ms", "ms", 0.5, _LONGEST_MS, 10.0, "log", "one over the distance of two peaks", step=1e-4),
        Param("gain", "", -0.95, 0.95, 0.5, doc="level of the echo; negative ones move peaks to where dips were"),
    )
    dsp = staticmethod(comb)
    options = {"kind": "feedback"}
