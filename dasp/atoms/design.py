"""Coefficients of filters, exact; and of those that Pedalboard has, also as it rounds them in float32.

R. Bristow-Johnson's cookbook forms with A = 10^(gain_db / 40) and w = 2 pi f / fs; the shelves' Q enters as 2 sqrt(A) alpha =
sin(w) sqrt(A) / Q. Frequencies are limited to fs/2 - 100 Hz (as Pedalboard does in shelves and peaks), with zero gradient beyond.
First-order filters by the bilinear transform, k = tan(pi f / fs): low-pass k (1 + 1/z) / (k + 1 + (k - 1)/z), high-pass
(1 - 1/z) / (k + 1 + (k - 1)/z). Band-pass (gain 1 at its centre), notch, all-pass and the second-order Butterworth filters have
no counterpart there. Rows are b0, b1, b2, a1, a2 with a0 = 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from dasp.atoms._library import apply, call, compiled
from dasp.atoms.libm import libm
from gradients.batching import batched
from gradients.operators import operator

BUTTERWORTH_Q = 0.5**0.5
KINDS = (
    "low_shelf",
    "high_shelf",
    "peak",
    "low_pass",
    "high_pass",
    "band_pass",
    "notch",
    "all_pass",
    "butterworth_low_pass",
    "butterworth_high_pass",
)
"""In the kernel's order. The first five are Pedalboard's."""
_PLUGINS = KINDS[:5]
_Rows = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]


class Sections(NamedTuple):
    """Coefficients (B, S, 5, K) as `biquad` takes them.

    Attributes:
        exact: float64, with their gradient.
        plugin: float32, as the plugin computes them, without a gradient; None where float64 is filtered.
    """

    exact: Tensor
    plugin: Tensor | None


def sections(
    kinds: Sequence[str], frequency: Tensor, gain_db: Tensor, q: Tensor, sample_rate: float, dtype: torch.dtype
) -> Sections:
    """Several sections at once.

    Args:
        kinds: of KINDS, one a section.
        frequency, gain_db, q: (B, S, K), or what broadcasts to it; float64. A kind without a gain or a Q ignores it.
        sample_rate: in Hz.
        dtype: the audio's.

    Second derivatives are refused.
    """
    frequency, gain_db, q = torch.broadcast_tensors(frequency, gain_db, q)
    if frequency.ndim != 3 or frequency.shape[1] != len(kinds):
        raise ValueError(
            f"sections: frequency, gain_db and q must broadcast to (batch, {len(kinds)}, frames) for {', '.join(kinds)}; "
            f"got {tuple(frequency.shape)}."
        )
    if not compiled(frequency):
        return sections_reference(kinds, frequency, gain_db, q, sample_rate, dtype)
    codes = [KINDS.index(k) for k in kinds]
    plugin = None
    if dtype != torch.float64:
        plugin = _forward(frequency.detach(), gain_db.detach(), q.detach(), codes, float(sample_rate), True).float()
        if not torch.is_grad_enabled():
            return Sections(plugin.double(), plugin)
    return Sections(apply(_Design, frequency, gain_db, q, codes, float(sample_rate)), plugin)


def section(
    kind: str, frequency: Tensor, q: float | Tensor = BUTTERWORTH_Q, gain_db: float | Tensor = 0.0, *, sample_rate: float
) -> Tensor:
    """One section for each element of controls of any one shape (..., K): (..., 5, K), float64."""
    controls = [torch.as_tensor(v, dtype=torch.float64, device=frequency.device) for v in (frequency, gain_db, q)]
    controls = torch.broadcast_tensors(*controls)
    shape = controls[0].shape
    f, db, quality = (c.reshape(shape[0], -1, shape[-1]) for c in controls)  # the batch stays in front: vmap folds into it
    return sections([kind] * f.shape[1], f, db, quality, sample_rate, torch.float64).exact.reshape(*shape[:-1], 5, shape[-1])


def highest(sample_rate: float) -> float:
    """The highest frequency that filters are tuned to, in Hz."""
    return sample_rate / 2 - 100


def sections_reference(
    kinds: Sequence[str], frequency: Tensor, gain_db: Tensor, q: Tensor, sample_rate: float, dtype: torch.dtype
) -> Sections:
    """The same in plain torch: the oracle, and the fallback."""
    nyquist, rows, rounded = highest(sample_rate), [], []
    for kind, f, db, quality in zip(kinds, frequency.unbind(1), gain_db.unbind(1), q.unbind(1), strict=True):
        if kind in ("low_pass", "high_pass"):
            f = f.clamp_max(nyquist)
            exact = _first_order_rows(kind, torch.tan(math.pi * f / sample_rate))
        elif kind in _PLUGINS:
            w = 2 * math.pi * f.clamp(0.01, nyquist).clamp_min(2.0) / sample_rate
            exact = _COOKBOOK[kind](10 ** (db / 40), torch.sin(w), torch.cos(w), quality)
        else:
            w = 2 * math.pi * f.clamp(0.01, nyquist) / sample_rate
            exact = _resonant_rows(kind, torch.sin(w) / (2 * quality), -2 * torch.cos(w))
        rows.append(_normalised(exact))
        if kind in _PLUGINS:
            exact = _plugin_rows(kind, f.detach().float(), db.detach().float(), quality.detach().float(), sample_rate)
        rounded.append(_normalised(exact).detach().float())
    return Sections(torch.stack(rows, 1), None if dtype == torch.float64 else torch.stack(rounded, 1))


def _plugin_rows(kind: str, f: Tensor, gain_db: Tensor, q: Tensor, sample_rate: float) -> _Rows:
    """The same formulas in float32, in the plugin's order of operations and with libm's functions."""
    pi = torch.tensor(math.pi, dtype=torch.float32).to(f.device)
    if kind in ("low_pass", "high_pass"):
        return _first_order_rows(kind, libm("tanf", f * pi / sample_rate))
    w = f.clamp(0.01, highest(sample_rate)).clamp_min(2.0) * (2 * pi) / sample_rate
    a = _root(libm("powf", f.new_tensor(10.0), gain_db * 0.05))
    return _COOKBOOK[kind](a, libm("sinf", w), libm("cosf", w), q)


def _normalised(rows: _Rows) -> Tensor:
    b0, b1, b2, a0, a1, a2 = torch.broadcast_tensors(*rows)
    return torch.stack([b0, b1, b2, a1, a2], 1) * (1 / a0).unsqueeze(1)


def _first_order_rows(kind: str, k: Tensor) -> _Rows:
    one, zero = torch.ones_like(k), torch.zeros_like(k)
    b0, b1 = (k, k) if kind == "low_pass" else (one, -one)
    return b0, b1, zero, k + 1, k - 1, zero


def _resonant_rows(kind: str, alpha: Tensor, swing: Tensor) -> _Rows:
    one = torch.ones_like(alpha)
    low, high = 1 + swing / 2, 1 - swing / 2
    numerators = {
        "band_pass": (alpha, 0 * alpha, -alpha),
        "notch": (one, swing, one),
        "all_pass": (1 - alpha, swing, 1 + alpha),
        "butterworth_low_pass": (low / 2, low, low / 2),
        "butterworth_high_pass": (high / 2, -high, high / 2),
    }
    return *numerators[kind], 1 + alpha, swing, 1 - alpha


def _root(t: Tensor) -> Tensor:
    # torch's float32 square root is not correctly rounded on every build; double's, rounded once more, is.
    return t.double().sqrt().to(t.dtype)


def _low_shelf_rows(a: Tensor, sin: Tensor, cos: Tensor, q: Tensor) -> _Rows:
    beta = sin * _root(a) / q
    less, more = a - 1, a + 1
    turn = less * cos
    return (
        a * (more - turn + beta),
        a * 2 * (less - more * cos),
        a * (more - turn - beta),
        more + turn + beta,
        -2 * (less + more * cos),
        more + turn - beta,
    )


def _high_shelf_rows(a: Tensor, sin: Tensor, cos: Tensor, q: Tensor) -> _Rows:
    beta = sin * _root(a) / q
    less, more = a - 1, a + 1
    turn = less * cos
    return (
        a * (more + turn + beta),
        a * -2 * (less + more * cos),
        a * (more + turn - beta),
        more - turn + beta,
        2 * (less - more * cos),
        more - turn - beta,
    )


def _peak_rows(a: Tensor, sin: Tensor, cos: Tensor, q: Tensor) -> _Rows:
    alpha = sin / (q * 2)
    swing = -2 * cos
    wide, narrow = alpha * a, alpha / a
    return 1 + wide, swing, 1 - wide, 1 + narrow, swing, 1 - narrow


_COOKBOOK = {"low_shelf": _low_shelf_rows, "high_shelf": _high_shelf_rows, "peak": _peak_rows}


@operator("dasp::design")
def _forward(frequency: Tensor, gain_db: Tensor, q: Tensor, kinds: list[int], sample_rate: float, single: bool) -> Tensor:
    controls = [c.contiguous() for c in (frequency, gain_db, q)]
    batch, count, frames = frequency.shape
    out = frequency.new_empty(batch, count, 5, frames)
    rate, codes = torch.tensor([sample_rate], dtype=torch.float64), torch.tensor(kinds)
    call("design", *controls, rate, codes, out, int(single), batch, count, frames)
    return out


@_forward.register_fake
def _(frequency: Tensor, gain_db: Tensor, q: Tensor, kinds: list[int], sample_rate: float, single: bool) -> Tensor:
    batch, count, frames = frequency.shape
    return frequency.new_empty(batch, count, 5, frames)


@operator("dasp::design_backward")
def _backward(
    g: Tensor, frequency: Tensor, gain_db: Tensor, q: Tensor, kinds: list[int], sample_rate: float
) -> tuple[Tensor, Tensor, Tensor]:
    g, *controls = (t.contiguous() for t in (g, frequency, gain_db, q))
    out = [torch.empty_like(controls[0]) for _ in range(3)]
    rate, codes = torch.tensor([sample_rate], dtype=torch.float64), torch.tensor(kinds)
    call("design_backward", g, *controls, rate, codes, *out, *frequency.shape)
    return out[0], out[1], out[2]


@_backward.register_fake
def _(
    g: Tensor, frequency: Tensor, gain_db: Tensor, q: Tensor, kinds: list[int], sample_rate: float
) -> tuple[Tensor, Tensor, Tensor]:
    return frequency.new_empty(frequency.shape), gain_db.new_empty(gain_db.shape), q.new_empty(q.shape)


for _op in (_forward, _backward):
    _op.register_vmap(batched(_op))


class _Design(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(  # type: ignore[override]
        frequency: Tensor, gain_db: Tensor, q: Tensor, kinds: list[int], sample_rate: float
    ) -> Tensor:
        return _forward(frequency, gain_db, q, kinds, sample_rate, False)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        *controls, ctx.kinds, ctx.sample_rate = inputs
        ctx.save_for_backward(*controls)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple:  # type: ignore[override]
        return *_backward(g, *ctx.saved_tensors, ctx.kinds, ctx.sample_rate), None, None
