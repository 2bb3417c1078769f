"""What a mixer is, and what mixers share."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor

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


def integrated_loudness(audio: Tensor, sample_rate: float) -> float:
    """Integrated loudness in LUFS of (C, T) by pyloudnorm; -inf for silence and for less than a block of 0.4 s."""
    import pyloudnorm

    if audio.shape[-1] < math.ceil(0.4 * sample_rate):
        return -math.inf
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of log(0) on silence
        meter: Any = pyloudnorm.Meter(round(sample_rate), filter_class="DeMan")  # the standard's filters to 0.01 dB
        return float(meter.integrated_loudness(audio.detach().cpu().double().T.numpy()))
