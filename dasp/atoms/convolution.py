"""Causal linear convolution with an impulse response."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dasp.atoms._library import call, native, on_gpu, suffix
from gradients.batching import batched

_HEAD, _GROWTH = 64, 8  # the kernel sums so many taps directly; each block length serves taps up to the next, so much longer
_BLOCK = 1 << 16


def convolve(x: Tensor, h: Tensor, history: Tensor | None = None, *, through_history: bool = False) -> tuple[Tensor, Tensor]:
    """y[n] = sum_k h[k] x[n - k], as long as the input: what comes before it is the history, what rings on after it is cut off.

    In double inside, also for float32 audio, which is rounded once. The kernel forms the same sums however a stream is cut
    into blocks, so that they equal the whole to the bit. Gradients by FFT, exact, and differentiable again.

    Args:
        x: audio (B, C, T).
        h: impulse response (B, 1, L), one for all channels, or (B, C, L); any dtype, L >= 1.
        history: what an earlier call returned, or None for silence.
        through_history: whether a gradient flows into the history; the one that is returned has none (`history_after` does).

    Returns:
        audio (B, C, T) in x's dtype, and the history after it: past input (B, C, M), M >= L.
    """
    batch, channels, samples = x.shape
    if h.ndim != 3 or h.shape[0] != batch or h.shape[1] not in (1, channels) or h.shape[2] < 1:
        raise ValueError(
            f"convolve: the impulse response must be ({batch}, 1 or {channels}, taps) for audio {tuple(x.shape)}; "
            f"got {tuple(h.shape)}."
        )
    taps = h.shape[2]
    block = longest_block(taps)
    least = -(-taps // block) * block  # before the current block
    if history is None:
        history = x.new_zeros(batch, channels, least)
    elif history.shape[:2] != (batch, channels) or not least <= history.shape[2] < least + block:
        raise ValueError(
            f"convolve: the history must be ({batch}, {channels}, {least} to {least + block - 1}) for {taps} taps; "
            f"got {tuple(history.shape)}. An impulse response keeps its length within a stream."
        )
    past = history if through_history else history.detach()
    signal = torch.cat([past.to(x.dtype), x], -1)
    after = history_after(signal, taps).detach()
    if samples == 0:
        return x, after
    y = (
        _Convolve.apply(signal, h.double(), samples, least, through_history)
        if native(x)
        else convolve_reference(signal, h, samples)
    )
    return y, after


def history_after(signal: Tensor, taps: int) -> Tensor:
    """What `convolve` needs of a signal (B, C, M + T), history and audio in a row, to go on behind it; with its gradient."""
    block = longest_block(taps)
    least = -(-taps // block) * block
    return signal[..., (signal.shape[2] - least) // block * block :]


def longest_block(taps: int) -> int:
    """The length of the kernel's longest block: a stream's position on that grid is seen from its history's length."""
    block = _HEAD if taps > _HEAD else 1
    while block > 1 and block * _GROWTH < taps:
        block *= _GROWTH
    return block


def convolve_reference(signal: Tensor, h: Tensor, samples: int) -> Tensor:
    """The last `samples` of the convolution in plain torch, by FFTs over long blocks (overlap-save): the oracle, the fallback,
    and the kernel's gradient."""
    past = h.shape[2] - 1
    signal = signal[..., max(signal.shape[2] - samples - past, 0) :]
    signal = torch.nn.functional.pad(signal, (past + samples - signal.shape[2], 0))
    size = fast_length(min(past + samples, max(_BLOCK, 4 * past)))
    spectrum = torch.fft.rfft(h.double(), size)
    blocks = []
    for start in range(0, samples, size - past):
        block = signal[..., start : start + size].double()
        y = torch.fft.irfft(torch.fft.rfft(block, size) * spectrum, size)
        blocks.append(y[..., past : block.shape[2]].to(signal.dtype))
    return torch.cat(blocks, -1)


def _response_gradient(g: Tensor, signal: Tensor, taps: int) -> Tensor:
    """sum_n g[n] signal[n - k] for each tap k, (B, C, taps), float64; the last sample of both is the same moment."""
    past, samples = taps - 1, g.shape[2]
    signal = signal[..., signal.shape[2] - samples - past :]
    step = max(_BLOCK, 4 * past)
    size = fast_length(past + min(step, samples))
    total = signal.new_zeros(*g.shape[:2], taps, dtype=torch.float64)
    for start in range(0, samples, step):
        part = torch.fft.rfft(g[..., start : start + step].double(), size)
        whole = torch.fft.rfft(signal[..., start : start + step + past].double(), size)
        total = total + torch.fft.irfft(part.conj() * whole, size)[..., :taps].flip(-1)
    return total


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


@torch.library.custom_op("dasp::convolve", mutates_args=())
def _forward(signal: Tensor, h: Tensor, samples: int, least: int) -> Tensor:
    signal, h = signal.contiguous(), h.contiguous()
    y = signal.new_empty(*signal.shape[:2], samples)
    past = signal.shape[2] - samples
    call(f"convolve_{suffix(signal)}", signal, h, y, *y.shape[:2], h.shape[1], samples, past, h.shape[2], least, _HEAD, _GROWTH)
    return y


@_forward.register_fake
def _(signal: Tensor, h: Tensor, samples: int, least: int) -> Tensor:
    return signal.new_empty(*signal.shape[:2], samples)


_forward.register_vmap(batched(_forward))
on_gpu("convolution", forward=_forward)


class _Convolve(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(signal: Tensor, h: Tensor, samples: int, least: int, through: bool) -> Tensor:  # type: ignore[override]
        return _forward(signal, h, samples, least)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        signal, h, _, _, ctx.through = inputs
        ctx.save_for_backward(signal, h)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, Tensor, None, None, None]:  # type: ignore[override]
        signal, h = ctx.saved_tensors
        before = (signal.shape[2] - g.shape[2], 0)
        heard = torch.nn.functional.pad(g, before) if ctx.through else g
        to_signal = convolve_reference(heard.flip(-1), h, heard.shape[2]).flip(-1)
        if not ctx.through:
            to_signal = torch.nn.functional.pad(to_signal, before)
        to_h = _response_gradient(g, signal, h.shape[2])
        return to_signal, to_h.sum(1, keepdim=True) if h.shape[1] == 1 else to_h, None, None, None
