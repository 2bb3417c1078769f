"""The level follower of dynamics effects, and their static gain curve."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from dasp.atoms._library import apply, call, native, on_gpu, suffix
from gradients.batching import batched
from gradients.operators import operator


def ballistics(v: Tensor, attack: Tensor, release: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Branching one-pole follower: r[n] = v + c (r[n-1] - v), c = attack where v[n] > r[n-1], else release.

    Float32 in float32 in the plugins' order; the backward pass is the exact adjoint in double. Second derivatives are refused.

    Args:
        v: detector input (B, C, T).
        attack, release: poles (B, 1, K) in [0, 1), float64, K = 1 or T.
        state: (B, C, 1) from an earlier call, or None for 0; no gradient flows into it.

    Returns:
        level (B, C, T) and the state after it.
    """
    attack, release = _parameters("ballistics", v, attack, release)
    if state is None:
        state = v.new_zeros(*v.shape[:2], 1)
    return apply(_Ballistics, v, attack, release, state) if native(v) else ballistics_reference(v, attack, release, state)


def follow(v: Tensor, attack: Tensor, release: Tensor, state: dict | None, name: str) -> Tensor:
    """The level alone; its memory is kept in a stream's state under a name."""
    memory = {} if state is None else state
    level, memory[name] = ballistics(v, attack, release, memory.get(name))
    return level


