"""Gauss-Newton with Levenberg-Marquardt damping on the residual of a mix: the last stage of a match.

The mix is a sum of strips, so one run of all strips with one control moved gives that control's column for every track: the
whole Jacobian costs as many runs as a strip has controls, however many tracks there are. Its product with itself may be
approximate (here: differences of strips, without what they send to the buses), since the gradient that it is applied to is exact
(autodiff of the whole console): the iteration stops only where the true gradient does.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mixing.console import Console, Controls
from mixing.fit import Progress, free_controls
from mixing.multitrack import Multitrack

_STEP = 1e-3  # of the differences, in the unit range
_CHUNK = 1 << 16


def gauss_newton(
    console: Console,
    multitrack: Multitrack,
    reference: Tensor,
    start: Controls,
    *,
    iterations: int = 6,
    window: tuple[int, int] | None = None,
    progress: Progress = lambda *_: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Controls:
    """Least squares of the whole mix against the reference (2, T). A step is taken only if the full-length cost falls.

    Args:
        console: a white-box console without a master chain.
        multitrack: one song.
        reference: (2, T).
        start: near the solution: the method is local.
        iterations: at most.
        window: (first sample, length) that the Jacobian's product is taken on; the gradient and the cost see everything.
    """
    free = free_controls(console)
    energy = reference.double().square().sum().clamp_min(1e-12)
    first, length = window or (0, multitrack.samples)
    share = length / multitrack.samples
    controls, damping = start, 1e-3
    cost, gradient = _cost(console, multitrack, reference, controls, free.buses)
    progress("refine", 0, iterations, cost)
    for iteration in range(iterations):
        if should_stop():
            break
        product = _product(console, multitrack, controls, free.buses, first, length) / (share * energy)
        diagonal = product.diagonal()
        accepted = False
        for _ in range(5):
            system = product + torch.diag(damping * diagonal + 1e-7 * diagonal.max())
            trial = _moved(controls, -torch.linalg.solve(system, gradient), free.buses)
            trial_cost, trial_gradient = _cost(console, multitrack, reference, trial, free.buses)
            if trial_cost < cost:
                accepted = True
                break
            damping *= 8
        if not accepted:
            break
        settled = trial_cost > 0.999 * cost
        controls, cost, gradient, damping = trial, trial_cost, trial_gradient, max(damping / 5, 1e-6)
        progress("refine", iteration + 1, iterations, cost)
        if settled:
            break
    return controls


def _flat(controls: Controls, free_buses: Tensor) -> Tensor:
    return torch.cat([controls.tracks.flatten(), controls.buses[0, free_buses]])


def _moved(controls: Controls, step: Tensor, free_buses: Tensor) -> Controls:
    """The controls after a step, inside [0, 1] and by at most 0.25 each."""
    step = step.clamp(-0.25, 0.25)
    count = controls.tracks.numel()
    buses = controls.buses.clone()
    buses[0, free_buses] += step[count:]
    tracks = controls.tracks + step[:count].reshape(controls.tracks.shape)
    return Controls(tracks.clamp(0, 1), buses.clamp(0, 1), controls.master)


def _cost(
    console: Console, multitrack: Multitrack, reference: Tensor, controls: Controls, free_buses: Tensor
) -> tuple[float, Tensor]:
    """Half the squared residual, normalised to the reference's energy, and its exact gradient."""
    leaves = controls.map(lambda t: t.detach().clone().requires_grad_())
    energy = reference.double().square().sum().clamp_min(1e-12)
    residual = console.sum(console.strips(multitrack, leaves.tracks), leaves)[0] - reference
    cost = 0.5 * residual.double().square().sum() / energy
    to_tracks, *rest = torch.autograd.grad(cost, (leaves.tracks, *((leaves.buses,) if len(console.buses) else ())))
    to_buses = rest[0] if rest else torch.zeros_like(controls.buses)
    return float(cost.detach()), _flat(Controls(to_tracks, to_buses, controls.master), free_buses)


@torch.no_grad()
def _product(
    console: Console, multitrack: Multitrack, controls: Controls, free_buses: Tensor, first: int, length: int
) -> Tensor:
    """J'J of the residual over [first, first + length), float64."""
    part = multitrack.excerpt(first, length)
    tracks, inserts = controls.tracks, len(console.inserts)
    count = tracks.shape[1]
    base = console.insert(part, tracks)
    strips = console.strips(part, tracks)
    level = strips_gain(console, tracks, base.dtype)
    columns = torch.empty(count, len(console.track_controls), 2, length)
    for j in range(inserts):
        moved, signs = tracks.clone(), torch.where(tracks[..., j] > 0.5, -1.0, 1.0)
        moved[..., j] += signs * _STEP
        columns[:, j] = ((console.insert(part, moved) - base) * (level * (signs / _STEP).to(base)[..., None, None]))[0]
    for j in range(inserts, inserts + 2):  # fader and pan act on the inserts' output
        moved, signs = tracks.clone(), torch.where(tracks[..., j] > 0.5, -1.0, 1.0)
        moved[..., j] += signs * _STEP
        gain = (strips_gain(console, moved, torch.float64) - strips_gain(console, tracks, torch.float64)) / _STEP
        columns[:, j] = (base * (gain * signs[..., None, None]).to(base))[0]
    bus_columns = _bus_columns(console, strips, controls, columns, inserts + 2, free_buses)
    flat = torch.cat([columns.flatten(0, 1), *bus_columns]).flatten(1)
    product = torch.zeros(len(flat), len(flat), dtype=torch.float64)
    for start in range(0, flat.shape[1], _CHUNK):
        block = flat[:, start : start + _CHUNK]
        product += (block @ block.T).double()
    return product


def strips_gain(console: Console, tracks: Tensor, dtype: torch.dtype) -> Tensor:
    """(B, N, 2, 1): what a strip's fader and pan multiply its channels with."""
    level, left, right = console.strip_gains(tracks, dtype)
    return torch.stack([level * left, level * right], -1)[..., None]


def _bus_columns(
    console: Console, strips: Tensor, controls: Controls, columns: Tensor, place: int, free_buses: Tensor
) -> list[Tensor]:
    """Fill the sends' columns (a bus is linear in what it is sent) and return those of the buses' free controls."""
    sends, start, out = console.send_gains(controls.tracks, strips.dtype), 0, []
    for i, bus in enumerate(console.buses.values()):
        size = len(bus.controls)  # type: ignore[arg-type]
        part = controls.buses[:, start : start + size]
        span = console.track_controls[place + i]
        # d gain / d unit = gain ln(10)/20 (dB over the unit range)
        slope = sends[0, :, i] * (torch.log(torch.tensor(10.0)) / 20 * (span.high - span.low))
        for n in range(strips.shape[1]):
            columns[n, place + i] = bus(strips[:, n] * slope[n], part)[0]
        feed = torch.einsum("bnct,bn->bct", strips, sends[..., i])
        wet = bus(feed, part)
        for j in free_buses[start : start + size].nonzero()[:, 0].tolist():
            moved, sign = part.clone(), -1.0 if float(part[0, j]) > 0.5 else 1.0
            moved[0, j] += sign * _STEP
            out.append((bus(feed, moved) - wet) * (sign / _STEP))
        start += size
    return out
