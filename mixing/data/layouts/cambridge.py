"""Cambridge Music Technology's "Mixing Secrets" library (cambridge-mt.com/ms/mtk): each archive unpacked into a folder.

    root/ARTIST_TITLE_Full/NN_Name.wav        the raw tracks, in some archives one folder deeper
    root/ARTISTTITLE_Full_Preview.mp3         the engineer's mix, which the site offers apart, for some songs
    root/SONG/tracks/*.wav, root/SONG/mixes/*            as automix-toolkit sorts them

A mix is looked for beside the tracks, in folders `mix`, `mixes`, `mixtures`, `previews` of the song and of the root, and in the
root; one whose name has Full is preferred. A preview that is an MP3 begins some milliseconds late where its encoder did not write
its delay down: a note says which songs have one. Rates are 44.1 to 96 kHz and differ within songs. Without a mix a song is for
mixing, not for training. The group is the artist, what stands before the first underscore.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from mixing.data.draft import Draft, Skip, Source, folders, sounds
from mixing.data.layouts.folder import is_mix

_NUMBERED = re.compile(r"^\d+[ _-]")
_MIXES = ("mix", "mixes", "mixtures", "previews")
_KINDS = re.compile(r"_?(full|excerpt|edit|mix|preview|unmastered|stems)", re.IGNORECASE)


def recognised(root: Path) -> bool:
    songs = [f for f in folders(root) if f.name not in _MIXES]
    return any(_numbered(tracks) for f in songs if (tracks := _tracks(f)))


def drafts(root: Path) -> Iterator[Draft | Skip]:
    """The songs."""
    everywhere = [f for place in (root, *(root / m for m in _MIXES)) for f in sounds(place)]
    for where in folders(root):
        if where.name in _MIXES:
            continue
        tracks = _tracks(where)
        if not tracks:
            yield Skip(where.name, "has no tracks.")
            continue
        own = [f for place in (where, *(where / m for m in _MIXES)) for f in sounds(place) if f not in tracks]
        mix = _mix(own, [f for f in everywhere if _key(f.stem) == _key(where.name)])
        stems = tuple(Source(f.stem, _NUMBERED.sub("", f.stem), (f,)) for f in tracks)
        late = (
            ("the mix is an MP3 and may begin late; see `dasp match --align`.",) if mix and mix.suffix.lower() == ".mp3" else ()
        )
        notes = late if mix else ("has no mix.",)
        artist = where.name.partition("_")[0]
        yield Draft(where.name, artist, stems, mix, licence="educational use (Cambridge-MT)", notes=notes)


def _tracks(where: Path) -> list[Path]:
    """The tracks: in `tracks`, in the folder itself, or in the only folder below it that has some."""
    for place in (where / "tracks", where, *(f for f in folders(where) if f.name not in _MIXES)):
        found = [f for f in sounds(place) if f.suffix.lower() != ".mp3" and (_NUMBERED.match(f.stem) or not is_mix(f))]
        if found:
            return found
    return []


def _numbered(tracks: list[Path]) -> bool:
    return len(tracks) > 1 and all(_NUMBERED.match(f.stem) for f in tracks)


def _mix(own: list[Path], others: list[Path]) -> Path | None:
    found = [f for f in own if is_mix(f) or f.parent.name in _MIXES or "preview" in f.stem.lower()] + others
    return min(found, key=lambda f: ("full" not in f.stem.lower(), found.index(f)), default=None)


def _key(name: str) -> str:
    """What a song's folder and its preview share: ARTIST_TITLE_Full and ARTISTTITLE_Full_Preview."""
    return _KINDS.sub("", name).replace("_", "").replace(" ", "").lower()
