"""A REAPER project: the .rpp text, with the stems in a folder beside it."""

from __future__ import annotations

import base64
import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mixing.errors import UserError
from mixing.export import places, reaper_map
from mixing.export.automation import Lane
from mixing.export.effects import groups, linear
from mixing.export.media import Medium, shown
from mixing.export.record import packed
from mixing.export.rpp import Chunk
from mixing.output import check_file, check_folder, write_folder, write_text
from mixing.settings import Settings

PAN_LAW = 0.5**0.5
"""Of the tracks: -3 dB in the centre with REAPER's sine taper, which is dasp's law, for mono and for stereo tracks."""
SECTION = "DASP"
_KEY = "SETTINGS"
_LONGEST = 1000  # characters a line
_NAMESPACE = uuid.UUID("0d9be7b5-7f0a-4f5e-9c2f-0a8c5b6c2f11")
_SOURCES = {".flac": "FLAC", ".mp3": "MP3", ".ogg": "VORBIS"}


def write(path: Path, settings: Settings, lanes: Sequence[Lane], media: Sequence[Medium], title: str) -> list[str]:
    """Write the project and its folder of audio, or neither; returns what REAPER's stock effects cannot say."""
    folder = path.with_name(f"{path.stem}_media")
    check_file(path)
    if folder.is_symlink():
        raise UserError(f"{folder}: is a link, where the audio is to be; remove it, or choose another name.")
    check_folder(folder, [m.name for m in media])
    full = places.complete(settings)
    notes = reaper_map.losses(full, tuple(lanes))
    text = project(settings, lanes, media, folder.name, title, notes).text() + "\n"
    new = not folder.exists()

    def save(temporary: Path) -> None:
        for medium in media:
            try:
                shutil.copyfile(medium.source, temporary / medium.name)
            except OSError as error:
                raise UserError(f"{medium.source}: cannot be copied ({(error.strerror or str(error)).lower()}).") from None

    write_folder(folder, save)
    try:
        write_text(path, text)
    except UserError:
        if new:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    return notes


def guid(key: str) -> str:
    """An identity that is the same each time."""
    return "{" + str(uuid.uuid5(_NAMESPACE, key)).upper() + "}"


def project(
    settings: Settings, lanes: Sequence[Lane], media: Sequence[Medium], folder: str, title: str, notes: Sequence[str]
) -> Chunk:
    """The project's text as chunks."""
    import dasp

    full = places.complete(settings)
    points = {lane.where: lane.points for lane in lanes}
    root = Chunk(["REAPER_PROJECT", "0.1", f"7.0/dasp {dasp.__version__}", "0"])
    page = root.chunk("NOTES", 0, 2)
    for line in (title, *settings.get("notes", []), *(f"Not expressed: {n}" for n in notes)):
        page.line("|" + shown(line))
    for words in (("RIPPLE", 0), ("AUTOXFADE", 1), ("PANLAW", 1), ("PANMODE", 3), ("SAMPLERATE", full["sample_rate"], 1, 0)):
        root.line(*words)
    root.line("TEMPO", 120, 4, 4)
    gain = points.get("output_gain_db")
    root.line("MASTERAUTOMODE", 1 if gain else 0)
    root.line("MASTER_VOLUME", linear(full["output_gain_db"]), 0, 1, -1, 1)
    root.line("MASTER_FX", 1)
    _chain(root, "MASTERFXLIST", "master", full["master"], full["sample_rate"])
    if gain:
        _envelope(root, "MASTERVOLENV2", "output_gain_db", [(t, linear(v)) for t, v in gain])
    for n, (track, medium) in enumerate(zip(full["tracks"], media, strict=True)):
        _track(root, n, track, medium, folder, points, full["sample_rate"])
    for n, bus in enumerate(full["buses"]):
        _bus(root, n, bus, full, points)
    kept = root.chunk("EXTSTATE").chunk(SECTION)
    record = base64.b64encode(packed(settings, lanes).encode()).decode()
    for k, at in enumerate(range(0, len(record), _LONGEST)):
        kept.line(f"{_KEY}{k:05d}", record[at : at + _LONGEST])
    return root


def record_of(root: Chunk) -> bytes | None:
    """The settings that a project was written from; None where it holds none.

    Raises:
        ValueError: damaged.
    """
    parts = [
        (line[0], line[1])
        for state in root.chunks("EXTSTATE")
        for section in state.chunks(SECTION)
        for line in section.body
        if isinstance(line, list) and len(line) > 1 and line[0].startswith(_KEY)
    ]
    return base64.b64decode("".join(text for _, text in sorted(parts)), validate=True) if parts else None


