"""The page that `make regressions` writes: every ratio beside that on record."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.contest import A, B
from benchmarks.page import number, timing
from benchmarks.regressions.record import TOLERANCE, Kept, Measured, verdicts
from benchmarks.regressions.suite import TURNS

INTRO = f"""# Speed against the record

Written by `make regressions`, which builds the environment of `make bench` and there runs
`python -m benchmarks.regressions --json docs/regressions.json --page docs/regressions.md`: the suite in `benchmarks/regressions`
with pytest-benchmark. It is made of contests of [the benchmarks](benchmarks.md), which also say how right each contender is.

The contenders take {TURNS} turns in one process, with one thread. *Ratio*: the peer's CPU time over dasp's in the same turn,
median (quartiles) over the turns; above 1 dasp is the faster one. *Change*: that median over the one on record. Below
{TOLERANCE:g} it is **slower**, and the command ends with status 1. A peer that became faster, or another processor, can look the
same: both are named below. With `ARGS=--record` behind it, `make regressions` puts its figures on record; with `ONLY=loss`, it
measures one group.

f+b: forward, then backward of a random cotangent. Sizes (batch, channels, samples): A {A.shape}, B {B.shape}; float32."""


def page(kept: Mapping[str, Kept]) -> str:
    """docs/regressions.md: all groups."""
    parts = [INTRO, table(kept)]
    left_out = dict.fromkeys(reason for group in kept.values() for reason in group.latest.left_out)
    if left_out:
        parts.append("Not measured:\n\n" + "\n".join(f"- {reason}" for reason in left_out))
    parts.append(machines("Measured", {name: group.latest for name, group in kept.items()}))
    parts.append(machines("On record", {name: group.record for name, group in kept.items()}))
    return "\n\n".join(parts) + "\n"


def table(kept: Mapping[str, Kept]) -> str:
    """Every figure beside the ratio on record, and ratios on record that were not measured again."""
    heads = ("work", "dasp ms", "peer", "peer ms", "ratio", "on record", "change")
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    for group in kept.values():
        for verdict in verdicts(group):
            f = verdict.figure
            change = "new" if verdict.change is None else f"{verdict.change:.2f}{' **slower**' if verdict.regressed else ''}"
            ratio = [f"{timing(f.ratio)}", number(verdict.recorded), change]
            lines.append(f"| {' | '.join([f.title, number(f.ours_ms.median), f.peer, number(f.peer_ms.median), *ratio])} |")
        again = {(f.work, f.ours, f.peer) for f in group.latest.figures}
        lost = [f for f in group.record.figures if (f.work, f.ours, f.peer) not in again]
        lines += [f"| {f.title} |  | {f.peer} |  |  | {number(f.ratio.median)} | not measured |" for f in lost]
    return "\n".join(lines)


def machines(what: str, runs: Mapping[str, Measured]) -> str:
    """With what each group was measured; groups of one run together."""
    told: dict[str, list[str]] = {}
    for name, run in runs.items():
        told.setdefault(", ".join(f"{k} {v}" for k, v in run.machine.items()), []).append(name)
    return "\n\n".join(f"{what} ({', '.join(names)}) with: {machine}." for machine, names in told.items())
