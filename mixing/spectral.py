"""What a linear mix explains: a complex filter per stem and frequency by least squares, and the settings it suggests.

No gradient descent on the console is needed for fader, pan, a first equaliser and the delay of each stem; and the energy that no
such filter explains bounds what a console without time-varying parts can reach.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dasp import Effect, HighShelfFilter, LowShelfFilter, Param, ParametricEQ, PeakFilter
from dasp.atoms.design import section
from dasp.effects.parametric_eq import BANDS
from mixing.multitrack import Multitrack

FFT = 4096
PEAK_STARTS = (300.0, 700.0, 1500.0, 3000.0)
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


def equaliser_start(effects: Sequence[Effect], shape: Tensor, energy: Tensor, sample_rate: float) -> tuple[Tensor, Tensor]:
    """Fit the equalisers among the inserts to the filters' magnitudes, all tracks at once.

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
    index = equaliser_controls(effects)
    if not index:
        return controls, torch.zeros(tracks, dtype=torch.float64)
    points, target, weight = _banded(20 * shape.clamp_min(1e-4).log10(), energy, sample_rate)
    fitted, offset = fit_magnitude([e for e in effects if isinstance(e, EQUALISERS)], points, target, weight, sample_rate)
    controls[:, index] = fitted[0]
    return controls, offset[0]


def equaliser_controls(effects: Sequence[Effect]) -> list[int]:
    """Where the equalisers' controls stand in the inserts' table."""
    index, at = [], 0
    for e in effects:
        if isinstance(e, EQUALISERS):
            index += range(at, at + len(e.controls))
        at += len(e.controls)
    return index


