"""How well each gradient strategy agrees with float64 autodiff, on real music."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import median

import torch
from torch import Tensor

from dasp import Effect
from gradients import SPSA, Autodiff, FiniteDifference, Strategy

EFFECTS = ("Gain", "Panner", "ParametricEQ", "Compressor", "Reverb", "Distortion")


@dataclass(frozen=True)
class Agreement:
    """One cell of the table: medians over the draws.

    Attributes:
        effect, strategy: names.
        cosine: between the strategy's control gradient and float64 autodiff's.
        norm_ratio: of the two norms.
        worst_cosine: the smallest cosine of any draw.
    """

    effect: str
    strategy: str
    cosine: float
    norm_ratio: float
    worst_cosine: float

    def as_dict(self) -> dict[str, str | float]:
        return asdict(self)


def strategies() -> dict[str, tuple[Strategy, torch.dtype]]:
    """What is compared, by the column's title."""
    return {
        "autodiff float32": (Autodiff(), torch.float32),
        "fd": (FiniteDifference(), torch.float32),
        **{f"SPSA {n}": (SPSA(directions=n), torch.float32) for n in (1, 16, 256)},
    }


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
    if audio.ndim != 3:
        raise ValueError(f"agreement: audio must be (excerpts, channels, samples); got {tuple(audio.shape)}.")
    generator = torch.Generator().manual_seed(seed)
    exact = cls(sample_rate)
    cases = []
    for i in range(draws):
        x = audio[i % len(audio)][None]
        here, there = 0.1 + 0.8 * torch.rand(2, 1, len(exact.controls), generator=generator, dtype=torch.float64)
        target = exact(x.double(), there)
        cases.append((x, here, target, _gradient(exact, x.double(), here, target)))
    table = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for title, (strategy, dtype) in strategies().items():
            progress(f"{cls.__name__}: {title}")
            effect = cls(sample_rate, gradient=strategy)
            cosines, ratios = [], []
            for x, here, target, truth in cases:
                found = _gradient(effect, x.to(dtype), here, target.to(dtype))
                cosines.append(float(torch.nn.functional.cosine_similarity(found, truth, dim=0)))
                ratios.append(float(found.norm() / truth.norm()))
            table.append(Agreement(cls.__name__, title, median(cosines), median(ratios), min(cosines)))
    return table


def _gradient(effect: Effect, x: Tensor, controls: Tensor, target: Tensor) -> Tensor:
    u = controls.clone().requires_grad_()
    return torch.autograd.grad((effect(x, u) - target).square().mean(), u)[0].flatten().double()


def markdown(rows: Sequence[Agreement]) -> str:
    """The table: an effect a row, `cosine / norm ratio` a cell."""
    titles = list(strategies())
    lines = ["| effect | controls | " + " | ".join(titles) + " |", "|---|---|" + "---|" * len(titles)]
    from dasp.effects import find

    for effect in dict.fromkeys(r.effect for r in rows):
        cells = {r.strategy: r for r in rows if r.effect == effect}
        lines.append(
            f"| {effect} | {len(find(effect).controls)} | "
            + " | ".join(f"{_cosine(cells[t].cosine)} / {cells[t].norm_ratio:.3f}" for t in titles)
            + " |"
        )
    return "\n".join(lines)


def _cosine(value: float) -> str:
    """Near 1 the distance to 1 says more than four nines."""
    return f"{value:.3f}" if value < 0.9995 else f"1 - {max(1 - value, 0):.0e}"
