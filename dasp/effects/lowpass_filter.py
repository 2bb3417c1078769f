"""LowpassFilter: first order, 6 dB an octave, as Pedalboard's."""

from __future__ import annotations

from torch import Tensor

from dasp.effect import Effect
from dasp.effects._filter import below_nyquist, cutoff, second_order


def lowpass_filter(
    x: Tensor,
    *,
    sample_rate: float = 44100,
    cutoff_frequency_hz: float | Tensor = 50.0,
    state: dict | None = None,
    hop: int = 0,
) -> Tensor:
    """First-order low-pass by the bilinear transform: H(z) = k (1 + 1/z) / (k + 1 + (k - 1)/z), k = tan(pi f / fs).

    Args:
        x: audio (B, C, T).
        sample_rate: in Hz.
        cutoff_frequency_hz: where the gain is -3 dB; number, (B,), (B, 1, 1) or (B, 1, T); acts up to fs/2 - 100 Hz.
        state: a dict that carries the filter's memory between blocks.
        hop: length of the blocks in which the plugin would get controls that vary in time.
    """
    return second_order("low_pass", x, sample_rate, cutoff_frequency_hz, 0.0, 1.0, state, hop)


class LowpassFilter(Effect):
    """Take away what lies above a cutoff frequency, 6 dB an octave."""

    controls = (cutoff(50.0, "where the gain is -3 dB"),)
    dsp = staticmethod(lowpass_filter)
    plugin = staticmethod(below_nyquist("LowpassFilter"))
