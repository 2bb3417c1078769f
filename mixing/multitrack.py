"""A song's stems as one tensor: ragged sets of mono and stereo tracks, with a mask."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mixing.audio import read, resample
from mixing.errors import UserError
from mixing.stems import Stems, span


@dataclass(frozen=True)
class Multitrack:
    """A batch of songs.

    Attributes:
        audio: (B, N, 2, T) float32; a mono track stands in both channels.
        channels: (B, N) int64: 1 or 2; 0 for padding.
        sample_rate: in Hz.
        names: for each song its tracks' names.
        mix: (B, 2, T), a human's mix where there is one.
        notes: what was done to the files, in sentences.
    """

    audio: Tensor
    channels: Tensor
    sample_rate: float
    names: tuple[tuple[str, ...], ...]
    mix: Tensor | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.audio.ndim != 4 or self.audio.shape[2] != 2:
            raise ValueError(f"Multitrack: audio must be (B, N, 2, T); got {tuple(self.audio.shape)}.")
        if self.channels.shape != self.audio.shape[:2]:
            raise ValueError(f"Multitrack: channels must be {tuple(self.audio.shape[:2])}; got {tuple(self.channels.shape)}.")

    @property
    def mask(self) -> Tensor:
        """(B, N) bool: which tracks are there."""
        return self.channels > 0

    @property
    def samples(self) -> int:
        """T, the length of the tracks."""
        return self.audio.shape[3]

    @classmethod
    def from_tracks(cls, tracks: Sequence[Tensor], sample_rate: float, names: Sequence[str] | None = None) -> Multitrack:
        """One song from tensors.

        Args:
            tracks: (T,), (1, T) or (2, T) each; shorter ones are padded with silence.
            sample_rate: in Hz.
            names: of the tracks; by default track1, track2, ...

        Raises:
            ValueError: no tracks.
        """
        if not tracks:
            raise ValueError("Multitrack: needs at least one track.")
        rows = [t[None] if t.ndim == 1 else t for t in tracks]
        length = max(t.shape[1] for t in rows)
        audio = torch.stack([torch.nn.functional.pad(t, (0, length - t.shape[1])).expand(2, -1) for t in rows])
        channels = torch.tensor([[t.shape[0] for t in rows]])
        labels = tuple(names) if names is not None else tuple(f"track{i + 1}" for i in range(len(rows)))
        return cls(audio[None].contiguous(), channels, sample_rate, (labels,))

    @classmethod
    def from_folder(cls, path: str | Path, sample_rate: float | None = None, exclude: Iterable[str | Path] = ()) -> Multitrack:
        """Read every audio file of a folder (or of its `stems` folder), sorted by name.

        Differing rates are resampled to `sample_rate`, or else to the most common one; differing lengths are padded at
        the end. `notes` says so, and names silent stems and audio files of kinds that cannot be read.

        Args:
            path: the folder.
            sample_rate: in Hz, of the result.
            exclude: files that are no stems, such as a mix that lies beside them.

        Returns:
            one song, (1, N, 2, T).

        Raises:
            UserError: no folder, no stems, or a file that cannot be used.
        """
        stems = Stems.open(path, sample_rate, exclude, hold=math.inf)
        audio = stems.read(0, stems.samples)[None]
        return cls(audio, stems.channels[None], stems.sample_rate, (stems.names,), notes=stems.notes)

    def with_mix(self, path: str | Path) -> Multitrack:
        """One song together with a file that holds its mix: mono becomes two equal sides, another rate is resampled to the
        stems', and what is longer, the mix or the stems, is cut. `notes` says so.

        Raises:
            UserError: the file cannot be used, is silent, or shares less than a second with the stems.
        """
        audio, rate = read(path)
        notes = []
        if rate != self.sample_rate:
            audio = resample(audio, rate, self.sample_rate)
            notes.append(f"{path}: resampled from {rate} to {self.sample_rate:g} Hz.")
        if audio.shape[0] == 1:
            notes.append(f"{path}: is mono; used for both sides.")
        length = min(audio.shape[1], self.samples)
        if audio.shape[1] != self.samples:
            which = f"{path} is" if audio.shape[1] > length else "the stems are"
            surplus = span(abs(audio.shape[1] - self.samples), self.sample_rate)
            notes.append(f"{which} {surplus} longer; cut to {span(length, self.sample_rate)}.")
        audio = audio[:, :length].expand(2, -1)
        if length < self.sample_rate:
            raise UserError(f"{path}: shares only {span(length, self.sample_rate)} with the stems; at least 1 s is needed.")
        if not audio.any():
            raise UserError(f"{path}: is silent{' where the stems are' if notes else ''}; there is nothing to match.")
        return replace(self.excerpt(0, length), mix=audio[None].contiguous(), notes=(*self.notes, *notes))

    @classmethod
    def collate(cls, songs: Sequence[Multitrack]) -> Multitrack:
        """Several songs of one rate in a batch: fewer tracks and shorter songs are padded, the mask says which are there.

        Raises:
            ValueError: songs of several rates.
        """
        rates = sorted({s.sample_rate for s in songs})
        if len(rates) != 1:
            raise ValueError(f"Multitrack.collate: songs of one sample rate; got {rates}.")
        tracks, length = max(s.audio.shape[1] for s in songs), max(s.samples for s in songs)
        pad = torch.nn.functional.pad
        audio = [pad(s.audio, (0, length - s.samples, 0, 0, 0, tracks - s.audio.shape[1])) for s in songs]
        channels = [pad(s.channels, (0, tracks - s.channels.shape[1])) for s in songs]
        mixes = [s.mix for s in songs]
        mix = None
        if all(m is not None for m in mixes):
            mix = torch.cat([pad(m, (0, length - m.shape[-1])) for m in mixes if m is not None])
        return cls(
            torch.cat(audio),
            torch.cat(channels),
            rates[0],
            tuple(n for s in songs for n in s.names),
            mix,
            tuple(n for s in songs for n in s.notes),
        )

    def excerpt(self, start: int, length: int) -> Multitrack:
        """Samples [start, start + length) of every track."""
        mix = None if self.mix is None else self.mix[..., start : start + length]
        return replace(self, audio=self.audio[..., start : start + length], mix=mix)

    def to(self, *args: Any) -> Multitrack:
        """Moved to a device or another dtype of the audio."""
        device = next((a for a in args if not isinstance(a, torch.dtype)), None)
        mix = None if self.mix is None else self.mix.to(*args)
        channels = self.channels if device is None else self.channels.to(device)
        return replace(self, audio=self.audio.to(*args), channels=channels, mix=mix)

    def select(self, names: Sequence[str]) -> Multitrack:
        """The named tracks of a single song, in that order.

        Raises:
            ValueError: there is no track of a name.
        """
        (have,) = self.names
        missing = [n for n in names if n not in have]
        if missing:
            raise ValueError(f"Multitrack: no track {missing[0]!r}; there are {', '.join(have)}.")
        index = torch.tensor([have.index(n) for n in names])
        return replace(self, audio=self.audio[:, index], channels=self.channels[:, index], names=(tuple(names),))

    def unity_mix(self) -> Tensor:
        """The plain sum of the tracks, (B, 2, T)."""
        return (self.audio * self.mask[..., None, None]).sum(1)
