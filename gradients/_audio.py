"""The audio's own gradient where the effect itself is opaque: from another view, or by the adjoint, or refused."""

from __future__ import annotations

import torch
from torch import Tensor

from gradients.strategy import Fn, Target

KINDS = ("whitebox", "proxy", "adjoint", "none")


def check_audio(target: Target, kind: str, asked_by: str, x: Tensor, aux: dict[str, Tensor]) -> None:
    """Refuse at the call, not in the backward pass, when the audio needs a gradient that nothing can give."""
    if kind not in KINDS:
        raise ValueError(f"{asked_by}: audio={kind!r} is not one of {', '.join(KINDS)}.")
    inputs = [x, *(t for t in aux.values() if isinstance(t, Tensor))]
    if not (torch.is_grad_enabled() and any(t.requires_grad for t in inputs)):
        return
    if kind == "none":
        raise ValueError(
            f"{target.name}: the audio needs a gradient and {asked_by} was told audio='none'; detach the audio, "
            "or choose audio='whitebox', 'proxy' or 'adjoint'."
        )
    if kind != "adjoint" and getattr(target, kind) is None:
        raise ValueError(
            f"{target.name}: the audio needs a gradient and this effect has no {kind} view to take it from; choose "
            "audio='adjoint' if the effect is linear and time-invariant, audio='proxy' with a trained proxy, "
            "or detach the audio."
        )
    if kind == "adjoint" and any(t.requires_grad for t in inputs[1:]):
        raise ValueError(
            f"{target.name}: audio='adjoint' gives a gradient to the audio only, not to a side-chain or an impulse response; "
            "detach that, or choose audio='whitebox'."
        )


def audio_vjp(
    target: Target, kind: str, black: Fn, x: Tensor, u: Tensor, y: Tensor, g: Tensor, keys: tuple[str, ...], rest: tuple
) -> tuple[Tensor, ...]:
    """Cotangents of x and of each auxiliary tensor (in the order of `keys`)."""
    if kind == "adjoint":
        gx = _adjoint(target, black, x, u, y, g, dict(zip(keys, rest, strict=True)))
        return gx, *(torch.zeros_like(t) for t in rest)
    fn = target.view(kind, f"audio={kind!r}")

    def run(x: Tensor, *rest: Tensor) -> Tensor:
        return fn(x, u, **dict(zip(keys, rest, strict=True)))

    return torch.func.vjp(run, x, *rest)[1](g)


def _adjoint(target: Target, black: Fn, x: Tensor, u: Tensor, y: Tensor, g: Tensor, aux: dict[str, Tensor]) -> Tensor:
    """The transpose of a linear time-invariant effect: run it on the time-reversed cotangent, reverse back.

    With h_ij the response of output i to input j, the transpose sums h_ij over outputs, so each (i, j) is one
    run: C x C' of them, stacked in the batch, and as many with the output itself in the cotangent's place. For these
    <y, F x> = |y|^2 must equal <F' y, x>: that holds for linear time-invariant effects, and tells others even where the
    cotangent looks like noise and its own inner products are lost in chance. Where it fails the gradient is
    refused (NaN where no exception can be raised).
    """
    channels, outputs = x.shape[1], g.shape[1]
    eye = torch.eye(channels, dtype=x.dtype, device=x.device)
    both = torch.stack([g, y])
    # (2, i, j, B, C, T): output i's cotangent, fed to input j alone
    feed = both.flip(-1).movedim(2, 1)[:, :, None, :, None, :] * eye[None, None, :, None, :, None]
    runs = 2 * outputs * channels
    rest = {k: t.repeat(runs, *[1] * (t.ndim - 1)) for k, t in aux.items()}
    back = black(feed.reshape(-1, *x.shape[1:]), u.repeat(runs, *[1] * (u.ndim - 1)), **rest)
    back = back.reshape(2, outputs, channels, *g.shape).flip(-1)
    gx, yx = torch.diagonal(back, dim1=1, dim2=4).sum(-1).movedim(1, 2)
    linear = (y.square().sum((1, 2)) - (yx * x).sum((1, 2))).abs() <= 1e-3 * y.square().sum((1, 2))
    linear = linear.all()
    if not torch.compiler.is_compiling():
        try:
            refused = not bool(linear)
        except RuntimeError:  # under vmap a tensor has no one truth value: the NaN below must do
            refused = False
        if refused:
            raise ValueError(
                f"{target.name}: audio='adjoint' holds for linear time-invariant effects, and this one is not "
                "(its output's energy is not what its transpose makes of it); choose audio='whitebox' or 'proxy'."
            )
    return torch.where(linear, gx, torch.nan)
