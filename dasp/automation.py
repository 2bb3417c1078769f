"""Controls that vary in time: from frames to the control grid on which every view of an effect runs.

A plugin takes new control values between blocks, not between samples. So that all views of an effect are the same sound,
frames are interpolated linearly (in [0, 1], so a log control glides geometrically) to a grid of HOP samples and held within it,
in the white box and the black box alike. More frames than that and the grid is as fine as the frames.
"""

from __future__ import annotations

import torch
from torch import Tensor

HOP = 32


def hop_length(frames: int, samples: int) -> int:
    """Samples per grid point for a number of frames over a number of samples."""
    return max(1, min(HOP, samples // frames))


def to_grid(u: Tensor, samples: int) -> Tensor:
    """(B, P, frames) -> (B, P, K): values on the control grid; frame k is centred on its K-th part of the time."""
    frames = u.shape[2]
    points = -(-samples // hop_length(frames, samples))
    if points == frames or points == 0:
        return u[..., :points]
    place = ((torch.arange(points, dtype=torch.float64, device=u.device) + 0.5) * (frames / points) - 0.5).clamp(0, frames - 1)
    first = place.long()
    before, after = u[..., first], u[..., (first + 1).clamp_max(frames - 1)]
    # In this form two equal frames give that value itself, so constant frames are static controls to the bit.
    return before + (place - first).to(u.dtype) * (after - before)


def hold(values: Tensor, hop: int, samples: int) -> Tensor:
    """(B, P, K) on the grid of `to_grid` -> (B, P, samples), each value held for its hop."""
    return values.repeat_interleave(hop, dim=2)[..., :samples]


def per_sample(u: Tensor, samples: int) -> Tensor:
    """Controls (B, P) or (B, P, frames) -> (B, P, 1), or (B, P, samples) on the control grid."""
    return u[..., None] if u.ndim == 2 else hold(to_grid(u, samples), hop_length(u.shape[2], samples), samples)
