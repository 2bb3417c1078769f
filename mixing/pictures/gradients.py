"""Pictures of gradients: how far each strategy agrees with the truth, and what each does on a loss."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from dasp.effects import find
from mixing.pictures.style import COLOURS, FAINT, INK, figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mixing.landscape import Landscape


@styled
def agreement(cosines: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Figure:
    """A heat map, controls by strategies: the cosine of each control's derivative with float64 autodiff's.

    Args:
        cosines: effect -> strategy -> control -> cosine, as `mixing.agreement.by_control` gives them for each effect. A strategy
            that an effect does not have is left blank.
    """
    strategies = list(dict.fromkeys(s for by in cosines.values() for s in by))
    rows = [(effect, control) for effect, by in cosines.items() for control in next(iter(by.values()))]
    values = np.array([[cosines[e].get(s, {}).get(c, math.nan) for s in strategies] for e, c in rows])
    made, axes = figure(1, 1, (2.6 + 0.72 * len(strategies), 1.1 + 0.19 * len(rows)))
    axis = axes[0, 0]
    shown = axis.imshow(np.ma.masked_invalid(values), cmap="PuOr", vmin=-1, vmax=1, aspect="auto")
    axis.grid(False)
    axis.set_xticks(range(len(strategies)), [s.replace(" ", "\n", 1) for s in strategies])
    axis.xaxis.set_ticks_position("top")
    axis.xaxis.set_label_position("top")
    axis.set_yticks(range(len(rows)), [f"{e}  {c}" if len(cosines) > 1 else c for e, c in rows])
    axis.set_xlabel("strategy")
    axis.set_ylabel("control")
    for i, j in np.ndindex(*values.shape):
        v = values[i, j]
        axis.text(
            j, i, "none" if math.isnan(v) else f"{v:.2f}", ha="center", va="center", fontsize=6.5,
            color="white" if abs(v) > 0.5 else INK,
        )  # fmt: skip
    edge = -0.5
    for by in list(cosines.values())[:-1]:  # a line between two effects
        edge += len(next(iter(by.values())))
        axis.axhline(edge, color="white", linewidth=2)
    made.colorbar(shown, ax=axis, label="cosine with float64 autodiff", shrink=min(1.0, 8 / max(len(rows), 8)), aspect=15)
    return made


@styled
def landscape(found: Landscape) -> Figure:
    """The loss along a control with the slopes that each strategy sees, and those slopes beside the true one."""
    q = next(q for q in find(found.effect).controls if q.name == found.control)
    titles = list(found.slopes)
    made, axes = figure(2, len(titles), (1.1 + 1.85 * len(titles), 4.6), sharex=True, sharey="row")
    made.suptitle(f"{found.effect}: {q.name}", fontsize=11, x=0.01, ha="left", fontweight="bold", color=INK)
    for k, title in enumerate(titles):
        axes[0, k].set_title(title)
        _loss(axes[0, k], found, title)
        _slopes(axes[1, k], found, title)
    ticks = np.linspace(0, 1, 5)
    for axis in axes[1]:
        axis.set_xlim(0, 1)
        axis.set_xticks(ticks, [_label(float(q.to_physical(t))) for t in ticks], rotation=0)
        axis.set_xlabel(f"{q.name} ({q.unit})" if q.unit else q.name)
    lines = [line for axis in axes[:, 0] for line in axis.get_legend_handles_labels()[0]]
    made.legend(handles=lines, loc="outside upper right", ncols=4)
    axes[0, 0].set_ylabel("loss (mean squared error)")
    axes[1, 0].set_ylabel("derivative of the loss")
    top = float(found.loss.max())
    axes[0, 0].set_ylim(-0.08 * top, 1.12 * top)
    low, high = float(found.slope.min()), float(found.slope.max())
    room = max(high - low, 1e-30)
    axes[1, 0].set_ylim(low - 0.3 * room, high + 0.3 * room)
    return made


def _label(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.2g}"


def _loss(axis: Axes, found: Landscape, title: str) -> None:
    axis.plot(found.unit, found.loss, color=FAINT, linewidth=2.2, label="float64 autodiff")
    axis.plot(
        found.at, found.losses[title], linestyle="", marker="o", markersize=2.6, color=COLOURS[0], label="the strategy's loss"
    )
    half = 0.035
    for place, loss, slopes in zip(found.at.tolist(), found.losses[title].tolist(), found.slopes[title].tolist(), strict=True):
        x = np.array([place - half, place + half])
        for slope in slopes[:4]:
            axis.plot(x, loss + slope * (x - place), color=COLOURS[1], linewidth=1.2, alpha=0.8)
    axis.axvline(found.target, color=COLOURS[2], linewidth=1, linestyle=(0, (4, 2)), label="hidden setting")


def _slopes(axis: Axes, found: Landscape, title: str) -> None:
    axis.axhline(0, color=FAINT, linewidth=0.8)
    axis.axvline(found.target, color=COLOURS[2], linewidth=1, linestyle=(0, (4, 2)))
    axis.plot(found.unit, found.slope, color=FAINT, linewidth=2.2)
    repeats = found.slopes[title].shape[1]
    places = np.repeat(np.asarray(found.at), repeats)
    axis.plot(
        places, np.asarray(found.slopes[title]).ravel(), linestyle="", marker="o", markersize=2.6, color=COLOURS[1],
        alpha=0.9 if repeats == 1 else 0.5, label="the strategy's derivative",
    )  # fmt: skip
