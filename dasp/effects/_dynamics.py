"""What the dynamics effects of the literature share: detector, soft knee, smoothing in decibels, look-ahead.

D. Giannoulis, M. Massberg, J. D. Reiss, "Digital dynamic range compressor design - a tutorial and analysis", J. Audio Eng. Soc.
60(6), 2012: feed-forward, and smoothed in the log domain behind the gain computer. The control path is double for all audio: a
slow follower in single precision stands still before it arrives.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from dasp.atoms.ballistics import follow
from dasp.atoms.level import as_controls
from dasp.effect import Effect, nearest
from dasp.param import Param

DETECTORS = ("peak", "rms")
LINKS = ("max", "mean", "none")
RMS_MS = 10.0  # time constant of the RMS detector's average
FLOOR = 1e-6  # -120 dB: what the detector takes silence for
_DB = 20 / math.log(10)


def time_params(attack_ms: float, release_ms: float, attack: str, release: str, prefix: str = "") -> tuple[Param, Param]:
    """Attack and release as real time constants, with their defaults and what they do."""
    return (
        Param(f"{prefix}attack_ms", "ms", 0.1, 200.0, attack_ms, "log", f"{attack}; a real time constant, to 63 %"),
        Param(f"{prefix}release_ms", "ms", 1.0, 1000.0, release_ms, "log", f"{release}; a real time constant, to 63 %"),
    )


def check_option(effect: str, option: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise ValueError(f"{effect}: {option} is one of {', '.join(allowed)}; got {value!r}.{nearest(str(value), allowed)}")


def average(v: Tensor, one: Tensor, state: dict | None, name: str) -> Tensor:
    """One-pole smoothing with the same pole up and down."""
    return follow(v, one, one.clone(), state, name)  # torch.compile takes no tensor twice


def pole(time_ms: Tensor, sample_rate: float) -> Tensor:
    """Time constant -> pole, exp(-1000 / (fs t)): a step is followed to 63 % after t."""
    return torch.exp(-1000 / (sample_rate * time_ms))


def level_db(key: Tensor, sample_rate: float, effect: str, detector: str, stereo_link: str, state: dict | None) -> Tensor:
    """Level in dB of audio (B, C, T), float64: (B, C, T), or (B, 1, T) where channels are linked.

    A link takes the loudest channel, or the channels' mean of |x| (peak) or x^2 (RMS): dual mono is as loud as mono.
    """
    check_option(effect, "detector", detector, DETECTORS)
    check_option(effect, "stereo_link", stereo_link, LINKS)
    v = key.double()
    if detector == "rms":
        (window,) = as_controls(key, RMS_MS)
        v = average(v.square(), pole(window, sample_rate), state, "square")
    else:
        v = v.abs()
    if stereo_link == "max":
        v = v.amax(1, keepdim=True)
    elif stereo_link == "mean":
        v = v.mean(1, keepdim=True)
    power = 2 if detector == "rms" else 1
    return _DB / power * torch.log(v.clamp_min(FLOOR**power))


def soft_excess(over_db: Tensor, knee_db: Tensor) -> Tensor:
    """max(over, 0) with a parabola of width knee_db around 0: continuous as its slope is, with finite gradients at knee 0."""
    half = knee_db / 2
    inside = torch.minimum((over_db + half).clamp_min(0), knee_db)
    share = inside / torch.where(knee_db > 1e-9, knee_db, 1.0)  # below, the square in its derivative would underflow
    return share * inside / 2 + (over_db - half).clamp_min(0)


def reduction_db(
    level: Tensor,
    threshold: Tensor,
    ratio: Tensor,
    knee: Tensor,
    attack_ms: Tensor,
    release_ms: Tensor,
    sample_rate: float,
    state: dict | None,
    smoothing: str = "decoupled",
) -> Tensor:
    """By how much a compressor turns down at a level, in dB, with attack and release."""
    reduction = (1 - 1 / ratio) * soft_excess(level - threshold, knee)
    attack, release = pole(attack_ms, sample_rate), pole(release_ms, sample_rate)
    if smoothing == "branching":
        return follow(reduction, attack, release, state, "reduction")
    peak = follow(reduction, torch.zeros_like(release), release, state, "peak")
    return average(peak, attack, state, "reduction")


def db_to_linear(db: Tensor) -> Tensor:
    # Not 10 ** db: torch's power rounds differently at a signal's last samples, and blocks would not be the whole to the bit.
    return torch.exp(db / _DB)


def lookahead_samples(lookahead_ms: float, sample_rate: float) -> int:
    return round(lookahead_ms * sample_rate / 1000)


def delayed(x: Tensor, samples: int, state: dict | None) -> Tensor:
    """x (B, C, T), late by a number of samples; what has not come out yet stays in the state."""
    if samples == 0:
        return x
    memory = {} if state is None else state
    early = memory["late"] if "late" in memory else x.new_zeros(*x.shape[:2], samples)
    line = torch.cat([early, x], -1)
    memory["late"] = line[..., x.shape[2] :].detach()
    return line[..., : x.shape[2]]


class Linked(Effect):
    """Base of effects with the option `stereo_link`; where they have it, also `lookahead_ms`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.links_channels = self.settings["stereo_link"] != "none"  # type: ignore[misc]

    @property
    def latency(self) -> int:
        """By how many samples the output is late: the look-ahead."""
        return lookahead_samples(self.settings.get("lookahead_ms", 0.0), self.sample_rate)
