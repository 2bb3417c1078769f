"""Gauss-Newton in a trust region on the residual of a mix: the last stage of a match.

The mix is a sum of strips, so one run of all strips with one control moved gives that control's column for every track: the
whole Jacobian costs as many runs as a strip has controls, however many tracks there are. Its product with itself may be
approximate (here: differences of strips on a part of the samples, without what they send to the buses), since the gradient that
it is applied to is exact (autodiff of the whole console, every sample): the iteration stops only where the true gradient does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from mixing.console import Console, Controls
from mixing.fit import Progress, free_controls
from mixing.multitrack import Multitrack

_STEP = 1e-3  # of the differences, in the unit range
_STEPS = 3  # on one linear model: it costs as much as they do
_REACH = 0.1  # of a step, in each control
_BLOCK = 4096
_BYTES = 600e6  # of the Jacobian's stored columns


@dataclass(frozen=True)
class _Model:
    """The quadratic model at a point: columns (N, P, 2, K) on the kept samples, and J'J over everything, float64."""

    columns: Tensor
    product: Tensor


def gauss_newton(
    console: Console,
    multitrack: Multitrack,
    reference: Tensor,
    start: Controls,
    *,
    iterations: int = 8,
    progress: Progress = lambda *_: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Controls:
    """Least squares of the whole mix against the reference (2, T). A step is taken only if the full-length cost falls.

    Each track has a trust region of its own, which follows how well the linear model foretold the change of its strip: one
    compressor on the edge of its threshold does not hold up the others.

    Args:
        console: a white-box console without a master chain.
        multitrack: one song.
        reference: (2, T).
        start: near the solution: the method is local.
        iterations: at most.
    """
    free, keep = free_controls(console), _kept(console, multitrack)
    energy = reference.double().square().sum().clamp_min(1e-12)
    controls = start
    damping = torch.full((multitrack.audio.shape[1],), 0.1, dtype=torch.float64)
    cost, gradient, strips = _cost_and_gradient(console, multitrack, reference, controls, free.buses)
    progress("refine", 0, iterations, cost)
    for iteration in range(iterations):
        if should_stop():
            break
        model = _linearised(console, multitrack, controls, strips, free.buses, keep)
        before = cost
        for _ in range(_STEPS):
            step = _step(model.product / energy, gradient, _flat(controls, free.buses), _spread(damping, controls, gradient))
            trial = _moved(controls, step, free.buses)
            with torch.no_grad():
                trial_strips = console.strips(multitrack, trial.tracks)
                error = _model_error(model, trial_strips - strips, step, controls, len(console.inserts) + 2, keep)
                # A track whose strip did not do what was foretold stays where it was: the mix is the sum of the others'.
                good = error < 0.6
                trial = Controls(torch.where(good[None, :, None], trial.tracks, controls.tracks), trial.buses, trial.master)
                trial_strips = torch.where(good[None, :, None, None], trial_strips, strips)
                trial_cost = float(_cost(console.sum(trial_strips, trial)[0], reference))
            damping = torch.where(good, torch.where(error < 0.25, damping / 4, damping), damping * 6).clamp(1e-5, 1e3)
            if trial_cost < cost:
                controls = trial
                cost, gradient, strips = _cost_and_gradient(console, multitrack, reference, controls, free.buses)
            else:
                damping = damping * 3
        progress("refine", iteration + 1, iterations, cost)
        if cost > 0.95 * before or cost < 1e-8:
            break
    return controls


def _kept(console: Console, multitrack: Multitrack) -> Tensor:
    """Samples of the Jacobian that are stored: blocks spread evenly over the song, so that every track is in them."""
    columns = multitrack.audio.shape[1] * len(console.track_controls)
    blocks = -(-multitrack.samples // _BLOCK)
    stride = max(2, -(-int(columns * 2 * multitrack.samples * 4) // int(_BYTES))) if blocks > 8 else 1
    starts = torch.arange(0, blocks, stride) * _BLOCK
    index = (starts[:, None] + torch.arange(_BLOCK)).flatten()
    return index[index < multitrack.samples]


def _flat(controls: Controls, free_buses: Tensor) -> Tensor:
    return torch.cat([controls.tracks.flatten(), controls.buses[0, free_buses]])


def _spread(damping: Tensor, controls: Controls, flat: Tensor) -> Tensor:
    """Each control's damping: its track's, and 0.01 for the buses'."""
    tracks = damping.repeat_interleave(controls.tracks.shape[2])
    return torch.cat([tracks, torch.full((len(flat) - len(tracks),), 1e-2, dtype=torch.float64)])


def _step(product: Tensor, gradient: Tensor, at: Tensor, damping: Tensor) -> Tensor:
    """The minimum of the damped quadratic model (Marquardt 1963) within _REACH of each control and within [0, 1]."""
    from scipy.optimize import lsq_linear

    diagonal = product.diagonal()
    damped = product + torch.diag(damping * diagonal + 1e-9 * diagonal.max())
    root = torch.linalg.cholesky(damped).mT
    right = -torch.linalg.solve_triangular(root.mT, gradient[:, None], upper=False)[:, 0]
    low, high = (-at).clamp(-_REACH, -1e-9), (1 - at).clamp(1e-9, _REACH)
    solution = lsq_linear(root.numpy(), right.numpy(), (low.numpy(), high.numpy()), method="bvls")
    return torch.from_numpy(solution.x)


def _moved(controls: Controls, step: Tensor, free_buses: Tensor) -> Controls:
    count = controls.tracks.numel()
    buses = controls.buses.clone()
    buses[0, free_buses] += step[count:]
    tracks = controls.tracks + step[:count].reshape(controls.tracks.shape)
    return Controls(tracks.clamp(0, 1), buses.clamp(0, 1), controls.master)


def _cost(mix: Tensor, reference: Tensor) -> Tensor:
    """Half the squared residual, normalised to the reference's energy."""
    return 0.5 * (mix - reference).double().square().sum() / reference.double().square().sum().clamp_min(1e-12)


def _cost_and_gradient(
    console: Console, multitrack: Multitrack, reference: Tensor, controls: Controls, free_buses: Tensor
) -> tuple[float, Tensor, Tensor]:
    """The cost, its exact gradient, and the strips (B, N, 2, T)."""
    leaves = controls.map(lambda t: t.detach().clone().requires_grad_())
    strips = console.strips(multitrack, leaves.tracks)
    cost = _cost(console.sum(strips, leaves)[0], reference)
    to_tracks, *rest = torch.autograd.grad(cost, (leaves.tracks, *((leaves.buses,) if len(console.buses) else ())))
    to_buses = rest[0] if rest else torch.zeros_like(controls.buses)
    return float(cost.detach()), _flat(Controls(to_tracks, to_buses, controls.master), free_buses), strips.detach()


@torch.no_grad()
def _linearised(
    console: Console, multitrack: Multitrack, controls: Controls, strips: Tensor, free_buses: Tensor, keep: Tensor
) -> _Model:
    tracks, inserts = controls.tracks, len(console.inserts)
    count = tracks.shape[1]
    base = console.insert(multitrack, tracks)[0]
    gain = _gains(console, tracks)
    part, level = base[..., keep], gain.to(base)
    columns = torch.empty(count, len(console.track_controls), 2, len(keep))
    for j in range(inserts + 2):
        sign = torch.where(tracks[0, :, j] > 0.5, -1.0, 1.0)  # inwards
        moved = tracks.clone()
        moved[0, :, j] += sign * _STEP
        slope = (sign / _STEP)[:, None, None]
        if j < inserts:
            columns[:, j] = (console.insert(multitrack, moved)[0][..., keep] - part) * (level * slope).to(base)
        else:  # fader and pan act on the inserts' output
            columns[:, j] = part * ((_gains(console, moved) - gain) * slope).to(base)
    bus_columns = _bus_columns(console, strips, controls, columns, inserts + 2, free_buses, keep)
    flat = torch.cat([columns.flatten(0, 1), *bus_columns]).flatten(1)
    product = torch.zeros(len(flat), len(flat), dtype=torch.float64)
    for block in flat.split(1 << 16, dim=1):
        product += (block @ block.T).double()
    return _Model(columns, product * (multitrack.samples / len(keep)))


def _gains(console: Console, tracks: Tensor) -> Tensor:
    """(N, 2, 1): what a strip's fader and pan multiply its channels with."""
    level, left, right = console.strip_gains(tracks, torch.float64)
    return torch.stack([level * left, level * right], -1)[0, ..., None]


def _bus_columns(
    console: Console, strips: Tensor, controls: Controls, columns: Tensor, place: int, free_buses: Tensor, keep: Tensor
) -> list[Tensor]:
    """Fill the sends' columns (a bus is linear in what it is sent) and return those of the buses' free controls."""
    sends, start, out = console.send_gains(controls.tracks, strips.dtype), 0, []
    for i, bus in enumerate(console.buses.values()):
        size = len(bus.controls)  # type: ignore[arg-type]
        part = controls.buses[:, start : start + size]
        span = console.track_controls[place + i]
        # d gain / d unit = gain ln(10) / 20 (dB over the unit range)
        slope = sends[0, :, i] * (2.302585 / 20 * (span.high - span.low))
        columns[:, place + i] = bus(strips[0] * slope[:, None, None], part.expand(strips.shape[1], -1))[..., keep]
        feed = torch.einsum("bnct,bn->bct", strips, sends[..., i])
        wet = bus(feed, part)
        for j in free_buses[start : start + size].nonzero()[:, 0].tolist():
            moved, sign = part.clone(), -1.0 if float(part[0, j]) > 0.5 else 1.0
            moved[0, j] += sign * _STEP
            out.append(((bus(feed, moved) - wet) * (sign / _STEP))[..., keep])
        start += size
    return out


def _model_error(model: _Model, change: Tensor, step: Tensor, controls: Controls, own: int, keep: Tensor) -> Tensor:
    """For each track how far its strip's change is from what the linear model foretold, relative to it: (N,).
    `own` controls act on the strip itself, the sends do not."""
    count, table = controls.tracks.shape[1:]
    moves = step[: count * table].reshape(count, table).float()
    foretold = torch.einsum("npct,np->nct", model.columns[:, :own], moves[:, :own])
    off = change[0][..., keep] - foretold
    return (off.double().flatten(1).norm(dim=1) / foretold.double().flatten(1).norm(dim=1).clamp_min(1e-9)).cpu()
