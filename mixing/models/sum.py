"""The plain sum."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from mixing.blocks import Plan, Source
from mixing.mixers import UNITY_DB
from mixing.models.baseline import Baseline, placed


@dataclass(frozen=True)
class Sum(Baseline):
    """The plain sum: every track as it is, mono ones in the centre."""

    def settle(self, source: Source) -> Plan:
        return placed(torch.full(source.channels.shape, UNITY_DB, dtype=torch.float64))
