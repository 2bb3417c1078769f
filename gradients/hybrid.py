"""`gradient="hybrid"`: hear one view, differentiate another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from gradients._opaque import opaque
from gradients.strategy import Strategy, Target

View = Literal["whitebox", "blackbox", "proxy"]


@dataclass(frozen=True)
class Hybrid(Strategy):
    """The forward pass of one view with the derivative of another.

    `Hybrid()` is the full hybrid of DeepAFx-ST (Steinmetz et al. 2022): the real effect sounds, its proxy gives the
    gradient. `Hybrid(when="eval")` is the half hybrid: the backward view alone while training (`Target.training`), the
    forward view at inference.

    Args:
        forward: the view that is heard.
        backward: the view that is differentiated, for controls, audio and side-chain alike.
        when: "always", or "eval" for the half hybrid.
    """

    forward: View = "blackbox"
    backward: View = "proxy"
    when: Literal["always", "eval"] = "always"

    def __post_init__(self) -> None:
        if self.when not in ("always", "eval"):
            raise ValueError(f"Hybrid: when is 'always' or 'eval'; got {self.when!r}.")

    def __call__(self, target: Target, x: Tensor, controls: Tensor, **aux: Tensor) -> Tensor:
        hear = target.view(self.forward, f"Hybrid(forward={self.forward!r})")
        feel = target.view(self.backward, f"Hybrid(backward={self.backward!r})")
        if self.when == "eval" and target.training:
            return feel(x, controls, **aux)
        keys = tuple(aux)

        def vjp(x: Tensor, u: Tensor, *rest: Tensor, y: Tensor, g: Tensor, needs: tuple[bool, ...]) -> tuple[Tensor, ...]:
            def run(x: Tensor, u: Tensor, *rest: Tensor) -> Tensor:
                return feel(x, u, **dict(zip(keys, rest, strict=True)))

            return torch.func.vjp(run, x, u, *rest)[1](g)

        return opaque(hear, vjp, target.name, x, controls, aux)
