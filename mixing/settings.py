"""settings.json: how a mix is made, in units that people use; written, read and checked."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixing import strict_json
from mixing.errors import UserError
from mixing.output import write_text
from mixing.strict_json import short

if TYPE_CHECKING:
    from dasp import Effect
    from mixing.blocks import Plan, Source
    from mixing.result import MatchResult

SCHEMA = "dasp-settings/1"
_LARGEST = 20_000_000  # bytes; a thousand tracks need three million

Settings = dict[str, Any]


@cache
def schema() -> dict[str, Any]:
    """The JSON schema of the file."""
    return json.loads(Path(__file__).with_name("settings.schema.json").read_text(encoding="utf-8"))


def of_match(result: MatchResult, channels: Iterable[int], provenance: dict[str, Any]) -> Settings:
    """What a match found.

    Args:
        result: the match.
        channels: 1 or 2 for each track, in order.
        provenance: what wrote this: strings and numbers by name.
    """
    from mixing.result import leaves

    console = result.console
    tracks = []
    for (name, values), width in zip(result.tracks.items(), channels, strict=True):
        flags = result.flags.get(name, ())
        track: dict[str, Any] = {"name": name, "channels": int(width), "lag_samples": result.lags.get(name, 0)}
        table = iter(values[q.name] for q in console.inserts)
        track["inserts"] = _listed(leaves(console.track_chain), table, flags)
        track["fader_db"], track["pan"] = values["fader_db"], values["pan"]
        track["sends_db"] = {bus: values[f"send_{bus}_db"] for bus in console.buses}
        if name in result.gain_reduction:
            track["gain_reduction_db"] = dict(zip(("mean", "spread"), result.gain_reduction[name], strict=True))
        track["flags"] = list(flags)
        tracks.append(track)
    bus_values = iter(result.buses[q.name] for q in console.bus_controls)
    master_values = iter(result.master[q.name] for q in console.master_controls)
    return {
        "schema": SCHEMA,
        "sample_rate": result.sample_rate,
        "tracks": tracks,
        "buses": [{"name": n, "effects": _listed(leaves(b), bus_values)} for n, b in console.buses.items()],  # type: ignore[arg-type]
        "master": _listed(leaves(console.master), master_values),
        "output_gain_db": 0.0,
        "notes": list(result.notes),
        "metrics": {k: float(v) if math.isfinite(v) else None for k, v in result.metrics.items()},
        "provenance": provenance,
    }


def of_plan(plan: Plan, source: Source, output_gain_db: float, provenance: dict[str, Any], notes: Iterable[str] = ()) -> Settings:
    """What a model or a rule settled for a song.

    Args:
        plan: its settings.
        source: the song.
        output_gain_db: of the whole mix.
        provenance: what wrote this: strings and numbers by name.
        notes: sentences.
    """
    from mixing.result import leaves

    console = plan.console
    # In double: a control at the end of its range stays within it.
    values = console.physical(plan.controls.map(lambda u: u.detach().cpu().double()))
    tracks = []
    for n, name in enumerate(source.names):
        own = {k: float(v[0, n]) for k, v in values["tracks"].items()}
        inserts = _listed(leaves(console.track_chain), iter(own[q.name] for q in console.inserts))
        track = {"name": name, "channels": int(source.channels[n]), "lag_samples": 0, "inserts": inserts}
        track |= {"fader_db": own["fader_db"], "pan": own["pan"]}
        tracks.append({**track, "sends_db": {bus: own[f"send_{bus}_db"] for bus in console.buses}})
    of_buses = iter(float(values["buses"][q.name][0]) for q in console.bus_controls)
    of_master = iter(float(values["master"][q.name][0]) for q in console.master_controls)
    return {
        "schema": SCHEMA,
        "sample_rate": source.sample_rate,
        "tracks": tracks,
        "buses": [{"name": n, "effects": _listed(leaves(b), of_buses)} for n, b in console.buses.items()],  # type: ignore[arg-type]
        "master": _listed(leaves(console.master), of_master),
        "output_gain_db": output_gain_db,
        "notes": list(notes),
        "provenance": provenance,
    }


def _listed(effects: list[Effect], values: Iterator[float], flags: Iterable[str] = ()) -> list[dict[str, Any]]:
    """Effects with their controls, whose values come one after the other."""
    out = []
    for effect in effects:
        lost = undetermined(effect.name, flags)
        controls = {}
        for q in effect.controls:
            controls[q.name] = {"value": float(next(values)), "unit": q.unit}
            if q.name in lost or "*" in lost:
                controls[q.name]["determined"] = False
        entry: dict[str, Any] = {"effect": effect.name, "controls": controls}
        if effect.settings:
            entry["options"] = dict(effect.settings)
        out.append(entry)
    return out


def undetermined(effect: str, flags: Iterable[str]) -> set[str]:
    """Which controls of an effect a track's flags declare lost; "*" stands for all."""
    from mixing.result import ALWAYS_ON, INACTIVE, UNHEARD

    lost: set[str] = set()
    for flag in flags:
        if flag == UNHEARD or (flag == INACTIVE and effect == "Compressor"):
            lost.add("*")
        elif flag == ALWAYS_ON and effect == "Compressor":
            lost.add("threshold_db")
    return lost


