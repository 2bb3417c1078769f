"""Linear recurrences of order one and two, with constant or per-sample coefficients."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dasp.atoms._library import apply, call, compiled, native, on_gpu, suffix
from dasp.atoms.memory import fresh, in_huge_pages
from gradients.batching import batched
from gradients.operators import operator


def one_pole(x: Tensor, a: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """y[n] = x[n] + a[n] y[n-1].

    The recursion is double for all audio and rounded once, at the output. The gradients of x, a and the state are exact; the
    adjoint is the same recurrence in reversed time, so there are derivatives of every order.

    Args:
        x: audio (B, C, T).
        a: coefficients (B, 1, 1), (B, 1, T) or (B, C, T), float32 or float64.
        state: (B, C, 1), y[-1], from an earlier call, float64, or None for 0.

    Returns:
        audio (B, C, T) and the state after it, to which no gradient is known.
    """
    return _recurrence("one_pole", x, [a], state)


def two_pole(x: Tensor, a1: Tensor, a2: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """y[n] = x[n] - a1[n] y[n-1] - a2[n] y[n-2], the all-pole part of a second-order section; otherwise as `one_pole`.

    Args:
        x: audio (B, C, T).
        a1, a2: coefficients (B, 1, 1), (B, 1, T) or (B, C, T), float32 or float64.
        state: (B, C, 2), y[-1] and y[-2], from an earlier call, float64, or None for 0.
    """
    return _recurrence("two_pole", x, [a1, a2], state)


def _recurrence(name: str, x: Tensor, a: list[Tensor], state: Tensor | None) -> tuple[Tensor, Tensor]:
    batch, channels, samples = x.shape
    for t in a:
        if t.shape not in ((batch, 1, 1), (batch, 1, samples), (batch, channels, samples)):
            raise ValueError(
                f"{name}: coefficients must be ({batch}, 1, 1), ({batch}, 1, {samples}) or {tuple(x.shape)} for audio "
                f"{tuple(x.shape)}; got {tuple(t.shape)}."
            )
    if len(a) == 2:
        dtype = torch.promote_types(a[0].dtype, a[1].dtype)
        a = list(torch.broadcast_tensors(*(t.to(dtype) for t in a)))
    if state is None:
        state = x.new_zeros(batch, channels, len(a), dtype=torch.float64)
    if native(x):
        return apply(_Recurrence, x, a[0], a[1] if len(a) == 2 else None, state.double(), False)
    return recurrence_reference(x, a, state)


def recurrence_reference(x: Tensor, a: list[Tensor], state: Tensor) -> tuple[Tensor, Tensor]:
    """Both in plain torch, one sample after the other: the oracle, and the fallback."""
    first, *second = (t.double().expand(-1, -1, x.shape[2]) for t in a)
    memory, out = list(state.double().unbind(-1)), []
    for n in range(x.shape[2]):
        earlier = -second[0][..., n] * memory[1] - first[..., n] * memory[0] if second else first[..., n] * memory[0]
        v = x[..., n].double() + earlier
        memory = [v, *memory][: len(memory)]
        out.append(v)
    return torch.stack(out, -1).to(x.dtype) if out else x, torch.stack(memory, -1).detach()


@operator("dasp::recurrence")
def _run(x: Tensor, a1: Tensor, a2: Tensor | None, state: Tensor, reverse: bool) -> tuple[Tensor, Tensor]:
    """Of order 1, or 2 where there is an a2; in reversed time, as the kernel has it, the adjoint with respect to x."""
    x, a1, state = x.contiguous(), a1.contiguous(), state.clone(memory_format=torch.contiguous_format)
    y = fresh(x)
    poles = (a1,) if a2 is None else (a1, a2.contiguous())
    name = "one_pole" if a2 is None else "two_pole"
    call(f"{name}_{suffix(x)}_{suffix(a1)}", x, *poles, y, state, *x.shape, *a1.shape[1:], int(reverse))
    return y, state


@_run.register_fake
def _(x: Tensor, a1: Tensor, a2: Tensor | None, state: Tensor, reverse: bool) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape), state.new_empty(state.shape)


@operator("dasp::recurrence_backward")
def _run_back(g: Tensor, a1: Tensor, a2: Tensor | None, y: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The adjoint in one pass over the data: gradients of x (B, C, T), a1 and a2 (B, C, 1 or T; the last empty without an a2)."""
    g, a1, y, state = g.contiguous(), a1.contiguous(), y.contiguous(), state.contiguous()
    gx, to1 = fresh(g), in_huge_pages(a1.new_empty(*g.shape[:2], a1.shape[2]))
    to2 = a1.new_empty(len(g), 0) if a2 is None else fresh(to1)
    late = () if a2 is None else (a2.contiguous(),)
    name = "one_pole" if a2 is None else "two_pole"
    outputs = (gx, to1) if a2 is None else (gx, to1, to2)
    call(f"{name}_backward_{suffix(g)}_{suffix(a1)}", g, a1, *late, y, state, *outputs, *g.shape, *a1.shape[1:])
    return gx, to1, to2


