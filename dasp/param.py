"""One control of an effect: the single place where its name, unit and range are typed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, overload

import torch
from torch import Tensor

_NO_TIME = 1e-300  # times a range's lower end: shorter than any sample, and its logarithm is finite


@dataclass(frozen=True)
class Param:
    """A control's name, unit, range, and the scale on which [0, 1] maps to that range.

    Args:
        name: keyword of the effect's functions, with its unit as a suffix (`attack_ms`).
        unit: "dB", "ms", "Hz", "" ...
        low, high: range in that unit; independent of the sample rate.
        default: value of a control that is left out.
        scale: "linear", or "log" for what people hear on a log scale.
        doc: one line on what it does.
        surrogate: for a control without a true derivative (a step, an integer): what its gradient is instead; empty if true.
        step: the default step of finite differences and SPSA in [0, 1], where the black box's float32 noise is below its slope.

    >>> Param("attack_ms", "ms", 1.0, 100.0, 10.0, "log").to_unit(10.0)
    0.5
    """

    name: str
    unit: str
    low: float
    high: float
    default: float
    scale: Literal["linear", "log"] = "linear"
    doc: str = ""
    surrogate: str = ""
    step: float = 1e-3

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise ValueError(f"Param: a name must be usable as a keyword; got {self.name!r}.")
        if self.scale not in ("linear", "log"):
            raise ValueError(f"{self.name}: scale is 'linear' or 'log'; got {self.scale!r}.")
        if not (self.low < self.high and self.low <= self.default <= self.high):
            raise ValueError(
                f"{self.name}: expected low <= default <= high and low < high; got {self.low}, {self.default}, {self.high}."
            )
        if self.scale == "log" and self.low <= 0:
            raise ValueError(f"{self.name}: a log scale needs low > 0; got {self.low}.")

    @overload
    def to_physical(self, u: float) -> float: ...
    @overload
    def to_physical(self, u: Tensor) -> Tensor: ...
    def to_physical(self, u: float | Tensor) -> float | Tensor:
        """[0, 1] -> the control's unit."""
        if self.scale == "log":
            octaves = u * math.log(self.high / self.low)
            return self.low * (octaves.exp() if isinstance(octaves, Tensor) else math.exp(octaves))
        return self.low + (self.high - self.low) * u

    @overload
    def to_unit(self, value: float) -> float: ...
    @overload
    def to_unit(self, value: Tensor) -> Tensor: ...
    def to_unit(self, value: float | Tensor) -> float | Tensor:
        """The control's unit -> [0, 1]. On a log scale a time of 0 ms is one too short to matter; other zeros have no place.

        Raises:
            ValueError: a number (not a tensor) at or below 0 on a log scale.
        """
        if self.scale == "log":
            ratio = value / self.low
            if self.unit == "ms":  # an attack of 0 is what plugins allow; log(0) would make its gradient NaN
                ratio = ratio.clamp_min(_NO_TIME) if isinstance(ratio, Tensor) else ratio or _NO_TIME
            if not isinstance(ratio, Tensor) and ratio <= 0:
                raise ValueError(f"{self.name}: is on a log scale from {self.low:g} to {self.high:g}; got {value:g}.")
            return (ratio.log() if isinstance(ratio, Tensor) else math.log(ratio)) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


class Scales:
    """The scales of a whole table: the same values as each control's own `to_physical` in a few operations for all of them.

    Args:
        controls: the table.
    """

    def __init__(self, controls: Sequence[Param]) -> None:
        logs = [q.scale == "log" for q in controls]
        self._some_log, self._all_log = any(logs), all(logs)
        self._log = torch.tensor(logs, dtype=torch.bool)[:, None]
        self._low = _column(q.low for q in controls)
        self._width = _column(q.high - q.low for q in controls)
        self._octaves = _column(math.log(q.high / q.low) if q.scale == "log" else 0.0 for q in controls)

    def to_physical(self, u: Tensor) -> Tensor:
        """Controls (B, P, K) in [0, 1] -> (B, P, K) in their units, float64."""
        u, low = u.double(), self._low.to(u.device)
        if self._some_log:
            log = low * (u * self._octaves.to(u.device)).exp()
            if self._all_log:
                return log
        linear = low + self._width.to(u.device) * u
        return torch.where(self._log.to(u.device), log, linear) if self._some_log else linear


def _column(values: Iterable[float]) -> Tensor:
    return torch.tensor(list(values), dtype=torch.float64)[:, None]
