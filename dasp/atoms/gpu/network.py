"""Networks of delay lines: the program is interpreted, each instruction for a tile of rows and time.

Time within a tile is parallel up to the shortest delay that the program reads; where parameters are delays, that is read on the
CPU, which waits for it. A network with a delay of one sample, such as a low-pass, runs sample by sample, parallel in rows alone.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from dasp.atoms import network as atom
from dasp.atoms.gpu._launch import LONGEST_TILE, integers, launch_network, real

_BLOCK = 4096  # samples between which only what the lines remember is kept

_INPUT, _TAP, _SLIDE = tl.constexpr(atom._INPUT), tl.constexpr(atom._TAP), tl.constexpr(atom._SLIDE)
_STEP, _SUM, _DIFF = tl.constexpr(atom._STEP), tl.constexpr(atom._SUM), tl.constexpr(atom._DIFF)
_SCALED, _WRITE = tl.constexpr(atom._SCALED), tl.constexpr(atom._WRITE)
_OUTPUT, _ALL_PASS = tl.constexpr(atom._OUTPUT), tl.constexpr(atom._ALL_PASS)
_EVEN = tl.constexpr(1.5 * 2**52)  # added and subtracted, it rounds a double to whole numbers, ties to even


@triton.jit
def _settle(v):
    """Far below anything that sounds, as the CPU does; not so in double."""
    if v.dtype == tl.float32:
        return tl.where(tl.abs(v) < 1e-30, 0.0, v)
    else:
        return v


@triton.jit
def _root(v):
    """Rounded correctly."""
    if v.dtype == tl.float32:
        return tl.sqrt_rn(v)
    else:
        return tl.sqrt(v)


@triton.jit
def _delay(value, size, rounded):
    """Whole samples, the part, and whether it is not held at the line's ends."""
    held = tl.minimum(tl.maximum(value, 1.0), (size - 1).to(tl.float64))
    even = (held + _EVEN) - _EVEN
    whole = tl.where(rounded, even, tl.minimum(tl.floor(held), (size - 2).to(tl.float64)))
    whole = tl.minimum(tl.maximum(whole, 1.0), (size - 1).to(tl.float64))
    return whole.to(tl.int64), tl.where(rounded, 0.0, held - whole), held == value


@triton.jit
def _run(
    code, instructions, table, x, y, params, lines, registers, own, stride, n, moment, inside, start, samples, frames,
    REAL: tl.constexpr, AUDIO: tl.constexpr, AGAIN: tl.constexpr,
):  # fmt: skip
    """The program for one tile. AGAIN: what the lines hold is known, only registers are wanted.

    A register's values may be written and read by different threads, hence a barrier behind each instruction.
    """
    for i in range(instructions):
        op, dst = tl.load(code + i * 6), tl.load(code + i * 6 + 1)
        a, b = tl.load(code + i * 6 + 2), tl.load(code + i * 6 + 3)
        c, d = tl.load(code + i * 6 + 4), tl.load(code + i * 6 + 5)
        to = registers + dst * stride + own
        if op == _INPUT:
            tl.store(to, tl.load(x + a * samples + start + n, inside, 0.0).to(REAL), inside)
        elif op == _TAP:
            tl.store(to, tl.load(lines + tl.load(table + 2 * a) + n - b, inside, 0.0), inside)
        elif (op == _SLIDE) | (op == _STEP):
            delay = tl.load(params + b * frames + moment, inside, 1.0)
            whole, part, _ = _delay(delay, tl.load(table + 2 * a + 1), op == _STEP)
            at = lines + tl.load(table + 2 * a) + n - whole
            near, far = tl.load(at, inside, 0.0), tl.load(at - 1, inside, 0.0)
            tl.store(to, near + part.to(REAL) * (far - near), inside)
        elif op == _SUM:
            tl.store(to, tl.load(registers + a * stride + own, inside) + tl.load(registers + b * stride + own, inside), inside)
        elif op == _DIFF:
            tl.store(to, tl.load(registers + a * stride + own, inside) - tl.load(registers + b * stride + own, inside), inside)
        elif op == _SCALED:
            gain = tl.load(params + c * frames + moment, inside, 0.0).to(AUDIO).to(REAL)
            scaled = gain * tl.load(registers + b * stride + own, inside)
            tl.store(to, tl.load(registers + a * stride + own, inside) + scaled, inside)
        elif op == _WRITE:
            if not AGAIN:
                value = tl.load(registers + b * stride + own, inside)
                tl.store(lines + tl.load(table + 2 * a) + n, _settle(value), inside)
        elif op == _OUTPUT:
            if not AGAIN:
                tl.store(y + a * samples + start + n, tl.load(registers + b * stride + own, inside), inside)
        else:
            gain = tl.load(params + d * frames + moment, inside, 0.0).to(AUDIO).to(REAL)
            turned = _root(1.0 - gain * gain)
            at = lines + tl.load(table + 2 * b) + n
            t, value = tl.load(at - c, inside, 0.0), tl.load(registers + a * stride + own, inside)
            if not AGAIN:
                tl.store(at, _settle(turned * value - gain * t), inside)
            tl.store(to, gain * value + turned * t, inside)
        tl.debug_barrier()


