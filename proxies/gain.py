"""Dynamics: a gain that is a curve over the logarithm of a followed level; poles and curve are read from the controls."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn

from proxies.network import Network
from proxies.reader import Curve, Reader
from proxies.scan import follow

SILENCE = 1e-5  # added to the level before its logarithm: -100 dB
_START = -5.0  # log of a follower's rate per sample before training: 150 samples
_AT_ONCE = 2.0  # that of a follower which is to follow within a sample: its pole is 0.0006


class Gain(Network):
    """y = x exp(f(log r; controls)), r the level of x behind followers with attack and release; each channel for itself.

    The poles of the followers are exp(-exp(v)) with v read from the controls, so they are stable whatever was learnt; f is a sum
    of hinges. What is not assumed: which control is which, their scales, thresholds, ratios, make-up gain.

    Args:
        num_controls: P.
        followers: in series: "peak" follows its input, "square" its square and gives the root.
        units: hinges of the curve.
        width: hidden layers that read the controls.
        attack, release: for each follower its time constants before training, in whole samples; 0 is at once. None: some 150.
            Followers in series can stand in for one another, so it helps to say which does what.

    >>> import torch
    >>> tuple(Gain(4)(torch.zeros(2, 2, 100), torch.rand(2, 4)).shape)
    (2, 2, 100)
    """

    def __init__(
        self,
        num_controls: int,
        *,
        followers: Sequence[str] = ("peak",),
        units: int = 6,
        width: int = 16,
        attack: Sequence[int] | None = None,
        release: Sequence[int] | None = None,
    ) -> None:
        super().__init__(locals())
        self.at_least(1, "units", "width")
        for follower in followers:
            if follower not in ("peak", "square"):
                raise ValueError(f"Gain: followers are 'peak' or 'square'; got {follower!r}.")
        rates = []
        for name, times in (("attack", attack), ("release", release)):
            if times is not None and (len(times) != len(followers) or min(times, default=0) < 0):
                raise ValueError(f"Gain: {name} is samples for each of {len(followers)} followers; got {times!r}.")
            rates.append([_START] * len(followers) if times is None else [-math.log(t) if t else _AT_ONCE for t in times])
        self.followers = tuple(followers)
        self.readers = nn.ModuleList(Reader(num_controls, pair, width) for pair in zip(*rates, strict=True))
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
