"""MidSideEncoder: left and right to mid and side."""

from __future__ import annotations

from torch import Tensor

from dasp.atoms.mid_side import to_mid_side
from dasp.effect import Effect


def mid_side_encoder(x: Tensor, *, sample_rate: float = 44100) -> Tensor:
    """M = (L + R) / 2 in the first channel, S = (L - R) / 2 in the second.

    Blumlein's sum and difference (British patent 394325, 1931), scaled so that mid has the level of a mono signal and
    neither overloads. MidSideDecoder takes it back: exactly where L + R needs no more digits than a float has (as with 16-bit
    recordings in float32), else within one rounding of the larger channel.

    Args:
        x: stereo (B, 2, T), left and right.
        sample_rate: in Hz; a matrix does not depend on it.
    """
    return to_mid_side(x)


class MidSideEncoder(Effect):
    """Turn left and right into mid and side, M = (L + R) / 2 and S = (L - R) / 2."""

    controls = ()
    dsp = staticmethod(mid_side_encoder)
    channels = (2,)
    links_channels = True
