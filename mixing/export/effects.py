"""What both kinds of project have in common: which effects are bands of an equaliser, and how times and levels are converted."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

TIMES = 2 * math.pi
"""Pedalboard's attack and release are this many time constants (to 63 %): see docs/effects.md."""
LIMITER_GAIN_DB = 3.75
"""What the limiter adds to signals below its threshold, besides the threshold itself."""


class Band(NamedTuple):
    """A band of an equaliser: its shape and what stands in front of the controls' names."""

    shape: str
    prefix: str = ""

    @property
    def frequency(self) -> str:
        return f"{self.prefix}cutoff_frequency_hz"

    @property
    def gain(self) -> str | None:
        return f"{self.prefix}gain_db" if self.shape in ("low_shelf", "high_shelf", "peak") else None

    @property
    def q(self) -> str | None:
        return None if self.shape in ("high_pass", "low_pass") else f"{self.prefix}q"


BANDS: dict[str, tuple[Band, ...]] = {
    "LowShelfFilter": (Band("low_shelf"),),
    "HighShelfFilter": (Band("high_shelf"),),
    "PeakFilter": (Band("peak"),),
    "HighpassFilter": (Band("high_pass"),),
    "LowpassFilter": (Band("low_pass"),),
    "BandpassFilter": (Band("band_pass"),),
    "NotchFilter": (Band("notch"),),
    "ParametricEQ": (
        Band("low_shelf", "low_shelf_"),
        *(Band("peak", f"peak{k}_") for k in range(1, 5)),
        Band("high_shelf", "high_shelf_"),
    ),
    "Gain": (),
}
"""Effect -> its bands. A gain is the output gain of the equaliser that it stands beside."""


class Group(NamedTuple):
    """Effects of a chain that become one device.

    Attributes:
        kind: "equalizer", or the name of the only effect.
        numbers: their places in the chain.
    """

    kind: str
    numbers: tuple[int, ...]


def groups(effects: list[dict[str, Any]], bands: dict[str, tuple[Band, ...]] = BANDS) -> list[Group]:
    """Neighbouring filters and at most one gain are one equaliser; every other effect is a device of its own."""
    out: list[Group] = []
    for n, entry in enumerate(effects):
        name = entry["effect"]
        if name not in bands:
            out.append(Group(name, (n,)))
            continue
        last = out[-1] if out else None
        if last is not None and last.kind == "equalizer":
            gains = sum(effects[k]["effect"] == "Gain" for k in last.numbers)
            if name != "Gain" or not gains:
                out[-1] = Group("equalizer", (*last.numbers, n))
                continue
        out.append(Group("equalizer", (n,)))
    return out


def linear(decibels: float) -> float:
    """Decibels -> a factor."""
    return 10.0 ** (decibels / 20)


def decibels(factor: float) -> float:
    """A factor -> decibels; -200 at the least, which settings hold as no sound at all."""
    return max(-200.0, 20 * math.log10(factor)) if factor > 0 else -200.0


def pan_gains(pan: float) -> tuple[float, float]:
    """dasp's law, constant power: left and right gain at pan in [0, 1]."""
    return math.cos(pan * math.pi / 2), math.sin(pan * math.pi / 2)


def value(entry: dict[str, Any], control: str) -> float:
    """A control of a listed effect."""
    return float(entry["controls"][control]["value"])


def odd_options(entry: dict[str, Any]) -> str:
    """The options of an effect that are not at their default, in words; "" where there are none."""
    from dasp.effects import find

    default = find(entry["effect"]).options
    return ", ".join(f"{k} {v}" for k, v in entry.get("options", {}).items() if v != default.get(k))
