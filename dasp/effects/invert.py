"""Invert: the opposite polarity."""

from __future__ import annotations

from torch import Tensor

from dasp.atoms.waveshaper import shape
from dasp.effect import Effect


def invert(x: Tensor, *, sample_rate: float = 44100) -> Tensor:
    """y = -x, as Pedalboard's Invert.

    Args:
        x: audio (B, C, T).
        sample_rate: in Hz; polarity does not depend on it.
    """
    return shape(x, x.new_full((len(x), 1, 1), -1.0), "gain")


class Invert(Effect):
    """Turn the waveform upside down."""

    controls = ()
    dsp = staticmethod(invert)
    plugin = "Invert"
