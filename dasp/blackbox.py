"""The one door out of torch: run effects' plugins on a batch, unseen by autograd. Pedalboard lives here only.

`render` and `rises` are torch.library ops that know effects by their import path: torch.compile, torch.func and opcheck see one
opaque call with known shapes. They run a series of plugins, an item from the first to the last in one task of a thread, on fresh
instances (3 microseconds each): Pedalboard releases Python's lock. `rises` looks at the outputs of many probes through a
cotangent, within the task, so that the probes of an item share its audio and none of their outputs is kept.
"""

from __future__ import annotations

import importlib
import inspect
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol
from weakref import WeakValueDictionary

import numpy as np
import torch
from torch import Tensor

from dasp.automation import hold, hop_length
from dasp.threads import each
from gradients.batching import batched
from gradients.operators import operator

if TYPE_CHECKING:
    from dasp.param import Param

Recipe = list[tuple[str, dict[str, Any]]]
"""Pedalboard class names and their attributes, in series."""


class Host:
    """A plugin that cannot be made afresh for each item, as Pedalboard's own can: a subclass keeps it and runs it."""

    def run(
        self,
        audio: Sequence[np.ndarray],
        values: Sequence[np.ndarray],
        hop: int,
        sample_rate: float,
        settings: dict[str, Any],
        then: Callable[[int, np.ndarray], None],
    ) -> None:
        """Run a batch.

        Args:
            audio: float32 (C, T) for each item.
            values: the controls in their units, float64 (P,) for each item, or (P, K) with a column for every `hop` samples.
            hop: samples a column, or 0.
            sample_rate: in Hz.
            settings: the effect's options.
            then: to be called with each item's number and its output, float32 (C', T), on any thread.
        """
        raise NotImplementedError


class Declaration(Protocol):
    """What an effect's class says about its plugin; `dasp.Effect` documents each."""

    controls: ClassVar[tuple[Param, ...]]
    dsp: ClassVar[Callable[..., Tensor] | None]
    plugin: ClassVar[str | Callable[..., Any] | Host | None]
    plugin_needs_rate: ClassVar[bool]
    links_channels: ClassVar[bool]
    _takes: ClassVar[frozenset[str]]

    @classmethod
    def out_channels(cls, channels: int) -> int: ...


_classes: WeakValueDictionary[str, type[Declaration]] = WeakValueDictionary()

_SILENT_KEY = 1e-20  # stands for 0 in a side-chain: inaudible to the detector, yet a number that a gain can be read off


def register(cls: type[Declaration]) -> str:
    """Remember an effect's class under its import path: classes made in functions cannot be imported again."""
    key = f"{cls.__module__}:{cls.__qualname__}"
    _classes[key] = cls
    return key


def _lookup(key: str) -> type[Declaration]:
    if key not in _classes:
        importlib.import_module(key.partition(":")[0])
    return _classes[key]


@cache
def _asked(plugin: Any) -> frozenset[str]:
    """The arguments that a function which makes plugins names."""
    return frozenset(inspect.signature(plugin).parameters)


def recipe(
    cls: type[Declaration], values: dict[str, float], sample_rate: float, settings: dict, impulse_response: np.ndarray | None
) -> Recipe:
    """The plugins of an effect at values in its controls' units, as a user of Pedalboard would write them down."""
    if isinstance(cls.plugin, str):
        return [(cls.plugin, dict(values))]
    assert callable(cls.plugin)
    more = {"sample_rate": sample_rate, "impulse_response": impulse_response}
    asked = _asked(cls.plugin)
    return cls.plugin(**values, **{k: v for k, v in more.items() if k in asked and v is not None}, **settings)


def longer_than_wide(audio: np.ndarray) -> np.ndarray:
    """Audio (C, T) with silence behind it where it would not be longer than wide: Pedalboard takes the shorter axis for the
    channels. What comes out is to be cut to T again."""
    channels, samples = audio.shape
    return np.pad(audio, ((0, 0), (0, channels + 1 - samples))) if samples <= channels else audio


def check_hop(name: str, channels: int, hop: int) -> None:
    """Refuse blocks so short that Pedalboard would take their samples for channels."""
    if channels > 1 and hop <= channels:
        raise ValueError(f"{name}: too many frames; at most one in {channels + 1} samples reaches the plugin.")


def pedalboard() -> ModuleType:
    """The Pedalboard package (GPL-3, an optional extra)."""
    try:
        return importlib.import_module("pedalboard")
    except ImportError as error:
        raise ImportError(
            "the real plugins need Pedalboard, which is not installed: pip install 'dasp-toolkit[plugins]' (it is GPL-3)."
        ) from error


class Stage(NamedTuple):
    """One effect of a series.

    Attributes:
        declaration: its import path and options, as JSON.
        values: its controls in their units, (runs, P) or (runs, P, K) on the control grid.
        impulse_response: (B, C, L), where it takes one.
    """

    declaration: str
    values: Tensor
    impulse_response: Tensor | None


