"""Cascades of second-order sections, one section after the other.

Serial from `SERIAL_ROWS` rows on, chunked below. Float32 equals the CPU's to the bit in the serial form alone: a chunked run is
in double, and does not clear states of 1e-8 and less, nor NaN, at the ends of the plugin's blocks.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from dasp.atoms.biquad import PLUGIN_BLOCK
from dasp.atoms.gpu._launch import AHEAD, chunking, lanes, launch_lanes, starts_of

_BLOCK = 1 << 16  # samples per block of the backward pass, at least: its signals are recomputed


@triton.jit
def _coefficients(c, n, frames, live, REAL: tl.constexpr):
    """b0, b1, b2, a1, a2 at a moment; c points to a lane's section."""
    return (
        tl.load(c + n, live, 0.0).to(REAL),
        tl.load(c + frames + n, live, 0.0).to(REAL),
        tl.load(c + 2 * frames + n, live, 0.0).to(REAL),
        tl.load(c + 3 * frames + n, live, 0.0).to(REAL),
        tl.load(c + 4 * frames + n, live, 0.0).to(REAL),
    )


@triton.jit
def _section(
    x, c, y, starts, ends, flow, done, rows, channels, samples, pitch_x, pitch_y, chunks, length, item, frames, block,
    REAL: tl.constexpr, LOCAL: tl.constexpr, FLUSH: tl.constexpr, VARYING: tl.constexpr, AHEAD: tl.constexpr, LANES: tl.constexpr,
):  # fmt: skip
    """One section forwards. LOCAL: from zero, for the chunk's flow alone; else from its start, with output and end."""
    lane = lanes(LANES)
    live = lane < rows * chunks
    row = lane // chunks
    start = (lane - row * chunks) * length
    stop = tl.minimum(start + length, samples)
    x += row * pitch_x
    y += row * pitch_y
    c += row // channels * item
    if LOCAL:
        s1 = tl.full([LANES], 0.0, REAL)
        s2 = s1
    else:
        s1 = tl.load(starts + lane * 2, live, 0.0).to(REAL)
        s2 = tl.load(starts + lane * 2 + 1, live, 0.0).to(REAL)
    p1 = tl.full([LANES], 1.0, REAL)  # the columns of the matrix: where (1, 0) and (0, 1) go
    p2 = tl.full([LANES], 0.0, REAL)
    q1, q2 = p2, p1
    k = _coefficients(c, 0, frames, live, REAL)
    if FLUSH:
        left = block - tl.load(done + row, live, 0).to(tl.int32) % block
    for base in range(0, length, AHEAD):
        v = ()
        ks = ()
        for i in tl.static_range(AHEAD):
            n = start + base + i
            inside = live & (n < stop)
            v = v + (tl.load(x + n, inside, 0.0).to(REAL),)
            if VARYING:
                ks = ks + (_coefficients(c, n, frames, inside, REAL),)
            else:
                ks = ks + (k,)
        for i in tl.static_range(AHEAD):
            n = start + base + i
            inside = live & (n < stop)
            b0, b1, b2, a1, a2 = ks[i]
            out = b0 * v[i] + s1
            t1 = b1 * v[i] - a1 * out + s2
            t2 = b2 * v[i] - a2 * out
            if FLUSH:
                left -= 1
                t1 = tl.where((left == 0) & ~(tl.abs(t1) > 1e-8), 0.0, t1)
                t2 = tl.where((left == 0) & ~(tl.abs(t2) > 1e-8), 0.0, t2)
                left = tl.where(left == 0, block, left)
            s1 = tl.where(inside, t1, s1)
            s2 = tl.where(inside, t2, s2)
            if LOCAL:
                p1, p2 = tl.where(inside, p2 - a1 * p1, p1), tl.where(inside, -a2 * p1, p2)
                q1, q2 = tl.where(inside, q2 - a1 * q1, q1), tl.where(inside, -a2 * q1, q2)
            else:
                tl.store(y + n, out, inside)
    if LOCAL:
        flow += lane * 6
        tl.store(flow, p1, live)
        tl.store(flow + 1, p2, live)
        tl.store(flow + 2, q1, live)
        tl.store(flow + 3, q2, live)
        tl.store(flow + 4, s1, live)
        tl.store(flow + 5, s2, live)
    else:
        last = live & (stop == samples) & (start < samples)
        tl.store(ends + row * 2, s1, last)
        tl.store(ends + row * 2 + 1, s2, last)


