"""What the page of each effect shows and plays: the one place to add to when an effect is added."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Values = Mapping[str, Any]

FAMILIES = (
    "Level and stereo",
    "Filters and equalisers",
    "Dynamics",
    "Distortion",
    "Delay",
    "Modulation",
    "Reverb",
)


@dataclass(frozen=True)
class Example:
    """How an effect is shown.

    Args:
        family: one of FAMILIES.
        picture: a function of `website.pictures` by name: what is drawn.
        variants: settings that are drawn, by their label: controls and options.
        sound: settings that are heard; those left out are the defaults.
        stem: of the demo song, what the effect is heard on.
        start: where the excerpt begins, in seconds.
    """

    family: str
    picture: str
    variants: Mapping[str, Values] = field(default_factory=lambda: {"default": {}})
    sound: Values = field(default_factory=dict)
    stem: str = "04_garage_beat"
    start: float = 8.0


def _over(name: str, *values: float, unit: str = "", **rest: Any) -> dict[str, Values]:
    """One control at several values, the rest fixed."""
    return {f"{name} {value:g}{' ' + unit if unit else ''}": {name: value, **rest} for value in values}


_VOICE: dict[str, Any] = {"stem": "06_lead_vox", "start": 10.0}
_SYNTH: dict[str, Any] = {"stem": "08_synth_minilogue", "start": 12.0}
_LEVEL, _FILTER, _DYNAMICS, _DISTORTION, _DELAY, _MODULATION, _REVERB = FAMILIES
_SMILE = {
    "low_shelf_gain_db": 9.0,
    "peak2_gain_db": -9.0,
    "peak4_gain_db": 4.0,
    "peak4_q": 3.0,
    "high_shelf_gain_db": 6.0,
}
_BANDS = {"band_31_5_hz_gain_db": -12.0, "band_250_hz_gain_db": 9.0, "band_4000_hz_gain_db": -6.0, "band_16000_hz_gain_db": 9.0}

EXAMPLES: dict[str, Example] = {
    "Gain": Example(_LEVEL, "control", _over("gain_db", 0.0), {"gain_db": -9.0}),
    "Invert": Example(_LEVEL, "curve"),
    "Panner": Example(
        _LEVEL, "control", {law: {"law": law} for law in ("constant_power", "linear", "-4.5dB")}, {"pan": 0.15}, **_VOICE
    ),
    "StereoWidener": Example(_LEVEL, "channels", _over("width", 0.0, 2.0), {"width": 2.0}, "09_texture", 5.0),
    "MidSideEncoder": Example(_LEVEL, "channels", stem="09_texture", start=5.0),
    "MidSideDecoder": Example(_LEVEL, "channels", stem="09_texture", start=5.0),
    "HighpassFilter": Example(
        _FILTER, "magnitude", _over("cutoff_frequency_hz", 100.0, 1000.0, 5000.0, unit="Hz"), {"cutoff_frequency_hz": 1000.0}
    ),
    "LowpassFilter": Example(
        _FILTER, "magnitude", _over("cutoff_frequency_hz", 200.0, 1000.0, 5000.0, unit="Hz"), {"cutoff_frequency_hz": 800.0}
    ),
    "BandpassFilter": Example(_FILTER, "magnitude", _over("q", 0.3, 1.0, 5.0), {"q": 3.0}),
    "NotchFilter": Example(_FILTER, "magnitude", _over("q", 0.3, 1.0, 5.0), {"q": 0.5}, **_SYNTH),
    "AllpassFilter": Example(_FILTER, "phase", _over("q", 0.3, 1.0, 5.0), {"q": 5.0, "cutoff_frequency_hz": 150.0}),
    "HighShelfFilter": Example(
        _FILTER,
        "magnitude",
        _over("gain_db", -12.0, 6.0, 12.0, unit="dB", cutoff_frequency_hz=2000.0),
        {"gain_db": 12.0, "cutoff_frequency_hz": 4000.0},
    ),
    "LowShelfFilter": Example(
        _FILTER,
        "magnitude",
        _over("gain_db", -12.0, 6.0, 12.0, unit="dB", cutoff_frequency_hz=200.0),
        {"gain_db": 12.0, "cutoff_frequency_hz": 150.0},
    ),
    "PeakFilter": Example(
        _FILTER,
        "magnitude",
        _over("q", 0.3, 1.0, 5.0, gain_db=12.0, cutoff_frequency_hz=1000.0),
        {"gain_db": 15.0, "cutoff_frequency_hz": 1200.0, "q": 2.0},
        **_SYNTH,
    ),
    "LadderFilter": Example(
        _FILTER,
        "magnitude",
        _over("resonance", 0.0, 0.5, 0.9, cutoff_hz=1000.0, mode="LPF24"),
        {"cutoff_hz": 900.0, "resonance": 0.8, "drive": 4.0, "mode": "LPF24"},
    ),
    "ParametricEQ": Example(_FILTER, "magnitude", {"four of six bands": _SMILE}, _SMILE),
    "GraphicEQ": Example(_FILTER, "magnitude", {"four of ten bands": _BANDS}, _BANDS),
    "FIRFilter": Example(
        _FILTER, "magnitude", {"8 equal taps": {"impulse_response": [0.125] * 8}}, {"impulse_response": [0.125] * 8}
    ),
    "Compressor": Example(
        _DYNAMICS, "dynamics", _over("ratio", 2.0, 4.0, 20.0), {"threshold_db": -35.0, "ratio": 8.0, "release_ms": 300.0}
    ),
    "Limiter": Example(_DYNAMICS, "dynamics", _over("threshold_db", -30.0, -20.0, -10.0, unit="dB"), {"threshold_db": -25.0}),
    "NoiseGate": Example(
        _DYNAMICS, "dynamics", _over("ratio", 2.0, 4.0, 10.0, threshold_db=-24.0), {"threshold_db": -15.0, "release_ms": 60.0}
    ),
    "StudioCompressor": Example(
        _DYNAMICS, "dynamics", _over("knee_db", 0.0, 12.0, 24.0, unit="dB"), {"threshold_db": -35.0, "ratio": 8.0}, **_VOICE
    ),
    "Expander": Example(
        _DYNAMICS,
        "dynamics",
        _over("range_db", 10.0, 20.0, 60.0, unit="dB", threshold_db=-24.0),
        {"threshold_db": -18.0, "ratio": 4.0},
    ),
    "MultibandCompressor": Example(
        _DYNAMICS,
        "dynamics",
        _over("mid_ratio", 2.0, 4.0, 20.0),
        {f"{band}_{key}": value for band in ("low", "mid", "high") for key, value in (("threshold_db", -35.0), ("ratio", 6.0))},
    ),
    "DeEsser": Example(
        _DYNAMICS,
        "dynamics",
        _over("ratio", 2.0, 4.0, 20.0, frequency_hz=2000.0, q=0.5),
        {"threshold_db": -45.0, "ratio": 8.0},
        **_VOICE,
    ),
    "Distortion": Example(_DISTORTION, "curve", _over("drive_db", 0.0, 12.0, 30.0, unit="dB"), {"drive_db": 30.0}),
    "Clipping": Example(_DISTORTION, "curve", _over("threshold_db", -12.0, -6.0, -1.0, unit="dB"), {"threshold_db": -18.0}),
    "Bitcrush": Example(_DISTORTION, "curve", _over("bit_depth", 1.0, 2.0, 4.0, unit="bits"), {"bit_depth": 4.0}),
    "Overdrive": Example(_DISTORTION, "wave", _over("bias", 0.0, 0.5, 1.0), {"drive_db": 30.0}, **_SYNTH),
    "Fuzz": Example(_DISTORTION, "wave", _over("drive_db", 0.0, 12.0, 40.0, unit="dB"), {"level_db": -12.0}, **_SYNTH),
    "Delay": Example(
        _DELAY,
        "impulse",
        _over("feedback", 0.0, 0.5, 0.8, delay_seconds=0.25),
        {"delay_seconds": 0.28, "feedback": 0.5},
        **_VOICE,
    ),
    "PingPongDelay": Example(
        _DELAY,
        "impulse",
        _over("feedback", 0.3, 0.7, delay_seconds=0.25),
        {"delay_seconds": 0.28, "feedback": 0.6},
        **_VOICE,
    ),
    "Comb": Example(
        _DELAY,
        "magnitude",
        {kind: {"kind": kind, "delay_ms": 1.0, "gain": 0.8} for kind in ("feedback", "feedforward")},
        {"delay_ms": 5.0, "gain": 0.9},
    ),
    "Allpass": Example(
        _DELAY, "impulse", _over("gain", 0.3, 0.7, 0.9, delay_ms=20.0), {"delay_ms": 40.0, "gain": 0.7}, "02_claps", 21.8
    ),
    "Chorus": Example(_MODULATION, "spectrogram", {"default": {"depth": 1.0, "rate_hz": 0.5}}, {"depth": 0.6}, **_SYNTH),
    "Flanger": Example(
        _MODULATION, "spectrogram", {"default": {"rate_hz": 0.5, "feedback": 0.5}}, {"rate_hz": 0.5, "feedback": -0.7}
    ),
    "Phaser": Example(
        _MODULATION,
        "spectrogram",
        {"default": {"rate_hz": 0.5, "depth": 0.8, "feedback": 0.5}},
        {"rate_hz": 0.5, "depth": 0.8, "feedback": 0.6},
        **_SYNTH,
    ),
    "Tremolo": Example(
        _MODULATION,
        "envelope",
        {shape: {"shape": shape, "depth": 0.8} for shape in ("sine", "triangle")},
        {"depth": 0.9},
        **_SYNTH,
    ),
    "Reverb": Example(_REVERB, "impulse", _over("room_size", 0.2, 0.5, 0.9), {"room_size": 0.8}, **_VOICE),
    "Convolution": Example(_REVERB, "impulse", {"built-in response": {}}, {"mix": 0.5}, **_VOICE),
    "NoiseShapedReverb": Example(
        _REVERB,
        "impulse",
        {f"decays {t:g} s": {f"band{b}_decay_s": t for b in range(1, 13)} for t in (0.3, 1.0, 2.0)},
        {},
        **_VOICE,
    ),
    "FeedbackDelayNetwork": Example(
        _REVERB, "impulse", _over("decay_low_s", 0.5, 1.5, 5.0, unit="s", decay_high_s=0.5), {"decay_low_s": 2.5}, **_VOICE
    ),
    "Plate": Example(_REVERB, "impulse", _over("decay", 0.2, 0.5, 0.8), {"decay": 0.75}, **_VOICE),
    "Spring": Example(_REVERB, "impulse", _over("feedback", 0.2, 0.6, 0.9), {"mix": 0.5}, "02_claps", 21.8),
}


def example(name: str) -> Example:
    """Of an effect.

    Raises:
        KeyError: it has none yet; the message says where to add one.
    """
    if name not in EXAMPLES:
        raise KeyError(f"{name} has no example: add one to tools/website/examples.py; its page needs a picture and a sound.")
    return EXAMPLES[name]


def made(name: str, values: Values) -> tuple[Any, dict[str, Any]]:
    """The effect with what of `values` belongs to its making, and the rest: its controls."""
    import torch

    from dasp.effects import find

    cls = find(name)
    controls = {q.name for q in cls.controls}
    options = {k: v for k, v in values.items() if k not in controls}
    if "impulse_response" in options:
        options["impulse_response"] = torch.tensor(options["impulse_response"])
    return cls(44100, **options), {k: v for k, v in values.items() if k in controls}
