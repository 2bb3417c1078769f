"""ParametricEQ: low shelf, four peaks, high shelf."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dasp.atoms.design import sections
from dasp.atoms.level import as_controls
from dasp.effect import Effect
from dasp.effects._filter import band, filtered
from dasp.param import Param

BANDS: dict[str, tuple[str, tuple[Param, Param, Param]]] = {
    "low_shelf": ("LowShelfFilter", band("low_shelf_", 20.0, 2000.0, 100.0)),
    "peak1": ("PeakFilter", band("peak1_", 40.0, 2000.0, 250.0)),
    "peak2": ("PeakFilter", band("peak2_", 100.0, 5000.0, 800.0)),
    "peak3": ("PeakFilter", band("peak3_", 400.0, 10000.0, 2500.0)),
    "peak4": ("PeakFilter", band("peak4_", 1000.0, 18000.0, 6000.0)),
    "high_shelf": ("HighShelfFilter", band("high_shelf_", 1000.0, 20000.0, 10000.0)),
}
_KINDS = ("low_shelf", "peak", "peak", "peak", "peak", "high_shelf")


def parametric_eq(
    x: Tensor,
    *,
    sample_rate: float = 44100,
    low_shelf_cutoff_frequency_hz: float | Tensor = 100.0,
    low_shelf_gain_db: float | Tensor = 0.0,
    low_shelf_q: float | Tensor = 0.5**0.5,
    peak1_cutoff_frequency_hz: float | Tensor = 250.0,
    peak1_gain_db: float | Tensor = 0.0,
    peak1_q: float | Tensor = 0.5**0.5,
    peak2_cutoff_frequency_hz: float | Tensor = 800.0,
    peak2_gain_db: float | Tensor = 0.0,
    peak2_q: float | Tensor = 0.5**0.5,
    peak3_cutoff_frequency_hz: float | Tensor = 2500.0,
    peak3_gain_db: float | Tensor = 0.0,
    peak3_q: float | Tensor = 0.5**0.5,
    peak4_cutoff_frequency_hz: float | Tensor = 6000.0,
    peak4_gain_db: float | Tensor = 0.0,
    peak4_q: float | Tensor = 0.5**0.5,
    high_shelf_cutoff_frequency_hz: float | Tensor = 10000.0,
    high_shelf_gain_db: float | Tensor = 0.0,
    high_shelf_q: float | Tensor = 0.5**0.5,
    state: dict | None = None,
    hop: int = 0,
) -> Tensor:
    """Six second-order sections in series (R. Bristow-Johnson's cookbook), as Pedalboard's shelves and peaks in a row.

    Args:
        x: audio (B, C, T).
        sample_rate: in Hz.
        low_shelf_*, peak1_* to peak4_*, high_shelf_*: numbers, (B,), (B, 1, 1) or (B, 1, T); frequencies act up to fs/2 - 100 Hz.
        state: a dict that carries the filters' memory between blocks.
        hop: length of the blocks in which the plugin would get controls that vary in time.
    """
    frequency = (
        low_shelf_cutoff_frequency_hz,
        peak1_cutoff_frequency_hz,
        peak2_cutoff_frequency_hz,
        peak3_cutoff_frequency_hz,
        peak4_cutoff_frequency_hz,
        high_shelf_cutoff_frequency_hz,
    )
    gain_db = (low_shelf_gain_db, peak1_gain_db, peak2_gain_db, peak3_gain_db, peak4_gain_db, high_shelf_gain_db)
    q = (low_shelf_q, peak1_q, peak2_q, peak3_q, peak4_q, high_shelf_q)

    def together(values: tuple[float | Tensor, ...]) -> Tensor:
        """(B, 6, 1 or T)."""
        return torch.cat(torch.broadcast_tensors(*as_controls(x, *values)), dim=1)

    sos = sections(_KINDS, together(frequency), together(gain_db), together(q), sample_rate, x.dtype)
    return filtered(x, sos, state, hop)


def _plugin(**controls: Any) -> list[tuple[str, dict[str, float]]]:
    return [
        (plugin, {q.name.removeprefix(f"{name}_"): controls[q.name] for q in params}) for name, (plugin, params) in BANDS.items()
    ]


class ParametricEQ(Effect):
    """Shape the spectrum with six bands: low shelf, four peaks, high shelf."""

    controls = tuple(q for _, params in BANDS.values() for q in params)
    dsp = staticmethod(parametric_eq)
    plugin = staticmethod(_plugin)
