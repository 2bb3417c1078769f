"""The linear ramp with which a plugin glides to a new value of a control."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from dasp.atoms._library import apply, call, native, on_gpu, suffix
from gradients.batching import batched
from gradients.operators import operator


def ramp(target: Tensor, length: int, state: Tensor | None = None, hop: int = 0) -> tuple[Tensor, Tensor | None]:
    """Each new target is reached in `length` equal steps from wherever the value stands; the first one is there at once.

    In the dtype of the target, accumulated step by step as the plugins do. A sample at rest hands its gradient to its own target.
    Second derivatives are refused.

    Args:
        target: (B, C, T), per sample.
        length: samples to a new target, at least 1.
        state: (B, C, 4) from an earlier call (value, target, step, samples left), or None; no gradient flows into it.
        hop: how many samples each target is held for where they vary in time. Then the gradient at rest is the one next to it,
            where every hop starts a ramp; at rest itself the value has no derivative, only one for each direction.

    Returns:
        values (B, C, T) and the state after them (None where there was none and no sample came).
    """
    if target.shape[2] == 0:
        return target, state
    if state is None:
        first = target[..., 0].detach()
        state = torch.stack([first, first, torch.zeros_like(first), torch.zeros_like(first)], -1)
    return apply(_Ramp, target, state, length, hop) if native(target) else ramp_reference(target, length, state, hop)


def glide(target: Tensor, samples: int, length: int, state: dict | None, name: str, hop: int = 0) -> Tensor:
    """A control (B, C, 1 or samples) as `ramp` leads it to each new value; its place is kept in a stream's state under a name.

    One value without a stream is at rest and stays (B, C, 1).
    """
    if state is None and target.shape[2] == 1:
        return target
    values, place = ramp(target.expand(-1, -1, samples), length, None if state is None else state.get(name), hop)
    if state is not None and place is not None:
        state[name] = place
    return values


def ramp_reference(target: Tensor, length: int, state: Tensor, hop: int = 0) -> tuple[Tensor, Tensor]:
    """The same in plain torch: the oracle, and the fallback."""
    value, goal, step, left = state.unbind(-1)
    out, rest = [], torch.zeros_like(value, dtype=torch.bool)
    for n, t in enumerate(target.unbind(-1)):
        rest = (t == goal) & (rest | (left <= 0))
        start = t != goal
        if hop and n >= hop and n % hop == 0:
            start = start | rest
        goal = torch.where(start, t, goal)
        step = torch.where(start, (t - value) / length, step)
        left = torch.where(start, torch.full_like(left, length), left)
        moving = left > 0
        left = torch.where(moving, left - 1, left)
        value = torch.where(moving, torch.where(left > 0, value + step, goal), t)
        out.append(value)
    return torch.stack(out, -1), torch.stack([value, goal, step, left.where(~rest, 0.0)], -1).detach()


@operator("dasp::ramp")
def _forward(target: Tensor, state: Tensor, length: int) -> tuple[Tensor, Tensor]:
    target, state = target.contiguous(), state.clone(memory_format=torch.contiguous_format)
    y = torch.empty_like(target)
    call(f"ramp_{suffix(target)}", target, y, state, target.shape[0] * target.shape[1], target.shape[2], length)
    return y, state


@_forward.register_fake
def _(target: Tensor, state: Tensor, length: int) -> tuple[Tensor, Tensor]:
    return target.new_empty(target.shape), state.new_empty(state.shape)


@operator("dasp::ramp_backward")
def _backward(g: Tensor, target: Tensor, state: Tensor, length: int, hop: int) -> Tensor:
    g, target, state = g.contiguous(), target.contiguous(), state.contiguous()
    gt, rows = torch.empty_like(target), target.shape[0] * target.shape[1]
    call(f"ramp_backward_{suffix(target)}", g, target, state, gt, rows, target.shape[2], length, hop)
    return gt


@_backward.register_fake
def _(g: Tensor, target: Tensor, state: Tensor, length: int, hop: int) -> Tensor:
    return target.new_empty(target.shape)


_forward.register_vmap(batched(_forward))
_backward.register_vmap(batched(_backward))
on_gpu("ramp", forward=_forward, backward=_backward)


class _Ramp(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(target: Tensor, state: Tensor, length: int, hop: int) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        return _forward(target, state, length)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: tuple[Tensor, Tensor]) -> None:
        target, state, ctx.length, ctx.hop = inputs
        ctx.save_for_backward(target, state)
        ctx.mark_non_differentiable(output[1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor, _: Tensor) -> tuple[Tensor, None, None, None]:  # type: ignore[override]
        return _backward(g, *ctx.saved_tensors, ctx.length, ctx.hop), None, None, None
