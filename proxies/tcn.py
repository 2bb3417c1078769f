"""Temporal convolutional network conditioned on controls (micro-TCN: Steinmetz and Reiss 2022, arXiv:2102.06200)."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor, nn

from proxies.network import Network, per_sample, with_past

PRESETS: dict[str, dict[str, Any]] = {
    "TCN-100": {"blocks": 4, "growth": 10, "kernel": 5},
    "TCN-300": {"blocks": 4, "growth": 10, "kernel": 13},
    "TCN-1000": {"blocks": 5, "growth": 10, "kernel": 5},
    "TCN-324": {"blocks": 10, "growth": 2, "kernel": 15},
    "TCN-10": {"blocks": 10, "growth": 2, "kernel": 15},
    "TCN-20": {"blocks": 20, "growth": 2, "kernel": 15},
    "TCN-30": {"blocks": 30, "growth": 2, "kernel": 15},
    "DeepAFx-ST": {"blocks": 4, "growth": 8, "kernel": 13, "channels": 64, "condition": 0, "bias": True, "tanh": False},
}
"""Networks of the literature.

- micro-TCN, arXiv:2102.06200: TCN-100, -300, -1000 and -324, named after their receptive fields in milliseconds at 44.1 kHz:
  4,445, 13,333, 44,445 and 14,323 samples; 25,905, 50,737, 33,201 and 162,161 parameters for two controls.
- The differentiable mixing console, arXiv:2010.10291: TCN-10, -20 and -30. Published are the three names, the block (convolution,
  batch normalisation, FiLM, PReLU) and that a multilayer perceptron conditions it; neither widths nor kernels nor dilations
  nor weights are. A hint: a configuration "30-2-15" in the same author's micro-TCN code, not causal, whose dilations start over
  every 10 blocks. That the names count blocks, and growth 2, kernel 15, stack 10, is our reading of it; 32 channels and the
  conditioning are micro-TCN's, and causal is our choice, since equaliser, compressor and reverb are. Receptive fields of
  14,323, 28,645 and 42,967 samples. So read, TCN-10 is the same network as TCN-324.
- The neural proxies of DeepAFx-ST, arXiv:2207.08759: receptive field 7,021 samples (292.5 ms at its 24 kHz); 171,137, 164,993
  and 174,209 parameters for the 18, 6 and 24 controls of its equaliser, compressor and both. There is no conditioning network:
  controls go straight into each block's FiLM. It let the compressor's makeup gain act outside of the network.

The published code crops or pads the signal once, before the first block, and ours pads each block; they differ in the first
`receptive_field` samples only.
"""

LONGEST_FIELD = 1 << 20  # samples; every block pads by its reach, so settings without a bound would be memory without a bound


class _Block(nn.Module):
    """Dilated convolution, normalisation, FiLM, PReLU, and a grouped 1x1 residual."""

    def __init__(
        self, inputs: int, channels: int, kernel: int, dilation: int, condition: int, *, causal: bool, bias: bool
    ) -> None:
        super().__init__()
        self.reach = (kernel - 1) * dilation
        self.causal = causal
        self.convolution = nn.Conv1d(inputs, channels, kernel, dilation=dilation, bias=bias)
        self.normalisation = nn.BatchNorm1d(channels, affine=False)
        self.film = nn.Linear(condition, 2 * channels)
        self.activation = nn.PReLU(channels)
        self.residual = nn.Conv1d(inputs, channels, 1, groups=inputs, bias=False)

    def forward(self, x: Tensor, condition: Tensor, state: dict[str, Any] | None, key: str) -> Tensor:
        if self.causal:
            padded = with_past(x, self.reach, state, key)
        else:
            padded = nn.functional.pad(x, (self.reach // 2, self.reach - self.reach // 2))
        y = self.normalisation(self.convolution(padded))
        scale, shift = self.film(condition).movedim(-1, 1).chunk(2, 1)  # (N, channels, 1 or T)
        return self.activation(y * scale + shift) + self.residual(x)


class TCN(Network):
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
        condition: width of the conditioning vector that every block's FiLM reads; 0: it reads the controls themselves.
        stack: blocks after which the dilation starts over.
        causal: look into the past only; otherwise half of the receptive field lies ahead, and the network cannot stream.
        bias: whether the convolutions have one.
        skip: add the input to what the blocks make: y = x + network(x).
        tanh: bound the output to -1 ... 1, last of all.

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
        bias: bool = False,
        skip: bool = False,
        tanh: bool = True,
    ) -> None:
        super().__init__(locals())
        self.at_least(1, "blocks", "growth", "kernel", "channels", "stack")
        self.at_least(0, "condition")
        if channels % in_channels:
            raise ValueError(f"TCN: channels must be a multiple of in_channels={in_channels}; got {channels}.")
        if skip and in_channels != out_channels:
            raise ValueError(f"TCN: skip adds the input, so out_channels must be in_channels={in_channels}; got {out_channels}.")
        self.skip, self.tanh = skip, tanh
        self.conditioning = nn.Sequential()
        if condition:
            widths = (num_controls, 16, 32, condition)
            for inputs, outputs in itertools.pairwise(widths):
                self.conditioning.extend((nn.Linear(inputs, outputs), nn.ReLU()))
        self.blocks = nn.ModuleList()
        self.dilations: tuple[int, ...] = ()
        for n in range(blocks):
            self.dilations += (growth ** (n % stack),)
            if self.receptive_field > LONGEST_FIELD:
                raise ValueError(f"TCN: the receptive field may be {LONGEST_FIELD} samples; it is longer with {n + 1} blocks.")
            inputs = channels if n else in_channels
            width = condition or num_controls
            self.blocks.append(_Block(inputs, channels, kernel, self.dilations[n], width, causal=causal, bias=bias))
        self.output = nn.Conv1d(channels, out_channels, 1)

    @classmethod
    def preset(cls, name: str, num_controls: int = 2, **settings: Any) -> TCN:
        """A network of the literature by its name in PRESETS.

        Args:
            name: TCN-100, TCN-300, TCN-1000, TCN-324 (micro-TCN), TCN-10, TCN-20, TCN-30 (differentiable mixing console, as we
                read it), DeepAFx-ST. See PRESETS for what is published of each.
            num_controls: P.
            settings: arguments of the constructor that differ from the preset's, such as `in_channels` or `skip`.

        Raises:
            ValueError: there is no preset of this name.
        """
        if name not in PRESETS:
            raise ValueError(f"TCN: no preset {name!r}; there are {', '.join(PRESETS)}.")
        return cls(num_controls, **PRESETS[name] | settings)

    @property
    def receptive_field(self) -> int:
        """How many samples of input, the present one among them, an output sample depends on."""
        return 1 + (self.settings["kernel"] - 1) * sum(self.dilations)

    def process(self, x: Tensor, controls: Tensor, state: dict[str, Any] | None) -> Tensor:
        condition = self.conditioning(per_sample(controls, x.shape[2]).movedim(1, 2))  # (N, 1 or T, condition)
        y = x
        for n, block in enumerate(self.blocks):
            y = block(y, condition, state, f"block {n}")
        y = self.output(y)
        y = x + y if self.skip else y
        return torch.tanh(y) if self.tanh else y
