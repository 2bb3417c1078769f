"""Dynamics: a gain that is a curve over the logarithm of a followed level; poles and curve are read from the controls."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from proxies.network import Network
from proxies.reader import Curve, Reader
from proxies.scan import follow

SILENCE = 1e-5  # added to the level before its logarithm: -100 dB
_START = -5.0  # log of a follower's rate per sample before training: 150 samples


class Gain(Network):
    """y = x exp(f(log r; controls)), r the level of x behind followers with attack and release; each channel for itself.

    The poles of the followers are exp(-exp(v)) with v read from the controls, so they are stable whatever was learnt; f is a sum
    of hinges. What is not assumed: which control is which, their scales, thresholds, ratios, make-up gain.

    Args:
        num_controls: P.
        followers: in series: "peak" follows its input, "square" its square and gives the root.
        units: hinges of the curve.
        width: hidden layers that read the controls.

    >>> import torch
    >>> tuple(Gain(4)(torch.zeros(2, 2, 100), torch.rand(2, 4)).shape)
    (2, 2, 100)
    """

    def __init__(self, num_controls: int, *, followers: Sequence[str] = ("peak",), units: int = 6, width: int = 16) -> None:
        super().__init__(locals())
        self.at_least(1, "units", "width")
        for follower in followers:
            if follower not in ("peak", "square"):
                raise ValueError(f"Gain: followers are 'peak' or 'square'; got {follower!r}.")
        self.followers = tuple(followers)
        self.readers = nn.ModuleList(Reader(num_controls, [_START, _START], width) for _ in followers)
        self.curve = Curve(num_controls, units, "hinge", -8.0, 0.0, 0.0, width, offset=True)

    def process(self, x: Tensor, controls: Tensor, state: dict[str, Tensor] | None) -> Tensor:
        level = x[:, 0].abs()
        for n, (follower, reader) in enumerate(zip(self.followers, self.readers, strict=True)):
            attack, release = (-reader(controls, x.shape[2]).exp()).exp().unbind(1)
            key = f"level{n}"
            before = None if state is None else state.get(key)
            level = follow(level.square() if follower == "square" else level, attack, release, before)
            if state is not None:
                state[key] = level[:, -1:].clone()
            if follower == "square":
                level = (level + SILENCE**2).sqrt()
        return x * self.curve((level[:, None] + SILENCE).log(), controls).exp()
