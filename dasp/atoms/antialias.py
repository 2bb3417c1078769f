"""Waveshapers antialiased by their antiderivatives, first order.

J. Parker, V. Zavalishin, E. Le Bivic: Reducing the aliasing of nonlinear waveshaping using continuous-time convolution, DAFx
2016; S. Bilbao, F. Esqueda, J. Parker, V. Valimaki: Antiderivative antialiasing for memoryless nonlinearities, IEEE SPL 24(7),
2017. The line between two samples is shaped in continuous time and its mean over the step is the output:

    y[n] = mean of f between z[n-1] and z[n] = (F(z[n]) - F(z[n-1])) / (z[n] - z[n-1]),   F' = f

The mean over a step is a low-pass in front of the sampler, sinc(f / fs) in the spectrum: images that fold to low frequencies lie
near multiples of fs, where it is 0; those that fold to just below fs/2 hardly fall, since they come from just above it. It delays
by half a sample, and what is not distorted falls as cos(pi f / fs).

The quotient is 0 / 0 where the signal stands still. Each mean here is computed without cancelling, with smooth gradients.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from dasp.atoms._library import apply, call, native, on_gpu
from gradients.batching import batched
from gradients.operators import operator

# Gauss-Legendre with four points on [0, 1]: within 1e-13 of the mean of tanh over a step below _NEAR.
_NODES = (0.06943184420297371, 0.33000947820757187, 0.66999052179242813, 0.93056815579702629)
_WEIGHTS = (0.17392742256872693, 0.32607257743127307, 0.32607257743127307, 0.17392742256872693)
_NEAR = 0.1


def antialiased(mean: Callable[[Tensor, Tensor], Tensor], z: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
    """Shape a signal.

    Args:
        mean: the shaper's mean between two values, `mean_tanh` or `mean_clip`.
        z: what is shaped, gain and bias included, (B, C, T), float64: steep curves magnify rounding.
        before: the value before the first, (B, C, 1).

    Returns:
        (B, C, T), and the last value, (B, C, 1): `before` of the next block; no gradient flows through it.
    """
    line = torch.cat([before, z], dim=2)
    return mean(line[..., :-1], z), line[..., -1:].detach()


def mean_tanh(a: Tensor, b: Tensor) -> Tensor:
    """Mean of tanh between a and b, float64, of one shape with a batch first. Second derivatives are refused.

    By the antiderivative log cosh, and by quadrature where a and b are close.
    """
    return apply(_MeanTanh, a, b) if native(a) else mean_tanh_reference(a, b)


def mean_tanh_reference(a: Tensor, b: Tensor) -> Tensor:
    """The same in plain torch: the oracle, and the fallback."""
    step = b - a
    near = step.abs() < _NEAR
    quotient = (_log_cosh(b) - _log_cosh(a)) / torch.where(near, 1.0, step)
    points = torch.stack([w * torch.tanh(a + t * step) for t, w in zip(_NODES, _WEIGHTS, strict=True)])
    return torch.where(near, points.sum(0), quotient)


def _log_cosh(z: Tensor) -> Tensor:
    size = z.abs()
    return size + torch.nn.functional.softplus(-2 * size) - math.log(2)


def mean_clip(a: Tensor, b: Tensor) -> Tensor:
    """Mean of min(max(z, -1), 1) between a and b: of z, less the mean of a ramp beyond 1 and of one beyond -1."""
    return (a + b) / 2 - _mean_ramp(a - 1, b - 1) + _mean_ramp(-1 - a, -1 - b)


def _mean_ramp(a: Tensor, b: Tensor) -> Tensor:
    """Mean of max(z, 0) between a and b."""
    crosses = (a > 0) != (b > 0)
    above = torch.relu(a) + torch.relu(b)
    # Where the line crosses 0 one of the two is 0 and the other no longer than the step: never 0 / 0.
    triangle = above**2 / (2 * torch.where(crosses, b - a, 1.0).abs())
    return torch.where(crosses, triangle, above / 2)


@operator("dasp::mean_tanh")
def _forward(a: Tensor, b: Tensor) -> Tensor:
    a, b = a.contiguous(), b.contiguous()
    y = torch.empty_like(a)
    call("mean_tanh_f64", a, b, y, a.numel())
    return y


@_forward.register_fake
def _(a: Tensor, b: Tensor) -> Tensor:
    return a.new_empty(a.shape)


@operator("dasp::mean_tanh_backward")
def _backward(g: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    g, a, b = g.contiguous(), a.contiguous(), b.contiguous()
    ga, gb = torch.empty_like(a), torch.empty_like(b)
    call("mean_tanh_backward_f64", g, a, b, ga, gb, a.numel())
    return ga, gb


@_backward.register_fake
def _(g: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    return a.new_empty(a.shape), b.new_empty(b.shape)


for _op in (_forward, _backward):
    _op.register_vmap(batched(_op))
on_gpu("antialias", forward=_forward, backward=_backward)


class _MeanTanh(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(a: Tensor, b: Tensor) -> Tensor:  # type: ignore[override]
        return _forward(a, b)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        return _backward(g, *ctx.saved_tensors)
