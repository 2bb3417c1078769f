"""Causal linear convolution with an impulse response."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dasp.atoms._library import apply, call, compiled, suffix
from gradients.batching import batched
from gradients.operators import operator

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
    block, least = longest_block(taps), _least_history(taps)
    if history is None:
        history, place = x.new_zeros(batch, channels, 0), 0
    elif history.shape[:2] != (batch, channels) or not least <= history.shape[2] < least + block:
        raise ValueError(
            f"convolve: the history must be ({batch}, {channels}, {least} to {least + block - 1}) for {taps} taps; "
            f"got {tuple(history.shape)}. An impulse response keeps its length within a stream."
        )
    else:
        place = history.shape[2] - least  # in the current block
    past = (history if through_history else history.detach()).to(x.dtype)
    after = history_after(past, x, taps).detach()
    if samples == 0:
        return x, after
    return apply(_Convolve, past, x, h.double(), place) if compiled(x) else convolve_reference(past, x, h), after


def history_after(history: Tensor, x: Tensor, taps: int) -> Tensor:
    """What `convolve` needs of a history (B, C, M), M = 0 at the start of a stream, and the audio (B, C, T) after it, to go on
    behind them; with its gradient."""
    block, least = longest_block(taps), _least_history(taps)
    place = (max(history.shape[2], least) + x.shape[2] - least) % block
    needed = least + place
    if x.shape[2] >= needed:
        return x[..., x.shape[2] - needed :].clone()  # not a view: the caller's buffer may change, and would be kept
    kept = torch.cat([history[..., max(0, history.shape[2] + x.shape[2] - needed) :], x], -1)
    return torch.nn.functional.pad(kept, (needed - kept.shape[2], 0))


def _least_history(taps: int) -> int:
    """The samples before the current block that a response of so many taps hears, in whole blocks."""
    block = longest_block(taps)
    return -(-taps // block) * block


def longest_block(taps: int) -> int:
    """The length of the kernel's longest block: a stream's position on that grid is seen from its history's length."""
    block = _HEAD if taps > _HEAD else 1
    while block > 1 and block * _GROWTH < taps:
        block *= _GROWTH
    return block


def convolve_reference(history: Tensor, x: Tensor, h: Tensor) -> Tensor:
    """The convolution in plain torch, by FFTs over long blocks (overlap-save): the oracle and the fallback."""
    past, samples = h.shape[2] - 1, x.shape[2]
    signal = torch.cat([history[..., max(0, history.shape[2] - past) :], x], -1)
    signal = torch.nn.functional.pad(signal, (past + samples - signal.shape[2], 0))
    size = fast_length(min(past + samples, max(_BLOCK, 4 * past)))
    spectrum = torch.fft.rfft(h.double(), size)
    blocks = []
    for start in range(0, samples, size - past):
        block = signal[..., start : start + size].double()
        y = torch.fft.irfft(torch.fft.rfft(block, size) * spectrum, size)
        blocks.append(y[..., past : block.shape[2]].to(x.dtype))
    return torch.cat(blocks, -1)


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


def _gradient_block(samples: int, taps: int) -> int:
    """The block length of the gradient's transforms that takes the least time, by a model of what the kernel does.

    Fitted to measurements (AMD EPYC, AVX2, 512 KiB of L2), nanoseconds per sample: 0.2 a pass of a transform, 0.6 a product of
    spectra, and what no longer fits the cache passes twice more for each doubling. A block takes three transforms, and two
    products for each part of the response; a part itself two transforms."""

    def cost(log: int) -> float:
        blocks, parts = -(-samples // (1 << log)), -(-taps // (1 << log))
        passes = log + 3 + 2 * max(0, log - 14)
        return (1 << log) * (0.2 * passes * (3 * blocks + 2 * parts) + 0.6 * 2 * parts * blocks)

    return 1 << min(range(6, 19), key=cost)


@operator("dasp::convolve")
def _forward(history: Tensor, x: Tensor, h: Tensor, place: int) -> Tensor:
    history, x, h = history.contiguous(), x.contiguous(), h.contiguous()
    y = torch.empty_like(x)
    batch, channels, samples = x.shape
    sizes = (batch, channels, h.shape[1], history.shape[2], samples, h.shape[2])
    call(f"convolve_{suffix(x)}", history, x, h, y, *sizes, place, _HEAD, _GROWTH)
    return y


@_forward.register_fake
def _(history: Tensor, x: Tensor, h: Tensor, place: int) -> Tensor:
    return x.new_empty(x.shape)


@operator("dasp::convolve_backward")
def _backward(history: Tensor, x: Tensor, h: Tensor, g: Tensor, wanted: list[bool]) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients at history, x and h, each empty where it is not wanted."""
    history, x, h, g = history.contiguous(), x.contiguous(), h.contiguous(), g.contiguous()
    batch, channels, samples = x.shape
    taps = h.shape[2]
    shapes = (history.shape[2], samples, taps)
    outs = [like.new_empty(batch, channels, n * want) for like, n, want in zip((x, x, h), shapes, wanted, strict=True)]
    sizes = (batch, channels, h.shape[1], history.shape[2], samples, taps)
    block = _gradient_block(min(history.shape[2], taps - 1) + samples, taps)
    call(f"convolve_gradient_{suffix(x)}", history, x, h, g, *outs, *sizes, block)
    to_history, to_x, to_h = outs
    return to_history, to_x, to_h.sum(1, keepdim=True) if h.shape[1] < channels else to_h


@_backward.register_fake
def _(history: Tensor, x: Tensor, h: Tensor, g: Tensor, wanted: list[bool]) -> tuple[Tensor, Tensor, Tensor]:
    to_history, to_x, to_h = (t.new_empty(*t.shape[:2], t.shape[2] * w) for t, w in zip((history, x, h), wanted, strict=True))
    return to_history, to_x, to_h


_forward.register_vmap(batched(_forward))
_backward.register_vmap(batched(_backward))


class _Convolve(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(history: Tensor, x: Tensor, h: Tensor, place: int) -> Tensor:  # type: ignore[override]
        return _forward(history, x, h, place)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        *tensors, ctx.place = inputs
        ctx.save_for_backward(*tensors)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        wanted = list(ctx.needs_input_grad[:3])
        grads = _Gradient.apply(*ctx.saved_tensors, g, wanted, ctx.place)
        return *(grad if want else None for grad, want in zip(grads, wanted, strict=True)), None


class _Gradient(torch.autograd.Function):
    """The convolution's gradient, differentiable: <g, x * h> is linear in each of the three, so its gradient is made of the same
    two operations."""

    generate_vmap_rule = True

    @staticmethod
    def forward(history: Tensor, x: Tensor, h: Tensor, g: Tensor, wanted: list[bool], place: int) -> tuple:  # type: ignore[override]
        return _backward(history, x, h, g, wanted)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: tuple) -> None:
        *tensors, ctx.wanted, ctx.place = inputs
        ctx.save_for_backward(*tensors)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        history, x, h, g = ctx.saved_tensors
        given = zip(cotangents, (history, x, h), ctx.wanted, strict=True)
        v_history, v_x, v_h = (v if want else torch.zeros_like(t) for v, t, want in given)
        to_g = _Convolve.apply(v_history, v_x, h, ctx.place) + _Convolve.apply(history, x, v_h, ctx.place)
        wanted = list(ctx.needs_input_grad[:3])
        grads = _Gradient.apply(v_history, v_x, v_h, g, wanted, ctx.place)
        return *(grad if want else None for grad, want in zip(grads, wanted, strict=True)), to_g, None, None
