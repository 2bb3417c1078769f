"""Losses between mixes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from mixing.stft_loss import MultiResolutionSTFTLoss, Target


@dataclass(frozen=True)
class StereoTarget:
    """A stereo target and the magnitude spectra of its mid and side, from `StereoLoss.prepare`: for that loss alone."""

    mid: Target
    side: Target


class StereoTerms(NamedTuple):
    """A loss, and its two parts unweighted."""

    loss: Tensor
    mid: Tensor
    side: Tensor


class StereoLoss(nn.Module):
    """Sum/difference multi-resolution STFT loss (Steinmetz et al. 2020).

    The multi-resolution STFT loss of the mid (L + R) and of the side signal (L - R): it hears level, spectrum and width, and does
    not mind left and right swapped. Equals auraloss's SumAndDifferenceSTFTLoss, but for silence, as `MultiResolutionSTFTLoss`
    says: a mono output has a gradient towards the target's width.

    Args:
        fft_sizes: one STFT resolution each.
        hop_sizes: by default a quarter of them.
        win_lengths: by default as long as they are.
        mid_weight, side_weight: weights of the two signals.
        output: "loss": half the weighted sum, a scalar; "full": `StereoTerms`.
        **settings: others of `MultiResolutionSTFTLoss`.

    Shapes:
        output, target (B, 2, T) -> a scalar.
    """

    def __init__(
        self,
        fft_sizes: Sequence[int] = (512, 2048, 8192),
        hop_sizes: Sequence[int] | None = None,
        win_lengths: Sequence[int] | None = None,
        *,
        mid_weight: float = 1.0,
        side_weight: float = 1.0,
        output: Literal["loss", "full"] = "loss",
        **settings: Any,
    ) -> None:
        super().__init__()
        if output not in ("loss", "full"):
            raise ValueError(f"StereoLoss: output must be loss or full; got {output!r}.")
        hops = [n // 4 for n in fft_sizes] if hop_sizes is None else hop_sizes
        self.distance = MultiResolutionSTFTLoss(fft_sizes, hops, fft_sizes if win_lengths is None else win_lengths, **settings)
        self.mid_weight, self.side_weight, self.output = mid_weight, side_weight, output

    def prepare(self, target: Tensor) -> StereoTarget:
        """A target that many outputs are compared with; see `MultiResolutionSTFTLoss.prepare`."""
        self._check(target, target.shape)
        return StereoTarget(*(self.distance.prepare(t) for t in _mid_side(target)))

    def forward(self, output: Tensor, target: Tensor | StereoTarget) -> Tensor | StereoTerms:
        """The distance of `output` (B, 2, T) from `target`, audio of the same shape or what `prepare` made of it.

        Raises:
            ValueError: another shape or dtype.
        """
        if isinstance(target, StereoTarget):
            batch, _, samples = target.mid.audio.shape
            self._check(output, torch.Size((batch, 2, samples)))
            targets = (target.mid, target.side)
        else:
            self._check(output, target.shape)
            targets = _mid_side(target)
        mid, side = (self.distance(o, t) for o, t in zip(_mid_side(output), targets, strict=True))
        loss = (self.mid_weight * mid + self.side_weight * side) / 2
        return loss if self.output == "loss" else StereoTerms(loss, mid, side)

    def _check(self, x: Tensor, shape: torch.Size) -> None:
        if x.ndim != 3 or x.shape[1] != 2 or x.shape != shape:
            raise ValueError(f"StereoLoss: expected two mixes (B, 2, T) of one shape; got {tuple(x.shape)} and {tuple(shape)}.")


def _mid_side(x: Tensor) -> tuple[Tensor, Tensor]:
    return x[:, :1] + x[:, 1:], x[:, :1] - x[:, 1:]


def residual_db(output: Tensor, target: Tensor) -> Tensor:
    """Energy of the difference over that of the target, in dB, over everything but the batch: (B, ...) -> (B,)."""
    error, power = ((t.double().flatten(1) ** 2).sum(1) for t in (output - target, target))
    return 10 * torch.log10(error.clamp_min(1e-30) / power.clamp_min(1e-30))
