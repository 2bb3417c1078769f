"""How far a mix is from a target: the tutorial's errors, distances and differences of levels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from mixing.evaluation import levels
from mixing.evaluation.audio_features import Features, features, stereo, trim
from mixing.loss import StereoLoss
from mixing.loudness import integrated_loudness

RUNNING = 40  # frames


class Target:
    """A target mix that several mixes are compared with; what is known of it is computed once.

    Args:
        audio: (2, T), numpy or torch.
        sample_rate: in Hz, above 8 kHz.

    Raises:
        ValueError: not stereo, silent, samples that are no numbers, too short (0.4 s, also of what is not silent), a lower rate.
        UserError: librosa is missing.
    """

    def __init__(self, audio: Any, sample_rate: float) -> None:
        self.audio, self.sample_rate = stereo("target", audio, sample_rate), sample_rate
        if not self.audio.any():
            raise ValueError("target: is silent.")
        self.start, self.stop = trim(self.audio, sample_rate)
        self.features = features(self.audio[:, self.start : self.stop], sample_rate)
        self.loudness = self._loudness(self.audio)
        self.distance = StereoLoss()
        self.prepared = self.distance.prepare(_tensor(self.audio)) if self.audio.shape[1] > 4096 else None

    def compare(self, output: Any) -> dict[str, float]:
        """A mix beside the target, by the names of `metrics.METRICS`; NaN where a metric has no value (a ratio to nothing).

        The tutorial's features are of what lies between the target's silences, all others of the whole.

        Args:
            output: (2, T), as long as the target.

        Raises:
            ValueError: another shape, silent (also where the target is not), or samples that are no numbers.
        """
        output = stereo("mix", output, self.sample_rate)
        if output.shape != self.audio.shape:
            raise ValueError(f"mix: expected {self.audio.shape}, the target's shape; got {output.shape}.")
        part = output[:, self.start : self.stop]
        if not part.any():
            raise ValueError("mix: is silent where the target is not.")
        found = features(part, self.sample_rate)
        return {
            **self._distances(output),
            **tutorial_errors(found, self.features),
            **self._levels(output),
            "crest_error_db": _difference(found.crest_db.mean(0), self.features.crest_db.mean(0)),
            "panning_error": _difference(found.panning[0], self.features.panning[0]),
        }

    def _distances(self, output: np.ndarray) -> dict[str, float]:
        if self.prepared is None:
            return {"stereo_mrstft": math.nan, "stereo_mrstft_matched": math.nan}
        loudness = self._loudness(output)
        gain = 10 ** ((self.loudness - loudness) / 20) if math.isfinite(self.loudness - loudness) else math.nan
        with torch.no_grad():
            plain, matched = (float(self.distance(_tensor(g * output), self.prepared)) for g in (1.0, gain))
        return {"stereo_mrstft": plain, "stereo_mrstft_matched": matched}

    def _levels(self, output: np.ndarray) -> dict[str, float]:
        def difference(function: Any) -> float:
            found, wanted = function(output), function(self.audio)
            return abs(found - wanted) if math.isfinite(found) and math.isfinite(wanted) else math.nan

        return {
            "loudness_error_lu": difference(self._loudness),
            "peak_error_db": difference(levels.peak_db),
            "rms_error_db": difference(levels.rms_db),
            "rms_error_20ln": difference(levels.rms_20ln),
            "width_error": difference(levels.width),
            "imbalance_error_db": difference(levels.imbalance_db),
        }

    def _loudness(self, audio: np.ndarray) -> float:
        return integrated_loudness(torch.from_numpy(audio), self.sample_rate)


def compare(output: Any, target: Any, sample_rate: float) -> dict[str, float]:
    """A mix beside a target: `Target(target, sample_rate).compare(output)`."""
    return Target(target, sample_rate).compare(output)


def tutorial_errors(output: Features, target: Features) -> dict[str, float]:
    """The tutorial's errors of a mix: for each feature the mean absolute percentage error, as a fraction, between the running
    means over 40 frames of mix and target; and means of them.

    Equal to automix-toolkit's `get_features`, except where that has no finite value: frames that the loudness meter's gate leaves
    empty count as -70 LUFS, silent peaks as -120 dBFS; mixes of 40 frames or fewer have one mean over all of them; and what of
    the panning has a target mean of exactly 0 (a mono target) is left out, NaN if nothing is left.
    """
    errors = {"lufs": _error(output.lufs, target.lufs), "peak": _error(output.peak_db, target.peak_db)}
    errors["loudness"] = _mean(errors, "lufs", "peak")
    for name in ("centroid_hz", "bandwidth_hz", "rolloff_hz"):
        errors[name[:-3]] = _channels(getattr(output, name) + 1, getattr(target, name) + 1)
    parts = {"low": slice(0, 1), "mid": slice(1, 4), "high": slice(-1, None)}
    for name, part in parts.items():
        errors[f"contrast_{name}"] = _channels(*(f.contrast_db[:, part].mean(1) for f in (output, target)))
    errors["contrast"] = _mean(errors, *(f"contrast_{name}" for name in parts))
    errors["flatness"] = _channels(1 - output.flatness_db, 1 - target.flatness_db)
    errors["spectral"] = _mean(errors, "centroid", "bandwidth", "contrast", "rolloff", "flatness")
    wide = target.panning[0] > 0  # without, every band of the frame is out, in both
    bands = ("panning_all", "panning_low", "panning_mid", "panning_high")
    for name, found, wanted in zip(bands, output.panning, target.panning, strict=True):
        errors[name] = _error(found[wide], wanted[wide])
    errors["panning"] = _mean(errors, *bands)
    errors["rms"] = _error(1 - output.rms_db.mean(0), 1 - target.rms_db.mean(0))
    errors["spread"] = _error(1 - output.spread_db.mean(0), 1 - target.spread_db.mean(0))
    errors["crest_ratio"] = _error(output.crest_db_ratio.mean(0), target.crest_db_ratio.mean(0))
    errors["dynamic"] = _mean(errors, "rms", "spread", "crest_ratio")
    errors["feature"] = _mean(errors, "loudness", "spectral", "panning", "dynamic")
    return {f"{name}_mape": value for name, value in errors.items()}


@dataclass(frozen=True)
class KnownSettings:
    """What a song's mix was made with, one entry a track, None where it is not known.

    Attributes:
        gains_db: faders.
        pans: 0 left to 1 right.
        sounding: which tracks sound at all: a silent one's settings cannot be found.
    """

    gains_db: Sequence[float | None] | None
    pans: Sequence[float | None] | None
    sounding: Sequence[bool]

    def errors(self, faders_db: Sequence[float], pans: Sequence[float]) -> dict[str, float]:
        """Mean absolute errors of a mix's settings, `faders_db` and `pans` of each track, NaN where nothing is known.

        gain_error_db compares faders less their mean over the tracks that count, since the whole mix's level is the master's;
        pan_error is of pans as they are.
        """
        return {"gain_error_db": self._error(faders_db, self.gains_db, centre=True), "pan_error": self._error(pans, self.pans)}

    def _error(self, found: Sequence[float], known: Sequence[float | None] | None, centre: bool = False) -> float:
        if known is None:
            return math.nan
        pairs = [(f, k) for f, k, s in zip(found, known, self.sounding, strict=True) if s and k is not None]
        if len(pairs) < 1 + centre:  # one fader alone has no level relative to others
            return math.nan
        difference = np.subtract(*np.array(pairs, float).T)
        return float(np.abs(difference - difference.mean() * centre).mean())


def _tensor(audio: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(audio).float()[None]


def _running(values: np.ndarray) -> np.ndarray:
    if len(values) <= RUNNING:
        return values.mean(keepdims=True)
    return np.lib.stride_tricks.sliding_window_view(values, RUNNING).mean(1, dtype=np.float64)


def _error(output: np.ndarray, target: np.ndarray) -> float:
    """Mean absolute percentage error between running means, as a fraction."""
    if not len(target):
        return math.nan
    found, wanted = _running(output), _running(target)
    there = wanted != 0
    return float(np.abs((found - wanted)[there] / wanted[there]).mean()) if there.any() else math.nan


def _channels(output: np.ndarray, target: np.ndarray) -> float:
    """The same of features (2, F), channel by channel."""
    return sum(_error(o, t) for o, t in zip(output, target, strict=True)) / 2


def _difference(output: np.ndarray, target: np.ndarray) -> float:
    return float(np.abs(_running(output) - _running(target)).mean())


def _mean(errors: dict[str, float], *names: str) -> float:
    return sum(errors[n] for n in names) / len(names)
