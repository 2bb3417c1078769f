"""What a linear mix explains: a complex filter per stem and frequency by least squares, and the settings it suggests.

No gradient descent on the console is needed for fader, pan, a first equaliser and the delay of each stem; and the energy that no
such filter explains bounds what a console without time-varying parts can reach.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from dasp import Chain, Effect, HighShelfFilter, LowShelfFilter, ParametricEQ, PeakFilter
from mixing.multitrack import Multitrack

FFT = 4096
PEAK_STARTS = (400.0, 1200.0, 3500.0)
EQUALISERS = (LowShelfFilter, PeakFilter, HighShelfFilter, ParametricEQ)


@dataclass(frozen=True)
class LinearMix:
    """The best linear time-invariant mix of the stems.

    Attributes:
        filters: (rows, 2, F) complex: from each row to left and right; a mono track is a row, a stereo track two.
        rows: for each row its (track, channel).
        energy: (rows, F): mean power of each row's spectrum.
        explained_db: energy of what is left over that of the reference, in dB.
    """

    filters: Tensor
    rows: tuple[tuple[int, int], ...]
    energy: Tensor
    explained_db: float


def linear_mix(multitrack: Multitrack, reference: Tensor, ridge: float = 1e-4) -> LinearMix:
    """Least squares per STFT bin: reference (2, T) ~ sum over rows of filter times row.

    Args:
        multitrack: one song.
        reference: (2, T).
        ridge: regularisation over the mean energy of the bin's rows.
    """
    rows = tuple((n, c) for n in range(multitrack.audio.shape[1]) for c in range(int(multitrack.channels[0, n])))
    signals = torch.stack([multitrack.audio[0, n, c] for n, c in rows])
    window = torch.hann_window(FFT)

    def spectrum(x: Tensor) -> Tensor:
        return torch.stft(x, FFT, FFT // 2, window=window, return_complex=True).movedim(1, 0)  # (F, rows, frames)

    x, y = spectrum(signals), spectrum(reference)
    gram = (x @ x.mH).to(torch.complex128)
    cross = (y @ x.mH).to(torch.complex128)
    power = gram.diagonal(dim1=1, dim2=2).real
    filters = torch.zeros(len(power), 2, len(rows), dtype=torch.complex128)
    stereo = {n for n, c in rows if c == 1}
    for side in (0, 1):
        # A stereo track is balanced: its left feeds left alone. Else two alike channels would share their gain at random.
        use = [r for r, (n, c) in enumerate(rows) if c == side or n not in stereo]
        level = power[:, use].mean(1, keepdim=True).clamp_min(1e-12) * ridge
        system = gram[:, use][:, :, use] + torch.diag_embed(level.expand(-1, len(use))).to(gram.dtype)
        filters[:, side, use] = torch.linalg.solve(system, cross[:, side : side + 1, use].mH)[..., 0].conj()
    left = y - filters.to(y.dtype) @ x
    explained = 10 * math.log10(float(left.abs().square().sum() / y.abs().square().sum().clamp_min(1e-30)) + 1e-30)
    return LinearMix(filters.permute(2, 1, 0), rows, power.T / x.shape[2], explained)


def fader_and_pan(linear: LinearMix, tracks: int) -> tuple[Tensor, Tensor, Tensor]:
    """Level and pan of each track, and the magnitude of its filter.

    Returns:
        fader gain (N,) linear, pan (N,) in [0, 1], magnitude (N, F) relative to the gain.
    """
    sides = torch.zeros(2, tracks, dtype=torch.float64)
    magnitude = torch.zeros(tracks, linear.energy.shape[1], dtype=torch.float64)
    weight = torch.zeros_like(magnitude)
    for row, (n, c) in enumerate(linear.rows):
        power = linear.filters[row].abs().square()  # (2, F)
        energy = linear.energy[row].double()
        # A stereo track is balanced, so each of its channels is judged in its own output alone.
        for side in (c,) if is_stereo(linear, n) else (0, 1):
            sides[side, n] = (power[side] * energy).sum() / energy.sum().clamp_min(1e-30)
        magnitude[n] += energy * (power[c] if is_stereo(linear, n) else power.sum(0))
        weight[n] += energy
    gain = sides.sum(0).sqrt()
    pan = torch.atan2(sides[1].sqrt(), sides[0].sqrt()) * 2 / math.pi
    level = (magnitude.sum(1, keepdim=True) / weight.sum(1, keepdim=True).clamp_min(1e-30)).sqrt()
    shape = (magnitude / weight.clamp_min(1e-30)).sqrt() / level.clamp_min(1e-9)
    return gain, pan, shape


def is_stereo(linear: LinearMix, track: int) -> bool:
    return sum(n == track for n, _ in linear.rows) == 2


def track_energy(linear: LinearMix, tracks: int) -> Tensor:
    """(N, F): the power spectrum of each track, its channels summed."""
    energy = torch.zeros(tracks, linear.energy.shape[1], dtype=torch.float64)
    for row, (n, _) in enumerate(linear.rows):
        energy[n] += linear.energy[row]
    return energy


def equaliser_start(
    effects: list[Effect], shape: Tensor, energy: Tensor, sample_rate: float, steps: int = 150
) -> tuple[Tensor, Tensor]:
    """Fit the equalisers among the inserts to the filters' magnitudes, all tracks at once.

    Adam on the response of the real filters (to an impulse) at 64 log-spaced frequencies, weighted where the track has energy.

    Args:
        effects: the inserts; others than equalisers are passed over.
        shape: (N, F) magnitudes.
        energy: (N, F) power of each track.
        sample_rate: in Hz.

    Returns:
        controls (N, P) of all inserts in [0, 1] at their defaults but for the equalisers, and a gain (N,) in dB that they leave
        over.
    """
    tracks = len(shape)
    controls = torch.cat([e.unit(tracks) for e in effects], 1) if effects else torch.zeros(tracks, 0, dtype=torch.float64)
    equalisers = [e for e in effects if isinstance(e, EQUALISERS)]
    if not equalisers:
        return controls, torch.zeros(tracks, dtype=torch.float64)
    points = torch.logspace(math.log10(30), math.log10(min(18000, 0.45 * sample_rate)), 64, dtype=torch.float64)
    edges = torch.sqrt(points[1:] * points[:-1])
    band = torch.bucketize(torch.arange(shape.shape[1]) * sample_rate / FFT, edges)

    def banded(x: Tensor) -> Tensor:
        return torch.zeros(tracks, len(points), dtype=torch.float64).index_add(1, band, x.double())

    power = banded(energy)
    target = 10 * torch.log10((banded(shape**2 * energy) / power.clamp_min(1e-30)).clamp_min(1e-6))
    weight = (power / power.amax(1, keepdim=True).clamp_min(1e-30)).clamp(0, 1).sqrt()
    weight = weight * (weight > 1e-2)
    weight = weight / weight.sum(1, keepdim=True).clamp_min(1e-9)

    # Every start for every track, in one batch: a peak on the wrong side of a bump would never cross it.
    starts = torch.stack([_places(equalisers, peak) for peak in PEAK_STARTS])
    fitted = starts.repeat_interleave(tracks, 0)
    target, weight = target.repeat(len(starts), 1), weight.repeat(len(starts), 1)
    anchor = fitted.clone()
    offset = torch.zeros(len(fitted), 1, dtype=torch.float64)
    chain = Chain(*(type(e)(sample_rate) for e in equalisers))
    impulse = torch.zeros(len(fitted), 1, FFT, dtype=torch.float64)
    impulse[..., 0] = 1
    frequency = (points * FFT / sample_rate).round().long().clamp(1, FFT // 2 - 1)
    fitted.requires_grad_()
    offset.requires_grad_()
    optimiser = torch.optim.Adam([{"params": [fitted]}, {"params": [offset]}])
    misfit = torch.zeros(len(fitted), dtype=torch.float64)
    for step in range(steps):
        for group, rate in zip(optimiser.param_groups, (0.03, 0.3), strict=True):
            group["lr"] = rate * (0.5 + 0.5 * math.cos(math.pi * step / steps))
        response = torch.fft.rfft(chain(impulse, fitted)[:, 0]).abs()[:, frequency]
        error = 20 * response.clamp_min(1e-6).log10() + offset - target
        misfit = (weight * torch.nn.functional.huber_loss(error, torch.zeros_like(error), reduction="none", delta=3.0)).sum(1)
        misfit = misfit + 0.05 * (fitted - anchor).square().sum(1)
        optimiser.zero_grad()
        misfit.sum().backward()
        optimiser.step()
        with torch.no_grad():
            fitted.clamp_(0.01, 0.99)
    best = misfit.detach().reshape(len(starts), tracks).argmin(0)
    index = best * tracks + torch.arange(tracks)
    pieces = list(fitted.detach()[index].split([len(e.controls) for e in equalisers], 1))
    parts = controls.split([len(e.controls) for e in effects], 1)
    out = [pieces.pop(0) if isinstance(e, EQUALISERS) else p for p, e in zip(parts, effects, strict=True)]
    return torch.cat(out, 1), offset.detach()[index, 0]


def _places(equalisers: list[Effect], peak_hz: float) -> Tensor:
    """Controls (P,) to start from: shelves at the ends of the spectrum, the peak where it is told, everything flat."""
    parts = []
    for e in equalisers:
        hz = {LowShelfFilter: 120.0, PeakFilter: peak_hz, HighShelfFilter: 6000.0}.get(type(e))
        parts.append(e.unit(1)[0] if hz is None else e.unit(1, cutoff_frequency_hz=hz)[0])
    return torch.cat(parts)
