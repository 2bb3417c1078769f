"""Elementary functions as the plugins call them: the system's float32 libm; and tanh with its derivative."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from dasp.atoms._library import apply, call, native, on_gpu, suffix
from gradients.batching import batched
from gradients.operators import operator

_TORCH = {
    "powf": torch.pow,
    "expf": torch.exp,
    "sinf": torch.sin,
    "cosf": torch.cos,
    "tanf": torch.tan,
    "tanhf": torch.tanh,
    "log10f": torch.log10,
    "tan": torch.tan,
}


def libm(name: str, *args: Tensor) -> Tensor:
    """A function of C's math library, elementwise with broadcasting, without a gradient.

    torch's own vectorised functions differ from it in the last bit of a third of all values.

    Args:
        name: powf (two arguments), expf, sinf, cosf, tanf, tanhf, log10f; or tan.
        *args: float32 tensors; float64 for tan.
    """
    values = [a.detach() for a in torch.broadcast_tensors(*args)]
    if not native(values[0]):
        return _TORCH[name](*values)
    return _power(values[0], values[1]) if name == "powf" else _unary(values[0], name)


@operator("dasp::libm_unary")
def _unary(x: Tensor, name: str) -> Tensor:
    x = x.contiguous()
    y = torch.empty_like(x)
    call(f"libm_{name}", x, y, x.numel())
    return y


@operator("dasp::libm_power")
def _power(x: Tensor, exponent: Tensor) -> Tensor:
    x, exponent = x.contiguous(), exponent.contiguous()
    y = torch.empty_like(x)
    call("libm_powf", x, exponent, y, x.numel())
    return y


@operator("dasp::tanh_forward")
def _tanh_forward(x: Tensor) -> Tensor:
    x = x.contiguous()
    y = torch.empty_like(x)
    call("tanh_f64" if x.dtype == torch.float64 else "libm_tanhf", x, y, x.numel())
    return y


@operator("dasp::tanh_backward")
def _tanh_backward(g: Tensor, x: Tensor) -> Tensor:
    g, x = g.contiguous(), x.contiguous()
    gx = torch.empty_like(x)
    call(f"tanh_backward_{suffix(x)}", g, x, gx, x.numel())
    return gx


for _op in (_unary, _power, _tanh_forward, _tanh_backward):
    _op.register_fake(lambda x, *_: torch.empty_like(x, memory_format=torch.contiguous_format))


@_unary.register_vmap
def _(info: Any, in_dims: tuple, x: Tensor, name: str) -> tuple[Tensor, int]:
    return _unary(x.movedim(in_dims[0], 0), name), 0


@_power.register_vmap
def _(info: Any, in_dims: tuple, x: Tensor, exponent: Tensor) -> tuple[Tensor, int]:
    # libm() broadcasts before, so both have one shape but for the mapped dimension.
    x, exponent = (
        t.expand(info.batch_size, *t.shape) if d is None else t.movedim(d, 0) for t, d in zip((x, exponent), in_dims, strict=True)
    )
    return _power(x, exponent), 0


_tanh_forward.register_vmap(batched(_tanh_forward))
_tanh_backward.register_vmap(batched(_tanh_backward))
on_gpu("libm", unary=_unary, power=_power, tanh_forward=_tanh_forward, tanh_backward=_tanh_backward)


class _Tanh(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:  # type: ignore[override]
        return _tanh_forward(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> Tensor:  # type: ignore[override]
        return _tanh_backward(g, *ctx.saved_tensors)


def tanh(x: Tensor) -> Tensor:
    """Hyperbolic tangent, any shape with a batch first; float32 as libm's tanhf to the bit; the derivative in double,
    1 / cosh^2, which does not cancel near saturation. Second derivatives are refused."""
    return apply(_Tanh, x) if native(x) else tanh_reference(x)


def tanh_reference(x: Tensor) -> Tensor:
    return torch.tanh(x)
