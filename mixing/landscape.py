"""A loss along one control, and what each gradient strategy makes of its slope."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from dasp import Effect
from dasp.effect import nearest
from gradients import SPSA, Strategy
from mixing.agreement import networks, strategies


@dataclass(frozen=True)
class Landscape:
    """A loss along one control, and its derivative under each strategy.

    Attributes:
        effect, control: names.
        unit: places of the control in [0, 1], (N,).
        loss: there, by the white box in float64, (N,).
        slope: its derivative with respect to the place, (N,).
        target: the place at which the loss is 0.
        at: places at which the strategies were asked, (K,).
        slopes: strategy -> derivatives (K, repeats); several repeats where chance plays a part.
        losses: strategy -> the loss that its own forward pass gives, (K,).
    """

    effect: str
    control: str
    unit: Tensor
    loss: Tensor
    slope: Tensor
    target: float
    at: Tensor
    slopes: dict[str, Tensor]
    losses: dict[str, Tensor]


def landscape(
    cls: type[Effect],
    control: str,
    audio: Tensor,
    sample_rate: float,
    *,
    seed: int = 0,
    points: int = 61,
    asked: int = 15,
    repeats: int = 6,
    chosen: dict[str, tuple[Strategy, torch.dtype]] | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Landscape:
    """The mean squared error to the same music through hidden settings, along one control; the others are at the hidden ones.

    Args:
        cls: the effect.
        control: its name.
        audio: an excerpt (1, C, T), float32.
        sample_rate: in Hz.
        seed: of the hidden settings and of SPSA's signs.
        points: places at which the true loss is computed.
        asked: places at which each strategy is asked.
        repeats: how often a strategy with chance is asked at each place.
        chosen: strategies by title; by default those of `mixing.agreement` that one may watch: not the one of most directions.
        progress: called with the strategy's name before each.

    Raises:
        ValueError: no such control, or one without a true gradient.
    """
    names = [q.name for q in cls.controls]
    if control not in names:
        raise ValueError(f"{cls.__name__}: has no control {control!r}; it has {', '.join(names)}.{nearest(control, names)}")
    number = names.index(control)
    if cls.controls[number].surrogate:
        raise ValueError(f"{cls.__name__}: {control} has no true gradient ({cls.controls[number].surrogate}).")
    generator = torch.Generator().manual_seed(seed)
    hidden = 0.25 + 0.5 * torch.rand(1, len(names), generator=generator, dtype=torch.float64)
    exact, x = cls(sample_rate), audio.double()
    with torch.no_grad():
        target = exact(x, hidden)

    def ask(effect: Effect, dtype: torch.dtype, place: Tensor) -> tuple[float, float]:
        u = hidden.clone()
        u[0, number] = place
        u.requires_grad_()
        loss = (effect(x.to(dtype), u) - target.to(dtype)).square().mean()
        return float(loss.detach()), float(torch.autograd.grad(loss, u)[0][0, number])

    unit = torch.linspace(0, 1, points, dtype=torch.float64)
    at = torch.linspace(0.03, 0.97, asked, dtype=torch.float64)
    progress("float64 autodiff")
    true = torch.tensor([ask(exact, torch.float64, p) for p in unit], dtype=torch.float64)
    slopes, losses = {}, {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for title, (strategy, dtype) in (chosen or _watched(cls, sample_rate)).items():
            progress(title)
            effect = cls(sample_rate, gradient=strategy)
            times = repeats if isinstance(strategy, SPSA) else 1
            found = torch.tensor([[ask(effect, dtype, p) for _ in range(times)] for p in at], dtype=torch.float64)
            losses[title], slopes[title] = found[:, 0, 0], found[..., 1]
    return Landscape(cls.__name__, control, unit, true[:, 0], true[:, 1], float(hidden[0, number]), at, slopes, losses)


def _watched(cls: type[Effect], sample_rate: float) -> dict[str, tuple[Strategy, torch.dtype]]:
    every = {**strategies(), **networks(cls, sample_rate)}
    return {title: pair for title, pair in every.items() if not (isinstance(pair[0], SPSA) and pair[0].directions > 16)}