@triton.jit
def _forward(
    code, instructions, table, x, y, params, lines, registers,
    rows, inputs, outputs, samples, start, count, width, numbers, frames, span,
    VARYING: tl.constexpr, REAL: tl.constexpr, AUDIO: tl.constexpr, ROWS: tl.constexpr, TIME: tl.constexpr,
):  # fmt: skip
    """`lines` (rows, width): each line's past, then the block. `registers` (registers, programs, ROWS, TIME)."""
    here = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)[:, None]
    j = tl.arange(0, TIME)[None, :]
    own, stride = here * TIME + j, tl.num_programs(0) * ROWS * TIME
    for base in range(0, count, span):
        n = base + j + here * 0
        inside = (here < rows) & (j < span) & (n < count)
        _run(
            code, instructions, table, x + here * inputs * samples, y + here * outputs * samples,
            params + here * numbers * frames, lines + here * width, registers, own, stride, n, (start + n) * VARYING,
            inside, start, samples, frames, REAL, AUDIO, False,
        )  # fmt: skip


@triton.jit
def _take(pointer, inside):
    """A gradient that is used up."""
    value = tl.load(pointer, inside, 0.0)
    tl.store(pointer, tl.where(inside, 0.0, value), inside)
    return value


@triton.jit
def _give(pointer, value, inside):
    tl.store(pointer, tl.load(pointer, inside, 0.0) + value, inside)


