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
    points = -(-samples // hop_length(u.shape[2], samples))
    if points == u.shape[2] or points == 0:
        return u[..., :points]
    if u.shape[1] == 0:  # an effect without controls: nothing that torch would interpolate
        return u.new_zeros(u.shape[0], 0, points)
    return torch.nn.functional.interpolate(u, points, mode="linear", align_corners=False)


def hold(values: Tensor, frames: int, samples: int) -> Tensor:
    """(B, P, K) on the grid of `to_grid` -> (B, P, samples), each value held for its hop."""
    return values.repeat_interleave(hop_length(frames, samples), dim=2)[..., :samples]
