"""The weights that parts of a network start from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

from proxies.checkpoint import load
from proxies.network import Network
from proxies.reader import fit_width, narrow
from proxies.series import Series


def begin(whole: Network, initial: dict[str, str], controls: Sequence[Any]) -> None:
    """Give parts of a network the weights of files; where the weights' controls have a wider range, narrowed to the target's.

    Heads may be wider or narrower than those of the file, see `fit_width`.

    Raises:
        ValueError: no such part, other weights than it has, or controls beyond the range of those that the weights know.
    """
    for part, weights in initial.items():
        given = load(weights)
        assert given.header is not None
        try:
            place = whole.get_submodule(part)
            spans = [_span(q, controls[i]) for q, i in zip(given.header.controls, _indices(whole, part), strict=True)]
            if any(span != (0, 1) for span in spans):
                narrow(given, *zip(*spans, strict=True))
            if not fit_width(place, given):
                place.load_state_dict(given.state_dict())
        except (AttributeError, RuntimeError, ValueError) as error:
            raise ValueError(f"config: initial.{part} cannot start from {weights}: {' '.join(str(error).split())}") from None


def _indices(whole: Network, part: str) -> Sequence[int]:
    """The controls, of the whole network's, that a part reads."""
    indices: Sequence[int] = range(whole.num_controls)
    for name in part.removeprefix("networks.").split(".networks.") if part else ():
        assert isinstance(whole, Series)
        indices = [indices[i] for i in whole.parts[int(name)]]
        whole = cast(Network, whole.networks[int(name)])
    return indices


def _span(known: dict[str, Any], wanted: Any) -> tuple[float, float]:
    """Where a control's range begins and ends on the [0, 1] of another one's."""
    warp = math.log if known["scale"] == "log" else float
    low, width = warp(known["low"]), warp(known["high"]) - warp(known["low"])
    span = tuple((warp(value) - low) / width for value in (wanted.low, wanted.high))
    if wanted.scale != known["scale"] or min(span) < 0 or max(span) > 1:
        was = f"{known['low']:g} to {known['high']:g}, {known['scale']}"
        raise ValueError(f"{wanted.name} goes from {wanted.low:g} to {wanted.high:g}, {wanted.scale}; the weights know {was}.")
    return span[0], span[1]
