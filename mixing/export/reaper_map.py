"""How REAPER's stock effects say what dasp's settings say, there and back, and what has no place there."""

from __future__ import annotations

import math
from typing import Any

from mixing.export import cockos, places
from mixing.export.automation import Lane
from mixing.export.cockos import COMP, EQ, GATE, LIMIT, VERB, EqBand
from mixing.export.effects import BANDS, LIMITER_GAIN_DB, TIMES, decibels, groups, linear, odd_options, value
from mixing.export.rpp import Chunk
from mixing.settings import Settings

EQ_EFFECTS = {k: BANDS[k] for k in ("LowShelfFilter", "HighShelfFilter", "PeakFilter", "ParametricEQ", "Gain")}
ONE_POLE = "Liteon/simplelp6db"
BANDWIDTHS = cockos.BANDWIDTHS
_KINDS = {"low_shelf": cockos.LOW_SHELF, "high_shelf": cockos.HIGH_SHELF, "peak": cockos.PEAK}
_PASSES = {"LowpassFilter": 0.0, "HighpassFilter": 1.0}
_LOUDEST = 2.0  # the most that the levels of ReaComp and ReaVerbate hold
_RMS_MS = 10.0  # time constant of dasp's RMS detector


def chunk(kind: str, entries: list[dict[str, Any]], rate: float) -> Chunk | None:
    """The stock effect that stands for a group of effects; None where there is none."""
    if kind == "equalizer":
        return EQ.chunk(_equalizer(entries, rate))
    entry = entries[0]
    if kind in _PASSES:
        scale, gain_db = _one_pole(kind, value(entry, "cutoff_frequency_hz"), rate)
        made = Chunk(["JS", ONE_POLE, ""])
        made.line(0.0, _PASSES[kind], scale, gain_db, *["-"] * 60)
        return made
    if kind in ("Compressor", "StudioCompressor"):
        return COMP.chunk(cockos.floats_state(COMP, _compressor(kind, entry)))
    if kind == "NoiseGate":
        level = {0: linear(value(entry, "threshold_db"))}
        return GATE.chunk(cockos.floats_state(GATE, level | dict(zip((1, 2), _times(entry, TIMES), strict=True))))
    if kind == "Limiter":
        return LIMIT.chunk(cockos.limit_state(value(entry, "threshold_db") - LIMITER_GAIN_DB))
    if kind == "Reverb":
        return VERB.chunk(cockos.floats_state(VERB, _reverb(entry)))
    return None


def values(who: str, kind: str, entries: list[dict[str, Any]], made: Chunk, rate: float) -> list[dict[str, float]] | None:
    """For each effect of a group what the stock effect says of its controls; None where it is another effect.

    Raises:
        UserError: its state cannot be read.
    """
    name = (made.head[1:2] or [""])[0]
    if kind in _PASSES:
        return _read_one_pole(kind, made, name, rate)
    plugin = {"equalizer": EQ, "NoiseGate": GATE, "Limiter": LIMIT, "Reverb": VERB}.get(kind, COMP)
    if plugin.name not in name:
        return None
    state = cockos.state_of(who, made)
    try:
        if kind == "equalizer":
            return _read_equalizer(entries, *cockos.eq_bands(state), rate)
        if kind == "Limiter":
            return [{"threshold_db": cockos.limit_threshold(state) + LIMITER_GAIN_DB}]
        raw = cockos.floats(plugin, state)
    except ValueError:
        return None
    if kind == "Reverb":
        return [
            {"wet_level": raw[0] / 3, "dry_level": raw[1] / 2, "room_size": raw[2], "damping": raw[3], "width": 2 * raw[4] - 1}
        ]
    if kind == "NoiseGate":
        return [{"threshold_db": decibels(raw[0]), "attack_ms": 500 * raw[1] * TIMES, "release_ms": 5000 * raw[2] * TIMES}]
    constants = TIMES if kind == "Compressor" else 1.0
    out = {"threshold_db": decibels(raw[0]), "ratio": 1 + 99 * raw[1]}
    out |= {"attack_ms": 500 * raw[2] * constants, "release_ms": 5000 * raw[3] * constants}
    if kind == "StudioCompressor":
        out |= {"knee_db": 24 * raw[14], "mix": 1 - raw[10]}
        if raw[10] < 1:
            out["makeup_gain_db"] = decibels(raw[11] / (1 - raw[10]))
    return [out]


