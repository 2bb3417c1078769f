"""The multi-resolution STFT loss: a step from output to gradient."""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.contest import BOTH, SMALL, A, B, Contender, Contest, Controls, Outcome, Setup, Size, Work, by_autodiff, compete, differentiable, peer
from benchmarks.results import Aim, Group, find, ratio

SIZES = [512, 1024, 2048]
SETTINGS = {"fft_sizes": SIZES, "hop_sizes": [n // 4 for n in SIZES], "win_lengths": SIZES}
SHORT = {"fft_sizes": [1024, 2048, 512], "hop_sizes": [120, 240, 50], "win_lengths": [600, 1200, 240]}


def case(size: Size, seed: int) -> tuple[Tensor, Controls]:
    """An output that is a filtered and noisy target."""
    generator = torch.Generator().manual_seed(seed)
    target = 0.3 * torch.randn(*size.shape, generator=generator)
    x = 0.7 * target + 0.2 * torch.roll(target, 1, -1) + 0.03 * torch.randn(*size.shape, generator=generator)
    return x, {"target": target}


def auraloss(settings: dict, x: Tensor, controls: Controls) -> Work:
    loss = peer("auraloss.freq").MultiResolutionSTFTLoss(**settings)
    return differentiable(lambda x, target: loss(x, target), x, controls)


def _double(settings: dict) -> Contest:
    def truth(x: Tensor, target: Tensor) -> Tensor:
        loss = peer("auraloss.freq").MultiResolutionSTFTLoss(**settings).double()
        for one in loss.stft_losses:
            one.window = one.window.double()
        return loss(x, target)

    return truth
