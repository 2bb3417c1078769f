"""What was measured: dataclasses, and the one JSON file in which groups that were run one by one come together."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import math
import os
import platform
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

from benchmarks.measure import Spread

WRONG = 0.01  # an output that is further from the oracle than this is wrong, and its time is no one's to beat
YARDSTICK = "torch.mul(x, 2, out=y)"
PACKAGES = (
    "torch",
    "numpy",
    "scipy",
    "dasp-toolkit",
    "dasp-pytorch",
    "torchaudio",
    "torchcomp",
    "torchlpc",
    "philtorch",
    "grafx",
    "auraloss",
    "pedalboard",
)


@dataclass(frozen=True)
class Row:
    """One contender at one size.

    Attributes:
        case: the size's or the setting's name.
        work: "forward", "f+b" or what else was done.
        contender: its name.
        cpu_ms: CPU time of one thread.
        passes: that median over the yardstick's, taken in the same turns.
        wall_ms: wall time, with two threads unless the group says otherwise.
        memory: peak rise of the resident memory over the bytes of the input.
        output_error: |output - oracle| / |oracle|; infinite where it is not finite.
        gradient_error: the worst such ratio of the gradients to audio and controls.
        worst_gradient: which it was.
        note: what to know about this row.
    """

    case: str
    work: str
    contender: str
    cpu_ms: Spread | None = None
    passes: float | None = None
    wall_ms: Spread | None = None
    memory: float | None = None
    output_error: float | None = None
    gradient_error: float | None = None
    worst_gradient: str = ""
    note: str = ""

    @property
    def wrong(self) -> bool:
        return self.output_error is not None and not self.output_error <= WRONG


@dataclass(frozen=True)
class Aim:
    """A figure and what it should be.

    Attributes:
        work: what was measured.
        figure: what came out; None where it could not be measured.
        limit: what it should be.
        at_most: whether the limit is an upper one.
        unit: behind the figures.
    """

    work: str
    figure: float | None
    limit: float
    at_most: bool
    unit: str = ""

    @property
    def met(self) -> bool | None:
        if self.figure is None:
            return None
        return self.figure <= self.limit if self.at_most else self.figure >= self.limit


@dataclass(frozen=True)
class Group:
    """What one group came to.

    Attributes:
        title: its heading.
        about: what was done and how to read it.
        rows, aims: the figures.
        notes: what was left out, and why.
        machine: where and with what it was measured.
        figures: picture files beside the page.
    """

    title: str
    about: str
    rows: tuple[Row, ...]
    aims: tuple[Aim, ...] = ()
    notes: tuple[str, ...] = ()
    machine: dict[str, str] | None = None
    figures: tuple[str, ...] = ()


Results = dict[str, Group]


def machine(seed: int) -> dict[str, str]:
    """The processor, the versions, the day and the seed."""
    about = {"processor": processor(), "cores": str(os.cpu_count()), "system": f"{platform.system()} {platform.machine()}"}
    about |= {"date": datetime.datetime.now(datetime.UTC).date().isoformat(), "seed": str(seed)}
    about["Python"] = platform.python_version()
    for name in PACKAGES:
        try:
            about[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return about


def processor() -> str:
    """The processor's name and the widest vectors it has."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or "unknown"
    lines = {k.strip(): v.strip() for k, _, v in (line.partition(":") for line in text.splitlines())}
    flags = lines.get("flags", "").split()
    vectors = next((name for name, flag in (("AVX-512", "avx512f"), ("AVX2", "avx2")) if flag in flags), "")
    return ", ".join(filter(None, [lines.get("model name", platform.machine()), vectors]))


def dumps(results: Mapping[str, Any]) -> str:
    """JSON of dataclasses by name; what is not finite becomes the string "inf" or "nan"."""
    return json.dumps({name: _plain(asdict(group)) for name, group in results.items()}, indent=1, allow_nan=False) + "\n"


def loads(text: str, kind: type[Any] = Group) -> dict[str, Any]:
    """The same back, each of this dataclass.

    Raises:
        ValueError: a field is missing, unknown or of another type.
    """
    return {name: _build(kind, group, name) for name, group in json.loads(text).items()}


def merged(path: Path, new: Results) -> Results:
    """What a file has, with the groups that were measured again in place of their older figures."""
    return (loads(path.read_text()) if path.exists() else {}) | new


def find(rows: Sequence[Row], contender: str, case: str, work: str) -> Row | None:
    """One row, or None."""
    return next((r for r in rows if (r.contender, r.case, r.work) == (contender, case, work)), None)


def ratio(over: Row | None, under: Row | None, wall: bool = False) -> float | None:
    """The time of one row over that of another; None where one is missing."""
    a, b = ((r.wall_ms if wall else r.cpu_ms) if r is not None else None for r in (over, under))
    return None if a is None or b is None or b.median <= 0 else a.median / b.median


def fastest_peer(rows: Sequence[Row], ours: str, case: str, work: str) -> Row | None:
    """The fastest contender other than ours whose output is right."""
    peers = [r for r in rows if (r.case, r.work) == (case, work) and r.contender not in (ours, YARDSTICK) and not r.wrong]
    timed = [(r.cpu_ms.median, r) for r in peers if r.cpu_ms is not None]
    return min(timed, key=lambda pair: pair[0])[1] if timed else None


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf"
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value


def _build(kind: Any, value: Any, where: str) -> Any:
    """A value of an annotated type from plain JSON."""
    origin = typing.get_origin(kind)
    if origin in (types.UnionType, typing.Union):
        rest = [k for k in typing.get_args(kind) if k is not type(None)]
        return None if value is None else _build(rest[0], value, where)
    if is_dataclass(kind):
        known = {f.name: f for f in fields(kind)}
        if not isinstance(value, dict) or set(value) != set(known):
            raise ValueError(f"{where}: expected the fields {', '.join(known)}; got {value!r:.100}.")
        hints = typing.get_type_hints(kind)
        return kind(**{k: _build(hints[k], v, f"{where}.{k}") for k, v in value.items()})  # type: ignore[operator]
    if origin is tuple:
        if not isinstance(value, list):
            raise ValueError(f"{where}: expected a list; got {value!r:.100}.")
        return tuple(_build(typing.get_args(kind)[0], v, where) for v in value)
    if origin is dict and isinstance(value, dict):
        return {str(k): str(v) for k, v in value.items()}
    if kind is float and (value in ("nan", "inf") or (isinstance(value, int | float) and not isinstance(value, bool))):
        return float(value)
    if kind is float or not isinstance(value, kind):
        raise ValueError(f"{where}: expected {getattr(kind, '__name__', kind)}; got {value!r:.100}.")
    return value
