"""What of a song's settings the page plays itself, and what it is given ready played."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from dasp.effects import find
from mixing.settings import Settings

LIVE = (
    "Compressor",
    "Gain",
    "HighShelfFilter",
    "HighpassFilter",
    "Limiter",
    "LowShelfFilter",
    "LowpassFilter",
    "NoiseGate",
    "ParametricEQ",
    "PeakFilter",
    "Reverb",
)
"""Effects that the page has the equations of (`effects.js`)."""

Entry = dict[str, Any]


def is_live(entry: Entry) -> bool:
    """Whether the page plays an effect itself: it has its equations, and no option is set that changes them."""
    return entry["effect"] in LIVE and all(find(entry["effect"]).options[k] == v for k, v in entry.get("options", {}).items())


def split(inserts: list[Entry]) -> int:
    """How many inserts have to be played before: all up to the last one that is not live."""
    return max((i + 1 for i, e in enumerate(inserts) if not is_live(e)), default=0)


def completed(settings: Settings) -> Settings:
    """The settings with every control that was left out at its default, and every insert, pan and send written down."""
    out = copy.deepcopy(settings)
    out.setdefault("buses", [])
    out.setdefault("master", [])
    out.setdefault("output_gain_db", 0.0)
    for track in out["tracks"]:
        track.setdefault("inserts", [])
        track.setdefault("pan", 0.5)
        track.setdefault("mute", False)
        track.setdefault("lag_samples", 0)
        track.setdefault("sends_db", {})
    for entry in entries(out):
        controls = entry.setdefault("controls", {})
        for q in find(entry["effect"]).controls:
            controls.setdefault(q.name, {"value": q.default})
            controls[q.name].setdefault("unit", q.unit)
    return out


def entries(settings: Settings) -> Iterable[Entry]:
    """Every effect of the settings."""
    for track in settings["tracks"]:
        yield from track["inserts"]
    for bus in settings["buses"]:
        yield from bus["effects"]
    yield from settings["master"]


def tables(settings: Settings) -> dict[str, list[dict[str, Any]]]:
    """The controls of every effect that the settings name, as its own table has them."""
    wanted = ("name", "unit", "low", "high", "default", "scale", "doc")
    names = sorted({e["effect"] for e in entries(settings)})
    return {n: [{k: v for k, v in asdict(q).items() if k in wanted} for q in find(n).controls] for n in names}


def said(settings: Settings) -> dict[str, Any]:
    """What the page says of the effects that it does not play: "printed" (track, effects), "returns" (buses), "left_out" and
    "skipped" (of the master, by name and by place)."""
    printed = [(t["name"], t["inserts"][: split(t["inserts"])]) for t in settings["tracks"]]
    skipped = [n for n, e in enumerate(settings["master"]) if not is_live(e)]
    return {
        "printed": [(name, ", ".join(e["effect"] for e in effects)) for name, effects in printed if effects],
        "returns": [b["name"] for b in settings["buses"] if not all(map(is_live, b["effects"]))],
        "skipped": skipped,
        "left_out": [settings["master"][n]["effect"] for n in skipped],
    }
