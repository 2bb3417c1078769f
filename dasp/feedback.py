"""Feedback around an effect: its delayed output goes back to its input."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from dasp.automation import per_sample
from dasp.chain import Compound
from dasp.effect import Effect
from dasp.param import Param
from gradients import Strategy


class Feedback(Compound):
    """An effect (or chain) in a delayed feedback loop.

    y[n] = x[n] + feedback e[n - D], where e is the effect's output for y and D = round(delay_seconds * sample_rate).

    The loop is unrolled: each pass through the whole signal makes D more samples right, so a signal of T samples takes T / D
    runs of the effect, forward and backward, in every view; gradients are exact. With `state` (streaming) it runs once, block by
    block.

    Args:
        effect: of as many output as input channels.
        delay_seconds: of the loop; at least one sample, the same for all items.
        gradient, proxy: as in Chain.
    """

    def __init__(
        self,
        effect: Effect,
        *,
        delay_seconds: float = 0.25,
        gradient: str | Strategy | None = None,
        proxy: Callable[..., Tensor] | str | os.PathLike | None = None,
    ) -> None:
        own = (Param("feedback", "", 0.0, 0.95, 0.4, doc="gain of the loop"),)
        super().__init__((effect,), gradient, proxy, own)
        self.delay_samples = round(delay_seconds * self.sample_rate)
        if self.delay_samples < 1:
            raise ValueError(
                f"Feedback: delay_seconds must be at least a sample, {1 / self.sample_rate:g} s; got {delay_seconds}."
            )
        if effect.out_channels(1) != 1 and (effect.channels is None or 1 in effect.channels):
            raise ValueError(f"Feedback: {effect.name} makes mono stereo, which cannot go back to its input; pan first.")

    @property
    def takes(self) -> frozenset[str]:
        return super().takes | {"state"}

    def _through(self, each: Callable[..., Tensor], x: Tensor, u: Tensor, **aux: Any) -> Tensor:
        gain = self.own[0].to_physical(per_sample(u[:, :1], x.shape[2]).double()).to(x.dtype)
        state = aux.get("state")
        if state is not None:
            return self._streamed(each, x, u, gain, aux, state)
        ((effect, part, mine),) = self._parts(u, aux)
        delay, samples = self.delay_samples, x.shape[2]
        y = x + gain * torch.zeros_like(x)  # what comes before the first echo, and still a function of the controls
        for _ in range(math.ceil(samples / delay) - 1):
            wet = each(effect, y, part, **mine)[..., : samples - delay]
            y = x + gain * torch.nn.functional.pad(wet, (delay, 0))
        return y

    def _streamed(
        self, each: Callable[..., Tensor], x: Tensor, u: Tensor, gain: Tensor, aux: dict[str, Any], state: dict
    ) -> Tensor:
        if u.ndim == 3:
            raise ValueError("Feedback: with state its controls cannot vary within a block; give static ones for each block.")
        line = state.get("line")
        line = x.new_zeros(*x.shape[:2], self.delay_samples) if line is None else line
        out = []
        for block in x.split(self.delay_samples, 2) if x.shape[2] else [x]:
            length = block.shape[2]
            y = block + gain * line[..., :length]
            ((effect, part, mine),) = self._parts(u, {**aux, "state": state})
            line = torch.cat([line[..., length:], each(effect, y, part, **mine)], -1)
            out.append(y)
        state["line"] = line.detach()
        return torch.cat(out, -1)
