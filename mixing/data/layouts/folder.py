"""Any folder of songs: a folder for each, with its stems and its mix.

    root/SONG/stems/*.wav   root/SONG/mix.wav          or
    root/SONG/*.wav, of which one is the mix            or root is itself such a song.

The mix is the file beside `stems`, or in a folder `mix` or `mixes`, or among the stems, whose name is or ends in mix, mixture,
mixdown or master; where several are, "mix" is preferred in that order. WAV, FLAC, OGG, MP3 and AIFF are read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from mixing.data.draft import Draft, Skip, Source, folders, sounds
from mixing.errors import UserError

# Names of a mix, the likeliest first.
_MIX = tuple(
    re.compile(rf"(?:^|[ _.-]){word}(?:$|[ _.-]\w*$)", re.IGNORECASE) for word in ("mix", "mixture", "mixdown", "master")
)


def recognised(root: Path) -> bool:
    return _is_song(root) or any(_is_song(f) for f in folders(root))


def drafts(root: Path, *, group: str = "") -> Iterator[Draft | Skip]:
    """The songs.

    Args:
        root: of the data set.
        group: regular expression whose first group is what songs of one work share in their names: "^([^_]+)_" takes what stands
            before the first underscore; by default every song is a work of its own.
    """
    try:
        pattern = re.compile(group) if group else None
    except re.error as error:
        raise UserError(f"layout folder: group is no regular expression ({error}).") from None
    if pattern is not None and pattern.groups < 1:
        raise UserError(f"layout folder: group {group!r} has no part in parentheses, which would be the group's name.")
    for where in [root] if _is_song(root) else folders(root):
        if not _is_song(where):
            yield Skip(where.name, "has no audio files.")
            continue
        found = pattern.search(where.name) if pattern else None
        yield song(where, found[1] if found and found[1] else where.name)


def song(where: Path, group: str) -> Draft:
    """The draft of one folder."""
    stems, mixes = _parts(where)
    mix = next((m for word in _MIX for m in mixes if word.search(m.stem)), None)
    return Draft(where.name, group, tuple(Source(f.stem, None, (f,)) for f in stems), mix)


def _parts(where: Path) -> tuple[list[Path], list[Path]]:
    """Stems and files that may be the mix."""
    own = sounds(where)
    outside = [f for name in ("mix", "mixes") for f in sounds(where / name)]
    for name in ("stems", "tracks"):
        stems = sounds(where / name)
        if stems:
            return stems, [f for f in own if is_mix(f)] + outside
    return [f for f in own if not is_mix(f)], [f for f in own if is_mix(f)] + outside


def is_mix(file: Path) -> bool:
    """Whether a file's name is a mix's."""
    return any(word.search(file.stem) for word in _MIX)


def _is_song(where: Path) -> bool:
    return bool(sounds(where) or sounds(where / "stems") or sounds(where / "tracks"))
