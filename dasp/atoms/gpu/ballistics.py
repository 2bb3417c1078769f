"""The level follower, serial in time, and the gain curve, sample by sample.

The follower decides at each sample by its own last value, so it is no linear recurrence and has no chunked form. Its adjoint, the
decisions known, is one: chunked below `SERIAL_ROWS` rows.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from dasp.atoms.gpu._launch import (
    AHEAD,
    TILE,
    add,
    chunking,
    elements,
    inverse,
    lanes,
    launch_lanes,
    launch_tiles,
    power,
    real,
    starts_of,
)


@triton.jit
def _follow(
    v, attack, release, r, state, rows, channels, samples, frames,
    REAL: tl.constexpr, VARYING: tl.constexpr, AHEAD: tl.constexpr, LANES: tl.constexpr,
):  # fmt: skip
    row = lanes(LANES)
    live = row < rows
    origin = row * 0  # so that a moment is one of each lane
    v += row * samples
    r += row * samples
    attack += row // channels * frames
    release += row // channels * frames
    level = tl.load(state + row, live, 0.0).to(REAL)
    up = tl.load(attack, live, 0.0).to(REAL)
    down = tl.load(release, live, 0.0).to(REAL)
    for base in range(0, samples, AHEAD):
        vs = ()
        ups = ()
        downs = ()
        for i in tl.static_range(AHEAD):
            n = origin + base + i
            inside = live & (n < samples)
            vs = vs + (tl.load(v + n, inside, 0.0).to(REAL),)
            if VARYING:
                ups = ups + (tl.load(attack + n, inside, 0.0).to(REAL),)
                downs = downs + (tl.load(release + n, inside, 0.0).to(REAL),)
            else:
                ups = ups + (up,)
                downs = downs + (down,)
        for i in tl.static_range(AHEAD):
            n = origin + base + i
            inside = live & (n < samples)
            new = vs[i] + tl.where(vs[i] > level, ups[i], downs[i]) * (level - vs[i])
            tl.store(r + n, new, inside)
            level = tl.where(inside, new, level)
    tl.store(state + row, level, live)


@triton.jit
def _adjoint(
    g, v, r, first, attack, release, gv, ga, gr, starts, flow, rows, channels, samples, chunks, length, frames,
    LOCAL: tl.constexpr, VARYING: tl.constexpr, AHEAD: tl.constexpr, LANES: tl.constexpr,
):  # fmt: skip
    """In double; r is the level after each sample. LOCAL: from zero, for the chunk's flow alone."""
    lane = lanes(LANES)
    live = lane < rows * chunks
    row = lane // chunks
    start = (lane - row * chunks) * length
    stop = tl.minimum(start + length, samples)
    g += row * samples
    v += row * samples
    r += row * samples
    gv += row * samples
    attack += row // channels * frames
    release += row // channels * frames
    to_up = tl.full([LANES], 0.0, tl.float64)
    to_down = to_up
    through = tl.full([LANES], 1.0, tl.float64)
    if LOCAL:
        later = to_up
    else:
        later = tl.load(starts + lane, live, 0.0)
    opening = tl.load(first + row, live, 0.0).to(tl.float64)
    for base in range(0, length, AHEAD):
        gs = ()
        vs = ()
        rs = ()
        cs = ()
        for i in tl.static_range(AHEAD):
            n = stop - 1 - base - i
            inside = live & (n >= start)
            x = tl.load(v + n, inside, 0.0).to(tl.float64)
            before = tl.where(n == 0, opening, tl.load(r + n - 1, inside & (n > 0), 0.0))
            at = n * VARYING
            c = tl.where(x > before, tl.load(attack + at, inside, 0.0), tl.load(release + at, inside, 0.0))
            gs = gs + (tl.load(g + n, inside, 0.0).to(tl.float64),)
            vs = vs + (x,)
            rs = rs + (before,)
            cs = cs + (c,)
        for i in tl.static_range(AHEAD):
            n = stop - 1 - base - i
            inside = live & (n >= start)
            total = gs[i] + later
            later = tl.where(inside, total * cs[i], later)
            if LOCAL:
                through = tl.where(inside, through * cs[i], through)
            else:
                part = tl.where(inside, total * (rs[i] - vs[i]), 0.0)
                up = tl.where(vs[i] > rs[i], part, 0.0)
                down = tl.where(vs[i] > rs[i], 0.0, part)
                tl.store(gv + n, total * (1 - cs[i]), inside)
                if VARYING:
                    tl.store(ga + row * samples + n, up, inside)
                    tl.store(gr + row * samples + n, down, inside)
                else:
                    to_up += up
                    to_down += down
    if LOCAL:
        tl.store(flow + lane * 2, through, live)
        tl.store(flow + lane * 2 + 1, later, live)
    elif not VARYING:
        tl.store(ga + lane, to_up, live)
        tl.store(gr + lane, to_down, live)


@triton.jit
def _curve(
    r, threshold, exponent, g, channels, samples, frames, tiles,
    REAL: tl.constexpr, BELOW: tl.constexpr, VARYING: tl.constexpr, TILE: tl.constexpr,
):  # fmt: skip
    row, n, inside = elements(samples, tiles, TILE)
    at = row // channels * frames + n * VARYING
    level = tl.load(r + row * samples + n, inside, 0.0)
    limit = tl.load(threshold + at, inside, 1.0)
    bent = level * inverse(limit)
    out = power(bent.to(tl.float64), tl.load(exponent + at, inside, 0.0).to(tl.float64)).to(REAL)
    if BELOW:
        out = tl.where(level > limit, 1.0, out)
    else:
        out = tl.where(level < limit, 1.0, out)
    tl.store(g + row * samples + n, out, inside)


