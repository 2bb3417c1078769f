"""From what the tracks sound like to the controls of a console; and how far estimated controls are from true ones."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mixing.console import Controls

_EDGE = 0.02  # a control starts at least this far inside [0, 1], where the sigmoid still has a slope


class Controller(nn.Module):
    """Features of tracks -> controls in [0, 1]: one network for every track, which hears the track and the mean of all tracks.

    The post-processor of Steinmetz et al. (2021): shared weights make it equivariant to permutations, the mean makes it open to
    any number of tracks; padding tracks are left out of the mean. A second network makes the controls of the song (buses) from
    the mean alone. Fresh weights give controls near their start.

    Args:
        features: F.
        hidden: width of the two hidden layers.
        tracks: where the P controls of a track start, in [0, 1].
        song: where the S controls of the song start, in [0, 1].
    """

    def __init__(self, features: int, hidden: int, tracks: Sequence[float], song: Sequence[float] = ()) -> None:
        super().__init__()
        self.tracks = _network(2 * features, hidden, tracks)
        self.song = _network(features, hidden, song) if song else None

    def forward(self, features: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, N, F) and mask (B, N) -> (B, N, P), (B, S)."""
        there = mask[..., None].to(features)
        context = (features * there).sum(1) / there.sum(1).clamp_min(1)
        both = torch.cat([features, context[:, None].expand_as(features)], -1)
        song = features.new_zeros(len(features), 0) if self.song is None else self.song(context).sigmoid()
        return self.tracks(both).sigmoid(), song


def _network(inputs: int, hidden: int, start: Sequence[float]) -> nn.Sequential:
    last = nn.Linear(hidden, len(start))
    inside = [min(max(u, _EDGE), 1 - _EDGE) for u in start]
    with torch.no_grad():
        last.weight.mul_(0.1)
        last.bias.copy_(torch.tensor([math.log(u / (1 - u)) for u in inside]))
    return nn.Sequential(nn.Linear(inputs, hidden), nn.PReLU(), nn.Linear(hidden, hidden), nn.PReLU(), last)


def parameter_loss(
    controls: Controls,
    true_controls: Controls,
    mask: Tensor,
    *,
    relative: Sequence[int] = (),
    of: Sequence[int] | None = None,
) -> Tensor:
    """Mean absolute difference of controls in [0, 1]: the loss of parameter estimation, where true settings are known.

    Args:
        controls: the estimated ones.
        true_controls: of the same console; NaN for what is not known, which does not count.
        mask: (B, N), which tracks are there; the others do not count.
        relative: places of track controls that are compared after the mean over a song's known tracks is taken from both: faders,
            where the loudness of the mix as a whole is of no interest.
        of: places of those track controls that count; by default all do, and those of buses and master too.

    Returns:
        a scalar: the mean over songs and controls of the mean over a song's tracks; 0 where nothing is known.

    Raises:
        ValueError: shapes differ.
    """
    if controls.tracks.shape != true_controls.tracks.shape or mask.shape != controls.tracks.shape[:2]:
        shapes = [tuple(x.shape) for x in (controls.tracks, true_controls.tracks, mask)]
        raise ValueError(f"parameter_loss: expected track controls (B, N, P) of one shape and a mask (B, N); got {shapes}.")
    true = true_controls.tracks.to(controls.tracks)
    known = true.isfinite() & mask[..., None]
    count = known.sum(1)
    difference = torch.where(known, controls.tracks - true, 0.0)
    for place in relative:
        column, there = difference[..., place], known[..., place]
        moved = torch.where(there, column - column.sum(1, keepdim=True) / there.sum(1, keepdim=True).clamp_min(1), 0.0)
        difference = difference.index_copy(2, torch.tensor([place], device=moved.device), moved[..., None])
    parts, counts = [difference.abs().sum(1) / count.clamp_min(1)], [count > 0]
    if of is not None:
        parts, counts = [parts[0][:, list(of)]], [counts[0][:, list(of)]]
    else:
        for own, other in ((controls.buses, true_controls.buses), (controls.master, true_controls.master)):
            if own.shape != other.shape:
                raise ValueError(
                    f"parameter_loss: expected controls of one console; got {tuple(own.shape)} and {tuple(other.shape)}."
                )
            other = other.to(own)
            parts.append(torch.where(other.isfinite(), own - other, 0.0).abs())
            counts.append(other.isfinite())
    return torch.cat(parts, 1).sum() / torch.cat(counts, 1).sum().clamp_min(1)
