"""The mean of tanh between two values, one value at a time, in double."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from dasp.atoms.antialias import _NEAR, _NODES, _WEIGHTS
from dasp.atoms.gpu._launch import elements, launch_tiles, tanh, tanh_slope


@triton.jit
def _log_cosh(z):
    size = tl.abs(z)
    return size + tl.log(1.0 + tl.exp(-2.0 * size)) - 0.69314718055994530942


@triton.jit
def _mean_tanh(a, b, NODES: tl.constexpr, WEIGHTS: tl.constexpr, NEAR: tl.constexpr):
    step = b - a
    near = tl.abs(step) < NEAR
    far = (_log_cosh(b) - _log_cosh(a)) / tl.where(near, 1.0, step)
    total = step * 0.0
    for i in tl.static_range(4):
        total += WEIGHTS[i] * tanh(a + NODES[i] * step)
    return tl.where(step == 0, tanh(a), tl.where(near, total, far))


@triton.jit
def _forward(a, b, y, samples, tiles, NODES: tl.constexpr, WEIGHTS: tl.constexpr, NEAR: tl.constexpr, TILE: tl.constexpr):
    _, n, inside = elements(samples, tiles, TILE)
    p, q = tl.load(a + n, inside, 0.0), tl.load(b + n, inside, 0.0)
    tl.store(y + n, _mean_tanh(p, q, NODES, WEIGHTS, NEAR), inside)


@triton.jit
def _adjoint(g, a, b, ga, gb, samples, tiles, NODES: tl.constexpr, WEIGHTS: tl.constexpr, NEAR: tl.constexpr, TILE: tl.constexpr):
    _, n, inside = elements(samples, tiles, TILE)
    p, q = tl.load(a + n, inside, 0.0), tl.load(b + n, inside, 0.0)
    grad = tl.load(g + n, inside, 0.0)
    step = q - p
    near = tl.abs(step) < NEAR
    safe = tl.where(near, 1.0, step)
    mean = _mean_tanh(p, q, NODES, WEIGHTS, NEAR)
    near_p = step * 0.0
    near_q = near_p
    for i in tl.static_range(4):
        slope = WEIGHTS[i] * tanh_slope(p + NODES[i] * step)
        near_p += (1.0 - NODES[i]) * slope
        near_q += NODES[i] * slope
    tl.store(ga + n, grad * tl.where(near, near_p, (mean - tanh(p)) / safe), inside)
    tl.store(gb + n, grad * tl.where(near, near_q, (tanh(q) - mean) / safe), inside)


_CONSTANTS = {"NODES": _NODES, "WEIGHTS": _WEIGHTS, "NEAR": _NEAR}


def forward(a: Tensor, b: Tensor) -> Tensor:
    a, b = a.contiguous(), b.contiguous()
    y = torch.empty_like(a)
    launch_tiles(_forward, 1, a.numel(), a, b, y, a.numel(), **_CONSTANTS)
    return y


def backward(g: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    g, a, b = g.contiguous(), a.contiguous(), b.contiguous()
    ga, gb = torch.empty_like(a), torch.empty_like(b)
    launch_tiles(_adjoint, 1, a.numel(), g, a, b, ga, gb, a.numel(), **_CONSTANTS)
    return ga, gb