@triton.jit
def _adjoint(
    g, x, y, c, gx, gc, starts, ends, flow, rows, channels, samples, pitch_g, pitch_x, pitch_y, pitch_gx, chunks, length, item,
    frames, LOCAL: tl.constexpr, VARYING: tl.constexpr, AHEAD: tl.constexpr, LANES: tl.constexpr,
):  # fmt: skip
    """One section backwards, in double; gc is (rows, 5, samples), or sums (rows, chunks, 5)."""
    lane = lanes(LANES)
    live = lane < rows * chunks
    row = lane // chunks
    start = (lane - row * chunks) * length
    stop = tl.minimum(start + length, samples)
    g += row * pitch_g
    x += row * pitch_x
    y += row * pitch_y
    gx += row * pitch_gx
    c += row // channels * item
    zero = tl.full([LANES], 0.0, tl.float64)
    one = tl.full([LANES], 1.0, tl.float64)
    if LOCAL:
        l1, l2 = zero, zero
    else:
        l1 = tl.load(starts + lane * 2, live, 0.0)
        l2 = tl.load(starts + lane * 2 + 1, live, 0.0)
    p1, p2, q1, q2 = one, zero, zero, one
    t0, t1, t2, t3, t4 = zero, zero, zero, zero, zero
    k = _coefficients(c, 0, frames, live, tl.float64)
    for base in range(0, length, AHEAD):
        gs = ()
        xs = ()
        ys = ()
        ks = ()
        for i in tl.static_range(AHEAD):
            n = stop - 1 - base - i
            inside = live & (n >= start)
            gs = gs + (tl.load(g + n, inside, 0.0).to(tl.float64),)
            if not LOCAL:
                xs = xs + (tl.load(x + n, inside, 0.0).to(tl.float64),)
                ys = ys + (tl.load(y + n, inside, 0.0),)
            if VARYING:
                ks = ks + (_coefficients(c, n, frames, inside, tl.float64),)
            else:
                ks = ks + (k,)
        for i in tl.static_range(AHEAD):
            n = stop - 1 - base - i
            inside = live & (n >= start)
            b0, b1, b2, a1, a2 = ks[i]
            gy = gs[i] - a1 * l1 - a2 * l2
            if LOCAL:
                p1, p2 = tl.where(inside, -a1 * p1 - a2 * p2, p1), tl.where(inside, p1, p2)
                q1, q2 = tl.where(inside, -a1 * q1 - a2 * q2, q1), tl.where(inside, q1, q2)
            else:
                tl.store(gx + n, b0 * gy + b1 * l1 + b2 * l2, inside)
                if VARYING:
                    to = gc + row * 5 * samples + n
                    tl.store(to, gy * xs[i], inside)
                    tl.store(to + samples, l1 * xs[i], inside)
                    tl.store(to + 2 * samples, l2 * xs[i], inside)
                    tl.store(to + 3 * samples, -l1 * ys[i], inside)
                    tl.store(to + 4 * samples, -l2 * ys[i], inside)
                else:  # outside, the signals are loaded as 0
                    t0 += gy * xs[i]
                    t1 += l1 * xs[i]
                    t2 += l2 * xs[i]
                    t3 -= l1 * ys[i]
                    t4 -= l2 * ys[i]
            l1, l2 = tl.where(inside, gy, l1), tl.where(inside, l1, l2)
    if LOCAL:
        flow += lane * 6
        tl.store(flow, p1, live)
        tl.store(flow + 1, p2, live)
        tl.store(flow + 2, q1, live)
        tl.store(flow + 3, q2, live)
        tl.store(flow + 4, l1, live)
        tl.store(flow + 5, l2, live)
    else:
        tl.store(ends + row * 2, l1, live & (start == 0))
        tl.store(ends + row * 2 + 1, l2, live & (start == 0))
        if not VARYING:
            tl.store(gc + lane * 5, t0, live)
            tl.store(gc + lane * 5 + 1, t1, live)
            tl.store(gc + lane * 5 + 2, t2, live)
            tl.store(gc + lane * 5 + 3, t3, live)
            tl.store(gc + lane * 5 + 4, t4, live)


