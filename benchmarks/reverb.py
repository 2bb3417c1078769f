"""Freeverb: eight combs and four all-passes a side, each item with its own five controls."""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.contest import (
    BOTH,
    FORWARD,
    RATE,
    SMALL,
    B,
    C,
    Contender,
    Contest,
    Controls,
    Outcome,
    Setup,
    Size,
    Work,
    agree,
    by_autodiff,
    compete,
    differentiable,
)
from benchmarks.results import Aim, Group, find, ratio
from dasp import Reverb
from dasp.atoms.freeverb import INPUT_GAIN, freeverb, freeverb_reference, line_lengths


def case(size: Size, seed: int) -> tuple[Tensor, Controls]:
    """Noise; controls in the middle of their ranges."""
    generator = torch.Generator().manual_seed(seed)
    x = 0.3 * torch.randn(*size.shape, generator=generator)
    names = [q.name for q in Reverb.controls]
    u = 0.2 + 0.6 * torch.rand(len(names), size.batch, generator=generator)
    return x, {name: v.double().requires_grad_() for name, v in zip(names, u, strict=True)}


def dasp(x: Tensor, controls: Controls) -> Work:
    effect = Reverb(RATE)
    return differentiable(lambda x, **c: effect(x, **c), x, controls)


def pedalboard(x: Tensor, controls: Controls) -> Work:
    from dasp.parity import by_hand

    effect, values = Reverb(RATE), {k: v.detach() for k, v in controls.items()}
    return Work(lambda: by_hand(effect, x, values))


def oracle(x: Tensor, controls: Controls, cotangent: Tensor | None) -> tuple[Tensor, list[Tensor]]:
    """The effect in float64; its network has to agree with a loop and autograd. There the rate is so low, and with it the delays
    so short, that each of them comes round within the piece."""
    rate, short = 4410, x[:1, :1, :400]
    room, damp = (controls[k][:1].detach().reshape(1, 1, 1).requires_grad_() for k in ("room_size", "damping"))
    lengths = line_lengths(rate, 1)
    empty = short.new_zeros(1, sum(lengths) + 8)
    one = freeverb(short, room * 0.28 + 0.7, damp * 0.4, rate)[0]
    other = freeverb_reference(short * INPUT_GAIN, (room * 0.28 + 0.7)[:, 0], (damp * 0.4)[:, 0], lengths, empty)[0]
    agree("the float64 network and a loop", one, other, 1e-10)
    for a, b in zip(torch.autograd.grad(one.sum(), [room, damp]), torch.autograd.grad(other.sum(), [room, damp]), strict=True):
        agree("the float64 network's gradients and autograd's", a, b, 1e-7)
    effect = Reverb(RATE)
    y, gradients = by_autodiff(lambda x, **c: effect(x, **c))(x, controls, cotangent)
    return y, list(gradients)


CONTENDERS = (
    Contender("dasp", dasp),
    Contender("pedalboard", pedalboard, ("pedalboard",), "forward only"),
)
CONTESTS = {"": Contest(case, CONTENDERS, oracle)}


def run(setup: Setup) -> Group:
    out = Outcome()
    for size in (SMALL,) if setup.quick else (B, C):
        for work in (FORWARD, BOTH):
            out.add(compete(CONTESTS[""], size, work, setup, group="reverb", measure_memory=size is C))
    return Group(TITLE, ABOUT, tuple(out.rows), () if setup.quick else tuple(aims(out)), tuple(out.notes))


def aims(out: Outcome) -> list[Aim]:
    forward, both = (find(out.rows, "dasp", "C", work) for work in (FORWARD, BOTH))
    plugin = find(out.rows, "pedalboard", "C", FORWARD)
    return [
        Aim("Freeverb, forward, C: faster than Pedalboard's", ratio(plugin, forward), 1, False, " x"),
        Aim("Freeverb, C: f+b over forward", ratio(both, forward), 4, True, " x"),
    ]


TITLE = "Reverb (Freeverb)"
ABOUT = """Oracle: the same network in float64, which has to agree with a loop over samples and autograd on a short piece."""
