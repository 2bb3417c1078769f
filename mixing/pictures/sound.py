"""Pictures of sound: spectrograms, and where in the stereo field each frequency stands."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from mixing.pictures.style import figure, frequencies, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_RANGE_DB = 80.0
_FFT = 2048
_COLUMNS = 600  # of a spectrogram
_COLOURS = "cividis"


@styled
def before_and_after(before: Tensor, after: Tensor, sample_rate: float, title: str = "") -> Figure:
    """Spectrograms of two sounds on one scale of colours and, where either is stereo, their stereo images.

    A stereo image shows how much energy of each frequency stands at each pan position by constant power (0 left, 0.5 centre,
    1 right): the angle of the right over the left magnitude in every cell of the short-time spectrum.

    Args:
        before, after: (1 or 2, T) each.
        sample_rate: in Hz.
        title: above the picture.
    """
    sounds = {"before": before, "after": after}
    stereo = any(len(x) == 2 for x in sounds.values())
    made, axes = figure(2 if stereo else 1, 2, (8.6, 5.6 if stereo else 3.1))
    if title:
        made.suptitle(title, fontsize=11, x=0.01, ha="left", fontweight="bold")
    spectra = {name: _spectrum(x, sample_rate) for name, x in sounds.items()}
    levels = {name: _decibels(np.mean(np.abs(s) ** 2, 0)) for name, s in spectra.items()}
    top = max(float(v.max()) for v in levels.values())
    shown: Any = None
    for axis, (name, level) in zip(axes[0], levels.items(), strict=True):
        axis.set_title(name)
        shown = _spectrogram(axis, level, sounds[name].shape[1] / sample_rate, sample_rate, top)
    made.colorbar(shown, ax=axes[0].tolist(), label="level (dB)", aspect=15, pad=0.01)
    if stereo:
        images = {name: _image(s, sample_rate) for name, s in spectra.items()}
        top = max(float(v.max()) for _, v in images.values())
        for axis, (name, (edges, level)) in zip(axes[1], images.items(), strict=True):
            axis.set_title(f"{name}: stereo image")
            positions = np.linspace(0, 1, level.shape[1] + 1)
            shown = axis.pcolormesh(positions, edges, level, cmap=_COLOURS, vmin=top - 60, vmax=top, rasterized=True)
            frequencies(axis, float(edges[0]), float(edges[-1]), "y")
            axis.grid(False)
            axis.set_xticks([0, 0.25, 0.5, 0.75, 1], ["left", "0.25", "centre", "0.75", "right"])
            axis.set_xlabel("pan position")
        made.colorbar(shown, ax=axes[1].tolist(), label="energy (dB)", aspect=15, pad=0.01)
    return made


def _spectrum(audio: Tensor, sample_rate: float) -> np.ndarray:
    """(C, frequencies, frames), complex."""
    size = min(_FFT, max(64, 2 ** int(math.log2(max(audio.shape[1], 64)))))
    padded = torch.nn.functional.pad(audio.double(), (0, max(0, size - audio.shape[1])))
    hop = max(size // 4, padded.shape[1] // _COLUMNS)
    window = torch.hann_window(size, dtype=torch.float64)
    return torch.stft(padded, size, hop, window=window, return_complex=True, pad_mode="constant").numpy() / float(window.sum())


def _decibels(power: np.ndarray) -> np.ndarray:
    return 10 * np.log10(np.maximum(power, 1e-20))


def _spectrogram(axis: Axes, level: np.ndarray, seconds: float, sample_rate: float, top: float) -> Any:
    high = min(20000.0, 0.499 * sample_rate)
    edges = np.geomspace(40.0, high, 161)
    bins = np.linspace(0, sample_rate / 2, level.shape[0])
    centres = np.sqrt(edges[1:] * edges[:-1])
    rows = np.stack([np.interp(centres, bins, column) for column in level.T], 1)
    times = np.linspace(0, seconds, level.shape[1] + 1)
    shown = axis.pcolormesh(times, edges, rows, cmap=_COLOURS, vmin=top - _RANGE_DB, vmax=top, rasterized=True)
    frequencies(axis, 40.0, high, "y")
    axis.grid(False)
    axis.set_xlabel("time (s)")
    return shown


def _image(spectrum: np.ndarray, sample_rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Edges in Hz, and energy in dB (frequencies, positions)."""
    left, right = np.abs(spectrum[0]), np.abs(spectrum[-1])
    position = np.arctan2(right, left) * 2 / math.pi
    bins = np.linspace(0, sample_rate / 2, spectrum.shape[1])[:, None] + np.zeros_like(left)
    edges = np.geomspace(150.0, min(20000.0, 0.499 * sample_rate), 33)  # bands no narrower than the spectrum resolves
    weights, positions = (left**2 + right**2).ravel(), np.linspace(0, 1, 62)
    energy, *_ = np.histogram2d(bins.ravel(), position.ravel(), bins=(edges, positions), weights=weights)
    return edges, _decibels(energy / spectrum.shape[2])
