"""From folders of songs to the excerpts that a training hears."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from mixing.console import Console
from mixing.data import load
from mixing.data.excerpts import Augment, Example, Excerpts
from mixing.data.song import DataSet, Song
from mixing.data.synthetic import Synthetic
from mixing.errors import UserError
from mixing.training.config import Config

VALIDATION_SEED = 20_220_912  # of the excerpts that are judged: the same for every run, so that scores can be compared


class Examples(Dataset):
    """Excerpts by number, each with what is known of how it was mixed.

    Args:
        excerpts: human mixes.
        synthetic: the same excerpts in mixes that a console made.
        share: of those; which ones they are depends on their number.
    """

    def __init__(self, excerpts: Excerpts, synthetic: Synthetic | None = None, share: float = 0.0) -> None:
        self.excerpts, self.synthetic, self.share = excerpts, synthetic, share

    def __len__(self) -> int:
        return len(self.excerpts)

    def __getitem__(self, k: int) -> Example:
        if self.synthetic is not None and np.random.default_rng((self.excerpts.seed, k, 2)).random() < self.share:
            return self.synthetic.example(k)
        return self.excerpts.example(k)


@dataclass(frozen=True)
class Material:
    """What a run hears.

    Attributes:
        training, validation: examples by number; validation is None where no song is for it.
        learn: the songs of `training`, for models that are fitted to whole songs at once.
        songs: names of the songs of both: {"training": ..., "validation": ...}.
        notes: what was left out, in sentences.
        fingerprint: of the songs: another one is another run.
    """

    training: Examples
    validation: Examples | None
    learn: tuple[Song, ...]
    songs: dict[str, tuple[str, ...]]
    notes: tuple[str, ...]
    fingerprint: str


def songs_of(config: Config, folders: Sequence[str | Path]) -> tuple[DataSet, DataSet, DataSet, tuple[str, ...]]:
    """The songs in some folders.

    Returns:
        (to learn from, to choose by, held out, notes): whole songs, and no group in two of them.

    Raises:
        UserError: there is nothing to learn from, or a pattern matches no song.
    """
    if not folders:
        raise UserError("train: needs songs; name a folder with --data.")
    found = load(folders[0], config.data.layout, **config.data.options)
    for folder in folders[1:]:
        found = found + load(folder, config.data.layout, **config.data.options)
    whole = replace(found, songs=tuple(s for s in found.songs if _wanted(s, config.data.songs)))
    notes = [f"{what}: left out: {why}" for what, why in found.skipped]
    learn, held = whole.split(config.data.hold_out)
    learn, choose = learn.split(config.data.validation, "validation")
    if not learn.songs:
        raise UserError(
            f"train: of {len(found.songs)} songs in {', '.join(str(f) for f in folders)} none is left to learn from; see "
            "data.songs, data.hold_out and data.validation."
        )
    return learn, choose, held, tuple(notes)


def material(config: Config, folders: Sequence[str | Path]) -> Material:
    """The excerpts of a run; see `songs_of`.

    Raises:
        UserError: as `songs_of`, or settings of the excerpts that cannot be.
    """
    learn, choose, _, notes = songs_of(config, folders)
    if config.patience and not choose.songs:
        raise UserError("config: patience needs songs to judge by; name some in data.validation.")
    common: dict[str, Any] = {"samples": config.data.samples, "sample_rate": config.sample_rate, **config.data.excerpts}
    try:
        augment = Augment(**config.data.augment)
        training = Excerpts(learn, seed=config.seed, length=config.steps * config.batch, augment=augment, **common)
        count = config.validation_excerpts
        validation = Excerpts(choose, seed=VALIDATION_SEED, length=count, **common) if choose.songs else None
    except (TypeError, ValueError) as error:
        raise UserError(f"config: data: {error}") from None
    drawn = {"training": training.songs, "validation": validation.songs if validation else []}
    left_out = [*training.skipped, *(validation.skipped if validation else [])]
    return Material(
        Examples(training),
        Examples(validation) if validation else None,
        tuple(training.songs),
        {kind: tuple(s.name for s in songs) for kind, songs in drawn.items()},
        (*notes, *(f"{what}: left out: {why}" for what, why in left_out)),
        _fingerprint(*drawn.values()),
    )


def with_synthetic(heard: Material, config: Config, console: Console | None) -> Material:
    """The same, with the recipe's share of synthetic mixes, of which all settings are known.

    Args:
        console: of the model.

    Raises:
        UserError: the model has none.
    """
    share = config.data.synthetic
    if not share:
        return heard
    if console is None:
        raise UserError("config: data.synthetic is for models that set a console; take 0.")

    def mixed(examples: Examples) -> Examples:
        excerpts = examples.excerpts
        return Examples(excerpts, Synthetic(excerpts, console, config.seed, mix_peak_db=excerpts.mix_peak_db), share)

    return replace(heard, training=mixed(heard.training))


def _wanted(song: Song, patterns: Sequence[str]) -> bool:
    """Whether a pattern names the song or its group, and none that begins with ! does."""
    left_out = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    return song.named(p for p in patterns if not p.startswith("!")) and not song.named(left_out)


def _fingerprint(*parts: Sequence[Song]) -> str:
    """Of names, lengths and stems; not of where the songs lie, so that a run can go on on another machine."""
    plain = [[(s.name, s.samples, s.sample_rate, [t.name for t in s.stems]) for s in songs] for songs in parts]
    return hashlib.sha256(json.dumps(plain).encode()).hexdigest()[:16]
