"""Write the tables of the effects, read from the effects themselves: short in README.md, whole in docs/effects.md."""

from __future__ import annotations

import inspect
from pathlib import Path

from dasp.effect import Effect, table_of
from dasp.effects import registry
from mixing.markers import replace_between

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
PAGE = ROOT / "docs" / "effects.md"


def summary(cls: type[Effect]) -> str:
    """The first sentence of an effect's docstring."""
    return (inspect.getdoc(cls) or "").splitlines()[0]


def black_box(cls: type[Effect]) -> str:
    """What the black box runs."""
    if cls.plugin is None:
        return "its own DSP, unseen by autograd"
    return f"`pedalboard.{cls.plugin}`" if isinstance(cls.plugin, str) else "a chain of Pedalboard's filters"


def short_table() -> str:
    """One row an effect."""
    rows = [f"| `{name}` | {summary(cls)} | {len(cls.controls)} | {black_box(cls)} |" for name, cls in registry().items()]
    return "\n".join(["| effect | | controls | black box |", "|---|---|---|---|", *rows])


def page() -> str:
    """Every effect with the table of its controls."""
    parts = ["# Effects", "", "Written by `make docs` from the effects themselves. Pedalboard's names wherever it has them.", ""]
    for name, cls in registry().items():
        parts += [f"## {name}", "", summary(cls), "", f"Black box: {black_box(cls)}.", ""]
        if cls.channels:
            parts += [f"Input channels: {' or '.join(map(str, cls.channels))}.", ""]
        if cls.static_because:
            parts += [f"The controls cannot vary in time: {cls.static_because}", ""]
        parts += [table_of(cls.controls), ""]
    return "\n".join(parts)


def main() -> None:
    README.write_text(replace_between(README.read_text(), "effects", short_table()))
    PAGE.write_text(page())
    print(f"wrote {README.relative_to(ROOT)} and {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
