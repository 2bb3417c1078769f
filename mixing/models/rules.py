"""A mixer of rules that engineers and textbooks give."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from dasp import Chain, PeakFilter
from mixing.blocks import Plan, Source, track_parts
from mixing.console import Console
from mixing.mixers import UNITY_DB
from mixing.models.baseline import Baseline, placed, set_tracks
from mixing.models.equal_loudness import at_loudness
from mixing.models.track_features import OCTAVES_HZ, TrackFeatures, of_track

_BANDS = 2  # peak filters of a track
_OCTAVE_Q = 2**0.5


@dataclass(frozen=True)
class Rules(Baseline):
    """Rules of the literature: level by loudness, pan by spectrum with the low end in the centre, equalisers against masking.

    No rule asks what the instruments are. Silent tracks are left alone.

    - Level: every track equally loud (Perez Gonzalez and Reiss, 2009, "Automatic gain and fader control for live mixing", with
      the loudness of ITU-R BS.1770).
    - Pan: mono tracks whose spectral centroid is low stay in the centre; the higher it is, the further out a track goes, and to
      whichever side has less power so far (Perez Gonzalez and Reiss, 2010, "A real-time semiautonomous audio panning system for
      music mixing"; De Man and Reiss, 2013, "A knowledge-engineered autonomous mixing system"). Stereo tracks keep their balance.
    - Equaliser: an octave band that is not among a track's own strongest gives way where another track has its strength and
      would be masked, at most two bands a track (Hafezi and Reiss, 2015, "Autonomous multitrack equalization based on masking
      reduction").

    Args:
        mix_lufs: loudness of the mix.
        centred_hz: tracks of a lower centroid are in the centre.
        widest: how far out a track goes at most, at 8 kHz: 0 centre, 1 one side only.
        strongest: number of octave bands that are essential to a track.
        cut_db: largest cut.
    """

    mix_lufs: float = -18.0
    centred_hz: float = 250.0
    widest: float = 0.8
    strongest: int = 3
    cut_db: float = 6.0

    def settle(self, source: Source) -> Plan:
        rate = source.sample_rate
        tracks = [of_track(track_parts(source, n), c, rate) for n, c in enumerate(source.channels.tolist())]
        gains = [-24.0 - t.loudness_lufs if t.rms > 0 and t.loudness_lufs > -70 else 0.0 for t in tracks]
        pans = self._pans(tracks, gains)
        console = Console(Chain(*(PeakFilter(rate) for _ in range(_BANDS))))
        values = dict(zip([q.name for q in console.inserts], self._cuts(tracks, gains).T, strict=True))
        plan = placed(torch.tensor(gains, dtype=torch.float64) + UNITY_DB, torch.tensor(pans, dtype=torch.float64), console)
        return at_loudness(Plan(console, set_tracks(console, plan.controls, values)), source, self.mix_lufs)

    def _pans(self, tracks: Sequence[TrackFeatures], gains: Sequence[float]) -> list[float]:
        pans, sides = [0.5] * len(tracks), [0.0, 0.0]
        out = [n for n, t in enumerate(tracks) if t.channels == 1 and t.rms > 0 and t.centroid_hz > self.centred_hz]
        for n in sorted(out, key=lambda n: tracks[n].centroid_hz):
            octaves = math.log2(tracks[n].centroid_hz / self.centred_hz) / math.log2(8000 / self.centred_hz)
            width = self.widest * min(octaves, 1.0)
            side = int(sides[1] < sides[0])  # the first goes left
            sides[side] += width * tracks[n].rms ** 2 * 10 ** (gains[n] / 10)
            pans[n] = 0.5 + (0.5 if side else -0.5) * width
        return pans

    def _cuts(self, tracks: Sequence[TrackFeatures], gains: Sequence[float]) -> torch.Tensor:
        """For each track frequency, gain and q of its peak filters in turn: (N, 3 * bands)."""
        levels = np.array([10 * np.log10(t.octaves + 1e-12) + gain for t, gain in zip(tracks, gains, strict=True)])
        ranks = (-levels).argsort(1).argsort(1)
        essential = (ranks < self.strongest) & (levels > levels.max(1, keepdims=True) - 40)
        cuts = np.zeros_like(levels)
        for masker in range(len(tracks)):
            for masked in range(len(tracks)):
                excess = levels[masker] - levels[masked]
                gives_way = essential[masked] & ~essential[masker] & (excess > 0)
                if tracks[masked].rms > 0:
                    cuts[masker] = np.maximum(cuts[masker], np.where(gives_way, excess.clip(0, self.cut_db), 0))
        rows = []
        for row in cuts:
            order = (-row).argsort(kind="stable")[:_BANDS]
            rows.append([value for band in sorted(order) for value in (OCTAVES_HZ[band], -row[band], _OCTAVE_Q)])
        return torch.tensor(rows, dtype=torch.float64)
