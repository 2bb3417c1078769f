"""Temporal convolutional network conditioned on controls (micro-TCN: Steinmetz and Reiss 2022, arXiv:2102.06200)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

PRESETS: dict[str, dict[str, Any]] = {
    "TCN-100": {"blocks": 4, "growth": 10, "kernel": 5},
    "TCN-300": {"blocks": 4, "growth": 10, "kernel": 13},
    "TCN-1000": {"blocks": 5, "growth": 10, "kernel": 5},
    "TCN-324": {"blocks": 10, "growth": 2, "kernel": 15},
}
"""The published family: 25,905, 50,737, 33,201 and 162,161 parameters for two controls; receptive fields of 4,445, 13,333,
44,445 and 14,323 samples."""


class _Block(nn.Module):
    """Dilated convolution, normalisation, FiLM, PReLU, and a grouped 1x1 residual."""

    def __init__(self, inputs: int, channels: int, kernel: int, dilation: int, condition: int, causal: bool) -> None:
        super().__init__()
        reach = (kernel - 1) * dilation
        self.padding = (reach, 0) if causal else (reach // 2, reach - reach // 2)
        self.convolution = nn.Conv1d(inputs, channels, kernel, dilation=dilation, bias=False)
        self.normalisation = nn.BatchNorm1d(channels, affine=False)
        self.film = nn.Linear(condition, 2 * channels)
        self.activation = nn.PReLU(channels)
        self.residual = nn.Conv1d(inputs, channels, 1, groups=inputs, bias=False)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        y = self.normalisation(self.convolution(nn.functional.pad(x, self.padding)))
        scale, shift = self.film(condition).movedim(-1, 1).chunk(2, 1)  # (N, channels, 1 or T)
        return self.activation(y * scale + shift) + self.residual(x)


class TCN(nn.Module):
    """A network called as an effect is: (audio (B, C, T), controls (B, P) or (B, P, frames) in [0, 1]) -> audio (B, C, T).

    By default every channel is processed for itself with the same weights, so any number of channels will do; with
    `in_channels=2` each pair is, and so on. Zeros stand before the first sample, so the output is as long as the input.
    Frames are interpolated linearly to samples. In training mode the normalisation reads the whole batch; the causality
    and the independence of the batch's items hold in evaluation mode.

    Args:
        num_controls: P.
        in_channels: channels that the network sees together; C must be a multiple of it.
        out_channels: channels that it makes of those.
        blocks: number of dilated convolutions.
        growth: the dilation of block n is growth^(n mod stack).
        kernel: taps of each convolution.
        channels: width, a multiple of `in_channels`.
        condition: width of the conditioning vector that every block's FiLM reads.
        stack: blocks after which the dilation starts over.
        causal: look into the past only; otherwise half of the receptive field lies ahead.

    >>> network = TCN.preset("TCN-100", num_controls=4)
    >>> tuple(network(torch.zeros(2, 2, 1000), torch.rand(2, 4)).shape)
    (2, 2, 1000)
    >>> network.receptive_field
    4445
    """

    def __init__(
        self,
        num_controls: int,
        *,
        in_channels: int = 1,
        out_channels: int = 1,
        blocks: int = 4,
        growth: int = 10,
        kernel: int = 5,
        channels: int = 32,
        condition: int = 32,
        stack: int = 10,
        causal: bool = True,
    ) -> None:
        super().__init__()
        sizes = {"num_controls": num_controls, "in_channels": in_channels, "out_channels": out_channels, "blocks": blocks}
        sizes |= {"growth": growth, "kernel": kernel, "channels": channels, "condition": condition, "stack": stack}
        for name, size in sizes.items():
            if size < 1:
                raise ValueError(f"TCN: {name} must be at least 1; got {size}.")
        if channels % in_channels:
            raise ValueError(f"TCN: channels must be a multiple of in_channels={in_channels}; got {channels}.")
        self.num_controls = num_controls
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel = kernel
        self.dilations = tuple(growth ** (n % stack) for n in range(blocks))
        self.conditioning = nn.Sequential(
            nn.Linear(num_controls, 16), nn.ReLU(), nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, condition), nn.ReLU()
        )
        widths = [in_channels] + [channels] * (blocks - 1)
        self.blocks = nn.ModuleList(
            _Block(w, channels, kernel, d, condition, causal) for w, d in zip(widths, self.dilations, strict=True)
        )
        self.output = nn.Conv1d(channels, out_channels, 1)

    @classmethod
    def preset(cls, name: str, num_controls: int = 2) -> TCN:
        """A published network by name: TCN-100, TCN-300, TCN-1000 or TCN-324."""
        if name not in PRESETS:
            raise ValueError(f"TCN: no preset {name!r}; there are {', '.join(PRESETS)}.")
        return cls(num_controls, **PRESETS[name])

    @property
    def receptive_field(self) -> int:
        """Samples of the input that one sample of the output depends on, itself included."""
        return 1 + (self.kernel - 1) * sum(self.dilations)

    def forward(self, x: Tensor, controls: Tensor) -> Tensor:
        """Process audio.

        Args:
            x: audio (B, C, T), C a multiple of `in_channels`, of the network's own dtype.
            controls: (B, P) or (B, P, frames) in [0, 1].

        Returns:
            audio (B, C / in_channels * out_channels, T), within -1 and 1.

        Raises:
            ValueError: a shape is wrong; the message has what was expected.
        """
        if x.ndim != 3 or x.shape[1] % self.in_channels:
            width = "C" if self.in_channels == 1 else f"a multiple of {self.in_channels}"
            raise ValueError(f"TCN: expected audio (B, {width}, T); got {tuple(x.shape)}.")
        if controls.ndim not in (2, 3) or controls.shape[:2] != (len(x), self.num_controls):
            shape = f"({len(x)}, {self.num_controls})"
            raise ValueError(f"TCN: expected controls {shape} or {shape[:-1]}, frames); got {tuple(controls.shape)}.")
        controls = controls.to(x.dtype)
        if controls.ndim == 3:
            controls = nn.functional.interpolate(controls, x.shape[2], mode="linear", align_corners=False).movedim(1, 2)
        else:
            controls = controls[:, None]
        groups = x.shape[1] // self.in_channels
        condition = self.conditioning(controls).repeat_interleave(groups, 0)
        y = x.reshape(-1, self.in_channels, x.shape[2])
        for block in self.blocks:
            y = block(y, condition)
        return torch.tanh(self.output(y)).reshape(len(x), groups * self.out_channels, x.shape[2])