def joined(stages: Sequence[Stage]) -> tuple[str, Tensor, list[Tensor | None]]:
    """Stages as the ops take them: the program, the values of all, their impulse responses."""
    program = f"[{','.join(s.declaration for s in stages)}]"
    return program, torch.cat([s.values for s in stages], 1), [s.impulse_response for s in stages]


@operator("dasp::render", device="any")
def render(
    x: Tensor,
    values: Tensor,
    sidechain: Tensor | None,
    impulse_responses: Sequence[Tensor | None],
    frames: int,
    program: str,
    sample_rate: float,
) -> Tensor:
    """Audio (B, C, T) through the effects of `program` in series, at physical `values` (B, P) or, on the control grid of
    `frames`, (B, P, K): their controls one after the other. Where effects have them: a side-chain (B, C, T), the same for all,
    and impulse responses (B, C, L), one entry an effect. An effect without a recipe stands alone."""
    stages = _stages(program)
    cls, settings = stages[0]
    if cls.plugin is None:
        return _render_dsp(cls, x, values, sidechain, impulse_responses[0], frames, sample_rate, settings)
    out = torch.empty(len(x), _width(stages, x.shape[1]), x.shape[2])
    audio = out.numpy()

    def keep(item: int, probe: int, y: np.ndarray) -> None:
        audio[item] = y

    _run(x, values[:, None], sidechain, impulse_responses, frames, stages, sample_rate, keep)
    return out.to(x.device, x.dtype)


@render.register_fake
def _(
    x: Tensor,
    values: Tensor,
    sidechain: Tensor | None,
    impulse_responses: Sequence[Tensor | None],
    frames: int,
    program: str,
    sample_rate: float,
) -> Tensor:
    return x.new_empty(x.shape[0], _width(_stages(program), x.shape[1]), x.shape[2])


render.register_vmap(batched(render))


@operator("dasp::rises", device="any")
def rises(
    x: Tensor,
    values: Tensor,
    y: Tensor,
    g: Tensor,
    sidechain: Tensor | None,
    impulse_responses: Sequence[Tensor | None],
    frames: int,
    program: str,
    sample_rate: float,
) -> Tensor:
    """How far N probes of each item rise above its output y, along G cotangents g (B, G, C', T): the inner products
    <f(x, probe) - y, g>, (B, N, G) float64, of the effects `program` at `values` (B, N, P[, K]); the rest as in `render`."""
    stages = _stages(program)
    rise = torch.zeros(*values.shape[:2], g.shape[1], dtype=torch.float64)
    result = rise.numpy()
    before = y.detach().to("cpu", torch.float32).numpy()
    along = g.detach().cpu().numpy()

    def measure(item: int, probe: int, after: np.ndarray) -> None:
        # The difference first: the two large products would cancel badly. Summed in double, the factors' products are exact.
        difference = after - before[item]
        for k, cotangent in enumerate(along[item]):
            result[item, probe, k] = np.einsum("ct,ct->", difference, cotangent, dtype=np.float64)

    _run(x, values, sidechain, impulse_responses, frames, stages, sample_rate, measure)
    return rise.to(x.device)


@rises.register_fake
def _(
    x: Tensor,
    values: Tensor,
    y: Tensor,
    g: Tensor,
    sidechain: Tensor | None,
    impulse_responses: Sequence[Tensor | None],
    frames: int,
    program: str,
    sample_rate: float,
) -> Tensor:
    return x.new_empty(values.shape[0], values.shape[1], g.shape[1], dtype=torch.float64)


@rises.register_vmap
def _(info: Any, in_dims: tuple, *args: Any) -> tuple[Tensor, int]:
    x, values, y, g, *rest = args
    others = (*in_dims[:3], in_dims[4], *in_dims[5])
    if any(d is not None for d in others):
        return batched(rises)(info, in_dims, *args)
    # Cotangents alone, as in jacrev: they share the runs.
    along = g.movedim(in_dims[3], 1).flatten(1, 2)
    return rises(x, values, y, along, *rest).unflatten(2, (info.batch_size, -1)), 2


def _stages(program: str) -> list[tuple[type[Declaration], dict[str, Any]]]:
    return [(_lookup(key), settings) for key, settings in json.loads(program)]


def _width(stages: list[tuple[type[Declaration], dict[str, Any]]], channels: int) -> int:
    """Channels behind the last effect."""
    for cls, _ in stages:
        channels = cls.out_channels(channels)
    return channels


