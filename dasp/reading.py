"""A plugin's parameters, read from the plugin: which are controls, in which unit and range, which options, which neither."""

from __future__ import annotations

import keyword
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dasp.blackbox import Recipe, pedalboard
from dasp.hosting import BUFFER, load
from dasp.param import Param

FEW = 16  # a parameter with no more values than these is a choice, whatever the plugin calls it
STEPS = 1000  # one that reports up to so many steps is not continuous
GRID = np.linspace(0, 1, 65)
METER = re.compile(r"gain.?reduction|(output|input|peak).?(level|low|med|high|left|right)|meter|latency|(^|_)vu(_|$)")
BYPASS = re.compile(r"(^|_)bypass(_|$)")
NONE = "none: the plugin steps, and so do differences"
# Keywords of `external`, of an effect's constructor and of its call.
TAKEN = {"x", "batch", "controls", "sidechain", "state", "plugin", "sample_rate", "gradient", "proxy", "ranges", BUFFER}
CHANNELS = (1, 2, 3, 4, 6, 8)


@dataclass(frozen=True)
class Reading:
    """What a plugin says about itself.

    Attributes:
        name, title: as a class's name, and as the plugin writes it.
        continuous: the parameters that can be controls.
        unranged: numbers whose range is not published, with their default.
        choices: name: (values, default).
        left_out: name: why.
        channels: counts that it takes; None for any.
        renamed: of names that are no keyword to call an effect with, what the plugin calls them.
        recipe: of Pedalboard's own plugins, how one is made.
        links_channels, needs_rate, static_because: as in Effect.
    """

    name: str
    title: str
    continuous: tuple[Param, ...]
    choices: Mapping[str, tuple[tuple, Any]]
    left_out: Mapping[str, str]
    channels: tuple[int, ...] | None
    unranged: Mapping[str, float] = field(default_factory=dict)
    renamed: Mapping[str, str] = field(default_factory=dict)
    recipe: Callable[..., Recipe] | None = None
    links_channels: bool = True
    needs_rate: bool = False
    static_because: str = ""


def read_file(path: str, plugin_name: str | None) -> Reading:
    """Read a VST3's or Audio Unit's table, on an instance that is thrown away."""
    plugin = load(path, plugin_name)
    channels = _channels(plugin)
    width = min(channels or (2,))
    continuous, choices, left_out, renamed = [], {}, {}, {}
    for own_name, parameter in plugin.parameters.items():
        name = _keyword(own_name)
        if name != own_name:
            renamed[name] = own_name
        values = parameter.valid_values
        plain_name = f"{name} {parameter.name}".lower()
        if not parameter.is_automatable:
            left_out[name] = "which no host may automate"
        elif BYPASS.search(plain_name):
            left_out[name] = "a bypass"
        elif METER.search(plain_name) and _is_mute(plugin, parameter, width):
            left_out[name] = "a meter"
        elif parameter.type is float and len(values) > FEW and parameter.num_steps > STEPS:
            continuous.append(_continuous(name, parameter))
        elif len(values) < 2:
            left_out[name] = "which has a single value"
        else:
            kind: Callable[[Any], Any] = parameter.type
            choices[name] = tuple(map(kind, values)), kind(getattr(plugin, own_name))
    knobs = [plugin.parameters[renamed.get(q.name, q.name)] for q in continuous]
    for name in [n for n in choices if _is_preset(plugin, plugin.parameters[renamed.get(n, n)], knobs, width)]:
        left_out[name] = "a preset: it moves other parameters"
        del choices[name]
    title = str(plugin.name)
    return Reading(
        re.sub(r"\W|^(?=\d)", "", title) or re.sub(r"\W", "", Path(path).stem) or "Plugin",
        title,
        tuple(continuous),
        choices,
        left_out,
        channels,
        renamed=renamed,
    )


def _continuous(name: str, parameter: Any) -> Param:
    """A parameter in its unit if what it displays is linear or logarithmic in its position, else as the position in [0, 1]."""
    position, title = float(parameter.raw_value), str(parameter.name)
    law = _law([str(parameter.get_text_for_raw_value(float(r))) for r in GRID])
    if law is None:
        low, high = (parameter.get_text_for_raw_value(r) for r in (0.0, 1.0))
        return Param(name, "", 0.0, 1.0, position, doc=f"{title}: the knob's position, {low} at 0 and {high} at 1")
    low, high, scale = law
    q = Param(name, str(parameter.label or "").strip(), low, high, low, scale, doc=title)  # type: ignore[arg-type]
    return Param(q.name, q.unit, low, high, _shortest(q, position), q.scale, doc=title)


def _shortest(q: Param, position: float) -> float:
    """The value at a position, with as few digits as still lead to that position in the plugin's float32."""
    exact = min(max(q.to_physical(position), q.low), q.high)
    for digits in range(1, 9):
        value = float(f"{exact:.{digits}g}")
        if q.low <= value <= q.high and np.float32(q.to_unit(value)) == np.float32(position):
            return value
    return exact


