"""What the effects with a delay line share: a delay that glides."""

from __future__ import annotations

from torch import Tensor

from dasp.atoms.ramp import ramp
from dasp.automation import HOP


def gliding(delay: Tensor, samples: int, state: dict | None, hop: int) -> Tensor:
    """A delay (B, 1, 1 or samples) that reaches each new value in HOP samples: what the control grid holds becomes straight
    lines, so that the pitch bends and does not click. Its place goes into the state."""
    if state is None and delay.shape[2] == 1:
        return delay
    out, memory = ramp(delay.expand(-1, -1, samples), HOP, None if state is None else state.get("delay"), hop)
    if state is not None and memory is not None:
        state["delay"] = memory
    return out
