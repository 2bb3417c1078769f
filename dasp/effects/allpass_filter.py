"""AllpassFilter: phase alone."""

from __future__ import annotations

from torch import Tensor

from dasp.effect import Effect
from dasp.effects._filter import centre, resonant


def allpass_filter(
    x: Tensor,
    *,
    sample_rate: float = 44100,
    cutoff_frequency_hz: float | Tensor = 1000.0,
    q: float | Tensor = 0.5**0.5,
    state: dict | None = None,
) -> Tensor:
    """Second-order all-pass: H(s) = (s^2 - s/Q + 1) / (s^2 + s/Q + 1).

    From the audio-EQ cookbook (R. Bristow-Johnson); in double inside, so that float32 audio is rounded once.

    Args:
        x: audio (B, C, T).
        sample_rate: in Hz.
        cutoff_frequency_hz: where the phase is turned by 180 degrees; number, (B,), (B, 1, 1) or (B, 1, T); acts up to
            fs/2 - 100 Hz.
        q: frequency over the width of the turn; shapes as above.
        state: a dict that carries the filter's memory between blocks.
    """
    return resonant("all_pass", x, sample_rate, cutoff_frequency_hz, q, state)


class AllpassFilter(Effect):
    """Turn the phase and leave the level alone, by 180 degrees at a frequency."""

    controls = centre("where the phase is turned by 180 degrees", "frequency over the width of the turn")
    dsp = staticmethod(allpass_filter)
