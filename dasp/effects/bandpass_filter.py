"""BandpassFilter: what lies around a frequency."""

from __future__ import annotations

from torch import Tensor

from dasp.effect import Effect
from dasp.effects._filter import centre, resonant


def bandpass_filter(
    x: Tensor,
    *,
    sample_rate: float = 44100,
    cutoff_frequency_hz: float | Tensor = 1000.0,
    q: float | Tensor = 0.5**0.5,
    state: dict | None = None,
) -> Tensor:
    """Second-order band-pass with a gain of 1 at its centre: H(s) = (s/Q) / (s^2 + s/Q + 1).

    From the audio-EQ cookbook (R. Bristow-Johnson); in double inside, so that float32 audio is rounded once.

    Args:
        x: audio (B, C, T).
        sample_rate: in Hz.
        cutoff_frequency_hz: centre frequency; number, (B,), (B, 1, 1) or (B, 1, T); acts up to fs/2 - 100 Hz.
        q: centre frequency over bandwidth; shapes as above.
        state: a dict that carries the filter's memory between blocks.
    """
    return resonant("band_pass", x, sample_rate, cutoff_frequency_hz, q, state)


class BandpassFilter(Effect):
    """Keep a band around a centre frequency."""

    controls = centre("centre frequency", "centre frequency over bandwidth")
    dsp = staticmethod(bandpass_filter)
