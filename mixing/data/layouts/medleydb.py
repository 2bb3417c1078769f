"""MedleyDB 1.0 and 2.0 (Bittner et al. 2014, 2016; medleydb.weebly.com, audio by request from Zenodo 1649325 and 1715175).

    root[/Audio|/V1|/V2]/ARTIST_TITLE/ARTIST_TITLE_MIX.wav
                                     /ARTIST_TITLE_STEMS/ARTIST_TITLE_STEM_SS.wav      processed, stereo
                                     /ARTIST_TITLE_RAW/ARTIST_TITLE_RAW_SS_RR.wav      as recorded: RR of stem SS
                                     /ARTIST_TITLE_METADATA.yaml                       version 1.0

Metadata of version 2.0 came apart from the audio, in the folder `medleydb/data/Metadata` of github.com/marl/medleydb: give that
as `metadata`, or let a folder `Metadata` lie in the root. It names instruments; without it the files alone say what there is.
As that package's `multitrack.py` has it: `mix_filename`, `stem_dir`, `raw_dir`, and `stems: {S01: {filename, instrument,
component, raw: {R01: {filename, instrument}}}}`. Instruments are text, in some songs a list. The group is the artist.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mixing.data.draft import Draft, Skip, Source, folders, inside, sounds
from mixing.errors import UserError

_BELOW = ("Audio", "V1", "V2")


def recognised(root: Path) -> bool:
    return any(_is_song(f) for f in _candidates(root))


def drafts(root: Path, *, tracks: str = "raw", metadata: str | Path | None = None, bleed: bool = True) -> Iterator[Draft | Skip]:
    """The songs.

    Args:
        root: of the data set.
        tracks: "raw" (what a mix is made from) or "stems" (processed, of which the mix is a near sum).
        metadata: folder of `ARTIST_TITLE_METADATA.yaml` files, for version 2.0.
        bleed: False leaves out songs whose metadata say that their tracks bleed into each other.
    """
    if tracks not in ("raw", "stems"):
        raise UserError(f"layout medleydb: tracks is raw or stems; got {tracks!r}.")
    places = (
        [Path(metadata)] if metadata is not None else [p for p in (root / "Metadata", root.parent / "Metadata") if p.is_dir()]
    )
    if metadata is not None and not Path(metadata).is_dir():
        raise UserError(f"layout medleydb: there is no folder {metadata} of metadata.")
    for where in _candidates(root):
        if not _is_song(where):
            yield Skip(where.name, f"has neither {where.name}_RAW nor {where.name}_STEMS.")
            continue
        try:
            meta = _metadata(where, places)
            if not bleed and str(meta.get("has_bleed", "no")).lower() in ("yes", "true"):
                continue
            draft = _song(where, meta, tracks)
        except ValueError as error:
            yield Skip(where.name, str(error))
            continue
        yield draft


def _song(where: Path, meta: dict[str, Any], tracks: str) -> Draft:
    kind = {"raw": ("raw_dir", "RAW"), "stems": ("stem_dir", "STEMS")}[tracks]
    folder = inside(where, str(meta.get(kind[0]) or f"{where.name}_{kind[1]}"))
    labels = _labels(meta, tracks)
    # What the metadata name must be there: a track that is missing would be missing from the mix. Others
    # are taken too.
    files = {f.name: f for f in sounds(folder)} | {name: inside(folder, name) for name in labels}
    names = sorted(files)
    mix = inside(where, str(meta.get("mix_filename") or f"{where.name}_MIX.wav"))
    return Draft(
        where.name,
        where.name.partition("_")[0],
        tuple(Source(Path(n).stem.removeprefix(f"{where.name}_"), labels.get(n), (files[n],)) for n in names),
        mix,
        licence="CC BY-NC-SA 4.0",
    )


def _labels(meta: dict[str, Any], tracks: str) -> dict[str, str | None]:
    """File name -> instrument."""
    rows = [r for r in (meta.get("stems") or {}).values() if isinstance(r, dict)]
    if tracks == "raw":
        rows = [r for row in rows for r in (row.get("raw") or {}).values() if isinstance(r, dict)]
    return {str(r["filename"]): _instrument(r.get("instrument")) for r in rows if r.get("filename")}


def _instrument(value: Any) -> str | None:
    return ", ".join(map(str, value)) if isinstance(value, list) else (str(value) if value else None)


def _metadata(where: Path, places: list[Path]) -> dict[str, Any]:
    name = f"{where.name}_METADATA.yaml"
    path = next((p / name for p in (where, *places) if (p / name).is_file()), None)
    if path is None:
        return {}
    yaml = _yaml()
    try:
        meta = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(f"{name} is not YAML ({' '.join(str(error).split())[:100]}).") from None
    if not isinstance(meta, dict) or not isinstance(meta.get("stems") or {}, dict):
        raise ValueError(f"{name} is no mapping with stems.")
    return meta


def _yaml() -> Any:
    try:
        import yaml
    except ImportError:
        raise UserError("MedleyDB's metadata need PyYAML, which is not installed: pip install 'dasp-toolkit[mixing]'.") from None
    return yaml


def _candidates(root: Path) -> list[Path]:
    """Folders that may be songs: the root's, and those of its parts."""
    parts = [p for p in folders(root) if p.name in _BELOW]
    parts += [q for p in parts for q in folders(p) if q.name in _BELOW]
    inside = [f for p in parts for f in folders(p) if f.name not in _BELOW]
    return inside or [f for f in folders(root) if f.name not in ("Metadata", "Annotations")]


def _is_song(where: Path) -> bool:
    return any((where / f"{where.name}_{kind}").is_dir() for kind in ("RAW", "STEMS"))
