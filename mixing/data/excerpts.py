"""Random excerpts of songs to train on. Excerpt k depends on the seed and on k only; nothing but the excerpt is read."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from mixing.console import FADER, Console, Controls
from mixing.data.song import DataSet, Song
from mixing.errors import UserError
from mixing.mixers import UNITY_DB
from mixing.multitrack import Multitrack

_TRIES = 16  # draws in search of a part that is loud enough
_FAILURES = 64  # parts that cannot be read after all, before it is called off


@dataclass(frozen=True)
class Augment:
    """Changes of an excerpt that leave its mix right. None by default.

    Attributes:
        level_db: every stem is turned up or down by up to so much, evenly; the mix stays, so a mixer has to hear the level.
        drop: probability that a stem is left out of stems and mix, where the mix can be made without it; one at least stays.
        fold: probability that a stereo stem becomes mono, (L + R) / 2; the mix stays, so a mixer has to find its place.
        swap: probability that left and right change sides, in stems and mix.
    """

    level_db: float = 0.0
    drop: float = 0.0
    fold: float = 0.0
    swap: float = 0.0

    def __post_init__(self) -> None:
        for name in ("drop", "fold", "swap"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"Augment: {name} is a probability, 0 to 1; got {getattr(self, name)}.")
        if not 0 <= self.level_db <= 60:
            raise ValueError(f"Augment: level_db is 0 to 60 dB; got {self.level_db}.")


@dataclass(frozen=True)
class Example:
    """An excerpt and what is known of how it was mixed.

    Attributes:
        multitrack: (B, N, 2, T), with its mix.
        known: settings in human units, as `Mix.controls` has them: {"tracks": {name: (B, N)}, "buses": {name: (B,)}, ...}; NaN
            where one is not known. "fader_db" and "pan" are a Console's: a mono stem at +3.01 dB and 0.5 plays from both sides as
            it is.
        songs: for each item the song's name.
        starts: for each item the first sample, at the excerpt's rate.
    """

    multitrack: Multitrack
    known: dict[str, dict[str, Tensor]]
    songs: tuple[str, ...]
    starts: tuple[int, ...]

    def controls(self, console: Console) -> Controls:
        """The known settings as a console's controls in [0, 1]; NaN for those that are not known: a loss leaves them out."""
        batch, tracks = self.multitrack.channels.shape

        def column(place: str, table: tuple[Any, ...], shape: tuple[int, ...]) -> Tensor:
            values = self.known.get(place, {})
            nothing = torch.full(shape, math.nan, dtype=torch.float64)
            columns = [q.to_unit(values[q.name].double()).clamp(0, 1) if q.name in values else nothing for q in table]
            return torch.stack(columns, -1) if columns else torch.zeros(*shape, 0, dtype=torch.float64)

        return Controls(
            column("tracks", console.track_controls, (batch, tracks)),
            column("buses", console.bus_controls, (batch,)),
            column("master", console.master_controls, (batch,)),
        )

    @classmethod
    def collate(cls, examples: Sequence[Example]) -> Example:
        """Several examples in a batch: `Multitrack.collate`; what one knows and another does not is NaN there."""
        tracks = max(e.multitrack.audio.shape[1] for e in examples)
        names = {(place, name) for e in examples for place, table in e.known.items() for name in table}
        known: dict[str, dict[str, Tensor]] = {}
        for place, name in sorted(names):
            rows = []
            for e in examples:
                batch, own = e.multitrack.channels.shape
                shape = (batch, own) if place == "tracks" else (batch,)
                value = e.known.get(place, {}).get(name, torch.full(shape, math.nan))
                rows.append(torch.nn.functional.pad(value, (0, tracks - own), value=math.nan) if place == "tracks" else value)
            known.setdefault(place, {})[name] = torch.cat(rows)
        return cls(
            Multitrack.collate([e.multitrack for e in examples]),
            known,
            tuple(s for e in examples for s in e.songs),
            tuple(s for e in examples for s in e.starts),
        )