def _run(
    x: Tensor,
    values: Tensor,
    sidechain: Tensor | None,
    impulse_responses: Sequence[Tensor | None],
    frames: int,
    stages: list[tuple[type[Declaration], dict[str, Any]]],
    sample_rate: float,
    then: Callable[[int, int, np.ndarray], None],
) -> None:
    """Run every item at its values (B, N, P[, K]) and call then(item, probe, output (C', T)) within the task. An item's probes
    come one after the other, so that its audio is in the cache."""
    batch, count = values.shape[:2]
    if count * batch == 0 or x.shape[2] == 0:
        return
    pedalboard()
    hop = hop_length(frames, x.shape[2]) if frames else 0
    shape = (_width(stages, x.shape[1]), x.shape[2])

    def array(t: Tensor, dtype: torch.dtype = torch.float32) -> np.ndarray:
        return t.detach().to("cpu", dtype).numpy()

    audio, numbers = array(x), array(values, torch.float64)
    keys = None if sidechain is None else array(sidechain)
    responses = [None if h is None else array(h) for h in impulse_responses]
    cuts = np.cumsum([len(cls.controls) for cls, _ in stages])[:-1]

    def done(run: int, y: np.ndarray) -> None:
        item, probe = divmod(run, count)
        if y.shape != shape:
            names = ", ".join(cls.__name__ for cls, _ in stages)
            raise ValueError(f"{names}: the output of {tuple(audio[item].shape)} must be {shape}; the plugin made {y.shape}.")
        then(item, probe, y)

    def one(run: int) -> None:
        item, probe = divmod(run, count)
        y = audio[item]
        for (cls, settings), value, response in zip(stages, np.split(numbers[item, probe], cuts), responses, strict=True):
            key = keys[item] if keys is not None and "sidechain" in cls._takes else None
            h = None if response is None else response[item]
            y = _Plugin(cls, sample_rate, settings, hop, h).run(y, value, key)
        done(run, y)

    cls, settings = stages[0]
    if isinstance(cls.plugin, Host):
        runs = [(audio[item], numbers[item, probe]) for item in range(batch) for probe in range(count)]
        cls.plugin.run([a for a, _ in runs], [v for _, v in runs], hop, sample_rate, settings, done)
    else:
        each(one, count * batch)


def _render_dsp(
    cls: type[Declaration],
    x: Tensor,
    values: Tensor,
    sidechain: Tensor | None,
    impulse_response: Tensor | None,
    frames: int,
    sample_rate: float,
    settings: dict,
) -> Tensor:
    """An effect without a plugin: its own DSP, seen from outside only."""
    v = values[..., None] if values.ndim == 2 else hold(values, hop_length(frames, x.shape[2]), x.shape[2])
    keywords: dict[str, Any] = {q.name: v[:, i : i + 1] for i, q in enumerate(cls.controls)}
    keywords |= {k: t for k, t in (("sidechain", sidechain), ("impulse_response", impulse_response)) if t is not None}
    assert cls.dsp is not None
    y = cls.dsp(x.detach(), sample_rate=sample_rate, **keywords, **settings)
    return y.clone() if y is x else y.contiguous()


@dataclass(frozen=True)
class _Plugin:
    """How one item of a batch runs through an effect's plugins; `hop` samples a control value, 0 for static controls."""

    cls: type[Declaration]
    sample_rate: float
    settings: dict
    hop: int
    impulse_response: np.ndarray | None

    def run(self, audio: np.ndarray, values: np.ndarray, key: np.ndarray | None) -> np.ndarray:
        if key is not None:
            # The plugin computes y = g(key) * key per channel; its gain is read off and put on the audio.
            key = np.where(key == 0, np.float32(_SILENT_KEY), key)
            return audio * (self.run(key, values, None) / key)
        if values.ndim == 1:
            return self._static(audio, values)
        if self.cls.links_channels:
            return self._moving(audio, values)
        return np.concatenate([self._moving(channel[None], values) for channel in audio])

    def _recipe(self, values: np.ndarray) -> Recipe:
        named = {q.name: float(v) for q, v in zip(self.cls.controls, values, strict=True)}
        return recipe(self.cls, named, self.sample_rate, self.settings, self.impulse_response)

    def _made(self, name: str, attributes: dict[str, Any], channels: int) -> Any:
        plugin = getattr(pedalboard(), name)(**attributes)
        if self.cls.plugin_needs_rate:
            plugin.process(np.zeros((channels, channels + 1), np.float32), self.sample_rate)
            for attribute, value in attributes.items():
                setattr(plugin, attribute, value)
            plugin.reset()
        return plugin

    def _static(self, audio: np.ndarray, values: np.ndarray) -> np.ndarray:
        channels, samples = audio.shape
        audio = longer_than_wide(audio)
        for name, attributes in self._recipe(values):
            audio = self._made(name, attributes, channels).process(audio, self.sample_rate)
        return audio[:, :samples]

    def _moving(self, audio: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Block by block: a plugin takes new values between process calls, its state goes on."""
        hop, channels = self.hop, len(audio)
        check_hop(self.cls.__name__, channels, hop)
        recipe = self._recipe(values[:, 0])
        chain = [self._made(name, attributes, channels) for name, attributes in recipe]
        out = np.empty_like(audio)
        for k in range(values.shape[1]):
            block, before, recipe = audio[:, k * hop : (k + 1) * hop], recipe, self._recipe(values[:, k])
            length = block.shape[1]
            if channels > 1:
                block = longer_than_wide(block)  # the last one may be short
            for plugin, (_, old), (_, new) in zip(chain, before, recipe, strict=True):
                for name, value in new.items():
                    if value is not old[name] and value != old[name]:
                        setattr(plugin, name, value)
                block = plugin.process(block, self.sample_rate, buffer_size=hop, reset=False)
            out[:, k * hop : k * hop + length] = block[:, :length]
        return out
