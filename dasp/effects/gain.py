"""Gain: a level change in decibels."""

from __future__ import annotations

from torch import Tensor

from dasp.atoms.level import as_controls, db_to_gain
from dasp.atoms.waveshaper import shape
from dasp.effect import Effect
from dasp.param import Param


def gain(x: Tensor, *, sample_rate: float = 44100, gain_db: float | Tensor = 0.0) -> Tensor:
    """y = 10^(gain_db / 20) x; silence at or below -100 dB.

    Args:
        x: audio (B, C, T).
        sample_rate: in Hz; a gain does not depend on it.
        gain_db: number, (B,), (B, 1, 1) or (B, 1, T).
    """
    (db,) = as_controls(x, gain_db)
    return shape(x, db_to_gain(db, x.dtype), "gain")


class Gain(Effect):
    """Turn the level up or down."""

    controls = (Param("gain_db", "dB", -60.0, 24.0, 0.0, doc="level change"),)
    dsp = staticmethod(gain)
    plugin = "Gain"
