"""NoiseGate: downward expander on an RMS detector, hard knee, as Pedalboard's."""

from __future__ import annotations

from torch import Tensor

from dasp.atoms.dynamics import dynamics
from dasp.atoms.level import designed
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
    kinds = "pole pole gain below pole pole"
    exact, plugin = designed(x, sample_rate, kinds, attack_ms, release_ms, threshold_db, ratio, 0.0, _RMS_MS)
    memory = {} if state is None else state
    y, memory["level"] = dynamics(x, exact, sidechain, memory.get("level"), below=True, plugin=plugin)
    return y


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
