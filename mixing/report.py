"""report.html: what a match found, on one page that needs nothing else."""

from __future__ import annotations

import base64
import io
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mixing.audio import resample
from mixing.loudness import integrated_loudness
from mixing.multitrack import Multitrack
from mixing.plots import losses, spectra
from mixing.result import ALWAYS_ON, INACTIVE, UNHEARD, MatchResult
from mixing.settings import Settings
from mixing.templates import templates

SECONDS = 45.0  # of sound a player: four of them stay below ten megabytes
_MP3_RATES = (16000, 22050, 24000, 32000, 44100, 48000)
_FLAT_DB = 0.1
_SILENT_SEND_DB = -50.0


@dataclass(frozen=True)
class Cell:
    """One entry of the table of settings.

    Attributes:
        title: of its column.
        lines: what stands there.
        kind: "" for numbers, "word" for what stands in place of numbers.
    """

    title: str
    lines: tuple[str, ...]
    kind: str = ""


@dataclass(frozen=True)
class Row:
    """A track of the table of settings."""

    name: str
    cells: list[Cell]
    flags: list[str] = field(default_factory=list)


def page(result: MatchResult, settings: Settings, tracks: Multitrack) -> str:
    """The page.

    Args:
        result: the match.
        settings: as written to settings.json.
        tracks: one song with its `mix`, the reference.
    """
    assert tracks.mix is not None
    signals = {"plain sum": tracks.unity_mix()[0], "reference": tracks.mix[0], "match": result.audio}
    start, stop = _loudest(signals["reference"], result.sample_rate)
    environment = templates(Path(__file__).parent)
    environment.filters["db"] = decibels
    return environment.get_template("report.html.j2").render(
        reference=settings["provenance"].get("reference", "the reference"),
        settings=settings,
        metrics=settings["metrics"],
        rows=[row(t) for t in settings["tracks"]],
        buses=[(b["name"], [effect_cell(e) for e in b["effects"]]) for b in settings["buses"]],
        master=[effect_cell(e) for e in settings["master"]],
        spectra=spectra(signals, result.sample_rate),
        losses=losses(result.history),
        players=players({k: v[:, start:stop] for k, v in signals.items()}, result.sample_rate),
        excerpt=None
        if stop - start == result.audio.shape[1]
        else (clock(start, result.sample_rate), clock(stop, result.sample_rate)),
    )


def row(track: dict[str, Any]) -> Row:
    """A track's settings as a person types them into a DAW; words where a number would mean nothing."""
    flags = track["flags"]
    quiet = UNHEARD in flags
    fader = Cell("Fader", (decibels(track["fader_db"]),))
    if ALWAYS_ON in flags and "gain_reduction_db" in track:
        level = track["fader_db"] + track["gain_reduction_db"]["mean"]
        fader = Cell("Fader", (decibels(level), "compressed"))
    cells = [fader, Cell("Pan", (pan(track["pan"]),))]
    for bus, db in track["sends_db"].items():
        off = db <= _SILENT_SEND_DB
        cells.append(Cell(f"{bus.capitalize()} send", ("off",) if off else (decibels(db),), "word" if off else ""))
    if quiet:
        cells = [Cell(c.title, (f"≈ {c.lines[0]}", *c.lines[1:]), "word") for c in cells]
    inserts = [effect_cell(e, track) for e in track["inserts"]]
    cells[2:2] = [Cell(c.title, ("not recovered",), "word") if quiet else c for c in inserts]
    lag = track["lag_samples"]
    moved = [f"{abs(lag)} samples {'late: move it earlier' if lag > 0 else 'early: move it later'}"] if lag else []
    return Row(track["name"], cells, [*moved, *(f for f in flags if f != INACTIVE)])


def effect_cell(entry: dict[str, Any], track: dict[str, Any] | None = None) -> Cell:
    """An effect's settings in a few words."""
    title, values = _title(entry["effect"]), {k: c["value"] for k, c in entry["controls"].items()}
    if entry["effect"] == "Compressor":
        return Cell(title, *_compressor(values, track or {}))
    bands = dict.fromkeys(
        k.removesuffix("gain_db") for k in values if f"{k.removesuffix('gain_db')}cutoff_frequency_hz" in values
    )
    if bands:
        lines = []
        for band in bands:
            gain = values[f"{band}gain_db"]
            numbers = (hertz(values[f"{band}cutoff_frequency_hz"]), decibels(gain), f"Q {values[f'{band}q']:.2f}")
            said = ("flat",) if abs(gain) < _FLAT_DB else numbers
            # One band stands in lines, to keep its column narrow; several stand in a line each.
            lines += [f"{band.rstrip('_').replace('_', ' ')}: {', '.join(said)}"] if band else said
        return Cell(title, tuple(lines), "word" if all(line.endswith("flat") for line in lines) else "")
    units = {k: c["unit"] for k, c in entry["controls"].items()}
    return Cell(title, tuple(f"{_label(k, units[k])} {_value(v, units[k])}" for k, v in values.items()))


