"""The features of a mix over time: loudness, spectrum, panning, dynamics, as the tutorial on automatic mixing defines them.

Source: "Deep learning for automatic mixing" (Steinmetz, Vanka, Martinez-Ramirez, Bromham, ISMIR 2022, part 4) and the features
that its toolkit (automix-toolkit) computes, of which these are the definitions; the spectral ones are librosa's, the loudness
pyloudnorm's.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from mixing.evaluation._librosa import librosa

FRAME, HOP = 4096, 1024  # samples, at any rate
LOUDNESS_FRAME_S = 0.4  # BS.1770's block; 17640 samples at 44.1 kHz, hop a half
SILENCE_DB = 45.0  # below the loudest frame: what is cut off at the ends
BANDS_HZ = (250.0, 2500.0)  # between low, mid and high of the panning
GATE_LUFS = -70.0  # BS.1770's absolute gate
FLOOR_DB = -120.0
LOWEST_RATE = 8001.0  # Hz: the spectral contrast's uppermost edge, 250 Hz 2^4, lies below half of it
_PEAK_DB = -1.0
_TINY = 1e-30


@dataclass(frozen=True)
class Features:
    """Features of a stereo mix, frame by frame. K frames of 0.4 s, hop 0.2 s; F frames of 4096 samples, hop 1024.

    All but the first two are of the mix at a peak of -1 dBFS.

    Attributes:
        lufs: (K,) loudness (ITU-R BS.1770); a frame that the standard's gate leaves empty has -70.
        peak_db: (K,) sample peak in dBFS; silence has -120.
        centroid_hz, bandwidth_hz, rolloff_hz: (2, F) spectral centroid, bandwidth (p = 2), frequency below which 85 % of the
            magnitude lies.
        contrast_db: (2, 5, F) spectral contrast below 250 Hz and in the octaves above, the last one open (quantile 0.02).
        flatness: (2, F) spectral flatness of the power, 0 to 1.
        panning: (4, F) RMS of the stereo panning spectrum (Tzanetakis et al. 2007) in all, low (below 250 Hz), mid and high
            (above 2500 Hz) bins: 0 centred, 1 hard to one side.
        rms_db: (2, F) RMS level.
        spread_db: (2, F) dynamic spread (Ma et al. 2015): mean of the samples' levels less the RMS level.
        frame_peak_db: (2, F) sample peak.
    """

    lufs: np.ndarray
    peak_db: np.ndarray
    centroid_hz: np.ndarray
    bandwidth_hz: np.ndarray
    contrast_db: np.ndarray
    rolloff_hz: np.ndarray
    flatness: np.ndarray
    panning: np.ndarray
    rms_db: np.ndarray
    spread_db: np.ndarray
    frame_peak_db: np.ndarray

    @property
    def crest_db(self) -> np.ndarray:
        """(2, F) crest factor: peak over RMS level, a difference of levels; 0 in silence."""
        return np.maximum(self.frame_peak_db, FLOOR_DB) - np.maximum(self.rms_db, FLOOR_DB)

    @property
    def crest_db_ratio(self) -> np.ndarray:
        """(2, F) what the tutorial calls crest factor: the peak level in dBFS *divided* by the RMS level in dBFS. It is no ratio
        of amplitudes: it depends on the mix's level, and falls when the peaks rise."""
        return self.frame_peak_db / self.rms_db

    @property
    def flatness_db(self) -> np.ndarray:
        """(2, F) spectral flatness, 0 dB for white noise; in 20 log10, as the tutorial has it, though it is a ratio of powers."""
        return _decibels(self.flatness)


def features(audio: Any, sample_rate: float) -> Features:
    """The features of a mix.

    Args:
        audio: (2, T), numpy or torch, T at least a frame of each kind.
        sample_rate: in Hz, above 8 kHz.

    Raises:
        ValueError: not stereo, too short, silent, samples that are no numbers, or a lower rate.
        UserError: librosa is missing.
    """
    audio = stereo("features", audio, sample_rate)
    peak = np.abs(audio).max()
    if peak == 0:
        raise ValueError("features: the mix is silent.")
    loudness = _loudness(audio, sample_rate)
    audio = audio * (10 ** (_PEAK_DB / 20) / peak)
    window = np.sqrt(np.hanning(FRAME + 1)[:-1])
    # Single precision, as the public implementation stores it: the panning of a nearly mono mix is otherwise not the same.
    spectrum = librosa().stft(audio, n_fft=FRAME, hop_length=HOP, window=window, center=False).astype(np.complex64)
    magnitude = np.abs(spectrum)
    return Features(*loudness, *_spectral(magnitude, sample_rate), _panning(magnitude, sample_rate), *_dynamics(audio))


