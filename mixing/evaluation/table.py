"""The result of an evaluation: every metric of every mix, means with intervals, tests; as Markdown and CSV."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from mixing.evaluation.metrics import BY_NAME, GROUPS, HEADLINES, METRICS, Metric
from mixing.evaluation.statistics import Interval, Paired, interval, paired
from mixing.text_tables import NOTHING, cell, comma_separated, markdown, number, safe


@dataclass(frozen=True)
class Row:
    """One mix of one song.

    Attributes:
        song, group, mixer: names.
        values: metric -> value; NaN or missing where there is none.
    """

    song: str
    group: str
    mixer: str
    values: dict[str, float]


@dataclass(frozen=True)
class LeftOut:
    """A song, or one mixer's mix of it, that was not measured.

    Attributes:
        song: its name.
        mixer: None where no mixer's could be.
        why: in words.
    """

    song: str
    mixer: str | None
    why: str


@dataclass(frozen=True)
class Table:
    """What was measured.

    Attributes:
        mixers: names, in the order given.
        rows: one for each mix that was measured.
        left_out: what was not, and why.
        against: the mixer with which the tests compare the others.
        by: what the bootstrap draws and the tests pair: "group" (songs of one work together) or "song".
        confidence: of the intervals.
        seed: of the bootstrap.
        frechet: Frechet distance of each mixer's embeddings from the targets', where an embedding was given.
        notes: what else a reader should know, in sentences.
    """

    mixers: tuple[str, ...]
    rows: tuple[Row, ...]
    left_out: tuple[LeftOut, ...] = ()
    against: str = ""
    by: Literal["group", "song"] = "group"
    confidence: float = 0.95
    seed: int = 0
    frechet: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @cached_property
    def metrics(self) -> tuple[Metric, ...]:
        """Those that have a value somewhere."""
        return tuple(m for m in METRICS if any(math.isfinite(r.values.get(m.name, math.nan)) for r in self.rows))

    @property
    def headlines(self) -> tuple[Metric, ...]:
        """The few that short tables show."""
        return tuple(BY_NAME[n] for n in HEADLINES if BY_NAME[n] in self.metrics)

    @property
    def songs(self) -> tuple[str, ...]:
        """Those of which there is a mix."""
        return tuple(dict.fromkeys(r.song for r in self.rows))

    @property
    def baseline(self) -> str:
        """`against`, or the first mixer."""
        return self.against or self.mixers[0]

    def values(self, metric: str) -> tuple[dict[str, list[float]], list[str], int]:
        """A metric's values on the songs on which every mixer has one, so that means are of the same songs.

        A mixer that has none at all does not count (a plain waveform network has no faders).

        Returns:
            values by mixer, the group of each song (the song itself where `by` is "song"), songs that were left out.
        """
        cells = {(r.mixer, r.song): r.values.get(metric, math.nan) for r in self.rows}
        groups = {r.song: r.group if self.by == "group" else r.song for r in self.rows}
        finite = {key for key, value in cells.items() if math.isfinite(value)}
        mixers = [m for m in self.mixers if any(key[0] == m for key in finite)]
        some = [s for s in self.songs if any((m, s) in finite for m in mixers)]
        songs = [s for s in some if all((m, s) in finite for m in mixers)]
        return {m: [cells[m, s] for s in songs] for m in mixers}, [groups[s] for s in songs], len(some) - len(songs)

    def summary(self, metric: str) -> dict[str, Interval]:
        """Mean and interval of each mixer that has the metric."""
        return self._summaries[metric]

    @cached_property
    def _summaries(self) -> dict[str, dict[str, Interval]]:
        out = {}
        for metric in self.metrics:
            values, groups, _ = self.values(metric.name)
            out[metric.name] = {m: interval(v, groups, self.confidence, self.seed) for m, v in values.items()}
        return out

    def tests(self, metric: str) -> dict[str, Paired]:
        """The other mixers against `baseline`, on a metric; empty where that has no value."""
        values, groups, _ = self.values(metric)
        return paired(values, groups, self.baseline) if self.baseline in values else {}

    def csv(self) -> str:
        """A line for each mix: song, group, mixer and every metric, empty where there is none."""
        names = [m.name for m in self.metrics]
        lines = [
            [safe(r.song), safe(r.group), safe(r.mixer), *(number(r.values.get(n, math.nan)) for n in names)] for r in self.rows
        ]
        return comma_separated([["song", "group", "mixer", *names], *lines])

    def summary_csv(self) -> str:
        """A line for each metric and mixer: mean, interval, songs, and the test against `baseline`."""
        head = ["metric", "unit", "mixer", "mean", "low", "high", "songs", "difference", "p", "p_holm"]
        lines = []
        for metric in self.metrics:
            tests = self.tests(metric.name)
            for mixer, found in self.summary(metric.name).items():
                test = tests.get(mixer)
                tail = [number(v) for v in (test.difference, test.p, test.p_holm)] if test else ["", "", ""]
                numbers = [number(v) for v in (found.mean, found.low, found.high)]
                lines.append([metric.name, metric.unit, safe(mixer), *numbers, str(found.count), *tail])
        return comma_separated([head, *lines])

    def markdown(self) -> str:
        """Means with intervals of all metrics, tests of the headlines, every song's headlines, and what was left out."""
        parts = ["# Evaluation", "", *(f"{line}  " for line in self.about()), ""]
        parts += self._matrix("Overall", self.headlines)
        if self.frechet:
            parts += markdown(["Mixer", "Frechet distance"], [[m, f"{v:.4g}"] for m, v in self.frechet.items()])
        parts += [f"## Tests against {cell(self.baseline)}", "", self.about_tests(), ""]
        rows = [
            [m.title, mixer, f"{t.difference:+.3g}", f"{t.p:.2g}", f"{t.p_holm:.2g}", str(t.count)]
            for m in self.headlines
            for mixer, t in self.tests(m.name).items()
        ]
        parts += markdown(["Metric", "Mixer", "Difference", "p", "p (Holm)", "Pairs"], rows, 2)
        for group, title in GROUPS.items():
            parts += self._matrix(title, [m for m in self.metrics if m.group == group])
        parts += ["## Songs", ""]
        rows = [[r.song, r.mixer, *(shown(r.values.get(m.name, math.nan)) for m in self.headlines)] for r in self.rows]
        parts += markdown(["Song", "Mixer", *map(heading, self.headlines)], rows, 2)
        if self.left_out:
            parts += ["## Left out", ""]
            parts += [f"- {cell(x.song)}{f', {cell(x.mixer)}' if x.mixer else ''}: {cell(x.why)}" for x in self.left_out] + [""]
        parts += ["## What is measured", ""]
        parts += [f"- **{m.title}** (`{m.name}`{f', {m.unit}' if m.unit else ''}): {m.about}." for m in self.metrics]
        return "\n".join(parts) + "\n"

    def about(self) -> list[str]:
        """What the numbers are, in sentences."""
        groups = len({r.group for r in self.rows})
        drawn = f"the {groups} groups of songs" if self.by == "group" else "songs"
        text = [
            f"{len(self.songs)} song{'s' * (len(self.songs) != 1)}, {len(self.mixers)} mixers. Less is better everywhere.",
            f"Means over songs, with {self.confidence:.0%} intervals from {drawn} drawn with replacement (BCa bootstrap).",
        ]
        fewer = {m.title: n for m in self.metrics if (n := self.values(m.name)[2])}
        if fewer:
            said = ", ".join(f"{title} {n}" for title, n in fewer.items())
            text.append(
                f"Means are of songs on which every mixer that has the metric has a value; songs left out for that: {said}."
            )
        if self.left_out:
            text.append(f"{len(self.left_out)} could not be measured and count nowhere; they are listed below.")
        return [*text, *self.notes]

    def about_tests(self) -> str:
        """Which test the p values are of, in a sentence or two."""
        pairs = "the means of groups of songs" if self.by == "group" else "songs"
        return (
            f"Wilcoxon's signed-rank test, two-sided, on {pairs}; p also with Holm's correction over the mixers of a metric. A "
            f"negative difference is better than {cell(self.baseline)}."
        )

    def _matrix(self, title: str, metrics: Iterable[Metric]) -> list[str]:
        metrics = list(metrics)
        if not metrics:
            return []
        found = [self.summary(m.name) for m in metrics]
        rows = [[mixer, *(spread(f[mixer]) if mixer in f else NOTHING for f in found)] for mixer in self.mixers]
        return [f"## {title}", "", *markdown(["Mixer", *map(heading, metrics)], rows)]


def heading(metric: Metric) -> str:
    return f"{metric.title} [{metric.unit}]" if metric.unit else metric.title


def shown(value: float) -> str:
    """A number for people; a dash where there is none."""
    return NOTHING if not math.isfinite(value) else f"{value:.3f}" if abs(value) < 100 else f"{value:.4g}"


def spread(found: Interval) -> str:
    """A mean and its interval for people."""
    if not math.isfinite(found.low + found.high):
        return shown(found.mean)
    return f"{shown(found.mean)} ({shown(found.low)} to {shown(found.high)})"
