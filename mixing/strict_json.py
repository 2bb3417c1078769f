"""JSON from elsewhere: every key once, every number a number, the form that a schema says; refused in a sentence."""

from __future__ import annotations

import json
import math
from typing import Any

from mixing.errors import UserError


def parse(who: str, text: str, advice: str = "") -> Any:
    """The value of a text.

    Args:
        who: in front of the messages.
        text: JSON.
        advice: behind what is said of a text that is not JSON, such as "; give another file".

    Raises:
        UserError: not JSON, a key that stands twice, NaN or infinity, or nested too deeply.
    """
    try:
        return json.loads(text, parse_constant=_no_number, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        raise UserError(f"{who}: is not JSON (line {error.lineno}: {error.msg.lower()}){advice}.") from None
    except ValueError as error:
        raise UserError(f"{who}: {error}.") from None
    except RecursionError:
        raise UserError(f"{who}: is nested too deeply{advice}.") from None


def check(who: str, value: Any, schema: dict[str, Any]) -> None:
    """Refuse a value that does not fit a schema.

    Raises:
        UserError: the message says where and why.
    """
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    error = best_match(Draft202012Validator(schema).iter_errors(value))
    if error is not None:
        where = error.json_path.removeprefix("$").removeprefix(".") or "the file"
        raise UserError(f"{who}: {short(where, 100)}: {short(error.message, 160)}.")


def short(text: str, length: int = 60) -> str:
    """Foreign text for one line of a message."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1] + "…"


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is not a number that can be set; correct it")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A key that stands twice would be dropped silently."""
    out: dict[str, Any] = {}
    for key, value in pairs:
        if key in out:
            raise ValueError(f"the key {short(key)} stands twice in one object; remove one")
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{short(key)} is too large a number; correct it")
        out[key] = value
    return out
