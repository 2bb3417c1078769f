"""Audio files in and out: WAV, FLAC, MP3, OGG (libsndfile), any rate (soxr)."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mixing.errors import UserError
from mixing.output import check_file, write_whole

EXTENSIONS = (".wav", ".flac", ".mp3", ".ogg", ".aif", ".aiff")

# Ending -> libsndfile's format and sample type.
WRITABLE = {".wav": ("WAV", "FLOAT"), ".flac": ("FLAC", "PCM_24"), ".ogg": ("OGG", "VORBIS"), ".mp3": ("MP3", "MPEG_LAYER_III")}

_LOUDEST = 1000.0  # +60 dBFS: beyond it a file holds integers or noise, not audio scaled to [-1, 1]
_BLOCK = 1 << 16  # frames a write: libsndfile's Vorbis encoder overflows its stack on long ones
_LAST_PAGE = 255 * 2048  # frames that an Ogg page of Vorbis can hold at most: packets times half a long block
_ENDS = 1024  # frames at each end of a file that a quick check decodes
_MARGIN = 4096  # samples of the lower rate that a resampled part is read too early and too long: more than soxr's filter


@dataclass(frozen=True)
class Info:
    """What a file holds.

    Attributes:
        frames: length in samples per channel.
        rate: sample rate in Hz.
        channels: 1 or 2.
        silent: whether every sample is 0; None where they were not all read.
    """

    frames: int
    rate: int
    channels: int
    silent: bool | None = None


def read(path: str | Path) -> tuple[Tensor, int]:
    """Read a file: audio (1 or 2, T) float32 and its sample rate.

    Raises:
        UserError: missing, unreadable, empty, not audio, cut short, more than two channels, or samples that are not finite.
    """
    path = Path(path)
    with _opened(path) as file:
        data = file.read(dtype="float32", always_2d=True)
        rate = int(file.samplerate)
        _check_length(path, len(data), file.frames, rate)
    _check_samples(path, data)
    return torch.from_numpy(np.ascontiguousarray(data.T)), rate


def read_span(path: str | Path, start: int, samples: int, rate: float | None = None) -> Tensor:
    """Read a part of a file without reading the rest; (1 or 2, T) float32.

    At another rate it is the span of the resampled whole: reading starts early enough for the resampler's filter, at a sample
    that falls on one of the new rate's. The two differ by float32's rounding at most; for rates such as 48000 and 44100 not at
    all.

    Args:
        path: the file.
        start: first sample, at the new rate.
        samples: how many, at the new rate; fewer come back where the file ends.
        rate: a whole number of Hz; by default the file's own.

    Raises:
        UserError: as `read`, but only what was read has been looked at.
    """
    path = Path(path)
    with _opened(path) as file:
        own, frames = int(file.samplerate), int(file.frames)
        new = own if rate is None else round(rate)
        common = math.gcd(own, new)
        up, down = new // common, own // common
        wanted = max(0, min(samples, resampled_length(frames, own, new) - start))
        # Sample k up at the new rate and sample k down at the file's are of one instant.
        margin = 0 if new == own else -(-round(_MARGIN * max(1.0, own / new)) // down)
        period = max(0, start // up - margin)
        first = min(period * down, frames)
        last = min(-(-(start + wanted) * down // up) + margin * down, frames)
        data = _part(file, first, last - first)
        _check_length(path, first + len(data), last, own)
    _check_samples(path, data)
    audio = resample(torch.from_numpy(np.ascontiguousarray(data.T)), own, new)
    skip = start - period * up
    return audio[:, skip : skip + wanted].contiguous()


def resampled_length(frames: int, rate: int, new_rate: float) -> int:
    """How many samples `resample` makes of so many."""
    return round(frames * new_rate / rate)


def probe(path: str | Path, check: str = "ends") -> Info:
    """What a file holds, and whether it can be used; constant memory.

    Args:
        path: the file.
        check: "header" trusts the header; "ends" also decodes the first and the last samples; "all" decodes every sample, as
            only that finds a hole in the middle, a sample that is not a number, or silence.

    Raises:
        UserError: as `read`, as far as the check goes.
    """
    path = Path(path)
    silent: bool | None = None
    with _opened(path) as file:
        frames = int(file.frames)
        if check == "ends":
            for first in (0, max(0, frames - _ENDS)):
                data = _part(file, first, _ENDS)
                _check_length(path, first + len(data), min(first + _ENDS, frames), file.samplerate)
                _check_samples(path, data)
        elif check == "all":
            done, silent = 0, True
            for data in file.blocks(_BLOCK, dtype="float32", always_2d=True):
                _check_samples(path, data)
                done, silent = done + len(data), silent and not data.any()
            _check_length(path, done, frames, file.samplerate)
        return Info(frames, int(file.samplerate), file.channels, silent)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A SoundFile that is not empty, not cut short and has one or two channels; errors while it is read are a user's."""
    import soundfile

    if path.exists() and not path.is_file():
        raise UserError(f"{path}: is {'a folder' if path.is_dir() else 'no regular file'}; give an audio file.")
    try:
        with open(path, "rb") as raw:
            empty = not raw.read(1)
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file.") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be opened ({(error.strerror or str(error)).lower()}); check its permissions.") from None
    if empty:
        raise UserError(f"{path}: is an empty file; export it again.")
    try:
        with soundfile.SoundFile(path) as file:
            if _cut_short(file.extra_info):
                raise UserError(f"{path}: is cut short after {_held(file):.2f} s; copy or export it again.")
            if file.frames == 0:
                raise UserError(f"{path}: has no samples; export it again.")
            if file.channels > 2:
                raise UserError(f"{path}: has {file.channels} channels; split it into mono or stereo files.")
            yield file
    except MemoryError:  # the room for all of it is asked for before any of it is read
        raise UserError(f"{path}: promises more sound than memory can hold; export it again.") from None
    except (soundfile.SoundFileError, RuntimeError, TypeError, ValueError) as error:
        reason = str(getattr(error, "error_string", "")).removeprefix("Error : ").rstrip(". ") or "not a sound file"
        raise UserError(f"{path}: cannot be read as audio ({reason}); give a WAV, FLAC, MP3 or OGG file.") from None


