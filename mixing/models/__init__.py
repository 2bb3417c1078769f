"""Models that mix. A module of this package that holds a mixer is a model, and its name is the string that users type."""

from __future__ import annotations

import importlib
import pkgutil
import re
from typing import Any

_HELPERS = {"baseline", "controller", "encoder", "header", "model", "track_features", "waveform"}
_LEARNED = re.compile(r"^class \w+\((?:Model|WaveformModel)\):", re.MULTILINE)

# Resolved at first use: the command line names the models before it loads torch.
_PUBLIC = {
    "DMC": "dmc",
    "Demucs": "demucs",
    "EqualLoudness": "equal_loudness",
    "MixWaveUNet": "mix_wave_u_net",
    "Model": "model",
    "Mono": "mono",
    "Random": "random",
    "Regression": "regression",
    "Rules": "rules",
    "Sum": "sum",
    "about": "model",
    "build": "model",
    "load": "model",
    "mixer": "model",
    "parameter_loss": "controller",
    "save": "model",
    "shipped": "model",
}

__all__ = ["kinds", "names", *sorted(_PUBLIC)]


def names() -> tuple[str, ...]:
    """Every model; none is imported for it."""
    return tuple(sorted(m.name for m in pkgutil.iter_modules(__path__) if m.name not in _HELPERS))


def kinds() -> tuple[str, ...]:
    """Those models that are learned: what `build` knows. None is imported for it."""
    found = []
    for module in pkgutil.iter_modules(__path__):
        loader: Any = module.module_finder.find_spec(module.name, None).loader  # type: ignore[union-attr]
        if module.name not in _HELPERS and _LEARNED.search(loader.get_source(module.name) or ""):
            found.append(module.name)
    return tuple(sorted(found))


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'mixing.models' has no attribute {name!r}")
    return getattr(importlib.import_module(f"mixing.models.{_PUBLIC[name]}"), name)