def correction(strips: Tensor, target: Tensor, ridge: float = 1e-3) -> tuple[Tensor, Tensor]:
    """What each strip still needs: one filter per strip and STFT bin, by least squares of the target's both channels.

    Args:
        strips: (N, 2, T).
        target: (2, T), what the strips should sum to.

    Returns:
        magnitude (N, F), 1 where nothing is missing, and power (N, F) of each strip.
    """
    window = torch.hann_window(FFT)
    spectra = [
        torch.stft(t, FFT, FFT // 2, window=window, return_complex=True).movedim(-2, 0) for t in (strips.flatten(0, 1), target)
    ]
    x = spectra[0].unflatten(1, strips.shape[:2]).flatten(2)  # (F, N, 2 frames)
    y = spectra[1].flatten(1)[:, None]
    gram, cross = (x @ x.mH).to(torch.complex128), (y @ x.mH).to(torch.complex128)
    power = gram.diagonal(dim1=1, dim2=2).real
    level = (power.mean(1, keepdim=True).clamp_min(1e-12) * ridge).expand_as(power)
    # The ridge pulls towards 1, no change, not towards silence.
    filters = torch.linalg.solve(gram + torch.diag_embed(level).to(gram.dtype), (cross + level[:, None]).mH)[..., 0].conj()
    return filters.abs().T, power.T


def refit(
    effects: Sequence[Effect], controls: Tensor, magnitude: Tensor, power: Tensor, sample_rate: float
) -> tuple[Tensor, Tensor]:
    """Fit the equalisers anew to their present response times a correction (N, F): out of a local minimum.

    Returns controls (starts, N, P) and the gains (starts, N) in dB that they leave over, for each track the best first.
    """
    index = equaliser_controls(effects)
    equalisers = [e for e in effects if isinstance(e, EQUALISERS)]
    points, extra, weight = _banded(20 * magnitude.clamp(1e-2, 1e2).log10(), power, sample_rate)
    present = controls[:, index]
    target = _response_db(equalisers, present, points, sample_rate) + extra
    fitted, offset = fit_magnitude(equalisers, points, target, weight, sample_rate, present)
    out = controls.repeat(len(fitted), 1, 1)
    out[..., index] = fitted
    return out, offset


@torch.enable_grad()
def fit_magnitude(
    equalisers: Sequence[Effect],
    points: Tensor,
    target_db: Tensor,
    weight: Tensor,
    sample_rate: float,
    present: Tensor | None = None,
    steps: int = 200,
) -> tuple[Tensor, Tensor]:
    """Equaliser controls whose response has the magnitudes target_db (N, K) at `points` (K,) Hz, up to a gain in dB.

    Adam from several starts for every track in one batch, since a peak on the wrong side of a bump never crosses it.

    Returns:
        controls (starts, N, P) and gains (starts, N), for each track its best first.
    """
    tracks = len(target_db)
    starts = [_places(equalisers, hz, q).expand(tracks, -1) for hz in PEAK_STARTS for q in (0.8, 2.5)]
    if present is not None:
        starts.append(present)
    fitted = torch.cat(starts).clone()
    anchor = torch.cat([starts[0]] * len(starts))
    target, weight = target_db.repeat(len(starts), 1), weight.repeat(len(starts), 1)
    offset = torch.zeros(len(fitted), 1, dtype=torch.float64)
    fitted.requires_grad_()
    offset.requires_grad_()
    optimiser = torch.optim.Adam([{"params": [fitted]}, {"params": [offset]}])
    misfit = torch.zeros(len(fitted), dtype=torch.float64)
    for step in range(steps):
        for group, rate in zip(optimiser.param_groups, (0.03, 0.3), strict=True):
            group["lr"] = rate * (0.5 + 0.5 * math.cos(math.pi * step / steps))
        error = _response_db(equalisers, fitted, points, sample_rate) + offset - target
        misfit = (weight * torch.nn.functional.huber_loss(error, torch.zeros_like(error), reduction="none", delta=3.0)).sum(1)
        # A little towards flat shelves of moderate Q: of two equalisers that sound alike, the plainer one.
        misfit = misfit + 0.02 * (fitted - anchor).square().sum(1)
        optimiser.zero_grad()
        misfit.sum().backward()
        optimiser.step()
        with torch.no_grad():
            fitted.clamp_(0.01, 0.99)
    order = misfit.detach().reshape(len(starts), tracks).argsort(0)
    index = order * tracks + torch.arange(tracks)
    return fitted.detach()[index], offset.detach()[index, 0]


def _banded(db: Tensor, energy: Tensor, sample_rate: float) -> tuple[Tensor, Tensor, Tensor]:
    """Magnitudes (N, F) averaged by energy in 64 log-spaced bands: centres in Hz, dB (N, 64), and weights (N, 64) that follow the
    square root of the energy."""
    points = torch.logspace(math.log10(30), math.log10(min(18000, 0.45 * sample_rate)), 64, dtype=torch.float64)
    band = torch.bucketize(torch.arange(db.shape[1]) * sample_rate / FFT, torch.sqrt(points[1:] * points[:-1]))

    def banded(x: Tensor) -> Tensor:
        return torch.zeros(len(x), len(points), dtype=torch.float64).index_add(1, band, x.double())

    power = banded(energy)
    mean = banded(db * energy) / power.clamp_min(1e-30)
    weight = (power / power.amax(1, keepdim=True).clamp_min(1e-30)).sqrt()
    weight = weight * (weight > 1e-2)
    return points, mean, weight / weight.sum(1, keepdim=True).clamp_min(1e-9)


def _bands(effect: Effect) -> list[tuple[str, Sequence[Param]]]:
    """An equaliser's bands: the kind of each and its three controls (frequency, gain, Q)."""
    kinds = {"LowShelfFilter": "low_shelf", "PeakFilter": "peak", "HighShelfFilter": "high_shelf"}
    if isinstance(effect, ParametricEQ):
        return [(kinds[plugin], params) for plugin, params in BANDS.values()]
    return [(kinds[effect.name], effect.controls)]


def _response_db(equalisers: Sequence[Effect], controls: Tensor, points: Tensor, sample_rate: float) -> Tensor:
    """The magnitude response (N, K) of equalisers in series at `points` Hz."""
    z = torch.exp(-2j * math.pi * points / sample_rate)
    powers = torch.stack([torch.ones_like(z), z, z * z])
    total, at = torch.zeros(len(controls), len(points), dtype=torch.float64), 0
    for kind, params in (band for e in equalisers for band in _bands(e)):
        frequency, gain_db, quality = (q.to_physical(controls[:, at + i, None]) for i, q in enumerate(params))
        b0, b1, b2, a1, a2 = section(kind, frequency, quality, gain_db, sample_rate=sample_rate)[..., 0].unbind(-1)
        top = torch.stack([b0, b1, b2], -1).to(powers.dtype) @ powers
        bottom = torch.stack([torch.ones_like(a1), a1, a2], -1).to(powers.dtype) @ powers
        total = total + 20 * (top.abs().clamp_min(1e-6).log10() - bottom.abs().clamp_min(1e-6).log10())
        at += len(params)
    return total


def _places(equalisers: Sequence[Effect], peak_hz: float, q: float) -> Tensor:
    """Controls (P,) to start from: shelves at the ends of the spectrum, the peak where it is told, everything flat."""
    parts = []
    for e in equalisers:
        place = {LowShelfFilter: (120.0, 0.7), PeakFilter: (peak_hz, q), HighShelfFilter: (6000.0, 0.7)}.get(type(e))
        parts.append(e.unit(1)[0] if place is None else e.unit(1, cutoff_frequency_hz=place[0], q=place[1])[0])
    return torch.cat(parts)
