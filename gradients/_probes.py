"""Many probes of a black box, seen through a cotangent: what finite differences and SPSA are made of."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gradients.strategy import Fn, Target

COPIES = 1 << 22
"""Samples of audio that are copied for probes at a time, unless those of a single one are more."""
MOVING = 16
"""Runs that a black box is given at a time where controls vary in time: a run has many numbers, or filters, of its own."""


def rises(
    target: Target,
    black: Fn,
    probes: Callable[[int, int], Tensor],
    count: int,
    x: Tensor,
    y: Tensor,
    g: Tensor,
    aux: dict[str, Tensor],
) -> Tensor:
    """Inner products <black(x, probe) - y, g> of each item's probes, (count, B) float64; memory does not grow with the count.

    Args:
        target: whose `rises` is asked where there is one.
        black: the function.
        probes: probes(start, stop) -> controls (stop - start, B, P) or (stop - start, B, P, frames).
        count: number of probes of each item.
        x, y, g: audio, output at the centre, cotangent.
        aux: further tensors of the function, with the batch first.
    """
    size = count if target.rises is not None else COPIES // max(x.numel(), 1)
    if probes(0, 1).ndim == 4:
        size = min(size, MOVING // max(len(x), 1))
    size = max(size, 1)
    parts = []
    for start in range(0, count, size):
        some = probes(start, min(start + size, count))
        if target.rises is not None:
            parts.append(target.rises(x, some, y, g, **aux))
            continue
        # The difference first: the two large inner products would cancel badly in float32.
        out = black(_copies(x, len(some)), some.flatten(0, 1), **{k: _copies(t, len(some)) for k, t in aux.items()})
        difference = out.unflatten(0, (len(some), -1)) - y
        parts.append((difference * g).flatten(2).sum(-1, dtype=torch.float64))
    return torch.cat(parts)


def _copies(t: Tensor, count: int) -> Tensor:
    return t.repeat(count, *[1] * (t.ndim - 1))
