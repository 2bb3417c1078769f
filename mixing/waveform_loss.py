"""Losses between waveforms: mean absolute error, error-to-signal ratio, scale-invariant signal-to-distortion ratio."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class L1Loss(nn.Module):
    """Mean absolute difference of the samples: the loss of Mix-Wave-U-Net (Martinez-Ramirez et al. 2021).

    Shapes:
        output, target (B, C, T) -> a scalar.
    """

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        same_shape("L1Loss", output, target)
        return (output - target).abs().mean()


class ESRLoss(nn.Module):
    """Error-to-signal ratio (Wright and Valimaki 2019): energy of the difference over the target's, channel by channel, averaged.

    The ratio has no value on a silent target: a target below `floor_db` counts as one at it, so that a silent channel neither
    divides by nothing nor outweighs all others. Above the floor the ratio is exact.

    Args:
        floor_db: least mean power of the target, in dB re full scale.

    Shapes:
        output, target (B, C, T) -> a scalar.
    """

    def __init__(self, floor_db: float = -60.0) -> None:
        super().__init__()
        self.floor = 10 ** (floor_db / 10)

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        same_shape("ESRLoss", output, target)
        error, power = ((t * t).mean(-1) for t in (output - target, target))
        return (error / power.clamp_min(self.floor)).mean()


class SISDRLoss(nn.Module):
    """Negative scale-invariant signal-to-distortion ratio in dB (Le Roux et al. 2019), channel by channel, averaged.

    Both signals are made free of their mean; the part of the output along the target is the signal, the rest the distortion.
    Energies are those of sums over time plus `eps`, so that silence, on either side or on both, has a finite value and gradient:
    silence against silence is 0 dB.

    Args:
        eps: added to energies.

    Shapes:
        output, target (B, C, T) -> a scalar in dB; the less the nearer.
    """

    def __init__(self, eps: float = 1e-8) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        same_shape("SISDRLoss", output, target)
        output, target = (t - t.mean(-1, keepdim=True) for t in (output, target))
        scale = (output * target).sum(-1, keepdim=True) / ((target * target).sum(-1, keepdim=True) + self.eps)
        signal, distortion = ((t * t).sum(-1) + self.eps for t in (scale * target, output - scale * target))
        return -10 * (torch.log10(signal) - torch.log10(distortion)).mean()


def same_shape(who: str, output: Tensor, target: Tensor, channels: int | None = None) -> None:
    """Refuse what are not two batches of signals of one shape.

    Raises:
        ValueError: the message names who refuses.
    """
    wanted = f"(B, {channels or 'C'}, T)"
    if output.ndim != 3 or output.shape != target.shape or (channels or output.shape[1]) != output.shape[1] or not output.numel():
        raise ValueError(
            f"{who}: expected output and target {wanted} of one shape; got {tuple(output.shape)} and {tuple(target.shape)}."
        )
