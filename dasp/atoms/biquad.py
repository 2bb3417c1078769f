"""Cascades of second-order sections with constant or per-sample coefficients."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from dasp.atoms._library import apply, call, native, on_gpu, suffix
from dasp.atoms.memory import fresh
from dasp.atoms.precision import as_plugin
from gradients.batching import batched
from gradients.operators import operator

PLUGIN_BLOCK = 8192


def biquad(
    x: Tensor, sos: Tensor, state: Tensor | None = None, hop: int = 0, *, plugin: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Filter with a cascade of second-order sections, transposed direct form II.

    y = b0 x + s1;  s1' = b1 x - a1 y + s2;  s2' = b2 x - a2 y

    Float32 audio is filtered in float32 in the plugins' order of operations, which makes it equal to Pedalboard's filters to the
    bit; that includes clearing states of 1e-8 and less (and NaN) at the end of each of the plugin's blocks. The backward pass is
    the exact adjoint in double with states recomputed by blocks. Second derivatives are refused.

    Args:
        x: audio (B, C, T).
        sos: coefficients (B, S, 5, K), float64, rows b0, b1, b2, a1, a2 with a0 = 1; K = 1 or T (one set a sample).
        state: (B, C, S, 3) from an earlier call, or None for silence; no gradient flows into it. It has s1, s2 and how many
            samples of the plugin's current block are done.
        plugin: the coefficients as the plugin rounds them, for float32 audio: the sound is theirs, the gradient that of `sos`.
        hop: samples per block where the plugin is fed hop by hop, as with controls that vary in time; 0: the plugin's own blocks.

    Returns:
        audio (B, C, T) and the state after it.
    """
    batch, channels, samples = x.shape
    if sos.ndim != 4 or sos.shape[0] != batch or sos.shape[2] != 5 or sos.shape[3] not in (1, samples):
        raise ValueError(
            f"biquad: sos must be ({batch}, S, 5, 1 or {samples}) for audio {tuple(x.shape)}; got {tuple(sos.shape)}."
        )
    if state is None:
        state = x.new_zeros(batch, channels, sos.shape[1], 3)
    if native(x):
        rounded = sos.detach() if plugin is None else plugin
        if not torch.is_grad_enabled():
            return _forward(x, rounded, state, hop)
        return apply(_Biquad, x, sos.double(), rounded, state, hop)
    return biquad_reference(x, sos if plugin is None else as_plugin(sos, plugin), state, hop)


def biquad_reference(x: Tensor, sos: Tensor, state: Tensor | None = None, hop: int = 0) -> tuple[Tensor, Tensor]:
    """The same in plain torch, one sample after the other: the oracle, and the fallback. Its gradient is that of rounded
    coefficients."""
    c = sos.to(x.dtype).expand(*sos.shape[:3], x.shape[2])
    if state is None:
        state = x.new_zeros(*x.shape[:2], sos.shape[1], 3)
    memory = []
    for section in range(sos.shape[1]):
        s1, s2, done = state[:, :, section].unbind(-1)
        b0, b1, b2, a1, a2 = c[:, section, :, None].unbind(1)
        out = []
        for n in range(x.shape[2]):
            v = x[..., n]
            y = b0[..., n] * v + s1
            s1 = b1[..., n] * v - a1[..., n] * y + s2
            s2 = b2[..., n] * v - a2[..., n] * y
            out.append(y)
            if x.dtype != torch.float64:
                ends = (n + 1) % hop == 0 if hop else (done + n + 1) % PLUGIN_BLOCK == 0
                s1, s2 = (s.where((s.abs() > 1e-8) | ~torch.as_tensor(ends), 0.0) for s in (s1, s2))
        memory.append(torch.stack([s1, s2, (done + x.shape[2]) % PLUGIN_BLOCK], -1))
        x = torch.stack(out, -1) if out else x
    return x, torch.stack(memory, 2).detach()


@operator("dasp::biquad")
def _forward(x: Tensor, sos: Tensor, state: Tensor, hop: int) -> tuple[Tensor, Tensor]:
    x, c, state = x.contiguous(), sos.to(x.dtype).contiguous(), state.clone(memory_format=torch.contiguous_format)
    y = fresh(x)
    call(f"biquad_{suffix(x)}", x, c, y, state, *x.shape, sos.shape[1], sos.shape[3], hop)
    return y, state


@_forward.register_fake
def _(x: Tensor, sos: Tensor, state: Tensor, hop: int) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape), state.new_empty(state.shape)


@operator("dasp::biquad_backward")
def _backward(g: Tensor, x: Tensor, sos: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    g, x, c, state = g.contiguous(), x.contiguous(), sos.contiguous(), state.contiguous()
    gx, gc = fresh(x), c.new_zeros(*x.shape[:2], *sos.shape[1:])
    call(f"biquad_backward_{suffix(x)}", g, x, c, state, gx, gc, *x.shape, sos.shape[1], sos.shape[3])
    return gx, gc.sum(1)


@_backward.register_fake
def _(g: Tensor, x: Tensor, sos: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape), sos.new_empty(sos.shape, dtype=torch.float64)


_forward.register_vmap(batched(_forward))
_backward.register_vmap(batched(_backward))
on_gpu("biquad", forward=_forward, backward=_backward)


class _Biquad(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(  # type: ignore[override]
        x: Tensor, sos: Tensor, rounded: Tensor, state: Tensor, hop: int
    ) -> tuple[Tensor, Tensor]:
        return _forward(x, rounded, state, hop)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: tuple[Tensor, Tensor]) -> None:
        x, sos, _, state, _ = inputs
        ctx.save_for_backward(x, sos, state)
        ctx.mark_non_differentiable(output[1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor, _: Tensor) -> tuple[Tensor, Tensor, None, None, None]:  # type: ignore[override]
        return *_backward(g, *ctx.saved_tensors), None, None, None
