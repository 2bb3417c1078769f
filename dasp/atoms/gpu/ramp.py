"""The linear ramp, serial in time."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from dasp.atoms.gpu._launch import AHEAD, lanes, launch_lanes

# What a sample is to the adjoint; a start comes together with a step or a last.
_SETTLED, _STEP, _LAST, _START = tl.constexpr(0), tl.constexpr(1), tl.constexpr(2), tl.constexpr(4)


@triton.jit
def _forward(target, y, state, rows, samples, length, AHEAD: tl.constexpr, LANES: tl.constexpr):
    row = lanes(LANES)
    live = row < rows
    origin = row * 0  # so that a moment is one of each lane
    target += row * samples
    s = state + row * 4
    value, goal = tl.load(s, live, 0.0), tl.load(s + 1, live, 0.0)
    step, left = tl.load(s + 2, live, 0.0), tl.load(s + 3, live, 0.0)
    whole = left * 0 + length
    for base in range(0, samples, AHEAD):
        ts = ()
        for i in tl.static_range(AHEAD):
            n = origin + base + i
            ts = ts + (tl.load(target + n, live & (n < samples), 0.0),)
        for i in tl.static_range(AHEAD):
            n = origin + base + i
            inside = live & (n < samples)
            starts = inside & (ts[i] != goal)
            goal = tl.where(starts, ts[i], goal)
            left = tl.where(starts, whole, left)
            step = tl.where(starts, quotient(goal - value, whole), step)
            moving = inside & (left > 0)
            left = tl.where(moving, left - 1, left)
            value = tl.where(inside, tl.where(moving & (left > 0), value + step, goal), value)
            tl.store(y + row * samples + n, value, inside)
    tl.store(s, value, live)
    tl.store(s + 1, goal, live)
    tl.store(s + 2, step, live)
    tl.store(s + 3, left, live)


@triton.jit
def quotient(a, b):
    """a / b, rounded correctly."""
    if a.dtype == tl.float32:
        return tl.div_rn(a, b)
    else:
        return a / b


@triton.jit
def _course(target, state, kinds, rows, samples, length, hop, LANES: tl.constexpr):
    """What each sample is to the adjoint. Next to a rest each hop starts a ramp, so it does at rest, of no height."""
    row = lanes(LANES)
    live = row < rows
    origin = row * 0
    goal = tl.load(state + row * 4 + 1, live, 0.0)
    left = tl.load(state + row * 4 + 3, live, 0.0)
    whole = left * 0 + length
    rest = live & (row < 0)
    for base in range(0, samples):
        n = origin + base
        t = tl.load(target + row * samples + n, live, 0.0)
        rest = (t == goal) & (rest | (left <= 0))
        starts = t != goal
        if hop > 0:
            starts = starts | (rest & (n >= hop) & (n % hop == 0))
        goal = t
        left = tl.where(starts, whole, left)
        moving = left > 0
        left = tl.where(moving, left - 1, left)
        kind = tl.where(moving, tl.where(left > 0, _STEP, _LAST) + tl.where(starts, _START, 0), _SETTLED)
        tl.store(kinds + row * samples + n, kind.to(tl.int8), live)


@triton.jit
def _adjoint(g, kinds, gt, rows, samples, length, AHEAD: tl.constexpr, LANES: tl.constexpr):
    row = lanes(LANES)
    live = row < rows
    origin = row * 0
    g += row * samples
    kinds += row * samples
    to_value = tl.full([LANES], 0.0, tl.float64)
    to_goal = to_value
    to_step = to_value
    whole = to_value + length
    for base in range(0, samples, AHEAD):
        gs = ()
        ks = ()
        for i in tl.static_range(AHEAD):
            n = origin + samples - 1 - base - i
            gs = gs + (tl.load(g + n, live & (n >= 0), 0.0).to(tl.float64),)
            ks = ks + (tl.load(kinds + n, live & (n >= 0), 0),)
        for i in tl.static_range(AHEAD):
            n = origin + samples - 1 - base - i
            to_value += gs[i]
            # The value at rest is this sample's target; so a control held still has its gradient at every sample.
            out = tl.where(ks[i] == _SETTLED, to_value, 0.0)
            to_step = tl.where((ks[i] & _STEP) != 0, to_step + to_value, to_step)
            to_goal = tl.where((ks[i] & _LAST) != 0, to_goal + to_value, to_goal)
            to_value = tl.where((ks[i] & _STEP) != 0, to_value, 0.0)
            starts = (ks[i] & _START) != 0
            share = to_step / whole
            out = tl.where(starts, out + (to_goal + share), out)
            to_value = tl.where(starts, to_value - share, to_value)
            to_goal = tl.where(starts, 0.0, to_goal)
            to_step = tl.where(starts, 0.0, to_step)
            tl.store(gt + row * samples + n, out, live & (n >= 0))


def forward(target: Tensor, state: Tensor, length: int) -> tuple[Tensor, Tensor]:
    target, state = target.contiguous(), state.clone(memory_format=torch.contiguous_format)
    y, rows = torch.empty_like(target), target.shape[0] * target.shape[1]
    launch_lanes(_forward, rows, target, y, state, rows, target.shape[2], length, AHEAD=AHEAD)
    return y, state


def backward(g: Tensor, target: Tensor, state: Tensor, length: int, hop: int) -> Tensor:
    g, target, state = g.contiguous(), target.contiguous(), state.contiguous()
    gt, rows, samples = torch.empty_like(target), target.shape[0] * target.shape[1], target.shape[2]
    kinds = torch.empty_like(target, dtype=torch.int8)
    launch_lanes(_course, rows, target, state, kinds, rows, samples, length, hop)
    launch_lanes(_adjoint, rows, g, kinds, gt, rows, samples, length, AHEAD=AHEAD)
    return gt
