"""Songs of any length: read in blocks, and mixed in blocks that together are the whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from dasp.chain import Compound
from mixing.console import Console, Controls
from mixing.mixers import Mix
from mixing.multitrack import Multitrack
from mixing.stems import Stems

_ELEMENTS = 1 << 23  # samples of all tracks and channels together that a block has
_SHORTEST = 1 << 12

Progress = Callable[[int, int], None]
"""Called with samples done, of how many."""


class Source(Protocol):
    """One song that is read in parts."""

    @property
    def names(self) -> tuple[str, ...]: ...

    @property
    def channels(self) -> Tensor:
        """(N,): 1 or 2."""
        ...

    @property
    def sample_rate(self) -> float: ...

    @property
    def samples(self) -> int: ...

    def read(self, start: int, samples: int) -> Multitrack:
        """Samples [start, start + samples) of every track: a batch of one."""
        ...

    def track(self, number: int, start: int = 0, samples: int | None = None) -> Tensor:
        """One track, or samples [start, start + samples) of it: (2, samples)."""
        ...


@dataclass(frozen=True)
class Whole:
    """One song of a multitrack in memory as a `Source`; its padding tracks are left out."""

    multitrack: Multitrack
    song: int = 0

    @property
    def there(self) -> Tensor:
        """Places of the tracks that are no padding."""
        return self.multitrack.mask[self.song].nonzero()[:, 0]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.multitrack.names[self.song][i] for i in self.there.tolist())

    @property
    def channels(self) -> Tensor:
        return self.multitrack.channels[self.song, self.there]

    @property
    def sample_rate(self) -> float:
        return self.multitrack.sample_rate

    @property
    def samples(self) -> int:
        return self.multitrack.samples

    def read(self, start: int, samples: int) -> Multitrack:
        audio = self.multitrack.audio[self.song, self.there, :, start : start + samples]
        return Multitrack(audio[None], self.channels[None], self.sample_rate, (self.names,))

    def track(self, number: int, start: int = 0, samples: int | None = None) -> Tensor:
        end = self.samples if samples is None else start + samples
        return self.multitrack.audio[self.song, self.there[number], :, start:end]


@dataclass(frozen=True)
class Folder:
    """Stems on disk as a `Source`."""

    stems: Stems

    @property
    def names(self) -> tuple[str, ...]:
        return self.stems.names

    @property
    def channels(self) -> Tensor:
        return self.stems.channels

    @property
    def sample_rate(self) -> float:
        return self.stems.sample_rate

    @property
    def samples(self) -> int:
        return self.stems.samples

    def read(self, start: int, samples: int) -> Multitrack:
        return Multitrack(self.stems.read(start, samples)[None], self.channels[None], self.sample_rate, (self.names,))

    def track(self, number: int, start: int = 0, samples: int | None = None) -> Tensor:
        return self.stems.track(number, start, samples)


@dataclass(frozen=True)
class Plan:
    """Settings for one song: a console and its controls for a batch of one. Its effects play with their own DSP."""

    console: Console
    controls: Controls

    def at(self, sample_rate: float) -> Plan:
        """The same settings at another sample rate, in Hz: other effects with the same options and controls."""

        def again(effect: Any) -> Any:
            if isinstance(effect, Compound):
                return type(effect)(*map(again, effect))
            return None if effect is None else type(effect)(sample_rate, **effect.settings)

        console = self.console
        buses = {name: again(bus) for name, bus in console.buses.items()}
        return Plan(Console(again(console.track_chain), buses, again(console.master)), self.controls)


def track_parts(source: Source, number: int, size: int = 1 << 20) -> Iterator[Tensor]:
    """One track, part by part: (2, samples) each."""
    for start in range(0, source.samples, size):
        yield source.track(number, start, min(size, source.samples - start))


def block_size(source: Source) -> int:
    """Samples of a block, so that the blocks of all tracks together take the same memory for any song."""
    return max(_SHORTEST, _ELEMENTS // (2 * len(source.channels)))


@torch.no_grad()
def render(plan: Plan, source: Source, block: int | None = None, progress: Progress = lambda *_: None) -> Iterator[Tensor]:
    """The mix that a console makes of a song, block by block: (2, samples) each.

    Args:
        plan: the settings.
        source: the song.
        block: samples.
        progress: see there.
    """
    size = block or block_size(source)
    state: dict[str, Any] | None = None
    for start in range(0, source.samples, size):
        part = source.read(start, min(size, source.samples - start))
        y, state = plan.console.stream(part, plan.controls, state)
        progress(start + part.samples, source.samples)
        yield y[0]


@torch.no_grad()
def overlapped(
    mixer: Callable[[Multitrack], Mix],
    source: Source,
    block: int | None = None,
    fade: int = 1024,
    progress: Progress = lambda *_: None,
) -> Iterator[Tensor]:
    """The mix that a model of waveforms makes of a song, block by block: (2, samples) each.

    Each block is mixed with the samples before and after it that the model looks at (its attribute `margin`, 0 where it has
    none), beginning at a multiple of its `multiple`, and is cross-faded with the one before. A model that looks no further gives
    what it gives for the whole song.

    Args:
        mixer: the model.
        source: the song.
        block: samples.
        fade: samples of a cross-fade.
        progress: see there.
    """
    margin, multiple = getattr(mixer, "margin", 0), getattr(mixer, "multiple", 1)
    size = block or min(block_size(source), getattr(mixer, "longest", block_size(source)))
    size = max(size, fade)
    tail = None
    for start in range(0, source.samples, size):
        end = min(start + size, source.samples)
        low = max(0, start - margin) // multiple * multiple
        high = min(source.samples, end + fade + margin)
        y = mixer(source.read(low, high - low)).audio[0, :, start - low :]
        here = y[:, : end - start]
        if tail is not None:
            over = min(tail.shape[1], here.shape[1])
            up = (torch.arange(over, device=y.device) + 0.5) / max(over, 1)
            here = torch.cat([tail[:, :over] * (1 - up) + here[:, :over] * up, here[:, over:]], 1)
        tail = y[:, end - start : end - start + fade].clone()
        progress(end, source.samples)
        yield here


def mix(
    mixer: Any,
    source: Source,
    block: int | None = None,
    progress: Progress = lambda *_: None,
    heard: Source | None = None,
) -> tuple[Mix, Plan | None]:
    """Mix a song of any length: memory for its mix (2, T) and for one block of its tracks.

    Args:
        mixer: one with a method `settle` (a source -> a `Plan`) is asked for settings, which a console then plays; any other is a
            function of waveforms, which mixes block by block.
        source: the song.
        block: samples.
        progress: see there.
        heard: the same song at the mixer's own sample rate, where the source has another: settings are made from it.

    Returns:
        the mix of a batch of one, with its controls where there are any, and the settings.
    """
    audio, plan, at = torch.empty(1, 2, source.samples), None, 0
    if getattr(mixer, "settle", None) is not None:
        plan = mixer.settle(source) if heard is None else mixer.settle(heard).at(source.sample_rate)
        blocks = render(plan, source, block, progress)
    else:
        blocks = overlapped(mixer, source, block, progress=progress)
    for part in blocks:
        audio[0, :, at : at + part.shape[1]] = part
        at += part.shape[1]
    return Mix(audio, None if plan is None else plan.console.physical(plan.controls)), plan
