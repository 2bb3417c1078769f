"""The page that `make bench` writes: what was aimed at and what came out, then every group's table."""

from __future__ import annotations

import math
from collections.abc import Sequence

from benchmarks.contest import A, B, C
from benchmarks.measure import Spread
from benchmarks.results import Aim, Results, Row

INTRO = f"""# Benchmarks

Written by `make bench`, which builds an environment with the registry's torch and every contender. "met" is computed from the
figures.

Contenders run in one process and in turns. *CPU*: milliseconds of one thread, median (quartiles). *Passes*: that median over
the one of `torch.mul(x, 2, out=y)` on the same audio, taken in the same turns: read this column, and ratios, not times. *Wall*:
two threads, where the machine has them. *Memory*: peak rise of the resident memory in a process of the contender's own, over
the bytes of the audio. *Output* and *gradient*: |difference from the float64 oracle| / |oracle|; of the gradients to audio and
to each control, the worst, with its name. An output further off than 1 % is **wrong**, and nobody's time to beat. f+b: forward,
then backward of a random cotangent, to the audio and to all controls, each item with its own.

Sizes (batch, channels, samples): A {A.shape}, B {B.shape}, C {C.shape}; float32.
"""


def page(results: Results) -> str:
    """All groups."""
    aims = [aim for group in results.values() for aim in group.aims]
    parts = [INTRO, "## Aims", aim_table(aims)] if aims else [INTRO]
    for group in results.values():
        parts += [f"## {group.title}", group.about, table(group.rows)]
        parts += [f"![{group.title}]({name})" for name in group.figures]
        if group.notes:
            parts.append("\n".join(f"- {note}" for note in group.notes))
        if group.machine:
            parts.append(f"Measured with: {', '.join(f'{k} {v}' for k, v in group.machine.items())}.")
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def aim_table(aims: Sequence[Aim]) -> str:
    """What was aimed at beside what came out."""
    lines = ["| work | aim | measured | |", "|---|---|---|---|"]
    for a in aims:
        aimed = f"{'<=' if a.at_most else '>='} {number(a.limit)}{a.unit}"
        measured = "not measured" if a.figure is None else f"{number(a.figure)}{a.unit}"
        verdict = {True: "met", False: "**not met**", None: "-"}[a.met]
        lines.append(f"| {a.work} | {aimed} | {measured} | {verdict} |")
    return "\n".join(lines)


COLUMNS = {
    "CPU ms": lambda r: timing(r.cpu_ms),
    "passes": lambda r: number(r.passes),
    "wall ms": lambda r: timing(r.wall_ms),
    "memory": lambda r: "" if r.memory is None else f"{number(r.memory)} x",
    "output": lambda r: error(r.output_error) + (" **wrong**" if r.wrong else ""),
    "gradient": lambda r: f"{error(r.gradient_error)} {r.worst_gradient}".strip(),
    "remark": lambda r: r.note,
}


def table(rows: Sequence[Row]) -> str:
    """One group's rows; columns that no row fills are left out."""
    cells = {name: [show(r) for r in rows] for name, show in COLUMNS.items()}
    used = [name for name, column in cells.items() if any(column)]
    heads = ["case", "work", "contender", *used]
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    for i, r in enumerate(rows):
        lines.append(f"| {' | '.join([r.case, r.work, r.contender, *(cells[name][i] for name in used)])} |")
    return "\n".join(lines)


def timing(s: Spread | None) -> str:
    if s is None:
        return ""
    return f"{number(s.median)} ({number(s.low)} to {number(s.high)})" if s.runs > 1 else f"{number(s.median)} (one run)"


def number(value: float | None) -> str:
    """Three significant digits."""
    if value is None:
        return ""
    if not math.isfinite(value):
        return "not finite"
    if value and (abs(value) < 1e-3 or abs(value) >= 1e6):
        return f"{value:.1e}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def error(value: float | None) -> str:
    if value is None:
        return ""
    if not math.isfinite(value):
        return "not finite"
    return f"{value:.0e}" if value else "0"
