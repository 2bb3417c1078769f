"""Demucs turned round: tracks in, a stereo mix out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mixing.models.waveform import WaveformModel, cropped


class Demucs(WaveformModel):
    """Demucs (Defossez, Usunier, Bottou and Bach, 2019), adapted to mixing as in the comparison of Steinmetz et al. (2021).

    An encoder of strided convolutions, each followed by a gated one of size 1; two bidirectional LSTMs over the coarsest
    frames; a decoder that mirrors the encoder and adds what comes past it. Tracks are the channels of its input and the mix is
    its output, where the original has a mix and its sources. How the paper set its baseline is not published: sizes are Demucs's
    own but for `channels` and `depth`, which here are small (64 and 6 in the original). Weights start scaled as there, towards a
    standard deviation of `rescale`.

    The LSTMs hear the whole signal; in blocks they hear `margin` samples before and after, and the blocks are cross-faded.

    Args:
        tracks: places for tracks; see `WaveformModel`.
        track_channels: 1 or 2.
        sample_rate: in Hz.
        channels: of the first layer; each further one has twice as many.
        depth: number of layers.
        kernel, stride: of the strided convolutions.
        context: size of the decoder's gated convolutions, odd.
        lstm_layers: number of LSTMs.
        rescale: see above; 0 leaves the weights as they are.
    """

    def __init__(
        self,
        tracks: int = 8,
        track_channels: int = 2,
        sample_rate: float = 44100,
        channels: int = 24,
        depth: int = 5,
        kernel: int = 8,
        stride: int = 4,
        context: int = 3,
        lstm_layers: int = 2,
        rescale: float = 0.1,
    ) -> None:
        super().__init__(locals())
        self.at_least(1, "channels", "depth", "kernel", "stride", "context", "lstm_layers")
        if context % 2 == 0 or kernel < stride:
            raise ValueError(f"Demucs: context is odd and kernel no smaller than stride; got {context}, {kernel} and {stride}.")
        self.kernel, self.stride, self.context = kernel, stride, context
        encoder: list[nn.Module] = []
        decoder: list[nn.Module] = []
        before, width = tracks * track_channels, channels
        for level in range(depth):
            encoder.append(
                nn.Sequential(nn.Conv1d(before, width, kernel, stride), nn.ReLU(), nn.Conv1d(width, 2 * width, 1), nn.GLU(1))
            )
            back = [
                nn.Conv1d(width, 2 * width, context),
                nn.GLU(1),
                nn.ConvTranspose1d(width, 2 if level == 0 else before, kernel, stride),
            ]
            decoder.insert(0, nn.Sequential(*back, *([] if level == 0 else [nn.ReLU()])))
            before, width = width, 2 * width
        self.encoder, self.decoder = nn.ModuleList(encoder), nn.ModuleList(decoder)
        self.lstm = nn.LSTM(before, before, lstm_layers, bidirectional=True)
        self.linear = nn.Linear(2 * before, before)
        if rescale:
            for layer in self.modules():
                if isinstance(layer, nn.Conv1d | nn.ConvTranspose1d):
                    _rescale(layer, rescale)
        self.multiple = stride**depth
        self.margin = -(-round(2 * sample_rate) // self.multiple) * self.multiple

    def length(self, samples: int) -> int:
        """Samples of input that come out as at least `samples`: those that leave nothing over at any layer."""
        length = samples
        for _ in self.encoder:
            length = max(1, -(-(length - self.kernel) // self.stride) + 1) + self.context - 1
        for _ in self.encoder:
            length = (length - 1) * self.stride + self.kernel
        return length

    def process(self, x: Tensor) -> Tensor:
        samples = x.shape[-1]
        # What the decoder's convolutions take from either end, at the rate of each layer: the mix begins that much later.
        before = self.context // 2 * sum(self.stride**level for level in range(1, len(self.encoder) + 1))
        y, skips = nn.functional.pad(x, (before, self.length(samples) - samples - before)), []
        for layer in self.encoder:
            y = layer(y)
            skips.append(y)
        z, _ = self.lstm(y.permute(2, 0, 1))
        y = self.linear(z).permute(1, 2, 0)
        for layer in self.decoder:
            y = layer(y + cropped(skips.pop(), y.shape[-1]))
        return y[..., :samples]


@torch.no_grad()
def _rescale(layer: nn.Conv1d | nn.ConvTranspose1d, reference: float) -> None:
    if layer.weight.is_meta:
        return
    scale = (layer.weight.std() / reference).sqrt()
    layer.weight /= scale
    if layer.bias is not None:
        layer.bias /= scale