def _times(entry: dict[str, Any], constants: float) -> tuple[float, float]:
    return value(entry, "attack_ms") / constants / 500, value(entry, "release_ms") / constants / 5000


def _compressor(kind: str, entry: dict[str, Any]) -> dict[int, float]:
    out = {0: linear(value(entry, "threshold_db")), 1: (value(entry, "ratio") - 1) / 99, 13: 0.0}
    out |= dict(zip((2, 3), _times(entry, TIMES if kind == "Compressor" else 1.0), strict=True))
    if kind == "StudioCompressor":
        mix = value(entry, "mix")
        wet = min(_LOUDEST, mix * linear(value(entry, "makeup_gain_db")))
        out |= {10: 1 - mix, 11: wet, 14: value(entry, "knee_db") / 24}
        if entry.get("options", {}).get("detector") == "rms":
            out[13] = _RMS_MS / 100
    return out


def _reverb(entry: dict[str, Any]) -> dict[int, float]:
    """dasp's wet gain is three times its level, the dry gain twice."""
    wet, dry = min(_LOUDEST, 3 * value(entry, "wet_level")), min(_LOUDEST, 2 * value(entry, "dry_level"))
    return {0: wet, 1: dry, 2: value(entry, "room_size"), 3: value(entry, "damping"), 4: (value(entry, "width") + 1) / 2}


def _equalizer(entries: list[dict[str, Any]], rate: float) -> bytes:
    bands, gain = [], 1.0
    for entry in entries:
        if entry["effect"] == "Gain":
            gain = linear(value(entry, "gain_db"))
        for band in EQ_EFFECTS[entry["effect"]]:
            frequency, level, q = (value(entry, str(k)) for k in (band.frequency, band.gain, band.q))
            if band.shape == "peak":
                wide = min(max(cockos.peak_bandwidth(q, frequency, rate), BANDWIDTHS[0]), BANDWIDTHS[1])
            else:
                wide = min(max(cockos.shelf_bandwidth(q, level), cockos.NARROWEST_SHELF), BANDWIDTHS[1])
            bands.append(EqBand(_KINDS[band.shape], frequency, linear(level), wide))
    # REAPER never saves an equaliser without bands; one that is off stands for none.
    return cockos.eq_state(bands or [EqBand(cockos.PEAK, 1000.0, 1.0, 1.0, on=False)], gain)


def _read_equalizer(
    entries: list[dict[str, Any]], bands: list[EqBand], gain: float, rate: float
) -> list[dict[str, float]] | None:
    wanted = [(n, b) for n, e in enumerate(entries) for b in EQ_EFFECTS[e["effect"]]]
    bands = [b for b in bands if b.on]
    if [_KINDS[b.shape] for _, b in wanted] != [b.kind for b in bands]:
        return None
    out: list[dict[str, float]] = [{"gain_db": decibels(gain)} if e["effect"] == "Gain" else {} for e in entries]
    for (n, band), found in zip(wanted, bands, strict=True):
        level = decibels(found.gain)
        if band.shape == "peak":
            q = cockos.peak_q(found.bandwidth, found.frequency, rate)
        else:
            q = cockos.shelf_q(found.bandwidth, level)
        out[n] |= {band.frequency: found.frequency, str(band.gain): level, str(band.q): q}
    return out


def _one_pole(kind: str, frequency: float, rate: float) -> tuple[float, float]:
    """The sliders of REAPER's one-pole filter at which it is 3 dB down at a frequency: its scale, and its output gain in dB.

    The scale counts semitones of 1.059; the pole is (3 fs - x) / (3 fs + x) with x the scale's frequency in radians. The
    high-pass is what the low-pass leaves: with that pole and gain it is dasp's.
    """
    w = 2 * math.pi * min(frequency, 0.24 * rate) / rate
    c = math.cos(w)
    pole = (1 - math.sin(w)) / c if kind == "HighpassFilter" else (2 - c) - math.sqrt((2 - c) ** 2 - 1)
    nominal = 3 * rate * (1 - pole) / (1 + pole) / (2 * math.pi)
    scale = min(100.0, max(0.0, (math.log(nominal / 8.17742) / math.log(1.059) - 16) / 1.20103))
    return scale, min(25.0, decibels((1 + pole) / (2 * pole))) if kind == "HighpassFilter" else 0.0


