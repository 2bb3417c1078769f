"""The one autograd.Function: give a function that autograd cannot see a vector-Jacobian product of our choosing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from gradients.batching import batched

Vjp = Callable[..., tuple[Tensor | None, ...]]
"""vjp(x, u, *aux, y=output, g=cotangent, needs=(bool, ...)) -> one gradient or None per tensor input."""


class _Opaque(torch.autograd.Function):
    @staticmethod
    def forward(forward: Callable[..., Tensor], vjp: Vjp, *tensors: Tensor) -> Tensor:  # type: ignore[override]
        with torch.no_grad():
            y = forward(*tensors)
        return y.clone() if any(y is t for t in tensors) else y

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        _, vjp, *tensors = inputs
        ctx.save_for_backward(*tensors, output)
        ctx.vjp = vjp

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple:  # type: ignore[override]
        *tensors, y = ctx.saved_tensors
        return None, None, *ctx.vjp(*tensors, y=y, g=g, needs=ctx.needs_input_grad[2:])

    @staticmethod
    def vmap(info: Any, in_dims: tuple, forward: Callable[..., Tensor], vjp: Vjp, *tensors: Tensor) -> tuple[Tensor, int]:
        return batched(_Opaque.apply)(info, in_dims, forward, vjp, *tensors)


def opaque(view: Callable[..., Tensor], vjp: Vjp, name: str, x: Tensor, u: Tensor, aux: dict[str, Any]) -> Tensor:
    """Run `view(x, u, **aux)` unseen by autograd, with `vjp` as its derivative.

    Every entry of `aux` must be a tensor: only tensors can be inputs of a differentiable function.
    """
    for key, value in aux.items():
        if not isinstance(value, Tensor):
            raise TypeError(
                f"{name}: {key}= goes with gradient='autodiff' only (a black box or proxy keeps no such thing); "
                f"got {type(value).__name__}."
            )
    keys = tuple(aux)

    def forward(x: Tensor, u: Tensor, *rest: Tensor) -> Tensor:
        return view(x, u, **dict(zip(keys, rest, strict=True)))

    return _Opaque.apply(forward, vjp, x, u, *aux.values())
