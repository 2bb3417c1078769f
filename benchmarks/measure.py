"""Times of several contenders, taken in turns; the threads they may use."""

from __future__ import annotations

import gc
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

Clock = Callable[[], float]


@dataclass(frozen=True)
class Spread:
    """Several runs: milliseconds, where nothing else is said.

    Attributes:
        median: of all runs.
        low, high: the quartiles.
        runs: how many there were.
    """

    median: float
    low: float
    high: float
    runs: int


@dataclass(frozen=True)
class Effort:
    """How long to measure.

    Attributes:
        repeats: runs of each contender at most.
        least: runs of each contender at least.
        budget: seconds after which a contender that has had its least runs takes no more.
    """

    repeats: int = 15
    least: int = 3
    budget: float = 3.0


FULL, QUICK = Effort(), Effort(repeats=1, least=1)


def spread(values: list[float]) -> Spread:
    """Median and quartiles."""
    low, _, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
    return Spread(statistics.median(values), low, high, len(values))


def interleave(works: Mapping[str, Callable[[], object]], effort: Effort, clock: Clock = time.process_time) -> dict[str, Spread]:
    """Time contenders in turns, so that whatever else the machine does falls on all of them alike.

    Every round runs each contender once, and begins with another one. A contender that has used up its budget rests while the
    others go on. The default clock is the CPU time of the whole process: with one thread it is that thread's, and it also
    sees work that a library does in threads of its own.

    Args:
        works: what to call, by name.
        effort: how often.
        clock: seconds.
    """
    names = list(works)
    times: dict[str, list[float]] = {name: [] for name in names}
    gc.collect()
    gc.disable()
    try:
        for turn in range(effort.repeats):
            first = turn % max(len(names), 1)
            for name in names[first:] + names[:first]:
                taken = times[name]
                if len(taken) >= effort.least and sum(taken) >= effort.budget:
                    continue
                start = clock()
                works[name]()
                taken.append(clock() - start)
    finally:
        gc.enable()
    return {name: spread([1000 * s for s in taken]) for name, taken in times.items()}


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let torch, and numba where it is loaded, use so many threads."""
    import torch

    def use(n: int) -> None:
        torch.set_num_threads(n)
        if "numba" in sys.modules:
            numba = sys.modules["numba"]
            numba.set_num_threads(min(n, numba.config.NUMBA_NUM_THREADS))  # type: ignore[attr-defined]

    before = torch.get_num_threads()
    use(count)
    try:
        yield
    finally:
        use(before)
