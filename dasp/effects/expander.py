"""Expander: downward, soft knee, limited range, smoothed in decibels."""

from __future__ import annotations

import torch
from torch import Tensor

from dasp.atoms.level import as_controls
from dasp.effects import _dynamics as dynamics
from dasp.param import Param


def expander(
    x: Tensor,
    *,
    sample_rate: float = 44100,
    threshold_db: float | Tensor = -40.0,
    ratio: float | Tensor = 2.0,
    knee_db: float | Tensor = 6.0,
    attack_ms: float | Tensor = 1.0,
    release_ms: float | Tensor = 100.0,
    range_db: float | Tensor = 40.0,
    detector: str = "rms",
    stereo_link: str = "max",
    lookahead_ms: float = 0.0,
    sidechain: Tensor | None = None,
    state: dict | None = None,
) -> Tensor:
    """Below the threshold the output falls by ratio dB for each dB of input, down to range_db of attenuation.

    The compressor of Giannoulis, Massberg, Reiss (J. Audio Eng. Soc. 60(6), 2012) with the gain computer turned over (U. Zoelzer,
    DAFX, 2nd ed., 2011, section 4.2): gain -(ratio - 1) (threshold - level), smoothed in dB, branching. It starts open.

    Args:
        x: audio (B, C, T).
        sample_rate: in Hz.
        threshold_db, ratio, knee_db, attack_ms, release_ms, range_db: numbers, (B,), (B, 1, 1) or (B, 1, T). Times are real time
            constants, tau in 1 - exp(-t / tau): Pedalboard's NoiseGate is 2 pi times as fast at the same number.
        detector: "rms" (mean square over a time constant of 10 ms) or "peak" (|x|, whose zeros let the gain fall in each cycle).
        stereo_link: one gain for all channels, after the loudest ("max") or their mean ("mean"); "none": each its own.
        lookahead_ms: the audio is late by this, the detector is not; rounded to samples.
        sidechain: (B, C, T), what the detector listens to instead of x.
        state: a dict that carries followers and look-ahead between blocks.
    """
    controls = as_controls(x, threshold_db, ratio, knee_db, attack_ms, release_ms, range_db)
    threshold, slope, knee, attack, release, most = controls
    key = x if sidechain is None else sidechain
    level = dynamics.level_db(key, sample_rate, "Expander", detector, stereo_link, state)
    target = -torch.minimum((slope - 1) * dynamics.soft_excess(threshold - level, knee), most)
    rise, fall = dynamics.pole(attack, sample_rate), dynamics.pole(release, sample_rate)
    gain = dynamics.db_to_linear(dynamics.follow(target, rise, fall, state, "gain"))
    return dynamics.delayed(x, dynamics.lookahead_samples(lookahead_ms, sample_rate), state) * gain.to(x.dtype)


class Expander(dynamics.Linked):
    """Turn down what falls below a threshold, gently and no further than a range. Options: `detector` rms or peak; `stereo_link`
    max, mean or none; `lookahead_ms`, by which the output is late (`latency` in samples)."""

    controls = (
        Param("threshold_db", "dB", -60.0, 0.0, -40.0, doc="level below which the gain falls"),
        Param("ratio", "dB/dB", 1.0, 20.0, 2.0, "log", "output fall for 1 dB of input fall below the threshold"),
        Param("knee_db", "dB", 0.0, 24.0, 6.0, doc="width of the passage around the threshold; 0 is a hard knee"),
        *dynamics.time_params(1.0, 100.0, "how fast the gain rises", "how fast it falls"),
        Param("range_db", "dB", 0.0, 80.0, 40.0, doc="the most attenuation"),
    )
    dsp = staticmethod(expander)
    options = {"detector": "rms", "stereo_link": "max", "lookahead_ms": 0.0}
    links_channels = True
