"""Levels and pole coefficients, in the plugin's float32 with exact derivatives; and the shape of controls."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from dasp.atoms.libm import libm
from dasp.atoms.precision import as_plugin


def as_controls(x: Tensor, *values: float | Tensor) -> list[Tensor]:
    """Numbers, (B,), (B, 1, 1) or (B, 1, T) -> float64 tensors that broadcast over x (B, C, T)."""
    out = []
    for value in values:
        t = torch.as_tensor(value, dtype=torch.float64, device=x.device)
        if t.ndim < 2:
            t = t.reshape(-1, 1, 1)
        if t.ndim != 3 or t.shape[1] != 1 or t.shape[0] not in (1, len(x)) or t.shape[2] not in (1, x.shape[2]):
            raise ValueError(
                f"a control must be a number, ({len(x)},), ({len(x)}, 1, 1) or ({len(x)}, 1, {x.shape[2]}) for audio "
                f"{tuple(x.shape)}; got {tuple(t.shape)}."
            )
        out.append(t.expand(len(x), 1, -1))
    return out


def db_to_gain(db: Tensor, dtype: torch.dtype, floor_db: float = -100.0) -> Tensor:
    """Decibels -> linear gain, 10^(db/20), exactly 0 at or below the floor. float64, with float32 values for float32 audio."""
    exact = torch.where(db <= floor_db, 0.0, 10 ** (db / 20))
    if dtype == torch.float64:
        return exact
    narrow = db.detach().float()
    ten = narrow.new_tensor(10.0)
    rounded = torch.where(narrow <= floor_db, 0.0, libm("powf", ten, narrow * 0.05))
    return as_plugin(exact, rounded)


def ballistics_pole(time_ms: Tensor, sample_rate: float, dtype: torch.dtype) -> Tensor:
    """Time constant -> pole, exp(-2 pi 1000 / (fs t)), and 0 (instant) below a microsecond. float64, as `db_to_gain`.

    The plugins' convention: with the 2 pi, the follower's time constant is t / (2 pi).
    """

    def pole(ms: Tensor) -> Tensor:
        safe = ms.clamp_min(1e-3)
        return torch.where(ms < 1e-3, 0.0, torch.exp(-2000 * math.pi / (sample_rate * safe)))

    exact = pole(time_ms)
    if dtype == torch.float64:
        return exact
    return as_plugin(exact, pole(time_ms.detach().float().double()).float())