def ballistics_reference(v: Tensor, attack: Tensor, release: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The same in plain torch: the oracle, and the fallback."""
    attack, release = (c.to(v.dtype).expand(-1, -1, v.shape[2]) for c in (attack, release))
    r = v.new_zeros(v.shape[:2]) if state is None else state[..., 0]
    out = []
    for n in range(v.shape[2]):
        c = torch.where(v[..., n] > r, attack[..., n], release[..., n])
        r = v[..., n] + c * (r - v[..., n])
        out.append(r)
    return torch.stack(out, -1) if out else v, r[..., None].detach()


def gain_curve(r: Tensor, threshold: Tensor, exponent: Tensor, below: bool = False) -> Tensor:
    """g = 1 where r < threshold, else (r / threshold)^exponent; the exponent is 1 / ratio - 1 in a compressor.

    Args:
        r: level (B, C, T), not negative.
        threshold: linear (B, 1, K), above 0, float64, K = 1 or T.
        exponent: (B, 1, K), float64.
        below: the other side, for a gate: g = 1 where r > threshold, else the power; the exponent is ratio - 1. At r = 0, where
            the power's slope may be infinite, the derivatives are 0.
    """
    threshold, exponent = _parameters("gain_curve", r, threshold, exponent)
    return apply(_GainCurve, r, threshold, exponent, below) if native(r) else gain_curve_reference(r, threshold, exponent, below)


def gain_curve_reference(r: Tensor, threshold: Tensor, exponent: Tensor, below: bool = False) -> Tensor:
    """The same in plain torch: the oracle, and the fallback."""
    threshold, exponent = threshold.to(r.dtype), exponent.to(r.dtype)
    acts = ((r <= threshold) if below else (r >= threshold)) & (r > 0)
    # Elsewhere the base is replaced before the power: a gradient through an unused branch may be NaN.
    power = torch.where(acts, r * (1 / threshold), 1.0) ** exponent
    at_zero = (exponent == 0).to(r.dtype) if below else 1.0
    return torch.where(acts, power, torch.where(r > 0, 1.0, at_zero))


def _parameters(name: str, x: Tensor, *values: Tensor) -> list[Tensor]:
    values = torch.broadcast_tensors(*(v.double() for v in values))
    for v in values:
        if v.ndim != 3 or v.shape[:2] != (x.shape[0], 1) or v.shape[2] not in (1, x.shape[2]):
            raise ValueError(
                f"{name}: parameters must be ({x.shape[0]}, 1, 1 or {x.shape[2]}) for audio {tuple(x.shape)}; "
                f"got {tuple(v.shape)}."
            )
    return list(values)


@operator("dasp::ballistics")
def _forward(v: Tensor, attack: Tensor, release: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    v, state = v.contiguous(), state.clone(memory_format=torch.contiguous_format)
    a, b = attack.to(v.dtype).contiguous(), release.to(v.dtype).contiguous()
    r = torch.empty_like(v)
    call(f"ballistics_{suffix(v)}", v, a, b, r, state, *v.shape, attack.shape[2])
    return r, state


@_forward.register_fake
def _(v: Tensor, attack: Tensor, release: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    return v.new_empty(v.shape), state.new_empty(state.shape)


@operator("dasp::ballistics_backward")
def _backward(g: Tensor, v: Tensor, attack: Tensor, release: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    g, v, state = g.contiguous(), v.contiguous(), state.contiguous()
    a, b = (c.to(v.dtype).double().contiguous() for c in (attack, release))
    gv = torch.empty_like(v)
    ga, gb = (a.new_zeros(*v.shape[:2], a.shape[2]) for _ in range(2))
    call(f"ballistics_backward_{suffix(v)}", g, v, a, b, state, gv, ga, gb, *v.shape, a.shape[2])
    return gv, ga.sum(1, keepdim=True), gb.sum(1, keepdim=True)


@_backward.register_fake
def _(g: Tensor, v: Tensor, attack: Tensor, release: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return v.new_empty(v.shape), attack.new_empty(attack.shape), release.new_empty(release.shape)


@operator("dasp::gain_curve")
def _curve(r: Tensor, threshold: Tensor, exponent: Tensor, below: bool) -> Tensor:
    r = r.contiguous()
    t, e = threshold.to(r.dtype).contiguous(), exponent.to(r.dtype).contiguous()
    g = torch.empty_like(r)
    call(f"gain_curve_{suffix(r)}", r, t, e, g, int(below), *r.shape, t.shape[2])
    return g


@_curve.register_fake
def _(r: Tensor, threshold: Tensor, exponent: Tensor, below: bool) -> Tensor:
    return r.new_empty(r.shape)


@operator("dasp::gain_curve_backward")
def _curve_backward(
    grad: Tensor, r: Tensor, g: Tensor, threshold: Tensor, exponent: Tensor, below: bool
) -> tuple[Tensor, Tensor, Tensor]:
    grad, r, g = grad.contiguous(), r.contiguous(), g.contiguous()
    t, e = (p.to(r.dtype).double().contiguous() for p in (threshold, exponent))
    gr = torch.empty_like(r)
    gt, ge = (t.new_zeros(*r.shape[:2], t.shape[2]) for _ in range(2))
    call(f"gain_curve_backward_{suffix(r)}", grad, r, g, t, e, gr, gt, ge, int(below), *r.shape, t.shape[2])
    return gr, gt.sum(1, keepdim=True), ge.sum(1, keepdim=True)


@_curve_backward.register_fake
def _(grad: Tensor, r: Tensor, g: Tensor, threshold: Tensor, exponent: Tensor, below: bool) -> tuple[Tensor, Tensor, Tensor]:
    return r.new_empty(r.shape), threshold.new_empty(threshold.shape), exponent.new_empty(exponent.shape)


for _op in (_forward, _backward, _curve, _curve_backward):
    _op.register_vmap(batched(_op))
on_gpu("ballistics", forward=_forward, backward=_backward, curve=_curve, curve_backward=_curve_backward)


class _Ballistics(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(v: Tensor, attack: Tensor, release: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        return _forward(v, attack, release, state)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: tuple[Tensor, Tensor]) -> None:
        ctx.save_for_backward(*inputs)
        ctx.mark_non_differentiable(output[1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor, _: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:  # type: ignore[override]
        return *_backward(g, *ctx.saved_tensors), None


class _GainCurve(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(r: Tensor, threshold: Tensor, exponent: Tensor, below: bool) -> Tensor:  # type: ignore[override]
        return _curve(r, threshold, exponent, below)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        r, threshold, exponent, ctx.below = inputs
        ctx.save_for_backward(r, output, threshold, exponent)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:  # type: ignore[override]
        return *_curve_backward(grad, *ctx.saved_tensors, ctx.below), None
