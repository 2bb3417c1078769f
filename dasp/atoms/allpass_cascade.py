"""First-order all-passes in series with feedback: the notches of a phaser."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from dasp.atoms._library import call, native, on_gpu, suffix
from dasp.atoms.memory import fresh
from gradients.batching import batched
from gradients.operators import operator


def allpass_cascade(
    x: Tensor, coefficient: Tensor, feedback: Tensor, stages: int, state: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Equal stages v = G (in - s), y = v + s, s' = y + v, out = 2 y - in, fed x[n] - feedback[n-1] out[n-1].

    Topology-preserving one-poles (V. Zavalishin, "The art of VA filter design", 2012), G = g / (1 + g) with g = tan(pi f / fs);
    a stage turns the phase by 90 degrees at f. Float32 in float32; the backward pass is the exact adjoint in double with
    states recomputed by blocks. Second derivatives are refused.

    Args:
        x: audio (B, C, T).
        coefficient, feedback: G and the feedback, (B, 1, K), float64, K = 1 or T.
        stages: how many.
        state: (B, C, stages + 1) from an earlier call, or None for silence; no gradient flows into it.

    Returns:
        out (B, C, T) and the state after it.
    """
    for name, v in (("coefficient", coefficient), ("feedback", feedback)):
        if v.ndim != 3 or v.shape[:2] != (x.shape[0], 1) or v.shape[2] not in (1, x.shape[2]):
            raise ValueError(
                f"allpass_cascade: {name} must be ({x.shape[0]}, 1, 1 or {x.shape[2]}) for audio {tuple(x.shape)}; "
                f"got {tuple(v.shape)}."
            )
    if state is None:
        state = x.new_zeros(*x.shape[:2], stages + 1)
    run = _AllpassCascade.apply if native(x) else allpass_cascade_reference
    return run(x, coefficient.double(), feedback.double(), state)


def allpass_cascade_reference(x: Tensor, coefficient: Tensor, feedback: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """The same in plain torch, one sample after the other: the oracle, and the fallback."""
    c, f = (p.to(x.dtype).expand(-1, -1, x.shape[2]) for p in (coefficient, feedback))
    *s, fed = state.unbind(-1)
    out = []
    for n in range(x.shape[2]):
        signal = x[..., n] - fed
        for k in range(len(s)):
            v = c[..., n] * (signal - s[k])
            y = v + s[k]
            s[k] = y + v
            signal = y * 2 - signal
        out.append(signal)
        fed = signal * f[..., n]
    return torch.stack(out, -1) if out else x, torch.stack([*s, fed], -1).detach()


@operator("dasp::allpass_cascade")
def _forward(x: Tensor, coefficient: Tensor, feedback: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    x, state = x.contiguous(), state.clone(memory_format=torch.contiguous_format)
    c, f = (p.to(x.dtype).contiguous() for p in (coefficient, feedback))
    out = fresh(x)
    call(f"allpass_cascade_{suffix(x)}", x, c, f, out, state, *x.shape, state.shape[2] - 1, c.shape[2], f.shape[2])
    return out, state


@_forward.register_fake
def _(x: Tensor, coefficient: Tensor, feedback: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape), state.new_empty(state.shape)


@operator("dasp::allpass_cascade_backward")
def _backward(g: Tensor, x: Tensor, coefficient: Tensor, feedback: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    g, x, state = g.contiguous(), x.contiguous(), state.contiguous()
    c, f = (p.to(x.dtype).double().contiguous() for p in (coefficient, feedback))
    gx = fresh(x)
    gc, gf = (p.new_zeros(*x.shape[:2], p.shape[2]) for p in (c, f))
    sizes = (*x.shape, state.shape[2] - 1, c.shape[2], f.shape[2])
    call(f"allpass_cascade_backward_{suffix(x)}", g, x, c, f, state, gx, gc, gf, *sizes)
    return gx, gc.sum(1, keepdim=True), gf.sum(1, keepdim=True)


@_backward.register_fake
def _(g: Tensor, x: Tensor, coefficient: Tensor, feedback: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return x.new_empty(x.shape), coefficient.new_empty(coefficient.shape), feedback.new_empty(feedback.shape)


_forward.register_vmap(batched(_forward))
_backward.register_vmap(batched(_backward))
on_gpu("allpass_cascade", forward=_forward, backward=_backward)


class _AllpassCascade(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, coefficient: Tensor, feedback: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        return _forward(x, coefficient, feedback, state)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: tuple[Tensor, Tensor]) -> None:
        ctx.save_for_backward(*inputs)
        ctx.mark_non_differentiable(output[1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor, _: Tensor) -> tuple:  # type: ignore[override]
        return *_backward(g, *ctx.saved_tensors), None
