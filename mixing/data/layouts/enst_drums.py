"""ENST-Drums, the public part (Gillet and Richard 2006): three drummers, a microphone each drum, two mixes by an engineer.

    root[/ENST-drums-public]/drummer_{1,2,3}/audio/{hi-hat,kick,overhead_L,overhead_R,snare,tom_1,...}/NNN_KIND_STYLE_..._sticks.wav
                                                  /{dry_mix,wet_mix,accompaniment}/the same name.wav

Kinds are hits, phrase, solo, minus-one and MIDI-minus-one (played to a backing, which lies in `accompaniment` and not in the
mixes). The kits have different numbers of toms: what a drummer has no microphone for has no folder. 44.1 kHz, mono tracks, stereo
mixes. Folder names as the public loaders of automatic mixing and drum transcription read them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from mixing.data.draft import Draft, Skip, Source, folders, sounds
from mixing.errors import UserError

_NO_TRACK = ("accompaniment", "dry_mix", "wet_mix")
_DRUMMER = re.compile(r"drummer_\d+$")


def recognised(root: Path) -> bool:
    return any(True for _ in _drummers(root))


def drafts(root: Path, *, mix: str = "dry", hits: bool = False) -> Iterator[Draft | Skip]:
    """The recordings. Those of one drummer, kind and style (its slow, fast, simple, complex versions) are a group.

    Args:
        root: of the data set.
        mix: "dry" (levels and pans) or "wet" (with the engineer's effects).
        hits: True takes the single hits too, which are no music.
    """
    if mix not in ("dry", "wet"):
        raise UserError(f"layout enst_drums: mix is dry or wet; got {mix!r}.")
    for drummer in _drummers(root):
        audio = drummer / "audio"
        microphones = [f for f in folders(audio) if f.name not in _NO_TRACK]
        mixes = {f.name: f for f in sounds(audio / f"{mix}_mix")}
        recordings = {f.name for m in microphones for f in sounds(m)}
        for name in sorted(recordings | set(mixes)):
            kind = name.split("_")[1:2]
            if kind == ["hits"] and not hits:
                continue
            title = f"{drummer.name}_{Path(name).stem}"
            if name not in mixes:
                yield Skip(title, f"has no {mix} mix.")
                continue
            # Every microphone of the kit is in the mix, so a recording that lacks one is refused when its file is opened.
            stems = tuple(Source(m.name, m.name, (m / name,)) for m in microphones)
            yield Draft(title, _group(drummer.name, name), stems, mixes[name], licence="research only (ENST-Drums)")


def _group(drummer: str, name: str) -> str:
    parts = Path(name).stem.split("_")
    return "_".join([drummer, *parts[1:3]])


def _drummers(root: Path) -> list[Path]:
    places = [root, *folders(root)]
    return [d for p in places for d in folders(p) if _DRUMMER.match(d.name) and (d / "audio").is_dir()]
