"""Evaluate mixers on songs: every mixer mixes every song, every mix is compared with the human's."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import torch

from mixing.audio import resample
from mixing.errors import UserError
from mixing.evaluation.comparison import KnownSettings, Target
from mixing.evaluation.embedding import Embedding, cosine_distance, embed, frechet_distance
from mixing.evaluation.finished import FinishedMixes
from mixing.evaluation.table import LeftOut, Row, Table
from mixing.mixers import Mix, Mixer
from mixing.multitrack import Multitrack

_SOUNDS = 1e-4  # peak, -80 dBFS


class Song(Protocol):
    """What is asked of a song; `mixing.data`'s are."""

    @property
    def name(self) -> str: ...
    @property
    def group(self) -> str: ...
    @property
    def mix(self) -> Path | None: ...
    @property
    def sample_rate(self) -> int: ...
    @property
    def samples(self) -> int: ...
    @property
    def gains_db(self) -> Sequence[float | None] | None: ...
    @property
    def pans(self) -> Sequence[float | None] | None: ...

    def read(self, start: int = 0, samples: int | None = None, sample_rate: float | None = None) -> Multitrack: ...


def evaluate(
    mixers: Mapping[str, Mixer | FinishedMixes],
    songs: Iterable[Song],
    *,
    seconds: float | None = None,
    embedding: Embedding | None = None,
    against: str | None = None,
    by: Literal["group", "song"] = "group",
    confidence: float = 0.95,
    seed: int = 0,
    progress: Callable[[str, str], None] = lambda *_: None,
) -> Table:
    """Compare every mixer's mix of every song with the song's own mix.

    Nothing bad is measured, and nothing is dropped silently: a song without a mix, or whose files or mix cannot be used, and a
    mix that fails, is silent or has samples that are no numbers, are listed in the table with the reason.

    Args:
        mixers: by the names that the table shows: models and rules, or folders of finished mixes. One with a `sample_rate` of its
            own gets the songs at that, and its mix is resampled.
        songs: `mixing.data`'s, or others that do what `Song` says.
        seconds: only so much from the middle of each song; None: all of it, at once in memory.
        embedding: of mixes, for the distance from the target's and the Frechet distance over all songs.
        against: the mixer with which the tests compare the others; by default the first.
        by: what is drawn and paired: "group" (songs of one work are no independent draws) or "song".
        confidence: of the intervals.
        seed: of the bootstrap.
        progress: called with the names of song and mixer before each mix.

    Returns:
        every figure of every mix, with means, intervals and tests.

    Raises:
        ValueError: no mixers, or `against` is none of them.
        UserError: nothing could be measured, or librosa is missing.
    """
    if not mixers or (against is not None and against not in mixers):
        raise ValueError(f"evaluate: against must be one of the mixers ({', '.join(mixers) or 'none'}); got {against!r}.")
    rows: list[Row] = []
    left_out: list[LeftOut] = []
    found: dict[str, list[np.ndarray]] = {name: [] for name in mixers}
    wanted: list[np.ndarray] = []
    for song in songs:
        start, samples = _middle(song, seconds)
        try:
            multitrack, target = _read(song, start, samples)
            vectors = None if embedding is None else embed(embedding, target.audio, target.sample_rate)
        except (UserError, ValueError) as error:
            left_out.append(LeftOut(song.name, None, _reason(error)))
            continue
        made: dict[str, np.ndarray] = {}
        for name, mixer in mixers.items():
            progress(song.name, name)
            try:
                mix = _mix(mixer, song, start, multitrack)
                values = target.compare(mix.audio[0]) | _settings(song, multitrack, mix)
                if embedding is not None and vectors is not None:
                    made[name] = embed(embedding, mix.audio[0].double().cpu().numpy(), target.sample_rate)
                    values["embedding_distance"] = cosine_distance(made[name], vectors)
            except (UserError, ValueError) as error:
                left_out.append(LeftOut(song.name, name, _reason(error)))
                continue
            rows.append(Row(song.name, song.group, name, values))
        if vectors is not None and len(made) == len(mixers):  # the same songs for all
            wanted.append(vectors)
            for name, vector in made.items():
                found[name].append(vector)
    if not rows:
        why = f"{left_out[0].song}: {left_out[0].why}" if left_out else "there are no songs."
        raise UserError(f"evaluate: nothing could be measured ({why.rstrip('.')}).")
    frechet, notes = _frechet(found, wanted) if embedding is not None else ({}, ())
    return Table(tuple(mixers), tuple(rows), tuple(left_out), against or next(iter(mixers)), by, confidence, seed, frechet, notes)


def _middle(song: Song, seconds: float | None) -> tuple[int, int | None]:
    samples = None if seconds is None else round(seconds * song.sample_rate)
    if samples is None or samples >= song.samples:
        return 0, None
    return (song.samples - samples) // 2, samples


def _read(song: Song, start: int, samples: int | None) -> tuple[Multitrack, Target]:
    if song.mix is None:
        raise UserError("has no mix to compare with.")
    multitrack = song.read(start, samples)
    if multitrack.mix is None:
        raise UserError("was read without its mix.")
    return multitrack, Target(multitrack.mix[0], multitrack.sample_rate)


def _mix(mixer: Mixer | FinishedMixes, song: Song, start: int, multitrack: Multitrack) -> Mix:
    """A mix as long as the multitrack and at its rate, also by a model of another rate."""
    if isinstance(mixer, FinishedMixes):
        return mixer.read(song.name, song.samples, start, multitrack)
    rate = float(getattr(mixer, "sample_rate", None) or multitrack.sample_rate)
    with torch.no_grad():
        if rate == multitrack.sample_rate:
            return mixer(multitrack)
        scale = rate / multitrack.sample_rate
        mix = mixer(song.read(round(start * scale), round(multitrack.samples * scale), rate))
    audio = resample(mix.audio[0].cpu(), rate, multitrack.sample_rate)[:, : multitrack.samples]
    return replace(mix, audio=torch.nn.functional.pad(audio, (0, multitrack.samples - audio.shape[1]))[None])


def _settings(song: Song, multitrack: Multitrack, mix: Mix) -> dict[str, float]:
    """Errors of faders and pans, where both the song's and the mix's are known."""
    tracks = (mix.controls or {}).get("tracks", {})
    if "fader_db" not in tracks or "pan" not in tracks:
        return {}
    peaks = multitrack.audio[0].abs().amax((1, 2))
    known = KnownSettings(song.gains_db, song.pans, (peaks > _SOUNDS).tolist())
    return known.errors(tracks["fader_db"][0].tolist(), tracks["pan"][0].tolist())


def _frechet(found: dict[str, list[np.ndarray]], wanted: list[np.ndarray]) -> tuple[dict[str, float], tuple[str, ...]]:
    vectors = np.concatenate(wanted) if wanted else np.zeros((0, 1))
    if len(vectors) < 2:
        return {}, ("There are too few embeddings for a Frechet distance.",)
    distances = {n: frechet_distance(np.concatenate(v), vectors) for n, v in found.items() if sum(map(len, v)) > 1}
    count, size = vectors.shape
    few = () if count > 2 * size else (" They are few for that many dimensions: it is biased upwards, for all mixers alike.",)
    said = f"Frechet distance over {count} embeddings of {size} dimensions of the {len(wanted)} songs that every mixer mixed."
    return {n: d for n, d in distances.items() if math.isfinite(d)}, ("".join((said, *few)),)


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
