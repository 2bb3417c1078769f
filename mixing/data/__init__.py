"""Multitrack data sets: songs on disk, excerpts to train on, synthetic mixes with known settings."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from mixing.data.draft import CHECKS, SHORT, Draft, Skip, complete
from mixing.data.excerpts import Augment, Example, Excerpts
from mixing.data.layouts import find, names
from mixing.data.song import DataSet, Song, Stem
from mixing.data.synthetic import Synthetic
from mixing.errors import UserError
from mixing.multitrack import Multitrack

__all__ = ["Augment", "DataSet", "Example", "Excerpts", "Song", "Stem", "Synthetic", "collate", "layouts", "load"]

collate = Multitrack.collate
layouts = names

_THREADS = 8  # libsndfile works without Python's lock


def load(root: str | Path, layout: str = "auto", *, check: str = "ends", short: str = "pad", **options: Any) -> DataSet:
    """The songs of a data set on disk. Only headers and the ends of files are read; `Song.read` reads the rest as it is needed.

    What cannot be used is skipped, song by song, and listed in `DataSet.skipped`: a song with a file that is missing, empty, cut
    short, not audio, of more than two channels, or with samples that are not numbers. A song of which one stem is bad is skipped
    whole, since its mix has that stem.

    Args:
        root: folder of the data set.
        layout: a name of `layouts()`, or "auto" to recognise it.
        check: how closely files are looked at: "header", "ends", or "all", which decodes every sample of every file in constant
            memory (an hour for some hundred songs) and alone finds what is wrong in the middle.
        short: what becomes of a song with a stem that ends before the mix does: "pad" (with silence, and a note) or "skip".
        **options: of the layout; see its module.

    Raises:
        UserError: no such folder, no layout that fits, an unknown option, or nothing that can be used.
    """
    for name, value, known in (("check", check, CHECKS), ("short", short, SHORT)):
        if value not in known:
            raise UserError(f"load: {name} is one of {', '.join(known)}; got {value!r}.")
    root = Path(root)
    kind, found = find(root, layout, **options)
    with ThreadPoolExecutor(_THREADS) as pool:
        results = list(pool.map(partial(_result, check, short), found))
    songs = tuple(r for r in results if isinstance(r, Song))
    skipped = tuple((r.what, r.why) for r in results if isinstance(r, Skip))
    if not songs:
        why = f"; the first of {len(skipped)}, {skipped[0][0]}: {skipped[0][1]}" if skipped else "."
        raise UserError(f"{root}: no song of layout {kind} can be used{why}")
    return DataSet(root.resolve().name, songs, skipped)


def _result(check: str, short: str, draft: Draft | Skip) -> Song | Skip:
    if isinstance(draft, Skip):
        return draft
    try:
        return complete(draft, check, short)
    except UserError as error:
        return Skip(draft.name, str(error))
