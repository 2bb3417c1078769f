"""SignalTrain LA2A: an analogue compressor recorded at many settings (Hawley et al. 2019, doi:10.5281/zenodo.3824876).

The published folder, version 1.1, holds `Train`, `Val` and `Test`, in each pairs of mono WAV files at 44.1 kHz:
`input_NNN_.wav` and `target_NNN_LA2A_XX__S__P.wav`, S the switch (0 compress, 1 limit) and P the peak reduction (0 to 100).

`python -m proxies.train --config SignalTrain --audio SignalTrain_LA2A_Dataset_1.1` trains what auraloss published a table of;
`python -m proxies.signaltrain FOLDER WEIGHTS` prints that table's columns for it.
"""

from __future__ import annotations

import re
import sys
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from proxies.audio import File, read
from proxies.config import Config
from proxies.data import Batch
from proxies.teacher import Control

PARTS = ("Train", "Val", "Test")
RATE = 44100
_INPUT = re.compile(r"input_(\d+)_\.wav")
_TARGET = re.compile(r"target_(\d+)_LA2A_[^_]+__([01])__(\d+(?:\.\d+)?)\.wav")


@dataclass(frozen=True)
class Knob:
    """One of the device's controls."""

    name: str
    unit: str
    low: float
    high: float
    scale: str = "linear"


CONTROLS: tuple[Knob, ...] = (Knob("limit", "", 0.0, 1.0), Knob("peak_reduction", "%", 0.0, 100.0))


@dataclass(frozen=True)
class Pair:
    """A recording: input and target files of equal length, and the controls in [0, 1]."""

    input: File
    target: File
    controls: tuple[float, float]


class LA2A:
    """What `proxies.train` takes as a target that is recorded and not run: a table, and pairs from a folder."""

    name = "LA2A"
    controls = CONTROLS

    def pairs(self, config: Config, folders: Sequence[str | Path]) -> Recorded:
        """Batches of the recordings below the one folder given.

        Raises:
            ValueError: not one folder, or not the published layout.
        """
        if len(folders) != 1:
            raise ValueError(f"signaltrain: needs --audio with the data set's one folder; got {len(folders)}.")
        return Recorded(config, folders[0])


