"""What the ratings say: medians with bootstrap intervals, Friedman's test over all conditions, Wilcoxon's between each two.

Ratings of one listener belong together. So the medians and tests are of each listener's means over songs: listeners are what was
drawn, and what the bootstrap draws. With few listeners and many songs, pages can be taken instead, as if they were independent.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np

from mixing.evaluation.statistics import RESAMPLES, holm, wilcoxon
from mixing.listening.ratings import Session

By = Literal["listener", "page"]


@dataclass(frozen=True)
class Centre:
    """A condition's ratings under one criterion.

    Attributes:
        median: of the listeners' means (or of all pages).
        low, high: bootstrap interval (percentiles); NaN with fewer than two.
        mean: of the same.
        count: listeners (or pages).
        ratings: every single one.
    """

    median: float
    low: float
    high: float
    mean: float
    count: int
    ratings: tuple[float, ...]


@dataclass(frozen=True)
class Friedman:
    """Whether the conditions differ at all.

    Attributes:
        chi2: Friedman's statistic, chi-squared with `freedom` degrees of freedom.
        p: of it; NaN where the test cannot be made (fewer than three conditions or two blocks, or no difference).
        w: Kendall's coefficient of concordance, 0 to 1: how much the listeners agree.
        freedom: conditions less one.
        count: blocks.
    """

    chi2: float
    p: float
    w: float
    freedom: int
    count: int


@dataclass(frozen=True)
class Pair:
    """Two conditions.

    Attributes:
        first, second: names.
        difference: median of first less second over the blocks.
        effect: matched-pairs rank-biserial correlation, -1 to 1.
        p: of Wilcoxon's signed-rank test, two-sided.
        p_holm: the same after Holm's correction over all pairs of the criterion.
        count: blocks.
    """

    first: str
    second: str
    difference: float
    effect: float
    p: float
    p_holm: float
    count: int


@dataclass(frozen=True)
class Result:
    """A criterion.

    Attributes:
        centres: condition -> its ratings.
        friedman: over all conditions.
        pairs: every two.
        songs: song -> condition -> median over listeners.
    """

    centres: dict[str, Centre]
    friedman: Friedman
    pairs: tuple[Pair, ...]
    songs: dict[str, dict[str, float]]


def analyse(
    sessions: Sequence[Session],
    conditions: Sequence[str],
    criterion: str,
    *,
    by: By = "listener",
    confidence: float = 0.95,
    seed: int = 0,
) -> Result:
    """One criterion of a test. A repeated page counts as the mean of both times.

    Args:
        sessions: cleaned; at least one with a page.
        conditions: names.
        criterion: its name.
        by: what the medians and tests take as independent.
        confidence: of the intervals.
        seed: of the bootstrap.
    """
    pages = [(s.participant, song, values) for s in sessions for song, values in _songs(s, conditions, criterion).items()]
    every = np.array([v for _, _, v in pages])
    if by == "listener":
        people = dict.fromkeys(p for p, _, _ in pages)
        blocks = np.array([np.mean([v for p, _, v in pages if p == name], 0) for name in people])
    else:
        blocks = every
    centres = {}
    for i, name in enumerate(conditions):
        low, high = median_interval(blocks[:, i], confidence, seed)
        of = blocks[:, i]
        centres[name] = Centre(float(np.median(of)), low, high, float(of.mean()), len(of), tuple(map(float, every[:, i])))
    names = dict.fromkeys(song for _, song, _ in pages)
    songs = {
        song: {c: float(np.median([v[i] for _, s, v in pages if s == song])) for i, c in enumerate(conditions)}
        for song in sorted(names)
    }
    return Result(centres, friedman(blocks), pairs(blocks, conditions), songs)


def _songs(session: Session, conditions: Sequence[str], criterion: str) -> dict[str, list[float]]:
    """Song -> ratings in the order of the conditions."""
    found: dict[str, list[list[float]]] = {}
    for page in session.pages:
        found.setdefault(page.song, []).append([page.stimuli[c].ratings[criterion] for c in conditions])
    return {song: list(np.mean(values, 0)) for song, values in found.items()}


def median_interval(values: np.ndarray, confidence: float = 0.95, seed: int = 0) -> tuple[float, float]:
    """Percentile bootstrap interval of a median (Efron 1979; scipy). (The BCa form has no acceleration for a median of few.)

    Args:
        values: (N,).
        confidence: in (0, 1).
        seed: of the resampling.

    Returns:
        lower and upper end; NaN for fewer than two values.
    """
    from scipy.stats import bootstrap

    if len(values) < 2:
        return math.nan, math.nan
    if np.ptp(values) == 0:
        return float(values[0]), float(values[0])
    found = bootstrap(
        (values,),
        np.median,
        n_resamples=RESAMPLES,
        vectorized=True,
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(found.low), float(found.high)


def friedman(blocks: np.ndarray) -> Friedman:
    """Friedman's test (1937; scipy) of (blocks, conditions), with Kendall's W."""
    from scipy.stats import friedmanchisquare

    count, k = blocks.shape
    if k < 3 or count < 2 or not np.ptp(blocks, axis=1).any():
        return Friedman(math.nan, math.nan, math.nan, k - 1, count)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of few blocks
        chi2, p = friedmanchisquare(*blocks.T)
    return Friedman(float(chi2), float(p), float(chi2) / (count * (k - 1)), k - 1, count)


def pairs(blocks: np.ndarray, conditions: Sequence[str]) -> tuple[Pair, ...]:
    """Wilcoxon's signed-rank test between every two columns, Holm-corrected over all."""
    every = list(combinations(range(len(conditions)), 2))
    tests = [wilcoxon(blocks[:, a] - blocks[:, b]) for a, b in every]
    return tuple(
        Pair(
            conditions[a],
            conditions[b],
            float(np.median(blocks[:, a] - blocks[:, b])),
            rank_biserial(blocks[:, a] - blocks[:, b]),
            p,
            corrected,
            len(blocks),
        )
        for (a, b), p, corrected in zip(every, tests, holm(tests), strict=True)
    )


def rank_biserial(differences: np.ndarray) -> float:
    """Matched-pairs rank-biserial correlation (Kerby 2014): share of ranks for less share against; 0 without differences."""
    from scipy.stats import rankdata

    d = differences[differences != 0]
    if not len(d):
        return 0.0
    ranks = rankdata(np.abs(d))
    return float((ranks[d > 0].sum() - ranks[d < 0].sum()) / ranks.sum())
