"""A file of this package is an effect: its table, its pure function, its plugin."""

from __future__ import annotations

import importlib
import pkgutil

from dasp.effect import Effect, nearest


def registry() -> dict[str, type[Effect]]:
    """Every effect of the toolkit by its name, in alphabetical order; read by the command line, the docs and the tests."""
    found: dict[str, type[Effect]] = {}
    for info in pkgutil.iter_modules(__path__):
        if info.name.startswith("_"):
            continue
        module = importlib.import_module(f"{__name__}.{info.name}")
        for cls in vars(module).values():
            if isinstance(cls, type) and issubclass(cls, Effect) and cls.__module__ == module.__name__:
                found[cls.__name__] = cls
    return dict(sorted(found.items()))


def find(name: str) -> type[Effect]:
    """The effect of a name.

    Raises:
        ValueError: there is none; the message has the nearest name.
    """
    known = registry()
    if name not in known:
        folded = {n.lower(): n for n in known}
        near = nearest(name, known) or nearest(folded.get(name.lower(), name), known)
        raise ValueError(f"no effect {name!r}; there are {', '.join(known)}.{near}")
    return known[name]
