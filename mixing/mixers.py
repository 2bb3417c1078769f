"""What a mixer is, and the simplest ones."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from dasp.effects.panner import pan_gains
from mixing.multitrack import Multitrack

# The console's pan law is 3 dB down in the centre: a fader that leaves a centred track as it is stands here.
UNITY_DB = 10 * math.log10(2)


@dataclass(frozen=True)
class Mix:
    """A stereo mix.

    Attributes:
        audio: (B, 2, T).
        controls: what made it, in human units: {"tracks": {name: (B, N)}, "buses": ..., "master": ...}, as a Console's; or None.
    """

    audio: Tensor
    controls: dict[str, dict[str, Tensor]] | None = field(default=None, repr=False)


class Mixer(Protocol):
    """Anything that makes a mix of a multitrack: a model or a rule."""

    def __call__(self, multitrack: Multitrack) -> Mix: ...


@dataclass(frozen=True)
class Sum:
    """The plain sum: every track as it is, mono ones in the centre.

    Args:
        mono: fold the sum to mono, as the "mono mix" baseline of the literature (no console does that: no controls).
    """

    mono: bool = False

    def __call__(self, multitrack: Multitrack) -> Mix:
        audio = multitrack.unity_mix()
        if self.mono:
            return Mix(audio.mean(1, keepdim=True).repeat(1, 2, 1))
        return Mix(audio, _centred(torch.zeros(multitrack.channels.shape)))


@dataclass(frozen=True)
class EqualLoudness:
    """Every track at one integrated loudness (ITU-R BS.1770-4), panned centre; the mix at `mix_lufs`.

    Tracks that are silent, or shorter than a gating block (0.4 s), stay as they are against the others.

    Args:
        track_lufs: of each track before summing.
        mix_lufs: of the sum.
    """

    track_lufs: float = -24.0
    mix_lufs: float = -18.0

    def __call__(self, multitrack: Multitrack) -> Mix:
        gains = torch.zeros(multitrack.channels.shape)
        for b, n in multitrack.mask.nonzero().tolist():
            # As it is heard: a mono track plays from both sides.
            loudness = integrated_loudness(multitrack.audio[b, n], multitrack.sample_rate)
            if math.isfinite(loudness):
                gains[b, n] = self.track_lufs - loudness
        audio = (multitrack.audio * _linear(gains).to(multitrack.audio) * multitrack.mask[..., None, None]).sum(1)
        for b in range(len(audio)):
            loudness = integrated_loudness(audio[b], multitrack.sample_rate)
            if math.isfinite(loudness):
                gains[b] += self.mix_lufs - loudness
                audio[b] *= 10 ** ((self.mix_lufs - loudness) / 20)
        return Mix(audio, _centred(gains))


@dataclass(frozen=True)
class Random:
    """Random faders and pans: the baseline that a model must beat.

    Args:
        seed: of torch's generator; the same seed gives the same mix.
        low_db, high_db: faders are uniform between them.
    """

    seed: int = 0
    low_db: float = -24.0
    high_db: float = 0.0

    def __call__(self, multitrack: Multitrack) -> Mix:
        generator = torch.Generator().manual_seed(self.seed)
        shape = multitrack.channels.shape
        fader = self.low_db + (self.high_db - self.low_db) * torch.rand(shape, generator=generator)
        pan = torch.rand(shape, generator=generator)
        gains = torch.stack(pan_gains(pan, "constant_power"), -1)[..., None] * _linear(fader)
        audio = (multitrack.audio * gains.to(multitrack.audio) * multitrack.mask[..., None, None]).sum(1)
        return Mix(audio, {"tracks": {"fader_db": fader, "pan": pan}})


# Model names of the command line.
MODELS = {"sum": Sum, "equal-loudness": EqualLoudness, "random": Random}


def integrated_loudness(audio: Tensor, sample_rate: float) -> float:
    """Integrated loudness in LUFS of (C, T) by pyloudnorm; -inf for silence and for less than a block of 0.4 s."""
    import pyloudnorm

    if audio.shape[-1] < math.ceil(0.4 * sample_rate):
        return -math.inf
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of log(0) on silence
        meter: Any = pyloudnorm.Meter(round(sample_rate), filter_class="DeMan")  # the standard's filters to 0.01 dB
        return float(meter.integrated_loudness(audio.detach().cpu().double().T.numpy()))


def _centred(gain_db: Tensor) -> dict[str, dict[str, Tensor]]:
    return {"tracks": {"fader_db": gain_db + UNITY_DB, "pan": torch.full_like(gain_db, 0.5)}}


def _linear(db: Tensor) -> Tensor:
    return (10 ** (db / 20))[..., None, None]
