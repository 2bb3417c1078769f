"""Recipes: dataclasses whose values stand in a YAML file, with single ones changed by name. For trainings of any kind."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import json
import types
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from proxies import yaml_text

T = TypeVar("T")


def read(name_or_path: str | Path, folder: Path) -> dict[str, Any]:
    """The settings in a YAML file, or of a shipped recipe by its name.

    Args:
        name_or_path: without an ending it is a name.
        folder: of the shipped recipes.

    Raises:
        ValueError: no such file or recipe, no YAML, or no mapping.
    """
    path = Path(name_or_path)
    if not path.suffix:
        path = folder / f"{name_or_path}.yaml"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        known = shipped(folder)
        near = difflib.get_close_matches(str(name_or_path), known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"config: no file {name_or_path}; shipped are {', '.join(known)}.{hint}") from None
    except UnicodeDecodeError:
        raise ValueError(f"config: {path.name} is not a text file.") from None
    try:
        settings = yaml_text.parse(text)
    except ValueError as error:
        raise ValueError(f"config: {path.name} {error}.") from None
    if not isinstance(settings, dict):
        raise ValueError(f"config: {path.name} holds no mapping of settings.")
    return settings


def shipped(folder: Path) -> list[str]:
    """Names of the recipes in a folder."""
    return sorted(p.stem for p in folder.glob("*.yaml"))


def merged(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the settings with values changed by name.

    Args:
        settings: sections are mappings.
        changes: `{"audio.synthetic": 0.5}`.

    Raises:
        ValueError: a name leads through something that is no section.
    """
    whole = json.loads(json.dumps(dict(settings)))
    for name, value in changes.items():
        *sections, last = name.split(".")
        place = whole
        for part in sections:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise ValueError(f"config: {part} in {name!r} is no section.")
        place[last] = value
    return whole


def changes(settings: Iterable[str]) -> dict[str, Any]:
    """What `--set NAME=VALUE` means, for `merged`: values are YAML.

    Raises:
        ValueError: no "=" in one, or no YAML behind it.
    """
    found = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals:
            raise ValueError(f"set: expected NAME=VALUE; got {setting!r}.")
        try:
            found[name] = yaml_text.parse(value)
        except ValueError as error:
            raise ValueError(f"set: the value of {name} {error}; got {value!r:.100}.") from None
    return found


def section(cls: type[T], settings: Any, where: str = "") -> T:
    """A dataclass from a mapping, its fields that are dataclasses from mappings in it.

    Args:
        where: what stands before its names in messages, "audio.".

    Raises:
        ValueError: an unknown name (the message has the nearest), or a value of the wrong kind.
    """
    if not isinstance(settings, Mapping):
        raise ValueError(f"config: {where.rstrip('.')} is a section; got {settings!r}.")
    kinds = typing.get_type_hints(cls)
    values = {}
    for name, value in settings.items():
        if name not in kinds:
            near = difflib.get_close_matches(str(name), kinds, n=1)
            hint = f" Did you mean {where}{near[0]}?" if near else f" There are {', '.join(kinds)}."
            raise ValueError(f"config: no setting {where}{name}.{hint}")
        values[name] = _value(kinds[name], value, f"{where}{name}")
    return cls(**values)


def _value(kind: Any, value: Any, name: str) -> Any:
    """A value as its annotation wants it."""
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        return section(typing.cast(type, kind), value, f"{name}.")
    if origin is tuple and isinstance(value, list | tuple):
        kinds = [parts[0]] * len(value) if parts[-1] is Ellipsis else list(parts)
        if len(kinds) == len(value):
            return tuple(_value(k, v, name) for k, v in zip(kinds, value, strict=True))
    elif origin is Literal and str(value) in parts:
        return str(value)
    elif origin is dict and isinstance(value, dict):
        return value
    elif kind is float and isinstance(value, int | float | str) and not isinstance(value, bool):
        with contextlib.suppress(ValueError):  # a string too: YAML 1.1 takes 1e-3, without a point, for one
            return float(value)
    elif isinstance(kind, type) and not isinstance(kind, types.GenericAlias) and type(value) is kind:
        return value
    wanted = f"one of {', '.join(map(repr, parts))}" if origin is Literal else getattr(kind, "__name__", str(kind))
    raise ValueError(f"config: {name} is {wanted}; got {value!r}.")
