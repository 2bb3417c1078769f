"""Contenders that do the same work, each with its time, its memory and its errors."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from benchmarks import memory
from benchmarks.measure import FULL, QUICK, Effort, Spread, interleave, threads
from benchmarks.results import YARDSTICK, Row

RATE = 44100
FORWARD, BOTH = "forward", "f+b"
Controls = dict[str, Tensor]


@dataclass(frozen=True)
class Size:
    """A batch of audio."""

    name: str
    batch: int
    channels: int
    samples: int

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.batch, self.channels, self.samples


A, B, C = Size("A", 1, 2, 441000), Size("B", 8, 1, 131072), Size("C", 16, 2, 262144)
SMALL = Size("small", 2, 2, 4096)


@dataclass(frozen=True)
class Setup:
    """How to run: `quick` sizes and one run each, whether to measure memory, the seed, who hears of the progress, and the folder
    for pictures (None: draw none)."""

    quick: bool = False
    memory: bool = True
    seed: int = 0
    progress: Callable[[str], Any] = lambda message: None
    pictures: Path | None = None

    @property
    def effort(self) -> Effort:
        return QUICK if self.quick else FULL

    @property
    def threads(self) -> int:
        """For wall time; a quick run has one, since starting and stopping them is slow on a busy machine."""
        return 1 if self.quick else 2


@dataclass(frozen=True)
class Work:
    """What a contender does.

    Attributes:
        forward: without gradients -> the output.
        forward_backward: the output's cotangent -> gradients to audio and to each control that requires one; None: cannot.
    """

    forward: Callable[[], Tensor]
    forward_backward: Callable[[Tensor], Sequence[Tensor | None]] | None = None


Oracle = Callable[[Tensor, Controls, Tensor | None], tuple[Tensor, Sequence[Tensor]]]
"""Audio, controls, and the output's cotangent or None, all float64 -> the true output, and the true gradients where asked for."""


@dataclass(frozen=True)
class Contender:
    """One way to do a contest's work.

    Attributes:
        name: in the tables.
        make: (audio, controls) -> Work.
        needs: packages without which it is left out.
        note: what differs in meaning from the others.
        oracle: where its design is another one than the contest's.
        comparable: False where its gradients are to other things than the contest's controls.
    """

    name: str
    make: Callable[[Tensor, Controls], Work]
    needs: tuple[str, ...] = ()
    note: str = ""
    oracle: Oracle | None = None
    comparable: bool = True


@dataclass(frozen=True)
class Contest:
    """Contenders, what they are given, and the truth.

    Attributes:
        case: (size, seed) -> audio float32 and controls float64 whose values float32 can hold; gradients are taken to the audio
            and to those controls that require them.
        contenders: the first is dasp's.
        oracle: the truth.
        name: where a group has several contests.
    """

    case: Callable[[Size, int], tuple[Tensor, Controls]]
    contenders: tuple[Contender, ...]
    oracle: Oracle | None
    name: str = ""


@dataclass
class Outcome:
    """Rows, and what was left out with the reason."""

    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, other: Outcome) -> None:
        self.rows += other.rows
        self.notes += [n for n in other.notes if n not in self.notes]


def peer(name: str) -> ModuleType | Any:
    """Another library, imported when its contender is asked for."""
    return importlib.import_module(name)


def differentiable(fn: Callable[..., Tensor], x: Tensor, controls: Controls) -> Work:
    """The work of a function (audio, **controls) -> audio that torch can differentiate."""
    fixed = {k: v.detach() for k, v in controls.items()}
    audio = x.detach().clone().requires_grad_()
    moving = {k: v.detach().clone().requires_grad_() for k, v in controls.items() if v.requires_grad}

    def forward() -> Tensor:
        with torch.no_grad():
            return fn(x, **fixed)

    def forward_backward(cotangent: Tensor) -> Sequence[Tensor | None]:
        y = fn(audio, **fixed | moving)
        return torch.autograd.grad(y, [audio, *moving.values()], cotangent, allow_unused=True)

    return Work(forward, forward_backward)


def by_autodiff(fn: Callable[..., Tensor]) -> Oracle:
    """The truth from a float64 function and its derivative."""

    def oracle(x: Tensor, controls: Controls, cotangent: Tensor | None) -> tuple[Tensor, Sequence[Tensor]]:
        work = differentiable(fn, x, controls)
        y = work.forward()
        if cotangent is None or work.forward_backward is None:
            return y, ()
        wrt = [x, *(v for v in controls.values() if v.requires_grad)]
        got = work.forward_backward(cotangent)
        return y, [torch.zeros_like(v) if g is None else g for g, v in zip(got, wrt, strict=True)]

    return oracle


def agree(what: str, a: Tensor, b: Tensor, tolerance: float) -> None:
    """Refuse an oracle that another one contradicts."""
    error = relative(a, b)
    if not error <= tolerance:
        raise RuntimeError(f"benchmarks: {what} differ by {error:.1e}; no error can be measured against them.")


def cotangent(y: Tensor, seed: int) -> Tensor:
    """The gradient of an imagined loss at the output: noise."""
    return torch.randn(y.shape, generator=torch.Generator().manual_seed(seed)).to(y)


def relative(got: Tensor | None, want: Tensor) -> float:
    """|got - want| / |want|; 1 for a gradient that does not exist, infinite for one that is not finite."""
    if got is None:
        return 1.0
    got, want = got.detach().double(), want.detach().double()
    error = float((got - want).norm() / want.norm().clamp_min(1e-300))
    return error if error == error else float("inf")


