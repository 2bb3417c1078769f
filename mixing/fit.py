"""Adam on a console's controls: the middle stage of a match."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from mixing.console import Console, Controls
from mixing.loss import StereoLoss
from mixing.multitrack import Multitrack
from mixing.result import sounding

Progress = Callable[[str, int, int, float], None]


@dataclass(frozen=True)
class Free:
    """Which controls may move: bool masks over the tables of tracks, buses and master."""

    tracks: Tensor
    buses: Tensor
    master: Tensor


def free_controls(console: Console) -> Free:
    """All but the wet and dry level of a bus: the sends say how much of it there is."""
    fixed = ("wet_level", "dry_level")
    return Free(
        torch.ones(len(console.track_controls), dtype=torch.bool),
        torch.tensor([not q.name.endswith(fixed) for q in console.bus_controls], dtype=torch.bool),
        torch.ones(len(console.master_controls), dtype=torch.bool),
    )


def fit(
    console: Console,
    multitrack: Multitrack,
    reference: Tensor,
    start: Controls,
    *,
    steps: int,
    stereo_loss: bool,
    learning_rate: float = 0.02,
    seconds: float = 4.0,
    preroll: float = 1.0,
    seed: int = 0,
    progress: Progress = lambda *_: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Controls:
    """Gradient descent in [0, 1] on random excerpts.

    Adam with a short warm-up and a cosine to 2 %; fader, pan and sends at 0.3 of the rate, since the start knows them well.
    Each excerpt is drawn track first, then a place where that track sounds; a pre-roll fills the effects' memories and is
    not judged.

    Args:
        console: its gradient strategies give the gradient.
        multitrack: one song.
        reference: (2, T).
        start: controls of one song.
        steps: how many; the schedule's length is the time.
        stereo_loss: add the sum/difference STFT loss to L1 in time; for references that these stems and this console cannot reach
            sample by sample.
        seed: of the excerpts and of torch (stochastic strategies).
    """
    rate, total = multitrack.sample_rate, multitrack.samples
    length = min(round(seconds * rate), total)
    lead = min(round(preroll * rate), total - length)
    inserts = len(console.inserts)
    free = free_controls(console)
    fast, slow = start.tracks[..., :inserts].clone(), start.tracks[..., inserts:].clone()
    buses, master = start.buses.clone(), start.master.clone()
    leaves = [t.requires_grad_() for t in (fast, slow, buses, master)]
    optimiser = torch.optim.Adam([{"params": [t], "scale": s} for t, s in zip(leaves, (1.0, 0.3, 1.0, 1.0), strict=True)])
    spectral = StereoLoss() if stereo_loss else None
    places = _places(multitrack, length)
    generator = torch.Generator().manual_seed(seed)
    warm = max(1, steps // 20)

    def controls() -> Controls:
        return Controls(torch.cat([fast, slow], -1), buses, master)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for step in range(steps):
            if should_stop():
                break
            first = _draw(places, generator)
            begin = max(0, first - lead)
            part = multitrack.excerpt(begin, first - begin + length)
            mix = console(part, controls()).audio[..., first - begin :]
            target = reference[None, :, first : first + length]
            level = target.abs().mean().clamp_min(1e-5)
            loss = (mix - target).abs().mean() / level
            if spectral is not None:
                loss = loss + spectral(mix, target)
            optimiser.zero_grad()
            loss.backward()
            cosine = 0.02 + 0.98 * (0.5 + 0.5 * math.cos(math.pi * step / steps))
            for group in optimiser.param_groups:
                group["lr"] = learning_rate * group["scale"] * min(1.0, (step + 1) / warm) * cosine
            if buses.grad is not None:
                buses.grad *= free.buses
            optimiser.step()
            with torch.no_grad():
                for t in leaves:
                    t.clamp_(0.0, 1.0)
            progress("fit", step + 1, steps, float(loss.detach()))
    return controls().map(lambda t: t.detach())


def _places(multitrack: Multitrack, length: int) -> list[Tensor]:
    """For each track that sounds at all: first samples of excerpts in whose middle it does."""
    last = max(multitrack.samples - length, 0)
    places = []
    for track in multitrack.audio[0]:
        if track.any():
            middles = sounding(track, multitrack.sample_rate, 30.0)[:: round(0.05 * multitrack.sample_rate)].nonzero()[:, 0]
            hop = round(0.05 * multitrack.sample_rate)
            places.append((middles * hop - length // 2).clamp(0, last).unique())
    return places


def _draw(places: list[Tensor], generator: torch.Generator) -> int:
    track = places[int(torch.randint(len(places), (1,), generator=generator))]
    return int(track[int(torch.randint(len(track), (1,), generator=generator))])
