"""Stems that are late against the mix: found and moved."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import torch
from torch import Tensor

from mixing.multitrack import Multitrack
from mixing.spectral import FFT, LinearMix, is_stereo, linear_mix

SMALLEST = 32  # samples: filters and narrow-band stems alone move a peak by less


def find_lags(multitrack: Multitrack, reference: Tensor) -> list[int]:
    """By how many samples each stem of one song stands late (positive: it must be advanced) or early against the reference.

    Coarse: the peak of the phase transform of the cross-correlation with the reference, where it stands out. Fine: the peak of
    the stem's least-squares filter, weighted with the stem's own spectrum. Lags below 32 samples count as none.

    Args:
        multitrack: one song.
        reference: (2, T).
    """
    size = 2 ** math.ceil(math.log2(2 * reference.shape[-1]))
    against = torch.fft.rfft(reference.mean(0), size).conj()
    coarse = [_coarse(track.mean(0), against, size) for track in multitrack.audio[0]]
    linear = linear_mix(shift(multitrack, coarse), reference)
    responses = [_response(linear, n) for n in range(len(coarse))]
    fine = [_peak(r) for r in responses]
    found = Counter(lag for lag in fine if lag is not None and abs(lag) >= SMALLEST)
    lags = []
    for start, lag, response in zip(coarse, fine, responses, strict=True):
        if lag is None:  # no clear peak: where the other stems are, or where it is, whichever its filter favours
            common = found.most_common(1)[0][0] if found else 0
            lag = common if _near(response, common) > _near(response, 0) else 0
        lags.append(start + lag if abs(start + lag) >= SMALLEST else 0)
    return lags


def _coarse(stem: Tensor, against: Tensor, size: int) -> int:
    """The lag of a peak that stands far out of the phase transform's cross-correlation (Knapp and Carter 1976), else 0."""
    cross = torch.fft.rfft(stem, size) * against
    correlation = torch.fft.irfft(cross / cross.abs().clamp_min(float(cross.abs().max()) * 1e-6 + 1e-30), size)
    peak = int(correlation.argmax())
    lag = peak if peak < size // 2 else peak - size
    near = correlation[:SMALLEST].amax().maximum(correlation[-SMALLEST:].amax())
    stands_out = correlation[peak] > 12 * correlation.std() and correlation[peak] > 3 * near
    return lag if abs(lag) >= SMALLEST and abs(lag) < stem.shape[-1] // 4 and stands_out else 0


def _response(linear: LinearMix, track: int) -> Tensor:
    """The magnitude over time of a track's least-squares filter; the track's amplitude spectrum as weight puts it between a
    plain correlation and a whitened one."""
    spectrum = torch.zeros(linear.energy.shape[1], dtype=torch.complex128)
    for row, (n, channel) in enumerate(linear.rows):
        if n == track:
            outputs = linear.filters[row, channel : channel + 1] if is_stereo(linear, n) else linear.filters[row]
            spectrum += outputs.sum(0) * linear.energy[row].double().sqrt()
    return torch.fft.irfft(spectrum, FFT).abs()


def _near(response: Tensor, lag: int) -> float:
    index = torch.arange(-lag - 8, -lag + 9) % FFT
    return float(response[index].max())


def _peak(response: Tensor) -> int | None:
    """How late the stem stands; None where its filter has no clear peak."""
    peak = int(response.argmax())
    late = -(peak if peak < FFT // 2 else peak - FFT)
    if abs(late) < SMALLEST:
        return late
    return late if response[peak] > 2 * _near(response, 0) else None


def shift(multitrack: Multitrack, lags: list[int]) -> Multitrack:
    """Advance each track of one song by its lag; silence fills the gap."""
    if not any(lags):
        return multitrack
    tracks = []
    for track, lag in zip(multitrack.audio[0], lags, strict=True):
        moved = torch.roll(track, -lag, -1)
        if lag > 0:
            moved[:, -lag:] = 0
        elif lag < 0:
            moved[:, :-lag] = 0
        tracks.append(moved)
    return replace(multitrack, audio=torch.stack(tracks)[None])
