"""The training loss: auraloss's terms, each clip scaled by its target's level, finite on silence."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from proxies.config import LossSettings

_NAMES = ("root_esr", "l1", "esr", "dc", "log_cosh", "stft", "mr_stft", "rr_stft")


class Loss(nn.Module):
    """A weighted sum of losses between waveforms, each a mean over the batch's items (but spectral convergence, `w_sc`).

    Where clips are scaled, both waveforms are divided by the target's RMS or, where that is less, by the floor; ESR is then the
    mean square, and DC the square of the mean, of the scaled difference.

    Args:
        settings: weights and scaling.
        samples: T.

    Raises:
        ValueError: nothing has a weight, or a window is longer than the clip.
    """

    def __init__(self, settings: LossSettings, samples: int) -> None:
        super().__init__()
        self.settings = settings
        weights = {name: float(getattr(settings, name)) for name in _NAMES}
        self.weights = {name: weight for name, weight in weights.items() if weight}
        if not (self.weights or settings.difference):
            raise ValueError(f"loss: none of {', '.join((*_NAMES, 'difference'))} has a weight.")
        heard = samples - settings.skip
        self.terms = {name: _term(name, settings, heard) for name in self.weights}

    def forward(self, output: Tensor, target: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """(B, C, T), (B, C, T) -> the loss, and its terms by name, detached and unweighted.

        With `difference` items 2i and 2i + 1 are the same audio at neighbouring controls.

        Raises:
            ValueError: the shapes differ.
        """
        if output.shape != target.shape:
            raise ValueError(f"loss: the network made {tuple(output.shape)} and the teacher {tuple(target.shape)}.")
        settings = self.settings
        output, target = output[..., settings.skip :].float(), target[..., settings.skip :].float()
        floor, scale = 10 ** (settings.floor_db / 20), 1.0
        if settings.scaled:
            scale = target.square().mean((1, 2), keepdim=True).sqrt().clamp_min(floor)
        found = {name: term(output / scale, target / scale) for name, term in self.terms.items()}
        total = sum((self.weights[name] * value for name, value in found.items()), output.new_zeros(()))
        if settings.difference:
            found["difference"] = _difference(output, target, floor)
            total = total + settings.difference * found["difference"]
        return total, {name: value.detach() for name, value in found.items()}


def _term(name: str, settings: LossSettings, samples: int) -> Callable[[Tensor, Tensor], Tensor]:
    import auraloss

    if name == "root_esr":
        return lambda o, t: _root_esr(o, t, settings.scaled)
    if name == "l1":
        return nn.L1Loss()
    if name == "esr":
        return nn.MSELoss() if settings.scaled else auraloss.time.ESRLoss()
    if name == "dc":
        return (lambda o, t: (o - t).mean(-1).square().mean()) if settings.scaled else auraloss.time.DCLoss()
    if name == "log_cosh":
        return _log_cosh
    parts: dict[str, Any] = {"w_sc": settings.w_sc, "w_log_mag": settings.w_log_mag, "w_lin_mag": settings.w_lin_mag}
    if name == "rr_stft":
        longest = 2 ** min(15, int(math.log2(max(samples - 1, 1))))
        return auraloss.freq.RandomResolutionSTFTLoss(max_fft_size=longest, **parts)
    loss: Any
    if name == "stft":
        loss, sizes = auraloss.freq.STFTLoss(**parts), [1024]
    elif sizes := list(settings.fft_sizes):
        loss = auraloss.freq.MultiResolutionSTFTLoss(sizes, [n // 4 for n in sizes], sizes, **parts)
    else:
        loss = auraloss.freq.MultiResolutionSTFTLoss(**parts)
        sizes = list(loss.fft_sizes)
    if max(sizes) // 2 >= samples:
        raise ValueError(
            f"loss: {name} has a window of {max(sizes)} samples; a clip of {samples} needs to be longer than half of it."
        )
    return loss


def _log_cosh(output: Tensor, target: Tensor) -> Tensor:
    """auraloss's LogCoshLoss, in a form that is finite for large differences too."""
    size = (output - target).abs()
    return (size + nn.functional.softplus(-2 * size) - math.log(2)).mean()


def _root_esr(output: Tensor, target: Tensor, scaled: bool) -> Tensor:
    """Mean over clips of sqrt(ESR + 1e-8), over all channels of a clip."""
    error = (output - target).square().mean((1, 2))
    power = 1.0 if scaled else target.square().mean((1, 2)).clamp_min(1e-8)
    return (error / power + 1e-8).sqrt().mean()


def _difference(output: Tensor, target: Tensor, floor: float) -> Tensor:
    """The error in output differences between neighbouring controls, relative to their norm, or to a share of the output's."""
    made, wanted = ((t[1::2] - t[::2]).flatten(1) for t in (output, target))
    energy = wanted.square().sum(1) + 1e-3 * target[::2].flatten(1).square().sum(1) + floor**2 * wanted.shape[1]
    return (torch.linalg.vector_norm(made - wanted, dim=1) / energy.sqrt()).mean()
