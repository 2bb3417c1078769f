"""A loss between what is heard of two mixes, not between their samples: level, crest factor, width, balance, bands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from mixing.waveform_loss import same_shape

FEATURES = ("rms", "crest", "width", "imbalance", "spectrum")
_FLOOR = 1e-8  # mean power, -80 dB re full scale


class AudioFeatureLoss(nn.Module):
    """Squared differences of five features of a mix, weighted and summed. The idea is Diff-MST's (Vanka et al. 2024), which
    compares a mix with another song's; the definitions are our own, all of them bounded and of order one:

        rms        log10 of each channel's RMS level
        crest      log10 of each channel's peak over its RMS level
        width      energy of the side signal over that of mid and side: 0 mono, 1/2 unrelated channels, 1 opposite ones
        imbalance  (right - left) / (right + left) of the channels' energies: -1 left, 1 right
        spectrum   log10 of the mean power in each band of mid and of side, half-overlapping triangles on a Bark or mel scale

    The powers in logarithms and quotients have 1e-8 (-80 dB) added: on silence values and gradients are finite.

    Args:
        sample_rate: in Hz, of the bands.
        weights: of features by name; those left out count 1, 0 switches one off.
        scale: "bark" (Traunmuller 1990) or "mel" (O'Shaughnessy 1987).
        bands: how many.
        fft_size: of the spectrum, hop a half of it.

    Shapes:
        output, target (B, 2, T) -> a scalar; T may differ, as they need not be one song.

    Raises:
        ValueError: an unknown feature or scale; not stereo.
    """

    def __init__(
        self,
        sample_rate: float = 44100.0,
        *,
        weights: Mapping[str, float] | None = None,
        scale: Literal["bark", "mel"] = "bark",
        bands: int = 24,
        fft_size: int = 4096,
    ) -> None:
        super().__init__()
        unknown = sorted(set(weights or ()) - set(FEATURES))
        if unknown:
            raise ValueError(f"AudioFeatureLoss: there is no feature {unknown[0]!r}; there are {', '.join(FEATURES)}.")
        self.weights = {name: float((weights or {}).get(name, 1.0)) for name in FEATURES}
        self.fft_size = fft_size
        self.register_buffer("bank", filter_bank(sample_rate, fft_size, bands, scale), persistent=False)
        self.register_buffer("window", torch.hann_window(fft_size, dtype=torch.float64), persistent=False)

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        for audio in (output, target):
            same_shape("AudioFeatureLoss", audio, audio, 2)
        found, wanted = self.features(output), self.features(target)
        return torch.stack([w * (found[n] - wanted[n]).square().mean() for n, w in self.weights.items() if w]).sum()

    def features(self, audio: Tensor) -> dict[str, Tensor]:
        """(B, 2, T) -> rms and crest (B, 2), width and imbalance (B,), spectrum (B, 2, bands) of mid and side."""
        power = audio.square().mean(-1) + _FLOOR
        peak = audio.abs().amax(-1).square() + _FLOOR
        left, right = power.unbind(1)
        mid_side = torch.stack([audio.sum(1), audio[:, 0] - audio[:, 1]], 1) / 2
        mid, side = mid_side.square().mean(-1).unbind(1)
        return {
            "rms": power.log10() / 2,
            "crest": (peak / power).log10() / 2,
            "width": side / (mid + side + _FLOOR),
            "imbalance": (right - left) / (right + left),
            "spectrum": (self._bands(mid_side) + _FLOOR).log10(),
        }

    def _bands(self, audio: Tensor) -> Tensor:
        """(B, C, T) -> mean power in each band (B, C, bands), in full scale squared."""
        size, hop = self.fft_size, self.fft_size // 2
        rows = audio.flatten(0, 1)
        missing = max(0, size - rows.shape[-1]) or -(rows.shape[-1] - size) % hop
        rows = nn.functional.pad(rows, (0, missing))
        window = self.window.to(rows)
        spectrum = torch.stft(rows, size, hop, window=window, center=False, return_complex=True)
        power = (spectrum.real.square() + spectrum.imag.square()).mean(-1) / window.square().sum()
        return (power @ self.bank.to(power).T).unflatten(0, audio.shape[:2])


def filter_bank(sample_rate: float, fft_size: int, bands: int, scale: str = "bark") -> Tensor:
    """Triangular filters (bands, fft_size / 2 + 1), float64, that overlap by a half on a scale of hearing and reach from 0 Hz to
    the Nyquist frequency; each one's weights sum to 1, so that it averages.

    Raises:
        ValueError: another scale; more bands than the transform resolves.
    """
    if scale not in ("bark", "mel"):
        raise ValueError(f"filter_bank: scale must be bark or mel; got {scale!r}.")
    frequency = torch.linspace(0, sample_rate / 2, fft_size // 2 + 1, dtype=torch.float64)
    heard = 26.81 * frequency / (1960 + frequency) if scale == "bark" else 2595 * torch.log10(1 + frequency / 700)
    edges = torch.linspace(0, float(heard[-1]), bands + 2, dtype=torch.float64)[:, None]
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    weights = torch.minimum((heard - low) / (centre - low), (high - heard) / (high - centre)).clamp_min(0)
    total = weights.sum(1, keepdim=True)
    if not (total > 0).all():
        raise ValueError(f"filter_bank: {bands} {scale} bands are more than {fft_size} samples resolve at {sample_rate:g} Hz.")
    return weights / total
