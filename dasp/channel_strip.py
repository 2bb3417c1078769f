"""ChannelStrip: equaliser, compressor and reverb in series, with a proxy of the whole."""

from __future__ import annotations

import os
from collections.abc import Callable

from torch import Tensor

from dasp.chain import Chain
from dasp.effects.compressor import Compressor
from dasp.effects.parametric_eq import ParametricEQ
from dasp.effects.reverb import Reverb
from gradients import Strategy


class ChannelStrip(Chain):
    """ParametricEQ -> Compressor -> Reverb: what the transformation network of the differentiable mixing console imitates
    (Steinmetz et al. 2021, arXiv:2010.10291).

    Args:
        sample_rate: in Hz.
        gradient: one strategy for the whole strip.
        proxy: as of any chain; None: the weights shipped for the strip, or those of its three effects in series.
    """

    def __init__(
        self,
        sample_rate: float = 44100,
        *,
        gradient: str | Strategy | None = None,
        proxy: Callable[..., Tensor] | str | os.PathLike | None = None,
    ) -> None:
        super().__init__(ParametricEQ(sample_rate), Compressor(sample_rate), Reverb(sample_rate), gradient=gradient, proxy=proxy)

    @property
    def path(self) -> str:
        return "dasp:ChannelStrip"
