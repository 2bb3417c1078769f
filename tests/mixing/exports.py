"""Random settings for the tests of projects, and stems for them."""

from __future__ import annotations

import random
import re
import zipfile
from pathlib import Path

from synthetic import RATE, save, stem

from dasp.effects import registry
from mixing.settings import SCHEMA, Settings

INSERTS = tuple(
    n
    for n, c in registry().items()
    if c.out_channels(1) == 1 and 1 in (c.channels or (1,)) and n not in ("Convolution", "FIRFilter")
)
MASTER = ("PeakFilter", "Limiter", "Compressor", "ParametricEQ")
BUSES = ("Reverb", "Delay", "Plate", "StudioCompressor", "PeakFilter", "Gain")


def effect(rng: random.Random, name: str, full: bool = True) -> dict:
    controls = {}
    for q in registry()[name].controls:
        if full or rng.random() < 0.7:
            value = float(q.to_physical(rng.random()))
            controls[q.name] = {"value": min(max(value, q.low), q.high), "unit": q.unit}
    entry: dict = {"effect": name, "controls": controls}
    if rng.random() < 0.2 and "detector" in registry()[name].options:
        entry["options"] = {"detector": "rms"}
    return entry


def settings(seed: int, tracks: int = 3, effects: int = 3) -> Settings:
    """Settings that any console of dasp might have written: some values left out, others at the ends of their range."""
    rng = random.Random(seed)
    names = rng.sample(("reverb", "delay", "room"), rng.randint(0, 2))
    made = []
    for n in range(tracks):
        track: dict = {"name": f"track{n + 1}", "fader_db": rng.choice([-200.0, -60.0, 24.0, rng.uniform(-40, 12)])}
        if rng.random() < 0.8:
            track["pan"] = rng.choice([0.0, 0.5, 1.0, rng.random()])
        if rng.random() < 0.5:
            track["lag_samples"] = rng.choice([0, 37, -120, 5000])
        track["inserts"] = [effect(rng, rng.choice(INSERTS), rng.random() < 0.8) for _ in range(rng.randint(0, effects))]
        track["sends_db"] = {bus: rng.uniform(-60, 12) for bus in names if rng.random() < 0.7}
        if rng.random() < 0.3:
            track["flags"] = ["the compressor never acts"]
        if rng.random() < 0.3:
            track["mute"] = rng.random() < 0.5
        made.append(track)
    out: Settings = {
        "schema": SCHEMA,
        "sample_rate": RATE,
        "tracks": made,
        "buses": [{"name": b, "effects": [effect(rng, rng.choice(BUSES)) for _ in range(rng.randint(1, 2))]} for b in names],
        "master": [effect(rng, rng.choice(MASTER)) for _ in range(rng.randint(0, 2))],
        "notes": ["made for a test"],
        "provenance": {"seed": seed},
    }
    if rng.random() < 0.5:
        out["output_gain_db"] = rng.uniform(-12, 3)
    return out


def stems(folder: Path, names: list[str], seconds: float = 0.3) -> Path:
    """A folder with a stem for each name: mono and stereo in turn."""
    for n, name in enumerate(names):
        save(folder / f"{name}.wav", stem(n % 3, seconds, channels=1 + n % 2), subtype="FLOAT")
    return folder


def edited(path: Path, mark: str, value: str) -> Path:
    """A copy of a DAWproject in which the first element with a mark has another value."""
    out = path.with_name(f"edited{path.suffix}")
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(out, "w") as copy:
        for name in archive.namelist():
            data = archive.read(name)
            if name == "project.xml":
                start, end = _element(data.decode(), mark)
                text = data.decode()
                data = (text[:start] + re.sub(r'value="[^"]*"', f'value="{value}"', text[start:end]) + text[end:]).encode()
            copy.writestr(name, data)
    return out


def _element(text: str, mark: str) -> tuple[int, int]:
    at = text.index(mark)
    return text.rindex("<", 0, at), text.index(">", at)
