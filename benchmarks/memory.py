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
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MALLOC = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536", "MALLOC_TOP_PAD_": "0"}


def rise(group: str, contest: str, contender: str, size: str, shape: Sequence[int], work: str, seed: int) -> float | None:
    """Multiples of the audio's bytes; None where the process failed or the system does not tell."""
    command = [sys.executable, "-m", "benchmarks.memory_process", group, contest, contender, work, str(seed)]
    command += [size, *map(str, shape)]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | MALLOC, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"status {done.returncode}"
        print(f"benchmarks: memory of {contender}: {reason}", file=sys.stderr)
        return None
    return float(done.stdout.split()[-1])
