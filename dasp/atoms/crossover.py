"""Linkwitz-Riley crossovers: bands that add up flat, differentiable in their frequencies."""

from __future__ import annotations

import torch
from torch import Tensor

from dasp.atoms.biquad import biquad
from dasp.atoms.design import section


def three_bands(x: Tensor, low_hz: Tensor, high_hz: Tensor, sample_rate: float, state: dict | None = None) -> Tensor:
    """Audio (B, C, T) -> its low, middle and high band (3, B, C, T), float64, by fourth-order Linkwitz-Riley crossovers.

    Squared Butterworth filters are in phase and add up to an all-pass (S. H. Linkwitz, J. Audio Eng. Soc. 24(1), 1976). The low
    band goes through the upper crossover's all-pass too, so that all three stay in phase and their sum has a flat magnitude.
    """

    def filtered(x: Tensor, name: str, *sections: Tensor) -> Tensor:
        y, memory[name] = biquad(x, torch.cat(sections, 1), memory.get(name))
        return y

    memory = {} if state is None else state
    # In double: in single precision, rounding at low crossovers is as loud as -60 dB.
    x = x.double()
    lower = section("butterworth_low_pass", low_hz, sample_rate=sample_rate)
    upper = section("butterworth_high_pass", low_hz, sample_rate=sample_rate)
    low = filtered(x, "low", lower, lower, section("all_pass", high_hz, sample_rate=sample_rate))
    rest = filtered(x, "rest", upper, upper)
    kinds = ("butterworth_low_pass", "butterworth_high_pass")
    ways = torch.cat([section(kind, high_hz, sample_rate=sample_rate) for kind in kinds])
    both = filtered(rest.repeat(2, 1, 1), "ways", ways, ways)
    return torch.cat([low, both]).unflatten(0, (3, -1))