@triton.jit
def _adjoint(
    code, instructions, table, g, x, params, lines, waiting, registers, grads, gx, gp,
    rows, inputs, outputs, samples, start, count, width, numbers, frames, span,
    VARYING: tl.constexpr, AUDIO: tl.constexpr, ROWS: tl.constexpr, TIME: tl.constexpr,
):  # fmt: skip
    """Backwards, in double. `waiting` (rows, width) gathers the gradients of what the lines hold. `gp`: (rows, numbers, samples),
    or (rows, numbers, TIME) to be summed."""
    here = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)[:, None]
    j = tl.arange(0, TIME)[None, :]
    own, stride = here * TIME + j, tl.num_programs(0) * ROWS * TIME
    p = params + here * numbers * frames
    held, late = lines + here * width, waiting + here * width
    for base in range(0, count, span):
        n = count - 1 - base - j + here * 0
        inside = (here < rows) & (j < span) & (n >= 0)
        moment = (start + n) * VARYING
        _run(
            code, instructions, table, x + here * inputs * samples, x, p, held, registers, own, stride, n, moment, inside, start,
            samples, frames, tl.float64, AUDIO, True,
        )  # fmt: skip
        if VARYING:
            to_p, step = gp + here * numbers * samples + start + n, samples
        else:
            to_p, step = gp + here * numbers * TIME + j, TIME
        for back in range(instructions):
            i = instructions - 1 - back
            op, dst = tl.load(code + i * 6), tl.load(code + i * 6 + 1)
            a, b = tl.load(code + i * 6 + 2), tl.load(code + i * 6 + 3)
            c, d = tl.load(code + i * 6 + 4), tl.load(code + i * 6 + 5)
            to = grads + dst * stride + own
            first, second = grads + a * stride + own, grads + b * stride + own
            if op == _INPUT:
                _give(gx + (here * inputs + a) * samples + start + n, _take(to, inside), inside)
            elif op == _TAP:
                tl.atomic_add(late + tl.load(table + 2 * a) + n - b, _take(to, inside), inside)
            elif (op == _SLIDE) | (op == _STEP):
                delay = tl.load(p + b * frames + moment, inside, 1.0)
                whole, part, free = _delay(delay, tl.load(table + 2 * a + 1), op == _STEP)
                at = tl.load(table + 2 * a) + n - whole
                v = _take(to, inside)
                slope = tl.load(held + at - 1, inside, 0.0) - tl.load(held + at, inside, 0.0)
                tl.atomic_add(late + at, (1.0 - part) * v, inside)
                tl.atomic_add(late + at - 1, part * v, inside)
                _give(to_p + b * step, tl.where(free, slope * v, 0.0), inside)
            elif (op == _SUM) | (op == _DIFF):
                v = _take(to, inside)
                _give(first, v, inside)
                tl.debug_barrier()  # both may be the same
                _give(second, tl.where(op == _SUM, v, -v), inside)
            elif op == _SCALED:
                v = _take(to, inside)
                gain = tl.load(p + c * frames + moment, inside, 0.0).to(AUDIO).to(tl.float64)
                _give(first, v, inside)
                tl.debug_barrier()
                _give(second, gain * v, inside)
                _give(to_p + c * step, tl.load(registers + b * stride + own, inside) * v, inside)
            elif op == _WRITE:
                _give(second, tl.load(late + tl.load(table + 2 * a) + n, inside, 0.0), inside)
            elif op == _OUTPUT:
                _give(second, tl.load(g + (here * outputs + a) * samples + start + n, inside, 0.0).to(tl.float64), inside)
            else:
                gain = tl.load(p + d * frames + moment, inside, 0.0).to(AUDIO).to(tl.float64)
                turned = tl.sqrt(1.0 - gain * gain)
                at = tl.load(table + 2 * b) + n
                v, w = _take(to, inside), tl.load(late + at, inside, 0.0)
                value, t = tl.load(registers + a * stride + own, inside), tl.load(held + at - c, inside, 0.0)
                _give(first, gain * v + turned * w, inside)
                tl.atomic_add(late + at - c, turned * v - gain * w, inside)
                turn = gain / turned
                _give(to_p + d * step, (value - turn * t) * v - (t + turn * value) * w, inside)
            tl.debug_barrier()
        tl.store(grads + own, tl.full([ROWS, TIME], 0.0, tl.float64))  # the register that is always zero
        tl.debug_barrier()


class _Lines:
    """A call's program on the device, and its lines over a block: each line's past, oldest first, then the block."""

    def __init__(self, x: Tensor, params: Tensor, program: list[int], sizes: list[int], registers: int, dtype: torch.dtype):
        self.rows, self.samples, self.registers = len(x), x.shape[2], registers
        self.block = max(1, min(self.samples, _BLOCK))
        self.span = min(_span(program, sizes, params), self.block)
        offsets, at = [], 0
        for size in sizes:
            offsets.append(at + size)
            at += size + self.block
        self.width, self.values = at, x.new_zeros(self.rows, at, dtype=dtype)
        self.code, self.instructions = integers(tuple(program), x.device), len(program) // atom._WIDTH
        self.table = integers(tuple(n for pair in zip(offsets, sizes, strict=True) for n in pair), x.device)
        past = [o - size + i for o, size in zip(offsets, sizes, strict=True) for i in range(size)]
        self.past = integers(tuple(past), x.device)

    def blocks(self) -> range:
        return range(0, self.samples, self.block)

    def count(self, start: int) -> int:
        return min(self.block, self.samples - start)

    def scratch(self, dtype: torch.dtype) -> Tensor:
        """Room for all registers of all programs, zero; more than any tile's shape needs."""
        rows = 1 << max(self.rows - 1, 0).bit_length()
        return self.values.new_zeros(self.registers * rows * (1 << (self.span - 1).bit_length()), dtype=dtype)

    def tensors(self) -> tuple[Tensor, int, Tensor]:
        """What both kernels begin with."""
        return self.code, self.instructions, self.table


