"""Tables of the explaining pages, made from what was measured: a page says `<!-- figures: NAME -->` where one goes."""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable

from website.pages import measured

_MARK = re.compile(r"<!-- figures: (\w+) -->")


def filled(text: str) -> str:
    """A page with its tables.

    Raises:
        KeyError: there is no table of a name that the page has.
    """
    return _MARK.sub(lambda match: TABLES[match[1]](), text)


def agreement() -> str:
    """Over all effects: how each strategy's control gradient agrees with float64 autodiff."""
    rows = measured("gradients")["rows"]
    lines = ["| strategy | effects | median cosine | cosine above 0.9 | median norm ratio |", "|---" * 5 + "|"]
    for strategy in dict.fromkeys(r["strategy"] for r in rows):
        found = [r for r in rows if r["strategy"] == strategy and r["norm_ratio"] > 0]
        cosines = [r["cosine"] for r in found]
        ratio = statistics.median(r["norm_ratio"] for r in found)
        above = sum(c > 0.9 for c in cosines)
        lines.append(f"| {strategy} | {len(found)} | {statistics.median(cosines):.4f} | {above} | {ratio:.3f} |")
    return "\n".join(lines)


def controls() -> str:
    """How SPSA's agreement falls with the number of controls."""
    from dasp.effects import registry

    known, rows = registry(), measured("gradients")["rows"]
    groups = ((1, 1), (2, 3), (4, 7), (8, 100))
    names = ("fd", "SPSA 1", "SPSA 16", "SPSA 256")
    lines = [f"| controls | effects | {' | '.join(names)} |", "|---" * (2 + len(names)) + "|"]
    for low, high in groups:
        members = {name for name, cls in known.items() if low <= len(cls.controls) <= high}
        cells = []
        for strategy in names:
            found = [r["cosine"] for r in rows if r["strategy"] == strategy and r["effect"] in members and r["norm_ratio"] > 0]
            cells.append(f"{statistics.median(found):.3f}")
        label = str(low) if low == high else f"{low} to {high}" if high < 100 else f"{low} or more"
        count = len({r["effect"] for r in rows if r["effect"] in members})
        lines.append(f"| {label} | {count} | {' | '.join(cells)} |")
    return "\n".join(lines)


def demo() -> str:
    """The same match under each strategy."""
    runs = [r for r in measured("demo")["hidden"] if r["seed"] == 1]
    base = next(r["figures"]["seconds"] for r in runs if r["gradient"] == "autodiff")
    lines = ["| gradient | residual, dB | worst level, dB | time, s | over autodiff's |", "|---|---|---|---|---|"]
    for run in runs:
        figures = run["figures"]
        label = run["gradient"] + (", without Gauss-Newton" if run["polish"] is False else "")
        lines.append(
            f"| {label} | {figures['residual_db']:.1f} | {figures['worst_level_error_db']:.2f} | {figures['seconds']:.0f} "
            f"| {figures['seconds'] / base:.1f} x |"
        )
    return "\n".join(lines)


def features() -> str:
    """What `dasp evaluate` measures."""
    from mixing.evaluation import METRICS

    lines = ["| measure | group | what it is |", "|---|---|---|"]
    metrics = METRICS.values() if isinstance(METRICS, dict) else METRICS
    lines += [f"| {m.title} | {m.group} | {m.about.replace('|', chr(92) + '|')} |" for m in metrics]
    return "\n".join(lines)


def layouts() -> str:
    """Each layout of data sets that is known, with the first line of its module."""
    import importlib
    import inspect

    from mixing.data import layouts as known

    lines = ["| layout | |", "|---|---|"]
    for name in known():
        text = inspect.getdoc(importlib.import_module(f"mixing.data.layouts.{name}")) or ""
        lines.append(f"| `{name}` | {text.splitlines()[0]} |")
    return "\n".join(lines)


TABLES: dict[str, Callable[[], str]] = {
    "agreement": agreement,
    "controls": controls,
    "demo": demo,
    "features": features,
    "layouts": layouts,
}
