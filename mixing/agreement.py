"""How well each gradient strategy agrees with float64 autodiff, on real music."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import median

import torch
from torch import Tensor

from dasp import Effect
from dasp.effects import find
from gradients import SPSA, Autodiff, FiniteDifference, Strategy, resolve

EFFECTS = ("Gain", "Panner", "ParametricEQ", "Compressor", "Reverb", "Distortion")


@dataclass(frozen=True)
class Agreement:
    """One cell of the table: medians over the draws. Controls with a declared surrogate have no true gradient and are left out.

    Attributes:
        effect, strategy: names.
        cosine: between the strategy's control gradient and float64 autodiff's.
        norm_ratio: of the two norms.
        worst_cosine: the smallest cosine of any draw.
        bias: norm of the estimate's systematic error over the gradient's; for SPSA what its scatter over the directions does not
            account for, None with one direction.
        deviation: standard deviation of the estimate over the gradient's norm; 0 without chance, None with one direction.
    """

    effect: str
    strategy: str
    cosine: float
    norm_ratio: float
    worst_cosine: float
    bias: float | None
    deviation: float | None

    def as_dict(self) -> dict[str, str | float | None]:
        return asdict(self)


@dataclass(frozen=True)
class Steps:
    """How exact central differences of a control are at each step.

    Attributes:
        effect, control: names.
        declared: `Param.step`, the default.
        errors: step -> median over the draws of the relative error of that control's derivative.
    """

    effect: str
    control: str
    declared: float
    errors: dict[float, float]

    @property
    def best(self) -> float:
        """The step of least error."""
        return min(self.errors, key=lambda step: self.errors[step])


STEPS = (1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4)


def strategies() -> dict[str, tuple[Strategy, torch.dtype]]:
    """What is compared, by the column's title."""
    return {
        "autodiff float32": (Autodiff(), torch.float32),
        "fd": (FiniteDifference(), torch.float32),
        **{f"SPSA {n}": (SPSA(directions=n), torch.float32) for n in (1, 16, 256)},
    }


def networks(cls: type[Effect], sample_rate: float) -> dict[str, tuple[Strategy, torch.dtype]]:
    """The strategies that work through a shipped network, proxy and hybrid: none where this effect has none at this rate."""
    if not cls(sample_rate).shipped or sample_rate != 44100:
        return {}
    return {name: (resolve(name), torch.float32) for name in ("proxy", "hybrid")}


def agreement(
    cls: type[Effect],
    audio: Tensor,
    sample_rate: float,
    *,
    draws: int = 10,
    seed: int = 0,
    progress: Callable[[str], None] = lambda _: None,
) -> list[Agreement]:
    """Compare the control gradients of a loss on music.

    Each draw: random controls, and as loss the mean squared error to the same music through other random controls
    of the same effect (float64 white box), as when settings are recovered from a reference.

    Args:
        cls: the effect.
        audio: excerpts (K, C, T), float32; draw i uses excerpt i mod K.
        sample_rate: in Hz.
        draws: random pairs of settings.
        seed: of the draws and of SPSA's signs.
        progress: called with the strategy's name before each.
    """
    cases, true = _cases(cls, audio, sample_rate, draws, seed)
    table = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for title, (strategy, dtype) in strategies().items():
            progress(f"{cls.__name__}: {title}")
            variances: list[Tensor] = []
            if isinstance(strategy, SPSA):
                strategy = replace(strategy, report=variances.append)
            effect = cls(sample_rate, gradient=strategy)
            cosines, ratios, biases, deviations = [], [], [], []
            for x, here, target, truth in cases:
                variances.clear()
                found = _gradient(effect, x.to(dtype), here, target.to(dtype))[true]
                size = truth.norm().clamp_min(1e-300)
                noise = variances[-1].flatten()[true].sum() if variances else torch.tensor(0.0)
                cosines.append(float(torch.nn.functional.cosine_similarity(found, truth, dim=0, eps=1e-300)))
                ratios.append(float(found.norm() / size))
                biases.append(float(((found - truth).square().sum() - noise).clamp_min(0).sqrt() / size))
                deviations.append(float(noise.sqrt() / size))
            known = math.isfinite(deviations[0])
            spread = (median(biases), median(deviations)) if known else (None, None)
            table.append(Agreement(cls.__name__, title, median(cosines), median(ratios), min(cosines), *spread))
    return table


