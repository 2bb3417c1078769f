"""Fuzz: hard clipping to nearly a square, antialiased."""

from __future__ import annotations

import torch
from torch import Tensor

from dasp.atoms.antialias import antialiased, mean_clip
from dasp.atoms.level import as_controls, db_to_gain
from dasp.effect import Effect
from dasp.param import Param


def fuzz(
    x: Tensor,
    *,
    sample_rate: float = 44100,
    drive_db: float | Tensor = 40.0,
    level_db: float | Tensor = 0.0,
    state: dict | None = None,
) -> Tensor:
    """y = level times the mean of min(max(z, -1), 1) from one sample of z = 10^(drive_db / 20) x to the next.

    First-order antiderivative antialiasing (Parker, Zavalishin, Le Bivic, DAFx 2016; `dasp.atoms.antialias`): half a sample of
    delay, -3 dB at fs/4. Of the aliases of a 5 kHz sine at 44.1 kHz and 40 dB of drive it takes 16 dB below 16 kHz, and
    9 dB counting those just below fs/2, which no first order reaches. Computed in double for float32 audio too.

    Args:
        x: audio (B, C, T).
        sample_rate: in Hz; the curve does not depend on it.
        drive_db: gain in front of the clipper.
        level_db: gain behind it. Controls are numbers, (B,), (B, 1, 1) or (B, 1, T).
        state: a dict that carries the last sample between blocks.
    """
    drive, level = as_controls(x, drive_db, level_db)
    memory = {} if state is None else state
    z = x.double() * db_to_gain(drive, torch.float64)
    y, memory["last"] = antialiased(mean_clip, z, memory.get("last", z.new_zeros(*z.shape[:2], 1)))
    return (y * db_to_gain(level, torch.float64)).to(x.dtype)


class Fuzz(Effect):
    """Clip hard, to nearly a square wave, antialiased."""

    controls = (
        Param("drive_db", "dB", 0.0, 60.0, 40.0, doc="gain in front of the clipper"),
        Param("level_db", "dB", -24.0, 12.0, 0.0, doc="gain of the output"),
    )
    dsp = staticmethod(fuzz)