def _head(root: Chunk, key: str, name: str, volume: float, pan: float, law: float, automated: bool, muted: bool) -> Chunk:
    track = root.chunk("TRACK", guid(key))
    track.line("NAME", name)
    track.line("AUTOMODE", 1 if automated else 0)
    track.line("VOLPAN", volume, pan, law, -1, 1)
    track.line("MUTESOLO", int(muted), 0, 0)
    track.line("NCHAN", 2)
    track.line("FX", 1)
    track.line("TRACKID", guid(key))
    track.line("MAINSEND", 1, 0)
    return track


def _track(root: Chunk, n: int, track: dict[str, Any], medium: Medium, folder: str, points: dict[str, Any], rate: float) -> None:
    fader, pan = points.get(f"tracks.{n}.fader_db"), points.get(f"tracks.{n}.pan")
    level, side = linear(track["fader_db"]), 2 * track["pan"] - 1
    made = _head(root, f"track{n}", track["name"], level, side, PAN_LAW, bool(fader or pan), track["mute"])
    if fader:
        _envelope(made, "VOLENV2", f"tracks.{n}.fader_db", [(t, linear(v)) for t, v in fader])
    if pan:
        # The envelope counts from right to left.
        _envelope(made, "PANENV2", f"tracks.{n}.pan", [(t, 1 - 2 * v) for t, v in pan])
    _chain(made, "FXCHAIN", f"tracks.{n}.inserts", track["inserts"], rate)
    lag = track["lag_samples"] / rate
    item = made.chunk("ITEM")
    item.line("POSITION", max(0.0, -lag))
    item.line("SNAPOFFS", 0)
    item.line("LENGTH", max(0.0, medium.seconds - max(0.0, lag)))
    item.line("LOOP", 0)
    item.line("FADEIN", 0, 0, 0, 1, 0, 0, 0)
    item.line("FADEOUT", 0, 0, 0, 1, 0, 0, 0)
    item.line("IGUID", guid(f"item{n}"))
    item.line("NAME", track["name"])
    item.line("VOLPAN", 1, 0, 1, -1)
    item.line("SOFFS", max(0.0, lag))
    source = item.chunk("SOURCE", _SOURCES.get(medium.source.suffix.lower(), "WAVE"))
    source.line("FILE", f"{folder}/{medium.name}")


def _bus(root: Chunk, n: int, bus: dict[str, Any], full: Settings, points: dict[str, Any]) -> None:
    rate = full["sample_rate"]
    made = _head(root, f"bus{n}", bus["name"], 1.0, 0.0, 1.0, False, not reaper_map.plays(bus["effects"], rate))
    for k, track in enumerate(full["tracks"]):
        if bus["name"] in track["sends_db"]:
            where = f"tracks.{k}.sends_db.{bus['name']}"
            lane = points.get(where)
            made.line("AUXRECV", k, 0, linear(track["sends_db"][bus["name"]]), 0, 0, 0, 0, 0, 0, 1, 0, 1 if lane else -1)
            if lane:
                _envelope(made, "AUXVOLENV", where, [(t, linear(v)) for t, v in lane])
    _chain(made, "FXCHAIN", f"buses.{n}.effects", bus["effects"], rate)


def _envelope(parent: Chunk, name: str, where: str, native: list[tuple[float, float]]) -> None:
    made = parent.chunk(name)
    made.line("EGUID", guid(f"envelope.{where}"))
    for words in (("ACT", 1, -1), ("VIS", 1, 1, 1), ("LANEHEIGHT", 0, 0), ("ARM", 0), ("DEFSHAPE", 0, -1, -1)):
        made.line(*words)
    if "VOL" in name:
        made.line("VOLTYPE", 0)  # straight lines in the factor, not on the fader's scale
    for time, value in native:
        made.line("PT", time, value, 0)


def _chain(parent: Chunk, name: str, place: str, effects: list[dict[str, Any]], rate: float) -> None:
    made = [
        (g.numbers[0], reaper_map.chunk(g.kind, [effects[n] for n in g.numbers], rate))
        for g in groups(effects, reaper_map.EQ_EFFECTS)
    ]
    if not any(c is not None for _, c in made):
        return
    chain = parent.chunk(name)
    for words in (("SHOW", 0), ("LASTSEL", 0), ("DOCKED", 0)):
        chain.line(*words)
    for number, effect in made:
        if effect is not None:
            chain.line("BYPASS", 0, 0, 0)
            chain.body.append(effect)
            chain.line("FLOATPOS", 0, 0, 0, 0)
            chain.line("FXID", guid(f"{place}.{number}"))
            chain.line("WAK", 0, 0)
