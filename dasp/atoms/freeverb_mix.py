"""Freeverb mixed with its input: the network and the mix in one pass."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from dasp.atoms._library import apply, call, compiled, suffix
from dasp.atoms.freeverb import INPUT_GAIN, freeverb, line_lengths, state_size
from dasp.atoms.memory import fresh
from gradients.batching import batched
from gradients.operators import operator


def freeverb_mix(
    x: Tensor, controls: Tensor, sample_rate: float, state: Tensor | None = None, input_gain: float = INPUT_GAIN
) -> tuple[Tensor, Tensor]:
    """Each side's reverberation (`freeverb`), the other side's and the input, mixed: same wet + cross wet' + direct x.

    To the bit what the parts give one after the other in the plugin's order, without their signals in memory. The backward pass
    is the exact adjoint in double. Second derivatives are refused.

    Args:
        x: mono (B, 1, T) or stereo (B, 2, T).
        controls: (B, 5, 1) or (B, 5, T): feedback, damping, and the gains same, cross (of no use in mono) and direct.
        sample_rate: in Hz; the delays follow it.
        state: (B, M) from an earlier call, or None for silence; no gradient flows into it.
        input_gain: in front of the network; 0 shuts it, as a frozen room does.

    Returns:
        y, as x, and the state after it.
    """
    if controls.shape[:2] != (len(x), 5) or controls.shape[2] not in (1, x.shape[2]):
        raise ValueError(
            f"freeverb_mix: controls must be ({len(x)}, 5, 1 or {x.shape[2]}), feedback, damping, same, cross and direct, for "
            f"audio {tuple(x.shape)}; got {tuple(controls.shape)}."
        )
    if not compiled(x):
        return freeverb_mix_reference(x, controls, sample_rate, state, input_gain)
    lengths = line_lengths(sample_rate, x.shape[1])
    if state is None:
        state = x.new_zeros(len(x), state_size(lengths))
    keep = torch.is_grad_enabled() and (x.requires_grad or controls.requires_grad)
    y, after, _ = apply(_Mix, x, controls, state, lengths, input_gain, keep)
    return y, after


def freeverb_mix_reference(
    x: Tensor, controls: Tensor, sample_rate: float, state: Tensor | None = None, input_gain: float = INPUT_GAIN
) -> tuple[Tensor, Tensor]:
    """The same, one part after the other: the oracle, and what runs where the kernels do not."""
    feedback, damping, same, cross, direct = controls.split(1, 1)
    wet, after = freeverb(x, feedback, damping, sample_rate, state, input_gain)
    same, cross, direct = (t.to(x.dtype) for t in (same, cross, direct))
    if x.shape[1] == 1:
        return wet * same + x * direct, after
    return wet * same + wet.flip(1) * cross + x * direct, after


@operator("dasp::freeverb_mix")
def _forward(
    x: Tensor, controls: Tensor, state: Tensor, lengths: list[int], gain: float, keep: bool
) -> tuple[Tensor, Tensor, Tensor]:
    x, controls, state = x.contiguous(), controls.to(x.dtype).contiguous(), state.contiguous()
    y, wet, after = fresh(x), x.new_empty(*x.shape[:2], x.shape[2] * keep), torch.empty_like(state)
    tensors = x, x.new_tensor(gain), controls, y, wet, state, after, torch.tensor(lengths)
    call(f"freeverb_mix_{suffix(x)}", *tensors, *x.shape, controls.shape[2])
    return y, after, wet


@_forward.register_fake
def _(x: Tensor, controls: Tensor, state: Tensor, lengths: list[int], gain: float, keep: bool) -> tuple[Tensor, Tensor, Tensor]:
    return x.new_empty(x.shape), state.new_empty(state.shape), x.new_empty(*x.shape[:2], x.shape[2] * keep)


@operator("dasp::freeverb_mix_backward")
def _backward(
    g: Tensor, x: Tensor, controls: Tensor, wet: Tensor, state: Tensor, lengths: list[int], gain: float
) -> tuple[Tensor, Tensor]:
    if wet.shape != x.shape:  # not kept, because no gradient was in sight, as in vmap inside of grad
        wet = _forward(x, controls, state, lengths, gain, True)[2]
    g, x, wet, state = (t.contiguous() for t in (g, x, wet, state))
    rounded = controls.to(x.dtype).double().contiguous()
    to_x, to_controls = fresh(x), torch.empty_like(rounded)
    tensors = g, x, x.new_tensor(gain), rounded, wet, state, to_x, to_controls, torch.tensor(lengths)
    call(f"freeverb_mix_backward_{suffix(x)}", *tensors, *x.shape, controls.shape[2])
    return to_x, to_controls.to(controls.dtype)


@_backward.register_fake
def _(
    g: Tensor, x: Tensor, controls: Tensor, wet: Tensor, state: Tensor, lengths: list[int], gain: float
) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape), controls.new_empty(controls.shape)


_forward.register_vmap(batched(_forward))
_backward.register_vmap(batched(_backward))


class _Mix(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(  # type: ignore[override]
        x: Tensor, controls: Tensor, state: Tensor, lengths: list[int], gain: float, keep: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        return _forward(x, controls, state, lengths, gain, keep)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: tuple[Tensor, Tensor, Tensor]) -> None:
        x, controls, state, ctx.lengths, ctx.gain, _ = inputs
        ctx.save_for_backward(x, controls, output[2], state)
        ctx.mark_non_differentiable(*output[1:])
        ctx.set_materialize_grads(False)  # zeros for the wet signal would be as large as the audio

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor | None, *_: Tensor | None) -> tuple:  # type: ignore[override]
        if g is None:
            return (None,) * 6
        return *_backward(g, *ctx.saved_tensors, ctx.lengths, ctx.gain), None, None, None, None
