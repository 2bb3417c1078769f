"""Figures of a whole mix, by their textbook definitions; and one by a published one that differs."""

from __future__ import annotations

import math

import numpy as np


def peak_db(audio: np.ndarray) -> float:
    """Sample peak of (C, T) in dBFS; -inf for silence."""
    return _decibels(float(np.abs(audio).max()))


def rms_db(audio: np.ndarray) -> float:
    """RMS level of (C, T) in dB re full scale, over all channels; -inf for silence."""
    return _decibels(math.sqrt(float(np.square(audio).mean())))


def rms_20ln(audio: np.ndarray) -> float:
    """What DeepAFx-ST (Steinmetz et al. 2022) reports as "RMS" in dB: 20 times the *natural* logarithm, 2.3026 times too much.
    For comparisons with its tables; -inf for silence."""
    return rms_db(audio) * math.log(10)


def crest_factor_db(audio: np.ndarray) -> float:
    """Peak over RMS level in dB: 0 for a square wave, 3.01 for a sine; NaN for silence."""
    return peak_db(audio) - rms_db(audio)


def width(audio: np.ndarray) -> float:
    """Share of the side signal (L - R) in the energy of a stereo mix (2, T): 0 mono, 0.5 unrelated channels; NaN for silence."""
    mid, side = (float(np.square(x).sum()) for x in (audio[0] + audio[1], audio[0] - audio[1]))
    return side / (mid + side) if mid + side else math.nan


def imbalance_db(audio: np.ndarray) -> float:
    """Level of the right channel over the left one in dB, each taken for 60 dB below the mix at least; NaN for silence."""
    left, right = np.square(audio).sum(1)
    floor = 1e-6 * (left + right)
    return 10 * math.log10(max(right, floor) / max(left, floor)) if floor else math.nan


def _decibels(amplitude: float) -> float:
    return 20 * math.log10(amplitude) if amplitude > 0 else -math.inf
