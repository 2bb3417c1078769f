"""The plots of a report: SVG that takes its colours from the page, so that it follows light and dark."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any

import numpy as np
from torch import Tensor

from mixing.errors import printable

# Stand-ins that matplotlib draws with, and the page's variables that take their place.
INK, GRID = "#010203", "#010204"
_LINES = {"reference": "#010205", "plain sum": "#010206", "match": "#010207"}
ACCENT = _LINES["match"]
_VARIABLES = {INK: "--muted", GRID: "--grid", **{v: f"--{k.replace(' ', '-')}" for k, v in _LINES.items()}}
SIZE = (5.2, 3.0)
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "dasp",
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": GRID,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.major.size": 0,
    "ytick.minor.size": 0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
}


def third_octaves(audio: Tensor, sample_rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Centre frequencies and mean power in dB of third-octave bands of (2, T), by Welch's method (scipy)."""
    from scipy.signal import welch

    size = min(8192, audio.shape[-1])
    frequency, power = welch(audio.double().numpy(), sample_rate, nperseg=size, axis=-1)
    power = power.sum(0)
    centres = 1000 * 2 ** (np.arange(-16, 14) / 3)
    centres = centres[(centres > 2 * sample_rate / size) & (centres < 0.45 * sample_rate)]
    bands = [power[(frequency >= c * 2 ** (-1 / 6)) & (frequency < c * 2 ** (1 / 6))] for c in centres]
    inside = [(c, float(b.mean())) for c, b in zip(centres, bands, strict=True) if len(b)]
    level = 10 * np.log10(np.array([b for _, b in inside]) + 1e-14)
    return np.array([c for c, _ in inside]), level


def spectra(signals: dict[str, Tensor], sample_rate: float) -> str:
    """Third-octave spectra of "plain sum", "reference" and "match", each (2, T), as SVG."""
    from matplotlib import ticker

    picture, axes = figure()
    top = -math.inf
    for name, audio in signals.items():
        frequency, level = third_octaves(audio, sample_rate)
        top = max(top, float(level.max()))
        dash = {"plain sum": (0, (2, 2)), "match": (0, (5, 1.5))}.get(name, "solid")
        width = {"reference": 2.6, "match": 1.4}.get(name, 1.2)
        axes.semilogx(frequency, level, label=name, color=_LINES[name], linestyle=dash, linewidth=width)
    axes.set_ylim(top - 70, top + 5)
    axes.set_xticks([50, 100, 200, 500, 1000, 2000, 5000, 10000], ["50", "100", "200", "500", "1k", "2k", "5k", "10k"])
    axes.xaxis.set_minor_locator(ticker.NullLocator())
    axes.set_xlabel("Hz")
    axes.set_ylabel("dB")
    axes.legend(loc="lower left", fontsize=9, frameon=False, labelcolor=INK)
    said = ", ".join(signals)
    return svg(picture, "spectra", f"Third-octave spectra of {said}, 25 Hz to 20 kHz, in decibels.")


def losses(history: Iterable[tuple[str, int, float]]) -> str:
    """The loss of each stage over its steps, as SVG: every value faint, their running median strong. Empty without a curve."""
    from matplotlib import ticker

    stages: dict[str, list[float]] = {}
    for stage, _, loss in history:  # counted anew, since a stage may run twice
        if loss > 0 and math.isfinite(loss):
            stages.setdefault(stage, []).append(loss)
    curves = {k: v for k, v in stages.items() if len(v) > 1}
    if not curves:
        return ""
    widths = [3 if len(c) > 20 else 1.3 for c in curves.values()]
    picture, panels = figure(1, len(curves), width_ratios=widths)
    for axis, (stage, values) in zip(np.atleast_1d(panels), curves.items(), strict=True):
        steps = range(1, len(values) + 1)
        axis.semilogy(steps, values, color=INK, linewidth=0.8, alpha=0.5)
        axis.semilogy(steps, _running(values), color=_LINES["match"], linewidth=2)
        axis.set_title(stage, fontsize=9, loc="left")
        axis.yaxis.set_minor_locator(ticker.NullLocator())
        # Decades alone would label a short axis once or never.
        short = max(values) < 100 * min(values)
        axis.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5) if short else (1,)))
        axis.yaxis.set_major_formatter(ticker.FuncFormatter(lambda v, _: f"{v:g}"))
        axis.xaxis.set_major_locator(ticker.MaxNLocator(4, integer=True))
        axis.set_xlabel("step")
    np.atleast_1d(panels)[0].set_ylabel("loss")
    ends = "; ".join(f"{k}: from {v[0]:.3g} to {v[-1]:.3g} in {len(v)} steps" for k, v in curves.items())
    return svg(picture, "loss", f"Loss over the steps of each stage. {ends}.")


def _running(values: Sequence[float], width: int = 15) -> list[float]:
    half = width // 2 if len(values) > 2 * width else 0
    return [median(values[max(0, i - half) : i + half + 1]) for i in range(len(values))]


def figure(rows: int = 1, columns: int = 1, size: tuple[float, float] = SIZE, **options: Any) -> tuple[Any, Any]:
    """A figure in the pages' style with its axes; `options` are matplotlib's of a grid."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        made = Figure(figsize=size, layout="constrained")
        FigureCanvasSVG(made)
        axes = made.subplots(rows, columns, gridspec_kw=options or None)
    made.patch.set_alpha(0)
    for axis in np.atleast_1d(axes):
        axis.patch.set_alpha(0)
    return made, axes


def name_rows(axes: Any, names: Iterable[str], length: int = 28) -> None:
    """Foreign names beside the rows 0, 1, ... of a plot: cut to a length, and never taken for mathematics."""
    lines = [printable(name) for name in names]
    lines = [line if len(line) <= length else line[: length - 1] + "…" for line in lines]
    for tick in axes.set_yticks(range(len(lines)), lines):
        tick.label1.set_parse_math(False)


def svg(picture: Any, name: str, description: str) -> str:
    """The figure as an element of a page: its own ids, the page's font and colours, a name for those who do not see it.

    Args:
        picture: from `figure`.
        name: in front of its ids; unique on the page.
        description: our own words: it is not escaped.
    """
    import matplotlib

    out = io.StringIO()
    with matplotlib.rc_context(_STYLE):
        picture.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\b(id="|url\(#|href="#)', rf"\g<1>{name}-", text)
    text = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font: \1 system-ui, sans-serif", text)
    for stand_in, variable in _VARIABLES.items():
        text = text.replace(stand_in, f"var({variable})")
    opening = re.search(r"<svg[^>]*>", text)
    assert opening is not None
    box = re.search(r'viewBox="[^"]*"', opening[0])
    assert box is not None
    return (
        f'<svg {box[0]} role="img" aria-label="{description}" xmlns:xlink="http://www.w3.org/1999/xlink">' + text[opening.end() :]
    )
