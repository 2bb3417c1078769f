"""What stands beside a model's weights in its file: what it is, what it was trained on, and how to train it again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from proxies.header import LONGEST, expect, expect_plain, is_setting, no_constant

VERSION = 1
REQUIRED = ("data", "licence", "command", "seed")
OPTIONAL = ("scores",)


def checked(header: Mapping[str, Any]) -> dict[str, Any]:
    """A header as a file holds it.

    Args:
        header: `model` ("kind" and settings), `data` (a list of {"name", "licence", "origin"} of what was trained on), `licence`
            of the weights, `command` that trains them again, `seed`, and where there are any `scores` (numbers by name, nested).

    Raises:
        ValueError: an entry is missing, unknown, or not what it should be; the message names it.
    """
    names = {"model", "version", *REQUIRED, *OPTIONAL}
    out: dict[str, Any] = {"version": VERSION, "scores": {}, **header}
    expect(out["version"] == VERSION, "version", f"{VERSION}, the only one that this release knows", out["version"])
    expect(out.keys() == names, "entries", f"{', '.join(sorted(names))}", sorted(map(str, out)))
    model = out["model"]
    expect(isinstance(model, dict) and type(model.get("kind")) is str, "model", "a kind and settings", model)
    expect(all(map(is_setting, model.values())), "model", "settings that are numbers, text or lists of these", model)
    for name in ("licence", "command"):
        line = out[name]
        expect(type(line) is str and bool(line) and line.isprintable(), name, "a line of text", line)
    expect(type(out["seed"]) is int, "seed", "a whole number", out["seed"])
    expect(isinstance(out["data"], list | tuple), "data", "a list", out["data"])
    out["data"] = [_source(entry) for entry in out["data"]]
    expect(isinstance(out["scores"], dict), "scores", "numbers by name", out["scores"])
    expect_plain(out["scores"], "scores")
    return out


def to_json(header: Mapping[str, Any]) -> str:
    """A checked header as text.

    Raises:
        ValueError: longer than what `from_json` reads.
    """
    text = json.dumps(header, allow_nan=False)
    expect(len(text) <= LONGEST, "scores", f"a header of at most {LONGEST} characters", len(text))
    return text


def from_json(text: str) -> dict[str, Any]:
    """Read what `to_json` wrote.

    Raises:
        ValueError: not JSON, or not a header.
    """
    expect(len(text) <= LONGEST, "JSON", f"at most {LONGEST} characters", len(text))
    try:
        table = json.loads(text, parse_constant=no_constant)
    except RecursionError:
        raise ValueError("header: JSON is nested too deeply.") from None
    expect(isinstance(table, dict), "JSON", "an object", table)
    return checked(table)


def _source(entry: Any) -> dict[str, str]:
    keys = {"name", "licence", "origin"}
    right = isinstance(entry, dict) and entry.keys() == keys
    right = right and all(type(v) is str and len(v) <= 1000 and v.isprintable() for v in entry.values())
    expect(right, "data", "name, licence and origin of each collection", entry)
    return dict(entry)