def compete(
    contest: Contest,
    size: Size,
    work: str,
    setup: Setup,
    *,
    group: str = "",
    measure_memory: bool = False,
    wall: bool = True,
    case: str = "",
) -> Outcome:
    """One contest at one size: errors from a first run, then CPU time of one thread, wall time with two, and memory.

    Args:
        contest, size: what.
        work: FORWARD or BOTH; those that cannot do BOTH are passed over.
        setup: how.
        group: the module in which the memory's own process finds the contest (as `CONTESTS`).
        measure_memory: whether to.
        wall: whether to take wall time.
        case: what the rows are called, where not by the size.
    """
    outcome, runs, errors = Outcome(), {}, {}
    x, controls = contest.case(size, setup.seed)
    truths: dict[Any, tuple[Tensor, Sequence[Tensor]]] = {}
    with threads(1):
        for one in contest.contenders:
            setup.progress(f"{group} {contest.name} {size.name} {work}: {one.name}")
            try:
                entry = enter(one, x, controls, size, work, setup.seed, must=one is contest.contenders[0])
            except Missing as reason:
                outcome.notes.append(str(reason))
                continue
            if entry is None:
                continue
            errors[one.name] = _errors(contest, one, truths, x, controls, entry, setup.seed)
            runs[one.name] = entry.run
        out = torch.empty_like(x)
        runs[YARDSTICK] = lambda: torch.mul(x, 2, out=out)
        setup.progress(f"{group} {contest.name} {size.name} {work}: one thread")
        cpu = interleave(runs, setup.effort)
    walls: dict[str, Spread] = {}
    if wall:
        setup.progress(f"{group} {contest.name} {size.name} {work}: two threads")
        effort = setup.effort
        with threads(setup.threads):
            walls = interleave(runs, replace(effort, least=min(2, effort.least), budget=effort.budget / 2), time.perf_counter)
    for one in contest.contenders:
        if one.name not in cpu:
            continue
        used = None
        if measure_memory and setup.memory:
            setup.progress(f"{group} {contest.name} {size.name} {work}: memory of {one.name}")
            used = memory.rise(group, contest.name, one.name, size.name, size.shape, work, setup.seed)
        passes = cpu[one.name].median / cpu[YARDSTICK].median
        row = Row(case or size.name, work, one.name, cpu[one.name], passes, walls.get(one.name), used, note=one.note)
        outcome.rows.append(replace(row, **errors[one.name]))
    outcome.rows.append(Row(case or size.name, work, YARDSTICK, cpu[YARDSTICK], 1.0, walls.get(YARDSTICK)))
    return outcome


class Missing(Exception):
    """A contender that cannot take part, with the reason."""


def prepared(one: Contender, x: Tensor, controls: Controls) -> Work:
    """Its work, or Missing where a package is."""
    for package in one.needs:
        try:
            peer(package)
        except (ImportError, OSError) as error:
            raise Missing(f"{one.name}: left out, {package} cannot be imported ({str(error).splitlines()[0]:.120})") from error
    return one.make(x, controls)


@dataclass(frozen=True)
class Entry:
    """A contender that has done the work once, which also warms up.

    Attributes:
        output, gradients: of that first run; no gradients where only forward is asked for.
        run: does the work again.
    """

    output: Tensor
    gradients: Sequence[Tensor | None]
    run: Callable[[], object]


def enter(one: Contender, x: Tensor, controls: Controls, size: Size, work: str, seed: int, must: bool) -> Entry | None:
    """Let a contender do the work for the first time; None where it is not one that does this work.

    Args:
        one: the contender.
        x, controls: of the contest's case.
        size, work, seed: what the case and the cotangent are.
        must: whether its failure is an error, and no reason to leave it out.

    Raises:
        Missing: a package is missing, or the contender fails and need not be there.
    """
    try:
        made = prepared(one, x, controls)
        both = made.forward_backward
        if work != BOTH:
            return Entry(made.forward(), (), made.forward)
        if both is None:
            return None
        y = made.forward()
        g = cotangent(y, seed + 1)
        return Entry(y, both(g), lambda: both(g))
    except Missing:
        raise
    except Exception as error:
        if must:
            raise
        reason = str(error).splitlines()[0] if str(error) else "no reason given"
        raise Missing(f"{one.name}: {type(error).__name__} at {size.name}: {reason:.120}") from error


def _errors(
    contest: Contest,
    one: Contender,
    truths: dict[Any, tuple[Tensor, Sequence[Tensor]]],
    x: Tensor,
    controls: Controls,
    entry: Entry,
    seed: int,
) -> dict[str, Any]:
    oracle = one.oracle or contest.oracle
    if oracle is None:
        return {}
    y, gradients = entry.output, entry.gradients
    if oracle not in truths:
        doubled = {k: v.detach().double().requires_grad_(v.requires_grad) for k, v in controls.items()}
        g = cotangent(y, seed + 1).double() if len(gradients) else None
        truths[oracle] = oracle(x.double(), doubled, g)
    truth, true_gradients = truths[oracle]
    found: dict[str, Any] = {"output_error": relative(y, truth)}
    if len(gradients) and one.comparable:
        names = ["audio", *(k for k, v in controls.items() if v.requires_grad)]
        each = {n: relative(g, t) for n, g, t in zip(names, gradients, true_gradients, strict=True)}
        worst = max(each, key=lambda n: each[n])
        found |= {"gradient_error": each[worst], "worst_gradient": worst}
    return found