def _read_one_pole(kind: str, made: Chunk, name: str, rate: float) -> list[dict[str, float]] | None:
    line = next((x for x in made.body if isinstance(x, list)), [])
    try:
        scale = float(line[2])
    except (IndexError, ValueError):
        return None
    if name != ONE_POLE or not 0 <= scale <= 100:
        return None
    x = 2 * math.pi * 8.17742 * 1.059 ** (16 + scale * 1.20103)
    pole = (3 * rate - x) / (3 * rate + x)
    c = 2 * pole / (1 + pole**2) if kind == "HighpassFilter" else 2 - (pole + 1 / pole) / 2
    return [{"cutoff_frequency_hz": math.acos(min(1.0, max(-1.0, c))) * rate / (2 * math.pi)}]


def plays(effects: list[dict[str, Any]], rate: float) -> bool:
    """Whether a stock effect stands for each of these effects."""
    return all(chunk(g.kind, [effects[n] for n in g.numbers], rate) is not None for g in groups(effects, EQ_EFFECTS))


def losses(full: Settings, lanes: tuple[Lane, ...]) -> list[str]:
    """What REAPER's stock effects cannot say, in sentences."""
    out, rate = [], full["sample_rate"]
    for place, who, effects in places.chains(full):
        for group in groups(effects, EQ_EFFECTS):
            entries = [effects[n] for n in group.numbers]
            if chunk(group.kind, entries, rate) is None:
                out.append(f"{who}: no stock effect stands for {group.kind}; its settings are in the file and do not play.")
            else:
                out += [f"{who}: {lost}" for lost in _lost(group.kind, entries, rate)]
        if place.startswith("buses") and not plays(effects, rate):
            out.append(f"{who}: is muted, since it would play the dry sound; put an effect there and switch it on.")
    native = ("fader_db", "pan", "output_gain_db")
    out += [
        f"{lane.where}: has no envelope; its points are in the file and do not play."
        for lane in lanes
        if not lane.where.endswith(native) and ".sends_db." not in lane.where
    ]
    return out


def _lost(kind: str, entries: list[dict[str, Any]], rate: float) -> list[str]:
    out = []
    if kind == "equalizer":
        for entry in entries:
            for band in EQ_EFFECTS[entry["effect"]]:
                frequency, level, q = (value(entry, str(k)) for k in (band.frequency, band.gain, band.q))
                if band.shape == "peak":
                    beyond = not BANDWIDTHS[0] <= cockos.peak_bandwidth(q, frequency, rate) <= BANDWIDTHS[1]
                else:
                    beyond = not cockos.NARROWEST_SHELF <= cockos.shelf_bandwidth(q, level) <= BANDWIDTHS[1]
                if beyond and level:
                    out.append(
                        f"ReaEQ has no {band.shape.replace('_', ' ')} with q {q:g} at {level:+.1f} dB; the nearest is set."
                    )
        return out
    entry = entries[0]
    odd = odd_options(entry)
    if kind in _PASSES:
        (read,) = _read_one_pole(kind, chunk(kind, entries, rate) or Chunk([]), ONE_POLE, rate) or [{}]
        wanted = value(entry, "cutoff_frequency_hz")
        if abs(read.get("cutoff_frequency_hz", 0.0) - wanted) > 1e-6 * wanted:
            out.append(f"REAPER's one-pole filter does not reach {wanted:g} Hz; the nearest is set.")
    if kind == "StudioCompressor":
        odd = ", ".join(x for x in odd.split(", ") if x and not x.startswith("detector"))
        if value(entry, "mix") * linear(value(entry, "makeup_gain_db")) > _LOUDEST:
            out.append("ReaComp's output ends at +6 dB; the make-up gain is cut to it.")
    if kind == "NoiseGate":
        out.append(f"NoiseGate as ReaGate, which closes wholly: without its ratio of {value(entry, 'ratio'):g}.")
    if kind == "Limiter":
        out.append("Limiter as ReaLimit, without its release and its 4:1 leveller in front of the limiting.")
    if kind == "Reverb":
        out.append("Reverb as ReaVerbate, another reverb: the same room size, damping and width do not sound the same.")
        if 3 * value(entry, "wet_level") > _LOUDEST:
            out.append("ReaVerbate's wet level ends at +6 dB; it is cut to it.")
    if odd:
        out.append(f"{kind}: without its options ({odd}).")
    return out
