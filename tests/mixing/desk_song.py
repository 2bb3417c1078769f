"""A small song with its mixing desk, for the tests of the page."""

import base64
from pathlib import Path

import numpy as np
import torch
from synthetic import save, stem

from mixing import Multitrack, audio, settings
from mixing.blocks import Plan, Whole
from mixing.engineer import console, draw
from mixing.playback import render

INSERTS = ("ParametricEQ", "Compressor")
SECONDS = 2.0


def stems(folder: Path) -> Path:
    for n, (name, channels) in enumerate((("1 kick", 1), ("2 synth", 2), ("3 hat", 1))):
        save(folder / f"{name}.wav", stem(n, SECONDS, channels=channels), subtype="FLOAT")
    return folder


def full_settings(tracks: Multitrack, master: bool = True, command: str = "") -> dict:
    """Equaliser, compressor and reverb send on every track, settings as an engineer might choose."""
    made = console(tracks.sample_rate, INSERTS, plugins=False)
    plan = Plan(made, draw(made, tracks, torch.Generator().manual_seed(3)))
    values = settings.of_plan(plan, Whole(tracks), -2.0, {"command": command})
    for track in values["tracks"]:
        track["sends_db"]["reverb"] = -6.0
    if master:
        low, gain = ({"gain_db": {"value": v, "unit": "dB"}} for v in (2.0, 1.0))
        values["master"] = [{"effect": "LowShelfFilter", "controls": low}, {"effect": "Gain", "controls": gain}]
    return values


def results(folder: Path, stems: Path, values: dict | None = None) -> Path:
    """What `dasp mix` would have written."""
    tracks = Multitrack.from_folder(stems)
    values = values or full_settings(tracks, command=f"dasp mix '{stems}' -o out")
    folder.mkdir()
    settings.write(folder / "settings.json", values)
    audio.write(folder / "mix.wav", render(settings.read(folder / "settings.json"), tracks), tracks.sample_rate)
    return folder


def of_page(page) -> torch.Tensor:
    """The page's own mix, (2, T)."""
    encoded = page.evaluate(
        """async () => (await dasp.render()).map((side) => {
             const bytes = new Uint8Array(side.buffer);
             let text = "";
             for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
             return btoa(text);
           })"""
    )
    return torch.stack([torch.from_numpy(np.frombuffer(base64.b64decode(side), np.float32).copy()) for side in encoded])


def level_db(audio: torch.Tensor) -> float:
    return 10 * float(audio.double().square().sum().clamp_min(1e-20).log10())
