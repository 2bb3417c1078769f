"""The oscillator's float32 phase, serial in time: its rounding is part of the sound."""

import math

import torch
import triton
import triton.language as tl
from torch import Tensor

from dasp.atoms.gpu._launch import AHEAD, lanes, launch_lanes


@triton.jit
def _phase(step, phase, state, rows, samples, frames, VARYING: tl.constexpr, TURN: tl.constexpr, AHEAD: tl.constexpr,
           LANES: tl.constexpr):  # fmt: skip
    row = lanes(LANES)
    live = row < rows
    origin = row * 0  # so that a moment is one of each lane
    step += row * frames
    now = tl.load(state + row, live, 0.0)
    for base in range(0, samples, AHEAD):
        steps = ()
        for i in tl.static_range(AHEAD):
            n = origin + base + i
            steps = steps + (tl.load(step + n * VARYING, live & (n < samples), 0.0),)
        for i in tl.static_range(AHEAD):
            n = origin + base + i
            inside = live & (n < samples)
            tl.store(phase + row * samples + n, now, inside)
            new = now + steps[i]
            new = tl.where(new >= TURN, new - TURN, new)
            now = tl.where(inside, new, now)
    tl.store(state + row, now, live)


def phase(step: Tensor, state: Tensor, samples: int) -> tuple[Tensor, Tensor]:
    step, state = step.contiguous(), state.clone(memory_format=torch.contiguous_format)
    rows, frames = step.shape[0] * step.shape[1], step.shape[2]
    out = step.new_empty(*step.shape[:2], samples)
    sizes, meta = (rows, samples, frames), {"VARYING": frames > 1, "TURN": 2 * math.pi, "AHEAD": AHEAD}
    launch_lanes(_phase, rows, step, out, state, *sizes, **meta)
    return out, state
