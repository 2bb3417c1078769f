"""What a training makes small: losses between mixes, and the distance to settings where they are known."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mixing import losses
from mixing.console import FADER, Controls
from mixing.data.excerpts import Example
from mixing.errors import UserError
from mixing.mixers import Mix
from mixing.models import parameter_loss
from mixing.training.config import Config


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

    def forward(self, model: nn.Module, batch: Example) -> tuple[Tensor, dict[str, Tensor], Mix]:
        """What a model makes of a batch of examples -> (loss, its terms unweighted and detached, the mix)."""
        mix, song = model(batch.multitrack), batch.multitrack
        output, target = mix.audio.float(), song.mix
        assert target is not None
        loss, terms = output.new_zeros(()), {}
        with torch.autocast(output.device.type, enabled=False):  # losses are sums of many small things
            for name, term in self.terms.items():
                value = torch.stack([term(o[None], t[None]) for o, t in zip(output, target, strict=True)]).mean()
                loss, terms[name] = loss + self.weights[name] * value, value.detach()
            if self.parameters_weight:
                value = self.distance(model, mix, batch)
                loss, terms["parameters"] = loss + self.parameters_weight * value, value.detach()
        return loss, terms, mix

    def distance(self, model: nn.Module, mix: Mix, batch: Example) -> Tensor:
        """Mean absolute error in [0, 1] of a mix's settings where the batch knows them, 0 where it knows none. Beside a loss of
        the ear faders are compared less their mean over a song: the ear sees to the level of the whole.

        Raises:
            UserError: a model without settings.
        """
        console = getattr(model, "console", None)
        if console is None or mix.controls is None:
            raise UserError("config: loss.parameters is for models that set a console; take 0.")
        tables = {"tracks": console.track_controls, "buses": console.bus_controls, "master": console.master_controls}
        known = batch.controls(console)
        found = {
            place: torch.stack([q.to_unit(mix.controls[place][q.name]) for q in table], -1) if table else getattr(known, place)
            for place, table in tables.items()
        }
        faders = [i for i, q in enumerate(console.track_controls) if q.name == FADER.name]
        return parameter_loss(Controls(**found), known, batch.multitrack.mask, relative=faders if self.terms else ())
