"""How a DAWproject says what dasp's settings say: every value's unit there, and what has no place there."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mixing.export import places
from mixing.export.effects import BANDS, LIMITER_GAIN_DB, TIMES, decibels, groups, linear, odd_options, pan_gains, value
from mixing.settings import Settings

LOUDEST_FADER = 2.0  # +6 dB: as far as the faders of most DAWs go


@dataclass(frozen=True)
class Conversion:
    """Of a value to the project and back; `unit` is the format's."""

    unit: str
    there: Callable[[float], float] = float
    back: Callable[[float], float] = float


@dataclass(frozen=True)
class Slot:
    """A place that one of the format's devices has for one of our controls."""

    element: str
    control: str
    unit: str
    scale: float = 1.0
    offset: float = 0.0

    @property
    def conversion(self) -> Conversion:
        return Conversion(
            self.unit, lambda x: x * self.scale + self.offset, lambda y: (y - self.offset) / self.scale
        )  # fmt: skip


@dataclass(frozen=True)
class Device:
    """One of the format's built-in devices, and what of the effect it does not say."""

    element: str
    slots: tuple[Slot, ...]
    lost: Callable[[dict[str, Any]], list[str]]


_LEVEL = (Slot("Threshold", "threshold_db", "decibel"), Slot("Ratio", "ratio", "linear"))


def _times(constants: float) -> tuple[Slot, Slot]:
    """Attack and release in milliseconds -> seconds of a time constant to 63 %."""
    return (
        Slot("Attack", "attack_ms", "seconds", 1 / (1000 * constants)),
        Slot("Release", "release_ms", "seconds", 1 / (1000 * constants)),
    )


def _studio(entry: dict[str, Any]) -> list[str]:
    knee, mix = value(entry, "knee_db"), value(entry, "mix")
    lost = [f"its knee of {knee:g} dB"] if knee else []
    return lost + ([f"its mix of {mix:g}"] if mix != 1 else [])


def _expander(entry: dict[str, Any]) -> list[str]:
    knee = value(entry, "knee_db")
    return [f"its knee of {knee:g} dB"] if knee else []


DEVICES = {
    "Compressor": Device("Compressor", (*_LEVEL, *_times(TIMES)), lambda _: []),
    "StudioCompressor": Device(
        "Compressor", (*_LEVEL, *_times(1), Slot("OutputGain", "makeup_gain_db", "decibel")), _studio
    ),
    "NoiseGate": Device("NoiseGate", (*_LEVEL, *_times(TIMES)), lambda _: []),
    "Expander": Device("NoiseGate", (*_LEVEL, *_times(1), Slot("Range", "range_db", "decibel", -1.0)), _expander),
    "Limiter": Device(
        "Limiter",
        (
            Slot("InputGain", "threshold_db", "decibel", -1.0, LIMITER_GAIN_DB),
            Slot("Release", "release_ms", "seconds", 1 / (1000 * TIMES)),
        ),
        lambda _: ["its 4:1 leveller in front of the limiting"],
    ),
}  # fmt: skip

SHAPES = {
    "low_shelf": "lowShelf",
    "high_shelf": "highShelf",
    "peak": "bell",
    "high_pass": "highPass",
    "low_pass": "lowPass",
    "band_pass": "bandPass",
    "notch": "notch",
}
_UNITS = {"dB": "decibel", "Hz": "hertz", "s": "seconds"}
_MILLI = Conversion("seconds", lambda x: x / 1000, lambda y: y * 1000)
_FADER = Conversion("linear", linear, decibels)


def conversions(full: Settings) -> dict[str, Conversion]:
    """Place -> conversion, of every value of complete settings but the lags."""
    out = {"output_gain_db": _FADER}
    for n, track in enumerate(full["tracks"]):
        out[f"tracks.{n}.fader_db"] = _FADER
        out[f"tracks.{n}.pan"] = Conversion("normalized")
        out |= {f"tracks.{n}.sends_db.{bus}": _FADER for bus in track["sends_db"]}
    for place, _, effects in places.chains(full):
        for k, entry in enumerate(effects):
            device = DEVICES.get(entry["effect"])
            slots = {s.control: s.conversion for s in device.slots} if device else {}
            for name, control in entry["controls"].items():
                unit = control.get("unit", "")
                generic = _MILLI if unit == "ms" else Conversion(_UNITS.get(unit, "linear"))
                out[f"{place}.{k}.controls.{name}"] = slots.get(name, generic)
    return out


def balance(fader: float, pan: float) -> tuple[float, float]:
    """dasp's fader (a factor) and pan -> those of a stereo channel whose pan is a balance: the louder side at full level.

    dasp balances a stereo track by the same two gains that pan a mono one (-3 dB in the centre); DAWs leave the centre at 0 dB
    and turn one side down in proportion.
    """
    left, right = pan_gains(pan)
    louder = max(left, right)
    if abs(left - right) < 1e-12:  # the centre itself, in spite of rounding
        return fader * louder, 0.5
    return fader * louder, 0.5 * (right / louder) if left > right else 1 - 0.5 * (left / louder)


def unbalance(volume: float, position: float) -> tuple[float, float]:
    """The other way round."""
    ratio = min(2 * position, 2 * (1 - position))
    pan = math.atan(ratio) * 2 / math.pi if position < 0.5 else 1 - math.atan(ratio) * 2 / math.pi
    return volume / max(pan_gains(pan)), pan


def plays(effects: list[dict[str, Any]]) -> bool:
    """Whether the format has a device for each of these effects."""
    return all(e["effect"] in BANDS or e["effect"] in DEVICES for e in effects)


def losses(full: Settings, channels: list[int]) -> list[str]:
    """What the format cannot say, in sentences."""
    out = []
    for place, who, effects in places.chains(full):
        for group in groups(effects):
            if group.kind == "equalizer":
                continue
            entry = effects[group.numbers[0]]
            device, odd = DEVICES.get(group.kind), odd_options(entry)
            if device is None:
                out.append(f"{who}: the format has no device for {group.kind}; its settings are in the file and do not play.")
                continue
            lost = device.lost(entry) + ([f"its options ({odd})"] if odd else [])
            if lost:
                out.append(f"{who}: {group.kind} as the format's {device.element}, without {' and '.join(lost)}.")
        if place.startswith("buses") and not plays(effects):
            out.append(f"{who}: is muted, since it would play the dry sound; put an effect there and switch it on.")
    for n, track in enumerate(full["tracks"]):
        volume = linear(track["fader_db"])
        if channels[n] == 2:
            volume, _ = balance(volume, track["pan"])
        if volume > LOUDEST_FADER * 1.0001:
            out.append(f"track {track['name']}: its fader stands at {decibels(volume):+.1f} dB; many DAWs end at +6 dB.")
    return out
