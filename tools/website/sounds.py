"""What effects sound like: a few seconds of the demo song before and after, as small MP3s."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

import numpy as np
import torch

from mixing.audio import read
from mixing.demo_data import FRANCIUM
from website.examples import example, made

SECONDS = 4.0
_FADE = 0.02


@cache
def _excerpt(stem: str, start: float) -> np.ndarray:
    """(C, T) float32 at 44.1 kHz, peak at -6 dB, faded in and out."""
    audio, rate = read(FRANCIUM / f"{stem}.flac")
    part = audio[:, round(start * rate) : round((start + SECONDS) * rate)].numpy()
    fade = round(_FADE * rate)
    edges = np.ones(part.shape[1], np.float32)
    edges[:fade], edges[-fade:] = np.linspace(0, 1, fade), np.linspace(1, 0, fade)
    return (part * edges / np.abs(part).max() * 0.5).astype(np.float32)


def write(name: str, folder: Path) -> tuple[str, str, float]:
    """Write the sound of an effect.

    Returns:
        the file names of before and after, and by how many dB the second was turned down so that it is not clipped.
    """
    import soundfile

    shown = example(name)
    effect, controls = made(name, shown.sound)
    x = _excerpt(shown.stem, shown.start)
    if effect.channels == (2,) and len(x) == 1:
        x = np.repeat(x, 2, 0)
    with torch.no_grad():
        y = effect(torch.from_numpy(x)[None], **controls)[0].numpy()
    loudest = max(1.0, float(np.abs(y).max()) / 0.97)
    before, after = f"{shown.stem}_{shown.start:g}s_{len(x)}ch.mp3", f"{name}.mp3"
    for file, audio in ((before, x), (after, y / loudest)):
        if file == after or not (folder / file).exists():
            soundfile.write(folder / file, audio.T, 44100, format="MP3", bitrate_mode="VARIABLE", compression_level=0.6)
    return before, after, 20 * math.log10(loudest)
