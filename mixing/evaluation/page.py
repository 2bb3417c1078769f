"""The report of an evaluation: one page that needs nothing else."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from mixing.evaluation.metrics import GROUPS, Metric
from mixing.evaluation.statistics import Interval
from mixing.evaluation.table import Table, heading, shown, spread
from mixing.plots import ACCENT, GRID, INK, figure, name_rows, svg
from mixing.templates import templates
from mixing.text_tables import NOTHING


def page(table: Table, about: dict[str, Any]) -> str:
    """The page.

    Args:
        table: what was measured.
        about: "data": what the songs are, "dasp": the version, "command": what was typed.
    """
    environment = templates(Path(__file__).parent)
    environment.filters |= {"shown": shown, "heading": heading, "signed": lambda v: f"{v:+.3g}", "small": lambda v: f"{v:.2g}"}
    sections = [(title, metrics) for g, title in GROUPS.items() if (metrics := [m for m in table.metrics if m.group == g])]
    return environment.get_template("page.html.j2").render(
        table=table,
        about=about,
        best={m.name: _best(table.summary(m.name)) for m in table.metrics},
        spread=spread,
        sections=sections,
        plots=[(m, plot(table, m)) for m in table.headlines],
        tests=[(m, table.tests(m.name)) for m in table.headlines],
        nan=math.nan,
        nothing=NOTHING,
    )


def plot(table: Table, metric: Metric) -> str:
    """Every song's value as a dot, the mean and its interval as a bar, a line for each mixer: SVG."""
    values, _, _ = table.values(metric.name)
    found = table.summary(metric.name)
    picture, axes = figure(size=(5.2, 0.9 + 0.32 * len(values)))
    for y, (mixer, song_values) in enumerate(values.items()):
        one = found[mixer]
        axes.scatter(song_values, [y] * len(song_values), s=14, color=INK, alpha=0.35, linewidths=0)
        if math.isfinite(one.low + one.high):
            axes.plot([one.low, one.high], [y, y], color=ACCENT, linewidth=3, solid_capstyle="round")
        axes.plot([one.mean], [y], color=ACCENT, marker="o", markersize=7)
    name_rows(axes, values)
    axes.set_ylim(len(values) - 0.5, -0.5)
    axes.grid(False, axis="y")
    axes.set_xlabel(heading(metric).replace("$", ""))
    axes.axvline(axes.get_xlim()[0], color=GRID, linewidth=0.6)
    return svg(
        picture, f"plot-{metric.name}", f"{metric.title} of each mixer: songs, mean and interval. The table has the numbers."
    )


def _best(found: dict[str, Interval]) -> str:
    """The mixer of least mean; none where there is but one."""
    return min(found, key=lambda m: found[m].mean) if len(found) > 1 else ""
