"""The settings of a training: dataclasses, read from YAML. Together with the data they say everything about a run."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mixing.errors import UserError, nearest
from proxies import recipe
from proxies.config import Optimiser

CONFIGS = Path(__file__).parents[1] / "configs"


@dataclass(frozen=True)
class Data:
    """Which songs are heard, and how.

    Patterns are fnmatch's, on a song's name or group; a group is never split.

    Attributes:
        layout: of the data folder, a name in `mixing/data/layouts/`, or "auto".
        options: further arguments of `mixing.data.load`, the layout's own among them: {mix: wet}.
        songs: patterns of the songs that are used; one that begins with ! leaves songs out.
        hold_out: patterns of songs that no training sees, neither to learn nor to choose: those of `dasp evaluate`.
        validation: patterns, among the rest, of songs that choose the best weights and the end; none: the best training
            loss chooses.
        samples: length of an excerpt.
        synthetic: share of excerpts whose mix is made by the model's own console at random settings, all of them known; the human
            mix is then put aside. See `mixing.data.synthetic`; give `excerpts` a track_peak_db.
        excerpts: further settings of `mixing.data.excerpts.Excerpts`.
        augment: settings of `mixing.data.excerpts.Augment`; empty: none.
        licences: of the songs: {name, licence, origin} of each collection, for the weights' header.
    """

    layout: str = "auto"
    options: dict[str, Any] = field(default_factory=dict)
    songs: tuple[str, ...] = ("*",)
    hold_out: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()
    samples: int = 131072
    synthetic: float = 0.0
    excerpts: dict[str, Any] = field(default_factory=dict)
    augment: dict[str, Any] = field(default_factory=dict)
    licences: tuple[dict[str, str], ...] = ()


@dataclass(frozen=True)
class Loss:
    """What is made small.

    Attributes:
        terms: losses of `mixing.losses` between the mixes, by name: {"stereo_mrstft": {"weight": 1.0, "fft_sizes": [512, 2048]}};
            what stands beside the weight are the loss's settings.
        parameters: weight of the distance to the true settings, for songs whose settings are known; 0: the ear alone.
    """

    terms: dict[str, Any] = field(default_factory=lambda: {"stereo_mrstft": {"weight": 1.0}})
    parameters: float = 0.0


@dataclass(frozen=True)
class Adapt:
    """Fine-tuning of the proxies that a gradient goes through, see `gradients.OnlineAdaptation`.

    Attributes:
        lr: of their Adam; 0: the proxies stay as they are.
        every, steps, spread: see there.
    """

    lr: float = 0.0
    every: int = 1
    steps: int = 1
    spread: float = 0.1


@dataclass(frozen=True)
class Config:
    """A whole training.

    Attributes:
        model: `kind`, a name in `mixing/models/`, and its settings.
        data, loss, optimiser, adapt: the sections; `optimiser` is that of `proxies.config`.
        sample_rate: in Hz; songs of another rate are resampled.
        seed: of weights, excerpts and all else that is random.
        steps: of the optimiser, a multiple of `validate`.
        batch: excerpts per step, over all processes together.
        validate: steps between two validations, which are also checkpoints.
        validation_excerpts: how many excerpts are judged.
        patience: validations without a better one after which training stops; 0: never.
        precision: "32", or mixed: "bf16", "16" (GPU). Losses are in float32.
        workers: processes that read and cut excerpts while the model trains; 0: none.
        licence: of the weights.
    """

    model: dict[str, Any]
    data: Data = Data()
    loss: Loss = Loss()
    optimiser: Optimiser = field(default_factory=Optimiser)
    adapt: Adapt = Adapt()
    sample_rate: float = 44100.0
    seed: int = 0
    steps: int = 2000
    batch: int = 4
    validate: int = 200
    validation_excerpts: int = 16
    patience: int = 0
    precision: Literal["32", "bf16", "16"] = "32"
    workers: int = 1
    licence: str = "Apache-2.0"

    def __post_init__(self) -> None:
        counts = ("steps", "batch", "validate", "validation_excerpts", "data.samples")
        limits = {**dict.fromkeys(counts, 1), "patience": 0, "workers": 0, "loss.parameters": 0, "adapt.lr": 0}
        for name, least in limits.items():
            value: Any = self
            for part in name.split("."):
                value = getattr(value, part)
            if value < least:
                raise ValueError(f"config: {name} is at least {least}; got {value}.")
        if not 0 <= self.data.synthetic <= 1:
            raise ValueError(f"config: data.synthetic is a share, 0 to 1; got {self.data.synthetic}.")
        for name, value in (("sample_rate", self.sample_rate), ("optimiser.learning_rate", self.optimiser.learning_rate)):
            if not value > 0:
                raise ValueError(f"config: {name} is above 0; got {value}.")
        if not isinstance(self.model.get("kind"), str):
            raise ValueError("config: model needs a kind, a name in mixing/models/: {kind: dmc}.")
        if self.steps % self.validate:
            near = max(round(self.steps / self.validate), 1) * self.validate
            raise ValueError(
                f"config: steps is a multiple of validate ({self.validate}); got {self.steps}. Take {near}, or another validate."
            )
        if not 0 <= self.optimiser.average < 1:
            raise ValueError(f"config: optimiser.average is from 0 to below 1; got {self.optimiser.average}.")
        if self.optimiser.average and self.adapt.lr:
            raise ValueError("config: optimiser.average is of the model's weights and not of its proxies'; not with adapt.lr.")
        if not self.loss.terms and not self.loss.parameters:
            raise ValueError("config: loss has no terms and no weight of the parameters, so there is nothing to learn.")
        for name, term in self.loss.terms.items():
            if not isinstance(term, dict) or not isinstance(term.get("weight"), int | float) or not term["weight"] > 0:
                raise ValueError(f"config: loss.terms.{name} is {{weight: above 0, ...settings}}; got {term!r}.")

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as JSON and YAML hold them."""
        return json.loads(json.dumps(dataclasses.asdict(self)))