@triton.jit
def _curve_adjoint(
    grad, r, g, threshold, exponent, gr, gt, ge, channels, samples, frames, tiles,
    REAL: tl.constexpr, BELOW: tl.constexpr, VARYING: tl.constexpr, TILE: tl.constexpr,
):  # fmt: skip
    row, n, inside = elements(samples, tiles, TILE)
    at = row // channels * frames + n * VARYING
    seen = tl.load(r + row * samples + n, inside, 0.0)
    level = seen.to(tl.float64)
    limit = tl.load(threshold + at, inside, 1.0)
    e = tl.load(exponent + at, inside, 0.0)
    # As the forward pass decided. At 0, where a gate's slope may be infinite, it is taken for 0.
    if BELOW:
        acts = (seen <= limit.to(REAL)) & (level > 0)
    else:
        acts = (seen >= limit.to(REAL)) & (level > 0)
    d = tl.load(grad + row * samples + n, inside, 0.0).to(tl.float64) * tl.load(g + row * samples + n, inside, 0.0).to(tl.float64)
    d = tl.where(acts, d, 0.0)
    safe = tl.where(acts, level, 1.0)
    tl.store(gr + row * samples + n, d * e / safe, inside)
    to_limit = -d * e / limit
    to_exponent = d * tl.where(acts, tl.log(safe / limit), 0.0)
    if VARYING:
        tl.store(gt + row * samples + n, to_limit, inside)
        tl.store(ge + row * samples + n, to_exponent, inside)
    else:
        program = tl.program_id(0)
        tl.store(gt + program, tl.reduce(to_limit, 0, add))
        tl.store(ge + program, tl.reduce(to_exponent, 0, add))


def forward(v: Tensor, attack: Tensor, release: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    v, state = v.contiguous(), state.clone(memory_format=torch.contiguous_format)
    r = torch.empty_like(v)
    _follower(v, attack.to(v.dtype).contiguous(), release.to(v.dtype).contiguous(), r, state)
    return r, state


def _follower(v: Tensor, attack: Tensor, release: Tensor, r: Tensor, state: Tensor) -> None:
    """In the precision of r; the state is replaced."""
    (batch, channels, samples), frames = v.shape, attack.shape[2]
    sizes = (batch * channels, channels, samples, frames)
    launch_lanes(_follow, batch * channels, v, attack, release, r, state, *sizes, REAL=real(r), VARYING=frames > 1, AHEAD=AHEAD)


def backward(g: Tensor, v: Tensor, attack: Tensor, release: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    g, v, state = g.contiguous(), v.contiguous(), state.contiguous()
    a, b = (c.to(v.dtype).double().contiguous() for c in (attack, release))
    (batch, channels, samples), frames, rows = v.shape, a.shape[2], v.shape[0] * v.shape[1]
    r = torch.empty_like(v, dtype=torch.float64)
    _follower(v, a, b, r, state.to(torch.float64, copy=True))
    gv, varying = torch.empty_like(v), frames > 1
    chunks, length = chunking(rows, samples)
    ga, gb = (a.new_zeros(batch, channels, samples if varying else chunks) for _ in range(2))
    flow, starts = r.new_empty(rows, chunks, 2), r.new_zeros(rows, 1)
    sizes, meta = (rows, channels, samples, chunks, length, frames), {"VARYING": varying, "AHEAD": AHEAD}
    tensors = (g, v, r, state, a, b, gv, ga, gb)
    if chunks > 1:
        launch_lanes(_adjoint, rows * chunks, *tensors, starts, flow, *sizes, LOCAL=True, **meta)
        starts = starts_of(flow, starts, reversed=True)
    launch_lanes(_adjoint, rows * chunks, *tensors, starts, flow, *sizes, LOCAL=False, **meta)
    to_a, to_b = (p.sum(1, keepdim=True) for p in (ga, gb))
    return gv, *(p if varying else p.sum(2, keepdim=True) for p in (to_a, to_b))


def curve(r: Tensor, threshold: Tensor, exponent: Tensor, below: bool) -> Tensor:
    r = r.contiguous()
    t, e = threshold.to(r.dtype).contiguous(), exponent.to(r.dtype).contiguous()
    g, frames, meta = torch.empty_like(r), t.shape[2], {"REAL": real(r), "BELOW": below, "VARYING": t.shape[2] > 1}
    launch_tiles(_curve, len(r) * r.shape[1], r.shape[2], r, t, e, g, r.shape[1], r.shape[2], frames, **meta)
    return g


def curve_backward(
    grad: Tensor, r: Tensor, g: Tensor, threshold: Tensor, exponent: Tensor, below: bool
) -> tuple[Tensor, Tensor, Tensor]:
    grad, r, g = grad.contiguous(), r.contiguous(), g.contiguous()
    t, e = (p.to(r.dtype).double().contiguous() for p in (threshold, exponent))
    (batch, channels, samples), frames = r.shape, t.shape[2]
    gr, varying = torch.empty_like(r), frames > 1
    gt, ge = (t.new_zeros(batch, channels, samples if varying else -(-samples // TILE)) for _ in range(2))
    meta = {"REAL": real(r), "BELOW": below, "VARYING": varying}
    launch_tiles(_curve_adjoint, batch * channels, samples, grad, r, g, t, e, gr, gt, ge, channels, samples, frames, **meta)
    to_t, to_e = (p.sum(1, keepdim=True) for p in (gt, ge))
    return gr, *(p if varying else p.sum(2, keepdim=True) for p in (to_t, to_e))
