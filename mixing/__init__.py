"""The mixing layer: multitracks, the console, losses, matching, and the command line."""

from __future__ import annotations

import importlib
from typing import Any

# Resolved at first use: the command line starts without torch.
_PUBLIC = {
    "Console": "console",
    "Controls": "console",
    "EqualLoudness": "models.equal_loudness",
    "MatchResult": "result",
    "Mix": "mixers",
    "Mixer": "mixers",
    "MultiResolutionSTFTLoss": "stft_loss",
    "Multitrack": "multitrack",
    "Random": "models.random",
    "StereoLoss": "loss",
    "Sum": "models.sum",
    "UserError": "errors",
    "match": "matching",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'mixing' has no attribute {name!r}")
    return getattr(importlib.import_module(f"mixing.{_PUBLIC[name]}"), name)