def by_control(
    cls: type[Effect],
    audio: Tensor,
    sample_rate: float,
    *,
    draws: int = 10,
    seed: int = 0,
    chosen: dict[str, tuple[Strategy, torch.dtype]] | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, dict[str, float]]:
    """Agreement of each control's derivative: strategy -> control -> cosine between its derivatives over the draws and float64
    autodiff's. 1: the same up to a factor; 0: no relation; -1: the wrong way. Controls without a true gradient are left out.

    Args: as in `agreement`; chosen: strategies by title, `strategies()` and `networks()` by default.
    """
    cases, true = _cases(cls, audio, sample_rate, draws, seed)
    names = [q.name for q, good in zip(cls.controls, true.tolist(), strict=True) if good]
    truth = torch.stack([t for *_, t in cases])
    out = {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for title, (strategy, dtype) in (chosen or {**strategies(), **networks(cls, sample_rate)}).items():
            progress(f"{cls.__name__}: {title}")
            effect = cls(sample_rate, gradient=strategy)
            found = torch.stack([_gradient(effect, x.to(dtype), here, target.to(dtype))[true] for x, here, target, _ in cases])
            cosines = torch.nn.functional.cosine_similarity(found, truth, dim=0, eps=1e-300)
            out[title] = dict(zip(names, cosines.tolist(), strict=True))
    return out


def step_errors(
    cls: type[Effect], audio: Tensor, sample_rate: float, *, draws: int = 10, seed: int = 0, steps: Sequence[float] = STEPS
) -> list[Steps]:
    """The error of central differences through the black box at several steps, for each control with a true derivative.

    Args: as in `agreement`; steps: in [0, 1].
    """
    cases, true = _cases(cls, audio, sample_rate, draws, seed)
    errors: dict[float, Tensor] = {}
    for step in steps:
        effect = cls(sample_rate, gradient=FiniteDifference(epsilon=step))
        off = [(_gradient(effect, x, here, target.float())[true] - truth).abs() / truth.abs() for x, here, target, truth in cases]
        errors[step] = torch.stack(off).median(0).values
    table = [q for q, good in zip(cls.controls, true.tolist(), strict=True) if good]
    return [Steps(cls.__name__, q.name, q.step, {s: float(e[i]) for s, e in errors.items()}) for i, q in enumerate(table)]


def measurable(cls: type[Effect]) -> bool:
    """Whether an effect has a control with a true gradient."""
    return any(not q.surrogate for q in cls.controls)


def _cases(
    cls: type[Effect], audio: Tensor, sample_rate: float, draws: int, seed: int
) -> tuple[list[tuple[Tensor, Tensor, Tensor, Tensor]], Tensor]:
    """For each draw audio, controls, target and true gradient; and which controls have one."""
    if audio.ndim != 3:
        raise ValueError(f"agreement: audio must be (excerpts, channels, samples); got {tuple(audio.shape)}.")
    generator = torch.Generator().manual_seed(seed)
    exact = cls(sample_rate)
    true = torch.tensor([not q.surrogate for q in exact.controls])
    cases = []
    for i in range(draws):
        x = audio[i % len(audio)][None]
        here, there = 0.1 + 0.8 * torch.rand(2, 1, len(exact.controls), generator=generator, dtype=torch.float64)
        # What has no true gradient is the same in both, or its steps would drown the others.
        there = torch.where(true, there, here)
        target = exact(x.double(), there)
        cases.append((x, here, target, _gradient(exact, x.double(), here, target)[true]))
    return cases, true


def _gradient(effect: Effect, x: Tensor, controls: Tensor, target: Tensor) -> Tensor:
    u = controls.clone().requires_grad_()
    return torch.autograd.grad((effect(x, u) - target).square().mean(), u)[0].flatten().double()


def markdown(rows: Sequence[Agreement]) -> str:
    """The table: an effect a row, `cosine / norm ratio` a cell."""
    titles = list(strategies())
    lines = ["| effect | controls | " + " | ".join(titles) + " |", "|---|---|" + "---|" * len(titles)]
    for effect, cells in _by_effect(rows).items():
        values = " | ".join(f"{_cosine(cells[t].cosine)} / {cells[t].norm_ratio:.3f}" for t in titles)
        lines.append(f"| {effect} | {len(find(effect).controls)} | {values} |")
    return "\n".join(lines)


def error_markdown(rows: Sequence[Agreement]) -> str:
    """Bias of fd and SPSA and the deviation of one SPSA direction, over the gradient's norm."""
    lines = ["| effect | fd: error | SPSA: bias | SPSA: deviation of one direction |", "|---|---|---|---|"]
    for effect, cells in _by_effect(rows).items():
        many = next(r for t, r in cells.items() if t == "SPSA 256")
        assert many.bias is not None and many.deviation is not None
        lines.append(f"| {effect} | {cells['fd'].bias:.1e} | {many.bias:.1e} | {many.deviation * 16:.2f} |")
    return "\n".join(lines)


def steps_markdown(rows: Sequence[Steps]) -> str:
    """For each control the best step and the default one, with their errors."""
    lines = ["| effect | control | best step | error there | default step | error there |", "|---|---|---|---|---|---|"]
    lines += [
        f"| {r.effect} | `{r.control}` | {r.best:g} | {r.errors[r.best]:.1e} | {r.declared:g} | {r.errors[r.declared]:.1e} |"
        for r in rows
    ]
    return "\n".join(lines)


def _by_effect(rows: Sequence[Agreement]) -> dict[str, dict[str, Agreement]]:
    return {e: {r.strategy: r for r in rows if r.effect == e} for e in dict.fromkeys(r.effect for r in rows)}


def _cosine(value: float) -> str:
    """Near 1 the distance to 1 says more than four nines."""
    away = 1 - value
    return f"{value:.3f}" if away > 5e-4 else f"1 - {away:.0e}" if away > 0 else "1"
