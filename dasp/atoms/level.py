"""Levels and pole coefficients, in the plugin's float32 with exact derivatives; and the shape of controls."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from dasp.atoms._library import apply, call, compiled
from dasp.atoms.libm import libm
from dasp.atoms.precision import as_plugin
from gradients.batching import batched
from gradients.operators import operator


def as_controls(x: Tensor, *values: float | Tensor) -> list[Tensor]:
    """Numbers, (B,), (B, 1, 1) or (B, 1, T) -> float64 tensors that broadcast over x (B, C, T)."""
    out = []
    for value in values:
        t = torch.as_tensor(value, dtype=torch.float64, device=x.device)
        if t.ndim < 2:
            t = t.reshape(-1, 1, 1)
        if t.ndim != 3 or t.shape[1] != 1 or t.shape[0] not in (1, len(x)) or t.shape[2] not in (1, x.shape[2]):
            raise ValueError(
                f"a control must be a number, ({len(x)},), ({len(x)}, 1, 1) or ({len(x)}, 1, {x.shape[2]}) for audio "
                f"{tuple(x.shape)}; got {tuple(t.shape)}."
            )
        out.append(t.expand(len(x), 1, -1))
    return out


def db_to_gain(db: Tensor, dtype: torch.dtype, floor_db: float = -100.0) -> Tensor:
    """Decibels -> linear gain, 10^(db/20), exactly 0 at or below the floor. float64, with float32 values for float32 audio."""
    if dtype != torch.float64:
        narrow = db.detach().float()
        rounded = torch.where(narrow <= floor_db, 0.0, libm("powf", narrow.new_tensor(10.0), narrow * 0.05))
        if not torch.is_grad_enabled():
            return rounded.double()
    exact = torch.where(db <= floor_db, 0.0, 10 ** (db / 20))
    return exact if dtype == torch.float64 else as_plugin(exact, rounded)


def ballistics_pole(time_ms: Tensor, sample_rate: float, dtype: torch.dtype) -> Tensor:
    """Time constant -> pole, exp(-2 pi 1000 / (fs t)), and 0 (instant) below a microsecond. float64, as `db_to_gain`.

    The plugins' convention: with the 2 pi, the follower's time constant is t / (2 pi).
    """

    def pole(ms: Tensor) -> Tensor:
        safe = ms.clamp_min(1e-3)
        return torch.where(ms < 1e-3, 0.0, torch.exp(-2000 * math.pi / (sample_rate * safe)))

    exact = pole(time_ms)
    if dtype == torch.float64:
        return exact
    return as_plugin(exact, pole(time_ms.detach().float().double()).float())


_KINDS = ("pole", "gain", "above", "below")


class Levels(NamedTuple):
    """Parameters of `dasp.atoms.dynamics`, (B, P, 1 or T), float64.

    Attributes:
        exact: with their gradient.
        plugin: rounded as the plugin has them, without a gradient; None where float64 is computed.
    """

    exact: Tensor
    plugin: Tensor | None


def designed(x: Tensor, sample_rate: float, kinds: str, *controls: float | Tensor) -> Levels:
    """Controls of a follower and a gain curve -> the parameters of `dasp.atoms.dynamics`, in one step.

    Args:
        x: audio (B, C, T); float32 gets the plugin's float32 values too.
        sample_rate: in Hz.
        kinds: one word for each control: "pole" (ms, `ballistics_pole`), "gain" (dB, `db_to_gain` with a floor of -200 dB),
            "above" (ratio -> 1 / ratio - 1), "below" (ratio -> ratio - 1).
        *controls: as `as_controls` takes them.

    Second derivatives are refused.
    """
    columns = as_controls(x, *controls)
    frames = max(c.shape[2] for c in columns)
    values = torch.cat([c if c.shape[2] == frames else c.expand(-1, -1, frames) for c in columns], 1)
    design = _design if compiled(x) else designed_reference
    plugin = None if x.dtype == torch.float64 else design(values.detach(), kinds, sample_rate, True)
    if plugin is not None and not torch.is_grad_enabled():
        return Levels(plugin, plugin)
    exact = apply(_Designed, values, kinds, sample_rate) if compiled(x) else design(values, kinds, sample_rate, False)
    return Levels(exact, plugin)


def designed_reference(values: Tensor, kinds: str, sample_rate: float, single: bool) -> Tensor:
    """The same in plain torch, on controls (B, P, K) in one tensor: the oracle, and the fallback."""
    dtype = torch.float32 if single else torch.float64

    def one(kind: str, v: Tensor) -> Tensor:
        if kind == "pole":
            return ballistics_pole(v, sample_rate, dtype)
        if kind == "gain":
            return db_to_gain(v, dtype, floor_db=-200.0)
        exponent, narrow = ((1 / t if kind == "above" else t) - 1 for t in (v, v.detach().float()))
        return as_plugin(exponent, narrow) if single else exponent

    return torch.cat([one(kind, v) for kind, v in zip(kinds.split(), values.split(1, 1), strict=True)], 1)


def _packed(kinds: str) -> int:
    return sum(_KINDS.index(kind) << 2 * i for i, kind in enumerate(kinds.split()))


@operator("dasp::level_design")
def _design(values: Tensor, kinds: str, sample_rate: float, single: bool) -> Tensor:
    values, out = values.contiguous(), torch.empty_like(values, memory_format=torch.contiguous_format)
    rate = values.new_tensor([sample_rate])
    call("level_design", values, rate, out, values.numel(), *values.shape[1:], _packed(kinds), int(single))
    return out


@operator("dasp::level_design_backward")
def _design_backward(g: Tensor, values: Tensor, kinds: str, sample_rate: float) -> Tensor:
    g, values = g.contiguous(), values.contiguous()
    out, rate = torch.empty_like(values), values.new_tensor([sample_rate])
    call("level_design_backward", g, values, rate, out, values.numel(), *values.shape[1:], _packed(kinds))
    return out


for _op in (_design, _design_backward):
    _op.register_fake(lambda x, *_: torch.empty_like(x, memory_format=torch.contiguous_format))
    _op.register_vmap(batched(_op))


class _Designed(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(values: Tensor, kinds: str, sample_rate: float) -> Tensor:  # type: ignore[override]
        return _design(values, kinds, sample_rate, False)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        values, ctx.kinds, ctx.sample_rate = inputs
        ctx.save_for_backward(values)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        return _design_backward(g, *ctx.saved_tensors, ctx.kinds, ctx.sample_rate), None, None