class Recorded:
    """Batches of recordings; see `proxies.data.Batches`. Of each clip the phase is turned over at random in training."""

    def __init__(self, config: Config, folder: str | Path) -> None:
        if config.sample_rate != RATE or config.audio.channels != 1:
            raise ValueError(
                f"signaltrain: the recordings are mono at {RATE} Hz; the settings have {config.audio.channels} channels at "
                f"{config.sample_rate:g} Hz."
            )
        self.config = config
        self.name, self.sample_rate, self.channels = LA2A.name, float(RATE), None
        self.controls: tuple[Control, ...] = CONTROLS
        self.clips = segments(pairs(folder, "Train"), config.audio.samples)
        self.kept = segments(pairs(folder, "Val"), config.audio.samples)
        self.epoch = len(self.clips) // config.batch
        if not self.epoch or len(self.kept) < config.batch:
            raise ValueError(
                f"signaltrain: {len(self.clips)} clips to train on and {len(self.kept)} to validate; a batch has {config.batch}."
            )
        self.fingerprint = zlib.crc32(repr([(p.target.path.name, start) for p, start in self.clips]).encode())

    def training(self, number: int, rank: int = 0, world: int = 1) -> Batch:
        """Every clip once an epoch, in an order of its own."""
        epoch, place = divmod(number, self.epoch)
        generator = np.random.default_rng((self.config.seed, epoch))
        order = generator.permutation(len(self.clips))
        turned = generator.random(len(self.clips)) < 0.5
        chosen = _part(range(place * self.config.batch, (place + 1) * self.config.batch), rank, world)
        return self._batch([self.clips[order[n]] for n in chosen], [turned[n] for n in chosen])

    def validation(self, rank: int = 0, world: int = 1) -> list[Batch]:
        size = self.config.batch
        count = min(self.config.validation_batches, len(self.kept) // size)
        spread = [self.kept[i * len(self.kept) // (count * size)] for i in range(count * size)]
        return [self._batch([spread[n] for n in _part(range(k * size, (k + 1) * size), rank, world)]) for k in range(count)]

    def _batch(self, clips: Sequence[tuple[Pair, int]], turned: Sequence[bool] | None = None) -> Batch:
        x, u, y = (torch.stack(t) for t in zip(*(clip(p, start, self.config.audio.samples) for p, start in clips), strict=True))
        sign = torch.ones(len(x), 1, 1) if turned is None else 1 - 2 * torch.tensor(np.array(turned)).float()[:, None, None]
        return Batch(x * sign, u, y * sign)


def pairs(folder: str | Path, part: str) -> list[Pair]:
    """The recordings of `Train`, `Val` or `Test`, by number; only the files' headers are read.

    Raises:
        ValueError: no such folder, a file without its other half, or halves of other lengths.
    """
    import soundfile

    place = Path(folder) / part
    if not place.is_dir():
        raise ValueError(f"signaltrain: {folder} has no folder {part}; expected {', '.join(PARTS)}, as published.")
    inputs = {m[1]: p for p in sorted(place.iterdir()) if (m := _INPUT.fullmatch(p.name))}
    targets = {m[1]: (p, m) for p in sorted(place.iterdir()) if (m := _TARGET.fullmatch(p.name))}
    if lone := sorted(inputs.keys() ^ targets.keys()):
        raise ValueError(f"signaltrain: {place} has number {lone[0]} without its {'target' if lone[0] in inputs else 'input'}.")
    if not inputs:
        raise ValueError(f"signaltrain: {place} has no input_NNN_.wav with target_NNN_LA2A_XX__S__P.wav.")
    found = []
    for number, (path, match) in sorted(targets.items(), key=lambda item: int(item[0])):
        both = []
        for file in (inputs[number], path):
            info = soundfile.info(file)
            both.append(File(file, number, info.frames, info.samplerate))
        if both[0].frames != both[1].frames:
            raise ValueError(
                f"signaltrain: {path.name} has {both[1].frames} samples and its input {both[0].frames}; a damaged download?"
            )
        raw = float(match[2]), float(match[3])
        values = [(value - q.low) / (q.high - q.low) for value, q in zip(raw, CONTROLS, strict=True)]
        found.append(Pair(both[0], both[1], (values[0], values[1])))
    return found


def segments(recordings: Sequence[Pair], samples: int) -> list[tuple[Pair, int]]:
    """(recording, first sample) of all whole clips of a length, one behind the other."""
    return [(p, n * samples) for p in recordings for n in range(p.input.frames // samples)]


def clip(pair: Pair, start: int, samples: int) -> tuple[Tensor, Tensor, Tensor]:
    """(audio (1, T), controls (2,), target (1, T)) of a recording."""
    x, y = (torch.from_numpy(read(file, start / file.rate, samples, 1, file.rate)) for file in (pair.input, pair.target))
    return x, torch.tensor(pair.controls), y


def table(network: nn.Module, recordings: Sequence[Pair], samples: int = 262144, batch: int = 8) -> dict[str, float]:
    """The columns of auraloss's published table, means over the clips: L1, ESR, DC, log-cosh, STFT, MRSTFT, RRSTFT."""
    import auraloss

    losses = {
        "L1": nn.L1Loss(),
        "ESR": auraloss.time.ESRLoss(),
        "DC": auraloss.time.DCLoss(),
        "log-cosh": auraloss.time.LogCoshLoss(),
        "STFT": auraloss.freq.STFTLoss(),
        "MRSTFT": auraloss.freq.MultiResolutionSTFTLoss(),
    }
    if samples > 32768:  # the largest window that it may draw
        losses["RRSTFT"] = auraloss.freq.RandomResolutionSTFTLoss()
        np.random.seed(0)  # noqa: NPY002 (auraloss draws its resolutions from it)
    sums, count = dict.fromkeys(losses, 0.0), 0
    for x, u, y in _batches(segments(recordings, samples), samples, batch):
        with torch.no_grad():
            made = network(x, u)
        for name, loss in losses.items():
            sums[name] += float(loss(made, y)) * len(x)
        count += len(x)
    if not count:
        raise ValueError(f"signaltrain: no recording is as long as {samples} samples.")
    return {name: total / count for name, total in sums.items()}


def _batches(clips: Sequence[tuple[Pair, int]], samples: int, batch: int) -> Iterator[tuple[Tensor, ...]]:
    for first in range(0, len(clips), batch):
        parts = [clip(p, start, samples) for p, start in clips[first : first + batch]]
        yield tuple(torch.stack(t) for t in zip(*parts, strict=True))


def _part(items: Sequence[int], rank: int, world: int) -> Sequence[int]:
    """One process's part of a batch."""
    size = len(items) // world
    return items[rank * size : (rank + 1) * size]


def main(arguments: Sequence[str]) -> None:
    """Print the table's columns for weights on the data set's test part."""
    from proxies.checkpoint import load

    if len(arguments) != 2:
        sys.exit(
            "signaltrain: expected the data set's folder and a file of weights: python -m proxies.signaltrain FOLDER WEIGHTS"
        )
    try:
        row: dict[str, Any] = table(load(arguments[1], CONTROLS), pairs(arguments[0], "Test"))
    except (ValueError, OSError) as error:
        sys.exit(f"signaltrain: {str(error).removeprefix('signaltrain: ')}")
    print("\n".join(f"{name:>8} {value:.4g}" for name, value in row.items()))


if __name__ == "__main__":
    main(sys.argv[1:])
