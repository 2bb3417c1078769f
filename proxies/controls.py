"""Controls to train on: a Sobol sequence over the whole table, its edges, and values that move in time."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

_BLOCK = 1024  # a power of two: that many points of a Sobol sequence are balanced


@dataclass
class Controls:
    """Points of a scrambled Sobol sequence: point n is a function of the count, the seed and n alone.

    Args:
        count: number of controls P.
        seed: of the scrambling.
        edges: share of values that are moved to the nearer end of the range, which the sequence itself never reaches.
    """

    count: int
    seed: int
    edges: float = 0.0
    _number: int = field(default=-1, init=False, repr=False)
    _points: np.ndarray = field(default_factory=lambda: np.empty(0), init=False, repr=False)

    def __call__(self, first: int, points: int) -> np.ndarray:
        """Points first, ..., first + points - 1: float64 (points, P) in [0, 1]."""
        out = np.empty((points, self.count))
        for row in range(points):
            number, place = divmod(first + row, _BLOCK)
            out[row] = self._block(number)[place]
        return out

    def _block(self, number: int) -> np.ndarray:
        if number != self._number:
            from scipy.stats import qmc

            if not self.count:
                self._points = np.empty((_BLOCK, 0))
            else:
                engine = qmc.Sobol(self.count, scramble=True, rng=self.seed)
                if number:
                    engine.fast_forward(number * _BLOCK)
                self._points = engine.random(_BLOCK)
            generator = np.random.default_rng([self.seed, number])
            edge = generator.random(self._points.shape) < self.edges
            self._points = np.where(edge, np.round(self._points), self._points)
            self._number = number
        return self._points


def moving(generator: np.random.Generator, points: np.ndarray, frames: int) -> np.ndarray:
    """Controls that vary in time: (B, P) at the first frame -> (B, P, frames) in [0, 1].

    About half of an item's controls, and at least one, move: through two to eight values, in straight lines, or in jumps.
    """
    batch, count = points.shape
    out = np.repeat(points[:, :, None], frames, axis=2)
    place = np.linspace(0, 1, frames)
    for item in range(batch):
        chosen = generator.random(count) < 0.5
        if count:
            chosen[generator.integers(count)] = True
        for control in np.flatnonzero(chosen):
            knots = np.append(points[item, control], generator.random(generator.integers(1, 8)))
            where = place * (len(knots) - 1)
            if generator.random() < 0.25:
                where = np.round(where)
            out[item, control] = np.interp(where, np.arange(len(knots)), knots)
    return out
