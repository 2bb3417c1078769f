"""`gradient="fd"`: central differences through the black box."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gradients._audio import audio_vjp, check_audio
from gradients._opaque import opaque
from gradients.strategy import Fn, Strategy, Target, probe_steps


@dataclass(frozen=True)
class FiniteDifference(Strategy):
    """Central differences, one control at a time, contracted with the cotangent at the waveform.

    Forward: 1 black-box run. Backward: 2 P runs (P controls; of time-varying controls, P x frames) as one stacked batch.
    Within `epsilon` of an edge of [0, 1] both probes lie on the inner side, and the second-order one-sided formula
    with the forward's own output takes over: same order of accuracy, and no probe outside the range.

    Args:
        epsilon: step in the unit range, one for all controls; None: each control's own (`Target.steps`: 1e-2 for equalisers,
            whose coefficients are rounded to float32 in the plugin, else 1e-3). The error falls as its square until the black
            box's float32 noise.
        audio: where the audio's own gradient comes from: "whitebox", "proxy", "adjoint" (a linear time-invariant
            effect: the black box itself on the time-reversed cotangent), or "none" (refuse).
    """

    epsilon: float | None = None
    audio: str = "whitebox"

    def __post_init__(self) -> None:
        if self.epsilon is not None and not 0 < self.epsilon <= 0.25:
            raise ValueError(f"FiniteDifference: epsilon must be above 0 and at most 0.25; got {self.epsilon}.")

    def __call__(self, target: Target, x: Tensor, controls: Tensor, **aux: Tensor) -> Tensor:
        black = target.view("blackbox", "gradient='fd'")
        check_audio(target, self.audio, "gradient='fd'", x, aux)
        keys = tuple(aux)

        def vjp(x: Tensor, u: Tensor, *rest: Tensor, y: Tensor, g: Tensor, needs: tuple[bool, ...]) -> tuple:
            gx: tuple = (None, *(None for _ in rest))
            if needs[0] or any(needs[2:]):
                gx = audio_vjp(target, self.audio, black, x, u, y, g, keys, rest)
            steps = probe_steps(target, u, self.epsilon)
            gu = self._controls(black, steps, x, u, y, g, dict(zip(keys, rest, strict=True))) if needs[1] else None
            return gx[0], gu, *gx[1:]

        return opaque(black, vjp, target.name, x, controls, aux)

    @staticmethod
    def _controls(black: Fn, e: Tensor, x: Tensor, u: Tensor, y: Tensor, g: Tensor, aux: dict[str, Tensor]) -> Tensor:
        count = u[0].numel()
        step = e * torch.eye(count, device=u.device, dtype=u.dtype).reshape(count, 1, *u.shape[1:])
        low, high = u < e, u > 1 - e
        inner = torch.where(low, 1.0, -1.0).to(u.dtype)  # the direction that leads away from the edge
        edge = low | high
        first, second = torch.where(edge, inner, 1.0), torch.where(edge, 2 * inner, -1.0)
        probes = torch.cat([u + first * step, u + second * step]).flatten(0, 1)
        runs = 2 * count
        rest = {k: t.repeat(runs, *[1] * (t.ndim - 1)) for k, t in aux.items()}
        out = black(x.repeat(runs, 1, 1), probes, **rest).unflatten(0, (2, count, len(x)))
        # Contract the *difference* to the centre with g: the two large sums would cancel badly in float32.
        a, b = (((out[i] - y) * g).flatten(2).sum(-1, dtype=torch.float64).T.reshape(u.shape) for i in (0, 1))
        central, one_sided = (a - b) / (2 * e), inner * (4 * a - b) / (2 * e)
        return torch.where(edge, one_sided, central).to(u.dtype)
