"""NoiseGate: downward expander on an RMS detector, hard knee, as Pedalboard's."""

from __future__ import annotations

import torch
from torch import Tensor

from dasp.atoms.ballistics import follow, gain_curve
from dasp.atoms.level import as_controls, ballistics_pole, db_to_gain
from dasp.atoms.precision import as_plugin
from dasp.effect import Effect
from dasp.param import Param

_RMS_MS = 50.0  # how slowly the mean square falls; it rises at once


def noise_gate(
    x: Tensor,
    *,
    sample_rate: float = 44100,
    threshold_db: float | Tensor = -40.0,
    ratio: float | Tensor = 10.0,
    attack_ms: float | Tensor = 1.0,
    release_ms: float | Tensor = 100.0,
    sidechain: Tensor | None = None,
    state: dict | None = None,
) -> Tensor:
    """y = g x with g = 1 above the threshold T and (r / T)^(ratio - 1) below.

    The mean square of x rises at once and falls with 50 ms; r follows its root with attack and release. Each channel for itself.

    Args:
        x: audio (B, C, T).
        sample_rate: in Hz.
        threshold_db, ratio, attack_ms, release_ms: numbers, (B,), (B, 1, 1) or (B, 1, T). Times are the plugin's: a follower's
            time constant is 1/(2 pi) of them.
        sidechain: (B, C, T), what the detector follows instead of x.
        state: a dict that carries both followers' memory between blocks.
    """
    threshold, slope, attack, release = as_controls(x, threshold_db, ratio, attack_ms, release_ms)
    key = x if sidechain is None else sidechain

    instant, slow = as_controls(x, 0.0, _RMS_MS)
    at_once, falling, up, down = (ballistics_pole(ms, sample_rate, x.dtype) for ms in (instant, slow, attack, release))
    square = follow(key * key, at_once, falling, state, "square")
    heard = square > 0
    # The root's slope at 0 is infinite. In double, since torch's float32 root is not correctly rounded on every build.
    root = torch.where(heard, torch.where(heard, square, 1.0).double().sqrt().to(x.dtype), 0.0)
    level = follow(root, up, down, state, "level")
    exponent = slope - 1
    if x.dtype != torch.float64:
        exponent = as_plugin(exponent, slope.detach().float() - 1)
    return x * gain_curve(level, db_to_gain(threshold, x.dtype, floor_db=-200.0), exponent, below=True)


class NoiseGate(Effect):
    """Turn down what falls below a threshold."""

    controls = (
        Param("threshold_db", "dB", -60.0, 0.0, -40.0, doc="RMS level below which the gain falls"),
        Param("ratio", "dB/dB", 1.0, 30.0, 10.0, "log", "output fall for 1 dB of input fall below the threshold"),
        Param("attack_ms", "ms", 0.05, 200.0, 1.0, "log", "how fast the gate opens"),
        Param("release_ms", "ms", 1.0, 1000.0, 100.0, "log", "how fast it closes"),
    )
    dsp = staticmethod(noise_gate)
    plugin = "NoiseGate"
