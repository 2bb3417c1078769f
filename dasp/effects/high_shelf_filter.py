"""HighShelfFilter: one second-order equaliser band, as Pedalboard's."""

from __future__ import annotations

from torch import Tensor

from dasp.effect import Effect
from dasp.effects._filter import band, second_order


def high_shelf_filter(
    x: Tensor,
    *,
    sample_rate: float = 44100,
    cutoff_frequency_hz: float | Tensor = 440.0,
    gain_db: float | Tensor = 0.0,
    q: float | Tensor = 0.5**0.5,
    state: dict | None = None,
    hop: int = 0,
) -> Tensor:
    """Second-order filter of the audio-EQ cookbook (R. Bristow-Johnson), transposed direct form II.

    Args:
        x: audio (B, C, T).
        sample_rate: in Hz.
        cutoff_frequency_hz, gain_db, q: numbers, (B,), (B, 1, 1) or (B, 1, T); frequencies act up to fs/2 - 100 Hz.
        state: a dict that carries the filter's memory between blocks.
        hop: length of the blocks in which the plugin would get controls that vary in time.
    """
    return second_order("high_shelf", x, sample_rate, cutoff_frequency_hz, gain_db, q, state, hop)


class HighShelfFilter(Effect):
    """Raise or lower everything above a corner frequency."""

    controls = band("", 20.0, 20000.0, 440.0)
    dsp = staticmethod(high_shelf_filter)
    plugin = "HighShelfFilter"
