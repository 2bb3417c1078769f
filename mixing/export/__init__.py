"""Projects for digital audio workstations: settings, stems and automation as DAWproject or as a REAPER project, and back."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from mixing.errors import UserError
from mixing.export.automation import Lane, check
from mixing.export.record import Read
from mixing.settings import Settings, parse

__all__ = ["ENDINGS", "Lane", "Read", "export", "read"]

ENDINGS = {"dawproject": ".dawproject", "reaper": ".rpp"}


def export(
    settings: Settings, stems: str | Path, path: str | Path, *, lanes: Iterable[Lane] = (), title: str | None = None
) -> tuple[str, ...]:
    """Write a project that a DAW opens: a track for each stem, with its settings.

    Args:
        settings: as `mixing.settings.read` returns them.
        stems: the folder of the stems, which are copied into the project as they are.
        path: ends in .dawproject or .rpp; the second has its audio in a folder beside it, NAME_media.
        lanes: controls that vary in time.
        title: by default the file's name.

    Returns:
        what the format cannot say, in sentences. The same sentences stand in the project's notes, and all values in the file, so
        that `read` gives them back.

    Raises:
        UserError: another ending, a missing stem, a lane of a control that is not there, a folder that cannot be written to.
    """
    from mixing.export import dawproject, media, reaper

    path = Path(path)
    write = {".dawproject": dawproject.write, ".rpp": reaper.write}.get(path.suffix.lower())
    if write is None:
        raise UserError(f"{path}: the ending {path.suffix or '(none)'} is not one of {', '.join(ENDINGS.values())}.")
    settings = parse("settings", json.dumps(settings))
    given = check(settings, lanes)
    return tuple(write(path, settings, given, media.find(settings, stems), title or path.stem))


def read(path: str | Path) -> Read:
    """Read a project that `export` wrote, with the faders, pans, sends, effects and lags that were changed in it since.

    A .rpp may have been saved by REAPER in between; a .dawproject is read as dasp wrote it. Nothing but the project file is
    opened, and nothing is unpacked.

    Raises:
        UserError: no such file, damaged, not written by dasp, or set to what no effect takes.
    """
    from mixing.export import dawproject_read, reaper_read

    path = Path(path)
    reader = {".dawproject": dawproject_read.read, ".rpp": reaper_read.read}.get(path.suffix.lower())
    if reader is None:
        raise UserError(f"{path}: the ending {path.suffix or '(none)'} is not one of {', '.join(ENDINGS.values())}.")
    found = reader(path)
    return replace(found, settings=parse(str(path), json.dumps(found.settings)))