def write(path: str | Path, settings: Settings) -> None:
    """Check and write, whole or not at all."""
    _check_form("settings", settings)
    text = json.dumps(settings, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write_text(path, text)


def read(path: str | Path) -> Settings:
    """Read and check: its form against the schema, its effects and controls against the tables.

    Raises:
        UserError: no such file, not JSON, another version, or a value that no effect takes; the message says where.
    """
    path = Path(path)
    try:
        if path.stat().st_size > _LARGEST:
            raise UserError(f"{path}: is larger than any settings file ({_LARGEST // 1_000_000} MB); give the right file.")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file.") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be opened ({(error.strerror or str(error)).lower()}).") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: is not a text file; give the settings.json that dasp wrote.") from None
    return parse(str(path), text)


def parse(who: str, text: str) -> Settings:
    """Check the text of a settings file, as `read` does.

    Args:
        who: in front of the messages.
        text: JSON.

    Raises:
        UserError: as `read`.
    """
    settings = strict_json.parse(who, text, "; give the settings.json that dasp wrote")
    _check_form(who, settings)
    _check_meaning(who, settings)
    return settings


def _check_form(who: str, settings: Any) -> None:
    if isinstance(settings, dict):
        version = settings.get("schema")
        if isinstance(version, str) and re.fullmatch(r"dasp-settings/\d+", version) and version != SCHEMA:
            raise UserError(f"{who}: is of version {version}; this dasp reads {SCHEMA}: use the dasp that wrote it.")
    strict_json.check(who, settings, schema())


def _check_meaning(who: str, settings: Settings) -> None:
    """What a schema cannot say: effects, controls and ranges that exist, names that are unique, sends to buses that exist."""
    for kind in ("tracks", "buses"):
        names = [x["name"] for x in settings.get(kind, [])]
        twice = [n for n in names if names.count(n) > 1]
        if twice:
            raise UserError(f"{who}: {kind}: {short(twice[0])} stands twice; rename one.")
    buses = [b["name"] for b in settings.get("buses", [])]
    for track in settings["tracks"]:
        place = f"{who}: track {short(track['name'])}"
        _check_effects(place, track.get("inserts", []), insert=True)
        for bus in track.get("sends_db", {}):
            if bus not in buses:
                raise UserError(f"{place}: sends to the bus {short(bus)}, but there are {', '.join(buses) or 'none'}.")
    for bus in settings.get("buses", []):
        _check_effects(f"{who}: bus {bus['name']}", bus["effects"])
    _check_effects(f"{who}: master", settings.get("master", []))


def _check_effects(place: str, effects: list[dict[str, Any]], insert: bool = False) -> None:
    import torch

    from dasp.effect import nearest
    from dasp.effects import find

    for entry in effects:
        try:
            cls = find(entry["effect"])
            _check_options(cls, entry.get("options", {}))
            cls(**entry.get("options", {}))(torch.zeros(1, 1, 1))  # an option's value is checked at the call
        except (ValueError, TypeError) as error:
            raise UserError(f"{place}: {short(str(error), 300)}") from None
        if insert and cls.out_channels(1) != 1:
            raise UserError(f"{place}: {entry['effect']} makes mono stereo and cannot be an insert; use the track's pan.")
        table = {q.name: q for q in cls.controls}
        for name, control in entry.get("controls", {}).items():
            if name not in table:
                known = ", ".join(table)
                raise UserError(f"{place}: {cls.__name__} has no control {short(name)}; it has {known}.{nearest(name, table)}")
            q, value = table[name], control["value"]
            who = f"{place}: {cls.__name__}'s {name}"
            if control.get("unit", q.unit) != q.unit:
                raise UserError(f"{who} is in {q.unit or 'no unit'}; got {short(control['unit']) or 'no unit'}.")
            slack = 1e-9 * (q.high - q.low)  # a value that went through [0, 1] and back
            if not q.low - slack <= value <= q.high + slack:
                raise UserError(f"{who} is {q.low:g} to {q.high:g}{' ' * bool(q.unit)}{q.unit}; got {value:g}.")


def _check_options(cls: type[Effect], options: dict[str, Any]) -> None:
    """An effect takes further arguments, a file of weights among them, that are no file's to choose."""
    from dasp.effect import nearest

    for name in options:
        if name not in cls.options:
            known = ", ".join(cls.options) or "none"
            raise ValueError(f"{cls.__name__}: no option {short(name)!r}; it has {known}.{nearest(name, cls.options)}")
