"""The picture of an effect: what each control does, the others at a setting at which it can be heard."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from dasp import Effect, Param
from mixing.pictures import probes
from mixing.pictures.probes import Curves, Size
from mixing.pictures.style import COLOURS, FAINT, INK, beside, figure, frequencies, hide, ramp, short, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

VIEWS: dict[str, tuple[str, ...]] = {
    "filter": (
        "AllpassFilter", "BandpassFilter", "FIRFilter", "GraphicEQ", "HighShelfFilter", "HighpassFilter", "LadderFilter",
        "LowShelfFilter", "LowpassFilter", "NotchFilter", "ParametricEQ", "PeakFilter",
    ),
    "curve": ("Bitcrush", "Clipping", "Distortion", "Fuzz", "Invert", "Overdrive"),
    "dynamics": ("Compressor", "DeEsser", "Expander", "Gain", "Limiter", "MultibandCompressor", "NoiseGate", "StudioCompressor"),
    "decay": (
        "Allpass", "Comb", "Convolution", "Delay", "FeedbackDelayNetwork", "NoiseShapedReverb", "PingPongDelay", "Plate",
        "Reverb", "Spring",
    ),
    "modulation": ("Chorus", "Flanger", "Phaser", "Tremolo"),
    "stereo": ("MidSideDecoder", "MidSideEncoder", "Panner", "StereoWidener"),
}  # fmt: skip
"""How each effect is shown; one that does not stand here is shown by its impulse response."""
_TONES = {
    "Chorus": 150.0,  # whose swings are ten milliseconds
    "DeEsser": 6500.0,
    "low_": 100.0,
    "mid_": 900.0,
    "high_": 6000.0,
    "low_crossover_hz": 200.0,
    "high_crossover_hz": 3000.0,
}
"""Hz of the tone that shows an effect, a control, or the controls of a band; 1 kHz where none stands here."""
_PLACES = (0.0, 0.25, 0.5, 0.75, 1.0)
_SPECTRAL = ("hz", "damping", "bandwidth", "dispersion", "gain_db", "diffusion")
_LOUD_PLACE = 0.75  # of a gain that is nothing by default, so that the band's other controls can be seen


def view(name: str) -> str:
    """How an effect is shown."""
    return next((kind for kind, names in VIEWS.items() if name in names), "decay")


@styled
def picture(cls: type[Effect], sample_rate: float = 44100, size: Size | None = None) -> Figure:
    """Draw an effect: a panel for each control with five of its values and the default; one panel where there is no control.

    Filters are shown by their magnitude response, waveshapers by output over input, dynamics by output level over input level
    and (for times) by the gain of a tone that is loud for a while, reverbs and delays by the energy that is to come of an impulse
    response or its spectrum, modulation by the level of a tone over time, stereo effects by their gains.

    Args:
        cls: the effect.
        sample_rate: in Hz.
        size: how exactly; by default as for print.

    Returns:
        a matplotlib figure, see `mixing.pictures.style.save`.
    """
    effect, size = cls(sample_rate), size or Size()
    count = max(1, len(cls.controls))
    columns = min(count, 2 if count <= 4 else 3 if count <= 9 else 4)
    rows = -(-count // columns)
    made, axes = figure(rows, columns, (max(4.6, 3.5 * columns), 0.35 + 2.1 * rows))
    made.suptitle(cls.__name__, fontsize=11, x=0.01, ha="left", fontweight="bold", color=INK)
    if not cls.controls:
        _without_controls(axes[0, 0], effect, size)
    for number, q in enumerate(cls.controls):
        axis = axes.flat[number]
        axis.set_title(q.name)
        if view(cls.__name__) == "stereo":
            _gains(axis, effect, number, q)
        else:
            _family(axis, effect, number, q, size)
    hide(axes, count)
    return made


def base(cls: type[Effect], number: int) -> Tensor:
    """Controls (1, P) in [0, 1] around which one control is shown: the defaults, but for what would hide it. The gain of its own
    band is up; feedback and resonance that are nothing are something."""
    units = [float(q.to_unit(q.default)) for q in cls.controls]
    own = re.match(r"(?:low_shelf_|high_shelf_|peak\d_|band\d+_)?", cls.controls[number].name)
    prefix = own[0] if own else ""
    for k, q in enumerate(cls.controls):
        if k == number:
            continue
        if q.name == f"{prefix}gain_db" and q.default == 0:
            units[k] = _LOUD_PLACE
        if q.name == "feedback" and q.default == 0:
            units[k] = 0.5 if q.low >= 0 else 0.75
        if q.name == "resonance" and q.default == 0:
            units[k] = 0.6
    return torch.tensor([units], dtype=torch.float64)


def _probe(effect: Effect, q: Param | None, size: Size) -> Callable[[Tensor], Curves]:
    """What is measured to show a control."""
    name, kind = effect.name, view(effect.name)
    control = q.name if q is not None else ""
    if kind == "filter":
        if name == "AllpassFilter":
            return lambda u: _phase(effect, u, size)
        return lambda u: probes.magnitude(effect, u, size)
    if kind == "curve":
        if control == "tone_hz":
            return lambda u: probes.magnitude(effect, u, size)
        return lambda u: probes.curve(effect, u, size)
    if kind == "dynamics":
        band = next((p for p in ("low_", "mid_", "high_") if control.startswith(p)), "")
        tone = _TONES.get(control) or _TONES.get(name) or _TONES.get(band, 1000.0)
        if control == "frequency_hz":
            return lambda u: probes.levels(effect, u, size, tone)
        if control.endswith("_ms"):
            return lambda u: probes.gain(effect, u, size, tone, -60.0 if name in ("Expander", "NoiseGate") else -30.0)
        return lambda u: probes.levels(effect, u, size, tone)
    if kind == "modulation":
        return lambda u: probes.swing(effect, u, size, _TONES.get(name, 1000.0))
    if control == "width":
        return lambda u: probes.decay(effect, u, size, side=True)
    if any(part in control for part in _SPECTRAL):
        return lambda u: probes.smoothed(effect, u, size)
    return lambda u: probes.decay(effect, u, size)


def _phase(effect: Effect, controls: Tensor, size: Size) -> Curves:
    """An all-pass has a flat magnitude: its phase."""
    y = probes.played(effect, probes.impulse(size.response), controls)[:, 0].numpy()
    frequency = np.fft.rfftfreq(size.response, 1 / effect.sample_rate)
    phase = np.degrees(np.unwrap(np.angle(np.fft.rfft(y, axis=-1)), axis=-1))
    at = np.geomspace(20, 20000, 400)
    return Curves(
        at, np.stack([np.interp(at, frequency, row) for row in phase]), "frequency (Hz)", "phase (degrees)", "frequency"
    )


def _family(axis: Axes, effect: Effect, number: int, q: Param, size: Size) -> None:
    around = base(type(effect), number)
    shown = _PLACES[::2] if view(effect.name) == "modulation" else _PLACES
    places = [*shown, float(q.to_unit(q.default))]
    curves = _probe(effect, q, size)(probes.at_units(effect, around, number, places))
    for place, y, colour in zip(shown, curves.y[:-1], ramp(len(shown)), strict=True):
        axis.plot(curves.x, y, color=colour, label=_value(q, place))
    axis.plot(curves.x, curves.y[-1], color=INK, linestyle=(0, (1, 1.5)), linewidth=1.1, label=f"{short(q.default)} (default)")
    _finish(axis, curves)
    beside(axis, q.unit)


def _value(q: Param, place: float) -> str:
    return short(float(q.to_physical(place)))


def _finish(axis: Axes, curves: Curves) -> None:
    if curves.kind == "frequency":
        frequencies(axis, float(curves.x[0]), float(curves.x[-1]))
    else:
        axis.set_xlim(float(curves.x.min()), float(curves.x.max()))
    axis.set_xlabel(curves.x_label)
    axis.set_ylabel(curves.y_label)
    share = 2 if curves.clicks else 0  # what clicks is no part of the picture
    bottom, top = np.percentile(curves.y, [share, 100 - share]).tolist()
    if curves.floor is not None:
        bottom = max(bottom, top - curves.floor)
    room = max(0.06 * (top - bottom), 0.5 if "dB" in curves.y_label else 0.05)
    axis.set_ylim(bottom - room, top + room)


def _gains(axis: Axes, effect: Effect, number: int, q: Param) -> None:
    """Gain from the first input to each output, over the control itself."""
    places = np.linspace(0, 1, 41)
    u = probes.at_units(effect, base(type(effect), number), number, places.tolist())
    gains = probes.matrix(effect, u)[:, 0]
    values = [float(q.to_physical(p)) for p in places]
    source = "the input" if min(effect.channels or (2,)) == 1 else "the left input"
    for n, (side, colour) in enumerate(zip(("left", "right"), COLOURS, strict=False)):
        axis.plot(values, gains[:, n], color=colour, label=f"{source} in the {side}", linestyle=("-", (0, (4, 1.5)))[n])
    axis.axvline(q.default, color=FAINT, linewidth=1)
    axis.set_xlabel(f"{q.name} ({q.unit})" if q.unit else q.name)
    axis.set_ylabel("gain (factor)")
    axis.legend(loc="best")


def _without_controls(axis: Axes, effect: Effect, size: Size) -> None:
    none = torch.zeros(1, 0, dtype=torch.float64)
    if view(effect.name) == "stereo":
        _matrix(axis, probes.matrix(effect, none)[0])
        return
    curves = _probe(effect, None, size)(none)
    axis.plot(curves.x, curves.y[0], color=COLOURS[0])
    _finish(axis, curves)


def _matrix(axis: Axes, gains: np.ndarray) -> None:
    shown: Any = axis.imshow(gains.T, cmap="PuOr", vmin=-1, vmax=1)
    for i, j in np.ndindex(*gains.shape):
        axis.text(
            i, j, f"{gains[i, j]:+.3f}", ha="center", va="center", fontsize=10, color="white" if abs(gains[i, j]) > 0.5 else INK
        )
    axis.grid(False)
    axis.set_xticks([0, 1], ["first", "second"])
    axis.set_yticks([0, 1], ["first", "second"])
    axis.set_xlabel("input channel")
    axis.set_ylabel("output channel")
    axis.figure.colorbar(shown, ax=axis, label="gain (factor)", shrink=0.8)
