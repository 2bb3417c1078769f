"""The process of `benchmarks.memory`: one contender does its work and says by how much the peak of the memory rose."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

SHORT = 8192  # samples of the work that is done first; as many rows, since not every contender takes any number


def resident(peak: bool) -> int:
    """Bytes of this process that are, or at most were, in memory (Linux)."""
    name = "VmHWM:" if peak else "VmRSS:"
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return 1024 * int(line.split()[1])
    raise OSError(f"the system does not tell {name}")


def forget_peak() -> None:
    """Let the peak start again from what is resident now (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")


def main(arguments: list[str]) -> None:
    import importlib

    import torch

    from benchmarks.contest import BOTH, Size, cotangent, prepared

    group, name, contender, work, seed, label, *shape = arguments
    contest = importlib.import_module(f"benchmarks.{group}").CONTESTS[name]
    one = next(c for c in contest.contenders if c.name == contender)
    torch.set_num_threads(1)
    full = Size(label, *map(int, shape))
    for size in (replace(full, samples=min(full.samples, SHORT)), full):
        x, controls = contest.case(size, int(seed))
        made = prepared(one, x, controls)
        g = None
        if work == BOTH:
            g = cotangent(made.forward(), int(seed) + 1)
        before = resident(peak=False)
        forget_peak()
        kept = made.forward() if g is None or made.forward_backward is None else made.forward_backward(g)
        risen = resident(peak=True) - before
        del kept
    print(risen / (x.numel() * x.element_size()))


if __name__ == "__main__":
    main(sys.argv[1:])
