"""Two precisions at once: the plugin's float32 value with the exact derivative."""

from __future__ import annotations

from torch import Tensor


def as_plugin(exact: Tensor, rounded: Tensor) -> Tensor:
    """The value of `rounded` (float32 arithmetic, as the plugin's) with the gradient of `exact` (float64); float64.

    The difference of two close numbers is exact in float64, so adding it back gives the float32 number itself.
    """
    return exact + (rounded.double() - exact).detach()
