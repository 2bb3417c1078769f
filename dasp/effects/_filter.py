"""What the filter effects share: the shapes of their tables, and the way from coefficients to sound."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from dasp.atoms.biquad import biquad
from dasp.atoms.design import Sections, highest, section, sections
from dasp.atoms.level import as_controls
from dasp.param import Param


def cutoff(default_hz: float, doc: str) -> Param:
    """The frequency of a filter that has no gain of its own."""
    return Param("cutoff_frequency_hz", "Hz", 20.0, 20000.0, default_hz, "log", doc)


def band(prefix: str, low_hz: float, high_hz: float, default_hz: float) -> tuple[Param, Param, Param]:
    """Frequency, gain and Q of one equaliser band."""
    return (
        Param(f"{prefix}cutoff_frequency_hz", "Hz", low_hz, high_hz, default_hz, "log", "corner or centre frequency", step=1e-2),
        Param(f"{prefix}gain_db", "dB", -24.0, 24.0, 0.0, doc="gain of the band", step=1e-2),
        Param(f"{prefix}q", "", 0.1, 10.0, 0.5**0.5, "log", "quality factor", step=1e-2),
    )


def centre(frequency: str, quality: str) -> tuple[Param, Param]:
    """Frequency and Q of a filter that has no gain of its own."""
    return cutoff(1000.0, frequency), Param("q", "", 0.1, 10.0, 0.5**0.5, "log", quality)


def second_order(
    kind: str,
    x: Tensor,
    sample_rate: float,
    cutoff_frequency_hz: float | Tensor,
    gain_db: float | Tensor,
    q: float | Tensor,
    state: dict | None,
    hop: int,
) -> Tensor:
    """One of Pedalboard's filters; those of first order ignore gain and Q."""
    frequency, gain, quality = as_controls(x, cutoff_frequency_hz, gain_db, q)
    return filtered(x, sections([kind], frequency, gain, quality, sample_rate, x.dtype), state, hop)


def resonant(
    kind: str,
    x: Tensor,
    sample_rate: float,
    cutoff_frequency_hz: float | Tensor,
    q: float | Tensor,
    state: dict | None,
) -> Tensor:
    """No plugin is to be equalled here, so the recursion is in double: float32's would be 40 to 70 dB off at low frequencies."""
    frequency, quality = as_controls(x, cutoff_frequency_hz, q)
    x, dtype = x.double(), x.dtype
    return filtered(x, Sections(section(kind, frequency, quality, sample_rate=sample_rate), None), state, 0).to(dtype)


def filtered(x: Tensor, sos: Sections, state: dict | None, hop: int) -> Tensor:
    """The sections of `sos` in series, their memory kept in `state`."""
    memory = {} if state is None else state
    y, memory["biquad"] = biquad(x, sos.exact, memory.get("biquad"), hop, plugin=sos.plugin)
    return y


def below_nyquist(name: str) -> Callable[..., list[tuple[str, dict[str, Any]]]]:
    """The recipe of a plugin that does not limit its cutoff itself, and overflows when told one above half the sample rate."""

    def plugin(*, cutoff_frequency_hz: float, sample_rate: float) -> list[tuple[str, dict[str, Any]]]:
        return [(name, {"cutoff_frequency_hz": min(cutoff_frequency_hz, highest(sample_rate))})]

    return plugin
