"""Controls that vary in time."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mixing.errors import UserError
from mixing.export import places
from mixing.settings import Settings, short


@dataclass(frozen=True)
class Lane:
    """One control over time: an automation lane of a project. The static value in the settings is what it has without the lane.

    Attributes:
        where: the control's place in the settings: "tracks.0.fader_db", "tracks.0.pan", "tracks.0.sends_db.reverb",
            "tracks.2.inserts.1.controls.threshold_db", "buses.0.effects.0.controls.damping", "master.0.controls.gain_db",
            "output_gain_db".
        points: (seconds, value in the control's unit), in order of time.
    """

    where: str
    points: tuple[tuple[float, float], ...]

    @classmethod
    def from_frames(cls, where: str, frames: Iterable[float], seconds: float) -> Lane:
        """A lane from frames as an effect takes them: frame k stands in the middle of its k-th part of the time.

        Args:
            where: of the control, as `where` of the lane.
            frames: (frames,), values in the control's unit.
            seconds: that the frames last together.

        Returns:
            the lane, a point a frame.
        """
        values = [float(v) for v in frames]
        return cls(where, tuple(((k + 0.5) * seconds / len(values), v) for k, v in enumerate(values)))

    def as_dict(self) -> dict[str, Any]:
        """The lane as JSON has it: `where`, and `points` as [seconds, value]."""
        return {"where": self.where, "points": [list(p) for p in self.points]}


def check(settings: Settings, lanes: Iterable[Lane]) -> tuple[Lane, ...]:
    """Refuse a lane of a control that is not there, of values out of its range, or of times out of order.

    Raises:
        UserError: the message says which.
    """
    from dasp.effects import find

    full, checked = places.complete(settings), tuple(lanes)
    for lane in checked:
        who = f"lane of {short(lane.where)}"
        try:
            places.get(full, lane.where)
        except (KeyError, IndexError, ValueError, TypeError):
            raise UserError(
                f"{who}: there is no such control in the settings; a place is written as tracks.0.fader_db."
            ) from None
        keys = lane.where.split(".")
        low, high = -200.0, 100.0
        if keys[-1] == "pan":
            low, high = 0.0, 1.0
        elif "controls" in keys:
            at = full[keys[0]][int(keys[1])] if keys[0] == "master" else full[keys[0]][int(keys[1])][keys[2]][int(keys[3])]
            q = next(q for q in find(at["effect"]).controls if q.name == keys[-1])
            low, high = q.low, q.high
        elif not keys[-1].endswith("_db") and keys[-2:-1] != ["sends_db"]:
            raise UserError(f"{who}: does not vary in time.")
        times = [t for t, _ in lane.points]
        if not times or times != sorted(times) or times[0] < 0 or not all(map(math.isfinite, times)):
            raise UserError(f"{who}: needs points in order of time, from 0 s on.")
        slack = 1e-9 * (high - low)
        wrong = next((v for _, v in lane.points if not low - slack <= v <= high + slack), None)
        if wrong is not None:
            raise UserError(f"{who}: has {wrong:g}, which is not from {low:g} to {high:g}.")
    if len({lane.where for lane in checked}) != len(checked):
        raise UserError("two lanes are of one control; join them.")
    return checked


def interpolated(points: tuple[tuple[float, float], ...], time: float) -> float:
    """The value at a time: straight between points, held before the first and after the last."""
    before = points[0]
    for after in points:
        if after[0] >= time:
            span = after[0] - before[0]
            return after[1] if span <= 0 else before[1] + (after[1] - before[1]) * (time - before[0]) / span
        before = after
    return points[-1][1]
