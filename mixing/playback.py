"""Settings played on stems."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from dasp import Chain, Effect
from dasp.effect import nearest
from dasp.effects import find
from mixing.align import shift
from mixing.console import Console, Controls
from mixing.errors import UserError
from mixing.multitrack import Multitrack
from mixing.settings import Settings, short

_NO_SEND_DB = -200.0  # below the range of a send, where its gain is exactly 0


def render(settings: Settings, multitrack: Multitrack) -> Tensor:
    """Play settings on stems: (2, T).

    Args:
        settings: as `mixing.settings.read` returns them.
        multitrack: one song at the settings' rate with every track that they name; others are left out.

    Raises:
        UserError: a stem is missing, or shorter than its lag.
    """
    check_stems(settings, multitrack.names[0], multitrack.samples)
    wanted, lags = [t["name"] for t in settings["tracks"]], [t.get("lag_samples", 0) for t in settings["tracks"]]
    moved, rate = shift(multitrack.select(wanted), lags), multitrack.sample_rate
    with torch.no_grad():
        inserted = []
        for n, track in enumerate(settings["tracks"]):
            x = moved.audio[0, n, : int(moved.channels[0, n])]
            inserted.append(torch.zeros_like(x) if track.get("mute") else play(track.get("inserts", []), x, rate))
        console = _console(settings, rate)
        mix = console(Multitrack.from_tracks(inserted, rate, wanted), _controls(settings, console)).audio[0]
    return mix * 10 ** (settings.get("output_gain_db", 0.0) / 20)


def check_stems(settings: Settings, have: Sequence[str], samples: int) -> None:
    """Refuse stems that settings cannot be played on.

    Args:
        settings: as `render` takes them.
        have: names of the stems.
        samples: of the longest.

    Raises:
        UserError: a stem is missing, or shorter than its lag.
    """
    for track in settings["tracks"]:
        name = track["name"]
        if name not in have:
            raise UserError(f"no stem is named {short(name)}; there are {short(', '.join(have), 200)}.{nearest(name, have)}")
        if abs(track.get("lag_samples", 0)) >= samples:
            raise UserError(f"{short(name)}: is shorter than its lag in the settings; give the stems that they were made for.")


@torch.no_grad()
def play(effects: list[dict[str, Any]], audio: Tensor, rate: float) -> Tensor:
    """Effects as settings list them, one after the other, on (C, T)."""
    x = audio[None]
    for effect, values in _built(effects, rate):
        x = effect(x, **values)
    return x[0]


def _built(effects: list[dict[str, Any]], rate: float) -> list[tuple[Effect, dict[str, float]]]:
    return [
        (find(e["effect"])(rate, **e.get("options", {})), {k: float(c["value"]) for k, c in e.get("controls", {}).items()})
        for e in effects
    ]


def _console(settings: Settings, rate: float) -> Console:
    """Buses and master; the inserts may differ from track to track and are played before."""

    def chain(effects: list[dict[str, Any]]) -> Chain:
        return Chain(*(effect for effect, _ in _built(effects, rate)))

    master = settings.get("master", [])
    return Console(None, {b["name"]: chain(b["effects"]) for b in settings.get("buses", [])}, chain(master) if master else None)


def _controls(settings: Settings, console: Console) -> Controls:
    """The settings in [0, 1]; what is left out is at the effect's own default."""
    controls = console.defaults(1, len(settings["tracks"]))
    for n, track in enumerate(settings["tracks"]):
        values = {"fader_db": track["fader_db"], "pan": track.get("pan", 0.5)}
        values |= {f"send_{bus}_db": db for bus, db in track.get("sends_db", {}).items()}
        for i, q in enumerate(console.track_controls):
            controls.tracks[0, n, i] = q.to_unit(float(values.get(q.name, _NO_SEND_DB)))
    of_buses = [entry for bus in settings.get("buses", []) for entry in bus["effects"]]
    for entries, row in ((of_buses, controls.buses), (settings.get("master", []), controls.master)):
        if entries:
            row[:] = torch.cat([effect.unit(1, **values) for effect, values in _built(entries, 44100)], 1)
    return controls
