"""Where results of kernels go."""

from __future__ import annotations

import torch
from torch import Tensor

from dasp.atoms._library import call

_LARGE = 1 << 21  # bytes: a huge page


def fresh(like: Tensor) -> Tensor:
    """An uninitialised contiguous CPU tensor like another, for a kernel to write to."""
    return in_huge_pages(torch.empty_like(like, memory_format=torch.contiguous_format))


def in_huge_pages(y: Tensor) -> Tensor:
    """The same CPU tensor, to which nothing was written yet; if large, the system is asked to give it memory in huge pages.

    To touch 32 MiB for the first time costs five passes over them in pages of 4 KiB, and half a pass in pages of 2 MiB.
    """
    if y.nbytes >= _LARGE:
        call("advise_huge_pages", y, y.nbytes)
    return y
