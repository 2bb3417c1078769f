"""DSD100 (Liutkus et al. 2017, sigsep.github.io/datasets/dsd100.html): 100 songs as four produced stereo stems.

    root/Mixtures/{Dev,Test}/NNN - ARTIST - TITLE/mixture.wav
    root/Sources/{Dev,Test}/NNN - ARTIST - TITLE/{bass,drums,other,vocals}.wav

44.1 kHz. The mixture is the sum of the four. The group is the artist.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mixing.data.draft import Draft, Skip, Source, folders
from mixing.errors import UserError

STEMS = ("bass", "drums", "other", "vocals")
_PARTS = ("Dev", "Test")


def recognised(root: Path) -> bool:
    return (root / "Mixtures").is_dir() and (root / "Sources").is_dir()


def drafts(root: Path, *, subset: str = "") -> Iterator[Draft | Skip]:
    """The songs.

    Args:
        root: of the data set.
        subset: "Dev" or "Test"; by default both.
    """
    if subset and subset not in _PARTS:
        raise UserError(f"layout dsd100: subset is Dev or Test; got {subset!r}.")
    for part in (subset,) if subset else _PARTS:
        mixtures = {f.name for f in folders(root / "Mixtures" / part)}
        sources = {f.name for f in folders(root / "Sources" / part)}
        for name in sorted(mixtures | sources):
            if name not in mixtures or name not in sources:
                yield Skip(name, f"is in {'Mixtures' if name in mixtures else 'Sources'} only.")
                continue
            where = root / "Sources" / part / name
            stems = tuple(Source(s, s, (where / f"{s}.wav",)) for s in STEMS)
            mix = root / "Mixtures" / part / name / "mixture.wav"
            yield Draft(name, artist(name), stems, mix, unity=True, licence="see the original artists' (DSD100)")


def artist(name: str) -> str:
    """Of "055 - Artist - Title" or "Artist - Title"."""
    parts = name.split(" - ")
    return parts[1] if len(parts) > 2 and parts[0].isdigit() else parts[0]
