"""The sum, folded to mono."""

from __future__ import annotations

from dataclasses import dataclass

from mixing.mixers import Mix
from mixing.models.baseline import Baseline
from mixing.multitrack import Multitrack


@dataclass(frozen=True)
class Mono(Baseline):
    """The plain sum folded to mono, the "mono mix" baseline of the literature. No console does that: it has no settings."""

    settle = None  # type: ignore[assignment]

    def __call__(self, multitrack: Multitrack) -> Mix:
        return Mix(multitrack.unity_mix().mean(1, keepdim=True).repeat(1, 2, 1))
