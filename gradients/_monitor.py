"""What a proxy says of audio and controls that it was not trained on, told once for each cause."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from gradients.strategy import Fn


def tell_outside(told: set[str], name: str, proxy: Fn, x: Tensor, u: Tensor) -> None:
    """Warn of every cause that `proxy.outside(x, u) -> list of causes` names for the first time.

    A cause is a sentence without values, so that it is the same at each call. Values are read, so nothing is told under
    torch.compile and under vmap.
    """
    if torch.compiler.is_compiling():
        return
    ask = getattr(proxy, "outside", None)
    try:
        causes = ["its proxy does not say what it was trained on"] if ask is None else ask(x.detach(), u.detach())
    except RuntimeError:  # under vmap a tensor has no one value
        return
    for cause in causes:
        if cause not in told:
            told.add(cause)
            warnings.warn(f"{name}: {cause}; sound and gradient of the proxy may be wrong there.", stacklevel=4)
