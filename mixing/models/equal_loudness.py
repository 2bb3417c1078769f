"""Every track at one loudness."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from mixing.blocks import Plan, Source, render, track_parts
from mixing.console import FADER, Controls
from mixing.loudness import integrated_loudness
from mixing.mixers import UNITY_DB
from mixing.models.baseline import Baseline, placed


@dataclass(frozen=True)
class EqualLoudness(Baseline):
    """Every track at one integrated loudness (ITU-R BS.1770-4), panned centre; the mix at `mix_lufs`.

    Tracks that are silent, or shorter than a gating block (0.4 s), stay as they are against the others.

    Args:
        track_lufs: of each track before summing.
        mix_lufs: of the sum.
    """

    track_lufs: float = -24.0
    mix_lufs: float = -18.0

    def settle(self, source: Source) -> Plan:
        gains = torch.zeros(source.channels.shape, dtype=torch.float64)
        for n in range(len(gains)):
            # As it is heard: a mono track plays from both sides.
            loudness = integrated_loudness(track_parts(source, n), source.sample_rate)
            if math.isfinite(loudness):
                gains[n] = self.track_lufs - loudness
        return at_loudness(placed(gains + UNITY_DB), source, self.mix_lufs)


def at_loudness(plan: Plan, source: Source, lufs: float) -> Plan:
    """The plan with all its faders moved together, so that a console without bus and master makes a mix of this loudness; a mix
    that is silent or shorter than 0.4 s stays as it is."""
    loudness = integrated_loudness(render(plan, source), source.sample_rate)
    if not math.isfinite(loudness):
        return plan
    tracks = plan.controls.tracks.clone()
    place = [q.name for q in plan.console.track_controls].index("fader_db")
    tracks[..., place] += (lufs - loudness) / (FADER.high - FADER.low)
    return Plan(plan.console, Controls(tracks, plan.controls.buses, plan.controls.master))
