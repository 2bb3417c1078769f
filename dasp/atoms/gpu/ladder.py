"""The ladder filter, serial in time. The backward pass computes states again in groups of samples, as `allpass_cascade` does."""

from functools import lru_cache

import torch
import triton
import triton.language as tl
from torch import Tensor

from dasp.atoms.gpu._launch import lanes, launch_lanes, real
from dasp.atoms.ladder import _NEW, _OLD, _POINTS, _REACH, _STAGES
from dasp.atoms.libm import libm

# Samples of a group; twice as many take Triton ten times as long to compile.
AHEAD = 4
_SCALE = (_POINTS - 1) / (2 * _REACH)
_OFFSET = _REACH * _SCALE


@triton.jit
def _curve(table, v, REACH: tl.constexpr, SCALE: tl.constexpr, OFFSET: tl.constexpr):
    """tanh from its table, and its slope there. What is not a number stays so, and reads the table's beginning."""
    clipped = tl.where(v > -REACH, v, -REACH)
    clipped = tl.where(clipped < REACH, clipped, REACH)
    at = SCALE * clipped + OFFSET
    i = at.to(tl.int32)
    low = tl.load(table + i)
    rise = tl.load(table + i + 1) - low
    value = low + (at - i.to(v.dtype)) * rise
    return tl.where(v == v, value, v), tl.where(tl.abs(v) < REACH, SCALE * rise, 0.0)


@triton.jit
def _step(
    table, x, p, s, K: tl.constexpr, NEW: tl.constexpr, OLD: tl.constexpr,
    REACH: tl.constexpr, SCALE: tl.constexpr, OFFSET: tl.constexpr,
):  # fmt: skip
    """The new stages from the old ones."""
    a, r, drive, gain, drive2, gain2 = p
    q = a * -1.0 + 1.0
    b0 = q * NEW
    b1 = q * OLD
    shaped, _ = _curve(table, drive * x, REACH, SCALE, OFFSET)
    back, _ = _curve(table, drive2 * s[4], REACH, SCALE, OFFSET)
    u = gain * shaped
    new = (u + r * -4.0 * (gain2 * back - u * K),)
    for i in tl.static_range(1, 5):
        new = new + (b1 * s[i - 1] + a * s[i] + b0 * new[i - 1],)
    return new


@triton.jit
def _parameters(p, n, frames, inside, REAL: tl.constexpr):
    return (
        tl.load(p + n, inside, 0.0).to(REAL),
        tl.load(p + frames + n, inside, 0.0).to(REAL),
        tl.load(p + 2 * frames + n, inside, 0.0).to(REAL),
        tl.load(p + 3 * frames + n, inside, 0.0).to(REAL),
        tl.load(p + 4 * frames + n, inside, 0.0).to(REAL),
        tl.load(p + 5 * frames + n, inside, 0.0).to(REAL),
    )


