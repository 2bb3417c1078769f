"""Ratios from pytest-benchmark's times, and the record that they are held against."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import results
from benchmarks.measure import Spread, spread
from benchmarks.regressions.suite import GROUPS, Pairing, Run

TOLERANCE = 0.7
"""A ratio below so much of that on record is a regression.

Two whole runs of the same code on a machine with ten jobs for its two cores gave ratios that differed by 5 % in the median and by
22 % at most. A processor with AVX2 and one with AVX-512 changed ratios of the benchmarks by up to 22 % downwards. 0.7 lies below
both, and a kernel that is no longer used, vectorised or spared its copies costs more than that.
"""


@dataclass(frozen=True)
class Figure:
    """A peer's time over dasp's.

    Attributes:
        work: what they did.
        ours, peer: who.
        ours_ms, peer_ms: CPU time of one thread in milliseconds: median and quartiles over the turns.
        ratio: of the two in the same turn: median and quartiles over the turns.
    """

    work: str
    ours: str
    peer: str
    ours_ms: Spread
    peer_ms: Spread
    ratio: Spread

    @property
    def title(self) -> str:
        """The work, and which of dasp's contenders did it where that is not the plain one."""
        return self.work if self.ours == "dasp" else f"{self.work}, {self.ours}"


@dataclass(frozen=True)
class Measured:
    """One run of a group.

    Attributes:
        figures: its ratios.
        left_out: peers that could not take part, with the reason.
        machine: where and with what it was measured.
    """

    figures: tuple[Figure, ...]
    left_out: tuple[str, ...]
    machine: dict[str, str]


@dataclass(frozen=True)
class Kept:
    """A group's latest run, and the one on record."""

    latest: Measured
    record: Measured


@dataclass(frozen=True)
class Verdict:
    """A figure beside the ratio on record, which is None where there is none."""

    figure: Figure
    recorded: float | None

    @property
    def change(self) -> float | None:
        """The ratio over that on record."""
        return None if self.recorded is None else self.figure.ratio.median / self.recorded

    @property
    def regressed(self) -> bool:
        return self.change is not None and self.change < TOLERANCE


def figures(report: Mapping[str, Any], pairings: Sequence[Pairing]) -> list[Figure]:
    """The ratios of these pairings, as far as both sides were measured.

    Args:
        report: what pytest-benchmark's --benchmark-json wrote.
        pairings: of the suite.

    Raises:
        KeyError: it is not a report of this suite.
    """
    times: dict[tuple[str, ...], dict[int, float]] = {}
    for one in report["benchmarks"]:
        told = one["extra_info"]
        times.setdefault(_key(told), {})[told["turn"]] = 1000 * statistics.median(one["stats"]["data"])
    found = []
    for pairing in pairings:
        ours = times.get(_key(pairing.run(pairing.ours).key))
        for peer in pairing.peers:
            theirs = times.get(_key(pairing.run(peer).key))
            both = sorted(ours.keys() & theirs.keys()) if ours and theirs else []
            if not ours or not theirs or not both:
                continue
            mine, other = [ours[turn] for turn in both], [theirs[turn] for turn in both]
            ratio = spread([b / a for a, b in zip(mine, other, strict=True)])
            found.append(Figure(pairing.label, pairing.ours, peer, spread(mine), spread(other), ratio))
    return found


def measured(report: Mapping[str, Any], pairings: Sequence[Pairing]) -> dict[str, Measured]:
    """Each group's run, of those groups that a report has.

    Raises:
        KeyError: it is not a report of this suite.
    """
    about = report["dasp"]
    groups = dict.fromkeys(one["extra_info"]["group"] for one in report["benchmarks"])
    found = {}
    for group in groups:
        ratios = figures(report, [pairing for pairing in pairings if pairing.group == group])
        found[group] = Measured(tuple(ratios), tuple(about["left_out"].get(group, ())), dict(about["machine"]))
    return found


def merged(kept: Mapping[str, Kept], new: Mapping[str, Measured], to_record: bool) -> dict[str, Kept]:
    """What was kept, with a new run in its place. It is also the record where it shall be, or where there was none."""
    found = dict(kept)
    for group, run in new.items():
        found[group] = Kept(run, run if to_record or group not in kept else kept[group].record)
    return {group: found[group] for group in GROUPS if group in found}


def verdicts(kept: Kept) -> list[Verdict]:
    """The latest figures beside those on record."""
    recorded = {(f.work, f.ours, f.peer): f.ratio.median for f in kept.record.figures}
    return [Verdict(f, recorded.get((f.work, f.ours, f.peer))) for f in kept.latest.figures]


def read(path: Path) -> dict[str, Kept]:
    """What is kept in a file; nothing where there is none.

    Raises:
        ValueError: the file has another form.
    """
    return results.loads(path.read_text(encoding="utf-8"), Kept) if path.exists() else {}


def _key(told: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(told[name] for name in Run.__dataclass_fields__)
