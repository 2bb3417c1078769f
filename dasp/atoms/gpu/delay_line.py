"""A delay line with feedback, parallel in time within the shortest delay; that one is read on the CPU, which waits for it.

An all-pass read is a linear recurrence over the outputs: a scan within the tile, in double also for float32.
"""

import math

import torch
import triton
import triton.language as tl
from torch import Tensor

from dasp.atoms.gpu._launch import add, chain, launch_network, real


@triton.jit
def _tap(d, high, LATE: tl.constexpr, THIRAN: tl.constexpr):
    """Whole samples, the rest, and whether the delay is within what can be read."""
    low: tl.constexpr = 1.5 if THIRAN else 0.0 if LATE else 1.0
    inside = (d >= low) & (d <= high)
    d = tl.where(inside, d, tl.where(d < low, d * 0 + low, high))
    if THIRAN:
        whole = tl.floor(d - 0.5)
    else:
        whole = tl.floor(d)
    return whole.to(tl.int64), d - whole, inside


@triton.jit
def _forward(
    x, delay, feedback, line, out, state, high, rows, channels, samples, memory, span, LATE: tl.constexpr, THIRAN: tl.constexpr,
    REAL: tl.constexpr, VARYING_D: tl.constexpr, VARYING_F: tl.constexpr, ROWS: tl.constexpr, TIME: tl.constexpr,
):  # fmt: skip
    """`line` (rows, memory + samples) begins with what is remembered."""
    row = (tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS))[:, None]
    j = tl.arange(0, TIME)[None, :]
    live = row < rows
    item = row // channels
    x += row * samples
    out += row * samples
    w = line + row * (memory + samples) + memory
    high = tl.load(high)
    delay += item * (1 + VARYING_D * (samples - 1))
    feedback += item * (1 + VARYING_F * (samples - 1))
    last = tl.load(state + row * (memory + 2) + memory + 1, live, 0.0).to(tl.float64)
    if LATE:
        opening = tl.load(state + row * (memory + 2) + memory, live, 0.0).to(REAL)
        tl.store(w, tl.load(x, live, 0.0).to(REAL) + opening, live)
        tl.debug_barrier()
    for start in range(0, samples, span):
        n = start + j
        inside = live & (j < span) & (n < samples)
        whole, rest, _ = _tap(tl.load(delay + n * VARYING_D, inside, 2.0), high, LATE, THIRAN)
        m = n - whole
        near = tl.load(w + m, inside & (m >= -memory), 0.0)
        far = tl.load(w + m - 1, inside & (m > -memory), 0.0)
        if THIRAN:
            a = ((1.0 - rest) / (1.0 + rest)).to(REAL).to(tl.float64)
            # Beyond the tile nothing happens, so that its last column is where it ends.
            p = tl.where(inside, -a, 1.0)
            q = tl.where(inside, a * near.to(tl.float64) + far.to(tl.float64), 0.0)
            p, q = tl.associative_scan((p, q), 1, chain)
            exact = p * last + q
            last = tl.reduce(tl.where(j == TIME - 1, exact, 0.0), 1, add)[:, None]
            y = exact.to(REAL)
        else:
            y = near + rest.to(REAL) * (far - near)
        tl.store(out + n, y, inside)
        fed = y * tl.load(feedback + n * VARYING_F, inside, 0.0).to(REAL)
        into = n + LATE
        there = inside & (into < samples)
        tl.store(w + into, tl.load(x + into, there, 0.0).to(REAL) + fed, there)
        tl.debug_barrier()


