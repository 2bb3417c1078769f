"""How good a mix is, in numbers: features, distances from a human's mix, statistics over songs, reports.

>>> from mixing.evaluation import compare, evaluate, features
"""

from __future__ import annotations

import importlib
from typing import Any

# Resolved at first use: the command line starts without torch.
_PUBLIC = {
    "Features": "audio_features",
    "FinishedMixes": "finished",
    "KnownSettings": "comparison",
    "Metric": "metrics",
    "METRICS": "metrics",
    "Table": "table",
    "Target": "comparison",
    "compare": "comparison",
    "evaluate": "run",
    "features": "audio_features",
    "frechet_distance": "embedding",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'mixing.evaluation' has no attribute {name!r}")
    return getattr(importlib.import_module(f"mixing.evaluation.{_PUBLIC[name]}"), name)
