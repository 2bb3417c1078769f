"""Batch normalisation over all processes of a run, so that several with a part of the batch each are one with the whole."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Shared(nn.BatchNorm1d):
    """BatchNorm1d whose statistics are those of all processes' items, on any device (torch's SyncBatchNorm is CUDA's alone).

    The processes' parts must be equally large.
    """

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        mean = _average(input.mean((0, 2)))
        centred = input - mean[:, None]
        variance = _average(centred.square().mean((0, 2)))
        if self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None:
            count = input.shape[0] * input.shape[2] * torch.distributed.get_world_size()
            share = 1 / (int(self.num_batches_tracked) + 1) if self.momentum is None else self.momentum
            with torch.no_grad():
                self.num_batches_tracked += 1
                self.running_mean.lerp_(mean.to(self.running_mean), share)
                self.running_var.lerp_(variance.to(self.running_var) * (count / max(count - 1, 1)), share)
        y = centred * torch.rsqrt(variance + self.eps)[:, None]
        return y * self.weight[:, None] + self.bias[:, None] if self.affine else y


def share(network: nn.Module) -> None:
    """Make every BatchNorm1d of a network a shared one, in place; names and values of its state stay."""
    for module in network.modules():
        if type(module) is nn.BatchNorm1d:
            module.__class__ = Shared


def unshare(network: nn.Module) -> None:
    """Undo `share`."""
    for module in network.modules():
        if type(module) is Shared:
            module.__class__ = nn.BatchNorm1d  # type: ignore[assignment]


def _average(x: Tensor) -> Tensor:
    """Mean over the processes, differentiable."""
    from torch.distributed.nn import functional

    return functional.all_reduce(x) / torch.distributed.get_world_size()
