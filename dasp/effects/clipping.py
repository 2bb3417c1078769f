"""Clipping: a hard limit for the waveform."""

from __future__ import annotations

from torch import Tensor

from dasp.atoms.level import as_controls, db_to_gain
from dasp.atoms.waveshaper import shape
from dasp.effect import Effect
from dasp.param import Param


def clipping(x: Tensor, *, sample_rate: float = 44100, threshold_db: float | Tensor = -6.0) -> Tensor:
    """y = x between -T and T = 10^(threshold_db / 20), T of x's sign beyond, as Pedalboard's Clipping: no oversampling.

    Args:
        x: audio (B, C, T).
        sample_rate: in Hz; a waveshaper does not depend on it.
        threshold_db: number, (B,), (B, 1, 1) or (B, 1, T); silence at or below -100 dB.
    """
    (db,) = as_controls(x, threshold_db)
    return shape(x, db_to_gain(db, x.dtype), "clip")


class Clipping(Effect):
    """Cut off what exceeds a threshold."""

    controls = (Param("threshold_db", "dB", -60.0, 0.0, -6.0, doc="level at which the waveform is cut off"),)
    dsp = staticmethod(clipping)
    plugin = "Clipping"
