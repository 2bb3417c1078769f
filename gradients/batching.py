"""vmap for functions that work on a batch already: the mapped dimension joins the batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor


def fold(size: int, t: Tensor, dim: int | None) -> Tensor:
    """A tensor under vmap -> its mapped dimension merged into the batch (dim 0); unmapped ones repeat."""
    t = t.expand(size, *t.shape) if dim is None else t.movedim(dim, 0)
    return t.flatten(0, 1)


def _folded(size: int, a: Any, d: Any) -> Any:
    if isinstance(a, list | tuple):
        return [_folded(size, *pair) for pair in zip(a, d, strict=True)]
    return fold(size, a, d) if isinstance(a, Tensor) else a


def batched(function: Callable[..., Any]) -> Callable[..., tuple[Any, Any]]:
    """The vmap rule, in the form of torch.library and torch.autograd.Function, of a function whose tensors all have the batch
    first; lists of tensors are taken, too."""

    def rule(info: Any, in_dims: tuple, *args: Any) -> tuple[Any, Any]:
        size = info.batch_size
        out = function(*_folded(size, args, in_dims))
        if isinstance(out, Tensor):
            return out.unflatten(0, (size, -1)), 0
        return tuple(t.unflatten(0, (size, -1)) for t in out), tuple(0 for _ in out)

    return rule
