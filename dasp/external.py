"""Any VST3, Audio Unit or Pedalboard plugin as an effect: `external("Plugin.vst3")`. Its table is read from the plugin itself."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor

from dasp.blackbox import Host, Recipe, pedalboard
from dasp.effect import Effect, nearest
from dasp.hosting import BUFFER, FileHost
from dasp.param import Param
from dasp.reading import Reading, read_builtin, read_file
from gradients import Strategy

Range = tuple[float, float] | tuple[float, float, str]
"""Lowest and highest value of a control, and its scale where that is not "linear"."""


@dataclass(frozen=True)
class Source:
    """What a plugin's class is made from: enough to make it again in another process."""

    what: str
    is_file: bool
    plugin_name: str | None = None
    ranges: tuple[tuple[str, Range], ...] = ()
    controls: tuple[str, ...] | None = None


class External(Effect):
    """A plugin known by its sound only: no white box, so no `gradient="autodiff"`. `external` makes one.

    Args:
        sample_rate, gradient, proxy: as of Effect; "spsa" by default.
        **options: the plugin's parameters that are no controls, by name.

    Class attributes:
        source: where the plugin is from.
        choices: the values that an option may have, for those with a list of them.
        held: range and unit of the other options, which the plugin varies continuously.
        left_out: the plugin's further parameters, and why they are none of the effect's.
    """

    source: ClassVar[Source]
    choices: ClassVar[Mapping[str, tuple]] = {}
    held: ClassVar[Mapping[str, Param]] = {}
    left_out: ClassVar[Mapping[str, str]] = {}
    # Its memory stays within the plugin: a stream's state is refused by the strategy, not left out without a word.
    _takes: ClassVar[frozenset[str]] = frozenset({"state"})

    def __init__(
        self,
        sample_rate: float = 44100,
        *,
        gradient: str | Strategy = "spsa",
        proxy: Callable[..., Tensor] | str | os.PathLike | None = None,
        **options: Any,
    ) -> None:
        super().__init__(sample_rate, gradient=gradient, proxy=proxy, **options)
        for option, value in options.items():
            if option in self.choices and value not in self.choices[option]:
                known = self.choices[option]
                near = nearest(str(value), map(str, known))
                raise ValueError(f"{self.name}: {option} is one of {', '.join(map(repr, known))}; got {value!r}.{near}")
            held = self.held.get(option)
            if held is not None and not held.low <= value <= held.high:
                raise ValueError(f"{self.name}: {option} is from {held.low:g} to {held.high:g} {held.unit}; got {value!r}.")
        buffer = self.settings.get(BUFFER, 1)
        if not isinstance(buffer, int) or buffer < 1:
            raise ValueError(f"{self.name}: {BUFFER} is a number of samples, at least 1; got {buffer!r}.")

    @property
    def path(self) -> str:
        source, options = self.source, {k: v for k, v in self.settings.items() if v != type(self).options[k]}
        named = {"plugin_name": source.plugin_name, "ranges": dict(source.ranges), "controls": source.controls, **options}
        return f"dasp:external({', '.join([repr(source.what), *(f'{k}={v!r}' for k, v in named.items() if v)])})"

    @property
    def shipped(self) -> str:
        return ""

    def stream(
        self, x: Tensor, state: dict | None = None, controls: Tensor | None = None, **physical: float | Tensor
    ) -> tuple[Tensor, dict]:
        """Refused, whatever x, state, controls and physical are: the plugin's memory cannot be taken out of it between blocks.

        Raises:
            ValueError: always.
        """
        raise ValueError(f"{self.name}: a plugin keeps its memory to itself and cannot stream; process the signal as a whole.")

    def __reduce__(self) -> tuple:
        # The class was made here and has no place to be imported from.
        return _blank, (type(self).source,), self.__dict__


def external(
    plugin: str | Path | type,
    sample_rate: float = 44100,
    *,
    gradient: str | Strategy = "spsa",
    proxy: Callable[..., Tensor] | str | os.PathLike | None = None,
    plugin_name: str | None = None,
    ranges: Mapping[str, Range] | None = None,
    controls: Sequence[str] | None = None,
    **options: Any,
) -> External:
    """An effect from a plugin: a VST3 or Audio Unit file, or a class of Pedalboard's.

    Its continuous parameters are the controls, in the plugin's own units where it has them on a linear or logarithmic scale, else
    as positions in [0, 1]; their defaults are the plugin's. Those with a list of values are options. Meters, presets, bypass and
    what no host may automate are left out. `help(type(effect))` lists all of these.

    Derivatives: of the controls by "spsa" or "fd" through the plugin itself, or by a proxy; of the audio by a strategy with
    audio="adjoint" where the plugin is linear and time-invariant (`external_health` tells), with audio="proxy", else refused.

    Args:
        plugin: path of the file, or a class of Pedalboard's or its name.
        sample_rate: in Hz.
        gradient, proxy: as of any effect; there is no white box.
        plugin_name: which plugin, of a file with several.
        ranges: name: (low, high) or (low, high, "log"), where a control shall have less than the plugin's range or another scale.
            Pedalboard's own classes publish no ranges: those of dasp's effect of that name hold, where there is one.
        controls: names of the continuous parameters that are controls, in this order; the others become options. None: all.
        **options: values of the options; of a file's plugin also `buffer_size`, the samples that it is given at once.

    Returns:
        the effect. The same plugin gives the same class.

    Raises:
        ValueError: no such file, class, parameter or value; the message has what there is.
        ImportError: Pedalboard is not installed, or cannot load the file.
        RuntimeError: not called on the main thread, the only one on which a plugin's file can be loaded.
    """
    what, is_file = _located(plugin)
    if not is_file and plugin_name is not None:
        raise ValueError(f"{what}: plugin_name= chooses within a file; a class of Pedalboard's is one plugin.")
    chosen = None if controls is None else tuple(controls)
    cls = _class_of(Source(what, is_file, plugin_name, tuple(sorted((ranges or {}).items())), chosen))
    return cls(sample_rate, gradient=gradient, proxy=proxy, **options)


