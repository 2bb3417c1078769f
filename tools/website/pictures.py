"""What effects do, as pictures: small SVGs, drawn from what the white boxes put out, the same bytes at every build."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from io import BytesIO

import matplotlib
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from website.examples import Values, example, made

RATE = 44100
_COLOURS = ("#0b6e99", "#c4500a", "#5b3a8c")
_STYLE = {
    "svg.hashsalt": "dasp",
    "font.size": 9,
    "axes.prop_cycle": matplotlib.cycler(color=_COLOURS),
    "axes.grid": True,
    "grid.alpha": 0.3,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
Variants = Mapping[str, Values]


def run(name: str, x: np.ndarray, values: Values) -> np.ndarray:
    """Audio (C, T) through an effect's white box in double precision."""
    effect, controls = made(name, values)
    with torch.no_grad():
        return effect(torch.from_numpy(x)[None].double(), **controls)[0].numpy()


def drawn(name: str) -> tuple[bytes, str]:
    """The picture of an effect as SVG, and a sentence that says what is in it."""
    shown = example(name)
    draw: Callable[[Figure, str, Variants], str] = globals()[f"_{shown.picture}"]
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(6.4, 2.9), layout="constrained")
        what = draw(figure, name, shown.variants)
        out = BytesIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
    return out.getvalue(), what


def _axes(figure: Figure, x: str, y: str, log: bool = False) -> Axes:
    axes = figure.subplots()
    axes.set(xlabel=x, ylabel=y, xscale="log" if log else "linear")
    return axes


def _legend(axes: Axes, variants: Variants) -> None:
    if len(variants) > 1 or "default" not in variants:
        axes.legend(fontsize=8, frameon=False)


def _impulse_of(name: str, values: Values, samples: int, level: float = 1.0) -> np.ndarray:
    channels = made(name, values)[0].channels
    x = np.zeros((2 if channels == (2,) else 1, samples))
    x[:, 0] = level
    return run(name, x, values) / level


def _spectrum(name: str, values: Values) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies even in octaves, 20 Hz to 20 kHz, and the response there; a small impulse, since some of these saturate."""
    h = _impulse_of(name, values, 1 << 16, 1e-4)[0]
    f = np.geomspace(20, 20000, 300)
    spectrum = np.fft.rfft(h)
    return f, spectrum[np.round(f / RATE * len(h)).astype(int)]


def _magnitude(figure: Figure, name: str, variants: Variants) -> str:
    axes = _axes(figure, "frequency, Hz", "gain, dB", log=True)
    for label, values in variants.items():
        f, response = _spectrum(name, values)
        axes.plot(f, 20 * np.log10(np.maximum(np.abs(response), 1e-3)), label=label)
    _legend(axes, variants)
    return "Gain over frequency"


def _phase(figure: Figure, name: str, variants: Variants) -> str:
    axes = _axes(figure, "frequency, Hz", "phase, degrees", log=True)
    for label, values in variants.items():
        f, response = _spectrum(name, values)
        axes.plot(f, np.degrees(np.unwrap(np.angle(response))), label=label)
    _legend(axes, variants)
    return "Phase over frequency"


def _impulse(figure: Figure, name: str, variants: Variants) -> str:
    axes = _axes(figure, "time, s", "level of the impulse response, dB")
    for i, (label, values) in enumerate(variants.items()):
        h = np.abs(_impulse_of(name, values, RATE)).max(0)
        blocks = h[: len(h) // 147 * 147].reshape(-1, 147).max(1)  # 300 points
        level = 20 * np.log10(np.maximum(blocks, 1e-5))
        axes.plot(
            np.arange(len(level)) * 147 / RATE, np.maximum(level, -90), label=label, lw=1, zorder=9 - i
        )  # single echoes are peaks
    axes.set_ylim(-88, 6)
    _legend(axes, variants)
    return "Impulse response, its level over time"


def _curve(figure: Figure, name: str, variants: Variants) -> str:
    axes = _axes(figure, "input", "output")
    x = np.linspace(-1, 1, 401)
    for label, values in variants.items():
        axes.plot(x, run(name, x[None], values)[0], label=label)
    _legend(axes, variants)
    return "Output over input"


def _wave(figure: Figure, name: str, variants: Variants) -> str:
    axes = _axes(figure, "time, ms", "output")
    t = np.arange(RATE // 2) / RATE
    x = 0.5 * np.sin(2 * np.pi * 220 * t)
    last = slice(-round(2 * RATE / 220), None)
    ms = 1000 * (t[last] - t[last][0])
    for label, values in variants.items():
        axes.plot(ms, run(name, x[None], values)[0, last], label=label)
    axes.plot(ms, x[last], color="#777777", lw=1, ls="--", label="input")
    axes.legend(fontsize=8, frameon=False)
    return "A sine of 220 Hz and what becomes of it"


def _envelope(figure: Figure, name: str, variants: Variants) -> str:
    axes = _axes(figure, "time, s", "gain")
    t = np.arange(RATE) / RATE
    for label, values in variants.items():
        axes.plot(t[::100], run(name, np.ones((1, RATE)), values)[0, ::100], label=label)
    _legend(axes, variants)
    axes.set_ylim(0, 1.05)
    return "Gain over time"


def _control(figure: Figure, name: str, variants: Variants) -> str:
    """The gain of each channel over the effect's only control."""
    effect, _ = made(name, {})
    (q,) = effect.controls
    axes = _axes(figure, f"{q.name}{', ' + q.unit if q.unit else ''}", "gain, dB")
    at = np.linspace(q.low, q.high, 60)
    for i, (label, values) in enumerate(variants.items()):
        options = {k: v for k, v in values.items() if k != q.name}
        y = np.stack([run(name, np.ones((1, 1)), {**options, q.name: float(v)})[:, 0] for v in at])
        gains = 20 * np.log10(np.maximum(np.abs(y), 1e-3))
        for c in range(gains.shape[1]):
            side = f"{label}, {('left', 'right')[c]}" if gains.shape[1] > 1 else label
            axes.plot(at, gains[:, c], color=_COLOURS[i], ls=("-", "--")[c], label=side)
    if len(variants) > 1:
        axes.legend(fontsize=8, frameon=False, ncols=2)
    return "Gain over the control"


