"""The multi-resolution STFT loss: from an output to its gradient."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.contest import (
    BOTH,
    SMALL,
    A,
    B,
    Contender,
    Contest,
    Controls,
    Missing,
    Oracle,
    Outcome,
    Setup,
    Size,
    Work,
    by_autodiff,
    compete,
    differentiable,
    peer,
)
from benchmarks.results import Aim, Group, find, ratio

QUARTERS = [512, 1024, 2048]
SETTINGS: dict[str, dict[str, list[int]]] = {
    "auraloss's defaults": {"fft_sizes": [1024, 2048, 512], "hop_sizes": [120, 240, 50], "win_lengths": [600, 1200, 240]},
    "hops of a quarter": {"fft_sizes": QUARTERS, "hop_sizes": [n // 4 for n in QUARTERS], "win_lengths": QUARTERS},
}


def case(size: Size, seed: int) -> tuple[Tensor, Controls]:
    """An output that is a filtered and noisy target."""
    generator = torch.Generator().manual_seed(seed)
    target = 0.3 * torch.randn(*size.shape, generator=generator)
    x = 0.7 * target + 0.2 * torch.roll(target, 1, -1) + 0.03 * torch.randn(*size.shape, generator=generator)
    return x, {"target": target}


def ours(**settings: Any) -> Callable[[Tensor, Tensor], Tensor]:
    """dasp's own loss; the one place that knows that it may not be there yet."""
    loss = getattr(peer("mixing.loss"), "MultiResolutionSTFTLoss", None)
    if loss is None:
        raise Missing("dasp: left out, this version has no multi-resolution STFT loss of its own")
    return loss(**settings)


def theirs(**settings: Any) -> Callable[[Tensor, Tensor], Tensor]:
    return peer("auraloss.freq").MultiResolutionSTFTLoss(**settings)


def _work(make: Callable[..., Callable[[Tensor, Tensor], Tensor]], name: str, x: Tensor, controls: Controls) -> Work:
    loss = make(**SETTINGS[name])
    return differentiable(lambda x, target: loss(x, target), x, controls)


def truth(name: str) -> Oracle:
    """auraloss in float64, with the float32 windows that are its definition."""

    def fn(x: Tensor, target: Tensor) -> Tensor:
        loss = peer("auraloss.freq").MultiResolutionSTFTLoss(**SETTINGS[name])
        for one in loss.stft_losses:
            one.window = one.window.double()
        return loss(x, target)

    return by_autodiff(fn)


def contest(name: str) -> Contest:
    contenders = (
        Contender("dasp", partial(_work, ours, name)),
        Contender("auraloss", partial(_work, theirs, name), ("auraloss.freq",)),
    )
    return Contest(case, contenders, truth(name), name)


CONTESTS = {name: contest(name) for name in SETTINGS}


def run(setup: Setup) -> Group:
    out = Outcome()
    for name, one in CONTESTS.items():
        for size in (SMALL,) if setup.quick else (A, B):
            label = f"{size.name}, {name}"
            out.add(compete(one, size, BOTH, setup, group="loss", measure_memory=size is A, case=label))
    out.notes += silent()
    return Group(TITLE, ABOUT, tuple(out.rows), () if setup.quick else tuple(aims(out)), tuple(out.notes))


def silent() -> list[str]:
    """The gradient where the output is silent and the target is not."""
    found = []
    target = 0.1 * torch.randn(1, 1, 8192, generator=torch.Generator().manual_seed(0))
    for name, make in (("dasp", ours), ("auraloss", theirs)):
        x = torch.zeros_like(target, requires_grad=True)
        try:
            (g,) = torch.autograd.grad(make(**SETTINGS["hops of a quarter"])(x, target), x)
        except (Missing, ImportError):
            continue
        state = "not finite" if not bool(g.isfinite().all()) else "zero" if not bool(g.any()) else "finite and not zero"
        found.append(f"{name}: the gradient at a silent output is {state}")
    return found


def aims(out: Outcome) -> list[Aim]:
    found = []
    for name in SETTINGS:
        dasp, other = (find(out.rows, who, f"A, {name}", BOTH) for who in ("dasp", "auraloss"))
        found.append(Aim(f"MR-STFT loss, f+b, A, {name}: faster than auraloss", ratio(other, dasp), 2, False, " x"))
        found.append(
            Aim(f"MR-STFT loss, f+b, A, {name}: peak memory over the input", dasp.memory if dasp else None, 60, True, " x")
        )
    return found


TITLE = "Multi-resolution STFT loss"
ABOUT = """A step computes the loss and its gradient to the output; the target is new each time. Oracle: auraloss in float64."""