def _span(program: list[int], sizes: list[int], params: Tensor) -> int:
    """The shortest delay that is read, in samples: so many do not depend on each other."""
    code = [program[i : i + atom._WIDTH] for i in range(0, len(program), atom._WIDTH)]
    delays = [c[3] for c in code if c[0] == atom._TAP] + [c[4] for c in code if c[0] == atom._ALL_PASS]
    moving = [c for c in code if c[0] in (atom._SLIDE, atom._STEP)]
    if moving and params.numel():
        lowest = params.nan_to_num(1.0).amin((0, 2)).tolist()
        for op, _, line, param, *_ in moving:
            held = min(max(lowest[param], 1.0), sizes[line] - 1.0)
            delays.append(round(held) if op == atom._STEP else min(int(held), sizes[line] - 2))
    return max(1, min([*delays, LONGEST_TILE]))


def forward(
    x: Tensor, params: Tensor, state: Tensor, program: list[int], sizes: list[int], registers: int, outputs: int
) -> tuple[Tensor, Tensor]:
    x, params = x.contiguous(), params.contiguous()
    lines = _Lines(x, params, program, sizes, registers, x.dtype)
    y = x.new_empty(len(x), outputs, x.shape[2])
    _play(lines, x, params, state, y)
    return y, lines.values[:, lines.past]


def _play(lines: _Lines, x: Tensor, params: Tensor, state: Tensor, y: Tensor) -> list[Tensor]:
    """Run the whole call; what the lines remembered in front of each block."""
    lines.values[:, lines.past] = state.to(lines.values.dtype)
    scratch, kept = lines.scratch(lines.values.dtype), []
    meta = {"VARYING": params.shape[2] > 1, "REAL": real(lines.values), "AUDIO": real(x)}
    for start in lines.blocks():
        kept.append(lines.values[:, lines.past])
        count = lines.count(start)
        sizes = (lines.rows, x.shape[1], y.shape[1], lines.samples, start, count, lines.width, *params.shape[1:])
        launch_network(_forward, lines.rows, lines.span, *lines.tensors(), x, y, params, lines.values, scratch, *sizes, **meta)
        lines.values[:, lines.past] = lines.values[:, lines.past + count]
    return kept


def backward(
    g: Tensor, x: Tensor, params: Tensor, state: Tensor, program: list[int], sizes: list[int], registers: int
) -> tuple[Tensor, Tensor]:
    """Gradients meet in the lines by atomic additions, whose order, and so the last bits, may vary."""
    g, x, params = g.contiguous(), x.contiguous(), params.contiguous()
    lines = _Lines(x, params, program, sizes, registers, torch.float64)
    kept = _play(lines, x, params, state, torch.empty_like(g, dtype=torch.float64))
    scratch, grads = lines.scratch(torch.float64), lines.scratch(torch.float64)
    waiting, gx = torch.zeros_like(lines.values), torch.zeros_like(x, dtype=torch.float64)
    varying, time = params.shape[2] > 1, 1 << (lines.span - 1).bit_length()
    gp = params.new_zeros(*params.shape[:2], lines.samples if varying else time)
    meta = {"VARYING": varying, "AUDIO": real(x)}
    again = torch.empty_like(g, dtype=torch.float64)
    for start in reversed(lines.blocks()):
        count = lines.count(start)
        sizes_ = (lines.rows, x.shape[1], g.shape[1], lines.samples, start, count, lines.width, *params.shape[1:])
        lines.values[:, lines.past] = kept.pop()
        tensors = (x, again, params, lines.values, scratch)
        launch_network(_forward, lines.rows, lines.span, *lines.tensors(), *tensors, *sizes_, **meta, REAL=tl.float64)
        # What the next block gives to its past, this one has at its end.
        after = waiting[:, lines.past]
        waiting.zero_()
        waiting[:, lines.past + count] = after
        tensors = (g, x, params, lines.values, waiting, scratch, grads, gx, gp)
        launch_network(_adjoint, lines.rows, lines.span, *lines.tensors(), *tensors, *sizes_, **meta)
    return gx.to(x.dtype), gp if varying else gp.sum(2, keepdim=True)
