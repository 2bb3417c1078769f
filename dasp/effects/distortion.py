"""Distortion: a hyperbolic tangent waveshaper."""

from __future__ import annotations

from torch import Tensor

from dasp.atoms.level import as_controls, db_to_gain
from dasp.atoms.waveshaper import shape
from dasp.effect import Effect
from dasp.param import Param


def distortion(x: Tensor, *, sample_rate: float = 44100, drive_db: float | Tensor = 25.0) -> Tensor:
    """y = tanh(10^(drive_db / 20) x), as Pedalboard's Distortion: no oversampling, no make-up gain.

    Args:
        x: audio (B, C, T).
        sample_rate: in Hz; a waveshaper does not depend on it.
        drive_db: number, (B,), (B, 1, 1) or (B, 1, T).
    """
    (db,) = as_controls(x, drive_db)
    return shape(x, db_to_gain(db, x.dtype), "tanh")


class Distortion(Effect):
    """Saturate the waveform smoothly."""

    controls = (Param("drive_db", "dB", 0.0, 40.0, 25.0, doc="gain in front of the waveshaper"),)
    dsp = staticmethod(distortion)
    plugin = "Distortion"
