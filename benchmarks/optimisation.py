"""Settings found by descent: how far each gradient gets in equal steps and in equal time.

`python -m benchmarks.optimisation dasp:Compressor dasp:ParametricEQ --audio FOLDER`
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np
import torch
from torch import Tensor

from benchmarks.measure import threads
from dasp import Chain, Effect
from gradients import SPSA, Autodiff, FiniteDifference, Hybrid, Proxy, Strategy
from mixing.stft_loss import MultiResolutionSTFTLoss
from proxies.audio import Source, index
from proxies.teacher import made

RATES = (0.03, 0.003)  # of Adam, at the first and the last step
LEAST_DB = -30.0  # what start and target must differ by
MOST_STEPS = 20  # times as many as asked for, at most, in equal time
AIM_DB = 3.0  # that hybrid may be behind fd in equal steps
STRATEGIES: dict[str, Callable[[], Strategy]] = {
    "autodiff": Autodiff,
    "fd": FiniteDifference,
    "spsa 1": SPSA,
    "spsa 4": lambda: SPSA(directions=4),
    "proxy": Proxy,
    "hybrid": Hybrid,
}


@dataclass(frozen=True)
class Pairs:
    """What is to be found: audio x (N, C, T), targets (N, C', T), their controls `goal` (N, P), and starts (N, S, P)."""

    x: Tensor
    target: Tensor
    goal: Tensor
    starts: Tensor


@dataclass(frozen=True)
class Row:
    """What one strategy reached; medians over the pairs, of which each has the best of its starts by loss.

    Attributes:
        strategy: its name.
        pairs: of start and target.
        controls: of the effect.
        samples: of a clip.
        equal: "steps" or "seconds": what all strategies had the same of.
        starts: descents for each pair.
        steps: of each descent.
        seconds: CPU seconds of all descents.
        loss: ESR + MR-STFT.
        esr_db: in decibels; `before` is that of the first starts.
        below_20, below_30: shares of pairs whose ESR ends below -20 and -30 dB.
        control_error: mean absolute error of controls in [0, 1], over all pairs and controls.
    """

    strategy: str
    pairs: int
    controls: int
    samples: int
    equal: str
    starts: int
    steps: int
    seconds: float
    loss: float
    esr_db: float
    before: float
    below_20: float
    below_30: float
    control_error: float


def draw(effect: Effect, source: Source, count: int, samples: int, starts: int, seed: int) -> Pairs:
    """Pairs whose first start is heard to differ from the target. Controls without a true derivative start at their target."""
    generator = torch.Generator().manual_seed(seed)
    channels, size = max(effect.channels or (1,)), len(effect.controls)
    true = torch.tensor([not q.surrogate for q in effect.controls])
    black, found, number = effect.target().view("blackbox", "the optimisation test"), [], 0
    while len(found) < count:
        if number >= 50 * count:
            raise click.ClickException(f"{effect.name}: {len(found)} of {number} pairs differ by {LEAST_DB:g} dB; too few.")
        x = torch.from_numpy(source.clip(np.random.default_rng((seed, number)), samples, channels))[None]
        u = 0.05 + 0.9 * torch.rand(1 + starts, size, generator=generator, dtype=torch.float64)
        u[1:] = torch.where(true, u[1:], u[0])
        with torch.no_grad():
            y = black(x.expand(2, -1, -1), u[:2])
        if float(esr_db(y[1:], y[:1])) > LEAST_DB:
            found.append((x[0], y[0], u[0], u[1:]))
        number += 1
    return Pairs(*(torch.stack(part) for part in zip(*found, strict=True)))


def esr_db(y: Tensor, target: Tensor) -> Tensor:
    """(N, C, T) -> (N,)."""
    return 10 * ((y - target).square().sum((1, 2)) / target.square().sum((1, 2)).clamp_min(1e-12)).clamp_min(1e-12).log10()


class Loss:
    """ESR + MR-STFT of each item, whose controls nothing else moves."""

    def __init__(self, target: Tensor) -> None:
        self.target, self.spectral = target, MultiResolutionSTFTLoss()
        self.prepared = [self.spectral.prepare(t) for t in target[:, None]]

    def __call__(self, y: Tensor) -> Tensor:
        """(N, C, T) -> (N,)."""
        error = (y - self.target).square().sum((1, 2)) / self.target.square().sum((1, 2)).clamp_min(1e-12)
        return error + torch.stack([self.spectral(row, t) for row, t in zip(y[:, None], self.prepared, strict=True)])


def descend(effect: Effect, x: Tensor, loss: Loss, start: Tensor, steps: int, seed: int) -> tuple[Tensor, float]:
    """Adam on the controls within [0, 1]: controls (N, P) at the end, and CPU seconds."""
    u = start.clone().requires_grad_()
    optimiser = torch.optim.Adam([u], lr=RATES[0])
    fall = (RATES[1] / RATES[0]) ** (1 / max(steps - 1, 1))
    torch.manual_seed(seed)
    began = time.process_time()
    for _ in range(steps):
        optimiser.zero_grad()
        loss(effect(x, u)).sum().backward()
        optimiser.step()
        optimiser.param_groups[0]["lr"] *= fall
        with torch.no_grad():
            u.clamp_(0, 1)
    return u.detach(), time.process_time() - began


def race(
    effect: Effect,
    pairs: Pairs,
    steps: int,
    seed: int,
    progress: Callable[[str], None],
    strategies: Mapping[str, Callable[[], Strategy]] = STRATEGIES,
) -> list[Row]:
    """Every strategy at equal steps, then each for as long as fd took for those (without fd, as the slowest took).

    The loss is judged on the black box at the controls found, whatever the strategy heard. CPU seconds are those of all threads.
    """
    count, starts, size = pairs.starts.shape
    x, target, goal = (t.repeat_interleave(starts, 0) for t in (pairs.x, pairs.target, pairs.goal))
    first, loss = pairs.starts.reshape(-1, size), Loss(target)
    black = effect.target().view("blackbox", "the optimisation test")
    with torch.no_grad():
        before = float(esr_db(black(pairs.x, pairs.starts[:, 0]), pairs.target).median())

    def run(name: str, equal: str, steps: int) -> Row:
        progress(f"{effect.name}: {name}, {steps} steps")
        driven = Chain(effect, gradient=strategies[name]())
        u, seconds = descend(driven, x, loss, first, steps, seed)
        with torch.no_grad():
            y = black(x, u)
            end = loss(y).reshape(count, starts)
        best = torch.arange(count) * starts + end.argmin(1)
        error = esr_db(y[best], target[best])
        return Row(
            name,
            count,
            size,
            x.shape[-1],
            equal,
            starts,
            steps,
            seconds,
            float(end.amin(1).median()),
            float(error.median()),
            before,
            float((error < -20).double().mean()),
            float((error < -30).double().mean()),
            float((u[best] - goal[best]).abs().mean()),
        )

    rows = [run(name, "steps", steps) for name in strategies]
    budget = {row.strategy: row.seconds for row in rows}
    time_given = budget.get("fd", max(budget.values()))
    for row in list(rows):
        same = max(1, min(round(steps * time_given / row.seconds), MOST_STEPS * steps))
        rows.append(run(row.strategy, "seconds", same))
    return rows


def page(results: Mapping[str, Sequence[Row]]) -> str:
    """hybrid beside fd in one table, then for each effect one of equal steps and one of equal seconds."""
    lines = [
        "# Settings found by descent",
        "",
        "Written by `python -m benchmarks.optimisation`. Random settings of the real effect are to be found again from its",
        "output: Adam on the controls, the loss ESR + MR-STFT, under each gradient strategy, on music that no proxy was trained",
        "on. The result is judged on the real effect. Medians over the pairs of start and target, the best of the starts for",
        "each pair; CPU seconds of all descents together. *Equal seconds*: as many steps as fit into the time that `fd` took",
        f"for its own, at most {MOST_STEPS} times as many.",
        "",
        "| effect | controls | ESR at the start, dB | fd, dB | hybrid, dB | difference | time over fd's | in fd's time, dB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    compared = []
    for name, rows in results.items():
        by = {(r.strategy, r.equal): r for r in rows}
        fd, hybrid, given = by.get(("fd", "steps")), by.get(("hybrid", "steps")), by.get(("hybrid", "seconds"))
        if fd and hybrid and given:
            compared.append((name, fd, hybrid, given))
    for name, fd, hybrid, given in compared:
        cells = [f"{r:.1f}" for r in (fd.before, fd.esr_db, hybrid.esr_db, hybrid.esr_db - fd.esr_db)]
        cells += [f"{hybrid.seconds / fd.seconds:.2f}", f"{given.esr_db:.1f}"]
        lines.append(f"| {name} | {fd.controls} | {' | '.join(cells)} |")
    behind = [(name, hybrid.esr_db - fd.esr_db) for name, fd, hybrid, _ in compared]
    missed = ", ".join(f"{name} ({by_db:.1f} dB)" for name, by_db in behind if by_db > AIM_DB) or "none"
    cheap = ", ".join(name for name, fd, hybrid, _ in compared if hybrid.seconds < fd.seconds) or "none"
    far = ", ".join(name for name, fd, _, given in compared if given.esr_db < fd.esr_db) or "none"
    lines += [
        "",
        f"Aim: in equal steps, hybrid at most {AIM_DB:g} dB behind fd. Missed by: {missed}. A step of hybrid is cheaper",
        f"than one of fd on: {cheap}. In fd's time hybrid comes further than fd on: {far}.",
    ]
    for name, rows in results.items():
        lines += ["", f"## {name}"]
        for equal in ("steps", "seconds"):
            chosen = [r for r in rows if r.equal == equal]
            one = chosen[0]
            lines += [
                "",
                f"Equal {equal}; {one.pairs} pairs of {one.samples} samples; ESR at the start {one.before:.1f} dB; best of "
                f"{one.starts} start(s):",
                "",
                "| gradient | steps | CPU s | loss | ESR dB | < -20 dB | < -30 dB | control error |",
                "|---|---|---|---|---|---|---|---|",
            ]
            lines += [
                f"| {r.strategy} | {r.steps} | {r.seconds:.1f} | {r.loss:.3f} | {r.esr_db:.1f} | {r.below_20:.2f} "
                f"| {r.below_30:.2f} | {r.control_error:.3f} |"
                for r in chosen
            ]
    return "\n".join(lines) + "\n"


def chosen_strategies(effect: Effect, names: Sequence[str]) -> dict[str, Callable[[], Strategy]]:
    """Those asked for, or all that the effect has views for."""
    target = effect.target()
    missing = {"autodiff"} if target.whitebox is None else set()
    missing |= {"proxy", "hybrid"} if target.proxy is None else set()
    return {name: STRATEGIES[name] for name in names or STRATEGIES if name not in missing}


FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("effects", nargs=-1, required=True, metavar="EFFECT...")
@click.option("--audio", multiple=True, required=True, metavar="FOLDER", help="Music, best such as no proxy was trained on.")
@click.option("--weights", metavar="NAME_OR_FILE", help="The proxy, where it is not the shipped one.")
@click.option(
    "--strategy", "names", multiple=True, type=click.Choice(list(STRATEGIES)), help="By default all there are views for."
)
@click.option("--pairs", default=64, show_default=True, type=click.IntRange(1), help="Of start and target.")
@click.option("--starts", default=3, show_default=True, type=click.IntRange(1), help="Descents for each pair.")
@click.option("--steps", default=100, show_default=True, type=click.IntRange(1), help="Of Adam.")
@click.option("--samples", default=16384, show_default=True, type=click.IntRange(2048), help="Length of a clip.")
@click.option("--sample-rate", default=44100.0, show_default=True, help="Hz.")
@click.option("--seed", default=0, show_default=True, help="Of audio, controls and stochastic gradients.")
@click.option("--json", "json_path", type=FILE, metavar="FILE", help="Put the figures here, beside those of other effects.")
@click.option("--page", "page_path", type=FILE, metavar="FILE", help="Write the page here.")
def main(
    effects: tuple[str, ...],
    audio: tuple[str, ...],
    weights: str | None,
    names: tuple[str, ...],
    pairs: int,
    starts: int,
    steps: int,
    samples: int,
    sample_rate: float,
    seed: int,
    json_path: Path | None,
    page_path: Path | None,
) -> None:
    """Find the settings of EFFECTs (import paths such as dasp:Compressor, or .vst3 files) by descent, once for each gradient."""

    def progress(message: str) -> None:
        print(f"[{time.monotonic() - start:5.0f} s] {message}", file=sys.stderr, flush=True)

    start, results = time.monotonic(), {}
    if json_path is not None and json_path.exists():
        results = {p: [Row(**row) for row in rows] for p, rows in json.loads(json_path.read_text()).items()}
    try:
        source = Source(tuple(index(audio)), 0.0, (-18.0, 0.0), 0.0, sample_rate)
        for path in effects:
            effect = made(path, sample_rate)
            if weights is not None:
                effect.proxy = weights
            chosen = chosen_strategies(effect, names)
            with threads(1):
                drawn = draw(effect, source, pairs, samples, starts, seed)
                results[Path(path).name] = race(effect, drawn, steps, seed, progress, chosen)
    except (ValueError, ImportError) as error:
        raise click.ClickException(str(error)) from None
    text = page(results)
    if json_path is not None:
        json_path.write_text(json.dumps({p: [asdict(r) for r in rows] for p, rows in results.items()}, indent=1) + "\n")
    if page_path is not None:
        page_path.write_text(text)
    click.echo(text)


if __name__ == "__main__":
    main()
