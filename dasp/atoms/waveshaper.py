"""Curves without memory, a parameter in front of them; and the sum of two signals with a gain each. One pass over memory."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from dasp.atoms._library import apply, call, compiled, suffix
from dasp.atoms.memory import fresh
from gradients.batching import batched
from gradients.operators import operator

Curve = Literal["gain", "tanh", "clip", "round"]
_CURVES: tuple[Curve, ...] = ("gain", "tanh", "clip", "round")


def shape(x: Tensor, parameter: Tensor, curve: Curve) -> Tensor:
    """gain: a x;  tanh: tanh(a x);  clip: x held within -a and a;  round: a x to the nearest whole number, halves to even, / a.

    Float32 in float32, tanh as libm's tanhf to the bit; the backward pass is exact in double. A staircase has no derivative of
    use: that of `round` is 1 in x (straight through), and (x - y) / a in a, the error of rounding held in steps of 1 / a. Second
    derivatives are refused but for `gain`.

    Args:
        x: audio (B, C, T).
        parameter: a, (B, 1, K), K = 1 or T; above 0 but for `gain`.
        curve: which.

    Returns:
        audio (B, C, T).
    """
    _check("shape", x, parameter=parameter)
    kind = _CURVES.index(curve)
    if not compiled(x):
        return shape_reference(x, parameter, curve)
    return apply(_Shape, x, parameter, kind)


def blend(x: Tensor, other: Tensor, gain: Tensor, other_gain: Tensor) -> Tensor:
    """gain x + other_gain other: dry and wet.

    Float32 in float32; the backward pass in double. Second derivatives are refused.

    Args:
        x, other: audio (B, C, T).
        gain, other_gain: (B, 1, K), K = 1 or T.
    """
    _check("blend", x, gain=gain, other_gain=other_gain)
    if not compiled(x):
        return blend_reference(x, other, gain, other_gain)
    return apply(_Blend, x, other, gain, other_gain)


def _check(name: str, x: Tensor, **parameters: Tensor) -> None:
    for which, v in parameters.items():
        if v.ndim != 3 or v.shape[:2] != (x.shape[0], 1) or v.shape[2] not in (1, x.shape[2]):
            raise ValueError(
                f"{name}: {which} must be ({x.shape[0]}, 1, 1 or {x.shape[2]}) for audio {tuple(x.shape)}; got {tuple(v.shape)}."
            )


def shape_reference(x: Tensor, parameter: Tensor, curve: Curve) -> Tensor:
    """The same in plain torch: the oracle, and the fallback."""
    a = parameter.to(x.dtype)
    if curve == "gain":
        return x * a
    if curve == "tanh":
        return torch.tanh(x * a)
    if curve == "clip":
        return torch.clamp(x, -a, a)
    y = (torch.round(x * a) * (1 / a)).detach()
    return y + (x - x.detach()) + (a - a.detach()) * ((x - y) / a).detach()


def blend_reference(x: Tensor, other: Tensor, gain: Tensor, other_gain: Tensor) -> Tensor:
    """The same in plain torch: the oracle, and the fallback."""
    return gain.to(x.dtype) * x + other_gain.to(x.dtype) * other


@operator("dasp::shape")
def _forward(x: Tensor, parameter: Tensor, curve: int) -> Tensor:
    x, a = x.contiguous(), parameter.to(x.dtype).contiguous()
    y = fresh(x)
    call(f"shape_{suffix(x)}", x, a, y, *x.shape, a.shape[2], curve)
    return y


@_forward.register_fake
def _(x: Tensor, parameter: Tensor, curve: int) -> Tensor:
    return x.new_empty(x.shape)


@operator("dasp::shape_backward")
def _backward(g: Tensor, x: Tensor, parameter: Tensor, curve: int) -> tuple[Tensor, Tensor]:
    g, x, a = g.contiguous(), x.contiguous(), parameter.to(x.dtype).contiguous()
    gx, ga = fresh(x), torch.zeros(*x.shape[:2], a.shape[2], dtype=torch.float64)
    call(f"shape_backward_{suffix(x)}", g, x, a, gx, ga, *x.shape, a.shape[2], curve)
    return gx, ga.sum(1, keepdim=True)


@_backward.register_fake
def _(g: Tensor, x: Tensor, parameter: Tensor, curve: int) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape), parameter.new_empty(parameter.shape, dtype=torch.float64)


@operator("dasp::blend")
def _blend(x: Tensor, other: Tensor, gain: Tensor, other_gain: Tensor) -> Tensor:
    x, w = x.contiguous(), other.contiguous()
    a, b = (v.to(x.dtype).contiguous() for v in (gain, other_gain))
    y = fresh(x)
    call(f"blend_{suffix(x)}", x, w, a, b, y, *x.shape, a.shape[2], b.shape[2])
    return y


@_blend.register_fake
def _(x: Tensor, other: Tensor, gain: Tensor, other_gain: Tensor) -> Tensor:
    return x.new_empty(x.shape)


@operator("dasp::blend_backward")
def _blend_backward(
    g: Tensor, x: Tensor, other: Tensor, gain: Tensor, other_gain: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    g, x, w = g.contiguous(), x.contiguous(), other.contiguous()
    a, b = (v.to(x.dtype).contiguous() for v in (gain, other_gain))
    gx, gw = fresh(x), fresh(x)
    ga, gb = (torch.zeros(*x.shape[:2], v.shape[2], dtype=torch.float64) for v in (a, b))
    call(f"blend_backward_{suffix(x)}", g, x, w, a, b, gx, gw, ga, gb, *x.shape, a.shape[2], b.shape[2])
    return gx, gw, ga.sum(1, keepdim=True), gb.sum(1, keepdim=True)


@_blend_backward.register_fake
def _(g: Tensor, x: Tensor, other: Tensor, gain: Tensor, other_gain: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    ga, gb = (v.new_empty(v.shape, dtype=torch.float64) for v in (gain, other_gain))
    return x.new_empty(x.shape), x.new_empty(x.shape), ga, gb


for _op in (_forward, _backward, _blend, _blend_backward):
    _op.register_vmap(batched(_op))


class _Shape(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, parameter: Tensor, curve: int) -> Tensor:  # type: ignore[override]
        return _forward(x, parameter, curve)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        *tensors, ctx.curve = inputs
        ctx.save_for_backward(*tensors)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, Tensor, None]:  # type: ignore[override]
        x, parameter = ctx.saved_tensors
        if ctx.curve == 0 and torch.is_grad_enabled():  # linear in each: its derivatives are gains and products again
            product = (g * x).double().sum(1, keepdim=True)
            gp = product if parameter.shape[2] > 1 else product.sum(2, keepdim=True)
            return _Shape.apply(g, parameter, 0), gp.to(parameter.dtype), None
        return _shape_gradients(ctx, g)


@once_differentiable
def _shape_gradients(ctx: Any, g: Tensor) -> tuple[Tensor, Tensor, None]:
    x, parameter = ctx.saved_tensors
    gx, gp = _backward(g, x, parameter, ctx.curve)
    return gx, gp.to(parameter.dtype), None


class _Blend(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, other: Tensor, gain: Tensor, other_gain: Tensor) -> Tensor:  # type: ignore[override]
        return _blend(x, other, gain, other_gain)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]
        x, other, gain, other_gain = ctx.saved_tensors
        gx, gw, ga, gb = _blend_backward(g, x, other, gain, other_gain)
        return gx, gw, ga.to(gain.dtype), gb.to(other_gain.dtype)
