"""What mixers by rule have in common: they settle faders, pans and inserts of a song, and a console plays them."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from mixing.blocks import Plan, Source, Whole
from mixing.console import Console, Controls
from mixing.mixers import Mix
from mixing.multitrack import Multitrack


class Baseline:
    """A mixer that is not learned, at any sample rate, for any number of tracks; what it does with a song does not depend on the
    others of a batch, nor on padding tracks."""

    def settle(self, source: Source) -> Plan:
        """Settings for a song of any length."""
        raise NotImplementedError

    def __call__(self, multitrack: Multitrack) -> Mix:
        return play(self, multitrack)


class Settling(Protocol):
    """A mixer that makes settings."""

    def settle(self, source: Source) -> Plan: ...


def play(mixer: Settling, multitrack: Multitrack) -> Mix:
    """Settle each song of a batch for itself, and mix them all on one console: it has tracks only, no buses and no master."""
    plans = [mixer.settle(Whole(multitrack, song)) for song in range(len(multitrack.channels))]
    console = plans[0].console
    controls = console.defaults(*multitrack.channels.shape, device=multitrack.audio.device)
    for song, plan in enumerate(plans):
        controls.tracks[song, multitrack.mask[song]] = plan.controls.tracks[0].to(controls.tracks)
    return console(multitrack, controls)


def placed(fader_db: Tensor, pan: Tensor | None = None, console: Console | None = None) -> Plan:
    """Faders (N,) in dB and pans (N,) in [0, 1], by default in the centre, on a console whose other controls are at their
    defaults."""
    console = Console() if console is None else console
    controls = console.defaults(1, len(fader_db))
    values = {"fader_db": fader_db, "pan": torch.full_like(fader_db, 0.5) if pan is None else pan}
    return Plan(console, set_tracks(console, controls, values))


def set_tracks(console: Console, controls: Controls, values: dict[str, Tensor]) -> Controls:
    """Controls of one song with track controls (N,) in their units in place of what was there."""
    tracks = controls.tracks.clone()
    for i, q in enumerate(console.track_controls):
        if q.name in values:
            tracks[0, :, i] = q.to_unit(values[q.name].double())
    return Controls(tracks, controls.buses, controls.master)
