"""Filters: second-order sections whose analogue prototypes are read from the controls."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from proxies.network import Network
from proxies.reader import Reader
from proxies.scan import recurrence

_START = (-2.0, 0.0, 0.0, 0.0, 0.0)  # logarithms of w, p, r, z and the gain before training


class Filter(Network):
    """Sections (s^2 + z s w r + (r w)^2) / (s^2 + p s w + w^2) times a gain, in series; each channel for itself.

    The logarithms of w (of the bilinear transform: 1 is a quarter of the sample rate), p, r, z and the gain are read from
    the controls, so every section is stable and of minimum phase whatever was learnt. It runs as a state-variable filter with
    trapezoidal integration, which stays exact at low frequencies in float32, and steady when its controls vary.

    Args:
        num_controls: P.
        sections: in series; all read all controls.
        width: hidden layers that read the controls.
        frequencies: of each section before training, in sample rates; None: 0.043. A section that begins far from what it is to
            imitate may stay there.

    >>> tuple(Filter(3)(torch.zeros(2, 2, 100), torch.rand(2, 3)).shape)
    (2, 2, 100)
    """

    def __init__(
        self, num_controls: int, *, sections: int = 1, width: int = 16, frequencies: Sequence[float] | None = None
    ) -> None:
        super().__init__(locals())
        self.at_least(1, "sections", "width")
        starts = [_START] * sections
        if frequencies is not None:
            if len(frequencies) != sections or not all(0 < f < 0.5 for f in frequencies):
                raise ValueError(
                    f"Filter: frequencies are shares of the sample rate, one a section ({sections}); got {frequencies!r}."
                )
            starts = [(math.log(math.tan(math.pi * f)), *_START[1:]) for f in frequencies]
        self.readers = nn.ModuleList(Reader(num_controls, start, width) for start in starts)

    def process(self, x: Tensor, controls: Tensor, state: dict[str, Tensor] | None) -> Tensor:
        y = x[:, 0]
        for n, reader in enumerate(self.readers):
            w, p, r, z, gain = reader(controls, x.shape[2]).exp().unbind(1)  # (N, 1 or T)
            before = None if state is None else state.get(f"section{n}")
            y, after = _section(y, w, p, r, z, gain, before)
            if state is not None:
                state[f"section{n}"] = after
        return y[:, None]


def _section(x: Tensor, w: Tensor, p: Tensor, r: Tensor, z: Tensor, gain: Tensor, before: Tensor | None) -> tuple[Tensor, Tensor]:
    """x (N, T) and the state of the integrators (N, 2) -> the output and the state after it."""
    if before is None:
        before = x.new_zeros(len(x), 2)
    c = 1 / (1 + w * (w + p))
    matrix = torch.stack([2 * c - 1, -2 * c * w, 2 * c * w, 1 - 2 * c * w * w], 1).unflatten(1, (2, 2))
    states = recurrence(matrix, torch.stack([2 * c * w * x, 2 * c * w * w * x], 1), before)
    s1, s2 = torch.cat([before[..., None], states[..., :-1]], -1).unbind(1)
    band = c * (s1 + w * (x - s2))
    low = s2 + w * band
    y = gain * (x + (z * r - p) * band + (r * r - 1) * low)
    return y, states[..., -1].detach().clone() if not states.requires_grad else states[..., -1]
