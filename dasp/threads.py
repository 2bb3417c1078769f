"""Threads for work that leaves Python's lock: shared by all effects of a process, as many as the machine and torch allow.

No effect holds a thread and no process is started. The caller works too, so one thread means none but the caller's.
"""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from pathlib import Path

import torch


def cores() -> int:
    """Processors that this process may use: those in its affinity mask, or its control group's quota where that is less."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return math.ceil(min(allowed, quota()))


def threads() -> int:
    """Threads that a call may use: `cores()`, and no more than torch's own kernels would (`torch.set_num_threads`)."""
    return min(cores(), torch.get_num_threads())


@cache
def quota(root: Path = Path("/sys/fs/cgroup"), groups: Path = Path("/proc/self/cgroup")) -> float:
    """Processors' worth of time that the control groups (version 2 or 1) grant to this process; infinite without a limit."""
    least = float("inf")
    for line in _text(groups).splitlines():
        _, controllers, own = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        # A group's limit holds for those within; in a container the path may be the host's, and only the root be there.
        place = Path(own.lstrip("/"))
        for group in (place, *place.parents):
            if controllers:
                both = [_text(root / "cpu" / group / f"cpu.cfs_{name}_us") for name in ("quota", "period")]
            else:
                both = _text(root / group / "cpu.max").split()
            if len(both) == 2 and all(part.strip().isdigit() for part in both):
                least = min(least, int(both[0]) / int(both[1]))
    return least


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


@cache
def _pool(process: int, size: int) -> ThreadPoolExecutor:
    """A process's threads, made when first needed; a forked process has its own."""
    return ThreadPoolExecutor(size, thread_name_prefix="dasp")


def each(function: Callable[[int], None], count: int) -> None:
    """function(0), ..., function(count - 1), begun in this order, on up to `threads()` threads.

    An exception ends the work and is raised here; what has begun is waited for.
    """
    left = deque(range(count))

    def work() -> None:
        while left:
            try:
                index = left.popleft()
            except IndexError:  # another thread took the last one
                return
            try:
                function(index)
            except BaseException:
                left.clear()
                raise

    size = min(threads(), count) - 1
    helpers = [_pool(os.getpid(), cores()).submit(work) for _ in range(size)]
    try:
        work()
    finally:
        # Those that have not begun have nothing left to do: others may keep the pool busy.
        begun = [helper for helper in helpers if not helper.cancel()]
        wait(begun)
    for helper in begun:
        helper.result()
