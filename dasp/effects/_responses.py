"""What effects that are an impulse response share: one that follows controls which vary in time."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from dasp.atoms.convolution import convolve, history_after


def respond(x: Tensor, values: Tensor, design: Callable[[Tensor], Tensor], spacing: int, state: dict | None) -> Tensor:
    """Convolve with the response of a set of controls; where they vary, they are read every `spacing` samples, and from one
    reading to the next the old response fades into the new one.

    Args:
        x: audio (B, C, T).
        values: controls (B, P, 1 or T).
        design: (B, P) -> impulse response (B, 1 or C, L), L always the same.
        spacing: samples between readings, counted from the start of the stream.
        state: a dict that carries past input, the two readings and the place between them.
    """
    if state is None and values.shape[2] == 1:
        return convolve(x, design(values[..., 0]))[0]
    memory = {} if state is None else state
    past, before, after = (memory.get(k) for k in ("past", "before", "after"))
    place, start, out = int(memory.get("place", 0)), 0, []
    old, new = (None if reading is None else design(reading) for reading in (before, after))
    while start < x.shape[2]:
        if place == 0:
            reading = values[..., start if values.shape[2] > 1 else 0]
            before, after = reading if after is None else after, reading
            designed = design(reading)
            old, new = designed if new is None else new, designed
        assert old is not None and new is not None
        length = min(spacing - place, x.shape[2] - start)
        part = x[..., start : start + length]
        if past is None:
            past = convolve(x[..., :0], old)[1]  # silence, of the length that stands for the start of a stream
        y, _ = convolve(part, old, past, through_history=True)
        change, _ = convolve(part, new - old, past, through_history=True)
        way = torch.arange(place + 1, place + length + 1, dtype=torch.float64, device=x.device) / spacing
        out.append(y + way.to(x.dtype) * change)
        # Not what convolve returns: that has no gradient, and the next part's past is this part.
        past = history_after(past, part, old.shape[2])
        place, start = (place + length) % spacing, start + length
    if state is not None and past is not None and before is not None and after is not None:
        state |= {"past": past.detach(), "before": before.detach(), "after": after.detach(), "place": torch.tensor(place)}
    return torch.cat(out, -1) if out else x
