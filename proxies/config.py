"""The settings of a training run: dataclasses, read from YAML. Together with a seed they say everything about a run."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from proxies import recipe

CONFIGS = Path(__file__).parent / "configs"


@dataclass(frozen=True)
class Audio:
    """What is heard in training.

    Attributes:
        works: patterns of the works (folders below the audio folders) that are used.
        hold_out: patterns of those for validation alone; none: every tenth.
        synthetic: share of synthetic clips; all where no folder is given.
        level_db: range of the clips' peaks, dBFS.
        silence: share of clips with a stretch of digital silence.
        samples: length of a clip.
        channels: of a clip.
        licences: of the folders' audio: {name, licence, origin} of each collection, for the weights' header.
    """

    works: tuple[str, ...] = ("*",)
    hold_out: tuple[str, ...] = ()
    synthetic: float = 0.3
    level_db: tuple[float, float] = (-36.0, 0.0)
    silence: float = 0.1
    samples: int = 16384
    channels: int = 1
    licences: tuple[dict[str, str], ...] = ()


@dataclass(frozen=True)
class Sampling:
    """Which controls are seen in training.

    Attributes:
        moving: share of batches whose controls vary in time; none where the teacher's cannot.
        frames: most frames that such a batch has.
        edges: share of control values at an end of their range.
    """

    moving: float = 0.25
    frames: int = 16
    edges: float = 0.03


@dataclass(frozen=True)
class LossSettings:
    """The loss: a weighted sum; a weight of 0 leaves a term out.

    Attributes:
        root_esr: weight of the mean over clips of the root of ESR; where a network can be exact it goes on learning longest.
        l1, esr, dc, log_cosh, stft, mr_stft, rr_stft: weights of auraloss's terms.
        scaled: whether output and target are divided by the target's RMS first, so that quiet clips count as loud ones do.
        floor_db: the least RMS that they are divided by, dBFS.
        fft_sizes: of mr_stft; the hop is a quarter of each. None given: auraloss's own sizes, windows and hops.
        w_sc, w_log_mag, w_lin_mag: parts of the STFT terms: spectral convergence (over the whole batch), log and linear
            magnitude.
        difference: weight of the error in output differences between neighbouring controls ("Sobolev"); half of a batch are then
            the other half with other controls.
        difference_step: range of their distance in [0, 1].
        skip: first samples of a clip, which the loss does not hear.
    """

    root_esr: float = 0.0
    l1: float = 1.0
    esr: float = 0.0
    dc: float = 0.0
    log_cosh: float = 0.0
    stft: float = 0.0
    mr_stft: float = 1.0
    rr_stft: float = 0.0
    scaled: bool = True
    floor_db: float = -60.0
    fft_sizes: tuple[int, ...] = (512, 2048)
    w_sc: float = 0.0
    w_log_mag: float = 1.0
    w_lin_mag: float = 1.0
    difference: float = 0.0
    difference_step: tuple[float, float] = (0.01, 0.08)
    skip: int = 0


@dataclass(frozen=True)
class Optimiser:
    """How the weights move.

    Attributes:
        name: torch's Adam or AdamW.
        learning_rate: at the top.
        weight_decay: AdamW's.
        betas: decays of its averages of the gradient and of its square.
        schedule: "cosine" (to `final` of the rate), "step" (times `factor` after every `every` steps), "plateau" (times `factor`
            after `every` validations without a better one), or "constant".
        warm_up: steps in which the rate rises from 0.
        final, factor, every: see schedule.
        clip: largest norm of the gradient; 0: any.
        average: decay of an exponential moving average of the weights, which is then what is validated and saved; 0: none.
    """

    name: Literal["Adam", "AdamW"] = "AdamW"
    learning_rate: float = 3e-3
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    schedule: Literal["cosine", "step", "plateau", "constant"] = "cosine"
    warm_up: int = 100
    final: float = 0.01
    factor: float = 0.1
    every: int = 1000
    clip: float = 1.0
    average: float = 0.0


@dataclass(frozen=True)
class Config:
    """A whole run.

    Attributes:
        target: import path of the teacher, as `proxies.teacher.teacher` takes it, or of recordings (`proxies.signaltrain:LA2A`).
        network: `kind` and its settings, or `kind: tcn` with `preset`.
        initial: parts of the network that start from weights: {"networks.1": "Compressor"}, a shipped name or a file.
        audio, controls, loss, optimiser: the sections.
        sample_rate: in Hz.
        seed: of weights, audio and controls.
        steps: of the optimiser.
        epochs: instead of steps, times through all recordings; 0: steps count.
        batch: clips per step, over all processes together.
        validate: steps between two validations, which are also checkpoints.
        validation_batches: of held-out audio and controls.
        patience: validations without a better one after which training stops; 0: never.
        precision: "32" or "bf16" (mixed).
        ahead: batches that a thread makes while the network trains; 0: no thread (for plugins that run on the main thread only).
        licence: of the weights.
    """

    target: str
    network: dict[str, Any] = field(default_factory=lambda: {"kind": "tcn", "preset": "TCN-300"})
    initial: dict[str, Any] = field(default_factory=dict)
    audio: Audio = Audio()
    controls: Sampling = Sampling()
    loss: LossSettings = LossSettings()
    optimiser: Optimiser = Optimiser()
    sample_rate: float = 44100.0
    seed: int = 0
    steps: int = 10000
    epochs: int = 0
    batch: int = 16
    validate: int = 500
    validation_batches: int = 8
    patience: int = 0
    precision: Literal["32", "bf16"] = "32"
    ahead: int = 2
    licence: str = "Apache-2.0"

    def __post_init__(self) -> None:
        checks = {
            "batch": self.batch >= 1,
            "steps": self.steps >= 1,
            "validate": self.validate >= 1,
            "validation_batches": self.validation_batches >= 1,
            "sample_rate": self.sample_rate > 0,
            "audio.samples": self.audio.samples >= 1,
            "audio.channels": self.audio.channels >= 1,
            "audio.level_db": len(self.audio.level_db) == 2 and self.audio.level_db[0] <= self.audio.level_db[1],
            "audio.synthetic": 0 <= self.audio.synthetic <= 1,
            "controls.frames": self.controls.frames >= 2,
            "loss.skip": 0 <= self.loss.skip < self.audio.samples,
            "optimiser.learning_rate": self.optimiser.learning_rate > 0,
            "optimiser.average": 0 <= self.optimiser.average < 1,
            "network": "kind" in self.network,
            "batch (even, with loss.difference)": not self.loss.difference or self.batch % 2 == 0,
        }
        for name, right in checks.items():
            if not right:
                raise ValueError(f"config: {name} has a value that cannot be; see `proxies.config`.")

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as JSON and YAML hold them."""
        return json.loads(json.dumps(dataclasses.asdict(self)))


def read(name_or_path: str | Path) -> dict[str, Any]:
    """The settings in a YAML file, or of a shipped recipe by its name ("Compressor"); see `recipe.read`."""
    return recipe.read(name_or_path, CONFIGS)


def shipped() -> list[str]:
    """Names of the recipes that come with the package."""
    return recipe.shipped(CONFIGS)


def config(settings: Mapping[str, Any], **changes: Any) -> Config:
    """Checked settings.

    Args:
        settings: as read from YAML: sections are mappings.
        changes: values by name, `{"audio.synthetic": 0.5}`, which go before those of `settings`.

    Raises:
        ValueError: an unknown name (the message has the nearest), or a value of the wrong kind.
    """
    merged = recipe.merged(settings, changes)
    if "target" not in merged:
        raise ValueError("config: needs a target, the import path of what is to be imitated: dasp:Compressor.")
    return recipe.section(Config, merged)
