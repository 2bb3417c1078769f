"""Sound that a page opened from disk can read: FLAC in pieces, each as a script.

Browsers refuse `fetch` to a page of the file system, and sound of <audio> elements to its Web Audio. They load scripts. A piece
is a call with one string, whose characters are the bytes of a FLAC file in the encoding x-user-defined: it gives every byte a
character of its own, so that only four of them need an escape. That costs 1.6 %, where base64 costs 33 %.
"""

from __future__ import annotations

import io
import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

BLOCK = 128  # samples that Web Audio renders at a time; a piece has a whole number of them
_SECONDS = 5.0
_ESCAPES = {b"\\": b"\\\\", b'"': b'\\"', b"\n": b"\\n", b"\r": b"\\r"}


def piece_length(rate: float) -> int:
    """Samples of a piece."""
    return BLOCK * round(_SECONDS * rate / BLOCK)


def carry(folder: Path, number: int, audio: Tensor, rate: float, exact: bool = True) -> dict[str, Any]:
    """Write a sound into the folder, as scripts that hand the page its pieces.

    Args:
        folder: of the page's audio.
        number: of the sound, unique on the page.
        audio: (1 or 2, T); two equal channels are carried as one.
        rate: in Hz.
        exact: in 16 bit where that holds every sample, else in 24; False: in 16 bit at full scale, which is enough to be heard.

    Returns:
        what the page has to know: its channels, the gain that undoes the scaling, the bytes of FLAC.
    """
    x = audio.detach().cpu().double().numpy()
    if len(x) == 2 and np.array_equal(x[0], x[1]):
        x = x[:1]
    gain = _gain(x, exact)
    x = x / gain
    bits = 16 if not exact or not (x * 2**15 % 1).any() else 24
    full = 2 ** (bits - 1)
    samples = np.clip(np.round(x * full), -full, full - 1).astype(np.int32) << (32 - bits)
    length, size = piece_length(rate), 0
    for piece, start in enumerate(range(0, max(x.shape[1], 1), length)):
        part = samples[:, start : start + length]
        part = np.pad(part, ((0, 0), (0, length - part.shape[1])))
        flac = _flac(part, rate, bits)
        size += len(flac)
        (folder / f"{number:03d}-{piece:04d}.js").write_bytes(script(number, piece, flac))
    return {"channels": len(x), "gain": gain, "bits": bits, "bytes": size}


def _gain(x: np.ndarray, exact: bool) -> float:
    peak = float(np.abs(x).max(initial=0.0))
    if exact:  # a power of two changes no sample; 1 itself is one step more than an integer of so many bits holds
        return 1.0 if peak < 1 else 2.0 ** (math.floor(math.log2(peak)) + 1)
    return peak / 0.9999 if peak else 1.0


def _flac(samples: np.ndarray, rate: float, bits: int) -> bytes:
    import soundfile

    out = io.BytesIO()
    with soundfile.SoundFile(out, "w", round(rate), len(samples), f"PCM_{bits}", format="FLAC") as file:
        file.write(np.ascontiguousarray(samples.T))
    return out.getvalue()


def script(number: int, piece: int, content: bytes) -> bytes:
    """The script of a piece: its place, its length and checksum (Adler-32), its bytes."""
    text = content
    for plain, escaped in _ESCAPES.items():
        text = text.replace(plain, escaped)
    return b'dasp.piece(%d,%d,%d,%d,"' % (number, piece, len(content), zlib.adler32(content)) + text + b'")\n'
