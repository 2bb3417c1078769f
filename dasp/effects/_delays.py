"""What the effects with a delay line share: a delay that glides, and a line that outlives a block."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from dasp.atoms.delay_line import delay_line, line_state
from dasp.atoms.ramp import glide
from dasp.automation import HOP


def gliding(delay: Tensor, samples: int, state: dict | None, hop: int) -> Tensor:
    """A delay (B, 1, 1 or samples) that reaches each new value in HOP samples: what the control grid holds becomes straight
    lines, so that the pitch bends and does not click."""
    return glide(delay, samples, HOP, state, "delay", hop)


def echoes(x: Tensor, delay: Tensor, feedback: Tensor, longest: float, state: dict | None, **read: Any) -> Tensor:
    """What comes out of a delay line (`delay_line` has the arguments); in a stream it remembers the `longest` samples."""
    line = None
    if state is not None:
        line = state["line"] if "line" in state else line_state(x, longest)
    out, line = delay_line(x, delay, feedback, line, **read)
    if state is not None:
        state["line"] = line
    return out
