"""The page that `make comparison` writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from benchmarks.comparison.running import Budget, Result, table
from mixing.evaluation.table import heading, spread
from mixing.text_tables import cell

INTRO = """# The mixing systems compared

Written by `make comparison`: every system on the same songs, which none has heard in training, each trained one on the same
excerpts in the same order and for the same number of steps, its weights chosen on a third set of songs. Less is better. In
brackets 95 % intervals of the mean, by a bootstrap over works (excerpts of one song count as one); **bold** is the least mean
of a column, which need not be the best: look at the intervals and at the tests.
"""
REMARKS = """
What to keep in mind: systems that set faders and pans also learned from true settings where those are known (a parameter loss),
which networks from waveform to waveform cannot. The plain sum *is* the target of productions whose stems were bounced at mix
level; rendered songs have a composer's balance to be found. A short training on two CPU cores is no system at its best: what is
named "as shipped" was trained by its own recipe, on more and longer excerpts. Training times are the wall clock's, validation
included, of one thread of a machine that did other work besides. Waveform networks are for eight stereo tracks.
"""


README = ("stereo_mrstft", "feature_mape", "gain_error_db", "pan_error")


def page(results: Sequence[Result], budget: Budget, against: str = "sum") -> str:
    """The comparison as Markdown."""
    whole = table(results, against)
    metrics = whole.headlines
    about = (
        f"{budget.steps} steps of {budget.batch} excerpts of {budget.samples / 44100:.2f} s, seed {budget.seed}; "
        f"{len(whole.songs)} held-out songs or sections of {len({r.group for r in whole.rows})} works."
    )
    lines = [INTRO, about + (" **Tiny networks: this page says that it runs, and nothing else.**" if budget.tiny else ""), ""]
    lines += [overview(results), REMARKS]
    if known := known_settings(results):
        about = f"The rendered ones alone, {len(known[0].rows)} of them."
        lines += ["## Songs whose settings are known", "", about, "", overview(known), ""]
    lines += [f"## Tests against {cell(whole.baseline)}", "", whole.about_tests(), ""]
    titles = {r.name: r.title for r in results}
    lines += ["| metric | system | difference | p | p (Holm) | pairs |", "|---|---|---|---|---|---|"]
    for m in metrics:
        for name, t in whole.tests(m.name).items():
            lines.append(f"| {m.title} | {cell(titles[name])} | {t.difference:+.3g} | {t.p:.2g} | {t.p_holm:.2g} | {t.count} |")
    if whole.left_out:
        lines += ["", "## Left out", ""]
        lines += [f"- {cell(x.song)}{f', {cell(x.mixer)}' if x.mixer else ''}: {cell(x.why)}" for x in whole.left_out]
    return "\n".join(lines) + "\n"


def known_settings(results: Sequence[Result]) -> list[Result]:
    """The results of those songs alone whose true faders are known; none where there is no such song, or no other one."""
    known = {r["song"] for result in results for r in result.rows if r["values"].get("gain_error_db") is not None}
    if not known or known == {r["song"] for result in results for r in result.rows}:
        return []
    return [replace(result, rows=tuple(r for r in result.rows if r["song"] in known)) for result in results]


def overview(results: Sequence[Result], columns: Sequence[str] = ()) -> str:
    """One row a system: parameters, training, means with intervals.

    Args:
        results: of all systems.
        columns: names of metrics; by default all headlines.
    """
    whole = table(results)
    metrics = [m for m in whole.headlines if not columns or m.name in columns]
    found = {m.name: whole.summary(m.name) for m in metrics}
    least = {name: min(each, key=lambda mixer: each[mixer].mean) for name, each in found.items() if each}
    head = ["system", "parameters", "training", *(heading(m) for m in metrics)]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for result in results:
        cells = [cell(result.title), _count(result.parameters), _time(result.seconds)]
        for m in metrics:
            one = found[m.name].get(result.name)
            text = spread(one) if one else "-"
            cells.append(f"**{text}**" if least.get(m.name) == result.name else text)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _count(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
