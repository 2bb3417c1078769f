"""The state of a Gauss-Newton descent on a mix: controls, strips, residual, and one step of a track or of the buses."""

from __future__ import annotations

import torch
from torch import Tensor

from mixing.console import Console, Controls
from mixing.fit import free_controls
from mixing.multitrack import Multitrack

_STEP = 1e-3  # of the differences, in the unit range
_REACH = 0.15  # of a step, in each control
_TRIALS = (0.03, 0.3, 3.0, 30.0)  # of the damping that served last
_CHUNK = 1 << 17


class Problem:
    """The state of the descent: controls, each track's contribution to the mix (N, 2, T), and the residual (2, T)."""

    def __init__(self, console: Console, multitrack: Multitrack, reference: Tensor, start: Controls) -> None:
        self.console, self.multitrack = console, multitrack
        self.tracks, self.buses, self.master = start.tracks[0].clone(), start.buses.clone(), start.master
        self.free_buses = free_controls(console).buses
        self.energy = float(reference.double().square().sum().clamp_min(1e-12))
        self.damping = [1e-2] * len(self.tracks)
        self.bus_damping = 1e-2
        self.reference = reference
        self.refresh()

    def refresh(self) -> None:
        """Strips, contributions and residual anew from the controls: what was added and taken away on the way left rounding."""
        self.strips = self.console.strips(self.multitrack, self.tracks[None])[0]
        self.contributions = torch.stack([self.heard(s, u) for s, u in zip(self.strips, self.tracks, strict=True)])
        self.residual = self.reference - self.contributions.sum(0)

    @property
    def controls(self) -> Controls:
        return Controls(self.tracks[None], self.buses, self.master)

    def cost(self) -> float:
        """Half the squared residual over the reference's energy."""
        return 0.5 * _energy(self.residual) / self.energy

    def heard(self, strip: Tensor, controls: Tensor, buses: Tensor | None = None) -> Tensor:
        """A strip (2, T) with what it sends through the buses."""
        buses = self.buses if buses is None else buses
        out, at = strip, 0
        gains = self.console.send_gains(controls[None, None], strip.dtype)[0, 0] if len(self.console.buses) else ()
        for gain, bus in zip(gains, self.console.buses.values(), strict=True):
            size = len(bus.controls)  # type: ignore[arg-type]
            out = out + bus((strip * gain)[None], buses[:, at : at + size])[0]
            at += size
        return out

    def run(self, track: int, controls: Tensor) -> tuple[Tensor, Tensor]:
        """A track under several settings (K, P): after the inserts, and after fader and pan, (K, 2, T) each."""
        width = int(self.multitrack.channels[0, track])
        x = self.multitrack.audio[:, track, :width].expand(len(controls), -1, -1)
        chain = self.console.track_chain
        y = x if chain is None else chain(x, controls[:, : len(self.console.inserts)])
        y = y.expand(-1, 2, -1)
        return y, y * self.gains(controls).to(y)

    def gains(self, controls: Tensor) -> Tensor:
        """(K, 2, 1): what fader and pan multiply the channels with."""
        level, left, right = self.console.strip_gains(controls[None], torch.float64)
        return torch.stack([level * left, level * right], -1)[0, ..., None]

    def columns(self, track: int) -> Tensor:
        """The change of a track's contribution with each of its controls, (P, 2, T); of the inserts' controls on the dry path."""
        u, inserts = self.tracks[track], len(self.console.inserts)
        sign = torch.where(u > 0.5, -1.0, 1.0)  # inwards
        moved = u + torch.diag(sign * _STEP)
        dry, _ = self.run(track, u[None])
        out = torch.empty(len(u), *dry.shape[1:])
        if inserts:
            after, _ = self.run(track, moved[:inserts])
            out[:inserts] = (after - dry) * (self.gains(u[None]) * (sign[:inserts] / _STEP)[:, None, None]).to(dry)
        out[inserts] = self.contributions[track] * (2.302585 / 20 * _span(self.console, inserts))
        turned = (self.gains(moved[inserts + 1 : inserts + 2]) - self.gains(u[None])) * (sign[inserts + 1] / _STEP)
        out[inserts + 1] = (dry * turned.to(dry))[0]
        silent = u.clone()
        for i in range(inserts + 2, len(u)):
            silent[:] = u
            silent[i] = 0.0  # -60 dB
            wet = self.contributions[track] - self.heard(self.strips[track], silent)
            out[i] = wet * (2.302585 / 20 * _span(self.console, i))
        return out

    def improve_track(self, track: int) -> bool:
        """One step of a track; whether it was worth another."""
        columns, u, before = self.columns(track), self.tracks[track], _energy(self.residual)
        product, right = _normal(columns, self.residual)
        dampings = [self.damping[track] * f for f in _TRIALS]
        steps = torch.stack([_step(product, right, u, d) for d in dampings])
        _, strips = self.run(track, u + steps)
        # On the dry path the trials are compared; the best is then judged on what is heard.
        left = torch.stack([_energy_tensor(self.residual - (s - self.strips[track])) for s in strips])
        best = int(left.argmin())
        heard = self.heard(strips[best], u + steps[best])
        residual = self.residual - (heard - self.contributions[track])
        after = _energy(residual)
        if after >= before:
            self.damping[track] = min(dampings[best] * 10, 1e4)
            return False
        self.damping[track] = max(dampings[best], 1e-6)
        self.tracks[track] = u + steps[best]
        self.strips[track], self.contributions[track], self.residual = strips[best], heard, residual
        return after < 0.97 * before

    def louder(self, controls: Tensor, db: float) -> Tensor:
        """A track's controls with its fader moved."""
        place = len(self.console.inserts)
        moved = controls.clone()
        moved[place] = (moved[place] + db / _span(self.console, place)).clamp(0, 1)
        return moved

    def place(self, track: int, controls: Tensor) -> None:
        """Put a track at other controls, better or not."""
        _, strips = self.run(track, controls[None])
        heard = self.heard(strips[0], controls)
        self.residual = self.residual - (heard - self.contributions[track])
        self.tracks[track], self.strips[track], self.contributions[track] = controls, strips[0], heard
        self.damping[track] = 1e-2

    def save(self, track: int) -> tuple[Tensor, ...]:
        """What `restore` needs to undo everything done to a track."""
        return tuple(t.clone() for t in (self.tracks[track], self.strips[track], self.contributions[track], self.residual))

    def restore(self, track: int, saved: tuple[Tensor, ...]) -> None:
        self.tracks[track], self.strips[track], self.contributions[track], self.residual = saved

    def improve_buses(self) -> None:
        """One step of the buses' free controls, on all that is sent to them."""
        index = self.free_buses.nonzero()[:, 0].tolist()
        if not index:
            return
        sign = torch.where(self.buses[0] > 0.5, -1.0, 1.0)
        base = self.sent(self.buses)
        columns = []
        for j in index:
            moved = self.buses.clone()
            moved[0, j] += sign[j] * _STEP
            columns.append((self.sent(moved) - base) * (sign[j] / _STEP))
        product, right = _normal(torch.stack(columns), self.residual)
        step = _step(product, right, self.buses[0, index], self.bus_damping)
        moved = self.buses.clone()
        moved[0, index] += step
        residual = self.residual - (self.sent(moved) - base)
        if _energy(residual) < _energy(self.residual):
            self.buses, self.residual = moved, residual
            self.contributions = torch.stack([self.heard(s, u) for s, u in zip(self.strips, self.tracks, strict=True)])
            self.bus_damping = max(self.bus_damping / 10, 1e-6)
        else:
            self.bus_damping *= 10

    def sent(self, buses: Tensor) -> Tensor:
        """The output (2, T) of all buses."""
        sends = self.console.send_gains(self.tracks[None], self.strips.dtype)[0]
        out, at = torch.zeros_like(self.residual), 0
        for i, bus in enumerate(self.console.buses.values()):
            size = len(bus.controls)  # type: ignore[arg-type]
            out = out + bus(torch.einsum("nct,n->ct", self.strips, sends[:, i])[None], buses[:, at : at + size])[0]
            at += size
        return out


