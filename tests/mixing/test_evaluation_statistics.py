"""Intervals that cover, tests that find, corrections that are Holm's."""

import math

import numpy as np
import pytest
import scipy.stats

from mixing.evaluation.statistics import holm, interval, paired, wilcoxon


def test_the_interval_is_scipys_of_the_mean():
    values = np.random.default_rng(0).gamma(2, size=30)
    songs = [str(k) for k in range(30)]
    found = interval(values, songs, seed=3)
    expected = scipy.stats.bootstrap((values,), np.mean, n_resamples=9999, rng=np.random.default_rng(7)).confidence_interval
    assert math.isclose(found.mean, values.mean())
    assert math.isclose(found.low, expected.low, rel_tol=0.02)
    assert math.isclose(found.high, expected.high, rel_tol=0.02)
    assert found.count == 30
    assert found == interval(values, songs, seed=3)
    assert found != interval(values, songs, seed=4)
    narrow = interval(values, songs, confidence=0.5)
    assert found.low < narrow.low < narrow.high < found.high


def test_the_interval_covers_as_often_as_it_says(monkeypatch):
    monkeypatch.setattr("mixing.evaluation.statistics.RESAMPLES", 500)
    rng = np.random.default_rng(0)
    hits = 0
    for seed in range(200):
        found = interval(rng.standard_normal(20), [str(k) for k in range(20)], confidence=0.8, seed=seed)
        hits += found.low < 0 < found.high
    # 80 %, less what 20 values cost the bootstrap (some 2 %); two standard errors are 5.7 %.
    assert 0.71 < hits / 200 < 0.86


def test_songs_of_one_work_are_no_independent_draws():
    rng = np.random.default_rng(0)
    works = rng.standard_normal(8)
    values = np.repeat(works, 10) + 0.01 * rng.standard_normal(80)
    groups = [f"work{k // 10}" for k in range(80)]
    by_group, by_song = interval(values, groups), interval(values, [str(k) for k in range(80)])
    assert by_group.mean == by_song.mean
    assert by_group.high - by_group.low > 2 * (by_song.high - by_song.low)
    alone = interval(works, [str(k) for k in range(8)])
    assert math.isclose(by_group.high - by_group.low, alone.high - alone.low, rel_tol=0.05)


def test_groups_of_unequal_size_count_by_their_songs():
    found = interval([1.0, 1.0, 1.0, 5.0], ["a", "a", "a", "b"])
    assert found.mean == 2.0
    assert found.low >= 1
    assert found.high <= 5


def test_intervals_of_little():
    assert math.isnan(interval([], []).mean)
    one = interval([2.0, 3.0], ["a", "a"])
    assert one.mean == 2.5
    assert math.isnan(one.low)
    assert interval([2.0, 2.0, 2.0], ["a", "b", "c"]).low == 2.0
    assert math.isfinite(interval([2.0, 3.0], ["a", "b"]).low)


def test_holm():
    """The example of R's p.adjust, and the bounds."""
    assert holm([0.01, 0.02, 0.03]) == pytest.approx([0.03, 0.04, 0.04])
    assert holm([0.03, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])
    assert holm([0.5, 0.9, 0.01]) == pytest.approx([1.0, 1.0, 0.03])
    assert holm([]) == []


def test_wilcoxon():
    # Ten differences of one sign: 2 / 2^10.
    assert wilcoxon(np.arange(1.0, 11.0)) == pytest.approx(2 / 1024)
    assert wilcoxon(np.append(np.arange(1.0, 11.0), [0, 0])) == pytest.approx(2 / 1024)
    assert wilcoxon(np.zeros(5)) == 1.0
    assert wilcoxon(np.array([1.0, -1.0])) == 1.0


def test_paired():
    rng = np.random.default_rng(0)
    base = rng.standard_normal(20)
    values = {"base": base, "better": base - 1 + 0.1 * rng.standard_normal(20), "same": base + 0.1 * rng.standard_normal(20)}
    songs = [str(k) for k in range(20)]
    found = paired(values, songs, "base")
    assert set(found) == {"better", "same"}
    assert math.isclose(found["better"].difference, -1, abs_tol=0.1)
    assert found["better"].p_holm == pytest.approx(2 * found["better"].p)
    assert found["better"].p_holm < 0.001 < 0.05 < found["same"].p
    halves = paired(values, [str(k // 10) for k in range(20)], "base")
    assert halves["better"].count == 2
    assert halves["better"].p == 0.5  # two pairs cannot say more
