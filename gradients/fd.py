"""`gradient="fd"`: central differences through the black box."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gradients._audio import audio_vjp, check_audio
from gradients._opaque import opaque
from gradients._probes import rises
from gradients.strategy import Fn, Strategy, Target, probe_steps


@dataclass(frozen=True)
class FiniteDifference(Strategy):
    """Central differences, one control at a time, contracted with the cotangent at the waveform.

    Forward: 1 black-box run. Backward: 2 P runs (P controls; of time-varying controls, P x frames), which go over the threads
    together; no probe's output is kept, so memory does not grow with P.
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
            gu = self._controls(target, black, steps, x, u, y, g, dict(zip(keys, rest, strict=True))) if needs[1] else None
            return gx[0], gu, *gx[1:]

        return opaque(black, vjp, target.name, x, controls, aux)

    @staticmethod
    def _controls(
        target: Target, black: Fn, e: Tensor, x: Tensor, u: Tensor, y: Tensor, g: Tensor, aux: dict[str, Tensor]
    ) -> Tensor:
        count = u[0].numel()
        if not count:
            return torch.zeros_like(u)
        low, high = u < e, u > 1 - e
        inner = torch.where(low, 1.0, -1.0).to(u.dtype)  # the direction that leads away from the edge
        edge = low | high
        first, second = torch.where(edge, inner, 1.0), torch.where(edge, 2 * inner, -1.0)

        def probes(start: int, stop: int) -> Tensor:
            """Of 2 count probes, the first half at the first step of each control, the second at its second."""
            number = torch.arange(start, stop, device=u.device).reshape(-1, 1)
            one = (number % count == torch.arange(count, device=u.device)).reshape(-1, 1, *u.shape[1:])
            steps = torch.where((number < count).reshape(-1, *[1] * u.ndim), first, second)
            return u + steps * (e * one)

        out = rises(target, black, probes, 2 * count, x, y, g, aux).unflatten(0, (2, count))
        a, b = (out[i].T.reshape(u.shape) for i in (0, 1))
        central, one_sided = (a - b) / (2 * e), inner * (4 * a - b) / (2 * e)
        return torch.where(edge, one_sided, central).to(u.dtype)
