"""Third-party plugins (VST3, Audio Unit): loaded once for each process, kept apart from any Module, and run.

What Pedalboard's host asks for: a plugin can be loaded on the main thread only; one that keeps its sound over a reset is loaded
again at each, so it runs there only, too. Others run on any thread, each instance on one at a time.
"""

from __future__ import annotations

import ctypes
import os
import platform
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from queue import LifoQueue
from typing import Any

import numpy as np

from dasp.blackbox import Host, check_hop, longer_than_wide, pedalboard
from dasp.param import Param
from dasp.threads import each, threads

BUFFER = "buffer_size"
"""The option of every hosted effect: how many samples the plugin is given at once while its controls stand still."""


def load(path: str, plugin_name: str | None = None) -> Any:
    """A new instance of a plugin.

    Raises:
        ImportError: it does not load; the message has the reason where one can be had.
        ValueError: the file holds several plugins, or is an instrument.
        RuntimeError: this is not the main thread.
    """
    host = pedalboard()
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError(f"{Path(path).name}: a plugin can be loaded on the main thread only; make the effect there first.")
    known = _names(path)
    if (plugin_name is None and len(known) > 1) or (plugin_name is not None and known and plugin_name not in known):
        raise ValueError(f"{Path(path).name}: plugin_name= must be one of those in the file: {', '.join(known)}.")
    try:
        plugin = host.load_plugin(path, plugin_name=plugin_name)
    except ImportError as error:
        raise ImportError(f"{Path(path).name}: Pedalboard cannot load it: {_reason(path, error)}.") from error
    if not plugin.is_effect:
        raise ValueError(f"{Path(path).name}: is an instrument; only plugins that take audio are effects.")
    return plugin


def _names(path: str) -> list[str]:
    """The plugins in a file, as far as Pedalboard tells without loading it."""
    kind = "VST3Plugin" if path.lower().rstrip("/").endswith(".vst3") else "AudioUnitPlugin"
    try:
        return list(getattr(pedalboard(), kind).get_plugin_names_for_file(path))
    except (AttributeError, ImportError):
        return []


def _reason(path: str, error: ImportError) -> str:
    """A library that the plugin lacks is what Pedalboard does not say."""
    for library in Path(path).glob(f"Contents/{platform.machine()}-linux/*.so"):
        try:
            ctypes.CDLL(str(library))
        except OSError as missing:
            return str(missing)
    lines = str(error).strip().splitlines()
    return lines[-1].strip().rstrip(".") if lines else type(error).__name__


@dataclass
class Stock:
    """The instances of one plugin in one process."""

    path: str
    plugin_name: str | None
    reloads: bool = False
    made: int = 0
    idle: LifoQueue = field(default_factory=LifoQueue)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fill(self, count: int, prepare: Callable[[Any], None]) -> None:
        """Have at least `count` instances, each prepared."""
        with self.lock:
            while self.made < count:
                plugin = load(self.path, self.plugin_name)
                prepare(plugin)
                self.reloads = reloads_at_reset(plugin)
                self.idle.put(plugin)
                self.made += 1

    @contextmanager
    def lent(self) -> Iterator[Any]:
        """An instance that nobody else uses meanwhile."""
        plugin = self.idle.get()
        try:
            yield plugin
        finally:
            self.idle.put(plugin)


@cache
def _stock(process: int, path: str, plugin_name: str | None) -> Stock:
    return Stock(path, plugin_name)


def reloads_at_reset(plugin: Any) -> bool:
    """Whether the plugin keeps its sound over a reset, so that Pedalboard loads it again: then it refuses other threads."""
    refused = []

    def reset() -> None:
        try:
            plugin.reset()
        except RuntimeError as error:
            refused.append(error)

    thread = threading.Thread(target=reset)
    thread.start()
    thread.join()
    return bool(refused)


