"""`gradient="proxy"`: a trained network stands in for the effect, forward and backward."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from gradients.strategy import Strategy, Target


@dataclass(frozen=True)
class Proxy(Strategy):
    """Hear and differentiate the proxy (Steinmetz et al. 2020; "neural proxy" of DeepAFx-ST, 2022)."""

    def __call__(self, target: Target, x: Tensor, controls: Tensor, **aux: Tensor) -> Tensor:
        return target.view("proxy", "gradient='proxy'")(x, controls, **aux)
