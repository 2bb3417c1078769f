"""Sounds that several files of tests run on."""

import numpy as np
import torch


def sound(kind: str, channels: int, rate: int, samples: int, seed: int = 0) -> torch.Tensor:
    """float32 (1, C, T): "noise", "impulse", or a decaying burst, another pitch in each channel."""
    generator = np.random.default_rng(seed)
    if kind == "noise":
        x = 0.3 * generator.standard_normal((channels, samples))
    elif kind == "impulse":
        x = np.zeros((channels, samples))
        x[:, 100] = 1.0
    else:
        t = np.arange(samples) / rate
        x = np.stack([np.sin(2 * np.pi * f * t) * np.exp(-3 * t) for f in 220 * (1 + np.arange(channels))])
    return torch.tensor(x, dtype=torch.float32)[None]


def white(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Gaussian noise."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)
