"""What a project holds for dasp alone: the settings and lanes that it was written from, so that nothing is rounded or lost."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mixing.errors import UserError
from mixing.export.automation import Lane, check
from mixing.settings import Settings, parse

_LATEST = 1_000_000_000  # samples; as the settings' schema has it


@dataclass(frozen=True)
class Read:
    """A project, read back.

    Attributes:
        settings: as `mixing.settings.read` returns them.
        lanes: its automation.
        observed: place -> value as the DAW's own faders, sends and devices say it, for all that they can say.
        notes: what has changed in the project in a way that cannot be taken over, in sentences.
    """

    settings: Settings
    lanes: tuple[Lane, ...]
    observed: dict[str, float]
    notes: tuple[str, ...]


def lag(who: str, seconds: float, rate: float) -> int:
    """By how many samples a clip is late.

    Raises:
        UserError: more than any song has.
    """
    if not abs(seconds * rate) <= _LATEST:
        raise UserError(f"{who}: a clip begins {seconds:g} s into its file; move it back.")
    return round(seconds * rate)


def packed(settings: Settings, lanes: Sequence[Lane]) -> str:
    """The record, one line of JSON."""
    return json.dumps({"settings": settings, "lanes": [lane.as_dict() for lane in lanes]}, allow_nan=False)


def parsed(who: str, text: str | bytes) -> tuple[Settings, tuple[Lane, ...]]:
    """A record, checked as a settings file is.

    Raises:
        UserError: damaged.
    """
    try:
        record = json.loads(text)
        lanes = [Lane(str(x["where"]), tuple((float(t), float(v)) for t, v in x["points"])) for x in record["lanes"]]
        settings: Any = record["settings"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise UserError(f"{who}: what dasp wrote into it is damaged; export it again.") from None
    settings = parse(who, json.dumps(settings))
    return settings, check(settings, lanes)
