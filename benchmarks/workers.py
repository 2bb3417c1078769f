"""A process for each item of a batch, as published systems (DeepAFx-ST) run plugins: what dasp's thread pool is held against.

Torch is not imported here: a worker, which imports this file, holds numpy and Pedalboard and nothing else.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import time
from multiprocessing import shared_memory
from pathlib import Path
from typing import Any

import numpy as np

RATE = 44100
Recipe = list[tuple[str, dict[str, Any]]]


def series(plugins: Recipe, audio: np.ndarray) -> np.ndarray:
    """One item through fresh plugins in a row."""
    import pedalboard

    for name, attributes in plugins:
        audio = getattr(pedalboard, name)(**attributes).process(audio, RATE)
    return audio


def dot(out: np.ndarray, cotangent: np.ndarray) -> float:
    return float(np.einsum("ct,ct->", out, cotangent, dtype=np.float64))


def work(pipe: Any, blocks: dict[str, str] | None, shape: tuple[int, ...], item: int) -> None:
    """What each process does for its item until it is told to stop."""
    held, arrays = [], {}
    for key, name in (blocks or {}).items():
        held.append(shared_memory.SharedMemory(name))
        arrays[key] = np.ndarray(shape, np.float32, held[-1].buf)[item]
    while True:
        order, *rest = pipe.recv()
        if order == "forward":
            plugins, audio = rest
            if blocks is None:
                pipe.send(series(plugins, audio))
            else:
                arrays["y"][:] = series(plugins, arrays["x"])
                pipe.send(None)
        elif order == "probes":
            up, down, audio, cotangent = rest
            if blocks is not None:
                audio, cotangent = arrays["x"], arrays["g"]
            pipe.send(dot(series(up, audio), cotangent) - dot(series(down, audio), cotangent))
        elif order == "cost":
            pipe.send((time.process_time(), own_memory()))
        else:
            arrays.clear()
            return


def own_memory() -> int:
    """Bytes that this process holds; a page that n processes share counts 1/n (Linux)."""
    lines = Path(f"/proc/{os.getpid()}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


class ProcessPerItem:
    """Workers that stay, one an item, each running its item's forward pass, or its two probes and their dot product.

    Args:
        shape: of the audio (B, C, T).
        shared: audio, output and cotangent in shared memory, and only commands through the pipes; False: all through the pipes.
    """

    def __init__(self, shape: tuple[int, int, int], shared: bool) -> None:
        context = multiprocessing.get_context("spawn")
        self.blocks: dict[str, shared_memory.SharedMemory] = {}
        self.arrays: dict[str, np.ndarray] = {}
        for key in ("x", "y", "g") if shared else ():
            self.blocks[key] = shared_memory.SharedMemory(create=True, size=4 * int(np.prod(shape)))
            self.arrays[key] = np.ndarray(shape, np.float32, self.blocks[key].buf)
        names = {k: b.name for k, b in self.blocks.items()} if shared else None
        self.pipes, self.workers = [], []
        for item in range(shape[0]):
            ours, theirs = context.Pipe()
            worker = context.Process(target=work, args=(theirs, names, shape, item), daemon=True)
            worker.start()
            self.pipes.append(ours)
            self.workers.append(worker)

    def forward(self, plugins: list[Recipe], x: np.ndarray) -> np.ndarray:
        """Each item through its own plugins: (B, C, T)."""
        if self.arrays:
            self.arrays["x"][:] = x
            self._all([("forward", p, None) for p in plugins])
            return self.arrays["y"].copy()
        return np.stack(self._all([("forward", *one) for one in zip(plugins, x, strict=True)]))

    def rise(self, up: list[Recipe], down: list[Recipe], x: np.ndarray, g: np.ndarray) -> list[float]:
        """By how much the output rises along the cotangent from the lower to the upper probe, item by item."""
        if self.arrays:
            self.arrays["g"][:] = g
            return self._all([("probes", a, b, None, None) for a, b in zip(up, down, strict=True)])
        return self._all([("probes", *one) for one in zip(up, down, x, g, strict=True)])

    def cost(self) -> tuple[float, int]:
        """CPU seconds so far and bytes, of all workers together."""
        costs = self._all([("cost",)] * len(self.pipes))
        return sum(c for c, _ in costs), sum(m for _, m in costs)

    def close(self) -> None:
        for pipe in self.pipes:
            with contextlib.suppress(OSError):  # one that has died is no reason to leave the shared memory behind
                pipe.send(("stop",))
        for worker in self.workers:
            worker.join()
        self.arrays.clear()
        for block in self.blocks.values():
            block.close()
            block.unlink()

    def _all(self, orders: list[tuple]) -> list:
        for pipe, order in zip(self.pipes, orders, strict=True):
            pipe.send(order)
        return [pipe.recv() for pipe in self.pipes]
