"""Memoryless effects: a curve from input to output whose shape is read from the controls."""

from __future__ import annotations

from torch import Tensor

from proxies.network import Network
from proxies.reader import Curve


class Shaper(Network):
    """y[n] = f(x[n]; controls), f(0) = 0: one hidden layer over the sample, whose weights a second network makes of the controls.

    Args:
        num_controls: P.
        units: of the hidden layer.
        curve: "tanh" for smooth shapes, "hinge" for those with corners.
        width: hidden layers that read the controls.

    >>> import torch
    >>> tuple(Shaper(1)(torch.zeros(2, 2, 100), torch.rand(2, 1)).shape)
    (2, 2, 100)
    """

    def __init__(self, num_controls: int, *, units: int = 8, curve: str = "tanh", width: int = 16) -> None:
        super().__init__(locals())
        self.at_least(1, "units", "width")
        self.curve = Curve(num_controls, units, curve, -1.0, 1.0, 1.0, width, offset=False)

    @property
    def receptive_field(self) -> int:
        return 1

    def process(self, x: Tensor, controls: Tensor, state: dict[str, Tensor] | None) -> Tensor:
        return self.curve(x, controls)
