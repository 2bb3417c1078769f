"""Ten thousand steps of Adam at a learning rate that no one should take, under every strategy: is any number ever no number?"""

from __future__ import annotations

from collections.abc import Callable

import torch

from benchmarks.reliability.outcome import Outcome

STRATEGIES = ("autodiff", "fd", "spsa", "proxy", "hybrid")
RATE = 0.3  # a third of a control's range, the first steps
SAMPLES = 512


def run(count: int, seed: int, tell: Callable[[str], None]) -> list[Outcome]:
    """So many steps under each strategy.

    Args:
        count: of steps.
        seed: of audio and settings.
        tell: progress.
    """
    return [_descended(name, count, seed, tell) for name in STRATEGIES]


def _descended(strategy: str, count: int, seed: int, tell: Callable[[str], None]) -> Outcome:
    """Two linear maps of noise decide the settings of equaliser, compressor and distortion; targets jump at each step."""
    from dasp import Chain, Compressor, Distortion, PeakFilter

    tell(f"training: {strategy}")
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    chain = Chain(PeakFilter(), Compressor(), Distortion(), gradient=strategy)
    network = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Tanh(), torch.nn.Linear(16, len(chain.controls)))
    optimiser = torch.optim.Adam(network.parameters(), RATE)
    outcome = Outcome(f"Training steps under `{strategy}` at a learning rate of {RATE:g}")
    for step in range(count):
        level = 10.0 ** float(torch.empty(1).uniform_(-5, 0.5, generator=generator))
        x = level * torch.randn(1, 1, SAMPLES, generator=generator)
        if step % 50 == 0:
            x.zero_()
        target = torch.rand(1, len(chain.controls), generator=generator)
        with torch.no_grad():
            wanted = chain(x, target)
        u = network(torch.randn(1, 8, generator=generator)).sigmoid()
        loss = (chain(x, u) - wanted).square().mean() / (wanted.square().mean() + 1e-12)
        optimiser.zero_grad()
        loss.backward()
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        finite = bool(loss.isfinite()) and all(bool(g.isfinite().all()) for g in gradients)
        optimiser.step()
        outcome.count("done", "" if finite else f"{strategy}: step {step}: the loss or a gradient is no number")
        if not finite:
            break
    return outcome
