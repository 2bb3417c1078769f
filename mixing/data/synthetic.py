"""Synthetic mixes with known settings: a console set as an engineer might, played by the real plugins."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from torch.utils.data import Dataset

from mixing import engineer
from mixing.console import FADER, Console, Controls
from mixing.data.excerpts import Example, Excerpts
from mixing.multitrack import Multitrack


class Synthetic(Dataset):
    """Excerpts whose mix a console makes at random settings, all of which `example(k)` knows: for a loss on the settings.

    The human mix is put aside. Settings are drawn by `mixing.engineer.draw`, from the seed and k only.

    Args:
        excerpts: where the tracks come from; give it `track_peak_db`, as thresholds and faders are drawn for tracks that are
            turned up.
        console: at the excerpts' rate; by default `mixing.engineer.console`: three filters, compressor, fader, pan, a reverb, by
            Pedalboard's plugins. A Console of a strategy that has a black box plays plugins, another one dasp's effects.
        seed: of the settings; the excerpts have their own.
        mix_peak_db: peak in dBFS to which all faders together bring the mix; None leaves them as they were drawn.
        centred: keep kick, snare and bass near the centre.

    Raises:
        ValueError: the console runs at another rate, or `mix_peak_db` is to be reached through a master chain.
    """

    def __init__(
        self,
        excerpts: Excerpts,
        console: Console | None = None,
        seed: int = 0,
        *,
        mix_peak_db: float | None = None,
        centred: bool = True,
    ) -> None:
        self.console = engineer.console(excerpts.sample_rate) if console is None else console
        if self.console.sample_rate not in (None, excerpts.sample_rate):
            raise ValueError(
                f"Synthetic: the console runs at {self.console.sample_rate:g} Hz, excerpts at {excerpts.sample_rate:g} Hz."
            )
        if mix_peak_db is not None and self.console.master is not None:
            raise ValueError(
                "Synthetic: mix_peak_db needs a console without a master chain: faders do not scale what comes after it."
            )
        self.excerpts, self.seed, self.mix_peak_db, self.centred = excerpts, seed, mix_peak_db, centred

    def __len__(self) -> int:
        return len(self.excerpts)

    def __iter__(self) -> Iterator[Multitrack]:
        return (self[k] for k in range(len(self)))

    def __getitem__(self, k: int) -> Multitrack:
        return self.example(k).multitrack

    def example(self, k: int) -> Example:
        """Excerpt k, mixed, with every setting of the console in `known`."""
        example = self.excerpts.example(k)
        state = int(np.random.SeedSequence((self.seed, k)).generate_state(1)[0])
        controls = engineer.draw(self.console, example.multitrack, torch.Generator().manual_seed(state), centred=self.centred)
        with torch.no_grad():
            mix = self.console(example.multitrack, controls).audio
        peak = float(mix.abs().max())
        if self.mix_peak_db is not None and peak > 0:
            controls, gain_db = self._turned(controls, self.mix_peak_db - 20 * math.log10(peak))
            mix = mix * 10 ** (gain_db / 20)
        known = self.console.physical(controls)
        return replace(example, multitrack=replace(example.multitrack, mix=mix), known=known)

    def _turned(self, controls: Controls, gain_db: float) -> tuple[Controls, float]:
        """All faders by so much, as far as none leaves its range. Sends come after the fader and go with it, inserts before."""
        place = self.console.track_controls.index(FADER)
        fader = FADER.to_physical(controls.tracks[..., place])
        assert isinstance(fader, torch.Tensor)
        gain_db = min(max(gain_db, FADER.low - float(fader.min())), FADER.high - float(fader.max()))
        tracks = controls.tracks.clone()
        tracks[..., place] = FADER.to_unit(fader + gain_db)
        return replace(controls, tracks=tracks), gain_db
