"""Batches of (audio, controls, what the teacher makes of them); batch k is a function of settings, seed and k alone."""

from __future__ import annotations

import fnmatch
import zlib
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from proxies.audio import File, Source, index, split
from proxies.config import Config
from proxies.controls import Controls, moving
from proxies.teacher import Control, Teacher, made, teacher

_TRAINING, _VALIDATION = 0, 1  # streams of random numbers; validation is the same for every seed
_AUDIO, _FRAMES, _STEP = 0, 1, 2  # what a generator is for


class Batch(NamedTuple):
    """Audio x (B, C, T), controls u (B, P) or (B, P, frames) in [0, 1], and the teacher's output y (B, C', T); float32."""

    x: Tensor
    u: Tensor
    y: Tensor


class Batches(Protocol):
    """What a run is trained on.

    Attributes:
        name: of what is imitated.
        controls: its table.
        sample_rate: in Hz.
        channels: of the audio, where the channels of what is imitated depend on each other; None: any.
        epoch: batches until every recording was heard; 0: there is no end.
        fingerprint: changes when the files do.
    """

    name: str
    controls: tuple[Control, ...]
    sample_rate: float
    channels: int | None
    epoch: int
    fingerprint: int

    def training(self, number: int, rank: int = 0, world: int = 1) -> Batch:
        """Process `rank`'s part, one of `world` equal ones, of a batch."""
        ...

    def validation(self, rank: int = 0, world: int = 1) -> list[Batch]:
        """The same batches every time, of works and controls that training has not."""
        ...


def batches(config: Config, folders: Sequence[str | Path]) -> Batches:
    """What `config.target` names: a teacher with audio from the folders, or recordings that lie there (an object with `pairs`).

    Raises:
        ValueError: as `teacher`, `index` and `split`.
    """
    if ":" in config.target and "(" not in config.target:
        recorded = made(config.target, config.sample_rate)
        if hasattr(recorded, "pairs"):
            return recorded.pairs(config, folders)
    return Taught(teacher(config.target, config.sample_rate), config, folders)


class Taught:
    """Batches of a teacher.

    Args:
        source: the teacher.
        config: of the run.
        folders: of audio; none: all clips are synthetic.
    """

    def __init__(self, source: Teacher, config: Config, folders: Sequence[str | Path]) -> None:
        self.teacher, self.config = source, config
        channels = config.audio.channels
        if source.channels is not None and channels not in source.channels:
            wanted = " or ".join(map(str, source.channels))
            raise ValueError(f"{source.name}: takes {wanted} channels; audio.channels is {channels}.")
        self.name, self.controls, self.sample_rate = source.name, source.controls, source.sample_rate
        self.channels = channels if source.links_channels else None
        self.epoch = 0
        files = [f for f in index(folders) if any(fnmatch.fnmatchcase(f.work, p) for p in config.audio.works)]
        if folders and not files:
            raise ValueError(f"audio: works {', '.join(config.audio.works)} match nothing below {', '.join(map(str, folders))}.")
        self.fingerprint = zlib.crc32(repr([(f.work, f.path.name, f.frames, f.rate) for f in files]).encode())
        sides = split(files, config.audio.hold_out)
        self._sides = [_Side(self, side, stream) for stream, side in enumerate(sides)]

    def training(self, number: int, rank: int = 0, world: int = 1) -> Batch:
        return self._sides[_TRAINING].batch(number, rank, world)

    def validation(self, rank: int = 0, world: int = 1) -> list[Batch]:
        return [self._sides[_VALIDATION].batch(k, rank, world) for k in range(self.config.validation_batches)]


class _Side:
    """Training or validation."""

    def __init__(self, owner: Taught, files: Sequence[File], stream: int) -> None:
        config = owner.config
        self.teacher, self.config = owner.teacher, config
        self.key = (stream, config.seed if stream == _TRAINING else 0)
        audio = config.audio
        self.source = Source(tuple(files), audio.synthetic, audio.level_db, audio.silence, owner.sample_rate)
        seed = int(np.random.SeedSequence(self.key).generate_state(1)[0])
        self.points = Controls(len(owner.controls), seed, config.controls.edges)

    def batch(self, number: int, rank: int, world: int) -> Batch:
        config, size = self.config, self.config.batch // world
        items = range(number * config.batch + rank * size, number * config.batch + (rank + 1) * size)
        paired = config.loss.difference > 0
        x = np.stack([self._clip(n // 2 if paired else n) for n in items])
        u = self.points(items[0] // 2, size // 2) if paired else self.points(items[0], size)
        if paired:
            u = np.stack([u, [self._neighbour(point, items[0] // 2 + i) for i, point in enumerate(u)]], 1).reshape(size, -1)
        generator = self._generator(_FRAMES, number)
        if not self.teacher.static and not paired and generator.random() < config.controls.moving:
            frames = min(int(generator.integers(2, config.controls.frames + 1)), config.audio.samples)
            u = np.concatenate(
                [moving(self._generator(_FRAMES, number, n), p[None], frames) for n, p in zip(items, u, strict=True)]
            )
        audio, controls = torch.from_numpy(x), torch.from_numpy(u).float()
        with torch.no_grad():
            y = self.teacher.blackbox(audio, controls)
        if not y.isfinite().all():
            bad = int((~y.isfinite().flatten(1).all(1)).nonzero()[0])
            raise ValueError(f"{self.teacher.name}: its output is not finite at controls {controls[bad].tolist()} in [0, 1].")
        return Batch(audio, controls, y)

    def _generator(self, *purpose: int) -> np.random.Generator:
        return np.random.default_rng((*self.key, *purpose))

    def _clip(self, number: int) -> np.ndarray:
        return self.source.clip(self._generator(_AUDIO, number), self.config.audio.samples, self.config.audio.channels)

    def _neighbour(self, point: np.ndarray, number: int) -> np.ndarray:
        """Controls a step away: of one control in three of five cases, else of all; it turns back at the range's ends."""
        generator = self._generator(_STEP, number)
        direction = np.zeros(len(point))
        if generator.random() < 0.6:
            direction[generator.integers(len(point))] = generator.choice([-1.0, 1.0])
        else:
            direction = generator.standard_normal(len(point))
            direction /= max(float(np.linalg.norm(direction)), 1e-9)
        step = generator.uniform(*self.config.loss.difference_step) * direction
        step = np.where((point + step < 0) | (point + step > 1), -step, step)
        return np.clip(point + step, 0, 1)


def ahead(make: Callable[[int], Batch], first: int, last: int, depth: int) -> Generator[Batch]:
    """make(first), ..., make(last - 1) in this order, up to `depth` of them made by a thread while the caller works."""
    if not depth:
        yield from map(make, range(first, last))
        return
    pool = ThreadPoolExecutor(1, thread_name_prefix="proxies")
    waiting: deque[Future[Batch]] = deque()
    try:
        for number in range(first, last):
            while len(waiting) < depth and number + len(waiting) < last:
                waiting.append(pool.submit(make, number + len(waiting)))
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
