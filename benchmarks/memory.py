"""Peak memory of one contender, in a process of its own.

The process makes audio, controls and the contender, does the work once on a short input (libraries are loaded, kernels
compiled), asks the kernel to forget the peak so far, does the work at its size, and reports by how much the peak of the
resident memory rose above what was resident before, over the bytes of the audio. What the work returns counts; audio, controls
and cotangent, which were there before, do not. malloc is told to give every large block back, so that what one step left does
not hide the next one's.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.contest import Size

ROOT = Path(__file__).resolve().parents[1]
SHORT = 8192  # samples of the work that is done first; as many rows, since not every contender takes any number
MALLOC = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536", "MALLOC_TOP_PAD_": "0"}


def rise(group: str, contest: str, contender: str, size: Size, work: str, seed: int) -> float | None:
    """Multiples of the audio's bytes; None where the process failed or the system does not tell."""
    command = [sys.executable, "-m", "benchmarks.memory", group, contest, contender, work, str(seed)]
    command += [size.name, *map(str, size.shape)]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | MALLOC, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"status {done.returncode}"
        print(f"benchmarks: memory of {contender}: {reason}", file=sys.stderr)
        return None
    return float(done.stdout.split()[-1])


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
