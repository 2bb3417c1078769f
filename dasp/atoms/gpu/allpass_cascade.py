"""All-passes in series with feedback, serial in time.

The backward pass computes states again in groups of samples that stay in a lane's registers, from states kept at each group's
start.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from dasp.atoms.gpu._launch import AHEAD, lanes, launch_lanes, real


@triton.jit
def _step(x, c, s, STAGES: tl.constexpr):
    """One sample: what each stage and the output is fed with, and the stages' new states; s ends with the fed-back value."""
    signal = x - s[STAGES]
    fed = ()
    new = ()
    for k in tl.static_range(STAGES):
        fed = fed + (signal,)
        v = c * (signal - s[k])
        y = v + s[k]
        new = new + (y + v,)
        signal = y * 2 - signal
    return fed + (signal,), new


@triton.jit
def _forward(
    x, coefficient, feedback, out, state, starts, rows, channels, samples, frames_c, frames_f,
    STAGES: tl.constexpr, REAL: tl.constexpr, KEEP: tl.constexpr, VARYING_C: tl.constexpr, VARYING_F: tl.constexpr,
    AHEAD: tl.constexpr, LANES: tl.constexpr,
):  # fmt: skip
    """KEEP: no output, but the states at the start of each group, (groups, STAGES + 1, rows)."""
    row = lanes(LANES)
    live = row < rows
    origin = row * 0  # so that a moment is one of each lane
    x += row * samples
    coefficient += row // channels * frames_c
    feedback += row // channels * frames_f
    s = ()
    for k in tl.static_range(STAGES + 1):
        s = s + (tl.load(state + row * (STAGES + 1) + k, live, 0.0).to(REAL),)
    for base in range(0, samples, AHEAD):
        if KEEP:
            for k in tl.static_range(STAGES + 1):
                tl.store(starts + (base // AHEAD * (STAGES + 1) + k) * rows + row, s[k], live)
        xs = ()
        cs = ()
        fs = ()
        for i in tl.static_range(AHEAD):
            n = origin + base + i
            inside = live & (n < samples)
            xs = xs + (tl.load(x + n, inside, 0.0).to(REAL),)
            cs = cs + (tl.load(coefficient + n * VARYING_C, inside, 0.0).to(REAL),)
            fs = fs + (tl.load(feedback + n * VARYING_F, inside, 0.0).to(REAL),)
        for i in tl.static_range(AHEAD):
            n = origin + base + i
            inside = live & (n < samples)
            fed, new = _step(xs[i], cs[i], s, STAGES)
            if not KEEP:
                tl.store(out + row * samples + n, fed[STAGES], inside)
            new = new + (fed[STAGES] * fs[i],)
            kept = ()
            for k in tl.static_range(STAGES + 1):
                kept = kept + (tl.where(inside, new[k], s[k]),)
            s = kept
    if not KEEP:
        for k in tl.static_range(STAGES + 1):
            tl.store(state + row * (STAGES + 1) + k, s[k], live)


@triton.jit
def _adjoint(
    g, x, coefficient, feedback, starts, gx, gc, gf, rows, channels, samples, frames_c, frames_f,
    STAGES: tl.constexpr, VARYING_C: tl.constexpr, VARYING_F: tl.constexpr, AHEAD: tl.constexpr, LANES: tl.constexpr,
):  # fmt: skip
    row = lanes(LANES)
    live = row < rows
    origin = row * 0
    g += row * samples
    x += row * samples
    coefficient += row // channels * frames_c
    feedback += row // channels * frames_f
    zero = tl.full([LANES], 0.0, tl.float64)
    later = ()
    for k in tl.static_range(STAGES):
        later = later + (zero,)
    to_fed, sum_c, sum_f = zero, zero, zero
    groups = (samples + AHEAD - 1) // AHEAD
    for group in range(groups):
        base = (groups - 1 - group) * AHEAD
        s = ()
        for k in tl.static_range(STAGES + 1):
            s = s + (tl.load(starts + (base // AHEAD * (STAGES + 1) + k) * rows + row, live, 0.0),)
        gs = ()
        xs = ()
        cs = ()
        fs = ()
        for i in tl.static_range(AHEAD):
            n = origin + base + i
            inside = live & (n < samples)
            gs = gs + (tl.load(g + n, inside, 0.0).to(tl.float64),)
            xs = xs + (tl.load(x + n, inside, 0.0).to(tl.float64),)
            cs = cs + (tl.load(coefficient + n * VARYING_C, inside, 0.0),)
            fs = fs + (tl.load(feedback + n * VARYING_F, inside, 0.0),)
        feds = ()
        states = ()
        for i in tl.static_range(AHEAD):
            fed, new = _step(xs[i], cs[i], s, STAGES)
            feds = feds + (fed,)
            states = states + (s,)
            s = new + (fed[STAGES] * fs[i],)
        for i in tl.static_range(AHEAD - 1, -1, -1):
            n = origin + base + i
            inside = live & (n < samples)
            to_f = to_fed * feds[i][STAGES]
            grad = gs[i] + fs[i] * to_fed
            to_c = zero
            earlier = ()
            for k in tl.static_range(STAGES - 1, -1, -1):
                to_y = 2 * grad + later[k]
                to_v = to_y + later[k]
                to_c += to_v * (feds[i][k] - states[i][k])
                earlier = (tl.where(inside, to_y - cs[i] * to_v, later[k]),) + earlier
                grad = cs[i] * to_v - grad
            later = earlier
            tl.store(gx + row * samples + n, grad, inside)
            to_fed = tl.where(inside, -grad, to_fed)
            if VARYING_C:
                tl.store(gc + row * samples + n, to_c, inside)
            else:
                sum_c += tl.where(inside, to_c, 0.0)
            if VARYING_F:
                tl.store(gf + row * samples + n, to_f, inside)
            else:
                sum_f += tl.where(inside, to_f, 0.0)
    if not VARYING_C:
        tl.store(gc + row, sum_c, live)
    if not VARYING_F:
        tl.store(gf + row, sum_f, live)


def forward(x: Tensor, coefficient: Tensor, feedback: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    x, state = x.contiguous(), state.clone(memory_format=torch.contiguous_format)
    c, f = (p.to(x.dtype).contiguous() for p in (coefficient, feedback))
    out = torch.empty_like(x)
    rows, sizes, meta = _described(x, c, f, state)
    launch_lanes(_forward, rows, x, c, f, out, state, out, *sizes, REAL=real(x), KEEP=False, **meta)
    return out, state


def backward(g: Tensor, x: Tensor, coefficient: Tensor, feedback: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    g, x, state = g.contiguous(), x.contiguous(), state.contiguous()
    c, f = (p.to(x.dtype).double().contiguous() for p in (coefficient, feedback))
    gx = torch.empty_like(x)
    gc, gf = (p.new_zeros(*x.shape[:2], p.shape[2]) for p in (c, f))
    rows, sizes, meta = _described(x, c, f, state)
    starts = c.new_empty(-(-x.shape[2] // AHEAD), state.shape[2], rows)
    launch_lanes(_forward, rows, x, c, f, gx, state, starts, *sizes, REAL=tl.float64, KEEP=True, **meta)
    launch_lanes(_adjoint, rows, g, x, c, f, starts, gx, gc, gf, *sizes, **meta)
    return gx, gc.sum(1, keepdim=True), gf.sum(1, keepdim=True)


def _described(x: Tensor, c: Tensor, f: Tensor, state: Tensor) -> tuple[int, tuple[int, ...], dict]:
    """What both kernels are told of their tensors."""
    (batch, channels, samples), frames = x.shape, (c.shape[2], f.shape[2])
    varying = {"VARYING_C": frames[0] > 1, "VARYING_F": frames[1] > 1}
    return batch * channels, (batch * channels, channels, samples, *frames), {
        "STAGES": state.shape[2] - 1, **varying, "AHEAD": AHEAD
    }  # fmt: skip
