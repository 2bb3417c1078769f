"""MUSDB18-HQ (Rafii et al. 2019, zenodo.org/record/3338373): 150 songs as four produced stereo stems, uncompressed.

    root/{train,test}/ARTIST - TITLE/{mixture,bass,drums,other,vocals}.wav

44.1 kHz. The mixture is the sum of the four. The group is the artist. MUSDB18 as first published has a file
`ARTIST - TITLE.stem.mp4` for each song: five AAC streams that libsndfile does not read. `musdbconvert root wav_root` of the
package `musdb` (which needs ffmpeg) turns it into this layout.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mixing.data.draft import Draft, Skip, Source, folders
from mixing.data.layouts.dsd100 import STEMS, artist
from mixing.errors import UserError

_PARTS = ("train", "test")
_CODED = ".stem.mp4"


def recognised(root: Path) -> bool:
    parts = [root / p for p in _PARTS]
    return any((f / "mixture.wav").is_file() for p in parts for f in folders(p)) or any(_coded(p) for p in parts)


def drafts(root: Path, *, subset: str = "") -> Iterator[Draft | Skip]:
    """The songs.

    Args:
        root: of the data set.
        subset: "train" or "test"; by default both.
    """
    if subset and subset not in _PARTS:
        raise UserError(f"layout musdb18: subset is train or test; got {subset!r}.")
    for part in (subset,) if subset else _PARTS:
        for where in folders(root / part):
            stems = tuple(Source(s, s, (where / f"{s}.wav",)) for s in STEMS)
            mix, licence = where / "mixture.wav", "academic use (MUSDB18)"
            yield Draft(where.name, artist(where.name), stems, mix, unity=True, licence=licence)
        for file in _coded(root / part):
            yield Skip(file.name, "is coded as AAC; convert the data set with musdbconvert, or use MUSDB18-HQ.")


def _coded(where: Path) -> list[Path]:
    return sorted(where.glob(f"*{_CODED}")) if where.is_dir() else []
