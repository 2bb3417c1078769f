"""The public names, by the page of the reference that shows them; the tests of docstrings read the same list."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from typing import Any

# Page: title, what it says first, and its modules; of a module all of its `__all__`, or the names given.
PAGES: dict[str, tuple[str, str, dict[str, tuple[str, ...] | None]]] = {
    "dasp": (
        "dasp",
        "Effects and what is made of them. Each effect has [a page of its own](../effects.md).",
        {
            "dasp": None,
            "dasp.effects": ("registry", "find"),
            "dasp.testing": ("check_effect",),
            "dasp.parity": ("Parity", "compare", "certified"),
            "dasp.health": ("external_health", "Health"),
        },
    ),
    "gradients": (
        "gradients",
        "How a function of audio and controls gets its derivative; [explained and measured](../strategies.md).",
        {"gradients": None, "gradients.testing": ("check_strategy", "Report")},
    ),
    "proxies": (
        "proxies",
        "Networks that imitate an effect; [explained and measured](../proxies.md).",
        {"proxies": None, "proxies.testing": ("check_network",)},
    ),
    "mixing": (
        "mixing",
        "Multitracks, the console, and the search for the settings of a mix.",
        {"mixing": None, "mixing.losses": ("names", "build")},
    ),
    "mixing_models": (
        "mixing.models",
        "Models that mix; [which there are](../mixing.md).",
        {"mixing.models": None},
    ),
    "mixing_data": (
        "mixing.data",
        "Data sets; [which layouts are known](../data.md).",
        {"mixing.data": None},
    ),
    "mixing_training": (
        "mixing.training",
        "Training of mixing models by a recipe.",
        {
            "mixing.training.run": ("train",),
            "mixing.training.config": ("Config", "Data", "Loss", "Adapt", "read", "config", "shipped"),
            "mixing.training.objective": ("Objective",),
        },
    ),
    "mixing_evaluation": (
        "mixing.evaluation",
        "Features, distances and their statistics; [what is measured](../evaluation.md).",
        {"mixing.evaluation": None},
    ),
    "mixing_desk": (
        "mixing.desk",
        "Pages on which a mix is heard and changed; [what they can do](../desk.md).",
        {"mixing.desk": None},
    ),
    "mixing_export": (
        "mixing.export",
        "Projects for a DAW, written and read; [what is carried over](../export.md).",
        {"mixing.export": ("export", "read", "Lane", "Read")},
    ),
    "mixing_listening": (
        "mixing.listening",
        "Listening tests and what came of them; [how to hold one](../listening.md).",
        {
            "mixing.listening.design": ("secret", "design", "public", "private", "Design", "Page", "Stimulus"),
            "mixing.listening.ratings": ("read_key", "read", "Read", "Session"),
            "mixing.listening.cleaning": ("Rules", "clean"),
            "mixing.listening.analysis": ("analyse", "median_interval", "Result", "Centre", "Pair", "Friedman"),
        },
    ),
    "mixing_pictures": (
        "mixing.pictures",
        "Pictures of effects, gradients and sounds; [what they show](../plots.md).",
        {
            "mixing.pictures.effects": ("picture",),
            "mixing.pictures.gradients": ("agreement", "landscape"),
            "mixing.pictures.sound": ("before_and_after",),
            "mixing.pictures.style": ("save",),
            "mixing.landscape": ("landscape", "Landscape"),
        },
    ),
}


def names(module: str, given: tuple[str, ...] | None) -> tuple[str, ...]:
    """What a page shows of a module: the names given, or those that it exports and that are at home there. What it exports from
    elsewhere is shown there, and effects have pages of their own."""
    if given is not None:
        return given
    from dasp.effects import registry

    loaded = importlib.import_module(module)
    found = {name: getattr(loaded, name) for name in loaded.__all__ if name not in registry()}
    own = [name for name, item in found.items() if _home(getattr(item, "__module__", module)) in (module, "")]
    return tuple(sorted(own, key=str.lower))


def _home(module: str) -> str:
    """Which module of PAGES shows what was defined in a module: the nearest above it."""
    known = [name for _, _, modules in PAGES.values() for name in modules if f"{module}.".startswith(f"{name}.")]
    return max(known, key=len, default="")


def public(page: str) -> Iterator[tuple[str, Any]]:
    """(module, name) -> the object, of a page: as "module:name"."""
    for module, given in PAGES[page][2].items():
        for name in names(module, given):
            yield f"{module}:{name}", getattr(importlib.import_module(module), name)


def methods(cls: type) -> dict[str, Any]:
    """The public methods and properties that a class of this repository declares itself."""
    found = {}
    for name, member in vars(cls).items():
        inner = member.__func__ if isinstance(member, staticmethod | classmethod) else member
        function = inspect.isfunction(inner) and inner.__name__ != "<lambda>"  # a record's default is no method
        if not name.startswith("_") and (function or isinstance(inner, property)):
            found[name] = member
    return found


def page(key: str) -> str:
    """One page of the reference, as Markdown."""
    title, about, _ = PAGES[key]
    parts = [f"# {title}", "", about, ""]
    for where, item in public(key):
        module, _, name = where.partition(":")
        parts += [f"## {name}", "", "```{eval-rst}", f".. py:currentmodule:: {module}", ""]
        if inspect.isclass(item):
            parts += [f".. autoclass:: {module}.{name}", "   :members:", "   :show-inheritance:", ""]
        elif callable(item):
            parts += [f".. autofunction:: {module}.{name}", ""]
        else:
            parts += [f".. autodata:: {module}.{name}", ""]
        parts += ["```", ""]
    return "\n".join(parts)


def index() -> str:
    """The page that lists the others."""
    rows = [f"| [{title}]({key}.md) | {about} |" for key, (title, about, _) in PAGES.items()]
    toc = ["```{toctree}", ":hidden:", "", *PAGES, "```"]
    head = ["# API reference", "", "What is public, from its docstrings. Anything else may change without notice.", ""]
    return "\n".join([*head, "| | |", "|---|---|", *rows, "", *toc, ""])
