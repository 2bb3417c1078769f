"""What a mixer is, and what mixers share."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Protocol

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
