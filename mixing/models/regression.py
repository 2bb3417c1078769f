"""Classical machine learning: ridge regression of faders and pans from features of the tracks."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn

from mixing.blocks import Plan, Source, Whole, track_parts
from mixing.errors import UserError
from mixing.mixers import UNITY_DB, Mix
from mixing.models.baseline import placed, play
from mixing.models.model import Model
from mixing.models.track_features import VECTOR, of_track
from mixing.multitrack import Multitrack

_INPUTS = 2 * VECTOR + 1
_STRENGTHS = (0.1, 1.0, 10.0, 100.0, 1000.0)


class Regression(Model):
    """Ridge regression of fader and pan from features of a track, their distance from the song's mean, and the number of tracks.

    The kind of system that came before neural networks (see Moffat and Sandler, 2019, on machine learning of mixing levels). The
    17 features are those of `mixing.models.track_features`; the regression is scikit-learn's, and its few numbers are kept as any
    model's weights are. Fresh weights give the plain sum.

    Args:
        sample_rate: in Hz.
    """

    mean: nn.Parameter
    scale: nn.Parameter
    weight: nn.Parameter
    bias: nn.Parameter

    def __init__(self, sample_rate: float = 44100) -> None:
        super().__init__(locals())
        start = torch.tensor([UNITY_DB, 0.5])
        for name, value in (
            ("mean", torch.zeros(_INPUTS)),
            ("scale", torch.ones(_INPUTS)),
            ("weight", torch.zeros(2, _INPUTS)),
            ("bias", start),
        ):
            self.register_parameter(name, nn.Parameter(value, requires_grad=False))

    def settle(self, source: Source) -> Plan:
        """Faders and pans for a song of any length, from features of its tracks."""
        x = torch.from_numpy(_inputs(source)).to(self.mean)
        y = ((x - self.mean) / self.scale) @ self.weight.T + self.bias
        return placed(y[:, 0].double().clamp(-60, 24), y[:, 1].double().clamp(0, 1))

    def forward(self, multitrack: Multitrack) -> Mix:
        """Mix a batch of songs: audio (B, 2, T), and faders and pans.

        Raises:
            ValueError: another sample rate.
        """
        self.check(multitrack)
        return play(self, multitrack)

    def fit(self, examples: Iterable[tuple[Multitrack, Tensor, Tensor]], *, jitter_db: float = 12.0, seed: int = 0) -> Regression:
        """Learn from songs whose settings are known.

        The level at which a stem was recorded says nothing, and features know it exactly: each track is learned from at four more
        levels, with the fader moved the other way.

        Args:
            examples: for each song its multitrack (a batch of one), faders (N,) in dB as a `Console` has them (3 dB is as it is,
                for a track in the centre), and pans (N,) in [0, 1].
            jitter_db: levels are moved by up to this.
            seed: of the levels.

        Raises:
            ValueError: no example, or faders and pans of another number of tracks.
            UserError: scikit-learn is not installed.
        """
        try:
            from sklearn.linear_model import RidgeCV
            from sklearn.preprocessing import StandardScaler
        except ModuleNotFoundError:
            raise UserError(
                "regression learns with scikit-learn, which is not installed: pip install 'dasp-toolkit[train]'."
            ) from None
        generator = np.random.default_rng(seed)
        inputs, targets = [], []
        for multitrack, fader_db, pan in examples:
            self.check(multitrack)
            source = Whole(multitrack)
            count = len(source.channels)
            if tuple(fader_db.shape) != (count,) or tuple(pan.shape) != (count,):
                raise ValueError(
                    f"Regression: faders and pans of {count} tracks; got {tuple(fader_db.shape)}, {tuple(pan.shape)}."
                )
            rows = _rows(source)
            for copy in range(5):
                moved = rows.copy()
                by = generator.uniform(-jitter_db, jitter_db, count) * (copy > 0)
                moved[:, 0] += by
                inputs.append(_with_context(moved))
                targets.append(np.stack([fader_db.double().numpy() - by, pan.double().numpy()], 1))
        if not inputs:
            raise ValueError("Regression: needs at least one song to learn from.")
        x, y = np.concatenate(inputs), np.concatenate(targets)
        scaler = StandardScaler().fit(x)
        found = RidgeCV(_STRENGTHS).fit(scaler.transform(x), y)
        with torch.no_grad():
            learned = {"mean": scaler.mean_, "scale": scaler.scale_, "weight": found.coef_, "bias": found.intercept_}
            for name, value in learned.items():
                getattr(self, name).copy_(torch.from_numpy(np.asarray(value)))
        return self


def _rows(source: Source) -> np.ndarray:
    channels = source.channels.tolist()
    return np.stack([of_track(track_parts(source, n), c, source.sample_rate).vector() for n, c in enumerate(channels)])


def _with_context(rows: np.ndarray) -> np.ndarray:
    number = np.full((len(rows), 1), np.log2(len(rows)))
    return np.concatenate([rows, rows - rows.mean(0), number], 1)


def _inputs(source: Source) -> np.ndarray:
    return _with_context(_rows(source))