def _part(file: Any, first: int, frames: int) -> np.ndarray:
    """Frames from one on, (frames, channels). libsndfile (1.2.2) goes astray when it seeks in the last page of an Ogg file, and
    anywhere in some MP3s: there it goes to a place before and decodes up to it. An MP3 does so in one read, since soundfile seeks
    after each: memory then is that of the file up to the part's end."""
    place = first
    if file.format == "OGG":
        place = min(first, max(0, file.frames - _LAST_PAGE))
    elif file.format == "MP3" or str(file.subtype).startswith("MPEG"):
        place = 0
    file.seek(place)
    return file.read(first - place + frames, dtype="float32", always_2d=True)[first - place :]


def _held(file: Any) -> float:
    """Seconds that can be decoded."""
    return sum(map(len, file.blocks(_BLOCK, always_2d=True))) / file.samplerate


def _check_length(path: Path, have: int, promised: int, rate: int) -> None:
    if have < 0.99 * promised:
        raise UserError(f"{path}: is cut short after {have / rate:.2f} s; copy or export it again.")


def _check_samples(path: Path, data: np.ndarray) -> None:
    if not np.isfinite(data).all():
        bad = int((~np.isfinite(data)).sum())
        raise UserError(f"{path}: has {bad} samples that are not numbers (NaN or infinite); export it again.")
    peak = float(np.abs(data).max(initial=0.0))
    if peak > _LOUDEST:
        raise UserError(f"{path}: peaks at {20 * math.log10(peak):+.0f} dBFS; export it with samples between -1 and 1.")


def _cut_short(log: str) -> bool:
    """Whether libsndfile's log says that a header promises more than the file holds (streams promise 4 GB: no promise)."""
    promise = re.search(r"^ ?(?:data|SSND) : (\d+) \(should be (\d+)\)", log, re.MULTILINE)
    if promise and int(promise[2]) < int(promise[1]) < 0xFFFF0000:
        return True
    return "lacks an end-of-stream bit" in log


def resample(audio: Tensor, rate: float, new_rate: float) -> Tensor:
    """(C, T) at one rate -> (C, T') at another, soxr's highest quality; T' is T new_rate / rate, rounded."""
    if rate == new_rate:
        return audio
    import soxr

    out = soxr.resample(audio.T.contiguous().numpy(), rate, new_rate, quality="VHQ")
    return torch.from_numpy(np.ascontiguousarray(out.T))


def check_writable(path: str | Path) -> None:
    """Refuse a file that `write` could not write, before any work is done for it.

    Raises:
        UserError: an ending that is none of WAV, FLAC, OGG, MP3; a folder that is missing or read-only.
    """
    _kind(Path(path))
    check_file(path)


def peak(audio: Tensor) -> float:
    """The largest magnitude of audio of any shape, 0 of none; NaN where a sample is. Without a copy of it."""
    return max(map(abs, (float(end) for end in audio.detach().aminmax()))) if audio.numel() else 0.0


def write(path: str | Path, audio: Tensor, rate: float, subtype: str | None = None) -> float:
    """Write (C, T), whole or not at all; the format follows the ending.

    WAV is 32-bit float, FLAC 24-bit, unless `subtype` (libsndfile's: "PCM_16", "PCM_24", "FLOAT") says otherwise. Only float
    files can hold peaks above 1: for all others the audio is turned down to fit.

    Returns:
        the gain that was applied in dB, 0 where none was needed.
    """
    import soundfile

    path = Path(path)
    loudest = peak(audio)
    if not math.isfinite(loudest):
        raise ValueError(f"write: {path} would hold samples that are not finite.")
    kind, own = _kind(path)
    subtype = subtype or own
    gain = 1.0 if subtype in ("FLOAT", "DOUBLE") or loudest <= 1 else 0.999 / loudest

    def save(temporary: Path) -> None:
        try:
            file = soundfile.SoundFile(temporary, "w", round(rate), audio.shape[0], subtype, format=kind)
        except (soundfile.SoundFileError, ValueError):
            raise UserError(f"{path}: {kind} cannot hold {subtype} at {rate:g} Hz; choose .wav or .flac.") from None
        with file:
            for part in audio.detach().split(_BLOCK, 1):
                file.write((part * gain).cpu().float().T.contiguous().numpy())

    write_whole(path, save)
    return 20 * math.log10(gain)


def _kind(path: Path) -> tuple[str, str]:
    if path.suffix.lower() not in WRITABLE:
        raise UserError(f"{path}: the ending {path.suffix or '(none)'} is not one of {', '.join(WRITABLE)}.")
    return WRITABLE[path.suffix.lower()]
