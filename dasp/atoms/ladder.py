"""The ladder filter: four stages in a saturating feedback loop."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from dasp.atoms._library import apply, call, native, on_gpu, suffix
from dasp.atoms.libm import libm
from dasp.atoms.memory import fresh
from gradients.batching import batched
from gradients.operators import operator

_STAGES = 5
_NEW, _OLD = 0.76923076923, 0.23076923076
_REACH, _POINTS = 5.0, 128


def ladder(x: Tensor, parameters: Tensor, mix: list[float], state: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """R. A. Moog's transistor ladder: stages with a zero at -0.3 (T. Stilson and J. Smith, ICMC 1996), modes by mixing the stages
    (V. Valimaki and A. Huovilainen, Computer Music Journal 30(2), 2006); it saturates at its input and in its feedback.

    u = G S(D x);  p = u - 4 r (G' S(D' s4) - k u);  q = 1 - a;  s0' = p;
    si' = 0.23076923076 q s(i-1) + a si + 0.76923076923 q s(i-1)';  y = sum_i mix_i si'

    S is tanh from a table of 128 points on [-5, 5], linearly interpolated and clipped: the plugin's, up to 6e-4 off tanh.
    Float32 in float32 in the plugin's order; the backward pass is the exact adjoint in double. Second derivatives are refused.

    Args:
        x: audio (B, C, T).
        parameters: (B, 6, K), float64, rows a, r, D, G, D', G'; K = 1 or T.
        mix: the weights of the five stages, then k.
        state: (B, C, 5) from an earlier call, or None for silence; no gradient flows into it.

    Returns:
        audio (B, C, T) and the state after it.
    """
    batch, channels, samples = x.shape
    if parameters.ndim != 3 or parameters.shape[:2] != (batch, 6) or parameters.shape[2] not in (1, samples):
        raise ValueError(
            f"ladder: parameters must be ({batch}, 6, 1 or {samples}) for audio {tuple(x.shape)}; got {tuple(parameters.shape)}."
        )
    if state is None:
        state = x.new_zeros(batch, channels, _STAGES)
    return apply(_Ladder, x, parameters.double(), state, mix) if native(x) else ladder_reference(x, parameters, mix, state)


def ladder_reference(x: Tensor, parameters: Tensor, mix: list[float], state: Tensor) -> tuple[Tensor, Tensor]:
    """The same in plain torch: the oracle, and the fallback."""
    *weights, k = (x.new_tensor(m) for m in mix)
    points = -_REACH + torch.arange(_POINTS, dtype=x.dtype, device=x.device) * (2 * _REACH) / (_POINTS - 1)
    table = points.tanh() if x.dtype == torch.float64 else libm("tanhf", points)
    table = torch.cat([table, table[-1:]])
    scale = (_POINTS - 1) / (2 * _REACH)

    def curve(v: Tensor) -> Tensor:
        at = scale * v.clamp(-_REACH, _REACH) + _REACH * scale
        i = at.detach().long()
        return table[i] + (at - i) * (table[i + 1] - table[i])

    s, out = list(state.unbind(-1)), []
    p = parameters.to(x.dtype).expand(-1, -1, x.shape[2])
    for n in range(x.shape[2]):
        a, r, drive, gain, drive2, gain2 = p[..., n, None].unbind(1)
        q = 1 - a
        u = gain * curve(drive * x[..., n])
        new = [u + r * -4 * (gain2 * curve(drive2 * s[4]) - u * k)]
        for i in range(1, _STAGES):
            new.append(q * _OLD * s[i - 1] + a * s[i] + q * _NEW * new[-1])
        s = new
        y = s[0] * weights[0]
        for stage, weight in zip(s[1:], weights[1:], strict=True):
            y = y + stage * weight
        out.append(y)
    return torch.stack(out, -1) if out else x, torch.stack(s, -1).detach()


@operator("dasp::ladder")
def _forward(x: Tensor, parameters: Tensor, state: Tensor, mix: list[float]) -> tuple[Tensor, Tensor]:
    x, p = x.contiguous(), parameters.to(x.dtype).contiguous()
    state = state.clone(memory_format=torch.contiguous_format)
    y = fresh(x)
    call(f"ladder_{suffix(x)}", x, p, torch.tensor(mix, dtype=x.dtype), y, state, *x.shape, p.shape[2])
    return y, state


@_forward.register_fake
def _(x: Tensor, parameters: Tensor, state: Tensor, mix: list[float]) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape), state.new_empty(state.shape)


@operator("dasp::ladder_backward")
def _backward(g: Tensor, x: Tensor, parameters: Tensor, state: Tensor, mix: list[float]) -> tuple[Tensor, Tensor]:
    # The parameters as the forward pass saw them: rounded to its precision.
    g, x, state = g.contiguous(), x.contiguous(), state.contiguous()
    p = parameters.to(x.dtype).double().contiguous()
    gx, gp = fresh(x), p.new_zeros(*x.shape[:2], *p.shape[1:])
    weights = torch.tensor(mix, dtype=torch.float64)
    call(f"ladder_backward_{suffix(x)}", g, x, p, weights, state, gx, gp, *x.shape, p.shape[2])
    return gx, gp.sum(1)


@_backward.register_fake
def _(g: Tensor, x: Tensor, parameters: Tensor, state: Tensor, mix: list[float]) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape), parameters.new_empty(parameters.shape)


_forward.register_vmap(batched(_forward))
_backward.register_vmap(batched(_backward))
on_gpu("ladder", forward=_forward, backward=_backward)


class _Ladder(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(  # type: ignore[override]
        x: Tensor, parameters: Tensor, state: Tensor, mix: list[float]
    ) -> tuple[Tensor, Tensor]:
        return _forward(x, parameters, state, mix)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: tuple[Tensor, Tensor]) -> None:
        *tensors, ctx.mix = inputs
        ctx.save_for_backward(*tensors)
        ctx.mark_non_differentiable(output[1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor, _: Tensor) -> tuple:  # type: ignore[override]
        return *_backward(g, *ctx.saved_tensors, ctx.mix), None, None
