"""Training and measuring one system after the other; what was done is not done again."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.comparison.systems import SYSTEMS, System
from mixing import models
from mixing.errors import UserError
from mixing.evaluation import Table, evaluate
from mixing.evaluation.table import LeftOut, Row
from mixing.mixers import Mixer
from mixing.models.model import Model
from mixing.output import write_text
from mixing.training.config import Config, config, read
from mixing.training.data import songs_of
from mixing.training.run import train


@dataclass(frozen=True)
class Budget:
    """What is the same for all that are trained.

    Attributes:
        steps, batch, samples: of the optimiser; excerpts a step; length of one. All hear the same excerpts in the same order.
        validate, validation_excerpts: how often, and by how many, the best weights are chosen.
        seed: of weights and excerpts, and of the random mixer.
        seconds: of each held-out song, from its middle, that is measured; None: all of it.
        tiny: networks as small as can be: it works, and says nothing.
    """

    steps: int = 600
    batch: int = 2
    samples: int = 65536
    validate: int = 50
    validation_excerpts: int = 16
    seed: int = 0
    seconds: float | None = None
    tiny: bool = False


SHORT = Budget(steps=2, batch=2, samples=8192, validate=2, validation_excerpts=2, seconds=2.0, tiny=True)
# One set of excerpts for all, whatever their recipes have. A stem is off by as little as in the recipes that were tried out
# (docs/mixing.md): more would hide what the level of a recording says.
HEARD = {
    "augment": {"level_db": 3, "drop": 0.1},
    "excerpts": {"min_active_db": -40, "min_track_db": -60, "max_tracks": 12, "remake": True},
}


@dataclass(frozen=True)
class Result:
    """One system.

    Attributes:
        name, title: of the system.
        parameters: trainable numbers; None for a rule.
        seconds: of training; None for a rule.
        steps: after which the best weights were found.
        about: what is said of its file's origin.
        rows: one for each song, as `mixing.evaluation` has them.
        left_out: what could not be measured.
    """

    name: str
    title: str
    parameters: int | None
    seconds: float | None
    steps: int | None
    about: str
    rows: tuple[dict[str, Any], ...]
    left_out: tuple[dict[str, Any], ...]


def recipe(system: System, budget: Budget, songs: Mapping[str, Sequence[str]] | None = None) -> Config:
    """The settings with which a system is trained: its recipe's model, loss and optimiser; all else is the budget's.

    Args:
        system: one that is trained.
        budget: the same for all.
        songs: other "hold_out" and "validation" than the shipped ones; all other songs are then heard.
    """
    split = {**_split(), **({"songs": ["*"], **songs} if songs else {})}
    common = {
        "steps": budget.steps,
        "batch": budget.batch,
        "seed": budget.seed,
        "validate": min(budget.validate, budget.steps),
        "validation_excerpts": budget.validation_excerpts,
        "data.samples": budget.samples,
        **{f"data.{name}": value for name, value in HEARD.items()},
        **{f"data.{name}": list(value) for name, value in split.items()},
    }
    if budget.tiny:
        common |= {"workers": 0, **system.short}
        if system.recipe != "regression":
            common["loss.terms"] = {"stereo_mrstft": {"weight": 1.0, "fft_sizes": [512, 2048]}}
    return config(read(system.recipe), **{**system.changes, **common})


def run(
    systems: Sequence[System],
    folders: Sequence[Path],
    out: Path,
    budget: Budget,
    *,
    songs: Mapping[str, Sequence[str]] | None = None,
    device: str = "auto",
    tell: Callable[[str], None] = lambda text: print(text, file=sys.stderr, flush=True),
) -> list[Result]:
    """Train what is to be trained, and measure all on the held-out songs. Called again, it goes on where it stopped.

    Args:
        systems: that take part.
        folders: of songs.
        out: a folder for each training (`out/NAME`), and a file for each result (`out/NAME.json`).
        budget: the same for all.
        songs: as `recipe` takes them.
        device: Lightning's accelerator.
        tell: progress, a line a time.

    Raises:
        UserError: there is no held-out song, or `out` has results of another budget.
    """
    _, _, held, _ = songs_of(recipe(_ANY, budget, songs), folders)
    if not held.songs:
        raise UserError("comparison: no song is held out to be measured on; see data.hold_out of the recipes.")
    out.mkdir(parents=True, exist_ok=True)
    results = []
    for number, system in enumerate(systems, 1):
        file = out / f"{system.name}.json"
        decides = {"seconds": budget.seconds, "seed": budget.seed} if system.rule else asdict(budget)  # a rule is not trained
        identity = {"budget": decides, "songs": [s.name for s in held.songs]}
        if file.exists():
            found = json.loads(file.read_text(encoding="utf-8"))
            if found.pop("of") != identity:
                raise UserError(f"comparison: {file} is of another budget or other songs; choose another folder with --out.")
            results.append(Result(**{**found, "rows": tuple(found["rows"]), "left_out": tuple(found["left_out"])}))
            tell(f"{number} of {len(systems)}: {system.name}: done before")
            continue
        tell(f"{number} of {len(systems)}: {system.name}: {'measuring' if system.rule else 'training'}")
        mixer, facts = _made(system, folders, out, budget, songs, device)
        tell(f"{number} of {len(systems)}: {system.name}: measuring on {len(held.songs)} songs")
        table = evaluate({system.name: mixer}, held.songs, seconds=budget.seconds)
        rows = tuple({**asdict(row), "values": _plain(row.values)} for row in table.rows)
        result = Result(system.name, system.title, *facts, rows, tuple(map(asdict, table.left_out)))
        write_text(file, json.dumps({"of": identity, **asdict(result)}, indent=1, allow_nan=False))
        results.append(result)
    return results


def table(results: Sequence[Result], against: str | None = None) -> Table:
    """The results as one table; what has no value is NaN again."""
    rows = [Row(r["song"], r["group"], r["mixer"], _numbers(r["values"])) for result in results for r in result.rows]
    left_out = [LeftOut(**entry) for result in results for entry in result.left_out]
    names = tuple(result.name for result in results)
    return Table(names, tuple(rows), tuple(left_out), against if against in names else names[0])


def _made(
    system: System, folders: Sequence[Path], out: Path, budget: Budget, songs: Mapping[str, Sequence[str]] | None, device: str
) -> tuple[Mixer, tuple[int | None, float | None, int | None, str]]:
    """The mixer, and (parameters, seconds, steps, about)."""
    if system.rule is not None:
        mixer = models.mixer(system.rule, **({"seed": budget.seed} if system.rule == "random" else {}))
        return mixer, (*_training(mixer), models.about(mixer))
    settings = recipe(system, budget, songs)
    command = f"python -m benchmarks.comparison --only {system.name} --steps {budget.steps}"
    path = train(settings, folders, out / system.name, name=system.name, command=command, device=device)
    model = models.load(path)
    return model, (*_training(model), models.about(model))


def _training(mixer: Mixer) -> tuple[int | None, float | None, int | None]:
    """(parameters, seconds, steps) of a model from its file; three times None of a rule."""
    if not isinstance(mixer, Model) or mixer.header is None:
        return None, None, None
    training = mixer.header["scores"]["training"]
    return mixer.size, float(training["seconds"]), int(training["steps"])


def _split() -> dict[str, Sequence[str]]:
    """The songs that are heard, those that no system hears, and those that choose weights: one recipe's, for all."""
    data = read(_ANY.recipe)["data"]
    return {name: data[name] for name in ("songs", "hold_out", "validation")}


def _plain(values: dict[str, float]) -> dict[str, float | None]:
    """JSON has no NaN."""
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def _numbers(values: dict[str, float | None]) -> dict[str, float]:
    return {name: math.nan if value is None else value for name, value in values.items()}


_ANY = next(system for system in SYSTEMS if system.recipe)
