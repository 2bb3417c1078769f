"""The report of a listening test: a page that needs nothing else, Markdown, and tables."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mixing.listening.analysis import By, Centre, Pair, Result, analyse
from mixing.listening.cleaning import Excluded, Rules, clean, repeat_difference
from mixing.listening.criteria import CRITERIA, Criterion
from mixing.listening.ratings import Read, Session
from mixing.plots import ACCENT, GRID, INK, figure, name_rows, svg
from mixing.templates import templates
from mixing.text_tables import NOTHING, cell, comma_separated, markdown, number, safe

SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Report:
    """What came of a test.

    Attributes:
        key: of the test.
        read: what was handed in.
        rules: by which it was cleaned, without MUSHRA's where another method was used.
        by: what medians and tests take as independent.
        confidence: of the intervals.
        seed: of the bootstrap.
    """

    key: dict[str, Any]
    read: Read
    rules: Rules
    by: By = "listener"
    confidence: float = 0.95
    seed: int = 0

    @cached_property
    def _cleaned(self) -> tuple[tuple[Session, ...], tuple[Excluded, ...]]:
        return clean(self.read.sessions, self.rules)

    @property
    def sessions(self) -> tuple[Session, ...]:
        """Those that count."""
        return self._cleaned[0]

    @property
    def excluded(self) -> tuple[Excluded, ...]:
        """What does not."""
        return self._cleaned[1]

    @property
    def conditions(self) -> tuple[str, ...]:
        return tuple(self.key["conditions"])

    @property
    def criteria(self) -> tuple[Criterion, ...]:
        return tuple(CRITERIA[c] for c in self.key["criteria"])

    @cached_property
    def results(self) -> dict[str, Result]:
        """Criterion -> what the ratings say; empty where none is left."""
        if not self.sessions:
            return {}
        settings: dict[str, Any] = {"by": self.by, "confidence": self.confidence, "seed": self.seed}
        return {c.name: analyse(self.sessions, self.conditions, c.name, **settings) for c in self.criteria}

    def about(self, name: Callable[[str], str] = str) -> list[str]:
        """What the numbers are, in sentences; `name` writes a condition's name."""
        songs = len({p.song for s in self.sessions for p in s.pages})
        method = {"ape": "APE (all stimuli on one line)", "mushra": "MUSHRA"}[self.key["method"]]
        text = [
            f"{method}. {counted(len(self.sessions), 'listener')}, {counted(songs, 'song')}, "
            f"{counted(len(self.conditions), 'condition')}. Ratings are 0 to 100; more is better.",
            "Medians and tests are of each listener's means over songs; intervals draw listeners with replacement."
            if self.by == "listener"
            else "Medians and tests take every page of every listener as independent, which pages of one listener are not.",
        ]
        if self.key["reference"] is not None:
            text.append(f"The reference, which was rated hidden among the others, is {name(self.key['reference'])}.")
        if 0 < len(self.sessions) < 6 and self.by == "listener":
            # Of n pairs, the smallest two-sided p of Wilcoxon's test is 2 / 2^n.
            text.append("With fewer than six listeners no test between two conditions can reach p = 0.05.")
        left = len({e.participant for e in self.excluded if not e.song})
        if self.read.refused or self.excluded:
            text.append(
                f"{counted(len(self.read.refused), 'file')} refused, {counted(left, 'listener')} and "
                f"{counted(sum(bool(e.song) for e in self.excluded), 'page')} left out; all are listed below."
            )
        return text

    def about_rules(self) -> list[str]:
        """By what was cleaned, in sentences."""
        r = self.rules
        said = [f"A page counts after {r.min_page_s:g} s, with every stimulus heard for {r.min_heard_s:g} s or more."]
        if r.repeat_tolerance < 100:
            said.append(f"A listener counts whose repeated pages differ by {r.repeat_tolerance:g} at most on average.")
        if r.reference_below > 0:
            said += [
                f"ITU-R BS.1534-3: a listener is left out who rates the hidden reference below {r.reference_below:g}, or the "
                f"7 kHz anchor above {r.anchor_above:g}, on more than {100 * r.share:g} % of the pages.",
                "Songs of which more than a quarter of the listeners rate the anchor so high are spared.",
            ]
        return said

    def verdict(self, criterion: str, name: Callable[[str], str] = str) -> str:
        """What is certain under a criterion, in a sentence; `name` writes a condition's name."""
        result = self.results[criterion]
        sure = [p for p in result.pairs if p.p_holm < SIGNIFICANT]
        if not sure:
            return "No two conditions differ beyond chance (p < 0.05 after Holm's correction)."
        said = [f"{name(a)} over {name(b)}" for a, b in map(_better, sure)]
        return f"Beyond chance (p < 0.05 after Holm's correction): {'; '.join(said)}."

    @property
    def comments(self) -> list[tuple[str, str, str, str]]:
        """Song, listener, words, and what this listener's letters were."""
        said = []
        for session in self.sessions:
            for p in (p for p in session.pages if p.comment):
                letters = sorted((x.label, x.condition) for x in p.stimuli.values())
                said.append((p.song, session.participant, p.comment, ", ".join(f"{a} = {b}" for a, b in letters)))
        return sorted(said)

    @property
    def answers(self) -> list[tuple[str, list[tuple[str, int]]]]:
        """Question -> answers and how often each was given, of choices and numbers; of the listeners that count."""
        out = []
        for q in self.key["questions"]:
            given = Counter(str(s.answers[q["name"]]) for s in self.sessions if q["name"] in s.answers)
            if given and q["type"] != "text":
                order = {o: i for i, o in enumerate(q.get("options", ()))}
                out.append((q["text"], sorted(given.items(), key=lambda kv: (order.get(kv[0], 0), kv[0]))))
        return out

    @property
    def listeners(self) -> list[list[str]]:
        """Name, pages that count, minutes, difference of repeated pages, mean rating spread."""
        out = []
        for s in self.sessions:
            difference = repeat_difference(s)
            ratings = [r for p in s.pages for x in p.stimuli.values() for r in x.ratings.values()]
            spread = f"{min(ratings):.0f} to {max(ratings):.0f}"
            apart = NOTHING if difference is None else f"{difference:.1f}"
            out.append([s.participant, str(len(s.pages)), f"{s.seconds / 60:.1f}", apart, spread])
        return out

    def csv(self) -> str:
        """A line for each rating that counts."""
        head = ["participant", "song", "kind", "position", "page_seconds", "condition", "role", "plays", "heard_s", "criterion"]
        rows = [
            [
                *(safe(s.participant), safe(p.song), p.kind, str(p.position), number(p.seconds), safe(x.condition), x.role),
                *(str(x.plays), number(x.heard_s), criterion, number(rating)),
            ]
            for s in self.sessions
            for p in s.pages
            for x in p.stimuli.values()
            for criterion, rating in x.ratings.items()
        ]
        return comma_separated([[*head, "rating"], *rows])

    def summary_csv(self) -> str:
        """A line for each criterion and condition."""
        rows = [
            [c, safe(name), number(x.median), number(x.low), number(x.high), number(x.mean), str(x.count), str(len(x.ratings))]
            for c, result in self.results.items()
            for name, x in result.centres.items()
        ]
        return comma_separated([["criterion", "condition", "median", "low", "high", "mean", "blocks", "ratings"], *rows])

    def tests_csv(self) -> str:
        """Friedman's test of each criterion, and a line for each two conditions."""
        rows = []
        for c, result in self.results.items():
            f = result.friedman
            rows.append([c, "Friedman", "", "", number(f.chi2), number(f.w), number(f.p), "", str(f.count)])
            rows += [
                [
                    *(c, "Wilcoxon", safe(p.first), safe(p.second), number(p.difference), number(p.effect)),
                    *(number(p.p), number(p.p_holm), str(p.count)),
                ]
                for p in result.pairs
            ]
        return comma_separated([["criterion", "test", "first", "second", "statistic", "effect", "p", "p_holm", "blocks"], *rows])

    def excluded_csv(self) -> str:
        """Files refused, listeners and pages left out, with reasons."""
        rows = [["file", safe(Path(f).name), "", "", safe(why)] for f, why in self.read.refused]
        rows += [
            ["page" if e.song else "listener", safe(e.participant), safe(e.song), e.kind, safe(e.why)] for e in self.excluded
        ]
        return comma_separated([["what", "name", "song", "kind", "why"], *rows])

    def markdown(self) -> str:
        """All tables."""
        parts = [f"# {cell(self.key['title'])}", "", *(f"{line}  " for line in self.about(cell)), ""]
        for c in self.criteria if self.results else ():
            result = self.results[c.name]
            parts += [f"## {c.title}", "", self.verdict(c.name, cell), "", friedman_line(result), ""]
            parts += markdown(["Condition", "Median", "Mean", "Ratings"], list(summary_rows(result)))
            parts += markdown(["First", "Second", "Difference", "Effect", "p", "p (Holm)"], list(pair_rows(result)), 2)
            rows = [[song, *(f"{of[n]:.0f}" for n in self.conditions)] for song, of in result.songs.items()]
            parts += markdown(["Song", *map(cell, self.conditions)], rows)
        if self.listeners:
            parts += ["## Listeners", ""]
            parts += markdown(["Listener", "Pages", "Minutes", "Repeats differ by", "Range used"], self.listeners)
        if self.answers:
            parts += ["## Answers", ""]
            rows = [[q, ", ".join(f"{a} ({n})" for a, n in given)] for q, given in self.answers]
            parts += markdown(["Question", "Answers"], rows, 2)
        if self.comments:
            parts += ["## Comments", "", *(f"- {cell(a)}, {cell(b)}: {cell(c)} ({cell(d)})" for a, b, c, d in self.comments), ""]
        if self.read.refused or self.excluded:
            parts += ["## Left out", "", *(f"- {cell(line)}" for line in self.left_out()), ""]
        parts += ["## How it was cleaned", "", *(f"- {line}" for line in self.about_rules()), ""]
        return "\n".join(parts)

    def left_out(self) -> list[str]:
        """A line for each file, listener and page that does not count."""
        files = [f"{Path(f).name}: {why}" for f, why in self.read.refused]
        return files + [f"{e.participant}{f', {e.song} ({e.kind})' if e.song else ''}: {e.why}" for e in self.excluded]


