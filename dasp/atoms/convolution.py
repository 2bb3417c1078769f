"""Causal linear convolution with an impulse response, by FFT in double, block by block."""

from __future__ import annotations

import torch
from torch import Tensor

_BLOCK = 1 << 16


def convolve(x: Tensor, h: Tensor, history: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """y[n] = sum_k h[k] x[n - k], as long as the input: what comes before it is the history, what rings on after it is cut off.

    Real FFTs in double at fast lengths, also for float32 audio: their rounding is then below float32's, at any level. Long
    signals go in overlapping blocks (overlap-save), so that memory beyond the output does not grow with the length.

    Args:
        x: audio (B, C, T).
        h: impulse response (B, 1, L), one for all channels, or (B, C, L); any dtype, L >= 1.
        history: what an earlier call returned, or None for silence; no gradient flows into it.

    Returns:
        audio (B, C, T) in x's dtype, and the history after it: the last L - 1 samples of input, (B, C, L - 1).
    """
    batch, channels, samples = x.shape
    if h.ndim != 3 or h.shape[0] != batch or h.shape[1] not in (1, channels) or h.shape[2] < 1:
        raise ValueError(
            f"convolve: the impulse response must be ({batch}, 1 or {channels}, taps) for audio {tuple(x.shape)}; "
            f"got {tuple(h.shape)}."
        )
    past = h.shape[2] - 1
    if history is None:
        history = x.new_zeros(batch, channels, past)
    elif history.shape != (batch, channels, past):
        raise ValueError(
            f"convolve: the history must be ({batch}, {channels}, {past}) for {past + 1} taps; got {tuple(history.shape)}. "
            "An impulse response keeps its length within a stream."
        )
    signal = torch.cat([history.to(x.dtype), x], -1)
    after = signal[..., samples:].detach()
    if samples == 0:
        return x, after
    size = fast_length(min(past + samples, max(_BLOCK, 4 * past)))
    spectrum = torch.fft.rfft(h.double(), size)
    blocks = []
    for start in range(0, samples, size - past):
        block = signal[..., start : start + size].double()
        y = torch.fft.irfft(torch.fft.rfft(block, size) * spectrum, size)
        blocks.append(y[..., past : block.shape[2]].to(x.dtype))
    return torch.cat(blocks, -1), after


def fast_length(n: int) -> int:
    """The smallest even 2^a 3^b 5^c that is at least n: lengths at which FFTs are fast."""
    best = 2
    while best < n:
        best *= 2
    five = 1
    while five < best:
        three = five
        while three < best:
            length = three * 2
            while length < n:
                length *= 2
            best = min(best, length)
            three *= 3
        five *= 5
    return best
