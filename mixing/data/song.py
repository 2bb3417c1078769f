"""A song on disk: its stems, its mix, and what is known of how it was mixed. Reading streams from the files."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from dasp.effects.panner import pan_gains
from mixing import audio
from mixing.errors import UserError, nearest
from mixing.multitrack import Multitrack


@dataclass(frozen=True)
class Stem:
    """A track of a song.

    Attributes:
        name: unique in its song.
        instrument: as the data set calls it; None where it does not say.
        files: one or more files, which are summed.
        channels: 1 or 2.
    """

    name: str
    instrument: str | None
    files: tuple[Path, ...]
    channels: int


@dataclass(frozen=True)
class Song:
    """A multitrack on disk.

    Attributes:
        name: unique in its data set.
        group: songs of one work or artist, which no split parts.
        stems: in the order of the data set.
        mix: a human's mix; None where there is none.
        sample_rate: in Hz, of the mix or else of most stems; other files are resampled to what `read` is asked for.
        samples: length at that rate: the mix's, or else the longest stem's.
        gains_db: for each stem the level that a composer or engineer gave it, against a sum that leaves it as it is (a mono stem
            panned centre then plays as loud from each side as it is in its file); None where nobody knows.
        pans: for each stem the position that they gave it, 0 left, 0.5 centre, 1 right; None where nobody knows.
        unity: the mix is the plain sum of the stems, as far as the files' coding lets it.
        licence: of the audio.
        notes: what was found and what will be done about it, in sentences.
    """

    name: str
    group: str
    stems: tuple[Stem, ...]
    mix: Path | None
    sample_rate: int
    samples: int
    gains_db: tuple[float | None, ...] | None = None
    pans: tuple[float | None, ...] | None = None
    unity: bool = False
    licence: str = ""
    notes: tuple[str, ...] = ()

    @property
    def settings_known(self) -> bool:
        """Whether every stem's gain and pan is known, so that `sum` can set them: the mix's own, or a plain sum's."""
        given = self.gains_db is not None and self.pans is not None
        return self.unity or (given and None not in self.gains_db and None not in self.pans)  # type: ignore[operator]

    def named(self, patterns: Iterable[str]) -> bool:
        """Whether one of the patterns (`*`, `?`) fits its name or its group."""
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns for name in (self.name, self.group))

    def settings(self) -> tuple[tuple[float | None, ...], tuple[float | None, ...]]:
        """(gains in dB, pans) of every stem; those of a plain sum are 0 dB in the centre, and None is what nobody knows."""
        n = len(self.stems)
        unknown: tuple[float | None, ...] = (None,) * n
        if self.unity:
            return (0.0,) * n, (0.5,) * n
        return self.gains_db or unknown, self.pans or unknown

    def length(self, sample_rate: float | None = None) -> int:
        """Samples at a rate in Hz; by default the song's."""
        return self.samples if sample_rate is None else audio.resampled_length(self.samples, self.sample_rate, sample_rate)

    def read(
        self,
        start: int = 0,
        samples: int | None = None,
        sample_rate: float | None = None,
        *,
        stems: Sequence[int] | None = None,
        mix: bool = True,
    ) -> Multitrack:
        """A part of the song; nothing else is read.

        At another rate than a file's own it is the same span of the resampled whole, to rounding.

        Args:
            start: first sample, at the rate of the result.
            samples: how many; by default to the end of the song, where an excerpt also ends.
            sample_rate: of the result in Hz, a whole number; by default the song's.
            stems: indices of those to read; by default all.
            mix: False leaves the mix out.

        Returns:
            Multitrack of one song, (1, N, 2, T), with its mix where there is one. Stems that end before are silent from there.

        Raises:
            ValueError: the part lies outside of the song.
            UserError: a file cannot be read, or holds samples that are not numbers.
        """
        rate = float(self.sample_rate if sample_rate is None else sample_rate)
        wanted = self._span(start, samples, rate)
        chosen = self.stems if stems is None else tuple(self.stems[i] for i in stems)
        tracks = [self._stem(stem, start, wanted, rate) for stem in chosen]
        multitrack = Multitrack.from_tracks(tracks, rate, [s.name for s in chosen])
        human = None if self.mix is None or not mix else self.read_mix(start, wanted, rate)[None]
        return replace(multitrack, mix=human, notes=self.notes)

    def read_mix(self, start: int = 0, samples: int | None = None, sample_rate: float | None = None) -> Tensor:
        """A part of the mix, (2, T); a mono mix plays from both sides. `start`, `samples` and `sample_rate` as in `read`.

        Raises:
            ValueError: the song has no mix.
        """
        if self.mix is None:
            raise ValueError(f"Song {self.name}: has no mix.")
        rate = float(self.sample_rate if sample_rate is None else sample_rate)
        wanted = self._span(start, samples, rate)
        return _fitted(audio.read_span(self.mix, start, wanted, rate), 2, wanted)

    def sum(self, multitrack: Multitrack, stems: Sequence[int] | None = None) -> Tensor:
        """What `read` gave, mixed at the known settings, (1, 2, T): every stem at its gain and pan (constant power).

        Where `unity` is true this is the song's mix. Where a score says the settings, it is that balance and not the file:
        sampled instruments are stereo and stand where their makers put them, and the file was made of those.

        Args:
            multitrack: of this song.
            stems: which of the song's stems it holds; by default all.

        Raises:
            ValueError: gains and pans are not known.
        """
        if not self.settings_known:
            raise ValueError(f"Song {self.name}: its gains and pans are not known; its mix cannot be made again.")
        if self.unity:
            return multitrack.unity_mix()
        every = self.settings()
        index = range(len(self.stems)) if stems is None else stems
        gains, pans = (torch.tensor([[column[i] for i in index]], dtype=torch.float64) for column in every)
        level = 10 ** (gains / 20) * 2**0.5  # the law is 3 dB down in the centre
        sides = torch.stack(pan_gains(pans, "constant_power"), -1) * level[..., None]
        return torch.einsum("bnct,bnc->bct", multitrack.audio, sides.to(multitrack.audio.dtype))

    def _span(self, start: int, samples: int | None, rate: float) -> int:
        if rate != round(rate) or rate <= 0:
            raise ValueError(f"Song {self.name}: sample_rate is a whole number of Hz; got {rate:g}.")
        length = self.length(rate)
        if not 0 <= start < length or (samples is not None and samples < 1):
            raise ValueError(f"Song {self.name}: has samples 0 to {length} at {rate:g} Hz; asked for {samples} from {start} on.")
        return length - start if samples is None else min(samples, length - start)

    def _stem(self, stem: Stem, start: int, samples: int, rate: float) -> Tensor:
        parts = [_fitted(audio.read_span(f, start, samples, rate), stem.channels, samples) for f in stem.files]
        return parts[0] if len(parts) == 1 else torch.stack(parts).sum(0)


