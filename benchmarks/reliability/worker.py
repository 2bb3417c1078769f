"""A process that may die: trials run in it one after the other, and how each ended comes back, whatever happened to the process.

`Worker.run` gives a trial a time and an amount of memory. A process that hangs is killed, one that crashed is noticed; the next
trial gets a new one.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import multiprocessing
import resource
import signal
import sys
import traceback
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

START = 300  # seconds that a process may take to load what it needs
CALM = 600  # MB by which a trial may raise the process's peak memory


class Worker:
    """Runs `module:function` in a process of its own.

    Args:
        target: "module:function"; the function takes what `run` is given and returns (how it ended, why it is a failure or "").
        seconds: a trial may take.
    """

    def __init__(self, target: str, seconds: float = 60.0) -> None:
        self.target, self.seconds = target, seconds
        self._process: Any = None
        self._pipe: Connection | None = None

    def run(self, *case: Any) -> tuple[str, str]:
        """(how it ended, why that is a failure or "")."""
        if self._process is None:
            self._start()
        assert self._pipe is not None
        self._pipe.send(case)
        if not self._pipe.poll(self.seconds):
            self.close()
            return "hung", f"no end after {self.seconds:g} s"
        try:
            return self._pipe.recv()
        except EOFError:
            process, self._process = self._process, None
            assert process is not None
            process.join()
            code = process.exitcode
            name = signal.Signals(-code).name if code < 0 else f"status {code}"
            return "crashed", f"the process ended with {name}"

    def close(self) -> None:
        """End the process, if there is one."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self.target), daemon=True)
        self._process.start()
        theirs.close()
        if not self._pipe.poll(START):
            raise TimeoutError(f"a process for {self.target} did not start within {START} s.")
        self._pipe.recv()


def _serve(pipe: Connection, target: str) -> None:
    import torch

    torch.set_num_threads(1)
    module, name = target.split(":")
    function = getattr(importlib.import_module(module), name)
    pipe.send("ready")
    with contextlib.suppress(EOFError):
        while True:
            case = pipe.recv()
            before = _peak_mb()
            said = io.StringIO()
            try:
                with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                    end, failure = function(*case)
            except BaseException as error:
                where = traceback.extract_tb(error.__traceback__)[-1]
                end = "traceback"
                failure = f"{type(error).__name__}: {error} ({where.filename.rsplit('/', 2)[-1]}:{where.lineno})"[:400]
            risen = _peak_mb() - before
            if risen > CALM and not failure:
                end, failure = "memory", f"the peak of the memory rose by {risen:.0f} MB"
            pipe.send((end, failure))


def _peak_mb() -> float:
    """Most memory that this process ever had. Linux's ru_maxrss begins with that of the process which started this one."""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) / 1024
    unit = 1024 if sys.platform == "darwin" else 1
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 / unit
