"""The figures as a page."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

SHOWN = 10  # failures of a kind


def page(found: Mapping[str, Any]) -> str:
    """docs/reliability.md.

    Args:
        found: for each section its `outcomes`, as `Outcome` has them, and the seconds that it took.
    """
    lines = [
        "# Reliability",
        "",
        "Written by `make reliability`, which tries to break dasp and counts. A trial fails where it ends in a traceback, hangs,",
        "crashes the process, takes a leap of memory, gives what is no number, or leaves something half done.",
    ]
    for name, section in found.items():
        about = (importlib.import_module(f"benchmarks.reliability.{name}").__doc__ or "").strip()
        lines += [
            "",
            f"## {name.capitalize()}",
            "",
            about,
            "",
            "| trials | number | how they ended | failed |",
            "|---|---|---|---|",
        ]
        for outcome in section["outcomes"]:
            ended = ", ".join(f"{count:,} {end}" for end, count in sorted(outcome["ended"].items(), key=lambda e: -e[1]))
            lines.append(f"| {outcome['title']} | {outcome['tried']:,} | {ended} | {len(outcome['failures'])} |")
        lines += [f"\n{o['note']}" for o in section["outcomes"] if o["note"]]
        failures = [f for o in section["outcomes"] for f in o["failures"][:SHOWN]]
        if failures:
            lines += ["", "What failed:", "", *(f"- `{f.replace('`', chr(39))}`" for f in failures)]
    return "\n".join(lines) + "\n"
