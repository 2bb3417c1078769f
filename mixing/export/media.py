"""The audio of a project: the stems as they are on disk, under names that cannot leave their folder."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mixing.audio import EXTENSIONS, probe
from mixing.errors import UserError, nearest
from mixing.settings import Settings, short

_DEVICES = re.compile(r"con|prn|aux|nul|com\d|lpt\d", re.IGNORECASE)


@dataclass(frozen=True)
class Medium:
    """One stem.

    Attributes:
        source: the file.
        name: what it is called within the project; unique, plain ASCII.
        frames: samples at its own rate.
        rate: in Hz.
        channels: 1 or 2.
    """

    source: Path
    name: str
    frames: int
    rate: int
    channels: int

    @property
    def seconds(self) -> float:
        return self.frames / self.rate


def find(settings: Settings, stems: str | Path) -> list[Medium]:
    """The stem of each track, in order, looked up by name as `dasp apply-settings` does.

    Raises:
        UserError: no folder, a stem that is missing or cannot be read.
    """
    folder = Path(stems)
    if not folder.is_dir():
        raise UserError(f"{folder}: there is no such folder of stems.")
    inner = folder / "stems"
    listed = _listed(inner) if inner.is_dir() else {}
    files = listed or _listed(folder)
    out: list[Medium] = []
    for track in settings["tracks"]:
        name = track["name"]
        if name not in files:
            raise UserError(
                f"{folder}: no stem is named {short(name)}; it has {short(', '.join(files), 200)}.{nearest(name, files)}"
            )
        info = probe(files[name], "ends")
        called = _unique(safe(name), {m.name.rpartition(".")[0].lower() for m in out})
        out.append(Medium(files[name], called + files[name].suffix.lower(), info.frames, info.rate, info.channels))
    return out


def _unique(name: str, taken: set[str]) -> str:
    """A name that differs from those taken by more than capitals, as some disks want it."""
    return next(n for k in itertools.count(1) if (n := name if k == 1 else f"{name}_{k}").lower() not in taken)


def safe(name: str) -> str:
    """A file name of letters, digits, - and _ only, and none that is a device's on Windows; "stem" where nothing is left."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    text = re.sub(r"[^A-Za-z0-9-]+", "_", plain).strip("_")[:60] or "stem"
    return f"{text}_stem" if _DEVICES.fullmatch(text) else text


def shown(text: str, keep: Callable[[str], bool] = str.isprintable) -> str:
    """Text without control characters, for a name that is shown."""
    return "".join(c if keep(c) else "\N{REPLACEMENT CHARACTER}" for c in text)


def _listed(folder: Path) -> dict[str, Path]:
    found = sorted(f for f in folder.iterdir() if f.suffix.lower() in EXTENSIONS and not f.name.startswith("."))
    return {f.stem: f for f in found}
