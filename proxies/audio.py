"""Audio to train on: clips from folders of files, and synthetic ones, with levels and silences; whole files are never read."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from proxies.signals import Generator, synthetic

ENDINGS = (".wav", ".flac", ".ogg", ".aif", ".aiff")
_FAINT = 1e-3  # -60 dBFS: a clip whose peak is below is a pause of the music, and another one is drawn
_TRIES = 8
_MARGIN = 64  # input samples on each side of a resampled clip that are cut off with the resampler's edges


@dataclass(frozen=True)
class File:
    """One file of the index.

    Attributes:
        path: where it is.
        work: the song that it belongs to: the folder directly below the root, or its own name where there is none.
        frames: length in samples per channel.
        rate: sample rate in Hz.
    """

    path: Path
    work: str
    frames: int
    rate: int


def index(folders: Sequence[str | Path], endings: Sequence[str] = ENDINGS) -> list[File]:
    """All audio files below some folders, sorted; only their headers are read.

    Raises:
        ValueError: a folder is missing, or none of them has audio.
    """
    import soundfile

    found = []
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise ValueError(f"audio: {folder} is not a folder.")
        for path in sorted(p for p in folder.rglob("*") if p.suffix.lower() in endings):
            try:
                info = soundfile.info(path)
            except soundfile.SoundFileError as error:
                raise ValueError(f"audio: {path} cannot be read as audio: {error}") from None
            inside = path.relative_to(folder).parts
            if info.frames:
                found.append(File(path, inside[0] if len(inside) > 1 else path.stem, info.frames, info.samplerate))
    if folders and not found:
        raise ValueError(f"audio: no {', '.join(endings)} file below {', '.join(map(str, folders))}.")
    return found


def split(files: Sequence[File], hold_out: Sequence[str]) -> tuple[list[File], list[File]]:
    """(training, validation) files, parted by work: works that match one of the patterns (`*` and `?`) are for validation.

    Without patterns every tenth work is held out, from the first on.

    Raises:
        ValueError: a pattern matches no work, or nothing is left on one side.
    """
    works = sorted({f.work for f in files})
    if not works:
        return [], []
    for pattern in hold_out:
        if not fnmatch.filter(works, pattern):
            raise ValueError(f"audio: hold_out {pattern!r} matches none of the works {', '.join(works)}.")
    kept = (
        {w for w in works if any(fnmatch.fnmatchcase(w, p) for p in hold_out)} if hold_out else set(works[:: min(10, len(works))])
    )
    sides = [f for f in files if f.work not in kept], [f for f in files if f.work in kept]
    if not all(sides):
        raise ValueError(
            f"audio: training and validation need different works (folders below the audio folder, or single files); of "
            f"{', '.join(works)}, {', '.join(sorted(kept))} are held out."
        )
    return sides


def read(file: File, start: float, samples: int, channels: int, rate: float) -> np.ndarray:
    """A part of a file; at another rate to half a sample in time.

    Args:
        file: of the index.
        start: in seconds.
        samples: at the new rate; zeros stand where the file has ended.
        channels: a mono file is repeated, the channels of others are taken in turn or, for one channel, averaged.
        rate: new sample rate in Hz.

    Returns:
        float32 (channels, samples).
    """
    import soundfile

    margin = 0 if file.rate == rate else _MARGIN
    first = round(start * file.rate)
    before = min(first, margin)
    wanted = -(-samples * file.rate // round(rate)) + before + margin
    with soundfile.SoundFile(file.path) as opened:
        opened.seek(min(first - before, file.frames))
        audio = opened.read(wanted, dtype="float32", always_2d=True)
    audio = audio.mean(1, keepdims=True) if channels == 1 else audio[:, np.arange(channels) % audio.shape[1]]
    if margin:
        import soxr

        audio = soxr.resample(audio, file.rate, rate)[round(before * rate / file.rate) :]
    out = np.zeros((channels, samples), np.float32)
    part = audio[:samples].T
    out[:, : part.shape[1]] = part
    return out


@dataclass(frozen=True)
class Source:
    """Where clips come from.

    Attributes:
        files: of one side of the split; each is drawn as often as it is long.
        synthetic: share of clips that are synthetic; all where there are no files.
        level_db: range of the clips' peaks in dBFS, from which they are drawn uniformly.
        silence: share of clips of which a part is digital silence (of one in ten of these, all).
        rate: sample rate in Hz.
    """

    files: tuple[File, ...]
    synthetic: float
    level_db: tuple[float, float]
    silence: float
    rate: float

    def clip(self, generator: Generator, samples: int, channels: int) -> np.ndarray:
        """Draw a clip, float32 (channels, samples): what the generator says and nothing else."""
        audio = None
        if self.files and generator.random() >= self.synthetic:
            audio = self._recorded(generator, samples, channels)
        if audio is None:
            audio = synthetic(generator, samples, channels, self.rate)
        level = 10 ** (generator.uniform(*self.level_db) / 20)
        audio = audio * (level / max(float(np.abs(audio).max()), 1e-9))
        if generator.random() < self.silence:
            length = samples if generator.random() < 0.1 else int(generator.integers(samples // 20, samples))
            start = int(generator.integers(0, samples - length + 1))
            audio[:, start : start + length] = 0
        return audio.astype(np.float32)

    def _recorded(self, generator: Generator, samples: int, channels: int) -> np.ndarray | None:
        """A part of a file that is no pause, or None if several draws found only pauses."""
        seconds = np.array([f.frames / f.rate for f in self.files])
        share = seconds.cumsum() / seconds.sum()
        for _ in range(_TRIES):
            number = min(int(np.searchsorted(share, generator.random(), side="right")), len(share) - 1)
            latest = max(float(seconds[number]) - samples / self.rate, 0.0)
            audio = read(self.files[number], generator.uniform(0, latest), samples, channels, self.rate)
            if np.abs(audio).max() > _FAINT:
                return audio
        return None
