"""`gradient="hybrid"`: hear one view, differentiate another."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from gradients._monitor import tell_outside
from gradients._opaque import opaque
from gradients.online import OnlineAdaptation
from gradients.strategy import Fn, Strategy, Target

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
        warn_outside: as in `Proxy`.
        adapt: fine-tune the backward view on the output of the forward view while the owner trains; with when="always" that costs
            no further run of it.
    """

    forward: View = "blackbox"
    backward: View = "proxy"
    when: Literal["always", "eval"] = "always"
    warn_outside: bool = False
    adapt: OnlineAdaptation | None = None
    _told: set[str] = field(default_factory=set, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.when not in ("always", "eval"):
            raise ValueError(f"Hybrid: when is 'always' or 'eval'; got {self.when!r}.")

    def __call__(self, target: Target, x: Tensor, controls: Tensor, **aux: Tensor) -> Tensor:
        hear = target.view(self.forward, f"Hybrid(forward={self.forward!r})")
        feel = target.view(self.backward, f"Hybrid(backward={self.backward!r})")
        if self.warn_outside:
            for view, function in ((self.forward, hear), (self.backward, feel)):
                if view == "proxy":
                    tell_outside(self._told, target.name, function, x, controls)
        learning = self.adapt if torch.is_grad_enabled() and target.training else None
        if self.when == "eval" and target.training:
            if learning is not None:
                with torch.no_grad():
                    y = hear(x, controls, **aux)
                learning.follow(target.name, feel, hear, x, controls, y, aux)
            return self._frozen(target, feel, x)(x, controls, **aux)
        keys, now = tuple(aux), [feel]

        def heard(x: Tensor, u: Tensor, **aux: Tensor) -> Tensor:
            y = hear(x, u, **aux)
            if learning is not None:
                learning.follow(target.name, feel, hear, x, u, y, aux)
            now[0] = self._frozen(target, feel, x)
            return y

        def vjp(x: Tensor, u: Tensor, *rest: Tensor, y: Tensor, g: Tensor, needs: tuple[bool, ...]) -> tuple[Tensor, ...]:
            def run(x: Tensor, u: Tensor, *rest: Tensor) -> Tensor:
                return now[0](x, u, **dict(zip(keys, rest, strict=True)))

            return torch.func.vjp(run, x, u, *rest)[1](g)

        return opaque(heard, vjp, target.name, x, controls, aux)

    def _frozen(self, target: Target, feel: Fn, x: Tensor) -> Fn:
        return feel if self.adapt is None else self.adapt.frozen(target.name, feel, x)
