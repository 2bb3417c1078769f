"""Flanger: a short swinging delay with feedback beside the dry signal."""

from __future__ import annotations

import torch
from torch import Tensor

from dasp.atoms.level import as_controls
from dasp.atoms.lfo import swinging_delay
from dasp.effect import Effect
from dasp.effects._delays import echoes
from dasp.effects._modulation import glided, mixed, returns, swing
from dasp.param import Param

_LONGEST_MS = 10.0


def flanger(
    x: Tensor,
    *,
    sample_rate: float = 44100,
    rate_hz: float | Tensor = 0.3,
    depth: float | Tensor = 0.7,
    centre_delay_ms: float | Tensor = 2.0,
    feedback: float | Tensor = 0.0,
    mix: float | Tensor = 0.5,
    state: dict | None = None,
    hop: int = 0,
) -> Tensor:
    """y = (1 - mix) x + mix out; out is the line, fed x - feedback out, read at centre (1 + depth sin(2 pi rate t - pi)) ms.

    J. Dattorro, "Effect design, part 2: delay-line modulation and chorus", J. Audio Eng. Soc. 45 (1997): a comb whose teeth
    move, with linear interpolation. At depth 1 the delay touches zero. The feedback comes one sample later, without which
    a delay of zero could not be fed back. One oscillator for all channels; all controls reach new values in 50 ms. The
    derivatives are true, with kinks where the delay is a whole number of samples.

    Args:
        x: audio (B, C, T).
        sample_rate: in Hz.
        rate_hz, depth, centre_delay_ms, feedback, mix: numbers, (B,), (B, 1, 1) or (B, 1, T).
        state: a dict that carries line, phase and gliding controls between blocks.
        hop: samples for which each value is held where controls vary in time.
    """
    rate, deep, centre, fed, wet = as_controls(x, rate_hz, depth, centre_delay_ms, feedback, mix)
    named = {"rate": rate, "depth": deep, "centre": centre, "feedback": fed}
    way = x.shape[2], torch.float64, sample_rate, state, hop
    rate, deep, centre, fed = (glided(value, *way, name) for name, value in named.items())
    memory = {} if state is None else state
    samples, memory["phase"] = swinging_delay(
        rate, deep * centre, centre, sample_rate, x.shape[2], torch.float64, memory.get("phase")
    )
    out = echoes(x, samples, -fed, 2 * _LONGEST_MS * sample_rate / 1000, state, late=True)
    return mixed(x, out, wet, sample_rate, state, hop)


class Flanger(Effect):
    """Move a comb's teeth through the spectrum."""

    controls = (
        *swing(0.05, 5.0, 0.3, 0.7),
        Param(
            "centre_delay_ms",
            "ms",
            0.2,
            _LONGEST_MS,
            2.0,
            "log",
            "delay about which the copy swings, down to 0 at depth 1",
            step=1e-4,
        ),
        *returns(),
    )
    dsp = staticmethod(flanger)
