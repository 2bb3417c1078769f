"""Magnitude spectra of two signals compared frame by frame, and the comparison's gradient, in blocks: no spectrum is kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from dasp.atoms._library import call, compiled, suffix

_BLOCK = 1 << 18  # samples of frames at a time, in plain torch
_LANES = 16  # the kernel stores frames in groups of so many, at most


@dataclass(frozen=True)
class Slope:
    """What a bin adds to `Comparison.signal`: own |X| - other |Y| + log d/d|X| D(log |X|, log |Y|) + linear d/d|X| D(|X|, |Y|),
    times the direction of X. D is |a - b|, or its square."""

    own: float = 0.0
    other: float = 0.0
    log: float = 0.0
    linear: float = 0.0


@dataclass(frozen=True)
class Comparison:
    """Sums over all frames and bins of all rows, and gradients with respect to the first signal.

    Magnitudes are sqrt(max(|X|^2, eps)). Below eps they do not move and a bin has no gradient, but for frames none of whose bins
    reaches it, such as silence: there the slope is the one just above eps, and the direction that of the target's bin.
    """

    sums: Tensor  # (4,) float64: (|X| - |Y|)^2, |Y|^2, D(log |X|, log |Y|), D(|X|, |Y|)
    apart: Tensor | None  # (rows, T): gradient of half the first sum
    signal: Tensor | None  # (rows, T): gradient by `Slope`


def frame_count(length: int, size: int, hop: int) -> int:
    """How many frames of `size` samples, `hop` apart, lie in `length` samples."""
    return 1 + (length - size) // hop


def compare(
    x: Tensor,
    y: Tensor,
    window: Tensor,
    hop: int,
    eps: float,
    *,
    squared: bool = False,
    magnitudes: Tensor | None = None,
    apart: bool = False,
    slope: Slope | None = None,
) -> Comparison:
    """Compare two signals' short-time magnitude spectra; no bin's value is kept longer than its block.

    Args:
        x, y: (rows, T) each, at least as long as the window.
        window: (n,); its length is that of the transform.
        hop: samples between frames; the first frame starts at the first sample.
        eps: least |X|^2.
        squared: D is the squared difference instead of the absolute one.
        magnitudes: of y, from `magnitudes`; y itself is then read only where x is silent.
        apart: whether the gradient of half the sum of (|X| - |Y|)^2 is wanted.
        slope: what gradient is wanted beside that one, if any.
    """
    if not _native(x, window):
        return compare_reference(x, y, window, hop, eps, squared, magnitudes, apart, slope)
    x, y = x.contiguous(), y.contiguous()
    s = slope or Slope()
    settings = torch.tensor([eps, s.own, s.other, s.log, s.linear], dtype=torch.float64)
    sums = torch.empty(4, dtype=torch.float64)
    nothing = x.new_empty(0)  # its address is null
    gradients = [torch.zeros_like(x) if wanted else nothing for wanted in (apart, slope is not None)]
    levels = nothing if magnitudes is None else magnitudes
    sizes = (*x.shape, len(window), hop, int(squared))
    call(f"spectral_compare_{suffix(x)}", x, y, levels, window, settings, sums, *gradients, *sizes)
    return Comparison(sums, gradients[0] if apart else None, gradients[1] if slope else None)


def magnitudes(y: Tensor, window: Tensor, hop: int, eps: float) -> Tensor:
    """sqrt(max(|Y|^2, eps)) of every frame and bin of y (rows, T), in the order that `compare` reads."""
    if not _native(y, window):
        return torch.cat([_levels(spectrum, eps) for _, spectrum in _spectra(y, window, hop)], 1)
    frames = -(-frame_count(y.shape[1], len(window), hop) // _LANES) * _LANES
    out = y.new_empty(y.shape[0], frames, len(window) // 2 + 1)
    least = torch.tensor([eps], dtype=torch.float64)
    call(f"spectral_magnitudes_{suffix(y)}", y.contiguous(), window, least, out, *y.shape, len(window), hop)
    return out


def _native(x: Tensor, window: Tensor) -> bool:
    """The kernel's transforms have a power of two samples, and at least 32."""
    size = len(window)
    return compiled(x) and size >= 32 and size & (size - 1) == 0


def compare_reference(
    x: Tensor,
    y: Tensor,
    window: Tensor,
    hop: int,
    eps: float,
    squared: bool,
    magnitudes: Tensor | None,
    apart: bool,
    slope: Slope | None,
) -> Comparison:
    """`compare` in plain torch, block by block of frames: the oracle; the fallback; for transforms of any length."""
    sums = torch.zeros(4, dtype=torch.float64, device=x.device)
    gradients = [torch.zeros_like(x) if wanted else None for wanted in (apart, slope is not None)]
    for (first, own), (_, other) in zip(_spectra(x, window, hop), _spectra(y, window, hop), strict=True):
        mx = _levels(own, eps)
        my = _levels(other, eps) if magnitudes is None else magnitudes[:, first : first + own.shape[1]]
        d = mx - my
        logs = mx.log() - my.log()
        terms = (d * d, my * my, logs * logs if squared else logs.abs(), d * d if squared else d.abs())
        sums += torch.stack([t.sum(dtype=torch.float64) for t in terms])
        if not apart and slope is None:
            continue
        quiet = own.real.square() + own.imag.square() < eps
        silent = quiet.all(-1, keepdim=True)
        direction = torch.where(silent, other / _levels(other, eps), torch.where(quiet, 0, own) / mx)
        if gradients[0] is not None:
            _add_adjoint(direction * d, window, hop, first, gradients[0])
        if gradients[1] is not None:
            assert slope is not None
            log, linear = (2 * logs, 2 * d) if squared else (d.sign(), d.sign())
            steep = slope.own * mx - slope.other * my + slope.log * log / mx + slope.linear * linear
            _add_adjoint(direction * steep, window, hop, first, gradients[1])
    return Comparison(sums, *gradients)


def _levels(spectrum: Tensor, eps: float) -> Tensor:
    return (spectrum.real.square() + spectrum.imag.square()).clamp_min(eps).sqrt()


def _spectra(x: Tensor, window: Tensor, hop: int) -> Iterator[tuple[int, Tensor]]:
    """Spectra (rows, frames, bins) of blocks of frames, and each block's first frame."""
    frames = x.unfold(1, len(window), hop)
    step = max(1, _BLOCK // (x.shape[0] * len(window)))
    for first in range(0, frames.shape[1], step):
        yield first, torch.fft.rfft(frames[:, first : first + step] * window)


def _add_adjoint(spectrum: Tensor, window: Tensor, hop: int, first: int, signal: Tensor) -> None:
    """Adds to a signal (rows, T) the transpose of framing, windowing and transforming it, applied to a spectrum's gradient."""
    size = len(window)
    spectrum = spectrum / 2
    spectrum[..., 0] *= 2
    if size % 2 == 0:
        spectrum[..., -1] *= 2
    frames = torch.fft.irfft(spectrum, size, norm="forward") * window
    apart = -(-size // hop)  # so many frames on, they do not overlap
    for start in range(min(apart, frames.shape[1])):
        part = frames[:, start::apart]
        into = signal.as_strided(part.shape, (signal.shape[1], apart * hop, 1), (first + start) * hop)
        into += part
