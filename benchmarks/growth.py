"""How the cost grows: over length, over rows, over threads."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks import compressor, equalizer, reverb
from benchmarks.contest import BOTH, FORWARD, RATE, SMALL, Controls, Setup, Size, Work, cotangent
from benchmarks.measure import Effort, interleave, threads
from benchmarks.results import Aim, Group, Row

EFFECTS: dict[str, tuple[Any, Callable[[torch.Tensor, Controls], Work]]] = {
    "EQ": (equalizer.case, equalizer.dasp),
    "compressor": (compressor.case, compressor.dasp),
    "reverb": (reverb.case, reverb.dasp),
}
SECONDS, ROWS = (1, 4, 16, 60, 240, 900, 3600), (1, 4, 16, 64, 256, 1024)
EFFORT = Effort(repeats=7, least=1, budget=1.0)
BREAK = 1.3  # a cost per sample that changes by more between two neighbours is a break point
PICTURE = "benchmarks_growth.svg"


def run(setup: Setup) -> Group:
    seconds, rows = ((0.05, 0.1), (1, 2)) if setup.quick else (SECONDS, ROWS)
    found, notes, slopes = [], [], []
    for effect, (case, make) in EFFECTS.items():
        warm_up(case, make, setup.seed)
        for axis in ("length", "rows"):
            sizes = lengths(seconds) if axis == "length" else counts(rows, seconds[0])
            for work in (FORWARD, BOTH):
                line = []
                for size in sizes:
                    setup.progress(f"growth: {effect} {work} {size.name}")
                    line.append(point(effect, case, make, size, work, setup))
                found += line
                notes.append(remark(f"{effect}, {work}", axis, sizes, line))
                slopes.append(slope(*costs(sizes[1:], line[1:])) if len(sizes) > 2 else 1.0)
    figures = (PICTURE,) if setup.pictures is not None else ()
    if setup.pictures is not None:
        draw(found, seconds, rows, setup.pictures / PICTURE)
    aims = () if setup.quick else (Aim(AIM, max(slopes), 1.1, True),)
    return Group(TITLE, ABOUT, tuple(found), aims, tuple(notes), figures=figures)


def lengths(seconds: tuple[float, ...]) -> list[Size]:
    return [Size(f"1 row, {s:g} s", 1, 1, round(s * RATE)) for s in seconds]


def counts(rows: tuple[int, ...], seconds: float) -> list[Size]:
    return [Size(f"{n} rows of {seconds:g} s", n, 1, round(seconds * RATE)) for n in rows]


def warm_up(case: Any, make: Callable[..., Work], seed: int) -> None:
    work = make(*case(SMALL, seed))
    assert work.forward_backward is not None
    work.forward_backward(cotangent(work.forward(), seed))


def point(effect: str, case: Any, make: Callable[..., Work], size: Size, work: str, setup: Setup) -> Row:
    """CPU time of one thread and wall time of two, at one size."""
    x, controls = case(size, setup.seed)
    made = make(x, controls)
    both, g = made.forward_backward, torch.randn(x.shape, generator=torch.Generator().manual_seed(setup.seed))
    assert both is not None
    call = made.forward if work == FORWARD else lambda: both(g)
    effort = setup.effort if setup.quick else EFFORT
    with threads(1):
        cpu = interleave({effect: call}, effort)[effect]
    with threads(setup.threads):
        wall = interleave({effect: call}, effort, time.perf_counter)[effect]
    per_sample = 1e6 * cpu.median / math.prod(size.shape)
    return Row(
        size.name,
        work,
        effect,
        cpu,
        wall_ms=wall,
        note=f"{per_sample:.1f} ns a sample; two threads {cpu.median / wall.median:.2f} x",
    )


def costs(sizes: list[Size], line: list[Row]) -> tuple[list[float], list[float]]:
    """Samples and CPU milliseconds."""
    return [float(math.prod(s.shape)) for s in sizes], [row.cpu_ms.median for row in line if row.cpu_ms is not None]


def remark(what: str, axis: str, sizes: list[Size], line: list[Row]) -> str:
    """The slope of the cost in a double logarithm, 1 being linear, and where the cost per sample breaks, with what is known to
    change there."""
    count, cost = costs(sizes, line)
    said = f"{what}, over {axis}: slope {slope(count, cost):.2f}"
    for before, after in zip(range(len(sizes) - 1), range(1, len(sizes)), strict=True):
        change = cost[after] / count[after] / (cost[before] / count[before])
        if not 1 / BREAK < change < BREAK:
            why = reason(axis, change, 4 * count[before], 4 * count[after])
            said += f"; from {sizes[before].name} to {sizes[after].name} a sample costs {change:.2f} x ({why})"
    return said


def reason(axis: str, change: float, before: float, after: float) -> str:
    """What changes between two sizes of so many bytes."""
    cache = last_cache()
    if change > 1:
        # Input, output and one array between them, at least, are read and written again.
        return "what it reads and writes leaves the last cache" if 3 * before <= cache < 3 * after else "not explained"
    if axis == "rows":
        return "rows fill the vectors' lanes, and the fixed cost of a call is shared"
    return "the fixed cost of a call is shared"


def last_cache() -> int:
    """Bytes of the last level of cache (Linux; 32 MiB where it is not told)."""
    found = [p.read_text().strip() for p in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size")]
    return max((int(s[:-1]) * {"K": 1024, "M": 1024**2}[s[-1]] for s in found if s[-1:] in "KM"), default=32 * 1024**2)


def slope(x: list[float], y: list[float]) -> float:
    """Least squares of log y over log x."""
    u, v = ([math.log(value) for value in values] for values in (x, y))
    mean_u, mean_v = sum(u) / len(u), sum(v) / len(v)
    return sum((a - mean_u) * (b - mean_v) for a, b in zip(u, v, strict=True)) / sum((a - mean_u) ** 2 for a in u)


def draw(rows: list[Row], seconds: tuple[float, ...], counted: tuple[int, ...], path: Path) -> None:
    """Two double logarithms: over length, over rows."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.5), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.subplots(1, 2)
    panels = (
        ("length in seconds, one row", lengths(seconds), seconds),
        ("rows of a second", counts(counted, seconds[0]), counted),
    )
    for axis, (label, sizes, places) in zip(axes, panels, strict=True):
        for number, effect in enumerate(EFFECTS):
            for work, marker in ((FORWARD, "o"), (BOTH, "s")):
                line = [next(r for r in rows if (r.contender, r.case, r.work) == (effect, s.name, work)) for s in sizes]
                look = {"color": f"C{number}", "marker": marker, "markersize": 4}
                axis.loglog(places, [r.cpu_ms.median for r in line if r.cpu_ms], label=f"{effect}, {work}", **look)
                axis.loglog(places, [r.wall_ms.median for r in line if r.wall_ms], linestyle="--", alpha=0.5, **look)
        axis.set_xlabel(label)
        axis.set_ylabel("ms; solid: one thread's CPU, dashed: two threads' wall")
        axis.grid(alpha=0.3)
    axes[0].legend(fontsize="small")
    figure.savefig(path, metadata={"Date": None})


AIM = "largest slope of the cost over length (4 s to 1 h) or rows (4 to 1024), 1 being linear"
TITLE = "How the cost grows"
ABOUT = """One channel each. A slope of 1 is linear; a break point is where the cost of a sample changes by more than 1.3
between neighbours."""
