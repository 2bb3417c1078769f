"""The multitrack that ships with the package: nine CC0 stems, 30 s; SOURCES.md has the credit."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

FRANCIUM = Path(__file__).parent / "francium"


def excerpts(seconds: float) -> tuple[Tensor, float]:
    """Music for measurements: (4, 2, T) float32 from four stems of different kinds, and the sample rate."""
    import torch

    from mixing.audio import read

    starts = {"04_garage_beat": 8.0, "06_lead_vox": 10.0, "08_synth_minilogue": 12.0, "09_texture": 5.0}
    parts = []
    for name, start in starts.items():
        audio, rate = read(FRANCIUM / f"{name}.flac")
        first = round(start * rate)
        part = audio[:, first : first + round(seconds * rate)].expand(2, -1)
        parts.append(part / part.abs().max().clamp_min(1e-9) * 0.7)
    return torch.stack(parts), float(rate)
