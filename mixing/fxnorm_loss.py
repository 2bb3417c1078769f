"""The stereo-invariant losses of FxNorm (Martinez-Ramirez et al. 2022), with their perceptual filter."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from mixing.loss import StereoLoss
from mixing.waveform_loss import same_shape

TAPS = 101
_LOW_PASS = 0.85


class FxNormLoss(nn.Module):
    """The two stereo-invariant losses of FxNorm (arXiv:2208.11428; the settings are those of the authors' published code).

    Output and target go through an A-weighting filter and a gentle low-pass; then the magnitudes of one STFT (4096 samples, hop
    1024, square root of Hann's window) are compared on the sum and on the difference of the channels, so that left and right may
    be swapped. With |X| of the target and |Y| of the output, each of the two signals adds

        a:  || |X| - |Y| || / || |X| || + mean |log |X| - log |Y||
        b:  mean (|X| - |Y|)^2          + mean |log |X| - log |Y||

    Magnitudes stop at 1e-4, where the authors' stop at 1e-30: a silent mix has a finite value and a gradient that leads out of it.

    Args:
        variant: "a", or "b", from which the authors' best model comes.
        sample_rate: in Hz, of the filter.
        weighting: False leaves the filter out.
        fft_size, hop_size: in samples.

    Shapes:
        output, target (B, 2, T), T > fft_size / 2 -> a scalar.

    Raises:
        ValueError: another variant or shape.
    """

    def __init__(
        self,
        variant: Literal["a", "b"] = "b",
        sample_rate: float = 44100.0,
        *,
        weighting: bool = True,
        fft_size: int = 4096,
        hop_size: int = 1024,
    ) -> None:
        super().__init__()
        if variant not in ("a", "b"):
            raise ValueError(f"FxNormLoss: variant must be a or b; got {variant!r}.")
        # StereoLoss halves the sum over the two signals.
        stft = {"fft_sizes": [fft_size], "hop_sizes": [hop_size], "window": "sqrt_hann_window", "mid_weight": 2, "side_weight": 2}
        if variant == "a":
            terms = [StereoLoss(**stft)]
        else:
            terms = [
                StereoLoss(**stft, w_sc=0.0),
                StereoLoss(**stft, w_sc=0.0, w_log_mag=0.0, w_lin_mag=1.0, mag_distance="L2"),
            ]
        self.terms = nn.ModuleList(terms)
        taps = np.convolve(a_weighting(sample_rate), [1.0, _LOW_PASS]) if weighting else np.ones(1)
        self.register_buffer("taps", torch.from_numpy(taps), persistent=False)

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        same_shape("FxNormLoss", output, target, 2)
        output, target = self.weight(output), self.weight(target)
        return torch.stack([term(output, target) for term in self.terms]).sum()

    def weight(self, audio: Tensor) -> Tensor:
        """(B, 2, T) through the filter, as long as before."""
        taps = self.taps.to(audio).flip(0)[None, None]  # conv1d correlates
        if taps.shape[-1] == 1:
            return audio
        rows = nn.functional.conv1d(audio.flatten(0, 1)[:, None], taps, padding=TAPS // 2 + 1)
        return rows[:, 0, : audio.shape[-1]].unflatten(0, audio.shape[:2])


def a_weighting(sample_rate: float, taps: int = TAPS) -> np.ndarray:
    """Linear-phase A-weighting (IEC 61672-1): the least-squares fit of a FIR filter to the magnitude of the bilinear transform of
    the standard's analogue filter, as auraloss and FxNorm have it. With 101 taps it is true above some 500 Hz.

    Args:
        sample_rate: in Hz.
        taps: odd.
    """
    from scipy import signal

    f1, f2, f3, f4, a1000 = 20.598997, 107.65265, 737.86223, 12194.217, 1.9997
    w1, w2, w3, w4 = (2 * np.pi * f for f in (f1, f2, f3, f4))
    zeros, poles, gain = [0.0] * 4, [-w4, -w4, -w1, -w1, -w3, -w2], w4**2 * 10 ** (a1000 / 20)
    b, a = signal.bilinear(*signal.zpk2tf(zeros, poles, gain), fs=sample_rate)
    frequency, response = signal.freqz(b, a, worN=512, fs=sample_rate)
    return signal.firls(taps, frequency, np.abs(response), fs=sample_rate)
