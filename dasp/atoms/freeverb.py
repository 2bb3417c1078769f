"""Freeverb's network: eight damped combs in parallel and four all-passes in series a side."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from dasp.atoms._library import apply, call, native, on_gpu, suffix
from gradients.batching import batched
from gradients.operators import operator

COMBS = (1116, 1188, 1277, 1356, 1422, 1491, 1557, 1617)
ALL_PASSES = (556, 441, 341, 225)
SPREAD = 23
INPUT_GAIN = 0.015


def line_lengths(sample_rate: float, sides: int) -> list[int]:
    """Delays in samples, combs then all-passes, left then right; tuned at 44.1 kHz and scaled with the rate."""
    whole = math.floor(sample_rate)
    if whole * min(ALL_PASSES) < 44100:
        raise ValueError(f"freeverb: sample_rate must be at least {-(-44100 // min(ALL_PASSES))} Hz; got {sample_rate}.")
    return [whole * (n + side * SPREAD) // 44100 for side in range(sides) for n in (*COMBS, *ALL_PASSES)]


def state_size(lengths: list[int]) -> int:
    """How many values a row's state has: the lines and, of each comb, its filter's."""
    return sum(_pieces(lengths))


def freeverb(
    x: Tensor,
    feedback: Tensor,
    damping: Tensor,
    sample_rate: float,
    state: Tensor | None = None,
    input_gain: float = INPUT_GAIN,
) -> tuple[Tensor, Tensor]:
    """The reverberation of each side before it is mixed (Jezar's Freeverb, 2000, as in JUCE and Pedalboard).

    Comb: out = line[n - N], l = (1 - damping) out + damping l', line[n] = in + feedback l. All-pass (Freeverb's approximate one):
    out = b - in with b = line[n - N], line[n] = in + b / 2. Float32 in float32 with the plugin's quantisation;
    the backward pass is the exact adjoint in double. Second derivatives are refused.

    Args:
        x: mono (B, 1, T), or stereo (B, 2, T), whose sum feeds both sides.
        feedback, damping: (B, 1, 1) or (B, 1, T), float64.
        sample_rate: in Hz; the delays follow it.
        state: (B, M) from an earlier call, or None for silence; no gradient flows into it.
        input_gain: in front of the network; 0 shuts it, as a frozen room does.

    Returns:
        wet (B, C, T) and the state after it.
    """
    lengths = line_lengths(sample_rate, x.shape[1])
    gain = x.new_tensor(input_gain)
    feed = (x if x.shape[1] == 1 else x[:, :1] + x[:, 1:]) * gain
    if state is None:
        state = x.new_zeros(len(x), state_size(lengths))
    feedback, damping = torch.broadcast_tensors(feedback.double()[:, 0], damping.double()[:, 0])
    if feedback.shape[0] != len(x) or feedback.shape[1] not in (1, x.shape[2]):
        raise ValueError(
            f"freeverb: feedback and damping must be ({len(x)}, 1, 1 or {x.shape[2]}) for audio {tuple(x.shape)}; "
            f"got {tuple(feedback.unsqueeze(1).shape)}."
        )
    if not native(x):
        return freeverb_reference(feed, feedback, damping, lengths, state)
    return apply(_Freeverb, feed, feedback, damping, state, lengths)


def freeverb_reference(
    feed: Tensor, feedback: Tensor, damping: Tensor, lengths: list[int], state: Tensor
) -> tuple[Tensor, Tensor]:
    """The network in plain torch from its mono feed (B, 1, T): the oracle, and the fallback. float32 is not quantised here."""
    f, d = (p.to(feed.dtype).expand(-1, feed.shape[2]) for p in (feedback, damping))
    sides, per_side = [], len(COMBS) + len(ALL_PASSES)
    memory, stored = list(state.split(_pieces(lengths), 1)), []
    for side in range(len(lengths) // per_side):
        sizes = lengths[side * per_side : (side + 1) * per_side]
        total = torch.zeros_like(feed[:, 0])
        for size in sizes[: len(COMBS)]:
            line, level, out = list(memory.pop(0).unbind(1)), memory.pop(0)[:, 0], []
            for n in range(feed.shape[2]):
                out.append(line[n])
                level = (1 - d[:, n]) * line[n] + d[:, n] * level
                line.append(feed[:, 0, n] + f[:, n] * level)
            total = total + (torch.stack(out, -1) if out else 0)
            stored += [*line[-size:], level]
        for size in sizes[len(COMBS) :]:
            line, out = list(memory.pop(0).unbind(1)), []
            for n in range(feed.shape[2]):
                line.append(total[:, n] + 0.5 * line[n])
                out.append(line[n] - total[:, n])
            total = torch.stack(out, -1) if out else total
            stored += line[-size:]
        sides.append(total)
    return torch.stack(sides, 1), torch.stack(stored, 1).detach()


def _pieces(lengths: list[int]) -> list[int]:
    """Sizes of the state's parts: each comb's line is followed by its filter's value."""
    per_side = len(COMBS) + len(ALL_PASSES)
    return [p for i, n in enumerate(lengths) for p in ((n, 1) if i % per_side < len(COMBS) else (n,))]


