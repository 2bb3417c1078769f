"""A folder of finished mixes, one file a song: what another program, or a person, made of the same songs."""

from __future__ import annotations

from pathlib import Path

import torch

from mixing.audio import EXTENSIONS, read, resample
from mixing.errors import UserError
from mixing.mixers import Mix
from mixing.multitrack import Multitrack, span

_SLACK_S = 0.1


class FinishedMixes:
    """Mixes that lie in a folder as NAME.wav (or .flac, .mp3, .ogg), NAME being the song's.

    Args:
        folder: where they lie.

    Raises:
        UserError: there is no such folder.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise UserError(f"{self.folder}: there is no such folder of mixes.")

    def read(self, song: str, length: int, start: int, multitrack: Multitrack) -> Mix:
        """The mix of a song, the span that the multitrack is of; another rate is resampled, up to 0.1 s too short or long is padded
        or cut.

        Args:
            song: its name.
            length: of the whole song, in samples at the multitrack's rate.
            start: of the span.
            multitrack: the song's stems over the span.

        Raises:
            UserError: no such file, one that cannot be used, or one of another length.
        """
        names = [self.folder / f"{song}{ending}" for ending in EXTENSIONS]
        file = next((f for f in names if f.is_file()), None)
        if file is None:
            raise UserError(f"{names[0]}: there is no such mix.")
        audio, rate = read(file)
        audio = resample(audio, rate, multitrack.sample_rate)
        missing = length - audio.shape[1]
        if abs(missing) > _SLACK_S * multitrack.sample_rate:
            less = "shorter" if missing > 0 else "longer"
            raise UserError(f"{file}: is {span(abs(missing), multitrack.sample_rate)} {less} than the song.")
        part = torch.nn.functional.pad(audio, (0, max(0, missing)))[:, start : start + multitrack.samples]
        return Mix(part.expand(2, -1)[None].contiguous())
