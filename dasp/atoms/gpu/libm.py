"""Elementary functions in double, rounded once: within two units in the last place of C's float32 ones."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from dasp.atoms.gpu._launch import elements, launch_tiles, tanh, tanh_slope
from dasp.atoms.libm import _TORCH


def unary(x: Tensor, name: str) -> Tensor:
    return _TORCH[name](x.double()).to(x.dtype).contiguous()


def power(x: Tensor, exponent: Tensor) -> Tensor:
    return torch.pow(x.double(), exponent.double()).to(x.dtype).contiguous()


@triton.jit
def _tanh(x, y, samples, tiles, TILE: tl.constexpr):
    _, n, inside = elements(samples, tiles, TILE)
    tl.store(y + n, tanh(tl.load(x + n, inside, 0.0).to(tl.float64)), inside)


@triton.jit
def _tanh_adjoint(g, x, gx, samples, tiles, TILE: tl.constexpr):
    _, n, inside = elements(samples, tiles, TILE)
    slope = tanh_slope(tl.load(x + n, inside, 0.0).to(tl.float64))
    tl.store(gx + n, tl.load(g + n, inside, 0.0).to(tl.float64) * slope, inside)


def tanh_forward(x: Tensor) -> Tensor:
    x = x.contiguous()
    y = torch.empty_like(x)
    launch_tiles(_tanh, 1, x.numel(), x, y, x.numel())
    return y


def tanh_backward(g: Tensor, x: Tensor) -> Tensor:
    g, x = g.contiguous(), x.contiguous()
    gx = torch.empty_like(x)
    launch_tiles(_tanh_adjoint, 1, x.numel(), g, x, gx, x.numel())
    return gx
