"""`gradient="autodiff"`: differentiate the white-box DSP itself."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from gradients.strategy import Strategy, Target


@dataclass(frozen=True)
class Autodiff(Strategy):
    """Exact derivatives of the white box, one run forward and one backward."""

    def __call__(self, target: Target, x: Tensor, controls: Tensor, **aux: Tensor) -> Tensor:
        return target.view("whitebox", "gradient='autodiff'")(x, controls, **aux)
