"""A step of SPSA through a chain of six plugins: dasp's thread pool beside a process for each item."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor

import dasp
from benchmarks.contest import RATE, Setup, Size, relative
from benchmarks.measure import interleave, threads
from benchmarks.results import Aim, Group, Row, find, ratio
from benchmarks.workers import ProcessPerItem, Recipe
from dasp.blackbox import pedalboard

EFFECTS = ("HighpassFilter", "PeakFilter", "Compressor", "Distortion", "Delay", "Reverb")
STEP = "SPSA step"
FULL, QUICK = Size("16 x 131072", 16, 1, 131072), Size("2 x 4096", 2, 1, 4096)
Step = Callable[[], tuple[Tensor, Tensor]]


def ours(chain: dasp.Chain, x: Tensor, u: Tensor, g: Tensor) -> Step:
    """One strategy for all controls of the chain."""

    def step() -> tuple[Tensor, Tensor]:
        v = u.clone().requires_grad_()
        y = chain(x, v)
        return y.detach(), torch.autograd.grad(y, v, g)[0]

    return step


def theirs(pool: ProcessPerItem, chain: dasp.Chain, x: Tensor, u: Tensor, g: Tensor) -> Step:
    """The same arithmetic, the plugins in the pool's processes."""
    e = torch.tensor([q.step for q in chain.controls], dtype=u.dtype)

    def step() -> tuple[Tensor, Tensor]:
        y = pool.forward(recipes(chain, u), x.numpy())
        signs = torch.randint(0, 2, (1, *u.shape))[0].to(u.dtype) * 2 - 1
        up, down = (recipes(chain, u + s * e * signs) for s in (1, -1))
        rise = torch.tensor(pool.rise(up, down, x.numpy(), g.numpy()), dtype=torch.float64)
        return torch.from_numpy(y), rise[:, None] / 2 * signs / e

    return step


def recipes(chain: dasp.Chain, u: Tensor) -> list[Recipe]:
    """Controls in [0, 1] -> for each item its plugins in a row, with their attributes."""
    rows = torch.stack([q.to_physical(u[:, i].double()) for i, q in enumerate(chain.controls)], 1).tolist()
    found = []
    for row in rows:
        values = iter(row)
        found.append([(effect.name, {q.name: next(values) for q in effect.controls}) for effect in chain])
    return found


def run(setup: Setup) -> Group:
    size = QUICK if setup.quick else FULL
    try:
        pedalboard()
    except ImportError as error:
        return Group(TITLE, ABOUT, (), notes=(f"all left out: {error}",))
    generator = torch.Generator().manual_seed(setup.seed)
    x = 0.1 * torch.randn(*size.shape, generator=generator)
    g = torch.randn(*size.shape, generator=generator)
    chain = dasp.Chain(*(getattr(dasp, name)(RATE) for name in EFFECTS), gradient="spsa")
    u = 0.2 + 0.6 * torch.rand(size.batch, len(chain.controls), generator=generator, dtype=torch.float64)
    setup.progress("spsa: starting workers")
    pools = {f"process per item, {way}": ProcessPerItem(size.shape, way == "shared memory") for way in ("shared memory", "pipes")}
    try:
        steps = {"dasp": ours(chain, x, u, g)} | {name: theirs(pool, chain, x, u, g) for name, pool in pools.items()}
        with threads(setup.threads):
            first = {}
            for name, step in steps.items():
                torch.manual_seed(setup.seed)
                first[name] = step()
            setup.progress("spsa: steps")
            wall = interleave(steps, setup.effort, time.perf_counter)
        held = {name: f"{len(pool.workers)} workers hold {pool.cost()[1] / 2**20:.0f} MiB" for name, pool in pools.items()}
    finally:
        for pool in pools.values():
            pool.close()
    y, gradient = first["process per item, pipes"]
    rows = [
        Row(
            size.name,
            STEP,
            name,
            wall_ms=wall[name],
            output_error=relative(first[name][0], y),
            gradient_error=relative(first[name][1], gradient),
            note=held.get(name, "no workers"),
        )
        for name in steps
    ]
    return Group(TITLE, ABOUT, tuple(rows), () if setup.quick else tuple(aims(rows, size.name)))


def aims(rows: list[Row], case: str) -> list[Aim]:
    mine = find(rows, "dasp", case, STEP)
    against = [ratio(r, mine, wall=True) for r in rows if r.contender != "dasp"]
    least = min((a for a in against if a is not None), default=None)
    return [
        Aim("SPSA step, six-plugin chain, 16 x 131072: faster than a process per item (the faster way)", least, 1.3, False, " x")
    ]


TITLE = "SPSA through six plugins"
ABOUT = f"""{", ".join(EFFECTS)}: forward, two probes an item, dot products with the cotangent, the gradient of all controls.
Wall time, with two threads here and as many processes as items there. *Output* and *gradient*: the difference from what the
processes give with the same signs, so that both do the same work."""
