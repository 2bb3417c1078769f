"""The mixing console: tracks through inserts, fader and pan, sends to effect buses, and a master chain."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from dasp import Chain, Effect, Param
from dasp.atoms.level import db_to_gain
from dasp.effects.panner import pan_gains
from gradients import Strategy
from mixing.mixers import Mix
from mixing.multitrack import Multitrack

FADER = Param("fader_db", "dB", -60.0, 24.0, 0.0, doc="level of the track")
PAN = Param("pan", "", 0.0, 1.0, 0.5, doc="0 left, 0.5 centre, 1 right")


@dataclass(frozen=True)
class Controls:
    """A console's controls in [0, 1].

    Attributes:
        tracks: (B, N, P) in the order of `Console.track_controls`: the inserts', then fader, pan, sends.
        buses: (B, P) of all buses one after the other.
        master: (B, P) of the master chain.
    """

    tracks: Tensor
    buses: Tensor
    master: Tensor

    def map(self, function) -> Controls:  # noqa: ANN001
        """The function applied to each of the three."""
        return Controls(function(self.tracks), function(self.buses), function(self.master))


class Console(nn.Module):
    """A mixing console for any number of tracks: one strip, the same for all, and shared buses.

    Per track: inserts -> fader -> pan (constant power; stereo tracks are balanced) -> mix, and post-fader sends to the
    buses. Buses: the sum of their sends -> effect -> mix. Mix -> master chain. Mono tracks run through the inserts in mono.
    Permuting tracks and their controls permutes the strips and leaves the mix, to float precision.

    Args:
        track_chain: inserts, an Effect or Chain with as many output as input channels; None for none.
        buses: effects by bus name, or a sequence of effects named after themselves. A bus is all wet: give a Reverb's levels in
            `bus_defaults` (wet 1/3, dry 0 by default).
        master: an Effect or Chain on the stereo mix; None for none.
        gradient: one strategy for the inserts, for each bus and for the master, each as a chain of its own, so that the waveform
            gradient of every strip meets that strip's probes. Fader, pan and sends are always exact.
            None: the effects keep theirs.
    """

    def __init__(
        self,
        track_chain: Effect | None = None,
        buses: Mapping[str, Effect] | Sequence[Effect] = (),
        master: Effect | None = None,
        *,
        gradient: str | Strategy | None = None,
    ) -> None:
        super().__init__()
        named = buses if isinstance(buses, Mapping) else {re.sub(r"\W", "_", b.name).lower(): b for b in buses}
        if len(named) != len(buses):
            raise ValueError("Console: two buses have one name; give them as a mapping, name -> effect.")
        effects = [e for e in (track_chain, *named.values(), master) if e is not None]
        if len({e.sample_rate for e in effects}) > 1:
            rates = ", ".join(f"{e.name} {e.sample_rate:g}" for e in effects)
            raise ValueError(f"Console: effects of one sample rate; got {rates}.")

        def under(effect: Effect) -> Effect:
            return effect if gradient is None else Chain(effect, gradient=gradient)

        self.sample_rate = effects[0].sample_rate if effects else None
        self.track_chain = None if track_chain is None else under(track_chain)
        self.buses = nn.ModuleDict({name: under(bus) for name, bus in named.items()})
        self.master = None if master is None else under(master)
        self.inserts: tuple[Param, ...] = () if track_chain is None else track_chain.controls
        sends = tuple(Param(f"send_{n}_db", "dB", -60.0, 12.0, -60.0, doc=f"post-fader send to {n}") for n in named)
        self.track_controls: tuple[Param, ...] = (*self.inserts, FADER, PAN, *sends)
        several = len(named) > 1
        self.bus_controls: tuple[Param, ...] = tuple(
            replace(_bus_default(q), name=f"{n}_{q.name}") if several else _bus_default(q)
            for n, b in named.items()
            for q in b.controls
        )
        self.master_controls: tuple[Param, ...] = () if master is None else master.controls

    def defaults(self, batch: int = 1, tracks: int = 1, *, device: torch.device | None = None) -> Controls:
        """Every control at its default, float64, for a batch of songs of so many tracks, on a device."""

        def units(table: tuple[Param, ...]) -> Tensor:
            return torch.tensor([q.to_unit(q.default) for q in table], dtype=torch.float64, device=device)

        return Controls(
            units(self.track_controls).repeat(batch, tracks, 1),
            units(self.bus_controls).repeat(batch, 1),
            units(self.master_controls).repeat(batch, 1),
        )

    def forward(self, multitrack: Multitrack, controls: Controls) -> Mix:
        """Mix a batch of multitracks.

        Args:
            multitrack: audio (B, N, 2, T) with its mask and channel counts.
            controls: in [0, 1].

        Returns:
            Mix with audio (B, 2, T) and the controls in human units.
        """
        strips = self.strips(multitrack, controls.tracks)
        return Mix(self.sum(strips, controls), self.physical(controls))

    def strips(self, multitrack: Multitrack, tracks: Tensor) -> Tensor:
        """Each track of a multitrack after inserts, fader and pan: (B, N, 2, T); padding tracks are silent. `tracks` are the
        controls (B, N, P) in [0, 1]."""
        return self._strips(multitrack, tracks, None)

    def _strips(self, multitrack: Multitrack, tracks: Tensor, state: dict[str, Any] | None) -> Tensor:
        self._check(multitrack, tracks)
        inserted = self.insert(multitrack, tracks, state)
        # Multiplied in double: a fader that makes up for the pan law leaves a centred track as it is, to the bit.
        level, left, right = self.strip_gains(tracks, torch.float64)
        return inserted * torch.stack([level * left, level * right], -1)[..., None].to(inserted.dtype)

    def insert(self, multitrack: Multitrack, tracks: Tensor, state: dict[str, Any] | None = None) -> Tensor:
        """Each track after its inserts: (B, N, 2, T), mono ones in both channels.

        Args:
            multitrack: the songs.
            tracks: controls (B, N, P) in [0, 1].
            state: as in `stream`, changed in place.
        """
        audio, channels = multitrack.audio, multitrack.channels
        audio = audio * multitrack.mask[..., None, None]
        if self.track_chain is None:
            return audio
        flat, rows = audio.flatten(0, 1), tracks[..., : len(self.inserts)].flatten(0, 1)
        kinds = (channels * multitrack.mask).flatten()
        out = torch.zeros_like(flat)
        for count in (1, 2):
            index = (kinds == count).nonzero()[:, 0]
            if len(index):
                y = _played(self.track_chain, flat[index, :count], rows[index], state, f"inserts{count}")
                out = out.index_copy(0, index, y.expand(-1, 2, -1))
        return out.unflatten(0, audio.shape[:2])

    def strip_gains(self, tracks: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
        """Fader, left and right gain of each track, (B, N) each, of a dtype, at controls `tracks` (B, N, P) in [0, 1]."""
        k = len(self.inserts)
        level = db_to_gain(FADER.to_physical(tracks[..., k].double()), dtype)
        left, right = pan_gains(PAN.to_physical(tracks[..., k + 1].double()), "constant_power")
        return level.to(dtype), left.to(dtype), right.to(dtype)

    def send_gains(self, tracks: Tensor, dtype: torch.dtype) -> Tensor:
        """Linear send gains (B, N, buses), of a dtype, at controls `tracks` (B, N, P) in [0, 1]."""
        k = len(self.inserts) + 2
        sends = [q.to_physical(tracks[..., k + i].double()) for i, q in enumerate(self.track_controls[k:])]
        if not sends:
            return tracks.new_zeros((*tracks.shape[:2], 0), dtype=dtype)
        return torch.stack([db_to_gain(s, dtype) for s in sends], -1).to(dtype)

    def stream(
        self, multitrack: Multitrack, controls: Controls, state: dict[str, Any] | None = None
    ) -> tuple[Tensor, dict[str, Any]]:
        """Mix the next block of songs; the blocks together are the whole. Without gradients of the plugins': autodiff only.

        Args:
            multitrack: the block, with the same tracks in each.
            controls: in [0, 1], the same for each block.
            state: what the call for the block before returned; None for the first one. It is not changed.

        Returns:
            audio (B, 2, T) and the state after it.
        """
        after = dict(state or {})
        return self.sum(self._strips(multitrack, controls.tracks, after), controls, after), after

    def sum(self, strips: Tensor, controls: Controls, state: dict[str, Any] | None = None) -> Tensor:
        """The mix (B, 2, T) of strips: their sum, the buses, the master chain.

        Args:
            strips: (B, N, 2, T), from `strips`.
            controls: in [0, 1].
            state: as in `stream`, changed in place.
        """
        mix = strips.sum(1)
        if len(self.buses):
            sends = self.send_gains(controls.tracks, strips.dtype)
            start = 0
            for i, (name, bus) in enumerate(self.buses.items()):
                part = controls.buses[:, start : start + len(bus.controls)]  # type: ignore[arg-type]
                start += len(bus.controls)  # type: ignore[arg-type]
                send = torch.einsum("bnct,bn->bct", strips, sends[..., i])
                mix = mix + _played(bus, send, part, state, f"bus.{name}")
        return mix if self.master is None else _played(self.master, mix, controls.master, state, "master")

    def physical(self, controls: Controls) -> dict[str, dict[str, Tensor]]:
        """Controls in human units: {"tracks": {name: (B, N)}, "buses": {name: (B,)}, "master": {name: (B,)}}."""

        def named(table: tuple[Param, ...], u: Tensor) -> dict[str, Tensor]:
            return {q.name: q.to_physical(u[..., i]) for i, q in enumerate(table)}

        return {
            "tracks": named(self.track_controls, controls.tracks),
            "buses": named(self.bus_controls, controls.buses),
            "master": named(self.master_controls, controls.master),
        }

    def _check(self, multitrack: Multitrack, tracks: Tensor) -> None:
        if self.sample_rate is not None and multitrack.sample_rate != self.sample_rate:
            raise ValueError(
                f"Console: its effects run at {self.sample_rate:g} Hz and the multitrack at {multitrack.sample_rate:g} Hz; "
                "read the stems with Multitrack.from_folder(..., sample_rate=...) or build the console at their rate."
            )
        expected = (*multitrack.audio.shape[:2], len(self.track_controls))
        if tuple(tracks.shape) != expected:
            names = ", ".join(q.name for q in self.track_controls)
            raise ValueError(f"Console: track controls must be {expected} for {names}; got {tuple(tracks.shape)}.")


def _played(effect: nn.Module, x: Tensor, controls: Tensor, state: dict[str, Any] | None, key: str) -> Tensor:
    """An effect on a whole signal, or on a block of it with what `state` keeps of the one before."""
    if state is None:
        return effect(x, controls)
    y, state[key] = effect.stream(x, state.get(key), controls)  # type: ignore[operator]
    return y


def _bus_default(q: Param) -> Param:
    """A bus carries the wet sound only, at unity: Freeverb's wet gain is three times its level."""
    return replace(q, default={"dry_level": 0.0, "wet_level": 1 / 3}.get(q.name, q.default))
