"""What the GPU kernels share: how they are launched, how rows and time are laid over a GPU's lanes, and the scan over chunks.

Two forms. Serial in time: a lane is a row, with the recursion's operations in the CPU kernels' order. Chunked, for linear
recurrences on few long rows: time is cut into chunks and a lane is a chunk of a row. Each chunk first runs from zero, which gives
its end and the matrix that takes a start to an end; those are chained; then each chunk runs from its true start. Chunked runs
compute in double, so that a float32 signal is its exact value rounded, not the plugin's float32 recursion.
"""

from contextlib import nullcontext
from functools import lru_cache
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

LANES = 32  # rows of a serial kernel's program: one warp
AHEAD = 8  # samples whose loads are issued before the first is used: a load takes longer than a step of the recursion
SERIAL_ROWS = 4096  # from here on rows alone fill a GPU, and one pass is better than a chunked run's three
LONGEST_TILE = 1024
TILE = 1024  # samples of a program where each is for itself


def chunking(rows: int, samples: int) -> tuple[int, int]:
    """The form a linear recurrence runs in, as a number of chunks and their length: one chunk is the serial form.

    Chunks are about as long as they are many, since each is serial and so is the chain over them.
    """
    length = 1 << samples.bit_length() // 2
    if rows >= SERIAL_ROWS or length < AHEAD:
        return 1, max(samples, 1)
    return -(-samples // length), length


def launch(kernel: Any, programs: int, *args: Tensor | int | float, warps: int = 1, **constants: Any) -> None:
    """Run a kernel. Never contracts a product and a sum into one operation, so that float32 rounds as on the CPU."""
    if programs:
        first = next(a for a in args if isinstance(a, Tensor))
        with torch.cuda.device(first.device) if first.is_cuda else nullcontext():
            kernel[(programs,)](*args, **constants, num_warps=warps, enable_fp_fusion=False)


def launch_lanes(kernel: Any, lanes: int, *args: Tensor | int | float, **constants: Any) -> None:
    """Run a kernel whose lanes are rows, or chunks of rows."""
    launch(kernel, -(-lanes // LANES), *args, **constants, LANES=LANES)


def launch_tiles(kernel: Any, rows: int, samples: int, *args: Tensor | int | float, **constants: Any) -> None:
    """Run a kernel that treats each sample for itself; its last two parameters are the tiles of a row and TILE."""
    tiles = -(-samples // TILE)
    launch(kernel, rows * tiles, *args, tiles, warps=4, **constants, TILE=TILE)


def launch_network(kernel: Any, rows: int, span: int, *args: Tensor | int | float, **constants: Any) -> None:
    """Run a kernel over tiles of rows and time of a network in which `span` samples, from wherever, do not depend on each other.

    A program takes its tiles one after the other. Few rows get long tiles, short spans get many rows. Its last parameters are
    the samples a tile advances by, ROWS and TIME.
    """
    span = max(1, min(span, LONGEST_TILE))
    time = 1 << (span - 1).bit_length()
    height = max(1, min(1 << max(rows - 1, 0).bit_length(), 128 // time))
    warps = max(1, min(8, time * height // 32))
    launch(kernel, -(-rows // height), *args, span, warps=warps, **constants, ROWS=height, TIME=time)


def real(x: Tensor | torch.dtype) -> Any:
    """Triton's name of a floating dtype."""
    return tl.float64 if (x if isinstance(x, torch.dtype) else x.dtype) == torch.float64 else tl.float32


@lru_cache(maxsize=256)
def integers(values: tuple[int, ...], device: torch.device) -> Tensor:
    """A table of numbers on a device, sent there once."""
    return torch.tensor(values, dtype=torch.int64, device=device)


@triton.jit
def lanes(LANES: tl.constexpr):
    """The lanes of this program."""
    return tl.program_id(0).to(tl.int64) * LANES + tl.arange(0, LANES)


@triton.jit
def elements(samples, tiles, TILE: tl.constexpr):
    """The row and the samples of this program, and which of them there are."""
    row = tl.program_id(0).to(tl.int64) // tiles
    n = (tl.program_id(0) % tiles) * TILE + tl.arange(0, TILE)
    return row, n, n < samples


@triton.jit
def inverse(x):
    """1 / x, rounded correctly, which single precision's `/` is not."""
    if x.dtype == tl.float32:
        return tl.div_rn(tl.full(x.shape, 1.0, x.dtype), x)
    else:
        return 1.0 / x


@triton.jit
def power(base, exponent):
    """base^exponent in double, base >= 0. In single precision Triton's are approximations; a double's rounding is not."""
    return tl.where(exponent == 0, 1.0, tl.exp(exponent * tl.log(base)))


@triton.jit
def tanh(x):
    """In double: its series near 0, where the quotient cancels."""
    size = tl.abs(x)
    e = tl.exp(-2.0 * size)
    far = (1.0 - e) / (1.0 + e)
    y = x * x
    near = 62.0 / 2835 + y * (-1382.0 / 155925 + y * (21844.0 / 6081075))
    near = 1.0 + y * (-1.0 / 3 + y * (2.0 / 15 + y * (-17.0 / 315 + y * near)))
    return tl.where(size < 0.1, x * near, tl.where(x < 0, -far, far))


@triton.jit
def tanh_slope(x):
    """1 / cosh^2, in double."""
    e = tl.exp(-2.0 * tl.abs(x))
    return 4.0 * e / ((1.0 + e) * (1.0 + e))


@triton.jit
def add(a, b):
    return a + b


@triton.jit
def chain(a1, b1, a2, b2):
    """s -> a2 (a1 s + b1) + b2: two steps of a first-order recurrence as one."""
    return a1 * a2, b1 * a2 + b2


@triton.jit
def _carry(flow, starts, first, rows, chunks, ORDER: tl.constexpr, REVERSED: tl.constexpr, LANES: tl.constexpr):
    row = lanes(LANES)
    live = row < rows
    s1 = tl.load(first + row * ORDER, live, 0.0)
    s2 = s1
    if ORDER == 2:
        s2 = tl.load(first + row * ORDER + 1, live, 0.0)
    for i in range(chunks):
        chunk = i
        if REVERSED:
            chunk = chunks - 1 - i
        at = row * chunks + chunk
        tl.store(starts + at * ORDER, s1, live)
        if ORDER == 1:
            s1 = tl.load(flow + at * 2, live, 0.0) * s1 + tl.load(flow + at * 2 + 1, live, 0.0)
        else:
            tl.store(starts + at * 2 + 1, s2, live)
            f = flow + at * 6
            m11, m21 = tl.load(f, live, 0.0), tl.load(f + 1, live, 0.0)
            m12, m22 = tl.load(f + 2, live, 0.0), tl.load(f + 3, live, 0.0)
            e1, e2 = tl.load(f + 4, live, 0.0), tl.load(f + 5, live, 0.0)
            s1, s2 = m11 * s1 + m12 * s2 + e1, m21 * s1 + m22 * s2 + e2


def starts_of(flow: Tensor, first: Tensor, reversed: bool = False) -> Tensor:
    """The true start of each chunk.

    Args:
        flow: (rows, chunks, n (n + 1)), float64: the columns of a chunk's matrix, then its end from a start of zero; n is 1 or 2.
        first: (rows, n), float64, the start of the first chunk in the direction of time.
        reversed: whether time runs backwards, as in an adjoint.

    Returns:
        (rows, chunks, n).
    """
    rows, chunks, order = *flow.shape[:2], first.shape[1]
    starts = flow.new_empty(rows, chunks, order)
    launch_lanes(_carry, rows, flow, starts, first.contiguous(), rows, chunks, ORDER=order, REVERSED=reversed)
    return starts
