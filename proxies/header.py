"""What stands beside a proxy's weights in its file: what it imitates, how well, and how to train it again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

VERSION = 1
LONGEST = 1 << 18  # characters of a header as JSON
LARGEST = 1 << 20  # of a whole number among a network's settings: sizes of shipped networks are below a thousandth of it
DEEPEST = 8  # levels of the scores
CONTROL = {"name": str, "unit": str, "low": float, "high": float, "scale": str}


@dataclass(frozen=True)
class Header:
    """What stands beside a proxy's weights: plain JSON, checked where it is made.

    Args:
        effect: import path of what was imitated, "dasp:Compressor".
        controls: name, unit, low, high and scale of each control, in order; `control_table` makes it.
        sample_rate: in Hz.
        channels: channel count that the network was trained for; None: any.
        network: `Network.description`: "kind" and the settings.
        receptive_field: the network's, in samples; None: unbounded.
        level_db: lowest and highest peak level heard in training, in dBFS.
        scores: what `proxies.evaluate` printed.
        command: what trains the weights again.
        seed: of the training.
        data: name, licence and origin of each collection trained on.
        licence: of the weights.
        version: of this format.

    Raises:
        ValueError: a field is not what it should be; the message names it.
    """

    effect: str
    controls: tuple[dict[str, Any], ...]
    sample_rate: float
    channels: int | None
    network: dict[str, Any]
    receptive_field: int | None
    level_db: tuple[float, float]
    scores: dict[str, Any]
    command: str
    seed: int
    data: tuple[dict[str, Any], ...]
    licence: str
    version: int = VERSION

    def __post_init__(self) -> None:
        for name in ("controls", "level_db", "data"):
            expect(isinstance(getattr(self, name), list | tuple), name, "a list", getattr(self, name))
            object.__setattr__(self, name, tuple(getattr(self, name)))
        _expect_version(self.version)
        for name in ("effect", "command", "licence"):
            expect(_is(getattr(self, name), str) and bool(getattr(self, name)), name, "a line of text", getattr(self, name))
        for q in self.controls:
            expect(_has(q, CONTROL) and _is_range(q), "controls", "name, unit, low < high and scale linear or log", q)
        names = [q["name"] for q in self.controls]
        expect(0 < len(set(names)) == len(names), "controls", "at least one, each with a name of its own", names)
        expect(_is(self.sample_rate, float) and 0 < self.sample_rate <= LARGEST, "sample_rate", "Hz", self.sample_rate)
        for name in ("channels", "receptive_field"):
            value = getattr(self, name)
            expect(value is None or (_is(value, int) and value > 0), name, "a count or null", value)
        described = _has(self.network, {"kind": str}, more=True) and all(map(is_setting, self.network.values()))
        expect(described, "network", f"a kind and settings, whole numbers within {LARGEST}", self.network)
        ordered = len(self.level_db) == 2 and all(_is(v, float) for v in self.level_db) and self.level_db[0] <= self.level_db[1]
        expect(ordered, "level_db", "two levels, the lower first", self.level_db)
        expect(_is(self.seed, int), "seed", "a whole number", self.seed)
        for entry in self.data:
            expect(_has(entry, {"name": str, "licence": str, "origin": str}), "data", "name, licence and origin", entry)
        expect(isinstance(self.scores, dict), "scores", "numbers by name", self.scores)
        expect_plain(self.scores, "scores")

    def check(self, controls: Sequence[Any]) -> None:
        """Compare an effect's control table with the one that the weights were trained for.

        Args:
            controls: the effect's, objects with name, unit, low, high and scale.

        Raises:
            ValueError: they differ; the message has the first difference and the command that trains the weights again.
        """
        for i, (own, other) in enumerate(zip(self.controls, control_table(controls), strict=False), 1):
            for key in CONTROL:
                if own[key] != other[key]:
                    what = f"control {i}" if key == "name" else f"{key} of {own['name']}"
                    raise self._stale(f"{what} is {own[key]!r} in the weights and {other[key]!r} in the effect.")
        if len(controls) != len(self.controls):
            raise self._stale(f"{len(self.controls)} controls in the weights, {len(controls)} in the effect.")

    def _stale(self, difference: str) -> ValueError:
        return ValueError(
            f"{self.effect}: these weights are of another control table: {difference} Train them again: {self.command}"
        )

    def to_json(self) -> str:
        """The header as JSON.

        Raises:
            ValueError: it is longer than what `from_json` reads.
        """
        text = json.dumps(asdict(self), allow_nan=False)
        expect(len(text) <= LONGEST, "scores", f"a header of at most {LONGEST} characters", len(text))
        return text

    @classmethod
    def from_json(cls, text: str) -> Header:
        """Read what `to_json` wrote.

        Raises:
            ValueError: not JSON, or not a header.
        """
        expect(len(text) <= LONGEST, "JSON", f"at most {LONGEST} characters", len(text))
        try:
            table = json.loads(text, parse_constant=no_constant)
        except RecursionError:
            raise ValueError("header: JSON is nested too deeply.") from None
        names = {f.name for f in fields(cls)}
        if isinstance(table, dict):
            _expect_version(table.get("version"))  # first, since another version may have other fields
        expect(isinstance(table, dict) and table.keys() == names, "JSON", f"an object of {', '.join(sorted(names))}", table)
        return cls(**table)


def control_table(controls: Sequence[Any]) -> tuple[dict[str, Any], ...]:
    """Objects with name, unit, low, high and scale (an effect's controls) -> what a header keeps of them."""
    return tuple({key: kind(getattr(q, key)) for key, kind in CONTROL.items()} for q in controls)


def expect(right: bool, field: str, expected: str, got: Any) -> None:
    if not right:
        raise ValueError(f"header: {field}: expected {expected}; got {_short(got)}.")


def _expect_version(version: Any) -> None:
    expect(version == VERSION, "version", f"{VERSION}, the only one that this release knows", version)


def _short(value: Any) -> str:
    """A value for a message; of what is nested the outermost level only, since it may be deeper than `repr` can go."""
    if isinstance(value, dict):
        return f"an object of {', '.join(map(str, list(value)[:20])) or 'nothing'}"[:200]
    if isinstance(value, list | tuple) and any(isinstance(v, dict | list | tuple) for v in value):
        return f"a list of {len(value)}"
    value = value[:200] if isinstance(value, str | list | tuple) else value
    return f"{value!r:.200}"


def _is(value: Any, kind: type) -> bool:
    """Whether a value is of a JSON type, finite, and of a length to be shown; a whole number is a float too, a truth neither."""
    if kind is float:
        return type(value) in (int, float) and abs(value) <= 1e300
    if kind is str:
        return type(value) is str and len(value) <= 1000 and value.isprintable()
    return type(value) is kind


def _has(value: Any, kinds: dict[str, type], more: bool = False) -> bool:
    """Whether a value is an object with these entries, and others only where there may be more."""
    if not isinstance(value, dict) or not (kinds.keys() <= value.keys() if more else kinds.keys() == value.keys()):
        return False
    return all(_is(value[key], kind) for key, kind in kinds.items())


def _is_range(q: dict[str, Any]) -> bool:
    return q["low"] < q["high"] and (q["scale"] == "linear" or (q["scale"] == "log" and q["low"] > 0))


def is_setting(value: Any, depth: int = 6) -> bool:
    """A number, truth, text or null, a list of these, or a list of networks in turn: what a network's constructor may be given
    from a file."""
    if depth == 0:
        return False
    if type(value) is list:
        return len(value) <= 256 and all(type(v) is not list and is_setting(v, depth - 1) for v in value)
    if type(value) is dict:
        return _has(value, {"kind": str}, more=True) and all(is_setting(v, depth - 1) for v in value.values())
    if type(value) is int:
        return abs(value) <= LARGEST
    return value is None or type(value) is bool or _is(value, float) or _is(value, str)


def expect_plain(value: Any, name: str, depth: int = DEEPEST) -> None:
    """Refuse what is not JSON of finite numbers nested no deeper than `depth`, by the name of the place."""
    nested = isinstance(value, dict | list | tuple)
    plain = depth > 0 if nested else value is None or type(value) is bool or _is(value, float) or _is(value, str)
    expect(plain, f"{name:.200}", f"finite numbers, text, null, and lists and objects of these, {DEEPEST} deep at most", value)
    if nested:
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            expect(not isinstance(value, dict) or _is(key, str), f"{name:.200}", "names that are text", key)
            expect_plain(inner, f"{name}.{key}", depth - 1)


def no_constant(name: str) -> float:
    raise ValueError(f"header: JSON has no {name}.")
