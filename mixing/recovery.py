"""How near a match came to settings that are known."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor

from dasp import Chain
from mixing.hidden import HiddenMix
from mixing.multitrack import Multitrack
from mixing.result import ALWAYS_ON, INACTIVE, MatchResult, leaves, reduction_db, sounding
from mixing.spectral import EQUALISERS

AUDIBLE_DB = -30.0  # tracks above this level of the mix are judged
_BANDS_HZ = [1000 * 2 ** (k / 3) for k in range(-16, 13)]  # third octaves from 25 Hz to 16 kHz


@dataclass(frozen=True)
class TrackRecovery:
    """One track, recovered beside hidden.

    Attributes:
        level_db: of its strip in the hidden mix, over the mix.
        level_error_db, pan_error: of the strip's level (fader, equaliser and compressor together) and of its pan.
        equaliser_error_db: RMS over the third octaves within 40 dB of the track's strongest, mean removed.
        reduction_error_db: RMS difference of the gain reduction where the track sounds, mean removed.
        hidden_reduction_db, found_reduction_db: mean gain reduction.
        flags: what the match says cannot be determined.
    """

    name: str
    level_db: float
    level_error_db: float
    pan_hidden: float
    pan_found: float
    pan_error: float
    fader_hidden_db: float
    fader_found_db: float
    equaliser_error_db: float
    reduction_error_db: float
    hidden_reduction_db: float
    found_reduction_db: float
    flags: tuple[str, ...]

    @property
    def judged(self) -> bool:
        return self.level_db > AUDIBLE_DB


@dataclass(frozen=True)
class Recovery:
    """A match against its hidden mix; the worst and median figures are over the tracks above -30 dB of the mix."""

    tracks: tuple[TrackRecovery, ...]
    residual_db: float
    stft_distance: float
    seconds: float

    def figures(self) -> dict[str, float]:
        judged = [t for t in self.tracks if t.judged]
        return {
            "worst_level_error_db": max(abs(t.level_error_db) for t in judged),
            "worst_pan_error": max(t.pan_error for t in judged),
            "residual_db": self.residual_db,
            "stft_distance": self.stft_distance,
            "median_equaliser_error_db": median(t.equaliser_error_db for t in judged),
            "median_reduction_error_db": median(t.reduction_error_db for t in judged),
            "tracks_within_half_db_and_003": float(sum(abs(t.level_error_db) <= 0.5 and t.pan_error <= 0.03 for t in judged)),
            "tracks_judged": float(len(judged)),
            "seconds": self.seconds,
        }

    def verdicts(self, targets: dict[str, float]) -> dict[str, bool]:
        """Whether each figure is at most its target."""
        figures = self.figures()
        return {name: figures[name] <= limit for name, limit in targets.items()}


TARGETS = {
    "worst_level_error_db": 0.1,
    "worst_pan_error": 0.005,
    "residual_db": -32.0,
    "stft_distance": 0.02,
    "median_equaliser_error_db": 0.3,
    "median_reduction_error_db": 0.2,
}
BLACK_BOX_TARGETS = {"residual_db": -18.0}


def compare(hidden: HiddenMix, result: MatchResult, multitrack: Multitrack) -> Recovery:
    """Judge a match of one song against the settings that made its reference."""
    with torch.no_grad():
        strips = result.console.strips(multitrack, result.controls.tracks)[0]
    total = hidden.audio.square().sum()
    rows = []
    for n, name in enumerate(multitrack.names[0]):
        ours, theirs = result.tracks[name], hidden.tracks[name]
        power = hidden.strips[n].square().sum()
        traces = [
            reduction_db(console, multitrack, controls, n)
            for console, controls in ((hidden.console, hidden.controls), (result.console, result.controls))
        ]
        on = sounding(multitrack.audio[0, n], multitrack.sample_rate)
        means, spread = [0.0, 0.0], 0.0
        if traces[0] is not None and traces[1] is not None:
            off = (traces[1] - traces[0])[:, on]
            spread = float((off - off.mean()).square().mean().sqrt())
            means = [float(t[:, on].mean()) for t in traces if t is not None]
        rows.append(
            TrackRecovery(
                name=name,
                level_db=10 * math.log10(float(power / total) + 1e-12),
                level_error_db=10 * math.log10(float(strips[n].square().sum() / power.clamp_min(1e-12)) + 1e-12),
                pan_hidden=theirs["pan"],
                pan_found=ours["pan"],
                pan_error=abs(ours["pan"] - theirs["pan"]),
                fader_hidden_db=theirs["fader_db"],
                fader_found_db=ours["fader_db"],
                equaliser_error_db=_equaliser_error(hidden, result, multitrack, n),
                reduction_error_db=spread,
                hidden_reduction_db=means[0],
                found_reduction_db=means[1],
                flags=tuple(f for f in result.flags.get(name, ()) if f in (INACTIVE, ALWAYS_ON)),
            )
        )
    return Recovery(tuple(rows), result.metrics["residual_db"], result.metrics["stft_distance"], result.metrics["seconds"])


def _equaliser_error(hidden: HiddenMix, result: MatchResult, multitrack: Multitrack, track: int) -> float:
    size = 16384
    spectrum = torch.fft.rfft(multitrack.audio[0, track].double(), dim=-1).abs().square().sum(0)
    frequency = torch.arange(len(spectrum)) * (multitrack.sample_rate / 2) / (len(spectrum) - 1)
    edges = [2 ** (-1 / 6), 2 ** (1 / 6)]
    power = torch.stack([spectrum[(frequency >= f * edges[0]) & (frequency < f * edges[1])].sum() for f in _BANDS_HZ])
    inside = power > power.max() * 1e-4
    index = torch.tensor([min(round(f * size / multitrack.sample_rate), size // 2) for f in _BANDS_HZ])
    responses = []
    for console, controls in ((hidden.console, hidden.controls), (result.console, result.controls)):
        effects = leaves(console.track_chain)
        parts = controls.tracks[0, track, : len(console.inserts)].split([len(e.controls) for e in effects])
        kept = [(type(e)(e.sample_rate), p) for e, p in zip(effects, parts, strict=True) if isinstance(e, EQUALISERS)]
        impulse = torch.zeros(1, 1, size, dtype=torch.float64)
        impulse[..., 0] = 1
        y: Tensor = Chain(*(e for e, _ in kept))(impulse, torch.cat([p for _, p in kept])[None]) if kept else impulse
        responses.append(20 * torch.fft.rfft(y[0, 0]).abs()[index].clamp_min(1e-6).log10())
    off = (responses[1] - responses[0])[inside]
    return float((off - off.mean()).square().mean().sqrt())