def _compressor(values: dict[str, float], track: dict[str, Any]) -> tuple[tuple[str, ...], str]:
    flags = track.get("flags", ())
    if INACTIVE in flags:
        return ("inactive",), "word"
    times = (f"attack {milliseconds(values['attack_ms'])}", f"release {milliseconds(values['release_ms'])}")
    reduction = track.get("gain_reduction_db")
    works = (f"takes {abs(reduction['mean']):.1f} dB",) if reduction else ()
    threshold = "always on" if ALWAYS_ON in flags else f"threshold {decibels(values['threshold_db'])}"
    return (threshold, f"ratio {values['ratio']:.1f}:1", *times, *works), ""


def _title(effect: str) -> str:
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", effect.removesuffix("Filter"))
    return words[0] + words[1:].replace(" S", " s")


def _label(name: str, unit: str) -> str:
    return name.removesuffix(f"_{unit.lower()}").replace("_", " ")


def _value(value: float, unit: str) -> str:
    known = {"dB": decibels, "Hz": hertz, "ms": milliseconds}
    return known[unit](value) if unit in known else f"{value:.2f}{' ' * bool(unit)}{unit}"


def decibels(value: float) -> str:
    """One decimal, and the sign that typographers use."""
    sign = "+" if value >= 0.05 else "\N{MINUS SIGN}" if value <= -0.05 else ""
    return f"{sign}{abs(value):.1f} dB"


def hertz(value: float) -> str:
    """Three digits, in Hz or kHz."""
    return f"{value:.0f} Hz" if value < 1000 else f"{value / 1000:.2f} kHz" if value < 10000 else f"{value / 1000:.1f} kHz"


def milliseconds(value: float) -> str:
    return f"{value:.0f} ms" if value >= 10 else f"{value:.1f} ms" if value >= 1 else f"{value:.2f} ms"


def pan(value: float) -> str:
    """[0, 1] -> 'L 40 %', 'C', 'R 12 %'."""
    percent = round((value - 0.5) * 200)
    return "C" if percent == 0 else f"{'L' if percent < 0 else 'R'} {abs(percent)} %"


def clock(samples: int, sample_rate: float) -> str:
    seconds = round(samples / sample_rate)
    return f"{seconds // 60}:{seconds % 60:02d}"


def _loudest(audio: Tensor, sample_rate: float) -> tuple[int, int]:
    """The stretch of at most SECONDS that holds most energy."""
    length = round(SECONDS * sample_rate)
    if audio.shape[1] <= length:
        return 0, audio.shape[1]
    energy = torch.nn.functional.pad(audio.double().square().sum(0).cumsum(0), (1, 0))
    hop = round(sample_rate)
    inside = energy[length::hop] - energy[: len(energy) - length : hop]
    start = int(inside.argmax()) * hop
    return start, start + length


@dataclass(frozen=True)
class Player:
    """A sound of the page."""

    name: str
    about: str
    source: str


def players(signals: dict[str, Tensor], sample_rate: float) -> dict[str, Any]:
    """Reference, match and plain sum at one loudness, and what is left between the first two at the match's own gain."""
    loudness = {k: integrated_loudness(v, sample_rate) for k, v in signals.items()}
    heard = [k for k in signals if math.isfinite(loudness[k])]
    # As loud as all of them can be without clipping.
    room = [loudness[k] - 20 * math.log10(float(signals[k].abs().max())) - 1.0 for k in heard]
    target = min([-14.0, *room])
    gains = {k: 10 ** ((target - loudness[k]) / 20) if k in heard else 1.0 for k in signals}
    left = (signals["reference"] - signals["match"]) * gains["match"]
    excess = max(1.0, float(left.abs().max()) / 0.9)
    about = {
        "reference": "the mix that was to be matched",
        "match": "the console's mix of the stems",
        "plain sum": "the stems as they are, every fader at unity",
    }
    listed = [Player(k.capitalize(), about[k], _embedded(signals[k] * gains[k], sample_rate)) for k in about]
    level = "as loud as it is in the match" if excess == 1 else f"{20 * math.log10(excess):.0f} dB softer than in the match"
    listed.append(Player("What is left", f"reference minus match, {level}", _embedded(left / excess, sample_rate)))
    return {"listed": listed, "loudness": target if heard else None}


def _embedded(audio: Tensor, sample_rate: float) -> str:
    """(2, T) -> a data URI: MP3, or Ogg Vorbis where libsndfile has no MP3."""
    import soundfile

    rate = round(sample_rate)
    if rate not in _MP3_RATES:
        audio, rate = resample(audio, sample_rate, 44100), 44100
    mp3 = "MP3" in soundfile.available_formats()
    out = io.BytesIO()
    with soundfile.SoundFile(out, "w", rate, 2, "MPEG_LAYER_III" if mp3 else "VORBIS", format="MP3" if mp3 else "OGG") as file:
        for part in audio.float().T.contiguous().split(1 << 16):
            file.write(part.numpy())
    return f"data:audio/{'mpeg' if mp3 else 'ogg'};base64,{base64.b64encode(out.getvalue()).decode()}"