def trim(audio: Any, sample_rate: float) -> tuple[int, int]:
    """First sample and end of what is not silent: frames of 4096 samples, hop 1024, within 45 dB of the loudest one.

    Args: as in `features`.
    """
    audio = stereo("trim", audio, sample_rate)
    _, ends = librosa().effects.trim(audio, top_db=SILENCE_DB, frame_length=FRAME, hop_length=HOP)
    return int(ends[0]), int(ends[1])


def stereo(who: str, audio: Any, sample_rate: float) -> np.ndarray:
    """(2, T) as float64, checked.

    Raises:
        ValueError: the message names who refuses.
    """
    if hasattr(audio, "detach"):
        audio = audio.detach().cpu().numpy()
    audio = np.asarray(audio, np.float64)
    if audio.ndim != 2 or audio.shape[0] != 2:
        raise ValueError(f"{who}: expected a stereo mix (2, T); got {audio.shape}.")
    if sample_rate < LOWEST_RATE:
        raise ValueError(f"{who}: needs a sample rate above 8 kHz; got {sample_rate:g} Hz.")
    shortest = max(FRAME, int(np.ceil(LOUDNESS_FRAME_S * sample_rate)))
    if audio.shape[1] < shortest:
        raise ValueError(f"{who}: needs {shortest / sample_rate:.2f} s at least; got {audio.shape[1] / sample_rate:.2f} s.")
    if not np.isfinite(audio).all():
        raise ValueError(f"{who}: {int((~np.isfinite(audio)).sum())} samples are not numbers (NaN or infinite).")
    return audio


def _loudness(audio: np.ndarray, sample_rate: float) -> tuple[np.ndarray, np.ndarray]:
    import pyloudnorm

    # A rate that has no whole number of samples in the block needs one more, or the meter refuses the frame.
    size = int(np.ceil(round(LOUDNESS_FRAME_S * sample_rate, 6)))
    frames = np.lib.stride_tricks.sliding_window_view(audio, size, axis=1)[:, :: size // 2]
    meter: Any = pyloudnorm.Meter(round(sample_rate))  # pyloudnorm's default filters, as in the public implementation
    lufs = np.full(frames.shape[1], GATE_LUFS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of log(0) on silence
        for k in range(len(lufs)):
            lufs[k] = max(GATE_LUFS, meter.integrated_loudness(frames[:, k].T))
    return lufs, 20 * np.log10(np.maximum(np.abs(frames).max((0, 2)), 10 ** (FLOOR_DB / 20)))


def _spectral(magnitude: np.ndarray, sample_rate: float) -> tuple[np.ndarray, ...]:
    """Centroid, bandwidth, contrast, roll-off, flatness of magnitudes (2, bins, F)."""
    feature, given = librosa().feature, {"S": magnitude, "n_fft": FRAME, "hop_length": HOP}
    centroid = feature.spectral_centroid(sr=sample_rate, **given)
    return (
        centroid[:, 0],
        feature.spectral_bandwidth(sr=sample_rate, centroid=centroid, **given)[:, 0],
        feature.spectral_contrast(sr=sample_rate, fmin=250.0, n_bands=4, quantile=0.02, **given),
        feature.spectral_rolloff(sr=sample_rate, roll_percent=0.85, **given)[:, 0],
        feature.spectral_flatness(**given)[:, 0],
    )


def _panning(magnitude: np.ndarray, sample_rate: float) -> np.ndarray:
    """RMS over bins of the panning spectrum (1 - 2 |L R| / (|L|^2 + |R|^2)), whose sign, the side, a square does not keep."""
    left, right = np.maximum(magnitude, np.float32(1e-20))
    spectrum = (1 - 2 * (left * right) / (left**2 + right**2)) * (left != right)
    low, high = (int(edge * FRAME / sample_rate) for edge in BANDS_HZ)
    nyquist = int(sample_rate // 2 * FRAME / sample_rate)
    bands = ((0, nyquist), (0, low), (low, high), (high, nyquist))
    return np.stack([np.sqrt(np.square(spectrum[a:b]).mean(0)) for a, b in bands])


def _dynamics(audio: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """RMS level, dynamic spread and peak of overlapping frames, each from the parts of a hop that it consists of."""
    parts = audio[:, : audio.shape[1] // HOP * HOP].reshape(2, -1, HOP)

    def windows(values: np.ndarray) -> np.ndarray:
        return np.lib.stride_tricks.sliding_window_view(values, FRAME // HOP, axis=1)

    rms = _decibels(np.sqrt(windows(np.square(parts).sum(2)).sum(2) / FRAME))
    levels = windows(_decibels(np.abs(parts)).sum(2)).sum(2) / FRAME
    return rms, levels - rms, _decibels(windows(np.abs(parts).max(2)).max(2))


def _decibels(amplitude: np.ndarray) -> np.ndarray:
    return 20 * np.log10(amplitude + _TINY)
