"""NotchFilter: all but what lies around a frequency."""

from __future__ import annotations

from torch import Tensor

from dasp.effect import Effect
from dasp.effects._filter import centre, resonant


def notch_filter(
    x: Tensor,
    *,
    sample_rate: float = 44100,
    cutoff_frequency_hz: float | Tensor = 1000.0,
    q: float | Tensor = 0.5**0.5,
    state: dict | None = None,
) -> Tensor:
    """Second-order notch: H(s) = (s^2 + 1) / (s^2 + s/Q + 1).

    From the audio-EQ cookbook (R. Bristow-Johnson); in double inside, so that float32 audio is rounded once.

    Args:
        x: audio (B, C, T).
        sample_rate: in Hz.
        cutoff_frequency_hz: frequency that is taken away; number, (B,), (B, 1, 1) or (B, 1, T); acts up to fs/2 - 100 Hz.
        q: frequency over the width of the notch; shapes as above.
        state: a dict that carries the filter's memory between blocks.
    """
    return resonant("notch", x, sample_rate, cutoff_frequency_hz, q, state)


class NotchFilter(Effect):
    """Take one frequency away."""

    controls = centre("frequency that is taken away", "frequency over the width of the notch")
    dsp = staticmethod(notch_filter)
