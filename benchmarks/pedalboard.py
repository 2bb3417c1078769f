"""Every effect that Pedalboard has: dasp's white box against the plugin, forward, one thread."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from benchmarks.contest import FORWARD, RATE, SMALL, A, Contender, Contest, Controls, Outcome, Setup, Size, Work, compete
from benchmarks.results import YARDSTICK, Aim, Group, Row, find, ratio
from dasp.blackbox import pedalboard, recipe
from dasp.effects import find as effect_named
from dasp.parity import by_hand, certified
from dasp.testing import music


def case(name: str, size: Size, seed: int) -> tuple[Tensor, Controls]:
    """Music-like tones; controls drawn from the middle of their ranges."""
    effect = effect_named(name)(RATE)
    channels = size.channels if effect.channels is None or size.channels in effect.channels else effect.channels[0]
    x = music(RATE, size.samples / RATE, channels, size.batch, seed)[..., : size.samples].float()
    generator = torch.Generator().manual_seed(seed)
    u = 0.2 + 0.6 * torch.rand(size.batch, len(effect.controls), generator=generator, dtype=torch.float64)
    return x, effect.physical(u)


def white_box(name: str, x: Tensor, controls: Controls) -> Work:
    effect = effect_named(name)(RATE)

    def forward() -> Tensor:
        with torch.no_grad():
            return effect(x, **controls)

    return Work(forward)


def plugin(name: str, x: Tensor, controls: Controls) -> Work:
    """Plugins made once for each item, as its users do; every call begins with silence."""
    effect, board = effect_named(name)(RATE), pedalboard()
    response = effect.extra(x).get("impulse_response")
    chains = []
    for i in range(len(x)):
        own = None if response is None else response[i].detach().numpy()
        typed = {k: float(v[i]) for k, v in controls.items()}
        plugins = recipe(type(effect), typed, RATE, effect.settings, own)
        chains.append(board.Pedalboard([getattr(board, kind)(**attributes) for kind, attributes in plugins]))

    def forward() -> Tensor:
        done = [torch.from_numpy(chain(row, RATE)) for chain, row in zip(chains, x.numpy(), strict=True)]
        return torch.stack(done) if len(done) > 1 else done[0][None]

    return Work(forward)


def truth(name: str, x: Tensor, controls: Controls, cotangent: Tensor | None) -> tuple[Tensor, list[Tensor]]:
    """The output of a plugin made for it alone: it is what the white box is held against."""
    return by_hand(effect_named(name)(RATE), x.float(), controls), []


def contest(name: str) -> Contest:
    contenders = (
        Contender("dasp", partial(white_box, name)),
        Contender("pedalboard", partial(plugin, name), ("pedalboard",)),
    )
    return Contest(partial(case, name), contenders, partial(truth, name), name)


CONTESTS = {name: contest(name) for name in certified()}


def differing(name: str, size: Size, seed: int) -> int:
    """Samples of the white box that are not the plugin's; -0 equals 0."""
    x, controls = case(name, size, seed)
    return int((white_box(name, x, controls).forward() != truth(name, x, controls, None)[0]).sum())


def run(setup: Setup) -> Group:
    out, size = Outcome(), SMALL if setup.quick else A
    for name, one in list(CONTESTS.items())[: 4 if setup.quick else None]:
        found = compete(one, size, FORWARD, setup, group="pedalboard", wall=False, case=name)
        if find(found.rows, "pedalboard", name, FORWARD):
            count = differing(name, size, setup.seed)
            equal = "equal to the plugin" if count == 0 else f"{count} samples differ"
            times = ratio(find(found.rows, "pedalboard", name, FORWARD), find(found.rows, "dasp", name, FORWARD))
            remark = f"{equal}; {times:.2f} x its speed"
            found.rows = [replace(r, note=remark) if r.contender == "dasp" else r for r in found.rows]
        found.rows = [r for r in found.rows if r.contender != YARDSTICK]
        out.add(found)
    return Group(TITLE, ABOUT, tuple(out.rows), () if setup.quick else tuple(aims(out.rows)), tuple(out.notes))


def aims(rows: list[Row]) -> list[Aim]:
    speeds = {}
    for name in CONTESTS:
        speed = ratio(find(rows, "pedalboard", name, FORWARD), find(rows, "dasp", name, FORWARD))
        if speed is not None:
            speeds[name] = speed
    slowest = min(speeds, key=lambda name: speeds[name]) if speeds else ""
    unequal = [r.case for r in rows if r.contender == "dasp" and not r.note.startswith("equal")] if speeds else []
    return [
        Aim(
            f"forward, every effect that Pedalboard has, A: speed of the slowest ({slowest}) over Pedalboard's",
            speeds.get(slowest),
            1,
            False,
            " x",
        ),
        Aim("of these, slower than Pedalboard", float(sum(s < 1 for s in speeds.values())) if speeds else None, 0, True),
        Aim("of these, not equal to the plugin to the bit", float(len(unequal)) if speeds else None, 0, True),
    ]


TITLE = "Forward, against the plugins themselves"
ABOUT = """Size A, options at their defaults, controls from the middle of their ranges. The plugin is made once and
runs many times, each from silence. *Output* is the difference from a plugin that was made for it alone."""
