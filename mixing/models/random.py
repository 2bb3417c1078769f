"""Random faders and pans."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from mixing.blocks import Plan, Source
from mixing.models.baseline import Baseline, placed


@dataclass(frozen=True)
class Random(Baseline):
    """Random faders and pans: the baseline that a model must beat.

    Args:
        seed: of torch's generator; the same seed gives every song of as many tracks the same settings.
        low_db, high_db: faders are uniform between them.
    """

    seed: int = 0
    low_db: float = -24.0
    high_db: float = 0.0

    def settle(self, source: Source) -> Plan:
        generator = torch.Generator().manual_seed(self.seed)
        count = len(source.channels)
        fader = self.low_db + (self.high_db - self.low_db) * torch.rand(count, generator=generator)
        return placed(fader.double(), torch.rand(count, generator=generator).double())
