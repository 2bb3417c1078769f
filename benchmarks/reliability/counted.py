"""`python -m benchmarks.reliability.counted FILE WHAT MODULE [ARGUMENT...]`: run a module, and add a byte to FILE at each step.

Steps are those of any of torch's optimisers ("optimiser"), or those that `dasp match` shows ("match"), whose optimisers also fit
curves that nobody has to wait for. What was written is there even if the process is killed.
"""

from __future__ import annotations

import os
import runpy
import sys
from typing import Any


def main() -> None:
    """Count, and run."""
    name, what, *rest = sys.argv[1:]
    file = os.open(name, os.O_WRONLY | os.O_APPEND)
    if what == "match":
        from mixing.commands.match import Meter

        show = Meter.show

        def counting(self: Meter, stage: str, step: int, total: int, loss: float) -> None:
            os.write(file, b".")
            show(self, stage, step, total, loss)

        Meter.show = counting
    else:
        from torch.optim.optimizer import register_optimizer_step_post_hook

        def counted(*_: Any) -> None:
            os.write(file, b".")

        register_optimizer_step_post_hook(counted)
    sys.argv = rest
    runpy.run_module(rest[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