@operator("dasp::freeverb")
def _forward(feed: Tensor, feedback: Tensor, damping: Tensor, state: Tensor, lengths: list[int]) -> tuple[Tensor, Tensor]:
    feed, state = feed.contiguous(), state.contiguous()
    f, d = feedback.to(feed.dtype).contiguous(), damping.to(feed.dtype).contiguous()
    sides = len(lengths) // (len(COMBS) + len(ALL_PASSES))
    wet = feed.new_empty(len(feed), sides, feed.shape[2])
    after = torch.empty_like(state)
    call(f"freeverb_{suffix(feed)}", feed, f, d, wet, state, after, torch.tensor(lengths), *wet.shape, f.shape[1])
    return wet, after


@_forward.register_fake
def _(feed: Tensor, feedback: Tensor, damping: Tensor, state: Tensor, lengths: list[int]) -> tuple[Tensor, Tensor]:
    sides = len(lengths) // (len(COMBS) + len(ALL_PASSES))
    return feed.new_empty(feed.shape[0], sides, feed.shape[2]), state.new_empty(state.shape)


@operator("dasp::freeverb_backward")
def _backward(
    g: Tensor, feed: Tensor, feedback: Tensor, damping: Tensor, state: Tensor, lengths: list[int]
) -> tuple[Tensor, Tensor, Tensor]:
    g, feed, state = g.contiguous(), feed.contiguous(), state.contiguous()
    f, d = (p.to(feed.dtype).double().contiguous() for p in (feedback, damping))
    to_feed, to_f, to_d = torch.empty_like(feed), torch.empty_like(f), torch.empty_like(d)
    outputs = to_feed, to_f, to_d, torch.tensor(lengths)
    call(f"freeverb_backward_{suffix(feed)}", g, feed, f, d, state, *outputs, *g.shape, f.shape[1])
    return to_feed, to_f, to_d


@_backward.register_fake
def _(
    g: Tensor, feed: Tensor, feedback: Tensor, damping: Tensor, state: Tensor, lengths: list[int]
) -> tuple[Tensor, Tensor, Tensor]:
    return feed.new_empty(feed.shape), feedback.new_empty(feedback.shape), damping.new_empty(damping.shape)


_forward.register_vmap(batched(_forward))
_backward.register_vmap(batched(_backward))
on_gpu("freeverb", forward=_forward, backward=_backward)


class _Freeverb(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(  # type: ignore[override]
        feed: Tensor, feedback: Tensor, damping: Tensor, state: Tensor, lengths: list[int]
    ) -> tuple[Tensor, Tensor]:
        return _forward(feed, feedback, damping, state, lengths)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: tuple[Tensor, Tensor]) -> None:
        *tensors, ctx.lengths = inputs
        ctx.save_for_backward(*tensors)
        ctx.mark_non_differentiable(output[1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor, _: Tensor) -> tuple:  # type: ignore[override]
        return *_backward(g, *ctx.saved_tensors, ctx.lengths), None, None