@dataclass(frozen=True)
class DataSet:
    """Songs, and what was left out.

    Attributes:
        name: of the data set.
        songs: those that can be used.
        skipped: (what, why) for everything that cannot.
    """

    name: str
    songs: tuple[Song, ...]
    skipped: tuple[tuple[str, str], ...] = ()

    def __len__(self) -> int:
        return len(self.songs)

    def __iter__(self) -> Iterator[Song]:
        return iter(self.songs)

    def __getitem__(self, name: str) -> Song:
        """A song by its name."""
        for song in self.songs:
            if song.name == name:
                return song
        known = [s.name for s in self.songs]
        raise KeyError(f"{self.name}: no song {name!r}.{nearest(name, known)}")

    def __add__(self, other: DataSet) -> DataSet:
        """Both data sets as one; names that both have get the data set's in front, and so do groups."""
        shared = {s.name for s in self.songs} & {s.name for s in other.songs}
        groups = {s.group for s in self.songs} & {s.group for s in other.songs}

        def renamed(data: DataSet) -> tuple[Song, ...]:
            def prefixed(value: str, taken: set[str]) -> str:
                return f"{data.name}/{value}" if value in taken else value

            return tuple(replace(s, name=prefixed(s.name, shared), group=prefixed(s.group, groups)) for s in data.songs)

        if shared and self.name == other.name:
            raise ValueError(f"DataSet: two data sets named {self.name} both have {min(shared)}; they cannot be joined.")
        return DataSet(f"{self.name}+{other.name}", renamed(self) + renamed(other), self.skipped + other.skipped)

    def split(self, hold_out: Sequence[str] = (), what: str = "hold_out") -> tuple[DataSet, DataSet]:
        """(train, held out): a song is held out if its name or its group matches a pattern (`*`, `?`), and with it its group.

        Args:
            hold_out: the patterns.
            what: they are called, for the messages.

        Raises:
            UserError: a pattern matches nothing, or every song would be held out.
        """
        patterns = (hold_out,) if isinstance(hold_out, str) else tuple(hold_out)
        held: set[str] = set()
        for pattern in patterns:
            found = {s.group for s in self.songs if s.named([pattern])}
            if not found:
                known = sorted({s.group for s in self.songs} | {s.name for s in self.songs})
                raise UserError(f"{self.name}: {what} {pattern!r} matches no song and no group.{nearest(pattern, known)}")
            held |= found
        train = tuple(s for s in self.songs if s.group not in held)
        if self.songs and not train:
            raise UserError(f"{self.name}: {what} {', '.join(patterns)} takes every song; nothing is left to train on.")
        return replace(self, songs=train), replace(self, songs=tuple(s for s in self.songs if s.group in held))

    def notes(self) -> list[str]:
        """What a user should know, in sentences: how much was skipped and why, and the songs' own notes."""
        total = len(self.songs) + len(self.skipped)
        lines = [f"{self.name}: {len(self.skipped)} of {total} were skipped."] if self.skipped else []
        lines += [f"skipped {what}: {why}" for what, why in self.skipped]
        return lines + [f"{s.name}: {n}" for s in self.songs for n in s.notes]


def _fitted(sound: Tensor, channels: int, samples: int) -> Tensor:
    """(C, T) as (channels, samples): mono on both sides, silence behind the end."""
    if sound.shape[1] < samples:
        sound = torch.nn.functional.pad(sound, (0, samples - sound.shape[1]))
    return sound if sound.shape[0] == channels else sound.expand(channels, -1)