@triton.jit
def _adjoint(
    g, delay, feedback, line, out, state, grad, gd, gf, high, rows, channels, samples, memory, span,
    LATE: tl.constexpr, THIRAN: tl.constexpr, VARYING_D: tl.constexpr, VARYING_F: tl.constexpr,
    ROWS: tl.constexpr, TIME: tl.constexpr,
):  # fmt: skip
    """In double, backwards; `grad` (rows, samples + 1) gathers the gradient of what the line holds."""
    row = (tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS))[:, None]
    j = tl.arange(0, TIME)[None, :]
    live = row < rows
    item = row // channels
    g += row * samples
    out += row * samples
    grad += row * (samples + 1)
    w = line + row * (memory + samples) + memory
    high = tl.load(high)
    delay += item * (1 + VARYING_D * (samples - 1))
    feedback += item * (1 + VARYING_F * (samples - 1))
    before = tl.load(state + row * (memory + 2) + memory + 1, live, 0.0).to(tl.float64)
    later = tl.full([ROWS, 1], 0.0, tl.float64)
    sum_d = tl.full([ROWS, TIME], 0.0, tl.float64)
    sum_f = sum_d
    for start in range(0, samples, span):
        n = samples - 1 - start - j
        inside = live & (j < span) & (n >= 0)
        whole, rest, free = _tap(tl.load(delay + n * VARYING_D, inside, 2.0), high, LATE, THIRAN)
        m = n - whole
        near = tl.load(w + m, inside & (m >= -memory), 0.0)
        far = tl.load(w + m - 1, inside & (m > -memory), 0.0)
        y = tl.load(out + n, inside, 0.0)
        to_fed = tl.load(grad + n + LATE, inside, 0.0)
        f = tl.load(feedback + n * VARYING_F, inside, 0.0)
        to_out = tl.load(g + n, inside, 0.0).to(tl.float64) + f * to_fed
        if THIRAN:
            after = inside & (n + 1 < samples)
            _, rest_after, _ = _tap(tl.load(delay + (n + 1) * VARYING_D, after, 2.0), high, LATE, THIRAN)
            p = tl.where(inside, -(1.0 - rest_after) / (1.0 + rest_after), 1.0)
            p, q = tl.associative_scan((p, tl.where(inside, to_out, 0.0)), 1, chain)
            to_out = p * later + q
            later = tl.reduce(tl.where(j == TIME - 1, to_out, 0.0), 1, add)[:, None]
            to_near = (1.0 - rest) / (1.0 + rest) * to_out
            to_far = to_out
            previous = tl.where(n > 0, tl.load(out + n - 1, inside & (n > 0), 0.0), before)
            slope = (near - previous) * -2.0 / ((1.0 + rest) * (1.0 + rest))
        else:
            to_near = (1.0 - rest) * to_out
            to_far = rest * to_out
            slope = far - near
        tl.atomic_add(grad + m, to_near, inside & (m >= 0))
        tl.atomic_add(grad + m - 1, to_far, inside & (m >= 1))
        to_delay = tl.where(inside & free, to_out * slope, 0.0)
        to_feedback = tl.where(inside, to_fed * y, 0.0)
        if VARYING_D:
            tl.store(gd + row * samples + n, to_delay, inside)
        else:
            sum_d += to_delay
        if VARYING_F:
            tl.store(gf + row * samples + n, to_feedback, inside)
        else:
            sum_f += to_feedback
        tl.debug_barrier()
    if not VARYING_D:
        tl.store(gd + row, tl.reduce(sum_d, 1, add)[:, None], live)
    if not VARYING_F:
        tl.store(gf + row, tl.reduce(sum_f, 1, add)[:, None], live)


def _run(x: Tensor, d: Tensor, f: Tensor, state: Tensor, out: Tensor, late: bool, thiran: bool) -> tuple[Tensor, tuple, dict]:
    """Fill `out`, in its precision. Returns the line, and what the adjoint needs as well."""
    (batch, channels, samples), memory = x.shape, state.shape[2] - 2
    rows, low, high = batch * channels, 1.5 if thiran else 0.0 if late else 1.0, memory + samples + 2.0
    shortest = min(max(float(d.nan_to_num(math.inf).min()), low), high) if d.numel() else 1.0
    span = min(int(shortest - 0.5 * thiran) + late, samples)
    line = out.new_empty(batch, channels, memory + samples)
    line[..., :memory] = state[..., :memory]
    highest = torch.full((1,), high, dtype=torch.float64, device=x.device)
    meta = {"LATE": late, "THIRAN": thiran, "VARYING_D": d.shape[2] > 1, "VARYING_F": f.shape[2] > 1}
    shape = (rows, channels, samples, memory)
    if samples:
        launch_network(_forward, rows, span, x, d, f, line, out, state, highest, *shape, REAL=real(out), **meta)
    return line, (rows, span, highest, shape), meta


def forward(x: Tensor, delay: Tensor, feedback: Tensor, state: Tensor, late: bool, thiran: bool) -> tuple[Tensor, Tensor]:
    x, state = x.contiguous(), state.clone(memory_format=torch.contiguous_format)
    out, samples, f = torch.empty_like(x), x.shape[2], feedback.to(x.dtype).contiguous()
    line, *_ = _run(x, delay.contiguous(), f, state, out, late, thiran)
    if samples:
        state[..., :-2] = line[..., samples:]
        state[..., -2] = out[..., -1] * f[..., -1]
        state[..., -1] = out[..., -1]
    return out, state


def backward(
    g: Tensor, x: Tensor, delay: Tensor, feedback: Tensor, state: Tensor, late: bool, thiran: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Where delays vary, gradients meet in the line by atomic additions, whose order, and so the last bits, may vary."""
    g, x, state, d = g.contiguous(), x.contiguous(), state.contiguous(), delay.contiguous()
    f, samples = feedback.to(x.dtype).double().contiguous(), x.shape[2]
    gd, gf = (d.new_zeros(*x.shape[:2], p.shape[2]) for p in (d, f))
    out = torch.empty_like(x, dtype=torch.float64)
    line, (rows, span, highest, shape), meta = _run(x, d, f, state, out, late, thiran)
    grad = out.new_zeros(*x.shape[:2], samples + 1)
    if samples:
        launch_network(_adjoint, rows, span, g, d, f, line, out, state, grad, gd, gf, highest, *shape, **meta)
    return grad[..., :samples].to(x.dtype).contiguous(), gd.sum(1, keepdim=True), gf.sum(1, keepdim=True)