@dataclass(frozen=True, eq=False)
class FileHost(Host):
    """One plugin, with the tables by which values in physical units become its knobs' positions in [0, 1].

    Args:
        path, plugin_name: what is loaded.
        table: of each control of the effect, the plugin's own range of it.
        held: the same for continuous parameters that are options of the effect.
        renamed: what the plugin calls those parameters that have another name here.
        width: a channel count that the plugin takes.
    """

    path: str
    plugin_name: str | None
    table: tuple[Param, ...]
    held: Mapping[str, Param]
    renamed: Mapping[str, str]
    width: int

    def new(self) -> Any:
        """An instance of its own, as `run` uses them."""
        plugin = load(self.path, self.plugin_name)
        self._stir(plugin)
        return plugin

    def _own(self, name: str) -> str:
        return self.renamed.get(name, name)

    def _stir(self, plugin: Any) -> None:
        """Move every knob. One that never moved can differ in the last bit from one put back where it stood: a plugin keeps
        values, not positions, and is told of changes only."""
        for knob in (*self.table, *self.held.values()):
            parameter = plugin.parameters[self._own(knob.name)]
            parameter.raw_value = (parameter.raw_value + 0.5) % 1
        plugin.process(np.zeros((self.width, 64), np.float32), 44100)

    def run(
        self,
        audio: Sequence[np.ndarray],
        values: Sequence[np.ndarray],
        hop: int,
        sample_rate: float,
        settings: dict[str, Any],
        then: Callable[[int, np.ndarray], None],
    ) -> None:
        stock = _stock(os.getpid(), self.path, self.plugin_name)
        on_main = threading.current_thread() is threading.main_thread()
        if on_main or stock.made == 0:
            stock.fill(1, self._stir)

        def one(item: int) -> None:
            with stock.lent() as plugin:
                heard = self.play(plugin, audio[item], values[item], hop=hop, sample_rate=sample_rate, settings=settings)
            then(item, heard)

        if stock.reloads:
            if not on_main:
                raise RuntimeError(
                    f"{Path(self.path).stem}: keeps its sound over a reset, so it is loaded again for each run, which works on "
                    "the main thread only; call it there, with audio on the CPU (a GPU's backward pass has a thread of its own)."
                )
            for item in range(len(audio)):
                one(item)
            return
        if on_main:
            stock.fill(min(len(audio), threads()), self._stir)
        each(one, len(audio))

    def play(
        self, plugin: Any, audio: np.ndarray, values: np.ndarray, *, hop: int, sample_rate: float, settings: dict[str, Any]
    ) -> np.ndarray:
        """One item of a batch on a given instance."""
        self._set_options(plugin, settings)
        if hop:
            return self._moving(plugin, audio, values, hop, sample_rate)
        self._set(plugin, values)
        heard = plugin.process(longer_than_wide(audio), sample_rate, buffer_size=settings[BUFFER])
        return heard[:, : audio.shape[1]]

    def _set(self, plugin: Any, values: np.ndarray) -> None:
        # The position in [0, 1] is what the plugin stores; its attributes in units go through the text that it displays.
        parameters = plugin.parameters
        for knob, value in zip(self.table, values, strict=True):
            parameters[self._own(knob.name)].raw_value = _position(knob, float(value))

    def _set_options(self, plugin: Any, settings: dict[str, Any]) -> None:
        for name, value in settings.items():
            own = self._own(name)
            if name in self.held:
                plugin.parameters[own].raw_value = _position(self.held[name], value)
            elif name != BUFFER and getattr(plugin, own) != value:
                setattr(plugin, own, value)

    def _moving(self, plugin: Any, audio: np.ndarray, values: np.ndarray, hop: int, sample_rate: float) -> np.ndarray:
        """Block by block: the plugin takes new values between process calls, its state goes on. What a plugin with latency holds
        back is pushed out by silence."""
        channels, samples = audio.shape
        check_hop(Path(self.path).stem, channels, hop)
        self._set(plugin, values[:, 0])
        plugin.reset()
        blocks, done, index = [], 0, 0
        while done < samples:
            self._set(plugin, values[:, min(index, values.shape[1] - 1)])
            block = audio[:, index * hop : (index + 1) * hop]
            block = np.pad(block, ((0, 0), (0, hop - block.shape[1])))
            out = plugin.process(block, sample_rate, buffer_size=hop, reset=False)
            blocks.append(out)
            done += out.shape[1]
            index += 1
        return np.concatenate(blocks, 1)[:, :samples]


def _position(knob: Param, value: float) -> float:
    """A value in its unit -> the knob's position; what lies outside stops at the knob's end."""
    return min(max(knob.to_unit(value), 0.0), 1.0)
