"""Losses between mixes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class StereoLoss(nn.Module):
    """Sum/difference multi-resolution STFT loss (Steinmetz et al. 2020) on auraloss.

    The multi-resolution STFT loss of the mid (L + R) and of the side signal (L - R): it hears level, spectrum and width, and does
    not mind left and right swapped.

    Args:
        fft_sizes: one STFT resolution each; hops are a quarter of them, windows (Hann) as long.
        mid_weight, side_weight: weights of the two signals.

    Shapes:
        output, target (B, 2, T) -> a scalar.
    """

    def __init__(
        self, fft_sizes: Sequence[int] = (512, 2048, 8192), *, mid_weight: float = 1.0, side_weight: float = 1.0
    ) -> None:
        super().__init__()
        from auraloss.freq import SumAndDifferenceSTFTLoss

        sizes = list(fft_sizes)
        self.fft_sizes = tuple(sizes)
        self.loss = SumAndDifferenceSTFTLoss(
            fft_sizes=sizes,
            hop_sizes=[n // 4 for n in sizes],
            win_lengths=sizes,
            w_sum=mid_weight,
            w_diff=side_weight,
        )

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        if output.ndim != 3 or output.shape[1] != 2 or output.shape != target.shape:
            raise ValueError(
                f"StereoLoss: expected two mixes (B, 2, T) of one shape; got {tuple(output.shape)} and {tuple(target.shape)}."
            )
        if output.shape[2] <= max(self.fft_sizes) // 2:
            raise ValueError(
                f"StereoLoss: needs more than {max(self.fft_sizes) // 2} samples; got {output.shape[2]}. "
                "Choose smaller fft_sizes."
            )
        return self.loss(output, target)


def residual_db(output: Tensor, target: Tensor) -> Tensor:
    """Energy of the difference over that of the target, in dB, over everything but the batch: (B, ...) -> (B,)."""
    error, power = ((t.double().flatten(1) ** 2).sum(1) for t in (output - target, target))
    return 10 * torch.log10(error.clamp_min(1e-30) / power.clamp_min(1e-30))
