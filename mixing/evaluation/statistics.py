"""Means with bootstrap intervals and paired tests, by song or by groups of songs that belong together."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 9999


@dataclass(frozen=True)
class Interval:
    """A mean and its confidence interval.

    Attributes:
        mean: over the values.
        low, high: the interval; NaN with fewer than two groups.
        count: values.
    """

    mean: float
    low: float
    high: float
    count: int


@dataclass(frozen=True)
class Paired:
    """A mixer against another one on the same songs.

    Attributes:
        difference: mean of its value less the other's: negative where it is better.
        p: of Wilcoxon's signed-rank test, two-sided.
        p_holm: the same after Holm's correction for all tests of one metric.
        count: pairs: songs, or groups of songs.
    """

    difference: float
    p: float
    p_holm: float
    count: int


def interval(values: Sequence[float], groups: Sequence[str], confidence: float = 0.95, seed: int = 0) -> Interval:
    """The mean of some values and its bootstrap interval (BCa; Efron 1987).

    What is drawn with replacement are the groups, each with all its values: songs of one work are no independent draws, and an
    interval that takes them for such is too narrow. With a group for each value it is the usual bootstrap.

    Args:
        values: finite.
        groups: the group of each value.
        confidence: of the interval.
        seed: of the draws.
    """
    from scipy.stats import bootstrap

    x = np.asarray(values, float)
    if not len(x):
        return Interval(math.nan, math.nan, math.nan, 0)
    sums, counts = _by_group(x, groups)
    mean = float(x.mean())
    if len(sums) < 2:
        return Interval(mean, math.nan, math.nan, len(x))
    if np.ptp(sums / counts) < 1e-12 * (1 + abs(mean)):
        return Interval(mean, mean, mean, len(x))

    def ratio(a: np.ndarray, b: np.ndarray, axis: int = -1) -> np.ndarray:
        return a.sum(axis) / b.sum(axis)

    def ends(method: str) -> tuple[float, float]:
        found = bootstrap(
            (sums, counts),
            ratio,
            n_resamples=RESAMPLES,
            vectorized=True,
            paired=True,
            confidence_level=confidence,
            method=method,
            rng=np.random.default_rng(seed),
        ).confidence_interval
        return float(found.low), float(found.high)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # BCa has no value where the draws hardly differ
        low, high = ends("BCa")
        if not math.isfinite(low + high):
            low, high = ends("percentile")
    return Interval(mean, low, high, len(x))


def paired(values: dict[str, Sequence[float]], groups: Sequence[str], against: str) -> dict[str, Paired]:
    """Every mixer against one: Wilcoxon's signed-rank test on the means of the groups, Holm-corrected over all of them.

    Args:
        values: by mixer, of the same songs in the same order.
        groups: the group of each song.
        against: the mixer that the others are compared with.
    """
    means = {}
    for name, given in values.items():
        sums, counts = _by_group(np.asarray(given, float), groups)
        means[name] = sums / counts
    others = [n for n in values if n != against]
    tests = [wilcoxon(means[n] - means[against]) for n in others]
    corrected = holm(tests)
    return {
        n: Paired(float((means[n] - means[against]).mean()), p, c, len(means[n]))
        for n, p, c in zip(others, tests, corrected, strict=True)
        if len(means[n])
    }


def wilcoxon(differences: np.ndarray) -> float:
    """p of Wilcoxon's signed-rank test, two-sided (scipy); 1 where nothing differs."""
    from scipy import stats

    differences = differences[differences != 0]
    if not len(differences):
        return 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of ties and of few values
        return float(stats.wilcoxon(differences).pvalue)  # type: ignore[union-attr]


def holm(p: Sequence[float]) -> list[float]:
    """Holm's step-down correction (1979): the k-th smallest of n times n - k + 1, never below the one before, 1 at most."""
    order = sorted(range(len(p)), key=lambda i: p[i])
    out, highest = [0.0] * len(p), 0.0
    for k, i in enumerate(order):
        highest = max(highest, min(1.0, p[i] * (len(p) - k)))
        out[i] = highest
    return out


def _by_group(values: np.ndarray, groups: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Sum and count of the values of each group, in order of first appearance."""
    index = {g: i for i, g in enumerate(dict.fromkeys(groups))}
    where = np.array([index[g] for g in groups], int)
    return np.bincount(where, values, len(index)), np.bincount(where, minlength=len(index)).astype(float)
