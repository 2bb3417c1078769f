"""Checks of the gradients: alive, finite, right."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
from torch import Tensor

from dasp.effect import Effect
from dasp.testing.signals import RATE, Make, setting, width_of


def check_controls_alive(make: Make) -> bool | None:
    """Every control has a gradient on an exciting signal: no release that is accepted and never used."""
    effect, x, u = setting(make)
    if not effect.controls:
        return False
    u.requires_grad_()
    x = x.repeat(1, 1, 8)  # what a reverb does once around its loop is heard late
    y = effect(x, u)
    weight = torch.randn(y.shape, generator=torch.Generator().manual_seed(3), dtype=y.dtype)
    (gradient,) = torch.autograd.grad((y * weight).sum(), u)
    for q, g in zip(effect.controls, gradient[0], strict=True):
        assert g.abs() > 1e-9, f"{effect.name}: {q.name} has no effect on the output (gradient {g:.1e})"
    return None


def check_finite(make: Make) -> None:
    """Values and gradients are finite at the corners of the table, on silence, at full scale and on an impulse."""
    effect = make(RATE)
    count, width = len(effect.controls), width_of(effect)
    if count <= 6:
        corners = torch.tensor(list(itertools.product((0.0, 1.0), repeat=count)), dtype=torch.float64).reshape(2**count, count)
    else:
        random = torch.randint(0, 2, (32, count), generator=torch.Generator().manual_seed(0)).double()
        corners = torch.cat(
            [torch.zeros(1, count), torch.ones(1, count), torch.eye(count), 1 - torch.eye(count), random]
        ).double()
    samples = 600
    impulse = torch.zeros(1, width, samples, dtype=torch.float64)
    impulse[..., 3] = 1.0
    square = torch.ones(1, width, samples, dtype=torch.float64)
    square[..., ::2] = -1.0
    for dtype in (torch.float32, torch.float64):
        for what, signal in (("silence", torch.zeros_like(impulse)), ("an impulse", impulse), ("full scale", square)):
            x = signal.to(dtype).repeat(len(corners), 1, 1).requires_grad_()
            u = corners.clone().requires_grad_()
            y = effect(x, u)
            assert y.isfinite().all(), f"{effect.name}: not finite on {what} at {_first_bad(effect, y, corners)}"
            gx, gu = torch.autograd.grad(y.sum(), (x, u), allow_unused=True)
            for g, of in ((gx, "audio"), (gu, "controls")):
                assert g is None or g.isfinite().all(), (
                    f"{effect.name}: the gradient of the {of} is not finite on {what} at {_first_bad(effect, g, corners)}"
                )


def _first_bad(effect: Effect, y: Tensor, corners: Tensor) -> str:
    row = corners[(~y.isfinite()).flatten(1).any(1).nonzero()[0, 0]]
    return ", ".join(f"{q.name}={q.to_physical(float(v)):g}" for q, v in zip(effect.controls, row, strict=True))


def check_gradients(make: Make) -> None:
    """torch.autograd.gradcheck in float64 of audio and controls, static and time-varying; declared surrogates are left out."""
    effect, x, u = setting(make)
    x = x[..., :2500].clone().requires_grad_(not effect.audio_surrogate)
    true = torch.tensor([not q.surrogate for q in effect.controls], dtype=torch.bool)

    def check(u: Tensor) -> None:
        shape = (1, -1) + (1,) * (u.ndim - 2)

        def run(x: Tensor, v: Tensor) -> Tensor:
            return effect(x, torch.where(true.reshape(shape), v, u))

        inputs = (x, u.clone().requires_grad_(bool(true.any())))
        # A kink of a piecewise smooth effect (linear interpolation at a whole sample) that lies within the step spoils the
        # difference, not the derivative: a shorter step leaves it out. A wrong derivative fails both.
        if any(t.requires_grad for t in inputs) and not _agrees(run, inputs, 1e-6, raise_exception=False):
            assert _agrees(run, inputs, 1e-8), effect.name

    check(u)
    if not effect.static and effect.controls:
        check(u[..., None] + torch.linspace(-0.1, 0.1, 5, dtype=u.dtype))


def _agrees(run: Callable[..., Tensor], inputs: tuple[Tensor, ...], step: float, raise_exception: bool = True) -> bool:
    return torch.autograd.gradcheck(run, inputs, eps=step, fast_mode=True, atol=1e-4, rtol=1e-3, raise_exception=raise_exception)


def check_float32_gradient(make: Make) -> None:
    """The gradient for float32 audio is the float64 one: cosine within 1e-6 of 1, norm within 0.1 %."""
    effect, x, u = setting(make)
    if not effect.controls:
        return
    weight = torch.randn(effect(x, u).shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)

    def gradient(dtype: torch.dtype) -> Tensor:
        v = u.clone().requires_grad_()
        return torch.autograd.grad((effect(x.to(dtype), v) * weight.to(dtype)).sum(), v)[0].flatten()

    single, double = gradient(torch.float32), gradient(torch.float64)
    cosine = torch.nn.functional.cosine_similarity(single, double, dim=0)
    assert cosine > 1 - 1e-6, f"{effect.name}: cosine of the float32 gradient {cosine:.9f}"
    ratio = single.norm() / double.norm()
    assert abs(ratio - 1) < 1e-3, f"{effect.name}: norm of the float32 gradient off by {ratio - 1:.1e}"
