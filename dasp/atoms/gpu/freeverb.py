"""Freeverb's network.

Float32's combs quantise, so they are serial in time, a lane for each comb; the all-passes are parallel within the shortest one.
In the backward pass, in double, combs are parallel within the shortest too, with a scan for the damping. Time goes in blocks,
of which only the lines' tails are kept.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from dasp.atoms.freeverb import ALL_PASSES, COMBS, _pieces
from dasp.atoms.gpu._launch import AHEAD, add, chain, integers, lanes, launch_lanes, launch_network, real

_BLOCK = 1 << 14
_COMBS, _LINES = len(COMBS), len(COMBS) + len(ALL_PASSES)


@triton.jit
def _settle(v):
    """The plugin adds and subtracts 0.1 in float32 against denormals, which quantises. Not so in double."""
    if v.dtype == tl.float32:
        return (v + 0.1) - 0.1
    else:
        return v


@triton.jit
def _combs(
    feed, feedback, damping, lines, level, lengths, rows, sides, samples, start, count, width, frames, longest,
    VARYING: tl.constexpr, REAL: tl.constexpr, AHEAD: tl.constexpr, LANES: tl.constexpr,
):  # fmt: skip
    """Serial; lanes (item, side, comb). `lines` (lanes, width) has its past in the first `longest`."""
    row = lanes(LANES)
    live = row < rows
    origin = row * 0  # so that a moment is one of each lane
    item = row // (sides * 8)
    delay = tl.load(lengths + row // 8 % sides * 12 + row % 8, live, 8)
    feed += item * samples + start
    feedback += item * frames + start * VARYING
    damping += item * frames + start * VARYING
    w = lines + row * width + longest
    last = tl.load(level + row, live, 0.0)
    for base in range(0, count, AHEAD):
        xs = ()
        outs = ()
        fs = ()
        ds = ()
        for i in tl.static_range(AHEAD):
            n = origin + base + i
            inside = live & (n < count)
            xs = xs + (tl.load(feed + n, inside, 0.0),)
            outs = outs + (tl.load(w + n - delay, inside, 0.0),)
            fs = fs + (tl.load(feedback + n * VARYING, inside, 0.0),)
            ds = ds + (tl.load(damping + n * VARYING, inside, 0.0),)
        for i in tl.static_range(AHEAD):
            n = origin + base + i
            inside = live & (n < count)
            new = _settle(outs[i] * (1.0 - ds[i]) + last * ds[i])
            last = tl.where(inside, new, last)
            tl.store(w + n, _settle(xs[i] + last * fs[i]), inside)
    tl.store(level + row, last, live)


@triton.jit
def _all_passes(
    combs, lines, lengths, wet, rows, sides, samples, start, count, width_c, width_a, longest_c, longest_a, span,
    ROWS: tl.constexpr, TIME: tl.constexpr,
):  # fmt: skip
    """The sum of the combs, then the all-passes in series; rows (item, side)."""
    row = (tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS))[:, None]
    j = tl.arange(0, TIME)[None, :]
    live = row < rows
    lengths += row % sides * 12
    for base in range(0, count, span):
        n = base + j
        inside = live & (j < span) & (n < count)
        total = tl.load(combs + row * 8 * width_c + longest_c + n - tl.load(lengths, live, 1), inside, 0.0)
        for i in tl.static_range(1, 8):
            at = combs + (row * 8 + i) * width_c + longest_c
            total += tl.load(at + n - tl.load(lengths + i, live, 1), inside, 0.0)
        for i in tl.static_range(4):
            at = lines + (row * 4 + i) * width_a + longest_a
            delayed = tl.load(at + n - tl.load(lengths + 8 + i, live, 1), inside, 0.0)
            tl.store(at + n, _settle(total + delayed * 0.5), inside)
            total = delayed - total
        tl.store(wet + row * samples + start + n, total, inside)
        tl.debug_barrier()


@triton.jit
def _levels(
    feed, feedback, damping, lines, levels, lengths, rows, sides, samples, start, count, width, frames, longest, span,
    VARYING: tl.constexpr, ROWS: tl.constexpr, TIME: tl.constexpr,
):  # fmt: skip
    """The combs in double, rows (item, side, comb); `levels` (rows, 1 + block) begins with the one before."""
    row = (tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS))[:, None]
    j = tl.arange(0, TIME)[None, :]
    live = row < rows
    item = row // (sides * 8)
    delay = tl.load(lengths + row // 8 % sides * 12 + row % 8, live, 1)
    feed += item * samples + start
    feedback += item * frames + start * VARYING
    damping += item * frames + start * VARYING
    w = lines + row * width + longest
    levels += row * (width - longest + 1)
    last = tl.load(levels, live, 0.0)
    for base in range(0, count, span):
        n = base + j
        inside = live & (j < span) & (n < count)
        d = tl.load(damping + n * VARYING, inside, 1.0)
        out = tl.load(w + n - delay, inside, 0.0)
        # Beyond the tile nothing happens, so that its last column is where it ends.
        p, q = tl.associative_scan((d + out * 0.0, tl.where(inside, (1.0 - d) * out, 0.0)), 1, chain)
        level = p * last + q
        last = tl.reduce(tl.where(j == TIME - 1, level, 0.0), 1, add)[:, None]
        tl.store(levels + 1 + n, level, inside)
        x = tl.load(feed + n, inside, 0.0).to(tl.float64)
        tl.store(w + n, x + tl.load(feedback + n * VARYING, inside, 0.0) * level, inside)
        tl.debug_barrier()


@triton.jit
def _all_passes_adjoint(
    g, lines, grad, lengths, rows, sides, samples, start, count, width, span, ROWS: tl.constexpr, TIME: tl.constexpr
):
    """Backwards; `lines` (rows, 4, width) holds the gradients of what lines hold, the next block's behind this one's."""
    row = (tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS))[:, None]
    j = tl.arange(0, TIME)[None, :]
    live = row < rows
    lengths += row % sides * 12
    for base in range(0, count, span):
        n = count - 1 - base - j
        inside = live & (j < span) & (n >= 0)
        total = tl.load(g + row * samples + start + n, inside, 0.0).to(tl.float64)
        for i in tl.static_range(3, -1, -1):
            at = lines + (row * 4 + i) * width
            to_line = tl.load(at + n + tl.load(lengths + 8 + i, live, 1), inside, 0.0)
            tl.store(at + n, total + 0.5 * to_line, inside)
            total = to_line - total
        tl.store(grad + row * count + n, total, inside)
        tl.debug_barrier()


@triton.jit
def _combs_adjoint(
    grad, feedback, damping, lines, levels, adjoint, carried, to_feed, to_f, to_d, lengths,
    rows, sides, samples, start, count, width, frames, longest, span,
    VARYING: tl.constexpr, ROWS: tl.constexpr, TIME: tl.constexpr,
):  # fmt: skip
    """Backwards, rows (item, side, comb); `adjoint` (rows, width) as the all-passes' lines."""
    row = (tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS))[:, None]
    j = tl.arange(0, TIME)[None, :]
    live = row < rows
    item = row // (sides * 8)
    delay = tl.load(lengths + row // 8 % sides * 12 + row % 8, live, 1)
    feedback += item * frames + start * VARYING
    damping += item * frames + start * VARYING
    w = lines + row * width + longest
    levels += row * (width - longest + 1)
    adjoint += row * width
    later = tl.load(carried + row, live, 0.0)
    sum_f = tl.full([ROWS, TIME], 0.0, tl.float64)
    sum_d = sum_f
    for base in range(0, count, span):
        n = count - 1 - base - j
        inside = live & (j < span) & (n >= 0)
        d = tl.load(damping + n * VARYING, inside, 0.0)
        f = tl.load(feedback + n * VARYING, inside, 0.0)
        # The last sample of all has none after it, and nothing is carried there.
        next_d = tl.load(damping + (n + 1) * VARYING, inside & (start + n + 1 < samples), 0.0)
        to_line = tl.load(adjoint + n + delay, inside, 0.0)
        p, q = tl.associative_scan((tl.where(inside, next_d, 1.0), tl.where(inside, f * to_line, 0.0)), 1, chain)
        to_level = p * later + q
        later = tl.reduce(tl.where(j == TIME - 1, to_level, 0.0), 1, add)[:, None]
        level, before = tl.load(levels + 1 + n, inside, 0.0), tl.load(levels + n, inside, 0.0)
        out = tl.load(w + n - delay, inside, 0.0)
        total = tl.load(grad + row // 8 * count + n, inside, 0.0)
        tl.store(adjoint + n, total + (1.0 - d) * to_level, inside)
        tl.store(to_feed + row * count + n, to_line, inside)
        part_f = tl.where(inside, to_line * level, 0.0)
        part_d = tl.where(inside, to_level * (before - out), 0.0)
        if VARYING:
            tl.store(to_f + row * samples + start + n, part_f, inside)
            tl.store(to_d + row * samples + start + n, part_d, inside)
        else:
            sum_f += part_f
            sum_d += part_d
        tl.debug_barrier()
    tl.store(carried + row, later, live)
    if not VARYING:
        at = row
        tl.store(to_f + at, tl.load(to_f + at, live, 0.0) + tl.reduce(sum_f, 1, add)[:, None], live)
        tl.store(to_d + at, tl.load(to_d + at, live, 0.0) + tl.reduce(sum_d, 1, add)[:, None], live)


class _Lines:
    """The lines of a call, their past in front: combs (items, sides, 8, past + block), then all-passes, and the combs' levels."""

    def __init__(self, feed: Tensor, state: Tensor, lengths: list[int], dtype: torch.dtype):
        self.lengths, self.sides = lengths, len(lengths) // _LINES
        self.items, _, self.samples = feed.shape
        self.block = max(1, min(self.samples, _BLOCK))
        combs = [n for i, n in enumerate(lengths) if i % _LINES < _COMBS]
        others = [n for i, n in enumerate(lengths) if i % _LINES >= _COMBS]
        self.longest, self.span = (max(combs), max(others)), (min(combs), min(others))
        shape = (self.items, self.sides)
        self.combs = feed.new_zeros(*shape, _COMBS, self.longest[0] + self.block, dtype=dtype)
        self.others = feed.new_zeros(*shape, len(ALL_PASSES), self.longest[1] + self.block, dtype=dtype)
        self.levels = feed.new_zeros(*shape, _COMBS, dtype=dtype)
        for part, value in zip(self.parts(), state.split(_pieces(lengths), 1), strict=True):
            part.copy_(value)
        self.table = integers(tuple(lengths), feed.device)

    def parts(self) -> list[Tensor]:
        """The state's parts, (items, n) each, where they lie in front of a block."""
        found = []
        for at, n in enumerate(self.lengths):
            side, i = divmod(at, _LINES)
            lines, i, past = (
                (self.combs, i, self.longest[0]) if i < _COMBS else (self.others, i - _COMBS, self.longest[1])
            )  # fmt: skip
            found.append(lines[:, side, i, past - n : past])
            if lines is self.combs:
                found.append(self.levels[:, side, i, None])
        return found

    def shift(self, count: int) -> None:
        """What was the block's end becomes the next one's past."""
        for lines, past in zip((self.combs, self.others), self.longest, strict=True):
            lines[..., :past] = lines[..., count : count + past].clone()


def forward(feed: Tensor, feedback: Tensor, damping: Tensor, state: Tensor, lengths: list[int]) -> tuple[Tensor, Tensor]:
    feed = feed.contiguous()
    f, d = feedback.to(feed.dtype).contiguous(), damping.to(feed.dtype).contiguous()
    lines = _Lines(feed, state, lengths, feed.dtype)
    sides, samples, frames = lines.sides, lines.samples, f.shape[1]
    wet, rows = feed.new_empty(lines.items, sides, samples), lines.items * sides
    meta = {"VARYING": frames > 1, "REAL": real(feed), "AHEAD": min(AHEAD, lines.span[0])}
    widths = (lines.combs.shape[-1], lines.others.shape[-1])
    for start in range(0, samples, lines.block):
        at = (sides, samples, start, min(lines.block, samples - start))
        tensors = (feed, f, d, lines.combs, lines.levels, lines.table)
        launch_lanes(_combs, rows * _COMBS, *tensors, rows * _COMBS, *at, widths[0], frames, lines.longest[0], **meta)
        tensors = (lines.combs, lines.others, lines.table, wet)
        launch_network(_all_passes, rows, lines.span[1], *tensors, rows, *at, *widths, *lines.longest)
        lines.shift(at[3])
    return wet, torch.cat(lines.parts(), 1)


def backward(
    g: Tensor, feed: Tensor, feedback: Tensor, damping: Tensor, state: Tensor, lengths: list[int]
) -> tuple[Tensor, Tensor, Tensor]:
    g, feed = g.contiguous(), feed.contiguous()
    f, d = (p.to(feed.dtype).double().contiguous() for p in (feedback, damping))
    lines = _Lines(feed, state, lengths, torch.float64)
    sides, samples, frames, block = lines.sides, lines.samples, f.shape[1], lines.block
    rows, widths = lines.items * sides, (lines.combs.shape[-1], lines.others.shape[-1])
    meta, levels = {"VARYING": frames > 1}, f.new_empty(rows * _COMBS, 1 + block)
    starts = range(0, samples, block)

    def at(start: int) -> tuple[int, int, int, int]:
        return sides, samples, start, min(block, samples - start)

    def run(start: int) -> None:
        levels[:, 0] = lines.levels.flatten()
        tensors = (feed, f, d, lines.combs, levels, lines.table)
        sizes = (rows * _COMBS, *at(start), widths[0], frames, lines.longest[0])
        launch_network(_levels, rows * _COMBS, lines.span[0], *tensors, *sizes, **meta)

    kept = []
    for start in starts:
        kept.append((lines.combs[..., : lines.longest[0]].clone(), lines.levels.clone()))
        if start != starts[-1]:
            run(start)
            lines.levels.copy_(levels[:, at(start)[3]].view_as(lines.levels))
            lines.shift(at(start)[3])
    to_feed, carried = torch.empty_like(feed), f.new_zeros(rows * _COMBS)
    to_f, to_d = (f.new_zeros(rows * _COMBS, frames) for _ in range(2))
    after_c, after_a = f.new_zeros(rows * _COMBS, widths[0]), f.new_zeros(rows * len(ALL_PASSES), widths[1])
    for start in reversed(starts):
        count = at(start)[3]
        lines.combs[..., : lines.longest[0]], lines.levels = kept.pop()
        run(start)
        for adjoint, past in zip((after_c, after_a), lines.longest, strict=True):
            adjoint[:, count : count + past] = adjoint[:, :past].clone()
        grad, fed = f.new_empty(rows, count), f.new_empty(lines.items, sides * _COMBS, count)
        launch_network(_all_passes_adjoint, rows, lines.span[1], g, after_a, grad, lines.table, rows, *at(start), widths[1])
        tensors = (grad, f, d, lines.combs, levels, after_c, carried, fed, to_f, to_d, lines.table)
        sizes = (rows * _COMBS, *at(start), widths[0], frames, lines.longest[0])
        launch_network(_combs_adjoint, rows * _COMBS, lines.span[0], *tensors, *sizes, **meta)
        to_feed[:, 0, start : start + count] = fed.sum(1)
    return to_feed, *(p.view(lines.items, sides * _COMBS, frames).sum(1) for p in (to_f, to_d))
