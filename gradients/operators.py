"""Operators of torch: opaque to autograd and the compiler, with a shape rule and a vmap rule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch


class Operator:
    """What torch.library.custom_op makes, by the interface beneath it: that one imports the compiler at its first call, which
    takes seconds."""

    def __init__(self, name: str, function: Callable[..., Any], key: str, tags: Sequence[torch.Tag]) -> None:
        namespace, _, self._name = name.partition("::")
        self._library = torch.library.Library(namespace, "FRAGMENT")  # its registrations live as long as it does
        schema = torch.library.infer_schema(function, mutates_args=())
        self._library.define(self._name + schema, tags=[torch.Tag.pt2_compliant_tag, *tags])
        self._library.impl(self._name, function, key)
        self.overload = getattr(getattr(torch.ops, namespace), self._name).default

    def __call__(self, *args: Any) -> Any:
        return self.overload(*args)

    def register_fake(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The shapes of the results, from those of the arguments."""
        return torch.library.register_fake(self.overload, function, lib=self._library)

    def register_vmap(self, function: Callable[..., Any]) -> None:
        """function(info, in_dims, *args) -> results, out_dims."""
        torch.library.register_vmap(self.overload, function, lib=self._library)

    def register_cuda(self, function: Callable[..., Any]) -> None:
        """What serves CUDA tensors."""
        self._library.impl(self._name, function, "CUDA")


def operator(name: str, *, device: str = "CPU", tags: Sequence[torch.Tag] = ()) -> Callable[[Callable[..., Any]], Operator]:
    """Make a function an operator.

    Args:
        name: "namespace::name".
        device: "CPU", or "any".
        tags: torch's.
    """
    key = "CompositeExplicitAutograd" if device == "any" else device
    return lambda function: Operator(name, function, key, tags)