def read(name_or_path: str | Path) -> dict[str, Any]:
    """The settings in a YAML file, or of a shipped recipe by its name ("dmc-gain-pan").

    Raises:
        UserError: no such file or recipe, no YAML, or no mapping.
    """
    try:
        return recipe.read(name_or_path, CONFIGS)
    except (ValueError, OSError) as error:
        raise UserError(str(error)) from None


def shipped() -> list[str]:
    """Names of the recipes that come with the package."""
    return recipe.shipped(CONFIGS)


def config(settings: Mapping[str, Any], **changes: Any) -> Config:
    """Checked settings.

    Args:
        settings: as read from YAML: sections are mappings.
        changes: values by name, `{"model.gradient": "spsa"}`, which go before those of `settings`.

    Raises:
        UserError: an unknown name (the message has the nearest), or a value that cannot be.
    """
    try:
        merged = recipe.merged(settings, changes)
        if "model" not in merged:
            raise ValueError(f"config: needs a model: {{kind: dmc}}; shipped recipes are {', '.join(shipped())}.")
        made = recipe.section(Config, merged)
    except ValueError as error:
        raise UserError(str(error)) from None
    return made


def check_names(config: Config, kinds: tuple[str, ...], losses: tuple[str, ...]) -> None:
    """Refuse a kind of model or a loss that there is none of, by name, before anything is loaded.

    Raises:
        UserError: with the nearest name.
    """
    kind = config.model["kind"]
    if kind not in kinds:
        raise UserError(f"config: no model of kind {kind!r}; there are {', '.join(kinds)}.{nearest(kind, kinds)}")
    for name in config.loss.terms:
        if name not in losses:
            raise UserError(f"config: no loss {name!r}; there are {', '.join(losses)}.{nearest(name, losses)}")
