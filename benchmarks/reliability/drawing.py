"""Cases drawn by hypothesis, all of them tried: what fails is counted, not searched on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis.strategies import SearchStrategy

T = TypeVar("T")


def each(cases: SearchStrategy[T], count: int, seed: int, trial: Callable[[T], None]) -> None:
    """Call `trial` with so many cases at most; the same ones for the same seed."""
    left = count

    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),  # type: ignore[arg-type]
    )
    @given(cases)
    def one(case: T) -> None:
        nonlocal left
        if left > 0:
            left -= 1
            trial(case)

    seeded(seed)(one)()