def counted(n: int, noun: str) -> str:
    return f"{n} {noun}{'s' * (n != 1)}"


def _better(pair: Pair) -> tuple[str, str]:
    return (pair.first, pair.second) if pair.effect > 0 else (pair.second, pair.first)


def spread(x: Centre) -> str:
    """A median and its interval for people."""
    return f"{x.median:.1f} ({x.low:.1f} to {x.high:.1f})" if math.isfinite(x.low + x.high) else f"{x.median:.1f}"


def summary_rows(result: Result) -> Iterable[list[str]]:
    """Condition, median with interval, mean, number of ratings."""
    return ([name, spread(x), f"{x.mean:.1f}", str(len(x.ratings))] for name, x in result.centres.items())


def pair_rows(result: Result) -> Iterable[list[str]]:
    """First, second, difference, effect, p, p after Holm."""
    return (
        [p.first, p.second, f"{p.difference:+.1f}", f"{p.effect:+.2f}", f"{p.p:.2g}", f"{p.p_holm:.2g}"] for p in result.pairs
    )


def friedman_line(result: Result) -> str:
    """Friedman's test in a sentence."""
    f = result.friedman
    if not math.isfinite(f.p):
        return "Friedman's test needs three conditions, two listeners and a difference."
    return f"Friedman's test: chi-squared({f.freedom}) = {f.chi2:.2f}, p = {f.p:.2g}, Kendall's W = {f.w:.2f}, {f.count} blocks."


