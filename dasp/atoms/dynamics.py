"""Compressors and gates in one pass: detector, follower, static gain curve, multiplication."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from dasp.atoms._library import apply, call, compiled, suffix
from dasp.atoms.ballistics import ballistics, ballistics_reference, gain_curve, gain_curve_reference
from dasp.atoms.memory import fresh
from dasp.atoms.precision import as_plugin
from gradients.batching import batched
from gradients.operators import operator


def dynamics(
    x: Tensor,
    parameters: Tensor,
    key: Tensor | None = None,
    state: Tensor | None = None,
    below: bool = False,
    *,
    plugin: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """y = g x, where g is a function of the level that `ballistics` follows in a key.

    The detector is |key|; with two more poles it is the root of key^2 followed with these. Above the threshold, or below it where
    `below` is set, g = (level / threshold)^exponent; on the other side, 1.

    Float32 is computed in float32 in the plugins' order and with the system's powf, which makes it equal to Pedalboard's
    Compressor, Limiter and NoiseGate to the bit. The backward pass is the exact adjoint in double; it keeps nothing but the
    inputs and recomputes levels by blocks. At a level of 0, where slopes may be infinite, they are 0. Second derivatives are
    refused.

    Args:
        x: audio (B, C, T).
        parameters: (B, 4 or 6, K), float64, K = 1 or T: attack and release poles in [0, 1), threshold (linear, above 0), exponent
            (1 / ratio - 1 in a compressor, ratio - 1 in a gate); attack and release poles of the square.
        key: (B, C, T), what the detector hears; None: x.
        state: (B, C, 1 or 2) from an earlier call, or None for 0; no gradient flows into it. The square, where it is
            followed, and the level.
        below: act below the threshold.
        plugin: the parameters as the plugin rounds them, for float32 audio: the sound is theirs, the gradient that of
            `parameters`. A release pole near 1 keeps but three digits of its distance from 1 in float32.

    Returns:
        audio (B, C, T) and the state after it.
    """
    rows, frames = parameters.shape[1:] if parameters.ndim == 3 else (0, 0)
    if len(parameters) != len(x) or rows not in (4, 6) or frames not in (1, x.shape[2]):
        raise ValueError(
            f"dynamics: parameters must be ({len(x)}, 4 or 6, 1 or {x.shape[2]}) for audio {tuple(x.shape)}; "
            f"got {tuple(parameters.shape)}."
        )
    if key is not None and key.shape != x.shape:
        raise ValueError(f"dynamics: the key must have the audio's shape {tuple(x.shape)}; got {tuple(key.shape)}.")
    if state is None:
        state = x.new_zeros(*x.shape[:2], rows // 2 - 1)
    if compiled(x):
        parameters = parameters.double()
        return apply(_Dynamics, x, parameters, parameters.detach() if plugin is None else plugin, key, state, below)
    return _composed(
        x, parameters if plugin is None else as_plugin(parameters, plugin), key, state, below, (ballistics, gain_curve)
    )


def dynamics_reference(
    x: Tensor, parameters: Tensor, key: Tensor | None = None, state: Tensor | None = None, below: bool = False
) -> tuple[Tensor, Tensor]:
    """The same in plain torch: the oracle, and the fallback."""
    if state is None:
        state = x.new_zeros(*x.shape[:2], parameters.shape[1] // 2 - 1)
    return _composed(x, parameters, key, state, below, (ballistics_reference, gain_curve_reference))


def _composed(
    x: Tensor, parameters: Tensor, key: Tensor | None, state: Tensor, below: bool, atoms: tuple[Callable, Callable]
) -> tuple[Tensor, Tensor]:
    (follower, curve), key = atoms, x if key is None else key
    attack, release, threshold, exponent, *square = parameters.split(1, 1)
    *before, level = state.split(1, 2)
    if square:
        v, before = follower(key * key, *square, before[0])
        heard = v > 0
        # The root's slope at 0 is infinite. In double, since torch's float32 root is not correctly rounded on every build.
        v = torch.where(heard, torch.where(heard, v, 1.0).double().sqrt().to(x.dtype), 0.0)
        before = [before]
    else:
        v = key.abs()
    r, level = follower(v, attack, release, level)
    return x * curve(r, threshold, exponent, below), torch.cat([*before, level], 2)


@operator("dasp::dynamics")
def _forward(x: Tensor, parameters: Tensor, key: Tensor | None, state: Tensor, below: bool) -> tuple[Tensor, Tensor]:
    x, state = x.contiguous(), state.clone(memory_format=torch.contiguous_format)
    key = x if key is None else key.contiguous()
    y, p = fresh(x), parameters.to(x.dtype).contiguous()
    call(f"dynamics_{suffix(x)}", x, key, p, y, state, *x.shape, *p.shape[1:], int(below))
    return y, state


@_forward.register_fake
def _(x: Tensor, parameters: Tensor, key: Tensor | None, state: Tensor, below: bool) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape), state.new_empty(state.shape)


@operator("dasp::dynamics_backward")
def _backward(
    g: Tensor, x: Tensor, parameters: Tensor, key: Tensor | None, state: Tensor, below: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of x, parameters and key; the last is empty where x is the key."""
    g, x, state = g.contiguous(), x.contiguous(), state.contiguous()
    heard = x if key is None else key.contiguous()
    gx = fresh(x)
    gkey = x.new_empty(len(x), 0) if key is None else torch.empty_like(x)
    p = parameters.contiguous()
    gp = p.new_empty(*x.shape[:2], *p.shape[1:])
    call(f"dynamics_backward_{suffix(x)}", g, x, heard, p, state, gx, gkey, gp, *x.shape, *p.shape[1:], int(below))
    return gx, gp.sum(1), gkey


@_backward.register_fake
def _(g: Tensor, x: Tensor, parameters: Tensor, key: Tensor | None, state: Tensor, below: bool) -> tuple[Tensor, Tensor, Tensor]:
    return x.new_empty(x.shape), parameters.new_empty(parameters.shape), x.new_empty((len(x), 0) if key is None else x.shape)


for _op in (_forward, _backward):
    _op.register_vmap(batched(_op))


class _Dynamics(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(  # type: ignore[override]
        x: Tensor, parameters: Tensor, plugin: Tensor, key: Tensor | None, state: Tensor, below: bool
    ) -> tuple[Tensor, Tensor]:
        return _forward(x, plugin, key, state, below)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: tuple[Tensor, Tensor]) -> None:
        x, parameters, _, key, state, ctx.below = inputs
        ctx.save_for_backward(x, parameters, key, state)
        ctx.mark_non_differentiable(output[1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor, _: Tensor) -> tuple:  # type: ignore[override]
        x, parameters, key, state = ctx.saved_tensors
        gx, gp, gkey = _backward(g, x, parameters, key, state, ctx.below)
        return gx, gp, None, None if key is None else gkey, None, None