def _span(console: Console, control: int) -> float:
    """Decibels over a control's unit range."""
    q = console.track_controls[control]
    return q.high - q.low


def _energy_tensor(x: Tensor) -> Tensor:
    return x.double().square().sum()


def _energy(x: Tensor) -> float:
    return float(_energy_tensor(x))


def _normal(columns: Tensor, residual: Tensor) -> tuple[Tensor, Tensor]:
    """The normal equations in float64: (P, P) and (P,)."""
    flat, goal = columns.flatten(1), residual.flatten()
    product = torch.zeros(len(flat), len(flat), dtype=torch.float64)
    right = torch.zeros(len(flat), dtype=torch.float64)
    for block, part in zip(flat.split(_CHUNK, 1), goal.split(_CHUNK), strict=True):
        product += (block @ block.T).double()
        right += (block @ part).double()
    return product, right


def _step(product: Tensor, right: Tensor, at: Tensor, damping: float) -> Tensor:
    """The minimum of the damped quadratic model within _REACH of each control and within [0, 1]."""
    from scipy.optimize import lsq_linear

    diagonal = product.diagonal()
    damped = product + torch.diag(damping * diagonal + 1e-8 * diagonal.max() + 1e-30)
    root = torch.linalg.cholesky(damped)
    goal = torch.linalg.solve_triangular(root, right[:, None], upper=False)[:, 0]
    low, high = (-at).clamp(-_REACH, -1e-9), (1 - at).clamp(1e-9, _REACH)
    solution = lsq_linear(root.mT.numpy(), goal.numpy(), (low.numpy(), high.numpy()), method="bvls")
    return (at + torch.from_numpy(solution.x)).clamp(0, 1) - at