def _channels(figure: Figure, name: str, variants: Variants) -> str:
    """Two channels that differ, and what the effect makes of them."""
    panels = figure.subplots(1, 1 + len(variants), sharey=True)
    t = np.arange(800) / RATE
    x = np.stack([0.8 * np.sin(2 * np.pi * 110 * t), 0.4 * np.sin(2 * np.pi * 220 * t)])
    for axes, (label, y) in zip(panels, [("input", x), *((k, run(name, x, v)) for k, v in variants.items())], strict=True):
        for channel, ls in zip(y, ("-", "--"), strict=True):
            axes.plot(1000 * t, channel, ls=ls)
        axes.set(title="output" if label == "default" else label, xlabel="time, ms")
    panels[0].set_ylabel("first channel solid, second dashed")
    return "Two channels before and after"


def _dynamics(figure: Figure, name: str, variants: Variants) -> str:
    """Output level over input level of a steady tone, and the gain while a louder part comes and goes."""
    curve, time = figure.subplots(1, 2)
    levels = np.linspace(-60, 0, 25)
    count = RATE // 2
    tone = np.sin(2 * np.pi * 2000 * np.arange(count) / RATE)
    steps = np.repeat([-40.0, -6.0, -40.0], RATE // 4)
    burst = np.sin(2 * np.pi * 2000 * np.arange(len(steps)) / RATE) * 10 ** (steps / 20)
    tail = slice(-RATE // 20, None)
    for label, values in variants.items():
        effect, controls = made(name, values)
        x = torch.from_numpy(tone * 10 ** (levels[:, None] / 20))[:, None]
        with torch.no_grad():
            y = effect(x, **controls)[:, 0, tail].numpy()
        out = 20 * np.log10(np.maximum(y.std(1) * 2**0.5, 1e-5))
        curve.plot(levels, np.where(out > -90, out, np.nan), label=label)
        y = run(name, burst[None], values)[0]
        power = [np.convolve(v * v, np.ones(221) / 221, "same") for v in (y, burst)]
        gain = 10 * np.log10(np.maximum(power[0], 1e-12) / np.maximum(power[1], 1e-12))
        time.plot(np.arange(len(gain))[200:-200:66] / RATE, gain[200:-200:66])
    curve.plot(levels, levels, color="#777777", lw=1, ls=":")
    curve.set(xlabel="input, dB", ylabel="output, dB")
    _legend(curve, variants)
    time.set(xlabel="time, s", ylabel="gain, dB")
    return "Output level over input level, and gain over time while -40 dB rises to -6 dB for a quarter of a second"


def _spectrogram(figure: Figure, name: str, variants: Variants) -> str:
    """The response to an impulse every 46 ms, in which the effect has died away and has hardly moved."""
    axes = _axes(figure, "time, s", "frequency, Hz")
    (values,) = variants.values()
    apart, count = 2048, 86
    x = np.zeros((1, apart * count))
    x[0, ::apart] = 1
    spectrum = np.abs(np.fft.rfft(run(name, x, values)[0].reshape(count, apart)))
    image = 20 * np.log10(np.maximum(spectrum[:, : apart // 4], 1e-3)).T
    axes.grid(False)
    look = {"cmap": "magma", "vmin": -18, "vmax": 6, "interpolation": "none"}
    drawn = axes.imshow(image, origin="lower", aspect="auto", extent=(0, count * apart / RATE, 0, RATE / 4), **look)
    figure.colorbar(drawn, label="gain, dB")
    return "Gain over frequency and time"
