"""Left and right to mid and side, and back. Stereo pairs (B, 2, T)."""

from __future__ import annotations

import torch
from torch import Tensor


def to_mid_side(x: Tensor) -> Tensor:
    """M = (L + R) / 2, S = (L - R) / 2: two equal channels give a mid of their own level."""
    left, right = x[:, :1], x[:, 1:]
    return torch.cat([(left + right) / 2, (left - right) / 2], dim=1)


def to_left_right(x: Tensor) -> Tensor:
    """L = M + S, R = M - S."""
    mid, side = x[:, :1], x[:, 1:]
    return torch.cat([mid + side, mid - side], dim=1)
