"""What a track sounds like: a convolutional network on log-mel patches, averaged over time, and the track's level."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

GATE_DB = -70.0  # patches below it are silence, as in ITU-R BS.1770


def mel_filter_bank(sample_rate: float, n_fft: int, mels: int, low_hz: float = 0.0, high_hz: float | None = None) -> Tensor:
    """Triangular filters with equally spaced centres on the mel scale 2595 log10(1 + f / 700), peaks at 1: (mels, n_fft / 2 + 1).

    The scale is O'Shaughnessy's (1987), as HTK has it. Equals torchaudio's melscale_fbanks (norm=None), and librosa's filters.mel
    with htk=True, norm=None.

    Args:
        sample_rate: in Hz.
        n_fft: size of the transform.
        mels: number of filters.
        low_hz, high_hz: lower edge of the first and upper edge of the last; by default 0 and half the rate.
    """
    high_hz = sample_rate / 2 if high_hz is None else high_hz
    low, high = (2595 * math.log10(1 + f / 700) for f in (low_hz, high_hz))
    edges = 700 * (10 ** (torch.linspace(low, high, mels + 2, dtype=torch.float64) / 2595) - 1)
    bins = torch.linspace(0, sample_rate / 2, n_fft // 2 + 1, dtype=torch.float64)
    left, centre, right = (edges[i : i + mels, None] for i in range(3))
    rising, falling = (bins - left) / (centre - left), (right - bins) / (right - centre)
    return torch.minimum(rising, falling).clamp_min(0).float()


@dataclass(frozen=True)
class Levels:
    """Sums over a track's patches, from which its level follows; sums of parts of a track add up to those of the whole.

    Attributes:
        level: sum of the levels in dB of the patches that sound, any shape.
        square: sum of their squares.
        sounding: number of patches that sound.
        patches: number of all.
    """

    level: Tensor
    square: Tensor
    sounding: Tensor
    patches: Tensor

    def __add__(self, other: Levels) -> Levels:
        return Levels(
            self.level + other.level,
            self.square + other.square,
            self.sounding + other.sounding,
            self.patches + other.patches,
        )

    def features(self) -> Tensor:
        """Mean and spread of the level where the track sounds, and how much of the time it does: (..., 3), each about -1 to 1."""
        count = self.sounding.clamp_min(1)
        mean = torch.where(self.sounding > 0, self.level / count, GATE_DB)
        spread = (self.square / count - (self.level / count) ** 2).clamp_min(0)
        # The root's derivative at 0 is infinite; levels are data and their own gradient is of no use.
        return torch.stack([(mean + 30) / 20, spread.sqrt() / 10, self.sounding / self.patches.clamp_min(1)], -1).detach()


def patch_levels(patches: Tensor) -> tuple[Tensor, Tensor]:
    """(..., K, samples) -> level in dB and whether it sounds, (..., K) each."""
    level = 10 * patches.detach().square().mean(-1).clamp_min(1e-12).log10()
    return level, level > GATE_DB


def levels(patches: Tensor) -> Levels:
    """Patches (..., K, samples) -> their sums (...)."""
    level, sounds = patch_levels(patches)
    heard = torch.where(sounds, level, 0.0)
    return Levels(heard.sum(-1), heard.square().sum(-1), sounds.to(level).sum(-1), torch.ones_like(level).sum(-1))


def cut(x: Tensor, samples: int) -> Tensor:
    """(..., T) -> patches (..., K, samples), the last one filled up with silence."""
    return nn.functional.pad(x, (0, -x.shape[-1] % samples)).unflatten(-1, (-1, samples))


class LogMelEncoder(nn.Module):
    """(R, 1, T) -> embeddings (R, E): the mean over those patches that sound, each heard for itself.

    A patch's mel spectrum in dB is taken relative to the patch's own mean, so that timbre and level are kept apart (the level is
    given to the controller as a number), then goes through 3 x 3 convolutions of stride 2, each with group normalisation, so that
    one track's embedding does not depend on which others are in the batch. As with VGGish in Steinmetz et al. (2021) a patch is
    about a second long. Since each patch stands alone, the sums over blocks of whole patches are those over the whole track.

    Args:
        sample_rate: in Hz.
        embedding: E.
        mels, n_fft, hop: of the mel spectra.
        channels: of the convolutions.
        patch: samples.
    """

    def __init__(
        self,
        sample_rate: float,
        embedding: int = 128,
        mels: int = 64,
        n_fft: int = 2048,
        hop: int = 512,
        channels: Sequence[int] = (16, 32, 64, 128),
        patch: int = 32768,
    ) -> None:
        super().__init__()
        if patch < n_fft:
            raise ValueError(f"LogMelEncoder: a patch holds at least n_fft samples, {n_fft}; got {patch}.")
        self.n_fft, self.hop, self.patch = n_fft, hop, patch
        self.register_buffer("bank", mel_filter_bank(sample_rate, n_fft, mels), persistent=False)
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)
        layers: list[nn.Module] = []
        for before, after in zip((1, *channels[:-1]), channels, strict=True):
            layers += [nn.Conv2d(before, after, 3, 2, 1), nn.GroupNorm(math.gcd(after, 8), after), nn.ReLU()]
        self.layers = nn.Sequential(*layers)
        rows = mels
        for _ in channels:
            rows = (rows + 1) // 2
        self.output = nn.Linear(channels[-1] * rows, embedding)

    def log_mel(self, patches: Tensor) -> Tensor:
        """Patches (P, samples) -> (P, mels, frames): the level over the patch's mean in units of 20 dB, from -4 upwards."""
        assert isinstance(self.bank, Tensor) and isinstance(self.window, Tensor)
        power = torch.stft(patches, self.n_fft, self.hop, window=self.window, center=False, return_complex=True).abs().square()
        mel = self.bank @ power
        relative = mel / mel.mean((1, 2), keepdim=True).clamp_min(1e-10)
        return relative.clamp_min(1e-8).log10() / 2

    def summary(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Tracks (R, 1, T) -> the sum of the embeddings of the patches that sound (R, E), and their number (R, 1)."""
        patches = cut(x[:, 0], self.patch)
        _, sounds = patch_levels(patches)
        z = self.layers(self.log_mel(patches.flatten(0, 1))[:, None])
        z = self.output(z.mean(-1).flatten(1)).unflatten(0, sounds.shape)
        weight = sounds.to(z)[..., None]
        return (z * weight).sum(1), weight.sum(1)

    def forward(self, x: Tensor) -> Tensor:
        total, count = self.summary(x)
        return total / count.clamp_min(1)
