"""Audio files in and out: WAV, FLAC, MP3, OGG (libsndfile), any rate (soxr)."""

from __future__ import annotations

import math
import re
from pathlib import Path

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


def read(path: str | Path) -> tuple[Tensor, int]:
    """Read a file: audio (1 or 2, T) float32 and its sample rate.

    Raises:
        UserError: missing, unreadable, empty, not audio, cut short, more than two channels, or samples that are not finite.
    """
    import soundfile

    path = Path(path)
    if path.exists() and not path.is_file():
        raise UserError(f"{path}: is {'a folder' if path.is_dir() else 'no regular file'}; give an audio file.")
    try:
        with open(path, "rb") as file:
            empty = not file.read(1)
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file.") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be opened ({(error.strerror or str(error)).lower()}); check its permissions.") from None
    if empty:
        raise UserError(f"{path}: is an empty file; export it again.")
    try:
        with soundfile.SoundFile(path) as file:
            frames, rate, log = file.frames, int(file.samplerate), file.extra_info
            data = file.read(dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, RuntimeError, TypeError, ValueError) as error:
        reason = str(getattr(error, "error_string", "")).removeprefix("Error : ").rstrip(". ") or "not a sound file"
        raise UserError(f"{path}: cannot be read as audio ({reason}); give a WAV, FLAC, MP3 or OGG file.") from None
    if len(data) < 0.99 * frames or _cut_short(log):
        raise UserError(f"{path}: is cut short after {len(data) / rate:.2f} s; copy or export it again.")
    if data.shape[0] == 0:
        raise UserError(f"{path}: has no samples; export it again.")
    if data.shape[1] > 2:
        raise UserError(f"{path}: has {data.shape[1]} channels; split it into mono or stereo files.")
    if not np.isfinite(data).all():
        bad = int((~np.isfinite(data)).sum())
        raise UserError(f"{path}: has {bad} samples that are not numbers (NaN or infinite); export it again.")
    peak = float(np.abs(data).max())
    if peak > _LOUDEST:
        raise UserError(f"{path}: peaks at {20 * math.log10(peak):+.0f} dBFS; export it with samples between -1 and 1.")
    return torch.from_numpy(np.ascontiguousarray(data.T)), rate


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


def write(path: str | Path, audio: Tensor, rate: float, subtype: str | None = None) -> float:
    """Write (C, T), whole or not at all; the format follows the ending.

    WAV is 32-bit float, FLAC 24-bit, unless `subtype` (libsndfile's: "PCM_16", "PCM_24", "FLOAT") says otherwise. Only float
    files can hold peaks above 1: for all others the audio is turned down to fit.

    Returns:
        the gain that was applied in dB, 0 where none was needed.
    """
    import soundfile

    path = Path(path)
    if not audio.isfinite().all():
        raise ValueError(f"write: {path} would hold samples that are not finite.")
    kind, own = _kind(path)
    subtype = subtype or own
    peak = float(audio.abs().max()) if audio.numel() else 0.0
    gain = 1.0 if subtype in ("FLOAT", "DOUBLE") or peak <= 1 else 0.999 / peak
    samples = (audio * gain).detach().cpu().float().T.contiguous().numpy()

    def save(temporary: Path) -> None:
        try:
            file = soundfile.SoundFile(temporary, "w", round(rate), samples.shape[1], subtype, format=kind)
        except (soundfile.SoundFileError, ValueError):
            raise UserError(f"{path}: {kind} cannot hold {subtype} at {rate:g} Hz; choose .wav or .flac.") from None
        with file:
            for start in range(0, len(samples), _BLOCK):
                file.write(samples[start : start + _BLOCK])

    write_whole(path, save)
    return 20 * math.log10(gain)


def _kind(path: Path) -> tuple[str, str]:
    if path.suffix.lower() not in WRITABLE:
        raise UserError(f"{path}: the ending {path.suffix or '(none)'} is not one of {', '.join(WRITABLE)}.")
    return WRITABLE[path.suffix.lower()]
