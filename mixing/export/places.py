"""Places of a settings file: read, set, and filled with what was left out.

"tracks.0.fader_db", "tracks.2.inserts.1.controls.threshold_db", "tracks.0.sends_db.reverb", "buses.0.effects.0.controls.damping",
"master.0.controls.gain_db", "output_gain_db".
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from mixing.settings import Settings


def get(settings: Settings, where: str) -> float:
    """The value at a place.

    Raises:
        KeyError, IndexError, ValueError: there is none.
    """
    here: Any = settings
    for key in where.split("."):
        here = here[int(key)] if isinstance(here, list) else here[key]
    return float(here["value"] if isinstance(here, dict) else here)


def put(settings: Settings, where: str, value: float) -> None:
    """Set the value at a place; a control that was left out is added."""
    *way, last = where.split(".")
    here: Any = settings
    for key in way:
        here = here[int(key)] if isinstance(here, list) else here.setdefault(key, {})
    if len(way) and way[-1] == "controls":
        here[last] = {**here.get(last, {}), "value": value}
    else:
        here[last] = {"lag_samples": int, "mute": bool}.get(last, float)(value)


def complete(settings: Settings) -> Settings:
    """A copy with every value that was left out at its default, so that each place can be read."""
    from dasp.effects import find

    full = copy.deepcopy(settings)
    full.setdefault("buses", [])
    full.setdefault("master", [])
    full.setdefault("output_gain_db", 0.0)
    for track in full["tracks"]:
        for key, value in (
            ("channels", None),
            ("lag_samples", 0),
            ("inserts", []),
            ("pan", 0.5),
            ("mute", False),
            ("sends_db", {}),
        ):
            track.setdefault(key, value)
    for _, _, effects in chains(full):
        for entry in effects:
            cls = find(entry["effect"])
            given = entry.setdefault("controls", {})
            entry["controls"] = {q.name: {"value": q.default, "unit": q.unit, **given.get(q.name, {})} for q in cls.controls}
            entry["options"] = {**cls.options, **entry.get("options", {})}
    return full


def chains(settings: Settings) -> Iterator[tuple[str, str, list[dict[str, Any]]]]:
    """(place, what people call it, effects) of every chain: tracks, buses, master."""
    for n, track in enumerate(settings["tracks"]):
        yield f"tracks.{n}.inserts", f"track {track['name']}", track.get("inserts", [])
    for n, bus in enumerate(settings.get("buses", [])):
        yield f"buses.{n}.effects", f"bus {bus['name']}", bus["effects"]
    yield "master", "master", settings.get("master", [])


def overlay(settings: Settings, observed: Mapping[str, float], expected: Mapping[str, float], tolerance: float) -> Settings:
    """Settings as a project was written from, with what has been changed in it since.

    Args:
        settings: as they were written.
        observed: place -> value, as the project has it now.
        expected: place -> value, as the project would have it if nothing had been changed.
        tolerance: how exactly the project keeps a value, relative to it (and to 1).
    """
    out = copy.deepcopy(settings)
    for where, value in observed.items():
        written = expected.get(where)
        if written is None or abs(value - written) > tolerance * max(1.0, abs(value), abs(written)):
            put(out, where, value)
    return out
