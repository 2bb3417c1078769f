"""y[n] = x[n] + a[n] y[n-1] with a pole of its own for every sample."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from benchmarks.contest import (
    BOTH,
    FORWARD,
    SMALL,
    B,
    Contender,
    Contest,
    Controls,
    Outcome,
    Setup,
    Size,
    Work,
    compete,
    differentiable,
    peer,
)
from benchmarks.results import Aim, Group, find, ratio


def case(size: Size, seed: int) -> tuple[Tensor, Controls]:
    """Noise; poles that wander between 0.9 and 0.999."""
    generator = torch.Generator().manual_seed(seed)
    x = 0.3 * torch.randn(*size.shape, generator=generator)
    a = 0.9 + 0.099 * torch.rand(size.batch, 1, size.samples, generator=generator)
    return x, {"a": a.double().requires_grad_()}


def oracle(x: Tensor, controls: Controls, cotangent: Tensor | None) -> tuple[Tensor, list[Tensor]]:
    """A loop over samples in float64, and its adjoint: h[n] = g[n] + a[n+1] h[n+1] is the gradient to x, h[n] y[n-1] to a."""
    a = controls["a"].detach().expand_as(x).numpy()
    y = _loop(x.detach().numpy(), a)
    if cotangent is None:
        return torch.from_numpy(y), []
    later = np.concatenate([a[..., 1:], np.zeros_like(a[..., :1])], -1)
    h = _loop(cotangent.numpy()[..., ::-1], later[..., ::-1])[..., ::-1]
    before = np.concatenate([np.zeros_like(y[..., :1]), y[..., :-1]], -1)
    to_a = (h * before).sum(1, keepdims=True)
    return torch.from_numpy(y), [torch.from_numpy(h.copy()), torch.from_numpy(to_a)]


def _loop(x: np.ndarray, a: np.ndarray) -> np.ndarray:
    y, last = np.empty_like(x), np.zeros(x.shape[:-1])
    for n in range(x.shape[-1]):
        last = x[..., n] + a[..., n] * last
        y[..., n] = last
    return y


def dasp(x: Tensor, controls: Controls) -> Work:
    one_pole = peer("dasp.atoms.recurrence").one_pole
    return differentiable(lambda x, **c: one_pole(x, **c)[0], x, _single(controls))


def philtorch(x: Tensor, controls: Controls) -> Work:
    recurrence = peer("philtorch.lpv").linear_recurrence

    def fn(x: Tensor, a: Tensor) -> Tensor:
        rows = x.flatten(0, 1)
        return recurrence(a.expand_as(x).flatten(0, 1), rows.new_zeros(len(rows)), rows).view_as(x)

    return differentiable(fn, x, _single(controls))


def torchlpc(x: Tensor, controls: Controls) -> Work:
    lpc = peer("torchlpc").sample_wise_lpc

    def fn(x: Tensor, a: Tensor) -> Tensor:
        return lpc(x.flatten(0, 1), -a.expand_as(x).flatten(0, 1)[..., None]).view_as(x)

    return differentiable(fn, x, _single(controls))


def _single(controls: Controls) -> Controls:
    """Poles for every sample are as large as the audio, and float32 like it."""
    return {k: v.detach().float().requires_grad_() for k, v in controls.items()}


CONTENDERS = (
    # The one place that knows that the atom may not be there yet.
    Contender("dasp", dasp, ("dasp.atoms.recurrence",)),
    Contender("philtorch", philtorch, ("philtorch",)),
    Contender("torchlpc", torchlpc, ("torchlpc",)),
)
CONTESTS = {"": Contest(case, CONTENDERS, oracle)}


def run(setup: Setup) -> Group:
    out = Outcome()
    for size in (SMALL,) if setup.quick else (B,):
        for work in (FORWARD, BOTH):
            out.add(compete(CONTESTS[""], size, work, setup, group="onepole", measure_memory=work == BOTH))
    return Group(TITLE, ABOUT, tuple(out.rows), () if setup.quick else tuple(aims(out)), tuple(out.notes))


def aims(out: Outcome) -> list[Aim]:
    ours = find(out.rows, "dasp", "B", BOTH)
    limits = {"philtorch": 1.5, "torchlpc": 3.0}
    return [
        Aim(f"per-sample one-pole, f+b, B: faster than {name}", ratio(find(out.rows, name, "B", BOTH), ours), limit, False, " x")
        for name, limit in limits.items()
    ]


TITLE = "One-pole recurrence, a pole for every sample"
ABOUT = "Oracle: a loop over samples in float64, and its adjoint."
