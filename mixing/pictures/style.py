"""What all pictures share: size, type, colours that those who do not tell red from green tell apart, and how they are saved."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

from mixing.errors import UserError
from mixing.output import check_file, write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Drawing = TypeVar("Drawing", bound=Callable[..., Any])
ENDINGS = (".svg", ".png")
INK, FAINT = "#222222", "#b8b8b8"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""M. Okabe and K. Ito's palette (2002)."""
_RAMP = "cividis"  # of values in order; J. R. Nunez, C. R. Anderton, R. S. Renslow (PLOS ONE 13(7), 2018)
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "path",  # the same letters on any machine
    "svg.hashsalt": "dasp",
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "lines.linewidth": 1.3,
    "legend.frameon": False,
    "legend.fontsize": 7,
    "legend.handlelength": 1.2,
    "legend.labelspacing": 0.25,
}


def styled(draw: Drawing) -> Drawing:
    """A function that draws, in the pictures' style."""

    @functools.wraps(draw)
    def drawn(*args: Any, **kwargs: Any) -> Any:
        import matplotlib

        with matplotlib.rc_context(_STYLE):
            return draw(*args, **kwargs)

    return cast("Drawing", drawn)


def figure(rows: int, columns: int, size: tuple[float, float], **options: Any) -> tuple[Figure, np.ndarray]:
    """A figure of so many inches and its axes (rows, columns); `options` are those of `Figure.subplots`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    made = Figure(figsize=size, layout="constrained", facecolor="white")
    FigureCanvasAgg(made)
    return made, made.subplots(rows, columns, squeeze=False, **options)


def check(path: str | Path) -> None:
    """Refuse a file that `save` could not write, before any work is done for it.

    Raises:
        UserError: another ending; a folder that is missing or read-only.
    """
    if Path(path).suffix.lower() not in ENDINGS:
        raise UserError(f"{path}: the ending {Path(path).suffix or '(none)'} is not one of {', '.join(ENDINGS)}.")
    check_file(path)


def save(picture: Figure, path: str | Path) -> None:
    """Write SVG or PNG by the ending, whole or not at all; the same picture gives the same bytes.

    Args:
        picture: a matplotlib figure.
        path: ends in .svg or .png.

    Raises:
        UserError: as `check`.
    """
    check(path)
    kind = Path(path).suffix.lower().removeprefix(".")
    metadata = {"Date": None, "Creator": None} if kind == "svg" else {"Software": None}

    @styled
    def written(temporary: Path) -> None:
        picture.savefig(temporary, format=kind, dpi=120, metadata=metadata)

    write_whole(path, written)


def ramp(count: int) -> list[tuple[float, float, float, float]]:
    """Colours of values in order, dark to light; the lightest still stands out from white."""
    import matplotlib

    return [tuple(c) for c in matplotlib.colormaps[_RAMP](np.linspace(0, 0.88, count))]


def frequencies(axis: Axes, low: float = 20.0, high: float = 20000.0, along: str = "x") -> None:
    """A logarithmic axis in Hz, labelled at round numbers."""
    from matplotlib import ticker

    ticks = [t for t in (20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000) if low <= t <= high]
    # On a narrow panel only every other one is written.
    few = [t for t in ticks if t in (20, 100, 1000, 10000)] if along == "x" else ticks
    getattr(axis, f"set_{along}scale")("log")
    getattr(axis, f"set_{along}lim")(low, high)
    getattr(axis, f"set_{along}ticks")(few, [f"{t / 1000:g}k" if t >= 1000 else f"{t:g}" for t in few])
    getattr(axis, f"{along}axis").set_minor_locator(ticker.NullLocator())
    getattr(axis, f"set_{along}label")("frequency (Hz)")


def short(value: float) -> str:
    """A number of three digits, without an exponent up to a million."""
    return f"{value:.0f}" if 999.5 <= abs(value) < 1e6 else f"{value:.3g}"


def beside(axis: Axes, title: str = "") -> None:
    """The legend to the right of a panel, where it covers nothing."""
    axis.legend(
        title=title or None, title_fontsize=7, alignment="left", loc="upper left", bbox_to_anchor=(1.0, 1.02), borderaxespad=0.2
    )


def hide(axes: np.ndarray, used: int) -> None:
    """Take away the panels of a grid that nothing was drawn in."""
    for axis in axes.flat[used:]:
        axis.remove()
