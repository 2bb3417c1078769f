"""`gradient="proxy"`: a trained network stands in for the effect, forward and backward."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from gradients._monitor import tell_outside
from gradients.online import OnlineAdaptation
from gradients.strategy import Strategy, Target


@dataclass(frozen=True)
class Proxy(Strategy):
    """Hear and differentiate the proxy (Steinmetz et al. 2020; "neural proxy" of DeepAFx-ST, 2022).

    Args:
        warn_outside: warn, once for each cause, where controls or levels leave what the proxy was trained on. It reads values,
            and so waits for a GPU.
        adapt: fine-tune the proxy on the black box (one run of it a call) while the owner trains; None: the proxy is frozen
            or, where it is a network of the user's own, trained by the user's own loss.
    """

    warn_outside: bool = False
    adapt: OnlineAdaptation | None = None
    _told: set[str] = field(default_factory=set, init=False, repr=False, compare=False)

    def __call__(self, target: Target, x: Tensor, controls: Tensor, **aux: Tensor) -> Tensor:
        proxy = target.view("proxy", "gradient='proxy'")
        if self.warn_outside:
            tell_outside(self._told, target.name, proxy, x, controls)
        if self.adapt is not None:
            if torch.is_grad_enabled() and target.training:
                effect = target.view("blackbox", "Proxy(adapt=...)")
                with torch.no_grad():
                    y = effect(x, controls, **aux)
                self.adapt.follow(target.name, proxy, effect, x, controls, y, aux)
            proxy = self.adapt.frozen(target.name, proxy, x)
        return proxy(x, controls, **aux)
