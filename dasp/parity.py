"""How exactly the white boxes are the plugins: `python -m dasp.parity`.

Random controls over the whole table of every effect that Pedalboard has, at three rates, mono and stereo, on four kinds of
signal. Each case compares three float32 outputs: the white box, the black box, and Pedalboard called by hand with the same
typed values.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dasp.blackbox import pedalboard, recipe
from dasp.effect import Effect
from dasp.effects import find, registry
from dasp.testing import music

RATES = (44100, 48000, 96000)
SIGNALS = ("noise", "impulse", "burst", "music")
SAMPLES = 20000  # more than two of the plugins' blocks
FRAMES = 40


@dataclass(frozen=True)
class Parity:
    """What the comparison of one effect came to.

    Attributes:
        effect: its name.
        cases: outputs compared.
        samples: samples compared.
        differing: samples of the white box that are not Pedalboard's (-0 equals 0).
        blackbox_differing: samples of the black box that are not those of Pedalboard called by hand.
        moving_differing: samples of the white box under moving controls that are not the black box's; None: they cannot move.
        worst_db: energy of the output over that of the difference, in the worst case; None where nothing differs.
    """

    effect: str
    cases: int
    samples: int
    differing: int
    blackbox_differing: int
    moving_differing: int | None
    worst_db: float | None


def signal(kind: str, rate: int, channels: int, batch: int, seed: int) -> Tensor:
    """(batch, channels, SAMPLES) float32: noise, an impulse, a decaying sine burst, or music-like tones."""
    generator = torch.Generator().manual_seed(seed)
    if kind == "noise":
        x = 0.3 * torch.randn(batch, channels, SAMPLES, generator=generator)
    elif kind == "impulse":
        x = torch.zeros(batch, channels, SAMPLES)
        x[..., 100] = 1.0
    elif kind == "burst":
        t = torch.arange(SAMPLES) / rate
        pitch = 110 * 2 ** (5 * torch.rand(batch, channels, 1, generator=generator))
        x = torch.sin(2 * math.pi * pitch * t) * torch.exp(-6 * t)
    else:
        return music(rate, SAMPLES / rate, channels, batch, seed)[..., :SAMPLES].float()
    return x


def by_hand(effect: Effect, x: Tensor, values: dict[str, Tensor]) -> Tensor:
    """Pedalboard, called as its documentation says: a fresh plugin, the values, the audio."""
    board, rows = pedalboard(), []
    response = effect.extra(x).get("impulse_response")
    for i, row in enumerate(x.numpy()):
        typed = {k: float(v[i]) for k, v in values.items()}
        own = None if response is None else response[i].detach().numpy()
        for name, attributes in recipe(type(effect), typed, effect.sample_rate, effect.settings, own):
            row = getattr(board, name)(**attributes)(row, effect.sample_rate)
        rows.append(row)
    return torch.from_numpy(np.stack(rows))


def compare(cls: type[Effect], draws: int = 100, seed: int = 0, rates: Sequence[int] = RATES) -> Parity:
    """Compare one effect, options at their defaults.

    Args:
        cls: an effect with a plugin.
        draws: random sets of controls for each rate, channel count and signal.
        seed: of controls and signals.
        rates: in Hz.

    Returns:
        how many outputs and samples were compared, how many differ, and the worst in dB.

    Raises:
        ValueError: the effect has no plugin.
    """
    if cls.plugin is None:
        raise ValueError(f"parity: {cls.__name__} has no plugin to be compared with.")
    cases = samples = differing = box = moving = 0
    worst = math.inf
    generator = torch.Generator().manual_seed(seed)
    movable = True
    for rate in rates:
        white, black = cls(rate), cls(rate, gradient="fd")
        movable = bool(cls.controls) and not white.static
        for channels in cls.channels or (1, 2):
            for kind in SIGNALS:
                x = signal(kind, rate, channels, draws, seed)
                u = torch.rand(draws, len(cls.controls), generator=generator, dtype=torch.float64)
                values = white.physical(u)
                with torch.no_grad():
                    ours, boxed = white(x, **values), black(x, **values)
                    theirs = by_hand(white, x, values)
                    if movable:
                        few = slice(0, max(1, draws // 10))
                        glide = torch.rand(len(x[few]), u.shape[1], FRAMES, generator=generator, dtype=torch.float64)
                        moving += int((white(x[few], glide) != black(x[few], glide)).sum())
                cases += draws
                samples += theirs.numel()
                differing += int((ours != theirs).sum())
                box += int((boxed != theirs).sum())
                worst = min(worst, _worst_db(ours, theirs))
    exact = math.isinf(worst)
    return Parity(cls.__name__, cases, samples, differing, box, moving if movable else None, None if exact else worst)


def _worst_db(ours: Tensor, theirs: Tensor) -> float:
    error, energy = ((t.double() ** 2).sum((1, 2)) for t in (ours - theirs, theirs))
    heard = (error > 0) & (energy > 0)
    return float((10 * torch.log10(energy[heard] / error[heard])).min()) if heard.any() else math.inf


def certified() -> dict[str, type[Effect]]:
    """The effects with a plugin, by name."""
    return {name: cls for name, cls in registry().items() if cls.plugin is not None}


def markdown(rows: Sequence[Parity]) -> str:
    """The table."""
    lines = [
        "| effect | cases | samples | differing samples | black box by hand | moving controls | worst |",
        "|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        moves = "-" if r.moving_differing is None else f"{r.moving_differing}"
        worst = "exact" if r.worst_db is None else f"{r.worst_db:.0f} dB"
        lines.append(f"| {r.effect} | {r.cases} | {r.samples:,} | {r.differing} | {r.blackbox_differing} | {moves} | {worst} |")
    return "\n".join(lines)


def _measure(names: Sequence[str], draws: int, seed: int, progress: Callable[[str], Any]) -> Iterator[Parity]:
    for name in names:
        progress(name)
        yield compare(find(name), draws, seed)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 0 if every white box is its plugin to at least 100 dB, 1 if not."""
    parser = argparse.ArgumentParser(prog="python -m dasp.parity", description=__doc__)
    parser.add_argument("effects", nargs="*", metavar="EFFECT", help="by name; all that have a plugin by default")
    parser.add_argument("--draws", type=int, default=100, help="sets of controls for each rate, width and signal (default: 100)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures here")
    given = parser.parse_args(arguments)
    try:
        chosen = [find(name) for name in given.effects]
    except ValueError as error:
        parser.error(str(error))
    for cls in chosen:
        if cls.plugin is None:
            parser.error(f"{cls.__name__} has no plugin to be compared with; these have one: {', '.join(certified())}.")
    names = [cls.__name__ for cls in chosen] or list(certified())
    rows = list(_measure(names, given.draws, given.seed, lambda name: print(f"{name} ...", file=sys.stderr, flush=True)))
    print(markdown(rows))
    if given.json:
        about = {"draws": given.draws, "seed": given.seed, "rates": RATES, "signals": SIGNALS}
        given.json.write_text(json.dumps({**about, "rows": [asdict(r) for r in rows]}, indent=1) + "\n")
    return 0 if all(r.worst_db is None or r.worst_db >= 100 for r in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