class Excerpts(Dataset):
    """Random excerpts, as torch's DataLoader takes them: `excerpts[k]` is a Multitrack with its mix; `example(k)` knows more.

    Any k from 0 on is an excerpt, the same in every process and every run; `length` says only how many an epoch has, so item i of
    epoch e is `excerpts[e * length + i]`. Songs are drawn evenly, whatever their length.

    Args:
        songs: a DataSet or songs; those without a mix need `remake`.
        samples: length.
        sample_rate: in Hz, of the result.
        seed: of every draw.
        length: of an epoch.
        augment: changes.
        min_active_db: RMS of the mix in dBFS from which a part counts as music; the loudest of 16 draws stands in where none does.
        min_track_db: RMS in dBFS below which a stem is left out of the excerpt: one that nobody hears has no right level.
        track_peak_db: peak in dBFS to which every stem is brought first (Steinmetz's toolkit: -12); None leaves levels alone.
        mix_peak_db: peak in dBFS to which the mix is brought last (the same: 0); None leaves it.
        max_tracks: songs with more stems lose some at random where the mix can be made without them, and are left out elsewhere.
        remake: make the mix of songs whose settings a score says from these settings, not from the file; see `Song.sum`.
        shuffle: stems in random order.

    Attributes:
        songs: those that are drawn from.
        skipped: (what, why): songs too short, with too many stems or no mix; and, in this process, songs of which a part could
            not be read after all, or had samples that are not numbers. Another part was drawn in its place.

    Raises:
        UserError: no song is left.
    """

    def __init__(
        self,
        songs: DataSet | Sequence[Song],
        samples: int,
        sample_rate: float = 44100,
        seed: int = 0,
        *,
        length: int = 1000,
        augment: Augment = Augment(),
        min_active_db: float = -60.0,
        min_track_db: float | None = None,
        track_peak_db: float | None = None,
        mix_peak_db: float | None = None,
        max_tracks: int | None = None,
        remake: bool = False,
        shuffle: bool = False,
    ) -> None:
        if samples < 1 or length < 1 or (max_tracks is not None and max_tracks < 1):
            raise ValueError(f"Excerpts: samples, length and max_tracks are at least 1; got {samples}, {length}, {max_tracks}.")
        self.samples, self.sample_rate, self.seed, self.length = samples, float(sample_rate), seed, length
        self.augment, self.remake, self.shuffle, self.max_tracks = augment, remake, shuffle, max_tracks
        self.min_active_db, self.min_track_db = min_active_db, min_track_db
        self.track_peak_db, self.mix_peak_db = track_peak_db, mix_peak_db
        self.skipped: list[tuple[str, str]] = []
        self.songs = [s for s in songs if self._usable(s)]
        if not self.songs:
            why = f"; the first of {len(self.skipped)}, {self.skipped[0][0]}: {self.skipped[0][1]}" if self.skipped else "."
            raise UserError(f"excerpts: no song to draw from{why}")

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[Multitrack]:
        return (self[k] for k in range(self.length))

    def __getitem__(self, k: int) -> Multitrack:
        return self.example(k).multitrack

    def example(self, k: int) -> Example:
        """Excerpt k and what is known of it.

        Raises:
            UserError: no song can be read.
        """
        if k < 0:
            raise IndexError(f"Excerpts: excerpts are numbered from 0 on; got {k}.")
        places, failures = np.random.default_rng((self.seed, k)), []
        while len(failures) < _FAILURES:
            best: tuple[float, Song, int, Tensor] | None = None
            for _ in range(_TRIES):
                song = self.songs[int(places.integers(len(self.songs)))]
                start = int(places.integers(song.length(self.sample_rate) - self.samples + 1))
                try:
                    mix = self._heard(song, start)
                except UserError as error:
                    failures.append((song.name, str(error)))
                    continue
                level = _rms_db(mix)
                if best is None or level > best[0]:
                    best = level, song, start, mix
                if level >= self.min_active_db:
                    break
            if best is not None:
                _, song, start, mix = best
                try:
                    example = self._example(song, start, mix, np.random.default_rng((self.seed, k, 1)))
                except UserError as error:
                    failures.append((song.name, str(error)))
                    continue
                self._note(failures)
                return example
        self._note(failures)
        name, why = failures[-1]
        raise UserError(f"excerpts: {len(failures)} parts in a row could not be read; the last, of {name}: {why}")

    def _usable(self, song: Song) -> bool:
        length = song.length(self.sample_rate)
        why = ""
        if length < self.samples:
            why = (
                f"is {length / self.sample_rate:.2f} s long, shorter than an excerpt of {self.samples / self.sample_rate:.2f} s."
            )
        elif song.mix is None and not self._summed(song):
            why = "has no mix."
        elif self.max_tracks is not None and len(song.stems) > self.max_tracks and not self._summed(song):
            why = f"has {len(song.stems)} stems, more than {self.max_tracks}, and its mix cannot be made with fewer."
        if why:
            self.skipped.append((song.name, why))
        return not why

    def _summed(self, song: Song) -> bool:
        """Whether the mix is made from the stems."""
        return song.unity or (self.remake and song.settings_known)

    def _note(self, failures: Sequence[tuple[str, str]]) -> None:
        """A song that failed is listed once. It is not forgotten: what is drawn must not depend on what was drawn before."""
        self.skipped += [f for f in dict(failures).items() if f[0] not in dict(self.skipped)]

    def _heard(self, song: Song, start: int) -> Tensor:
        if song.mix is not None:
            return song.read_mix(start, self.samples, self.sample_rate)[None]
        return song.sum(song.read(start, self.samples, self.sample_rate))

    def _example(self, song: Song, start: int, mix: Tensor, generator: np.random.Generator) -> Example:
        summed = self._summed(song)
        index = self._chosen(len(song.stems), summed, generator)
        part = song.read(start, self.samples, self.sample_rate, stems=index, mix=False)
        if self.min_track_db is not None:
            heard = [n for n in range(len(index)) if _rms_db(part.audio[0, n]) >= self.min_track_db]
            heard = heard or [max(range(len(index)), key=lambda n: _rms_db(part.audio[0, n]))]
            index = [index[n] for n in heard]
            part = replace(
                part, audio=part.audio[:, heard], channels=part.channels[:, heard], names=(_pick(part.names[0], heard),)
            )
        mix = song.sum(part, index) if summed else mix
        gains, pans = (torch.tensor([[math.nan if v is None else v for v in _pick(c, index)]]) for c in song.settings())
        audio, channels = part.audio, part.channels
        folded = torch.from_numpy(generator.random(channels.shape)) < self.augment.fold
        folded &= channels == 2
        audio = torch.where(folded[..., None, None], audio.mean(2, keepdim=True), audio)
        channels = torch.where(folded, 1, channels)
        # What is left of a stereo stem when it is folded has no known place, and no known level.
        gains, pans = gains.masked_fill(folded, math.nan), pans.masked_fill(folded, math.nan)
        turned = _to_peak(audio, self.track_peak_db, (2, 3))
        turned = turned + self.augment.level_db * (2 * torch.from_numpy(generator.random(channels.shape)).float() - 1)
        mix_db = _to_peak(mix, self.mix_peak_db, (1, 2))
        audio, mix = audio * _linear(turned)[..., None, None], mix * _linear(mix_db)[..., None, None]
        gains = gains - turned + mix_db[:, None]
        if generator.random() < self.augment.swap:
            audio, mix, pans = audio.flip(2), mix.flip(1), 1 - pans
        known = {"tracks": {FADER.name: gains + UNITY_DB, "pan": pans}}
        return Example(replace(part, audio=audio, channels=channels, mix=mix), known, (song.name,), (start,))

    def _chosen(self, count: int, summed: bool, generator: np.random.Generator) -> list[int]:
        """Indices of the stems that are read."""
        order = generator.permutation(count)
        kept = order[generator.random(count) >= self.augment.drop] if summed else order
        kept = kept if len(kept) else order[:1]
        if self.max_tracks is not None:
            kept = kept[: self.max_tracks]
        return [int(n) for n in (kept if self.shuffle else np.sort(kept))]


def _pick(values: Sequence[Any], index: Sequence[int]) -> tuple[Any, ...]:
    return tuple(values[i] for i in index)


def _rms_db(audio: Tensor) -> float:
    return 10 * math.log10(max(float(audio.double().square().mean()), 1e-20))


def _to_peak(audio: Tensor, peak_db: float | None, axes: tuple[int, ...]) -> Tensor:
    """The gain in dB that brings audio to a peak; 0 for silence."""
    peak = audio.abs().amax(axes)
    if peak_db is None:
        return torch.zeros_like(peak)
    return torch.where(peak > 1e-6, peak_db - 20 * torch.log10(peak.clamp_min(1e-6)), 0.0)


def _linear(db: Tensor) -> Tensor:
    return 10 ** (db / 20)
