"""From controls to the numbers that a head works with, and curves of one variable whose shape such numbers give."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

HOP = 32  # samples for which controls that vary are held, as a plugin takes new ones between blocks only


class Reader(nn.Module):
    """values(u) = start + linear map of u + two hidden layers of u, both next to nothing at first.

    Logarithms of what a plugin computes (a time constant, a frequency, a gain) are mostly linear in its controls, so the hidden
    layers have only the rest to learn.

    Args:
        num_controls: P.
        start: the values before training.
        width: of the hidden layers.
    """

    def __init__(self, num_controls: int, start: Sequence[float], width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(num_controls, len(start))
        first, second = nn.Linear(num_controls, width), nn.Linear(width, width)
        self.hidden = nn.Sequential(first, nn.Tanh(), second, nn.Tanh(), nn.Linear(width, len(start), bias=False))
        nn.init.normal_(self.linear.weight, std=0.01)  # not 0, so that every control acts, if little
        self.linear.bias = nn.Parameter(torch.tensor(start, dtype=self.linear.weight.dtype, device=self.linear.weight.device))
        nn.init.normal_(self.hidden[-1].weight, std=0.01)  # type: ignore[arg-type]

    def forward(self, controls: Tensor, samples: int) -> Tensor:
        """Controls (N, P) -> values (N, n, 1); (N, P, frames) -> (N, n, samples), held for HOP samples or a frame each."""
        if controls.ndim == 2:
            return self._values(controls)[..., None]
        frames = controls.shape[2]
        hop = max(1, min(HOP, samples // frames))
        grid = nn.functional.interpolate(controls, -(-samples // hop), mode="linear", align_corners=False)
        return self._values(grid.movedim(1, 2)).movedim(2, 1).repeat_interleave(hop, 2)[..., :samples]

    def take(self, other: Reader) -> None:
        """Its hidden layers, in another width; see `fit_width`."""
        (first, second, last), (first_, second_, last_) = (
            [m for m in r.hidden if isinstance(m, nn.Linear)] for r in (self, other)
        )
        width = min(first.out_features, first_.out_features)
        behind = last_.weight.norm(dim=0).topk(width).indices.sort().values
        before = second_.weight[behind].norm(dim=0).topk(width).indices.sort().values
        first.weight[:width], first.bias[:width] = first_.weight[before], first_.bias[before]
        second.weight[:width] = 0
        second.weight[:width, :width], second.bias[:width] = second_.weight[behind][:, before], second_.bias[behind]
        last.weight.zero_()
        last.weight[:, :width] = last_.weight[:, behind]

    def _values(self, controls: Tensor) -> Tensor:
        u = 2 * controls - 1
        return self.linear(u) + self.hidden(u)


def narrow(network: nn.Module, low: Sequence[float], high: Sequence[float]) -> None:
    """Let the controls of a head, 0 to 1, mean low to high of what they meant: the start of one with a narrower table.

    So a band of an equaliser begins with what a filter of the whole frequency range has learnt. The weights are changed.

    Args:
        network: all its Readers read all controls, so each part of a Series by itself.
        low, high: of each control, in the [0, 1] of before.

    Raises:
        ValueError: it has no Reader.
    """
    readers = [module for module in network.modules() if isinstance(module, Reader)]
    if not readers:
        raise ValueError(f"narrow: {type(network).__name__} reads its controls in another way than by a Reader.")
    for reader in readers:
        with torch.no_grad():
            for layer in (reader.linear, reader.hidden[0]):
                assert isinstance(layer, nn.Linear)
                lows, highs = layer.weight.new_tensor(low), layer.weight.new_tensor(high)
                layer.bias.add_(layer.weight @ (lows + highs - 1))
                layer.weight.mul_(highs - lows)


def fit_width(network: nn.Module, given: nn.Module) -> bool:
    """Give a network the weights of one that differs in the widths of its Readers alone.

    A wider Reader computes what the narrower did: its new units are connected to the output by weights of 0, from which they can
    learn. A narrower one keeps the units with the largest weights behind them.

    Returns:
        False, and nothing is changed, where the two differ in anything else.
    """
    readers = {name: module for name, module in given.named_modules() if isinstance(module, Reader)}
    own = {name: module for name, module in network.named_modules() if isinstance(module, Reader)}
    widths = tuple(f"{name}.hidden." for name in readers)

    def rest(state: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: t for name, t in state.items() if not name.startswith(widths)}

    other = rest(given.state_dict())
    if own.keys() != readers.keys() or {n: t.shape for n, t in rest(network.state_dict()).items()} != {
        n: t.shape for n, t in other.items()
    }:
        return False
    network.load_state_dict(other, strict=False)
    with torch.no_grad():
        for name, reader in own.items():
            reader.take(readers[name])
    return True


class Curve(nn.Module):
    """f(v) = slope v + offset + sum of a_k phi(s_k exp(b_k) v + c_k), all but the signs s_k read from the controls.

    Args:
        num_controls: P.
        units: terms of the sum.
        kind: phi, "tanh" or "hinge" (the positive part). Hinges point to both sides by turns.
        low, high: the range over which hinges are spread at first.
        slope: before training, when all a_k are 0.
        width: of the Reader.
        offset: whether f has one; otherwise f(0) = 0.
    """

    def __init__(
        self, num_controls: int, units: int, kind: str, low: float, high: float, slope: float, width: int, offset: bool
    ) -> None:
        super().__init__()
        if kind not in ("tanh", "hinge"):
            raise ValueError(f"Curve: kind is 'tanh' or 'hinge'; got {kind!r}.")
        self.kind, self.units, self.offset = kind, units, offset
        sign = [1.0 if kind == "tanh" or k % 2 == 0 else -1.0 for k in range(units)]
        self.signs: Tensor
        self.register_buffer("signs", torch.tensor(sign)[None, :, None, None], persistent=False)
        places = [low + (high - low) * (k + 0.5) / units for k in range(units)]
        steepness = [0.0 if kind == "hinge" else k / units for k in range(units)]
        shift = [-s * p if kind == "hinge" else 0.0 for s, p in zip(sign, places, strict=True)]
        self.reader = Reader(num_controls, [slope, 0.0, *([0.0] * units), *steepness, *shift], width)

    def forward(self, v: Tensor, controls: Tensor) -> Tensor:
        """v (N, C, T) and controls (N, P) or (N, P, frames) -> f(v), (N, C, T)."""
        values = self.reader(controls, v.shape[2])[:, :, None]  # (N, n, 1, 1 or T)
        slope, offset, a, b, c = values.split([1, 1, self.units, self.units, self.units], 1)
        phi = torch.tanh if self.kind == "tanh" else torch.relu
        bent = phi(self.signs * b.exp() * v[:, None] + c)
        y = slope[:, 0] * v + (a * bent).sum(1)
        return y + offset[:, 0] if self.offset else y - (a * phi(c)).sum(1)
