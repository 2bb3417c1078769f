"""Synthetic music for the tests of the mixing layer: nothing is read from outside."""

import math
from pathlib import Path

import numpy as np
import soundfile
import torch

RATE = 22050


def stem(kind: int, seconds: float = 1.5, rate: int = RATE, channels: int = 1) -> torch.Tensor:
    """(channels, T): hits, a tone with partials, noise bursts, by `kind`; deterministic."""
    generator = torch.Generator().manual_seed(kind)
    t = torch.arange(round(seconds * rate)) / rate
    beat = (t * (2 + kind)) % 1
    envelope = torch.exp(-6 * beat)
    if kind % 3 == 0:
        x = torch.sin(2 * math.pi * (60 + 40 * envelope) * t) * envelope
    elif kind % 3 == 1:
        x = sum(torch.sin(2 * math.pi * f * (110 + 20 * kind) * t) / f for f in range(1, 8)) * envelope.sqrt()
    else:
        x = torch.randn(len(t), generator=generator) * envelope
    x = 0.3 * x / x.abs().max()
    return torch.stack([x, 0.7 * torch.roll(x, 37)])[:channels].float()


def save(path: Path, audio: torch.Tensor, rate: int = RATE, subtype: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.asarray(audio.T), rate, subtype=subtype)
    return path


def listing(folder: Path) -> dict[str, bytes]:
    """Every file under a folder with its content: to prove that nothing was touched."""
    return {str(f.relative_to(folder)): f.read_bytes() if f.is_file() else b"" for f in sorted(folder.rglob("*"))}
