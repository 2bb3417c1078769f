"""What the single-band equaliser effects share: one table shape, one function from design to sound."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from dasp.atoms.biquad import biquad
from dasp.atoms.level import as_controls
from dasp.param import Param


def band(prefix: str, low_hz: float, high_hz: float, default_hz: float) -> tuple[Param, Param, Param]:
    """Frequency, gain and Q of one equaliser band."""
    return (
        Param(f"{prefix}cutoff_frequency_hz", "Hz", low_hz, high_hz, default_hz, "log", "corner or centre frequency", step=1e-2),
        Param(f"{prefix}gain_db", "dB", -24.0, 24.0, 0.0, doc="gain of the band", step=1e-2),
        Param(f"{prefix}q", "", 0.1, 10.0, 0.5**0.5, "log", "quality factor", step=1e-2),
    )


def second_order(
    design: Callable[..., Tensor],
    x: Tensor,
    sample_rate: float,
    cutoff_frequency_hz: float | Tensor,
    gain_db: float | Tensor,
    q: float | Tensor,
    state: dict | None,
    hop: int,
) -> Tensor:
    frequency, gain, quality = as_controls(x, cutoff_frequency_hz, gain_db, q)
    sos = design(frequency, gain, quality, sample_rate, x.dtype)
    y, memory = biquad(x, sos, None if state is None else state.get("biquad"), hop)
    if state is not None:
        state["biquad"] = memory
    return y
