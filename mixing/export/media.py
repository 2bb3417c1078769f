"""The audio of a project: the stems as they are on disk, under names that cannot leave their folder."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mixing.audio import EXTENSIONS, probe
from mixing.errors import UserError, nearest
from mixing.settings import Settings, short


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
    out = []
    for n, track in enumerate(settings["tracks"], 1):
        name = track["name"]
        if name not in files:
            raise UserError(
                f"{folder}: no stem is named {short(name)}; it has {short(', '.join(files), 200)}.{nearest(name, files)}"
            )
        info = probe(files[name], "ends")
        out.append(
            Medium(files[name], f"{n:02d}_{safe(name)}{files[name].suffix.lower()}", info.frames, info.rate, info.channels)
        )
    return out


def safe(name: str) -> str:
    """A file name of letters, digits, - and _ only; "stem" where nothing is left."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9-]+", "_", plain).strip("_")[:60] or "stem"


def shown(text: str, keep: Callable[[str], bool] = str.isprintable) -> str:
    """Text without control characters, for a name that is shown."""
    return "".join(c if keep(c) else "\N{REPLACEMENT CHARACTER}" for c in text)


def _listed(folder: Path) -> dict[str, Path]:
    found = sorted(f for f in folder.iterdir() if f.suffix.lower() in EXTENSIONS and not f.name.startswith("."))
    return {f.stem: f for f in found}
