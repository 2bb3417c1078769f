"""`gradient="spsa"`: simultaneous perturbation stochastic approximation (Spall 1992) through the black box."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from gradients._audio import audio_vjp, check_audio
from gradients._opaque import opaque
from gradients._probes import rises
from gradients.batching import fold
from gradients.operators import operator
from gradients.strategy import Fn, Strategy, Target, probe_steps


@operator("gradients::rademacher", device="any", tags=(torch.Tag.nondeterministic_seeded,))
def _rademacher(u: Tensor, directions: int) -> Tensor:
    # An op of its own, so that vmap over the backward pass (jacrev) sees no bare random call.
    return torch.randint(0, 2, (directions, *u.shape), device=u.device).to(u.dtype) * 2 - 1


@_rademacher.register_fake
def _(u: Tensor, directions: int) -> Tensor:
    return u.new_empty(directions, *u.shape)


@_rademacher.register_vmap
def _(info: Any, in_dims: tuple, u: Tensor, directions: int) -> tuple[Tensor, int]:
    signs = _rademacher(fold(info.batch_size, u, in_dims[0]), directions)
    return signs.unflatten(1, (info.batch_size, -1)), 1


@dataclass(frozen=True)
class SPSA(Strategy):
    """Two black-box runs a direction, whatever the number of controls.

    Each direction perturbs all controls at once by +-epsilon with Rademacher signs from torch's generator and contracts
    the difference of the two outputs with the cotangent at the *waveform*, so that any loss works. Directions are
    averaged; the runs of a backward pass go over the threads together, and no probe's output is kept.

    Runs: 1 forward; 2 x directions backward, and 4 x directions when a control lies within epsilon of an edge
    of [0, 1] (or when that cannot be known: under torch.compile and vmap). There the probes' centre c is moved
    inside, and a second set around 2 c - u with the same signs extrapolates back to u: no probe leaves the range, and the
    estimate stays unbiased up to third derivatives, as it is elsewhere.

    Args:
        epsilon: step in the unit range, one for all controls; or a function of the number of backward passes so far
            (0, 1, ...) giving it; None: each control's own, as in FiniteDifference.
        directions: how many random directions are averaged; the standard error falls as its square root.
        audio: where the audio's own gradient comes from: "whitebox", "proxy", "adjoint" or "none"; see FiniteDifference.
        report: called in each backward pass with the estimated variance of the control gradient, shaped like the
            controls (NaN with one direction).
        generator: the torch.Generator of the signs; torch's default one if None.
    """

    epsilon: float | Callable[[int], float] | None = None
    directions: int = 1
    audio: str = "whitebox"
    report: Callable[[Tensor], None] | None = None
    generator: torch.Generator | None = None
    _passes: list[int] = field(default_factory=lambda: [0], init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.directions < 1:
            raise ValueError(f"SPSA: directions must be at least 1; got {self.directions}.")
        if isinstance(self.epsilon, float | int):
            self._checked(self.epsilon)

    def __call__(self, target: Target, x: Tensor, controls: Tensor, **aux: Tensor) -> Tensor:
        black = target.view("blackbox", "gradient='spsa'")
        check_audio(target, self.audio, "gradient='spsa'", x, aux)
        keys = tuple(aux)

        def vjp(x: Tensor, u: Tensor, *rest: Tensor, y: Tensor, g: Tensor, needs: tuple[bool, ...]) -> tuple:
            gx: tuple = (None, *(None for _ in rest))
            if needs[0] or any(needs[2:]):
                gx = audio_vjp(target, self.audio, black, x, u, y, g, keys, rest)
            steps = probe_steps(target, u, self._epsilon()) if needs[1] else u
            gu = self._controls(target, black, steps, x, u, y, g, dict(zip(keys, rest, strict=True))) if needs[1] else None
            return gx[0], gu, *gx[1:]

        return opaque(black, vjp, target.name, x, controls, aux)

    def _controls(
        self, target: Target, black: Fn, e: Tensor, x: Tensor, u: Tensor, y: Tensor, g: Tensor, aux: dict[str, Tensor]
    ) -> Tensor:
        n = self.directions
        if self.generator is None:
            signs = _rademacher(u, n)
        else:
            draw = torch.randint(0, 2, (n, *u.shape), generator=self.generator, device=self.generator.device)
            signs = draw.to(u) * 2 - 1
        near = u.clamp(e, 1 - e)
        centres = [near, 2 * near - u] if _touches(u, near) else [near]
        probes = torch.cat([c + s * e * signs for c in centres for s in (1, -1)])
        rise = rises(target, black, lambda start, stop: probes[start:stop], len(probes), x, y, g, aux)
        rise = rise.unflatten(0, (len(centres), 2, n))
        rise = (rise[:, 0] - rise[:, 1]) / 2  # (centres, n, B)
        slope = rise[0] if len(centres) == 1 else 2 * rise[0] - rise[1]
        estimates = (slope.reshape(n, len(x), *[1] * (u.ndim - 1)) * signs / e).to(u.dtype)
        if self.report is not None:
            self.report(estimates.var(0) / n if n > 1 else torch.full_like(u, torch.nan))
        return estimates.mean(0)

    def _epsilon(self) -> float | None:
        if not callable(self.epsilon):
            return self.epsilon
        self._passes[0] += 1
        return self._checked(self.epsilon(self._passes[0] - 1))

    @staticmethod
    def _checked(epsilon: float) -> float:
        if not 0 < epsilon <= 0.125:
            raise ValueError(f"SPSA: epsilon must be above 0 and at most 0.125; got {epsilon}.")
        return epsilon


def _touches(u: Tensor, near: Tensor) -> bool:
    """Whether a control lies within epsilon of an edge; True where tensors have no value to ask (compile, vmap)."""
    if torch.compiler.is_compiling():
        return True
    try:
        return bool((u != near).any())
    except RuntimeError:
        return True
