"""What is compared: conditions, each a file or a folder with a file for each song."""

from __future__ import annotations

from pathlib import Path

from mixing.audio import EXTENSIONS
from mixing.errors import UserError, nearest

SONG = "song"  # the name of the only song where conditions are files


def named(given: tuple[str, ...]) -> dict[str, Path]:
    """Condition -> its file or folder. NAME=PATH, or a bare path whose last part is the name.

    Raises:
        UserError: no such path, an empty name, two of one name, or fewer than two.
    """
    out: dict[str, Path] = {}
    for text in given:
        name, equals, rest = text.partition("=")
        if Path(text).exists() or not equals:
            name, rest = (Path(text).stem if Path(text).is_file() else Path(text).resolve().name), text
        name, path = name.strip(), Path(rest)
        if not name or not rest:
            raise UserError(f"{text}: expected NAME=FILE_OR_FOLDER, or a file or folder whose name is the condition.")
        if not path.exists():
            raise UserError(f"{path}: there is no such file or folder.")
        if name in out:
            raise UserError(f"{text}: there are two conditions called {name}; give one another name: NAME={rest}.")
        out[name] = path
    if len(out) < 2:
        raise UserError(f"a listening test compares at least two conditions; got {len(out)}.")
    return out


def songs(conditions: dict[str, Path]) -> tuple[dict[str, dict[str, Path]], list[str]]:
    """Song -> condition -> file, songs by name; and what was left out, in sentences.

    Raises:
        UserError: files beside folders, two files of one song in a folder, or no song that every condition has.
    """
    files = [n for n, p in conditions.items() if p.is_file()]
    if files and len(files) < len(conditions):
        other = next(n for n in conditions if n not in files)
        raise UserError(f"{files[0]} is a file and {other} a folder; give files only, or folders with a file for each song.")
    if files:
        return {SONG: dict(conditions)}, []
    found = {name: _listed(folder) for name, folder in conditions.items()}
    everything = sorted({song for of in found.values() for song in of})
    common = [s for s in everything if all(s in of for of in found.values())]
    if not common:
        listed = "; ".join(f"{n} has {', '.join(sorted(of)[:3]) or 'none'}" for n, of in list(found.items())[:3])
        raise UserError(f"no song is in every condition: {listed}; a song's files have one name in all folders.")
    left = [
        f"{song}: left out: {next(n for n, of in found.items() if song not in of)} has no file of that name."
        for song in everything
        if song not in common
    ]
    return {s: {n: of[s] for n, of in found.items()} for s in common}, left


def known(name: str, conditions: dict[str, Path], option: str) -> str:
    """The name, if it is a condition's.

    Raises:
        UserError: it is not.
    """
    if name not in conditions:
        raise UserError(f"{option} {name}: is no condition; there are {', '.join(conditions)}.{nearest(name, conditions)}")
    return name


def _listed(folder: Path) -> dict[str, Path]:
    out: dict[str, Path] = {}
    for file in sorted(folder.iterdir()):
        if file.suffix.lower() not in EXTENSIONS or not file.is_file() or file.name.startswith("."):
            continue
        if file.stem in out:
            raise UserError(f"{folder}: has {out[file.stem].name} and {file.name}; leave one of the two.")
        out[file.stem] = file
    return out
