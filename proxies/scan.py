"""Linear recurrences over time without a loop over samples: what lets a proxy have a recursive effect's exact memory."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

CHUNK = 32  # samples that are stepped through one by one, in all chunks at once; then chunks of chunks
FAST = 0.6  # a constant factor below this is forgotten within some 70 samples, even in double precision
SPAN = 128  # samples of the follower that are stepped through one by one, in all spans at once
ROUNDS = 100  # of Newton's method for the spans' starts; music needs 3 to 10


def recurrence(a: Tensor, b: Tensor, initial: Tensor | None = None) -> Tensor:
    """s[n] = a[n] s[n-1] + b[n] for vectors of length d, differentiable in all arguments.

    Args:
        a: (N, d, d, T), or (N, d, d, 1) for one matrix at all times; all its products should stay bounded.
        b: (N, d, T).
        initial: s[-1], (N, d); zeros if None.

    Returns:
        s, (N, d, T).
    """
    if initial is not None and b.shape[-1]:
        first = b[..., 0] + (a[..., 0] * initial[:, None]).sum(2)
        b = torch.cat([first[..., None], b[..., 1:]], -1)
    return _Recurrence.apply(a, b)


def follow(level: Tensor, attack: Tensor, release: Tensor, initial: Tensor | None = None) -> Tensor:
    """r[n] = v + p (r[n-1] - v), with v the level and p the attack's pole where v is above r[n-1], the release's elsewhere.

    All spans of the signal are followed side by side from a guess of the level at which each starts; Newton's method, whose
    slopes are the products of the poles, mends the guess until it stays. The result is the recursion's own, up to rounding,
    and the derivative is that of the branches taken, as in autograd through a loop.

    Args:
        level: v, (N, T).
        attack, release: poles in [0, 1), (N, 1) or (N, T).
        initial: r[-1], (N, 1); zeros if None.
    """
    if initial is None:
        initial = torch.zeros_like(level[:, :1])
    with torch.no_grad():
        fast, slow = torch.broadcast_tensors(attack, release)
        rises = _rises(level, fast, slow, initial)
    pole = torch.where(rises, attack, release)
    return recurrence(pole[:, None, None], ((1 - pole) * level)[:, None], initial)[:, 0]


def _rises(level: Tensor, attack: Tensor, release: Tensor, initial: Tensor) -> Tensor:
    """Where the follower's attack acts, (N, T)."""
    samples = level.shape[1]
    length = min(SPAN, max(samples, 1))
    spans = -(-samples // length)

    def stepped(t: Tensor) -> Tensor:
        """(N, T) -> (length, N, spans), and (N, 1) -> (1, N, 1)."""
        t = nn.functional.pad(t, (0, spans * length - samples)) if t.shape[1] > 1 else t
        return t.unflatten(1, (-1, length) if t.shape[1] > 1 else (1, 1)).permute(2, 0, 1).contiguous()

    v, attack, release = stepped(level.expand(-1, samples)), stepped(attack), stepped(release)
    varies = attack.shape[0] > 1
    starts = initial.expand(-1, spans).clone()
    rises = torch.empty(v.shape, dtype=torch.bool, device=v.device)
    for _ in range(min(ROUNDS, spans)):
        r, slope = starts, torch.ones_like(starts)
        for n in range(length):
            torch.gt(v[n], r, out=rises[n])
            pole = torch.where(rises[n], attack[n if varies else 0], release[n if varies else 0])
            r = torch.lerp(v[n], r, pole)
            slope = slope * pole
        before = starts
        ends = _scan(slope[:, None, None], (r - slope * starts)[:, None], initial)[:, 0]
        starts = torch.cat([initial, ends[:, :-1]], 1)
        if torch.allclose(starts, before, rtol=1e-6, atol=1e-12):
            break
    return rises.permute(1, 2, 0).flatten(1)[:, :samples]


class _Recurrence(torch.autograd.Function):
    """Its adjoint is the same recurrence, backwards in time and with the matrices transposed."""

    @staticmethod
    def forward(a: Tensor, b: Tensor) -> Tensor:
        return _scan(a, b)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0], output)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor]:
        a, s = ctx.saved_tensors
        transposed = a.transpose(1, 2)
        if a.shape[-1] > 1:
            transposed = torch.cat([torch.zeros_like(transposed[..., :1]), transposed.flip(-1)[..., :-1]], -1)
        g = recurrence(transposed, grads[0].flip(-1)).flip(-1)
        if not ctx.needs_input_grad[0]:
            return None, g
        before = torch.cat([torch.zeros_like(s[..., :1]), s[..., :-1]], -1)
        if a.shape[-1] > 1:
            return g[:, :, None] * before[:, None], g
        return (g @ before.transpose(1, 2))[..., None], g


def _scan(a: Tensor, b: Tensor, initial: Tensor | None = None) -> Tensor:
    """The recurrence, not differentiable: within chunks by steps, then over the chunks' ends by itself."""
    count, size, samples = b.shape
    if initial is None:
        initial = b.new_zeros(count, size)
    if size == 1 and a.shape[-1] == 1 and samples > CHUNK and float(a.abs().max()) < FAST:
        return _doubled(a[:, 0, 0], b[:, 0], initial)[:, None]
    if samples <= CHUNK:
        state, out = initial, torch.empty_like(b)
        for n in range(samples):
            state = _times(a[..., n if a.shape[-1] > 1 else 0], state) + b[..., n]
            out[..., n] = state
        return out
    chunks = -(-samples // CHUNK)
    # Steps are contiguous: (CHUNK, N, d[, d], chunks).
    b = nn.functional.pad(b, (0, chunks * CHUNK - samples)).unflatten(-1, (chunks, CHUNK)).movedim(-1, 0).contiguous()
    varies = a.shape[-1] > 1
    if varies:
        a = nn.functional.pad(a, (0, chunks * CHUNK - samples))
        a = a.unflatten(-1, (chunks, CHUNK)).movedim(-1, 0).contiguous()
    else:
        a = a.expand(CHUNK, *a.shape)
    state, product = b[0], a[0]
    states, products = [state], [product]
    for n in range(1, CHUNK):
        state = _times(a[n], state) + b[n]
        product = (a[n][:, :, :, None] * product[:, None]).sum(2)
        states.append(state)
        products.append(product)
    ends = _scan(product, state, initial)
    starts = torch.cat([initial[..., None], ends[..., :-1]], -1)
    out = torch.stack([s + _times(p, starts) for s, p in zip(states, products, strict=True)], -1)
    return out.flatten(-2)[..., :samples]


def _doubled(a: Tensor, b: Tensor, initial: Tensor) -> Tensor:
    """The scalar recurrence with one factor (N, 1) at all times that is soon forgotten: each round doubles the reach."""
    s = torch.cat([b[:, :1] + a * initial, b[:, 1:]], 1)
    reach = 1
    while reach < s.shape[1] and float(a.abs().max()) > torch.finfo(s.dtype).eps:
        s = torch.cat([s[:, :reach], s[:, reach:] + a * s[:, :-reach]], 1)
        a, reach = a * a, 2 * reach
    return s


def _times(a: Tensor, s: Tensor) -> Tensor:
    """Matrices (N, d, d, ...) by vectors (N, d, ...)."""
    return a[:, 0] * s if a.shape[1] == 1 else (a * s[:, None]).sum(2)
