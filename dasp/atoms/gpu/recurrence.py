"""Linear recurrences of order one and two, serial in time; in double, as on the CPU."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from dasp.atoms.gpu._launch import AHEAD, lanes, launch_lanes


@triton.jit
def _run(
    x, a1, a2, y, state, rows, channels, pole_channels, samples, frames,
    SECOND: tl.constexpr, REVERSED: tl.constexpr, VARYING: tl.constexpr, AHEAD: tl.constexpr, LANES: tl.constexpr,
):  # fmt: skip
    row = lanes(LANES)
    live = row < rows
    origin = row * 0  # so that a moment is one of each lane
    x += row * samples
    y += row * samples
    pole = row // channels * pole_channels + row % channels % pole_channels
    a1 += pole * frames
    a2 += pole * frames
    order = 1 + SECOND
    y1 = tl.load(state + row * order, live, 0.0)
    y2 = y1
    if SECOND:
        y2 = tl.load(state + row * order + 1, live, 0.0)
    one = tl.load(a1, live, 0.0).to(tl.float64)
    two = tl.load(a2, live, 0.0).to(tl.float64)
    for base in range(0, samples, AHEAD):
        xs = ()
        ones = ()
        twos = ()
        for i in tl.static_range(AHEAD):
            n = origin + base + i
            if REVERSED:
                n = samples - 1 - n
            inside = live & (n >= 0) & (n < samples)
            xs = xs + (tl.load(x + n, inside, 0.0).to(tl.float64),)
            if VARYING:
                # Reversed in time, what acted on the sample that is now known.
                ones = ones + (tl.load(a1 + n + REVERSED, inside & (n + REVERSED < samples), 0.0).to(tl.float64),)
                twos = twos + (tl.load(a2 + n + 2 * REVERSED, inside & (n + 2 * REVERSED < samples), 0.0).to(tl.float64),)
            else:
                ones = ones + (one,)
                twos = twos + (two,)
        for i in tl.static_range(AHEAD):
            n = origin + base + i
            if REVERSED:
                n = samples - 1 - n
            inside = live & (n >= 0) & (n < samples)
            if SECOND:
                new = xs[i] - twos[i] * y2 - ones[i] * y1
            else:
                new = xs[i] + ones[i] * y1
            tl.store(y + n, new, inside)
            y2 = tl.where(inside, y1, y2)
            y1 = tl.where(inside, new, y1)
    tl.store(state + row * order, y1, live)
    if SECOND:
        tl.store(state + row * order + 1, y2, live)


def run(x: Tensor, a1: Tensor, a2: Tensor | None, state: Tensor, reverse: bool) -> tuple[Tensor, Tensor]:
    x, a1, state = x.contiguous(), a1.contiguous(), state.clone(memory_format=torch.contiguous_format)
    batch, channels, samples = x.shape
    y, other = torch.empty_like(x), a1 if a2 is None else a2.contiguous()
    sizes = (batch * channels, channels, a1.shape[1], samples, a1.shape[2])
    kinds = {"SECOND": a2 is not None, "REVERSED": reverse, "VARYING": a1.shape[2] > 1}
    launch_lanes(_run, sizes[0], x, a1, other, y, state, *sizes, **kinds, AHEAD=AHEAD)
    return y, state
