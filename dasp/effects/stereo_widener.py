"""StereoWidener: more or less difference between left and right."""

from __future__ import annotations

from torch import Tensor

from dasp.atoms.level import as_controls
from dasp.atoms.mid_side import to_mid_side
from dasp.effect import Effect
from dasp.param import Param


def stereo_widener(x: Tensor, *, sample_rate: float = 44100, width: float | Tensor = 1.0) -> Tensor:
    """Scale the side signal: S' = width S, M' = M (mid and side after Blumlein, British patent 394325, 1931).

    The centre and the mono sum stay as they are, so the energy |L|^2 + |R|^2 = 2 |M|^2 + 2 |S|^2 becomes
    2 |M|^2 + 2 width^2 |S|^2: it falls below 1 and grows above. Written as L + (width - 1) S and R - (width - 1) S, which
    is the input itself at 1.

    Args:
        x: stereo (B, 2, T). Mono is refused: it has no side, and the control would do nothing.
        sample_rate: in Hz; width does not depend on it.
        width: 0 mono, 1 neutral, 2 doubles the side; number, (B,), (B, 1, 1) or (B, 1, T).
    """
    (wide,) = as_controls(x, width)
    side = to_mid_side(x)[:, 1:]
    return x + (wide - 1).to(x.dtype) * side * x.new_tensor([[1.0], [-1.0]])


class StereoWidener(Effect):
    """Narrow or widen a stereo signal; the centre stays as it is, and so does everything at width 1."""

    controls = (Param("width", "", 0.0, 2.0, 1.0, doc="gain of the side signal: 0 mono, 1 neutral, 2 twice as wide"),)
    dsp = staticmethod(stereo_widener)
    channels = (2,)
    links_channels = True