def boxes(result: Result, criterion: Criterion, name: str) -> str:
    """Box plots of all ratings (Tukey's, 1.5 times the interquartile range), with the median's interval: SVG."""
    from matplotlib.cbook import boxplot_stats

    picture, axes = figure(size=(5.2, 0.8 + 0.42 * len(result.centres)))
    for y, x in enumerate(result.centres.values()):
        (box,) = boxplot_stats(x.ratings)
        # A deterministic jitter: golden-ratio steps, which never lie in rows.
        shift = [y + 0.26 * (2 * (0.618034 * k % 1) - 1) for k in range(len(x.ratings))]
        axes.scatter(x.ratings, shift, s=10, color=INK, alpha=0.3, linewidths=0)
        for end, quartile in ((box["whislo"], box["q1"]), (box["q3"], box["whishi"])):
            axes.plot([end, quartile], [y, y], color=INK, linewidth=1)
        axes.barh(y, box["q3"] - box["q1"], 0.56, box["q1"], facecolor="none", edgecolor=INK, linewidth=1)
        axes.plot([box["med"]] * 2, [y - 0.28, y + 0.28], color=INK, linewidth=1.6)
        if math.isfinite(x.low + x.high):
            axes.plot([x.low, x.high], [y, y], color=ACCENT, linewidth=4, solid_capstyle="round")
        axes.plot([x.median], [y], color=ACCENT, marker="o", markersize=7)
    name_rows(axes, result.centres)
    axes.set_ylim(len(result.centres) - 0.5, -0.5)
    axes.set_xlim(-2, 102)
    axes.grid(False, axis="y")
    axes.axvline(-2, color=GRID, linewidth=0.6)
    axes.set_xlabel(f"{criterion.title}, 0 to 100")
    return svg(picture, name, f"Box plots of {criterion.title.lower()} for each condition. The table has the numbers.")


def page(report: Report, about: dict[str, Any]) -> str:
    """The page.

    Args:
        report: what came of the test.
        about: "dasp": the version, "command": what was typed.
    """
    environment = templates(Path(__file__).parent)
    sections = [
        (
            c,
            result,
            boxes(result, c, f"boxes-{c.name}"),
            list(summary_rows(result)),
            list(zip(pair_rows(result), (p.p_holm < SIGNIFICANT for p in result.pairs), strict=True)),
        )
        for c in report.criteria
        if (result := report.results.get(c.name))
    ]
    return environment.get_template("report.html.j2").render(
        report=report, about=about, sections=sections, friedman_line=friedman_line
    )
