"""A file is a layout: how a data set lies on disk. Its name is the string users type.

A module has `recognised(root) -> bool`, and `drafts(root, **options)`, which yields a `Draft` for each song and a `Skip` for what
it finds and cannot use; the options are its keywords. Nothing is opened but directories and text.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mixing.data.draft import Draft, Skip
from mixing.errors import UserError, nearest

# From the most particular to the one that takes any folder.
_ORDER = ("enst_drums", "dsd100", "musdb18", "medleydb", "pack", "cambridge", "folder")


def names() -> tuple[str, ...]:
    """The layouts."""
    return tuple(sorted(m.name for m in pkgutil.iter_modules(__path__)))


def find(root: Path, layout: str = "auto", **options: Any) -> tuple[str, Iterator[Draft | Skip]]:
    """The layout of a folder and the songs in it.

    Raises:
        UserError: no such folder, an unknown layout, an option that the layout does not have, or no layout that fits.
    """
    if not root.is_dir():
        raise UserError(f"{root}: there is no such folder of songs.")
    if layout != "auto" and layout not in names():
        raise UserError(f"layout {layout!r}: there are auto, {', '.join(names())}.{nearest(layout, names())}")
    order = _ORDER if layout == "auto" else (layout,)
    assert sorted(_ORDER) == list(names())
    for name in order:
        module = importlib.import_module(f"{__name__}.{name}")
        if layout == name or module.recognised(root):
            known = [p for p in inspect.signature(module.drafts).parameters if p != "root"]
            for option in options:
                if option not in known:
                    raise UserError(
                        f"layout {name}: no option {option!r}; it has {', '.join(known) or 'none'}.{nearest(option, known)}"
                    )
            return name, module.drafts(root, **options)
    raise UserError(
        f"{root}: is laid out as none of {', '.join(names())}; put each song's stems and mix into a folder of its own."
    )
