"""Temporal convolutional network conditioned on controls (micro-TCN: Steinmetz and Reiss 2022, arXiv:2102.06200)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

PRESETS: dict[str, dict[str, Any]] = {
    "TCN-100": {"blocks": 4, "growth": 10, "kernel": 5},
    "TCN-300": {"blocks": 4, "growth": 10, "kernel": 13},
    "TCN-1000": {"blocks": 5, "growth": 10, "kernel": 5},
    "TCN-324": {"blocks": 10, "growth": 2, "kernel": 15},
}
"""The published family; parameter counts 25,905, 50,737, 33,201 and 162,161 for two controls."""


class _Block(nn.Module):
    """Dilated causal convolution, normalisation, FiLM, PReLU, and a grouped 1x1 residual."""

    def __init__(self, inputs: int, channels: int, kernel: int, dilation: int, condition: int) -> None:
        super().__init__()
        self.padding = (kernel - 1) * dilation
        self.convolution = nn.Conv1d(inputs, channels, kernel, dilation=dilation, bias=False)
        self.normalisation = nn.BatchNorm1d(channels, affine=False)
        self.film = nn.Linear(condition, 2 * channels)
        self.activation = nn.PReLU(channels)
        self.residual = nn.Conv1d(inputs, channels, 1, groups=inputs, bias=False)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        y = self.normalisation(self.convolution(nn.functional.pad(x, (self.padding, 0))))
        scale, shift = self.film(condition).movedim(-1, 1).chunk(2, 1)  # (N, channels, 1 or T)
        return self.activation(y * scale + shift) + self.residual(x)


class TCN(nn.Module):
    """A causal network called as an effect is: (audio (B, C, T), controls (B, P) or (B, P, frames) in [0, 1]) -> audio (B, C, T).

    Every channel is processed for itself with the same weights. Frames are interpolated linearly to samples.

    Args:
        num_controls: P.
        blocks: number of dilated convolutions.
        growth: the dilation of block n is growth^(n mod stack).
        kernel: taps of each convolution.
        channels: width.
        condition: width of the conditioning vector that every block's FiLM reads.
        stack: blocks after which the dilation starts over.
    """

    def __init__(
        self,
        num_controls: int,
        *,
        blocks: int = 4,
        growth: int = 10,
        kernel: int = 5,
        channels: int = 32,
        condition: int = 32,
        stack: int = 10,
    ) -> None:
        super().__init__()
        self.num_controls = num_controls
        self.kernel = kernel
        self.dilations: Sequence[int] = [growth ** (n % stack) for n in range(blocks)]
        self.conditioning = nn.Sequential(
            nn.Linear(num_controls, 16), nn.ReLU(), nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, condition), nn.ReLU()
        )
        widths = [1] + [channels] * (blocks - 1)
        self.blocks = nn.ModuleList(
            _Block(w, channels, kernel, d, condition) for w, d in zip(widths, self.dilations, strict=True)
        )
        self.output = nn.Conv1d(channels, 1, 1)

    @classmethod
    def preset(cls, name: str, num_controls: int = 2) -> TCN:
        """A published network by name: TCN-100, TCN-300, TCN-1000 or TCN-324."""
        if name not in PRESETS:
            raise ValueError(f"TCN: no preset {name!r}; there are {', '.join(PRESETS)}.")
        return cls(num_controls, **PRESETS[name])

    @property
    def receptive_field(self) -> int:
        """Samples of the past, the present one included, that an output depends on."""
        return 1 + (self.kernel - 1) * sum(self.dilations)

    def forward(self, x: Tensor, controls: Tensor) -> Tensor:
        if x.ndim != 3 or controls.ndim not in (2, 3) or controls.shape[:2] != (len(x), self.num_controls):
            raise ValueError(
                f"TCN: expected audio (B, C, T) and controls (B, {self.num_controls}) or (B, {self.num_controls}, frames); "
                f"got {tuple(x.shape)} and {tuple(controls.shape)}."
            )
        controls = controls.to(x.dtype)
        if controls.ndim == 3:
            controls = nn.functional.interpolate(controls, x.shape[2], mode="linear", align_corners=False).movedim(1, 2)
        else:
            controls = controls[:, None]
        condition = self.conditioning(controls).repeat_interleave(x.shape[1], 0)
        y = x.reshape(-1, 1, x.shape[2])
        for block in self.blocks:
            y = block(y, condition)
        return torch.tanh(self.output(y)).reshape(x.shape)
