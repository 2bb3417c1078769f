"""Where results of kernels go."""

from __future__ import annotations

import torch
from torch import Tensor

from dasp.atoms._library import call

_LARGE = 1 << 22  # bytes; numpy asks for huge pages from the same size on


def fresh(like: Tensor) -> Tensor:
    """An uninitialised contiguous CPU tensor like another, for a kernel to write to.

    A large one is asked for in huge pages: to touch 32 MiB for the first time costs five passes over them in pages of 4 KiB, and
    half a pass in pages of 2 MiB.
    """
    y = torch.empty_like(like, memory_format=torch.contiguous_format)
    if y.nbytes >= _LARGE:
        call("advise_huge_pages", y, y.nbytes)
    return y
