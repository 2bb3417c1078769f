"""Tables as text: Markdown and CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence

from mixing.errors import printable

NOTHING = "\N{EN DASH}"  # where there is no value


def number(value: float) -> str:
    """A number for machines; empty where there is none."""
    return f"{value:.9g}" if math.isfinite(value) else ""


def cell(text: str) -> str:
    """A name as text within Markdown."""
    line = " ".join(printable(text).split())
    return "".join(f"\\{c}" if c in r"\`*_{}[]<>()#+!|&" else c for c in line)


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]], names: int = 1) -> list[str]:
    """Lines of a table, and an empty one; the first `names` columns hold foreign text, the others what is Markdown already."""
    lines = [head, ["---"] * len(head), *([cell(c) if i < names else c for i, c in enumerate(row)] for row in rows)]
    return [*("| " + " | ".join(line) + " |" for line in lines), ""]


def comma_separated(lines: Sequence[Sequence[str]]) -> str:
    """Lines of cells as CSV."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(lines)
    return out.getvalue()


def safe(text: str) -> str:
    """A name that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
