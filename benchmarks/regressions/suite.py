"""What is measured: one of dasp's contenders beside peers that do the same work."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace

from torch import Tensor

from benchmarks.contest import BOTH, FORWARD, A, B, Contender, Contest, Controls, Size, enter

SEED = 0
TURNS = 5
QUICK = Size("quick", 2, 1, 4096)


@dataclass(frozen=True)
class Run:
    """A contender and the work that it is to do; the contest is `CONTESTS[contest]` of the module `benchmarks.GROUP`."""

    group: str
    contest: str
    size: Size
    work: str
    contender: str

    @property
    def key(self) -> dict[str, str]:
        """By which its times are found in pytest-benchmark's JSON."""
        return asdict(self) | {"size": self.size.name}


@dataclass(frozen=True)
class Pairing:
    """One of dasp's contenders and the peers against which it is timed.

    Attributes:
        title: of the work, in the page.
        group, contest, size, work: as in `Run`.
        peers: the contenders whose time over ours is the figure.
        ours: dasp's contender.
        peers_work: what the peers do, where none does the whole work.
    """

    title: str
    group: str
    contest: str
    size: Size
    work: str
    peers: tuple[str, ...]
    ours: str = "dasp"
    peers_work: str = ""

    def run(self, contender: str) -> Run:
        work = self.work if contender == self.ours else self.peers_work or self.work
        return Run(self.group, self.contest, self.size, work, contender)

    @property
    def label(self) -> str:
        return f"{self.title}, {self.work}, {self.size.name}"


LFILTER, LPC, THEIRS = "torchaudio lfilter x 6", "torchlpc", "dasp-pytorch"
FFT, FAST_FFT = "torchaudio fftconvolve", "torch.fft at a fast length"
STRIP = "dasp-pytorch + auraloss, reverb by FFT"
PLUGINS = ("Chorus", "Clipping", "Delay", "Distortion", "LadderFilter", "Limiter", "NoiseGate", "Phaser")
PAIRINGS = (
    Pairing("six-band EQ", "equalizer", "", B, FORWARD, (LFILTER, LPC, THEIRS, "scipy sosfilt float32", "pedalboard")),
    Pairing("six-band EQ", "equalizer", "", B, BOTH, (LFILTER, LPC, THEIRS)),
    Pairing("compressor", "compressor", "", B, FORWARD, ("torchcomp core on the level", "pedalboard")),
    Pairing("compressor", "compressor", "", B, BOTH, ("torchcomp core on the level", THEIRS)),
    Pairing("compressor", "compressor", "", B, BOTH, ("torchcomp core on the dB curve",), "dasp StudioCompressor"),
    Pairing("Freeverb", "reverb", "", B, FORWARD, ("pedalboard",)),
    Pairing("Freeverb, the plugin forward only", "reverb", "", B, BOTH, ("pedalboard",), peers_work=FORWARD),
    Pairing("one-pole, a pole for every sample", "onepole", "", B, FORWARD, (LPC, "philtorch")),
    Pairing("one-pole, a pole for every sample", "onepole", "", B, BOTH, (LPC, "philtorch")),
    Pairing("convolution, 2 s", "convolution", "", B, FORWARD, (FFT, FAST_FFT)),
    Pairing("convolution, 2 s", "convolution", "", B, BOTH, (FFT, FAST_FFT)),
    Pairing("MR-STFT loss, auraloss's defaults", "loss", "auraloss's defaults", B, BOTH, ("auraloss",)),
    Pairing("MR-STFT loss, hops of a quarter", "loss", "hops of a quarter", B, BOTH, ("auraloss",)),
    Pairing("strip and loss step", "strip", "", B, BOTH, (STRIP,), "dasp, Freeverb"),
    Pairing("strip and loss step", "strip", "", B, BOTH, (STRIP,), "dasp, noise-shaped reverb"),
    *(Pairing(name, "pedalboard", name, A, FORWARD, ("pedalboard",)) for name in PLUGINS),
)
OURS = {pairing.ours for pairing in PAIRINGS}
GROUPS = tuple(dict.fromkeys(pairing.group for pairing in PAIRINGS))


def chosen(groups: Sequence[str] = (), quick: bool = False) -> list[Pairing]:
    """The pairings of some groups, or of all; with short audio where it should be quick."""
    found = [pairing for pairing in PAIRINGS if not groups or pairing.group in groups]
    return [replace(pairing, size=QUICK) for pairing in found] if quick else found


def turns(pairings: Sequence[Pairing], count: int) -> Iterator[tuple[int, Run]]:
    """Every run once, then every run again, so that whatever else the machine does falls on a contest's contenders alike. Those
    of one contest follow each other, and each turn begins with another one."""
    contests: dict[tuple[str, str], list[Run]] = {}
    for pairing in pairings:
        runs = contests.setdefault((pairing.group, pairing.contest), [])
        runs += [run for name in (pairing.ours, *pairing.peers) if (run := pairing.run(name)) not in runs]
    for turn in range(count):
        for runs in contests.values():
            first = turn % len(runs)
            yield from ((turn, run) for run in runs[first:] + runs[:first])


def contest(group: str, name: str) -> Contest:
    return importlib.import_module(f"benchmarks.{group}").CONTESTS[name]


def contender(run: Run) -> Contender:
    return next(one for one in contest(run.group, run.contest).contenders if one.name == run.contender)


@functools.cache
def case(group: str, name: str, size: Size) -> tuple[Tensor, Controls]:
    """What all contenders of a contest are given."""
    return contest(group, name).case(size, SEED)


@functools.cache
def entered(run: Run) -> Callable[[], object]:
    """The work, done once already.

    Raises:
        Missing: a package is missing, or a peer fails.
    """
    x, controls = case(run.group, run.contest, run.size)
    entry = enter(contender(run), x, controls, run.size, run.work, SEED, must=run.contender in OURS)
    if entry is None:
        raise ValueError(f"benchmarks: {run.contender} does not do {run.work}; take it out of the pairing of {run.group}.")
    return entry.run