@triton.jit
def _forward(
    x, parameters, table, y, state, starts, rows, channels, samples, frames,
    MIX: tl.constexpr, NEW: tl.constexpr, OLD: tl.constexpr, REACH: tl.constexpr, SCALE: tl.constexpr, OFFSET: tl.constexpr,
    REAL: tl.constexpr, KEEP: tl.constexpr, VARYING: tl.constexpr, AHEAD: tl.constexpr, LANES: tl.constexpr,
):  # fmt: skip
    """KEEP: no output, but the stages at the start of each group, (groups, 5, rows)."""
    row = lanes(LANES)
    live = row < rows
    origin = row * 0  # so that a moment is one of each lane
    x += row * samples
    parameters += row // channels * 6 * frames
    s = ()
    for k in tl.static_range(5):
        s = s + (tl.load(state + row * 5 + k, live, 0.0).to(REAL),)
    for base in range(0, samples, AHEAD):
        if KEEP:
            for k in tl.static_range(5):
                tl.store(starts + (base // AHEAD * 5 + k) * rows + row, s[k], live)
        xs = ()
        ps = ()
        for i in tl.static_range(AHEAD):
            n = origin + base + i
            inside = live & (n < samples)
            xs = xs + (tl.load(x + n, inside, 0.0).to(REAL),)
            ps = ps + (_parameters(parameters, n * VARYING, frames, inside, REAL),)
        for i in tl.static_range(AHEAD):
            n = origin + base + i
            inside = live & (n < samples)
            new = _step(table, xs[i], ps[i], s, MIX[5], NEW, OLD, REACH, SCALE, OFFSET)
            if not KEEP:
                out = new[0] * MIX[0]
                for k in tl.static_range(1, 5):
                    out = out + new[k] * MIX[k]
                tl.store(y + row * samples + n, out, inside)
            kept = ()
            for k in tl.static_range(5):
                kept = kept + (tl.where(inside, new[k], s[k]),)
            s = kept
    if not KEEP:
        for k in tl.static_range(5):
            tl.store(state + row * 5 + k, s[k], live)


@triton.jit
def _adjoint(
    g, x, parameters, table, starts, gx, gp, rows, channels, samples, frames,
    MIX: tl.constexpr, NEW: tl.constexpr, OLD: tl.constexpr, REACH: tl.constexpr, SCALE: tl.constexpr, OFFSET: tl.constexpr,
    VARYING: tl.constexpr, AHEAD: tl.constexpr, LANES: tl.constexpr,
):  # fmt: skip
    row = lanes(LANES)
    live = row < rows
    origin = row * 0
    g += row * samples
    x += row * samples
    parameters += row // channels * 6 * frames
    gp += row * 6 * frames
    K: tl.constexpr = MIX[5]
    zero = tl.full([LANES], 0.0, tl.float64)
    later = (zero, zero, zero, zero, zero)
    sums = (zero, zero, zero, zero, zero, zero)
    groups = (samples + AHEAD - 1) // AHEAD
    for group in range(groups):
        base = (groups - 1 - group) * AHEAD
        s = ()
        for k in tl.static_range(5):
            s = s + (tl.load(starts + (base // AHEAD * 5 + k) * rows + row, live, 0.0),)
        gs = ()
        xs = ()
        ps = ()
        for i in tl.static_range(AHEAD):
            n = origin + base + i
            inside = live & (n < samples)
            gs = gs + (tl.load(g + n, inside, 0.0).to(tl.float64),)
            xs = xs + (tl.load(x + n, inside, 0.0).to(tl.float64),)
            ps = ps + (_parameters(parameters, n * VARYING, frames, inside, tl.float64),)
        states = (s,)
        for i in tl.static_range(AHEAD):
            states = states + (_step(table, xs[i], ps[i], states[i], K, NEW, OLD, REACH, SCALE, OFFSET),)
        for i in tl.static_range(AHEAD - 1, -1, -1):
            n = origin + base + i
            inside = live & (n < samples)
            a, r, drive, gain, drive2, gain2 = ps[i]
            old = states[i]
            new = states[i + 1]
            q = 1.0 - a
            shaped, slope = _curve(table, drive * xs[i], REACH, SCALE, OFFSET)
            back, slope_back = _curve(table, drive2 * old[4], REACH, SCALE, OFFSET)
            u = gain * shaped
            to = later[4] + MIX[4] * gs[i]  # to the stage that is treated, from the last to the first
            to_a = zero
            before = (zero,)
            for k in tl.static_range(4, 0, -1):
                # `before` grows at its front: it begins with what this stage's old value has had from the next stage.
                before = (q * OLD * to, before[0] + a * to) + before[1:]
                to_a += (old[k] - OLD * old[k - 1] - NEW * new[k - 1]) * to
                to = later[k - 1] + MIX[k - 1] * gs[i] + q * NEW * to
            to_u = (1.0 + 4.0 * r * K) * to
            to_shaped = to_u * gain * slope
            to_back = -4.0 * r * gain2 * to * slope_back
            parts = (
                to_a,
                -4.0 * (gain2 * back - K * u) * to,
                to_shaped * xs[i],
                to_u * shaped,
                to_back * old[4],
                -4.0 * r * back * to,
            )
            tl.store(gx + row * samples + n, to_shaped * drive, inside)
            total = ()
            for k in tl.static_range(6):
                if VARYING:
                    tl.store(gp + k * frames + n, parts[k], inside)
                    total = total + (zero,)
                else:
                    total = total + (sums[k] + tl.where(inside, parts[k], 0.0),)
            sums = total
            before = before[:4] + (before[4] + to_back * drive2,)
            kept = ()
            for k in tl.static_range(5):
                kept = kept + (tl.where(inside, before[k], later[k]),)
            later = kept
    if not VARYING:
        for k in tl.static_range(6):
            tl.store(gp + k * frames, sums[k], live)


@lru_cache(maxsize=8)
def _table(dtype: torch.dtype, device: torch.device) -> Tensor:
    """The CPU kernel's table, made there so that it is the same to the bit."""
    points = -_REACH + torch.arange(_POINTS, dtype=dtype) * (2 * _REACH) / (_POINTS - 1)
    table = points.tanh() if dtype == torch.float64 else libm("tanhf", points)
    return torch.cat([table, table[-1:]]).to(device)


_CONSTANTS = {"NEW": _NEW, "OLD": _OLD, "REACH": _REACH, "SCALE": _SCALE, "OFFSET": _OFFSET}


def forward(x: Tensor, parameters: Tensor, state: Tensor, mix: list[float]) -> tuple[Tensor, Tensor]:
    x, p = x.contiguous(), parameters.to(x.dtype).contiguous()
    state = state.clone(memory_format=torch.contiguous_format)
    (batch, channels, samples), frames, y = x.shape, p.shape[2], torch.empty_like(x)
    rows, meta = batch * channels, {"MIX": tuple(mix), "VARYING": frames > 1, "AHEAD": AHEAD, **_CONSTANTS}
    table, sizes = _table(x.dtype, x.device), (rows, channels, samples, frames)
    launch_lanes(_forward, rows, x, p, table, y, state, y, *sizes, REAL=real(x), KEEP=False, **meta)
    return y, state


def backward(g: Tensor, x: Tensor, parameters: Tensor, state: Tensor, mix: list[float]) -> tuple[Tensor, Tensor]:
    # The parameters as the forward pass saw them: rounded to its precision.
    g, x, state = g.contiguous(), x.contiguous(), state.contiguous()
    p = parameters.to(x.dtype).double().contiguous()
    (batch, channels, samples), frames = x.shape, p.shape[2]
    gx, gp = torch.empty_like(x), p.new_zeros(*x.shape[:2], *p.shape[1:])
    rows, meta = batch * channels, {"MIX": tuple(mix), "VARYING": frames > 1, "AHEAD": AHEAD, **_CONSTANTS}
    table, sizes = _table(torch.float64, x.device), (rows, channels, samples, frames)
    starts = p.new_empty(-(-samples // AHEAD), _STAGES, rows)
    launch_lanes(_forward, rows, x, p, table, gx, state, starts, *sizes, REAL=tl.float64, KEEP=True, **meta)
    launch_lanes(_adjoint, rows, g, x, p, table, starts, gx, gp, *sizes, **meta)
    return gx, gp.sum(1)