def _located(plugin: str | Path | type) -> tuple[str, bool]:
    """(absolute path, True) or (name of Pedalboard's class, False)."""
    host = pedalboard()
    if not isinstance(plugin, type):
        path = Path(plugin).expanduser()
        if path.exists():
            return str(path.resolve()), True
    name = plugin.__name__ if isinstance(plugin, type) else str(plugin)
    known = [n for n, c in vars(host).items() if isinstance(c, type) and issubclass(c, host.Plugin) and c is not host.Plugin]
    known = [n for n in known if not issubclass(getattr(host, n), host.PluginContainer | host.ExternalPlugin)]
    if name not in known or not (isinstance(plugin, str) or getattr(host, name) is plugin):
        raise ValueError(f"external: no plugin's file {name!r}, and Pedalboard has no class of that name.{nearest(name, known)}")
    return name, False


def _blank(source: Source) -> External:
    cls = _class_of(source)
    return cls.__new__(cls)


@cache
def _class_of(source: Source) -> type[External]:
    reading = read_file(source.what, source.plugin_name) if source.is_file else read_builtin(source.what)
    ranges = dict(source.ranges)
    continuous = {q.name: q for q in reading.continuous}
    for name in (*ranges, *(source.controls or ())):
        if name not in continuous and name not in reading.unranged:
            known = (*continuous, *reading.unranged)
            raise ValueError(
                f"{reading.name}: no continuous parameter {name!r}; it has {', '.join(known) or 'none'}.{nearest(name, known)}"
            )
    for name, (low, high, *_) in ranges.items():
        q = continuous.get(name)
        if source.is_file and q and not q.low <= low < high <= q.high:
            raise ValueError(f"{reading.name}: {name} goes from {q.low:g} to {q.high:g}; ranges= asks for {low:g} to {high:g}.")
    continuous |= {
        n: _ranged(Param(n, "", v - 1, v + 1, v, doc=n.replace("_", " ")), ranges[n])
        for n, v in reading.unranged.items()
        if n in ranges
    }
    chosen = [n for n in (continuous if source.controls is None else source.controls) if n in continuous]
    if not chosen and reading.unranged:
        raise ValueError(
            f"{reading.name}: Pedalboard publishes no ranges of {', '.join(reading.unranged)}; give those of the controls, as in "
            f"ranges={{{next(iter(reading.unranged))!r}: (low, high)}}."
        )
    table = tuple(_ranged(continuous[n], ranges[n]) if n in ranges else continuous[n] for n in chosen)
    held = {n: q for n, q in continuous.items() if n not in chosen}
    options = {n: values[1] for n, values in reading.choices.items()} | {n: q.default for n, q in held.items()}
    options |= {n: v for n, v in reading.unranged.items() if n not in continuous}
    plugin: Host | Callable[..., Recipe]
    if source.is_file:
        knobs, width = tuple(continuous[n] for n in chosen), min(reading.channels or (2,))
        plugin = FileHost(source.what, source.plugin_name, knobs, held, reading.renamed, width)
        options[BUFFER] = 8192
    else:
        plugin = staticmethod(reading.recipe)  # type: ignore[assignment]
    return type(
        reading.name,
        (External,),
        {
            "__doc__": _doc(reading, held),
            "__module__": __name__,
            "__qualname__": str(source),
            "source": source,
            "controls": table,
            "options": options,
            "choices": {n: values[0] for n, values in reading.choices.items()},
            "held": held,
            "left_out": reading.left_out,
            "plugin": plugin,
            "plugin_needs_rate": reading.needs_rate,
            "channels": reading.channels,
            "links_channels": reading.links_channels,
            "static_because": reading.static_because,
        },
    )


def _ranged(q: Param, wanted: Range) -> Param:
    """A control with another range or scale; a default outside moves to the nearer end."""
    low, high = float(wanted[0]), float(wanted[1])
    scale = wanted[2] if len(wanted) == 3 else "linear"
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(f"{q.name}: a range is (low, high) with low < high; got {wanted}.")
    return replace(q, low=low, high=high, scale=scale, default=min(max(q.default, low), high))  # type: ignore[arg-type]


def _doc(reading: Reading, held: Mapping[str, Param]) -> str:
    """The class's docstring, before the table of its controls."""
    lines = [f"{reading.title}, known by its sound only."]
    lines += [
        f"Option {n}: one of {', '.join(map(repr, values))}; {default!r} by default."
        for n, (values, default) in reading.choices.items()
    ]
    lines += [
        f"Option {n}: {q.low:g} to {q.high:g} {q.unit}; {q.default:g} by default.".replace(" ;", ";") for n, q in held.items()
    ]
    lines += [f"Left out: {n}, {why}." for n, why in reading.left_out.items()]
    return "\n\n".join(lines)
