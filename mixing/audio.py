"""Audio files in and out: WAV, FLAC, MP3, OGG (libsndfile), any rate (soxr)."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mixing.errors import UserError

EXTENSIONS = (".wav", ".flac", ".mp3", ".ogg", ".aif", ".aiff")


def read(path: str | Path) -> tuple[Tensor, int]:
    """Read a file: audio (1 or 2, T) float32 and its sample rate.

    Raises:
        UserError: missing, empty, not audio, damaged, more than two channels, or not finite.
    """
    import soundfile

    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: there is no such file.")
    try:
        data, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, RuntimeError, TypeError) as error:
        reason = str(getattr(error, "error_string", "")).rstrip(". ") or "not a sound file"
        raise UserError(f"{path}: cannot be read as audio ({reason}); give a WAV, FLAC, MP3 or OGG file.") from None
    if data.shape[0] == 0:
        raise UserError(f"{path}: has no samples; export it again.")
    if data.shape[1] > 2:
        raise UserError(f"{path}: has {data.shape[1]} channels; split it into mono or stereo files.")
    if not np.isfinite(data).all():
        bad = int((~np.isfinite(data)).sum())
        raise UserError(f"{path}: has {bad} samples that are not numbers (NaN or infinite); export it again.")
    return torch.from_numpy(np.ascontiguousarray(data.T)), int(rate)


def resample(audio: Tensor, rate: float, new_rate: float) -> Tensor:
    """(C, T) at one rate -> (C, T') at another, soxr's highest quality; T' = round(T new_rate / rate)."""
    if rate == new_rate:
        return audio
    import soxr

    out = soxr.resample(audio.T.contiguous().numpy(), rate, new_rate, quality="VHQ")
    return torch.from_numpy(np.ascontiguousarray(out.T))


def write(path: str | Path, audio: Tensor, rate: float) -> float:
    """Write (C, T), whole or not at all; the format follows the ending. WAV is 32-bit float, FLAC 24-bit.

    Formats other than WAV cannot hold peaks above 1: the audio is turned down to fit.

    Returns:
        the gain that was applied in dB, 0 where none was needed.
    """
    import soundfile

    path = Path(path)
    kinds = {".wav": ("WAV", "FLOAT"), ".flac": ("FLAC", "PCM_24"), ".ogg": ("OGG", "VORBIS"), ".mp3": ("MP3", None)}
    if path.suffix.lower() not in kinds:
        raise UserError(f"{path}: the ending {path.suffix or '(none)'} is not one of {', '.join(kinds)}.")
    kind, subtype = kinds[path.suffix.lower()]
    peak = float(audio.abs().max()) if audio.numel() else 0.0
    gain = 1.0 if kind == "WAV" or peak <= 1 else 0.999 / peak
    samples = (audio * gain).detach().cpu().float().T.contiguous().numpy()

    def save(temporary: Path) -> None:
        try:
            soundfile.write(temporary, samples, round(rate), format=kind, subtype=subtype)
        except soundfile.SoundFileError as error:
            raise UserError(f"{path}: cannot be written as {kind} at {rate:g} Hz ({error}).") from None

    write_whole(path, save)
    return 20 * float(np.log10(gain))


def write_whole(path: Path, save: Callable[[Path], None]) -> None:
    """Call `save` with a temporary file beside `path` and move it there: nothing half-written.

    Raises:
        UserError: the folder does not exist or cannot be written to.
    """
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".dasp-", suffix=path.suffix)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}); choose another folder.") from None
    os.close(handle)
    temporary = Path(name)
    try:
        save(temporary)
        temporary.chmod(0o666 & ~_umask())
        os.replace(temporary, path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}).") from None
    finally:
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
