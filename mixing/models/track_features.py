"""What rules and regression know of a track: loudness, and the shape of its mean spectrum."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mixing.loudness import LoudnessMeter

N_FFT = 4096
_SILENT_LUFS = -70.0
OCTAVES_HZ = tuple(31.25 * 2**k for k in range(10))  # centres


@dataclass(frozen=True)
class TrackFeatures:
    """Measures of one track.

    Attributes:
        loudness_lufs: integrated, by ITU-R BS.1770, as heard (a mono track plays from both sides); -70 for what is silent or
            shorter than 0.4 s.
        frequency_hz, power: the mean power spectrum of the mean of both sides.
        peak: largest magnitude.
        rms: root of the mean square.
        channels: 1 or 2.
    """

    loudness_lufs: float
    frequency_hz: np.ndarray
    power: np.ndarray
    peak: float
    rms: float
    channels: int

    @property
    def centroid_hz(self) -> float:
        """Centre of gravity of the power spectrum."""
        return float((self.frequency_hz * self.power).sum() / max(self.power.sum(), 1e-30))

    @property
    def octaves(self) -> np.ndarray:
        """Power in ten octave bands around 31.25 Hz to 16 kHz."""
        edges = [OCTAVES_HZ[0] / 2**0.5, *(f * 2**0.5 for f in OCTAVES_HZ)]
        places = np.searchsorted(self.frequency_hz, edges)
        return np.array([self.power[a:b].sum() for a, b in itertools.pairwise(places)])

    def vector(self) -> np.ndarray:
        """Loudness, log centroid, log bandwidth, log roll-off at 85 %, flatness and crest in dB, stereo or not, and octave
        bands in dB relative to all: (17,) float64."""
        total = max(self.power.sum(), 1e-30)
        share = self.power / total
        centroid = self.centroid_hz
        bandwidth = math.sqrt(float((share * (self.frequency_hz - centroid) ** 2).sum()))
        rolloff = float(self.frequency_hz[min(np.searchsorted(share.cumsum(), 0.85), len(share) - 1)])
        heard = share[1:].clip(1e-12)
        flatness = 10 * math.log10(float(np.exp(np.log(heard).mean()) / heard.mean()))
        crest = 20 * math.log10(max(self.peak, 1e-6) / max(self.rms, 1e-6))
        bands = 10 * np.log10(self.octaves / total + 1e-6)
        logs = [math.log2(max(f, 20.0)) for f in (centroid, bandwidth, rolloff)]
        return np.array([self.loudness_lufs, *logs, flatness, crest, float(self.channels == 2), *bands])


VECTOR = 17


def of_track(parts: Iterable[Tensor], channels: int, sample_rate: float) -> TrackFeatures:
    """Measure a track, (2, samples) after (2, samples), mono ones in both channels. No spectrum spans two parts."""
    meter, window = LoudnessMeter(sample_rate), torch.hann_window(N_FFT)
    power, frames = torch.zeros(N_FFT // 2 + 1, dtype=torch.float64), 0
    peak, energy, samples = 0.0, 0.0, 0
    for part in parts:
        meter.add(part)
        peak = max(peak, float(part.abs().max()))
        energy += float(part.double().square().mean(0).sum())
        samples += part.shape[1]
        mono = part.mean(0)
        mono = torch.nn.functional.pad(mono, (0, max(0, N_FFT - len(mono))))
        spectrum = torch.stft(mono, N_FFT, N_FFT // 2, window=window.to(mono), center=False, return_complex=True).abs().square()
        power += spectrum.double().sum(1).cpu()
        frames += spectrum.shape[1]
    return TrackFeatures(
        max(meter.integrated(), _SILENT_LUFS),
        np.linspace(0, sample_rate / 2, N_FFT // 2 + 1),
        (power / max(frames, 1)).numpy(),
        peak,
        math.sqrt(energy / max(samples, 1)),
        channels,
    )
