"""Compressor: feed-forward, peak detector, hard knee, as Pedalboard's."""

from __future__ import annotations

from torch import Tensor

from dasp.atoms.dynamics import dynamics
from dasp.atoms.level import designed
from dasp.effect import Effect
from dasp.param import Param


def compressor(
    x: Tensor,
    *,
    sample_rate: float = 44100,
    threshold_db: float | Tensor = -20.0,
    ratio: float | Tensor = 4.0,
    attack_ms: float | Tensor = 5.0,
    release_ms: float | Tensor = 100.0,
    sidechain: Tensor | None = None,
    state: dict | None = None,
) -> Tensor:
    """y = g x with g = 1 below the threshold T and (r / T)^(1/ratio - 1) above; r follows |x| with attack and release.

    Each channel for itself; no make-up gain, no look-ahead.

    Args:
        x: audio (B, C, T).
        sample_rate: in Hz.
        threshold_db, ratio, attack_ms, release_ms: numbers, (B,), (B, 1, 1) or (B, 1, T). Times are the plugin's: the follower's
            time constant is 1/(2 pi) of them.
        sidechain: (B, C, T), what the detector follows instead of x.
        state: a dict that carries the follower's memory between blocks.
    """
    exact, plugin = designed(x, sample_rate, "pole pole gain above", attack_ms, release_ms, threshold_db, ratio)
    memory = {} if state is None else state
    y, memory["level"] = dynamics(x, exact, sidechain, memory.get("level"), plugin=plugin)
    return y


class Compressor(Effect):
    """Turn down what rises above a threshold."""

    controls = (
        Param("threshold_db", "dB", -60.0, 0.0, -20.0, doc="level above which the gain falls"),
        Param("ratio", "dB/dB", 1.0, 20.0, 4.0, "log", "input rise for 1 dB of output rise above the threshold"),
        Param("attack_ms", "ms", 0.05, 200.0, 5.0, "log", "how fast the gain falls"),
        Param("release_ms", "ms", 1.0, 1000.0, 100.0, "log", "how fast the gain recovers"),
    )
    dsp = staticmethod(compressor)
    plugin = "Compressor"
