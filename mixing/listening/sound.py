"""The sound of a test: one excerpt a song, cut, faded and levelled alike in every condition.

Loudness is ITU-R BS.1770's (pyloudnorm), peaks are true peaks (four times oversampled, BS.1770 annex 2), anchors are those of
ITU-R BS.1534-3: low-pass filters at 3.5 kHz and 7 kHz.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mixing.audio import probe, read, resample
from mixing.errors import UserError
from mixing.loudness import integrated_loudness

FADE_S = 0.05  # at both ends: what is looped as a whole does not click
CEILING_DBTP = -0.1
ANCHORS_HZ = {"anchor 3.5 kHz": 3500.0, "anchor 7 kHz": 7000.0}
_APART_S = 5.0  # files of one song that differ more in length are hardly of one song
_RATES = (44100, 48000)


def sample_rate(files: list[Path]) -> int:
    """48 kHz if a file has it, or more; 44.1 kHz otherwise."""
    return _RATES[1] if any(probe(f, "header").rate >= _RATES[1] for f in files) else _RATES[0]


def load(song: str, files: Mapping[str, Path], rate: int) -> tuple[dict[str, np.ndarray], list[str]]:
    """A song's mixes, each (2, T) at one rate and of one length; mono is on both sides. And what was done, in sentences.

    Raises:
        UserError: a file that cannot be used, or files that differ by more than 5 s.
    """
    out = {}
    for name, file in files.items():
        audio, own = read(file)
        out[name] = resample(audio, own, rate).double().expand(2, -1).numpy()
    lengths = {n: x.shape[1] for n, x in out.items()}
    short, long = min(lengths, key=lengths.__getitem__), max(lengths, key=lengths.__getitem__)
    apart = (lengths[long] - lengths[short]) / rate
    if apart > _APART_S:
        raise UserError(f"{files[long]}: is {apart:.1f} s longer than {files[short]}; give mixes of one song.")
    notes = [f"{song}: {long} is {apart:.1f} s longer than {short}; what both have was used."] if apart > 0.1 else []
    return {n: x[:, : lengths[short]] for n, x in out.items()}, notes


def stretch(signals: Mapping[str, np.ndarray], rate: int, seconds: float, start: float | None = None) -> tuple[int, int]:
    """First sample and end of the excerpt: where all conditions together have most energy, each counting alike.

    Args:
        signals: (2, T) each, of one length.
        rate: in Hz.
        seconds: of the excerpt; the whole where there is no more.
        start: where it begins in s, instead.

    Raises:
        UserError: nothing is left from `start` on.
    """
    samples, length = next(iter(signals.values())).shape[1], round(seconds * rate)
    if start is not None:
        first = round(start * rate)
        if first >= samples:
            raise UserError(f"--start {start:g}: the song ends at {samples / rate:.1f} s; choose an earlier one.")
        return first, min(first + length, samples)
    if samples <= length:
        return 0, samples
    hop = round(rate / 4)
    steps = np.arange(0, samples - length + 1, hop)
    total = np.zeros(len(steps))
    for x in signals.values():
        energy = np.concatenate([[0.0], np.square(x).sum(0).cumsum()])
        total += (energy[steps + length] - energy[steps]) / max(energy[-1], 1e-30)
    first = int(steps[int(total.argmax())])
    return first, first + length


def faded(x: np.ndarray, rate: int) -> np.ndarray:
    """Raised-cosine fades at both ends."""
    n = min(round(FADE_S * rate), x.shape[1] // 2)
    ramp = 0.5 - 0.5 * np.cos(np.pi * (np.arange(n) + 0.5) / n)
    out = x.copy()
    out[:, :n] *= ramp
    out[:, x.shape[1] - n :] *= ramp[::-1]
    return out


def loudness(x: np.ndarray, rate: int) -> float:
    """Integrated loudness in LUFS of (2, T)."""
    return integrated_loudness(torch.from_numpy(x), rate)


def at_loudness(x: np.ndarray, rate: int, target: float, who: str) -> np.ndarray:
    """(2, T) at a loudness in LUFS.

    Raises:
        UserError: it is silent or shorter than 0.4 s, or would clip there; the message says which loudness would do.
    """
    for _ in range(2):  # the meter's absolute gate does not scale with the sound
        measured = loudness(x, rate)
        if not math.isfinite(measured):
            raise UserError(f"{who}: the excerpt is silent; choose another by --start.")
        x = x * 10 ** ((target - measured) / 20)
    peak = true_peak_db(x)
    if peak > CEILING_DBTP:
        lower = math.floor(10 * (target - (peak - CEILING_DBTP))) / 10
        raise UserError(f"{who}: would clip at {target:g} LUFS (true peak {peak:+.1f} dBTP); give --loudness {lower:g} or less.")
    return x


def true_peak_db(x: np.ndarray) -> float:
    """True peak in dB relative to full scale of (C, T)."""
    from scipy.signal import resample_poly

    peak = max(float(np.abs(x).max()), float(np.abs(resample_poly(x, 4, 1, axis=-1)).max()))
    return 20 * math.log10(max(peak, 1e-10))


def anchor(x: np.ndarray, rate: int, cutoff_hz: float) -> np.ndarray:
    """A low-pass anchor, in time with the sound that it is made of.

    BS.1534 asks of the one at 3.5 kHz a ripple within 0.1 dB up to there, 25 dB less at 4 kHz and 50 dB at 4.5 kHz; the one at
    7 kHz is the same an octave higher. A linear-phase FIR filter with a Kaiser window has 70 dB from 4 kHz (8 kHz) on.
    """
    from scipy.signal import fftconvolve, firwin, kaiserord

    stop = cutoff_hz * 8 / 7
    taps, beta = kaiserord(70.0, (stop - cutoff_hz) / (rate / 2))
    window: Any = ("kaiser", beta)
    h = np.asarray(firwin(taps | 1, (cutoff_hz + stop) / 2, window=window, fs=rate))
    return fftconvolve(x, h[np.newaxis], mode="full", axes=-1)[:, len(h) // 2 :][:, : x.shape[1]]


def pcm(x: np.ndarray, bits: int, seed: bytes) -> bytes:
    """(2, T) as little-endian interleaved integers of 16 or 24 bits, with triangular dither; no header.

    Args:
        x: within [-1, 1].
        bits: 16 or 24.
        seed: of the dither: sounds that are the same differ in every file.
    """
    rng = np.random.default_rng(int.from_bytes(seed, "big"))
    full = float(1 << (bits - 1))
    dithered = np.rint(x.T * full + rng.random(x.T.shape) - rng.random(x.T.shape))
    samples = np.ascontiguousarray(np.clip(dithered, -full, full - 1), "<i4")
    if bits == 16:
        return samples.astype("<i2").tobytes()
    return samples.view(np.uint8).reshape(-1, 4)[:, :3].tobytes()


def of_pcm(data: bytes, bits: int) -> np.ndarray:
    """What `pcm` wrote, (2, T)."""
    if bits == 16:
        samples = np.frombuffer(data, "<i2").astype(float)
    else:
        raw = np.zeros((len(data) // 3, 4), np.uint8)
        raw[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        samples = (raw.view("<i4")[:, 0] >> 8).astype(float)
    return samples.reshape(-1, 2).T / float(1 << (bits - 1))
