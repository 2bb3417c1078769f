"""Integrated loudness of songs of any length, by pyloudnorm's filters."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from torch import Tensor

_GATE_S, _STEPS = 0.4, 4  # a gating block, and how many begin within one
_ABSOLUTE_LUFS, _RELATIVE_LU = -70.0, -10.0
_OFFSET_DB = -0.691
_PART = 1 << 20  # samples that are filtered at a time


class LoudnessMeter:
    """Loudness of mono or stereo audio that comes in parts.

    ITU-R BS.1770-4, equations 1 to 7: filters and result (to rounding) are pyloudnorm's, in memory for one part.

    Args:
        sample_rate: in Hz.
    """

    def __init__(self, sample_rate: float) -> None:
        import pyloudnorm

        self.rate = round(sample_rate)
        meter: Any = pyloudnorm.Meter(self.rate, filter_class="DeMan")  # the standard's filters to 0.01 dB
        self._filters = [(f.passband_gain, f.b, f.a) for f in meter._filters.values()]
        self._states: list[np.ndarray] | None = None
        self._filtered = np.zeros((0, 0))  # (C, samples), from sample `_start` on
        self._start = self._samples = 0
        self._energies: list[np.ndarray] = []  # of each gating block, (C,)

    def add(self, audio: Tensor) -> None:
        """Take the next part, (C, T)."""
        for part in audio.detach().split(_PART, 1):
            if part.shape[1]:  # lfilter's state after nothing is garbage
                self._add(part.cpu().double().numpy())

    def _add(self, x: np.ndarray) -> None:
        from scipy.signal import lfilter

        if self._states is None:
            self._states = [np.zeros((len(x), len(a) - 1)) for _, _, a in self._filters]
            self._filtered = np.zeros((len(x), 0))
        for n, (gain, b, a) in enumerate(self._filters):
            y, self._states[n] = lfilter(b, a, x, zi=self._states[n])
            x = gain * y
        self._samples += x.shape[1]
        self._filtered = np.concatenate([self._filtered, x], 1)
        while self._bounds()[1] <= self._samples:
            self._energies.append(self._energy())
        begin = self._bounds()[0]
        if begin > self._start:
            self._filtered = self._filtered[:, begin - self._start :].copy()
            self._start = begin

    def _bounds(self) -> tuple[int, int]:
        """First sample of the next gating block, and the one after its last."""
        begin = len(self._energies) / _STEPS
        return int(_GATE_S * begin * self.rate), int(_GATE_S * (begin + 1) * self.rate)

    def _energy(self) -> np.ndarray:
        low, high = (bound - self._start for bound in self._bounds())
        return np.array([np.square(row[low:high]).sum() for row in self._filtered]) / (_GATE_S * self.rate)

    def integrated(self) -> float:
        """Loudness in LUFS of all that came; -inf for silence and for less than a gating block (0.4 s)."""
        if self._samples < math.ceil(_GATE_S * self.rate):
            return -math.inf
        blocks = round((self._samples / self.rate - _GATE_S) / (_GATE_S / _STEPS)) + 1
        # The last block may reach beyond the end: what is missing of it counts as silence.
        last = [self._energy()] if blocks > len(self._energies) else []
        energies = np.array(self._energies + last).sum(1)
        with np.errstate(divide="ignore"):
            levels = _OFFSET_DB + 10 * np.log10(energies)
        loud = levels > _ABSOLUTE_LUFS
        if not loud.any():
            return -math.inf
        gate = _OFFSET_DB + 10 * math.log10(energies[loud].mean()) + _RELATIVE_LU
        return _OFFSET_DB + 10 * math.log10(energies[loud & (levels > gate)].mean())


def integrated_loudness(audio: Tensor | Iterable[Tensor], sample_rate: float) -> float:
    """Integrated loudness in LUFS of (C, T), mono or stereo, as a whole or in parts; see `LoudnessMeter`."""
    meter = LoudnessMeter(sample_rate)
    for part in (audio,) if isinstance(audio, Tensor) else audio:
        meter.add(part)
    return meter.integrated()
