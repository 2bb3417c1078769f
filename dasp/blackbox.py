"""The one door out of torch: run an effect's plugin on a batch, unseen by autograd. Pedalboard lives here only.

`render` is a torch.library op keyed by the effect's import path: torch.compile, torch.func and opcheck see one opaque call with
known shapes. A fresh plugin instance per item (3 microseconds) in a thread pool: Pedalboard releases the GIL.
"""

from __future__ import annotations

import importlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache
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

Recipe = list[tuple[str, dict[str, float]]]
"""Pedalboard class names and their attributes, in series."""

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
def _pool(process: int) -> ThreadPoolExecutor:
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
    x: Tensor, values: Tensor, sidechain: Tensor | None, frames: int, key: str, sample_rate: float, options: str
) -> Tensor:
    """Audio (B, C, T) through the effect `key` at physical `values` (B, P) or, on the control grid of `frames`, (B, P, K)."""
    cls = _lookup(key)
    settings = json.loads(options)
    if cls.plugin is None:
        return _render_dsp(cls, x, values, sidechain, frames, sample_rate, settings)
    if x.shape[0] == 0 or x.shape[2] == 0:
        return x.new_zeros(x.shape[0], cls.out_channels(x.shape[1]), x.shape[2])
    pedalboard()
    audio = x.detach().to("cpu", torch.float32).numpy()
    key_audio = [None] * len(audio) if sidechain is None else sidechain.detach().to("cpu", torch.float32).numpy()
    rows = values.detach().to("cpu", torch.float64).numpy()
    hop = hop_length(frames, x.shape[2]) if frames else 0
    jobs = _pool(os.getpid()).map(lambda a, s, v: _render_item(cls, a, s, v, hop, sample_rate, settings), audio, key_audio, rows)
    return torch.from_numpy(np.stack(list(jobs))).to(x.device, x.dtype)


@render.register_fake
def _(x: Tensor, values: Tensor, sidechain: Tensor | None, frames: int, key: str, sample_rate: float, options: str) -> Tensor:
    return x.new_empty(x.shape[0], _lookup(key).out_channels(x.shape[1]), x.shape[2])


render.register_vmap(batched(render))


def _render_dsp(
    cls: type[Effect], x: Tensor, values: Tensor, sidechain: Tensor | None, frames: int, sample_rate: float, settings: dict
) -> Tensor:
    """An effect without a plugin: its own DSP, seen from outside only."""
    v = values[..., None] if values.ndim == 2 else hold(values, frames, x.shape[2])
    keywords: dict[str, Any] = {q.name: v[:, i : i + 1] for i, q in enumerate(cls.controls)}
    if sidechain is not None:
        keywords["sidechain"] = sidechain
    y = cls.dsp(x.detach(), sample_rate=sample_rate, **keywords, **settings)
    return y.clone() if y is x else y.contiguous()


def _recipe(cls: type[Effect], values: np.ndarray, settings: dict) -> Recipe:
    named = {q.name: float(v) for q, v in zip(cls.controls, values, strict=True)}
    if isinstance(cls.plugin, str):
        return [(cls.plugin, named)]
    assert cls.plugin is not None
    return cls.plugin(**named, **settings)


def _render_item(
    cls: type[Effect],
    audio: np.ndarray,
    key: np.ndarray | None,
    values: np.ndarray,
    hop: int,
    sample_rate: float,
    settings: dict,
) -> np.ndarray:
    if key is not None:
        # The plugin computes y = g(key) * key per channel; its gain is read off and put on the audio.
        key = np.where(key == 0, np.float32(_SILENT_KEY), key)
        return audio * (_render_item(cls, key, None, values, hop, sample_rate, settings) / key)
    if values.ndim == 1:
        return _process(_recipe(cls, values, settings), audio, sample_rate)
    return np.stack([_process_moving(cls, channel, values, hop, sample_rate, settings) for channel in audio])


def _process(recipe: Recipe, audio: np.ndarray, sample_rate: float) -> np.ndarray:
    board = pedalboard()
    samples = audio.shape[1]
    if samples <= audio.shape[0]:  # Pedalboard takes the shorter axis for the channels
        audio = np.pad(audio, ((0, 0), (0, audio.shape[0] + 1 - samples)))
    for name, attributes in recipe:
        audio = getattr(board, name)(**attributes).process(audio, sample_rate)
    return audio[:, :samples]


def _process_moving(
    cls: type[Effect], channel: np.ndarray, values: np.ndarray, hop: int, sample_rate: float, settings: dict
) -> np.ndarray:
    """One channel, block by block: a plugin takes new values between process calls, its state goes on."""
    board = pedalboard()
    chain = [getattr(board, name)(**attributes) for name, attributes in _recipe(cls, values[:, 0], settings)]
    out = np.empty_like(channel)
    for k in range(values.shape[1]):
        block = channel[k * hop : (k + 1) * hop]
        for plugin, (_, attributes) in zip(chain, _recipe(cls, values[:, k], settings), strict=True):
            for name, value in attributes.items():
                setattr(plugin, name, value)
            block = plugin.process(block, sample_rate, buffer_size=hop, reset=False)
        out[k * hop : (k + 1) * hop] = block
    return out
