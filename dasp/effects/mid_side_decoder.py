"""MidSideDecoder: mid and side to left and right."""

from __future__ import annotations

from torch import Tensor

from dasp.atoms.mid_side import to_left_right
from dasp.effect import Effect


def mid_side_decoder(x: Tensor, *, sample_rate: float = 44100) -> Tensor:
    """L = M + S in the first channel, R = M - S in the second: the inverse of `mid_side_encoder`.

    Args:
        x: (B, 2, T), mid and side.
        sample_rate: in Hz; a matrix does not depend on it.
    """
    return to_left_right(x)


class MidSideDecoder(Effect):
    """Turn mid and side back into left and right, L = M + S and R = M - S."""

    controls = ()
    dsp = staticmethod(mid_side_decoder)
    channels = (2,)
    links_channels = True