def _run(x: Tensor, c: Tensor, y: Tensor, state: Tensor, form: tuple[int, int], at: dict) -> Tensor:
    """One section over rows (R, n), whose samples may be a part of longer rows; the state (R, 2) after it."""
    rows, samples = x.shape
    chunks, length = form
    ends = torch.empty_like(state)
    flow = state.new_empty(rows, chunks, 6)
    sizes = (rows, rows // len(c), samples, x.stride(0), y.stride(0), chunks, length, c.stride(0), c.stride(1), at["block"])
    meta = {"REAL": at["real"], "FLUSH": at["flush"], "VARYING": at["varying"], "AHEAD": AHEAD}
    starts = state
    if chunks > 1:
        launch_lanes(_section, rows * chunks, x, c, y, starts, ends, flow, at["done"], *sizes, LOCAL=True, **meta)
        starts = starts_of(flow, state)
    launch_lanes(_section, rows * chunks, x, c, y, starts, ends, flow, at["done"], *sizes, LOCAL=False, **meta)
    return ends


def forward(x: Tensor, sos: Tensor, state: Tensor, hop: int) -> tuple[Tensor, Tensor]:
    x, c = x.contiguous(), sos.to(x.dtype).contiguous()
    (batch, channels, samples), sections = x.shape, sos.shape[1]
    rows = batch * channels
    y, after = torch.empty_like(x), state.clone(memory_format=torch.contiguous_format)
    if not x.numel():
        return y, after
    form = chunking(rows, samples)
    serial, memory = form[0] == 1, after.view(rows, sections, 3)
    exact = x.dtype == torch.float64 or not serial
    signal, out = x.view(rows, samples), y.view(rows, samples)
    between = out if serial or x.dtype == torch.float64 else out.double()
    if not sections:
        out.copy_(signal)
    for k in range(sections):
        done = memory[:, k, 2].contiguous()
        at = {
            "real": tl.float64 if exact else tl.float32,
            "flush": not exact,
            "done": torch.zeros_like(done) if hop else done,
            "block": hop or PLUGIN_BLOCK,
            "varying": sos.shape[3] > 1,
        }
        to = out if k == sections - 1 else between
        start = memory[:, k, :2].to(torch.float64 if exact else x.dtype).contiguous()
        memory[:, k, :2] = _run(signal, c[:, k], to, start, form, at).to(x.dtype)
        memory[:, k, 2] = (done + samples) % PLUGIN_BLOCK
        signal = to
    return y, after


def backward(g: Tensor, x: Tensor, sos: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    g, x, c = g.contiguous(), x.contiguous(), sos.contiguous()
    (batch, channels, samples), sections, frames = x.shape, sos.shape[1], sos.shape[3]
    rows = batch * channels
    gx, gc = torch.empty_like(x), c.new_zeros(rows, sections, 5, frames)
    if not sections:
        return g.clone(), gc.view(batch, channels, *gc.shape[1:]).sum(1)
    signal, cotangent, to_x = (t.view(rows, samples) for t in (x, g, gx))
    # A block's signals take the room of about two inputs, or little.
    size = max(_BLOCK, -(-samples // sections))
    blocks = range(0, samples, size)
    at = {"real": tl.float64, "flush": False, "done": state, "block": 1, "varying": frames > 1}
    memory = [state.contiguous().view(rows, sections, 3)[..., :2].double().unbind(1)]
    signals = x.new_empty(sections, rows, min(size, samples), dtype=torch.float64)

    def run(start: int, memory: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        part, ends = signal[:, start : start + size], []
        for k in range(sections):
            to = signals[k, :, : part.shape[1]]
            here = c[:, k, :, start : start + size] if frames > 1 else c[:, k]
            ends.append(_run(part, here, to, memory[k].contiguous(), chunking(rows, part.shape[1]), at))
            part = to
        return tuple(ends)

    for start in blocks[:-1]:
        memory.append(run(start, memory[-1]))
    adjoints = [x.new_zeros(rows, 2, dtype=torch.float64) for _ in range(sections)]
    for start, first in zip(reversed(blocks), reversed(memory), strict=True) if samples else ():
        run(start, first)
        grad = cotangent[:, start : start + size]
        count = grad.shape[1]
        for k in range(sections - 1, -1, -1):
            into = signals[k - 1, :, :count] if k else signal[:, start : start + size]
            out = signals[k, :, :count]
            # A section's output is not needed after it: its place takes the gradient of its input.
            to = out if k else to_x[:, start : start + size]
            here = c[:, k, :, start : start + size] if frames > 1 else c[:, k]
            part, adjoints[k] = _adjoint_of(grad, into, out, here, to, adjoints[k], frames > 1)
            if frames > 1:
                gc[:, k, :, start : start + size] = part
            else:
                gc[:, k, :, 0] += part.sum(1)
            grad = to
    return gx, gc.view(batch, channels, *gc.shape[1:]).sum(1)


def _adjoint_of(g: Tensor, x: Tensor, y: Tensor, c: Tensor, gx: Tensor, state: Tensor, varying: bool) -> tuple[Tensor, Tensor]:
    """One section backwards over rows (R, n): the gradient of its coefficients, and its adjoint state before them."""
    rows, samples = x.shape
    chunks, length = chunking(rows, samples)
    ends, flow = torch.empty_like(state), state.new_empty(rows, chunks, 6)
    gc = state.new_empty((rows, 5, samples) if varying else (rows, chunks, 5))
    pitches = (g.stride(0), x.stride(0), y.stride(0), gx.stride(0))
    sizes = (rows, rows // len(c), samples, *pitches, chunks, length, c.stride(0), c.stride(1))
    starts = state
    meta = {"VARYING": varying, "AHEAD": AHEAD}
    if chunks > 1:
        launch_lanes(_adjoint, rows * chunks, g, x, y, c, gx, gc, starts, ends, flow, *sizes, LOCAL=True, **meta)
        starts = starts_of(flow, state, reversed=True)
    launch_lanes(_adjoint, rows * chunks, g, x, y, c, gx, gc, starts, ends, flow, *sizes, LOCAL=False, **meta)
    return gc, ends
