"""The one door out of torch: run an effect's plugin on a batch, unseen by autograd. Pedalboard lives here only.

`render` is a torch.library op keyed by the effect's import path: torch.compile, torch.func and opcheck see one opaque call with
known shapes. A fresh plugin instance per item (3 microseconds) in a thread pool: Pedalboard releases the GIL.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import repeat
from types import ModuleType
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import numpy as np
import torch
from torch import Tensor

from dasp.automation import hold, hop_length
from gradients.batching import batched

if TYPE_CHECKING:
    from dasp.effect import Effect

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
    ) -> list[np.ndarray]:
        """Run a batch.

        Args:
            audio: float32 (C, T) for each item.
            values: the controls in their units, float64 (P,) for each item, or (P, K) with a column for every `hop` samples.
            hop: samples a column, or 0.
            sample_rate: in Hz.
            settings: the effect's options.

        Returns:
            float32 (C', T) for each item.
        """
        raise NotImplementedError


_classes: WeakValueDictionary[str, type[Effect]] = WeakValueDictionary()

_SILENT_KEY = 1e-20  # stands for 0 in a side-chain: inaudible to the detector, yet a number that a gain can be read off


def register(cls: type[Effect]) -> str:
    """Remember an effect's class under its import path: classes made in functions cannot be imported again."""
    key = f"{cls.__module__}:{cls.__qualname__}"
    _classes[key] = cls
    return key


def _lookup(key: str) -> type[Effect]:
    if key not in _classes:
        importlib.import_module(key.partition(":")[0])
    return _classes[key]


@cache
def _asked(plugin: Any) -> frozenset[str]:
    """The arguments that a function which makes plugins names."""
    return frozenset(inspect.signature(plugin).parameters)


def recipe(
    cls: type[Effect], values: dict[str, float], sample_rate: float, settings: dict, impulse_response: np.ndarray | None
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


@cache
def pool(process: int) -> ThreadPoolExecutor:
    """A process's threads for plugins; a forked one has its own."""
    return ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="dasp-blackbox")


def pedalboard() -> ModuleType:
    """The Pedalboard package (GPL-3, an optional extra)."""
    try:
        return importlib.import_module("pedalboard")
    except ImportError as error:
        raise ImportError(
            "the real plugins need Pedalboard, which is not installed: pip install 'dasp-toolkit[plugins]' (it is GPL-3)."
        ) from error


@torch.library.custom_op("dasp::render", mutates_args=())
def render(
    x: Tensor,
    values: Tensor,
    sidechain: Tensor | None,
    impulse_response: Tensor | None,
    frames: int,
    key: str,
    sample_rate: float,
    options: str,
) -> Tensor:
    """Audio (B, C, T) through the effect `key` at physical `values` (B, P) or, on the control grid of `frames`, (B, P, K).
    Where the effect has them: a side-chain (B, C, T) and an impulse response (B, C, L)."""
    cls = _lookup(key)
    settings = json.loads(options)
    if cls.plugin is None:
        return _render_dsp(cls, x, values, sidechain, impulse_response, frames, sample_rate, settings)
    if x.shape[0] == 0 or x.shape[2] == 0:
        return x.new_zeros(x.shape[0], cls.out_channels(x.shape[1]), x.shape[2])
    pedalboard()
    hop = hop_length(frames, x.shape[2]) if frames else 0

    def rows(t: Tensor | None, dtype: torch.dtype) -> Iterable[np.ndarray | None]:
        return repeat(None, len(x)) if t is None else t.detach().to("cpu", dtype).numpy()

    def run(audio: np.ndarray, value: np.ndarray, side: np.ndarray | None, response: np.ndarray | None) -> np.ndarray:
        return _Plugin(cls, sample_rate, settings, hop, response).run(audio, value, side)

    single, double = torch.float32, torch.float64
    if isinstance(cls.plugin, Host):
        done = cls.plugin.run([*rows(x, single)], [*rows(values, double)], hop, sample_rate, settings)  # type: ignore[list-item]
    else:
        done = pool(os.getpid()).map(
            run, rows(x, single), rows(values, double), rows(sidechain, single), rows(impulse_response, single)
        )
    return torch.from_numpy(np.stack(list(done))).to(x.device, x.dtype)


@render.register_fake
def _(
    x: Tensor,
    values: Tensor,
    sidechain: Tensor | None,
    impulse_response: Tensor | None,
    frames: int,
    key: str,
    sample_rate: float,
    options: str,
) -> Tensor:
    return x.new_empty(x.shape[0], _lookup(key).out_channels(x.shape[1]), x.shape[2])


render.register_vmap(batched(render))


def _render_dsp(
    cls: type[Effect],
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

    cls: type[Effect]
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
