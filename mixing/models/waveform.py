"""What models of waveforms have in common: a fixed number of places for tracks, and blocks for long songs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mixing.mixers import Mix
from mixing.models.model import Model
from mixing.multitrack import Multitrack


class WaveformModel(Model):
    """Tracks in, a stereo mix out, and no settings in between. A subclass has a `process`.

    There are `tracks` places, each of `track_channels` channels. Tracks take them in their order; places that are left over are
    silent. Where there are more tracks than places, tracks k, k + tracks, k + 2 tracks ... are summed into place k, as an
    engineer would group them. With one channel a stereo track is folded to the mean of its sides; with two a mono track is in
    both. The order of the tracks matters, and what a place is for is learned.

    Attributes:
        margin: samples before and after a sample of the mix on which it depends; where that is unbounded, those that matter.
        multiple: of samples, to which the beginning of a block is aligned, so that it falls on the network's grid.
        longest: samples of a block that keep what a block takes of memory near a gigabyte.
    """

    margin: int = 0
    multiple: int = 1
    longest: int = 1 << 18

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        super().__init__(arguments)
        self.at_least(1, "tracks", "track_channels")
        self.tracks, self.track_channels = self.settings["tracks"], self.settings["track_channels"]
        if self.track_channels > 2:
            raise ValueError(f"{self.name}: track_channels is 1 (folded to mono) or 2; got {self.track_channels}.")

    def places(self, multitrack: Multitrack) -> Tensor:
        """The tracks in their places: (B, tracks * track_channels, T)."""
        audio = multitrack.audio * multitrack.mask[..., None, None]
        if self.track_channels == 1:
            audio = audio.mean(2, keepdim=True)
        audio = nn.functional.pad(audio, (0, 0, 0, 0, 0, -audio.shape[1] % self.tracks))
        return audio.unflatten(1, (-1, self.tracks)).sum(1).flatten(1, 2)

    def process(self, x: Tensor) -> Tensor:
        """The network itself: (B, tracks * track_channels, T) -> (B, 2, T)."""
        raise NotImplementedError

    def forward(self, multitrack: Multitrack) -> Mix:
        """Mix a batch of songs: audio (B, 2, T); there are no controls.

        Raises:
            ValueError: another sample rate.
        """
        self.check(multitrack)
        return Mix(self.process(self.places(multitrack)))


def cropped(x: Tensor, samples: int) -> Tensor:
    """The middle `samples` of (B, C, T)."""
    start = (x.shape[-1] - samples) // 2
    return x[..., start : start + samples]


def joined(x: Tensor, skip: Tensor) -> Tensor:
    """x and the middle of what comes past it, side by side in channels."""
    return torch.cat([x, cropped(skip, x.shape[-1])], 1)
