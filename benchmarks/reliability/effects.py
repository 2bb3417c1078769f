"""Every effect at random shapes, dtypes, settings and strategies: finite, repeatable, and nothing of the caller's is changed."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from hypothesis import strategies as st

from benchmarks.reliability.drawing import each
from benchmarks.reliability.outcome import Outcome
from benchmarks.reliability.worker import Worker

STRATEGIES = ("autodiff", "autodiff", "fd", "spsa")
SAMPLES = (0, 1, 2, 3, 5, 17, 64, 255, 1024)
LEVELS = (0.0, 1e-38, 1e-6, 0.1, 1.0, 100.0)


@cache
def names() -> tuple[str, ...]:
    """Of all effects."""
    from dasp.effects import registry

    return tuple(registry())


def run(count: int, seed: int, tell: Callable[[str], None]) -> list[Outcome]:
    """So many effects at random settings.

    Args:
        count: of trials.
        seed: of everything.
        tell: progress.
    """
    tell("effects")
    outcome = Outcome("Effects at random shapes, dtypes, settings and strategies, forward and backward")
    with Worker("benchmarks.reliability.effects:trial") as worker:
        cases = st.tuples(
            st.sampled_from(names()),
            st.sampled_from(STRATEGIES),
            st.integers(1, 3),
            st.sampled_from((1, 2, 5)),
            st.sampled_from(SAMPLES),
            st.booleans(),
            st.sampled_from(LEVELS),
            st.sampled_from((0, 0, 1, 2, 7)),
            st.sampled_from(("random", "random", "low", "high", "edges")),
            st.integers(0, 2**31),
        )

        def one(case: tuple[object, ...]) -> None:
            end, failure = worker.run(*case)
            outcome.count(end, failure and f"effects: {failure}; {case}")

        each(cases, count, seed, one)
    return [outcome]


def trial(
    name: str,
    strategy: str,
    batch: int,
    channels: int,
    samples: int,
    double: bool,
    level: float,
    frames: int,
    where: str,
    seed: int,
) -> tuple[str, str]:
    """One effect at one setting; runs in the worker."""
    import torch

    from dasp.effects import find

    effect = find(name)(44100, gradient=strategy)
    generator = torch.Generator().manual_seed(seed)
    dtype = torch.float64 if double else torch.float32
    if effect.channels is not None and channels not in effect.channels:
        channels = effect.channels[seed % len(effect.channels)]
    x = level * torch.randn(batch, channels, samples, generator=generator, dtype=dtype)
    shape = (batch, len(effect.controls), frames) if frames else (batch, len(effect.controls))
    u = torch.rand(shape, generator=generator, dtype=dtype)
    u = {"low": torch.zeros_like(u), "high": torch.ones_like(u), "edges": u.round()}.get(where, u)
    if strategy == "autodiff" and not effect.static:
        x.requires_grad_()
    u.requires_grad_()
    before = (x.detach().clone(), u.detach().clone())
    if effect.static and frames:
        u = u[..., 0].detach().requires_grad_()
        before = (before[0], u.detach().clone())
    try:
        outputs = []
        for _ in range(2):
            torch.manual_seed(seed)
            y = effect(x, u)
            wanted = [t for t in (u, x) if t.requires_grad and t.numel()]
            g = torch.autograd.grad(y.sum(), wanted, allow_unused=True) if y.requires_grad and wanted else ()
            outputs.append((y.detach(), *(t for t in g if t is not None)))
    except ValueError as error:
        return "refused", "" if name in str(error) or "frames" in str(error) else f"a message without the effect's name: {error}"
    first, second = outputs
    if first[0].shape[0] != batch or first[0].shape[2] != samples:
        return "done", f"shape {tuple(first[0].shape)}"
    if not all(t.isfinite().all() for t in first):
        return "done", f"not finite: {[bool(t.isfinite().all()) for t in first]}"
    if not all(torch.equal(a, b) for a, b in zip(first, second, strict=True)):
        return "done", "twice the same gave two results"
    if not (torch.equal(x.detach(), before[0]) and torch.equal(u.detach(), before[1])):
        return "done", "the caller's tensors were changed"
    return "done", ""
