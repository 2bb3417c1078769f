"""A REAPER project that dasp wrote, read back; REAPER may have saved it since."""

from __future__ import annotations

import math
from pathlib import Path

from mixing.errors import UserError
from mixing.export import places, reaper_map
from mixing.export.effects import decibels, groups
from mixing.export.media import Medium
from mixing.export.reaper import guid, project, record_of
from mixing.export.record import Read, lag, parsed
from mixing.export.rpp import Chunk, parse
from mixing.settings import Settings

TOLERANCE = 2e-6  # of numbers that REAPER has rounded, and of single precision
_LARGEST = 100_000_000
_ENVELOPES = {"VOLENV2": "fader_db", "PANENV2": "pan"}

Points = dict[str, list[tuple[float, float]]]


def read(path: Path) -> Read:
    """The settings and lanes of a project, with what was changed in it since dasp wrote it.

    Raises:
        UserError: no such file, not a REAPER project, or not written by dasp.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise UserError(f"{path}: is larger than any project that dasp writes ({_LARGEST // 1_000_000} MB).")
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file.") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be opened ({(error.strerror or str(error)).lower()}).") from None
    root = parse(str(path), text)
    try:
        record = record_of(root)
    except ValueError:
        raise UserError(f"{path}: what dasp wrote into it is damaged; export it again.") from None
    if record is None:
        raise UserError(f"{path}: has no settings of dasp in it; only projects that dasp wrote can be read back.")
    settings, lanes = parsed(str(path), record)
    full = places.complete(settings)
    stand_ins = [Medium(Path("stem.wav"), "stem.wav", 1, 1, 1)] * len(full["tracks"])
    written = project(settings, lanes, stand_ins, "media", "", [])
    expected, _, lanes_then = _observed(str(path), written, full)
    observed, notes, lanes_now = _observed(str(path), root, full)
    notes += [
        f"{w}: is not in the project any more; it keeps the value it was written with." for w in expected if w not in observed
    ]
    notes += [
        f"{where}: its automation was changed in the project; the points that dasp wrote are kept."
        for where in {**lanes_then, **lanes_now}
        if not _close(lanes_then.get(where), lanes_now.get(where))
    ]
    return Read(places.overlay(settings, observed, expected, TOLERANCE), lanes, observed, tuple(notes))


def _observed(who: str, root: Chunk, full: Settings) -> tuple[dict[str, float], list[str], Points]:
    out: dict[str, float] = {}
    notes: list[str] = []
    lanes: Points = {}
    tracks = list(root.chunks("TRACK"))
    identities = [_word(t, "TRACKID") or (t.head[1] if len(t.head) > 1 else "") for t in tracks]
    places_of = {guid(f"track{n}"): n for n in range(len(full["tracks"]))}
    master = next(root.lines("MASTER_VOLUME"), None)
    if master:
        out["output_gain_db"] = decibels(_number(who, master, 1))
    for envelope in root.chunks("MASTERVOLENV2"):
        lanes["output_gain_db"] = _points(who, envelope)
    _effects(who, root, "MASTERFXLIST", "master", "master", full["master"], full["sample_rate"], out, notes)
    for n, track in enumerate(full["tracks"]):
        made = next((t for t, i in zip(tracks, identities, strict=True) if i == guid(f"track{n}")), None)
        if made is None:
            notes.append(f"track {track['name']}: is not in the project any more; it keeps its settings.")
            continue
        levels = next(made.lines("VOLPAN"), None)
        if levels:
            out[f"tracks.{n}.fader_db"] = decibels(_number(who, levels, 1))
            out[f"tracks.{n}.pan"] = (_number(who, levels, 2) + 1) / 2
        mute = next(made.lines("MUTESOLO"), None)
        out[f"tracks.{n}.mute"] = bool(mute and _number(who, mute, 1))
        for item in list(made.chunks("ITEM"))[:1]:
            late = [_number(who, line, 1) for name in ("SOFFS", "POSITION") for line in item.lines(name)]
            if len(late) == 2:
                out[f"tracks.{n}.lag_samples"] = lag(who, late[0] - late[1], full["sample_rate"])
        for envelope in made.chunks(*_ENVELOPES):
            lanes[f"tracks.{n}.{_ENVELOPES[envelope.head[0]]}"] = _points(who, envelope)
        place, name = f"tracks.{n}.inserts", f"track {track['name']}"
        _effects(who, made, "FXCHAIN", place, name, track["inserts"], full["sample_rate"], out, notes)
    for n, bus in enumerate(full["buses"]):
        made = next((t for t, i in zip(tracks, identities, strict=True) if i == guid(f"bus{n}")), None)
        if made is None:
            notes.append(f"bus {bus['name']}: is not in the project any more; it keeps its settings.")
            continue
        where = ""
        for entry in made.body:
            if isinstance(entry, list) and entry[:1] == ["AUXRECV"]:
                source = int(_number(who, entry, 1))
                number = places_of.get(identities[source]) if 0 <= source < len(identities) else None
                where = "" if number is None else f"tracks.{number}.sends_db.{bus['name']}"
                if where:
                    out[where] = decibels(_number(who, entry, 3))
            elif isinstance(entry, Chunk) and entry.head[:1] == ["AUXVOLENV"] and where:
                lanes[where] = _points(who, entry)
        place, name = f"buses.{n}.effects", f"bus {bus['name']}"
        _effects(who, made, "FXCHAIN", place, name, bus["effects"], full["sample_rate"], out, notes)
    return out, notes, lanes


def _effects(
    who: str,
    parent: Chunk,
    chain: str,
    place: str,
    name: str,
    effects: list,
    rate: float,
    out: dict[str, float],
    notes: list[str],
) -> None:
    wanted = [
        (g, [effects[n] for n in g.numbers])
        for g in groups(effects, reaper_map.EQ_EFFECTS)
        if reaper_map.chunk(g.kind, [effects[n] for n in g.numbers], rate) is not None
    ]
    found = [c for made in parent.chunks(chain) for c in made.chunks("VST", "JS", "CLAP", "AU", "LV2", "DX", "VIDEO_EFFECT")]
    read = []
    if len(found) == len(wanted):
        read = [reaper_map.values(who, g.kind, entries, made, rate) for (g, entries), made in zip(wanted, found, strict=True)]
    if len(found) != len(wanted) or any(r is None for r in read):
        notes.append(f"{name}: its effects are others than those that dasp wrote; they are not taken over.")
        return
    for (group, _), values in zip(wanted, read, strict=True):
        for number, controls in zip(group.numbers, values or [], strict=True):
            out.update({f"{place}.{number}.controls.{control}": v for control, v in controls.items()})


def _word(chunk: Chunk, name: str) -> str:
    line = next(chunk.lines(name), [])
    return line[1] if len(line) > 1 else ""


def _number(who: str, line: list[str], at: int) -> float:
    try:
        value = float(line[at])
    except (IndexError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise UserError(f"{who}: {line[0]} has no number in its place {at}.")
    return value


def _points(who: str, envelope: Chunk) -> list[tuple[float, float]]:
    return [(_number(who, line, 1), _number(who, line, 2)) for line in envelope.lines("PT")]


def _close(a: list[tuple[float, float]] | None, b: list[tuple[float, float]] | None) -> bool:
    if a is None or b is None or len(a) != len(b):
        return False
    pairs = ((x, y) for p, q in zip(a, b, strict=True) for x, y in zip(p, q, strict=True))
    return all(math.isclose(x, y, rel_tol=TOLERANCE, abs_tol=TOLERANCE) for x, y in pairs)
