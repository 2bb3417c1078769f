"""Networks one behind the other, each with its own part of the controls: what imitates a chain, trained end to end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from torch import Tensor, nn

from proxies.network import Network, build


class Series(Network):
    """The output of each network is the input of the next.

    Args:
        num_controls: P.
        networks: settings of each, {"kind": "gain", ...} without num_controls, and under "controls" the indices of the controls
            that it reads; all of them where that is left out.

    >>> import torch
    >>> pair = Series(3, networks=[{"kind": "filter", "controls": [0, 1]}, {"kind": "gain", "controls": [2]}])
    >>> tuple(pair(torch.zeros(2, 2, 100), torch.rand(2, 3)).shape)
    (2, 2, 100)
    """

    def __init__(self, num_controls: int, *, networks: Sequence[Mapping[str, Any]]) -> None:
        super().__init__(locals())
        self.parts: list[list[int]] = []
        self.networks = nn.ModuleList()
        if not networks:
            raise ValueError("Series: needs at least one network.")
        for network in networks:
            settings = dict(network)
            part = list(settings.pop("controls", range(num_controls)))
            if not part or not all(isinstance(i, int) and 0 <= i < num_controls for i in part):
                raise ValueError(f"Series: controls are indices from 0 to {num_controls - 1}, at least one; got {part}.")
            self.parts.append(part)
            self.networks.append(build(**settings, num_controls=len(part)))

    @property
    def receptive_field(self) -> int | None:
        fields = [cast(Network, network).receptive_field for network in self.networks]
        known = [field for field in fields if field is not None]
        return None if len(known) < len(fields) else 1 + sum(field - 1 for field in known)

    def _fold(self, x: Tensor, controls: Tensor, state: dict[str, Tensor] | None) -> Tensor:
        for n, (network, part) in enumerate(zip(self.networks, self.parts, strict=True)):
            own = None if state is None else {k[len(f"{n}.") :]: v for k, v in state.items() if k.startswith(f"{n}.")}
            x = cast(Network, network)._fold(x, controls[:, part], own)
            if state is not None and own is not None:
                state.update({f"{n}.{k}": v for k, v in own.items()})
        return x
