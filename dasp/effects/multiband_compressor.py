"""MultibandCompressor: three compressors behind crossovers that add up flat."""

from __future__ import annotations

import torch
from torch import Tensor

from dasp.atoms.crossover import three_bands
from dasp.atoms.level import as_controls
from dasp.effects import _dynamics as dynamics
from dasp.param import Param


def multiband_compressor(
    x: Tensor,
    *,
    sample_rate: float = 44100,
    low_crossover_hz: float | Tensor = 200.0,
    high_crossover_hz: float | Tensor = 3000.0,
    low_threshold_db: float | Tensor = -20.0,
    low_ratio: float | Tensor = 3.0,
    low_attack_ms: float | Tensor = 20.0,
    low_release_ms: float | Tensor = 200.0,
    low_makeup_gain_db: float | Tensor = 0.0,
    mid_threshold_db: float | Tensor = -20.0,
    mid_ratio: float | Tensor = 3.0,
    mid_attack_ms: float | Tensor = 10.0,
    mid_release_ms: float | Tensor = 100.0,
    mid_makeup_gain_db: float | Tensor = 0.0,
    high_threshold_db: float | Tensor = -20.0,
    high_ratio: float | Tensor = 3.0,
    high_attack_ms: float | Tensor = 5.0,
    high_release_ms: float | Tensor = 50.0,
    high_makeup_gain_db: float | Tensor = 0.0,
    knee_db: float = 6.0,
    detector: str = "peak",
    stereo_link: str = "max",
    state: dict | None = None,
) -> Tensor:
    """Fourth-order Linkwitz-Riley crossovers, the gain computer of StudioCompressor in each band, and their sum.

    Where no band is turned down the magnitude is flat; the crossovers turn the phase.

    Args:
        x: audio (B, C, T).
        sample_rate: in Hz.
        low_crossover_hz, high_crossover_hz, low_*, mid_*, high_*: numbers, (B,), (B, 1, 1) or (B, 1, T). Crossovers act up to
            fs/2 - 100 Hz; times are real time constants.
        knee_db: width of the knee in all bands.
        detector, stereo_link: as in StudioCompressor.
        state: a dict that carries filters and followers between blocks.
    """
    low_hz, high_hz = as_controls(x, low_crossover_hz, high_crossover_hz)
    bands = three_bands(x, low_hz, high_hz, sample_rate, state).flatten(0, 1)

    def of_bands(low: float | Tensor, mid: float | Tensor, high: float | Tensor) -> Tensor:
        """(3 B, 1, 1 or T): the bands lie in the batch, and share everything below."""
        return torch.cat(torch.broadcast_tensors(*as_controls(x, low, mid, high)))

    threshold = of_bands(low_threshold_db, mid_threshold_db, high_threshold_db)
    slope = of_bands(low_ratio, mid_ratio, high_ratio)
    attack = of_bands(low_attack_ms, mid_attack_ms, high_attack_ms)
    release = of_bands(low_release_ms, mid_release_ms, high_release_ms)
    makeup = of_bands(low_makeup_gain_db, mid_makeup_gain_db, high_makeup_gain_db)
    level = dynamics.level_db(bands, sample_rate, "MultibandCompressor", detector, stereo_link, state)
    (knee,) = as_controls(bands, knee_db)
    reduction = dynamics.reduction_db(level, threshold, slope, knee, attack, release, sample_rate, state)
    y = bands * dynamics.db_to_linear(makeup - reduction)
    return y.unflatten(0, (3, -1)).sum(0).to(x.dtype)


def _band(name: str, attack_ms: float, release_ms: float) -> tuple[Param, ...]:
    return (
        Param(f"{name}_threshold_db", "dB", -60.0, 0.0, -20.0, doc=f"level above which the {name} band's gain falls"),
        Param(f"{name}_ratio", "dB/dB", 1.0, 20.0, 3.0, "log", f"input rise for 1 dB of output rise of the {name} band"),
        *dynamics.time_params(attack_ms, release_ms, f"how fast the {name} band falls", "how fast it recovers", f"{name}_"),
        Param(f"{name}_makeup_gain_db", "dB", -12.0, 24.0, 0.0, doc=f"gain of the {name} band behind its compressor"),
    )


class MultibandCompressor(dynamics.Linked):
    """Compress lows, mids and highs each for itself. Options: `knee_db`; `detector` peak or rms; `stereo_link` max, mean or
    none."""

    controls = (
        Param("low_crossover_hz", "Hz", 40.0, 1000.0, 200.0, "log", "between the low and the middle band"),
        Param("high_crossover_hz", "Hz", 1000.0, 12000.0, 3000.0, "log", "between the middle and the high band"),
        *_band("low", 20.0, 200.0),
        *_band("mid", 10.0, 100.0),
        *_band("high", 5.0, 50.0),
    )
    dsp = staticmethod(multiband_compressor)
    options = {"knee_db": 6.0, "detector": "peak", "stereo_link": "max"}
    links_channels = True
