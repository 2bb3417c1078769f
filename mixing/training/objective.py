"""What a training makes small: losses between mixes, and the distance to settings where they are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from mixing import losses
from mixing.console import FADER, PAN, Controls
from mixing.errors import UserError
from mixing.mixers import Mix
from mixing.models import parameter_loss
from mixing.multitrack import Multitrack
from mixing.training.config import Config


@dataclass(frozen=True)
class Batch:
    """Excerpts, and what is known of how they were mixed.

    Attributes:
        multitrack: (B, N, 2, T) with its mixes.
        settings: (B, N, 2): fader in dB and pan of a `Console`; NaN where nobody knows.
    """

    multitrack: Multitrack
    settings: Tensor

    def __len__(self) -> int:
        return len(self.multitrack.audio)

    def to(self, device: Any) -> Batch:
        return Batch(self.multitrack.to(device), self.settings.to(device))


class Objective(nn.Module):
    """The loss of a batch: the weighted sum of `Loss.terms` and, where settings are known, of the distance to them.

    Each excerpt's loss is its own and the batch's their mean, so that it does not matter how a batch is shared by processes: a
    spectral convergence, for one, is a ratio of norms over all that it is given.

    Args:
        config: of the run.

    Raises:
        UserError: settings of a loss that cannot be.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.weights = {name: float(term["weight"]) for name, term in config.loss.terms.items()}
        self.parameters_weight = config.loss.parameters
        try:
            self.terms = nn.ModuleDict(
                {
                    name: losses.build(name, sample_rate=config.sample_rate, **{k: v for k, v in term.items() if k != "weight"})
                    for name, term in config.loss.terms.items()
                }
            )
        except ValueError as error:
            raise UserError(f"config: loss: {error}") from None

    def forward(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor], Mix]:
        """(loss, its terms unweighted and detached, the mix)."""
        mix, song = model(batch.multitrack), batch.multitrack
        output, target = mix.audio.float(), song.mix
        assert target is not None
        loss, terms = output.new_zeros(()), {}
        with torch.autocast(output.device.type, enabled=False):  # losses are sums of many small things
            for name, term in self.terms.items():
                value = torch.stack([term(o[None], t[None]) for o, t in zip(output, target, strict=True)]).mean()
                loss, terms[name] = loss + self.weights[name] * value, value.detach()
            if self.parameters_weight:
                value = self.distance(mix, batch)
                loss, terms["parameters"] = loss + self.parameters_weight * value, value.detach()
        return loss, terms, mix

    def distance(self, mix: Mix, batch: Batch) -> Tensor:
        """Mean absolute error of faders and pans in [0, 1], 0 where none are known. Beside a loss of the ear faders are compared
        less their mean over a song: the ear sees to the level of the whole.

        Raises:
            UserError: a model without settings.
        """
        tracks = (mix.controls or {}).get("tracks", {})
        if not {"fader_db", "pan"} <= tracks.keys():
            raise UserError("config: loss.parameters is for models that set faders and pans; take 0.")
        found = torch.stack([_unit(tracks["fader_db"], FADER), _unit(tracks["pan"], PAN)], -1)
        known = torch.stack([_unit(batch.settings[..., 0], FADER), _unit(batch.settings[..., 1], PAN)], -1)
        there = batch.multitrack.mask & known.isfinite().all(-1)
        if not bool(there.any()):
            return found.sum() * 0
        songs = there.any(1)
        none = found.new_zeros(int(songs.sum()), 0)
        return parameter_loss(
            Controls(found[songs], none, none),
            Controls(known[songs].nan_to_num(), none, none),
            there[songs],
            relative=(0,) if self.terms else (),
            of=(0, 1),
        )


def collate(items: Sequence[Batch]) -> Batch:
    """Excerpts of one each in a batch: fewer tracks are padded, and nothing is known of padding."""
    whole = Multitrack.collate([item.multitrack for item in items])
    tracks = whole.audio.shape[1]
    pad = torch.nn.functional.pad
    settings = [pad(item.settings, (0, 0, 0, tracks - item.settings.shape[1]), value=float("nan")) for item in items]
    return Batch(whole, torch.cat(settings))


def _unit(value: Tensor, param: Any) -> Tensor:
    return (value.double() - param.low) / (param.high - param.low)
