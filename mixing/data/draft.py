"""What a layout finds, and how it becomes a song: every file is looked at, and what cannot be used is refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mixing import audio
from mixing.audio import EXTENSIONS, Info
from mixing.data.song import Song, Stem
from mixing.errors import UserError
from mixing.multitrack import span
from mixing.strict_json import short

CHECKS = ("header", "ends", "all")
SHORT = ("pad", "skip")


@dataclass(frozen=True)
class Source:
    """A stem as a layout finds it: `Stem` without what only its files can say."""

    name: str
    instrument: str | None
    files: tuple[Path, ...]


@dataclass(frozen=True)
class Draft:
    """A song as a layout finds it, before any file was opened; attributes as `Song` has them."""

    name: str
    group: str
    stems: tuple[Source, ...]
    mix: Path | None
    gains_db: tuple[float | None, ...] | None = None
    pans: tuple[float | None, ...] | None = None
    unity: bool = False
    licence: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Skip:
    """Something that a layout finds and cannot use.

    Attributes:
        what: its name.
        why: in a sentence.
    """

    what: str
    why: str


def complete(draft: Draft, check: str = "ends", short: Literal["pad", "skip"] | str = "pad") -> Song:
    """Look at every file of a song.

    Args:
        draft: from a layout.
        check: how closely, as `mixing.audio.probe` has it.
        short: what becomes of a stem that ends before the mix does: "pad" it with silence, which a note says, or "skip" the song.

    Raises:
        UserError: the song cannot be used, and why.
    """
    if not draft.stems:
        raise UserError(f"{draft.name}: has no stems.")
    twice = [n for n, count in Counter(s.name for s in draft.stems).items() if count > 1]
    if twice:
        raise UserError(f"{draft.name}: two stems are named {twice[0]}.")
    infos = {path: audio.probe(path, check) for stem in draft.stems for path in stem.files}
    mix = None if draft.mix is None else audio.probe(draft.mix, check)
    rate = mix.rate if mix is not None else Counter(i.rate for i in infos.values()).most_common(1)[0][0]
    length = max(_at(i, rate) for i in infos.values()) if mix is None else mix.frames
    notes = [*draft.notes, *_rates(infos, rate)]
    stems = []
    for stem in draft.stems:
        own = [infos[path] for path in stem.files]
        stems.append(Stem(stem.name, stem.instrument, stem.files, max(i.channels for i in own)))
        missing = length - max(_at(i, rate) for i in own)
        if missing > _TOLERANCE and short == "skip":
            raise UserError(f"{draft.name}: stem {stem.name} is {span(missing, rate)} shorter than the mix.")
        if missing > 0:
            notes.append(f"stem {stem.name} is {span(missing, rate)} shorter than the mix; silence is put behind it.")
        elif missing < -_TOLERANCE:
            notes.append(f"stem {stem.name} is {span(-missing, rate)} longer than the mix; the rest is left out.")
        if all(i.silent for i in own):
            notes.append(f"stem {stem.name} is silent.")
    if mix is not None and mix.silent:
        raise UserError(f"{draft.name}: the mix is silent.")
    if all(i.silent for i in infos.values()):
        raise UserError(f"{draft.name}: every stem is silent.")
    return Song(
        draft.name,
        draft.group,
        tuple(stems),
        draft.mix,
        rate,
        length,
        draft.gains_db,
        draft.pans,
        draft.unity,
        draft.licence,
        tuple(notes),
    )


_TOLERANCE = 1  # sample: lengths at two rates are rounded


def _at(info: Info, rate: int) -> int:
    return audio.resampled_length(info.frames, info.rate, rate)


def _rates(infos: Mapping[Path, Info], rate: int) -> list[str]:
    other = Counter(i.rate for i in infos.values() if i.rate != rate)
    return [
        f"{n} of {len(infos)} stem files, at {r} Hz, are resampled to the song's {rate} Hz." for r, n in sorted(other.items())
    ]


def inside(where: Path, name: str) -> Path:
    """A path that a file of the data set names, relative to a folder.

    Raises:
        ValueError: it leads out of the folder, or is none.
    """
    parts = name.replace("\\", "/").split("/")
    if not name.isprintable() or not name or name[0] in "/\\" or ".." in parts or ":" in parts[0]:
        raise ValueError(f"{short(name)} is no file within the song's folder")
    return where / name


def folders(where: Path) -> list[Path]:
    """Folders in a folder, sorted, without hidden ones and macOS's archive leavings; none where it is no folder."""
    return [p for p in _entries(where) if p.is_dir() and p.name != "__MACOSX"]


def sounds(where: Path, endings: Sequence[str] = EXTENSIONS) -> list[Path]:
    """Audio files in a folder, sorted, without hidden ones (`._x.wav` is macOS's); none where it is no folder."""
    return [p for p in _entries(where) if p.suffix.lower() in endings and p.is_file()]


def _entries(where: Path) -> list[Path]:
    try:
        return sorted(p for p in where.iterdir() if not p.name.startswith(".")) if where.is_dir() else []
    except OSError as error:
        raise UserError(f"{where}: cannot be read ({(error.strerror or str(error)).lower()}); check its permissions.") from None