def _law(texts: list[str]) -> tuple[float, float, str] | None:
    """(low, high, scale) of what a knob displays along GRID, to the digits that it displays; None if it is another law."""
    numbers = [re.match(r"\s*([-+]?\d+(?:\.(\d+))?(?:[eE][-+]?\d+)?)\s*(.*?)\s*$", text) for text in texts]
    if not all(numbers) or len({m[3] for m in numbers if m}) > 1:
        return None
    shown = np.array([float(m[1]) for m in numbers if m])
    digit = np.array([10.0 ** -len(m[2] or "") for m in numbers if m])
    low, high = float(shown[0]), float(shown[-1])
    if not low < high:
        return None
    allowed = 0.75 * digit + 1e-5 * (high - low)
    if (abs(low + (high - low) * GRID - shown) <= allowed).all():
        return low, high, "linear"
    if low > 0 and (abs(low * (high / low) ** GRID - shown) <= allowed + 1e-4 * shown).all():
        return low, high, "log"
    return None


def _channels(plugin: Any) -> tuple[int, ...] | None:
    """The channel counts that a plugin takes, by trying; None if it takes all that were tried."""
    taken = []
    for count in CHANNELS:
        try:
            plugin.process(np.zeros((count, 64), np.float32), 44100)
        except ValueError:
            continue
        taken.append(count)
    if not taken:
        raise ValueError(f"{plugin.name}: takes none of {', '.join(map(str, CHANNELS))} channels.")
    return None if len(taken) == len(CHANNELS) else tuple(taken)


def _keyword(name: str) -> str:
    """A parameter's name as a keyword: `32hz_db` is none, and some have another meaning where an effect is made or called."""
    return name if name.isidentifier() and not keyword.iskeyword(name) and name not in TAKEN else f"plugin_{name}"


def _is_mute(plugin: Any, parameter: Any, width: int) -> bool:
    """Whether a parameter changes nothing in what is heard, as a meter does not; a knob may have the same name."""
    noise = 0.5 * np.random.default_rng(0).standard_normal((width, 8192)).astype(np.float32)
    before, stood = plugin.process(noise, 44100), parameter.raw_value
    parameter.raw_value = (stood + 0.5) % 1
    after = plugin.process(noise, 44100)
    parameter.raw_value = stood
    return np.array_equal(before, after, equal_nan=True)


def _is_preset(plugin: Any, choice: Any, knobs: Sequence[Any], width: int) -> bool:
    """Whether a choice moves other parameters, which it does at the next process call at the latest."""
    before, stood = [k.raw_value for k in knobs], choice.raw_value
    moves = False
    for position in (0.0, 0.5, 1.0):
        if not moves and position != stood:
            choice.raw_value = position
            plugin.process(np.zeros((width, 64), np.float32), 44100)
            moves = [k.raw_value for k in knobs] != before
    choice.raw_value = stood
    for knob, value in zip(knobs, before, strict=True):
        knob.raw_value = value
    return moves


def read_builtin(name: str) -> Reading:
    """Read one of Pedalboard's own classes. They publish no ranges: those of dasp's effect with the same plugin hold."""
    from dasp.effects import registry

    kind = getattr(pedalboard(), name)
    try:
        plugin = kind()
    except TypeError as error:
        raise ValueError(
            f"{name}: Pedalboard makes none without further arguments; use dasp's own effect of that kind."
        ) from error
    known = next((e for e in registry().values() if e.plugin == name or (e.__name__ == name and e.plugin)), None)
    table = {q.name: q for q in known.controls} if known else {}
    attributes = [a for a in dir(kind) if isinstance(getattr(kind, a), property) and a not in ("is_effect", "is_instrument")]
    attributes.sort(key=[*table, *attributes].index)
    continuous, unranged, choices, enums = [], {}, {}, {}
    for attribute in attributes:
        value = getattr(plugin, attribute)
        if attribute in table:
            q = table[attribute]
            continuous.append(
                Param(q.name, q.unit, q.low, q.high, _default(q, value), q.scale, q.doc, NONE * bool(q.surrogate), q.step)
            )
        elif isinstance(value, bool):
            choices[attribute] = (False, True), value
        elif isinstance(value, int | float) and math.isfinite(value):
            unranged[attribute] = float(value)
        elif members := _members(type(value)):
            enums[attribute] = members
            choices[attribute] = tuple(members), next(n for n, m in members.items() if m == value)

    def recipe(**attributes: Any) -> Recipe:
        return [(name, {n: enums[n][v] if n in enums else v for n, v in attributes.items()})]

    plugin.process(np.zeros((2, 4096), np.float32), 44100)
    plugin.reset()
    late = plugin.process(np.zeros((2, 4096), np.float32), 44100, reset=False).shape[1] < 4096
    return Reading(
        name,
        f"Pedalboard's {name}",
        tuple(continuous),
        choices,
        {},
        known.channels if known else None,
        unranged=unranged,
        recipe=recipe,
        links_channels=known.links_channels if known else True,
        needs_rate=known.plugin_needs_rate if known else False,
        static_because="it holds samples back between two calls." if late else "",
    )


def _default(q: Param, value: float) -> float:
    """The plugin's default, which it keeps in float32, without the digits that float32 adds."""
    value = min(max(value, q.low), q.high)
    short = float(f"{value:.6g}")
    return short if np.float32(short) == np.float32(value) and q.low <= short <= q.high else value


def _members(kind: type) -> dict[str, Any]:
    """The members of an enumeration by name; Pedalboard's are not Python's own."""
    return dict(getattr(kind, "__members__", {}))