@_run_back.register_fake
def _(g: Tensor, a1: Tensor, a2: Tensor | None, y: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    to1 = a1.new_empty(*g.shape[:2], a1.shape[2])
    return g.new_empty(g.shape), to1, a1.new_empty(len(g), 0) if a2 is None else torch.empty_like(to1)


for _op in (_run, _run_back):
    _op.register_vmap(batched(_op))
on_gpu("recurrence", run=_run)


class _Recurrence(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(  # type: ignore[override]
        x: Tensor, a1: Tensor, a2: Tensor | None, state: Tensor, reverse: bool
    ) -> tuple[Tensor, Tensor]:
        return _run(x, a1, a2, state, reverse)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: tuple[Tensor, Tensor]) -> None:
        _, a1, a2, state, ctx.reverse = inputs
        ctx.save_for_backward(a1, a2, state, output[0])
        ctx.mark_non_differentiable(output[1])

    @staticmethod
    def backward(ctx: Any, g: Tensor, _: Tensor) -> tuple:  # type: ignore[override]
        a1, a2, state, y = ctx.saved_tensors
        need = ctx.needs_input_grad
        sign = 1 if a2 is None else -1
        if compiled(g) and need[1] and not ctx.reverse and not torch.is_grad_enabled():  # nobody will differentiate this
            back, to1, to2 = _run_back(g, a1, a2, y, state)
            second = None if a2 is None else to2.sum_to_size(a2.shape)
            return back, to1.sum_to_size(a1.shape), second, sign * _to_state(back, a1, a2, state) if need[3] else None, None
        back, _ = _Recurrence.apply(g, a1, a2, torch.zeros_like(state), not ctx.reverse)
        gradients: list[Tensor | None] = [back, None, None, None, None]
        for late, a in ((1, a1), (2, a2)):
            if a is not None and need[late]:
                gradients[late] = sign * _to_shape(a, _products(back, y, state, late, ctx.reverse))
        if need[3]:
            gradients[3] = sign * _to_state(back, a1, a2, state)
        return tuple(gradients)


def _products(back: Tensor, y: Tensor, state: Tensor, late: int, reverse: bool) -> Tensor:
    """What a coefficient weighted in each sample, times the gradient there."""
    count = y.shape[2]
    if reverse:
        early, now = back[..., : max(count - late, 0)], y[..., late:]
        return torch.cat([torch.zeros_like(y[..., :late]), early * now], 2)
    before = state[..., :late].flip(-1).to(y.dtype)
    return back * torch.cat([before, y], 2)[..., :count]


def _to_shape(a: Tensor, products: Tensor) -> Tensor:
    if a.shape[2] == 1:
        products = products.sum(2, keepdim=True, dtype=torch.float64)
    if a.shape[1] == 1:
        products = products.sum(1, keepdim=True)
    return products.to(a.dtype)


def _to_state(back: Tensor, a1: Tensor, a2: Tensor | None, state: Tensor) -> Tensor:
    """y[-1] acts on the first sample, and on the second where there are two; y[-2] on the first."""
    if a2 is None:
        return (a1[..., :1] * back[..., :1]).to(state.dtype)
    later = a2[..., 1:2] if a2.shape[2] > 1 else a2
    second = (later * back[..., 1:2]).sum(2, keepdim=True)
    return torch.cat([a1[..., :1] * back[..., :1] + second, a2[..., :1] * back[..., :1]], 2).to(state.dtype)
