"""Songs with a `meta.json` each: productions whose stems carry their balance, and rendered scores whose balance is known.

    root/SONG/meta.json   root/SONG/mix.ogg or mix_composer.ogg   root/SONG/stems/NN_instrument.ogg

`meta.json` has "song" (excerpts of one song share it: it is the group), "licence", "mix" (what the mix is, in words) and "stems",
for each {"file", "label" (an instrument), "composer_gain_db", "composer_pan" (-1 to 1)}, the last two where a score says them:
they hold against stems that were turned up by `stem_gain_db` and a mix that was turned up by `mix_gain_db`. A mix described as a
"unity sum" is the plain sum of the stems. `dasp fx-normalise` writes this layout too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mixing import strict_json
from mixing.data.draft import Draft, Skip, Source, folders, inside, sounds
from mixing.data.layouts.folder import is_mix
from mixing.errors import UserError

META = "meta.json"


def recognised(root: Path) -> bool:
    return any((where / META).is_file() for where in (root, *folders(root)))


def drafts(root: Path) -> Iterator[Draft | Skip]:
    """The songs."""
    for where in [root] if (root / META).is_file() else folders(root):
        try:
            yield _song(where)
        except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
            what = "is missing" if isinstance(error, FileNotFoundError) else f"is not as expected ({error!r})"
            yield Skip(where.name, f"{META} {what}.")
        except UserError as error:
            yield Skip(where.name, f"{META} is not as expected ({str(error).removesuffix('.')}).")


def _song(where: Path) -> Draft:
    meta = strict_json.parse(where.name, (where / META).read_text(encoding="utf-8"))
    rows = meta["stems"]
    stems = []
    for row in rows:
        file = inside(where, str(row["file"]))
        label = file.stem.partition("_")[2] if file.stem[:1].isdigit() else file.stem
        stems.append(Source(file.stem, str(row.get("label") or label), (file,)))
    mixes = [f for f in sounds(where) if is_mix(f)]
    mixes.sort(key=lambda f: f.stem not in ("mix", "mix_composer"))  # a released master lies beside some
    gain = _number(meta, "mix_gain_db", 0.0) - _number(meta, "stem_gain_db", 0.0)
    gains = tuple(_number(r, "composer_gain_db") for r in rows)
    pans = tuple(_number(r, "composer_pan") for r in rows)
    known = any(g is not None for g in gains)
    return Draft(
        where.name,
        str(meta.get("song") or where.name),
        tuple(stems),
        mixes[0] if mixes else None,
        tuple(None if g is None else g + gain for g in gains) if known else None,
        tuple(None if p is None else min(max((p + 1) / 2, 0.0), 1.0) for p in pans) if known else None,
        str(meta.get("mix", "")).startswith("unity sum"),
        str(meta.get("licence", "")),
    )


def _number(row: dict[str, Any], name: str, default: Any = None) -> Any:
    value = row.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not math.isfinite(float(value)):
        raise ValueError(f"{name} is {value}")
    return float(value)
