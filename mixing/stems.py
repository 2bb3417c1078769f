"""A folder of stems, checked once and then read in parts: what it takes of memory does not grow with the songs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from mixing.audio import EXTENSIONS, probe, read, read_span, resample, resampled_length
from mixing.errors import UserError

_FOREIGN = (".m4a", ".aac", ".wma", ".opus", ".caf", ".ape", ".wv", ".mp4")


@dataclass(frozen=True)
class _File:
    """One stem: its file, and where it was small enough its audio (C, T) at the rate of all."""

    path: Path
    samples: int  # at the rate of all
    channels: int
    audio: Tensor | None = field(repr=False)


@dataclass(frozen=True)
class Stems:
    """Stems of one rate and length.

    Attributes:
        files: one a stem.
        sample_rate: in Hz.
        samples: of the longest; what is read of others beyond their end is silence.
        own_rate: the most common one of the files.
        notes: what was, or will be, done to the files, in sentences.
    """

    files: tuple[_File, ...]
    sample_rate: float
    samples: int
    own_rate: float
    notes: tuple[str, ...]

    @classmethod
    def open(
        cls, path: str | Path, sample_rate: float | None = None, exclude: Iterable[str | Path] = (), hold: float = 1 << 25
    ) -> Stems:
        """Check every sample of every audio file of a folder (or of its `stems` folder), sorted by name.

        Differing rates are resampled to `sample_rate`, or else to the most common one; differing lengths are padded at
        the end. `notes` says so, and names silent stems and audio files of kinds that cannot be read.

        Args:
            path: the folder.
            sample_rate: in Hz, of the result.
            exclude: files that are no stems, such as a mix that lies beside them.
            hold: samples that may be kept in memory; what is beyond that is read again from its file where it is wanted.

        Raises:
            UserError: no folder, no stems, or a file that cannot be used.
        """
        folder = Path(path)
        if not folder.is_dir():
            raise UserError(f"{folder}: there is no such folder of stems.")
        where = folder / "stems" if _audio_files(folder / "stems") else folder
        out = {Path(e).resolve() for e in exclude}
        found = [f for f in _audio_files(where) if f.resolve() not in out]
        if not found:
            raise UserError(f"{folder}: has no stems; put WAV, FLAC, MP3 or OGG files there.")
        duplicates = [n for n, count in Counter(f.stem for f in found).items() if count > 1]
        if duplicates:
            raise UserError(f"{folder}: two files are named {duplicates[0]}; rename one.")
        loaded, room = [], hold
        for file in found:
            info = probe(file, "header")
            keep = info.frames * info.channels <= room
            room -= info.frames * info.channels if keep else 0
            whole = read(file)[0] if keep else None
            silent = not whole.any() if whole is not None else bool(probe(file, "all").silent)
            loaded.append((file, info, silent, whole))
        own_rate = float(Counter(info.rate for _, info, *_ in loaded).most_common(1)[0][0])
        rate = float(sample_rate or own_rate)
        foreign = sorted(f.name for f in _files(where) if f.suffix.lower() in _FOREIGN)
        notes = [f"{name}: is not read; convert it to WAV or FLAC if it is a stem." for name in foreign]
        files = []
        for file, info, silent, whole in loaded:
            if info.rate != rate:
                notes.append(f"{file.stem}: resampled from {info.rate} to {rate:g} Hz.")
            held = None if whole is None else resample(whole, info.rate, rate)
            samples = resampled_length(info.frames, info.rate, rate) if held is None else held.shape[1]
            files.append(_File(file, samples, info.channels, held))
            if silent:
                notes.append(f"{file.stem}: is silent.")
        longest = max(f.samples for f in files)
        for file in files:
            if file.samples < longest:
                missing = span(longest - file.samples, rate)
                notes.append(f"{file.path.stem}: padded with {missing} of silence at the end.")
        if all(silent for *_, silent, _ in loaded):
            raise UserError(f"{folder}: every stem is silent; there is nothing to mix.")
        return cls(tuple(files), rate, longest, own_rate, tuple(notes))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f.path.stem for f in self.files)

    @property
    def channels(self) -> Tensor:
        """(N,) int64: 1 or 2."""
        return torch.tensor([f.channels for f in self.files])

    def read(self, start: int, samples: int) -> Tensor:
        """Samples [start, start + samples) of every stem: (N, 2, samples), mono ones in both channels."""
        return torch.stack([self.track(n, start, samples) for n in range(len(self.files))])

    def track(self, number: int, start: int = 0, samples: int | None = None) -> Tensor:
        """One stem, or samples [start, start + samples) of it: (2, samples)."""
        file = self.files[number]
        samples = self.samples - start if samples is None else samples
        end = min(start + samples, file.samples)
        if end <= start:
            return torch.zeros(2, samples)
        held = file.audio
        x = read_span(file.path, start, end - start, self.sample_rate) if held is None else held[:, start:end]
        return torch.nn.functional.pad(x, (0, samples - x.shape[1])).expand(2, -1)


def span(samples: int, rate: float) -> str:
    """A length in words: seconds, or samples where it is too short for that."""
    return f"{samples / rate:.2f} s" if samples >= 0.01 * rate else f"{samples} sample{'' if samples == 1 else 's'}"


def _audio_files(folder: Path) -> list[Path]:
    return [f for f in _files(folder) if f.suffix.lower() in EXTENSIONS]


def _files(folder: Path) -> list[Path]:
    """What a folder shows, sorted; nothing where there is none."""
    try:
        return sorted(f for f in folder.iterdir() if not f.name.startswith(".")) if folder.is_dir() else []
    except OSError as error:
        raise UserError(f"{folder}: cannot be read ({(error.strerror or str(error)).lower()}); check its permissions.") from None
