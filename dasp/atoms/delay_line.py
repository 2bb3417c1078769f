"""A delay line with feedback, read at a fractional delay that may change every sample."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from dasp.atoms._library import call, native, on_gpu, suffix
from dasp.atoms.memory import fresh
from gradients.batching import batched
from gradients.operators import operator


def delay_line(
    x: Tensor,
    delay: Tensor,
    feedback: Tensor,
    state: Tensor | None = None,
    *,
    late: bool = False,
    thiran: bool = False,
) -> tuple[Tensor, Tensor]:
    """What comes out of a line that is fed x and its own output.

    Prompt: w[n] = x[n] + feedback[n] out[n], with out[n] = w read delay[n] samples ago. Late:
    w[n] = x[n] + feedback[n-1] out[n-1], so that even a delay of 0 can be read. Between samples the read is linear: its
    derivative in the delay is true, with kinks at whole samples. Or it is Thiran's first-order all-pass, which keeps every
    magnitude. Float32 in float32; the backward pass is the exact adjoint in double. Second derivatives are refused.

    Args:
        x: audio (B, C, T).
        delay: in samples, (B, 1, K), float64, K = 1 or T; at least 1 (late 0, thiran 1.5), below which it is held there. A line
            without a state remembers the whole call, one with a state as many samples as `line_state` was told.
        feedback: (B, 1, K), float64.
        state: from `line_state` or an earlier call, or None for silence; no gradient flows into it.
        late: whether the feedback is one sample late.
        thiran: whether the read is an all-pass; J.-P. Thiran, "Recursive digital filters with maximally flat group delay", IEEE
            Trans. Circuit Theory 18 (1971); T. Laakso et al., "Splitting the unit delay", IEEE Signal Process. Mag. 13 (1996).

    Returns:
        out (B, C, T) and the state after it.
    """
    for name, v in (("delay", delay), ("feedback", feedback)):
        if v.ndim != 3 or v.shape[:2] != (x.shape[0], 1) or v.shape[2] not in (1, x.shape[2]):
            raise ValueError(
                f"delay_line: {name} must be ({x.shape[0]}, 1, 1 or {x.shape[2]}) for audio {tuple(x.shape)}; "
                f"got {tuple(v.shape)}."
            )
    if state is None:
        state = line_state(x, 0)
    run = (_DelayLine.apply if torch.is_grad_enabled() else _forward) if native(x) else delay_line_reference
    return run(x, delay.double(), feedback.double(), state, late, thiran)


def line_state(x: Tensor, samples: float) -> Tensor:
    """An empty line for audio like x (B, C, T) that remembers a number of samples: (B, C, samples + 3)."""
    return x.new_zeros(*x.shape[:2], math.ceil(samples) + 3)  # the read's second tap, F out, out


def delay_line_reference(
    x: Tensor, delay: Tensor, feedback: Tensor, state: Tensor, late: bool = False, thiran: bool = False
) -> tuple[Tensor, Tensor]:
    """The same in plain torch: the oracle, and the fallback."""
    memory, samples = state.shape[2] - 2, x.shape[2]
    shortest = 1.5 if thiran else 0.0 if late else 1.0
    d = delay.clamp(shortest, memory + samples + 2).expand(-1, 1, samples)[:, 0]
    whole = torch.floor(d.detach() - (0.5 if thiran else 0.0))
    rest = (d - whole).to(x.dtype)
    pole = ((1 - d + whole) / (1 + d - whole)).to(x.dtype)
    gain = feedback.to(x.dtype).expand(-1, 1, samples)[:, 0]
    items, states = [], []
    for b, taps in enumerate(whole.long().tolist()):  # item by item, since their delays differ
        line, fed, last, outs = list(state[b, :, :memory].unbind(1)), state[b, :, memory], state[b, :, memory + 1], []
        for n in range(samples):
            if late:
                line.append(x[b, :, n] + fed)
            at = memory + n - taps[n]
            near, far = (line[k] if k >= 0 else torch.zeros_like(fed) for k in (at, at - 1))
            last = pole[b, n] * (near - last) + far if thiran else near + rest[b, n] * (far - near)
            fed = last * gain[b, n]
            outs.append(last)
            if not late:
                line.append(x[b, :, n] + fed)
        items.append(torch.stack(outs, -1) if outs else x[b])
        states.append(torch.stack([*line[len(line) - memory :], fed, last], -1))
    return (torch.stack(items), torch.stack(states).detach()) if items else (x, state)


@operator("dasp::delay_line")
def _forward(x: Tensor, delay: Tensor, feedback: Tensor, state: Tensor, late: bool, thiran: bool) -> tuple[Tensor, Tensor]:
    x, state = x.contiguous(), state.clone(memory_format=torch.contiguous_format)
    d, f = delay.contiguous(), feedback.to(x.dtype).contiguous()
    out = fresh(x)
    sizes = (*x.shape, state.shape[2] - 2, d.shape[2], f.shape[2], int(late), int(thiran))
    call(f"delay_line_{suffix(x)}", x, d, f, out, state, *sizes)
    return out, state


@_forward.register_fake
def _(x: Tensor, delay: Tensor, feedback: Tensor, state: Tensor, late: bool, thiran: bool) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape), state.new_empty(state.shape)


@operator("dasp::delay_line_backward")
def _backward(
    g: Tensor, x: Tensor, delay: Tensor, feedback: Tensor, state: Tensor, late: bool, thiran: bool
) -> tuple[Tensor, Tensor, Tensor]:
    g, x, state, d = g.contiguous(), x.contiguous(), state.contiguous(), delay.contiguous()
    f = feedback.to(x.dtype).double().contiguous()
    gx = fresh(x)
    gd, gf = (d.new_zeros(*x.shape[:2], p.shape[2]) for p in (d, f))
    sizes = (*x.shape, state.shape[2] - 2, d.shape[2], f.shape[2], int(late), int(thiran))
    call(f"delay_line_backward_{suffix(x)}", g, x, d, f, state, gx, gd, gf, *sizes)
    return gx, gd.sum(1, keepdim=True), gf.sum(1, keepdim=True)


@_backward.register_fake
def _(
    g: Tensor, x: Tensor, delay: Tensor, feedback: Tensor, state: Tensor, late: bool, thiran: bool
) -> tuple[Tensor, Tensor, Tensor]:
    return x.new_empty(x.shape), delay.new_empty(delay.shape), feedback.new_empty(feedback.shape)


_forward.register_vmap(batched(_forward))
_backward.register_vmap(batched(_backward))
on_gpu("delay_line", forward=_forward, backward=_backward)


class _DelayLine(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(  # type: ignore[override]
        x: Tensor, delay: Tensor, feedback: Tensor, state: Tensor, late: bool, thiran: bool
    ) -> tuple[Tensor, Tensor]:
        return _forward(x, delay, feedback, state, late, thiran)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: tuple[Tensor, Tensor]) -> None:
        *tensors, ctx.late, ctx.thiran = inputs
        ctx.save_for_backward(*tensors)
        ctx.mark_non_differentiable(output[1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor, _: Tensor) -> tuple:  # type: ignore[override]
        return *_backward(g, *ctx.saved_tensors, ctx.late, ctx.thiran), None, None, None
