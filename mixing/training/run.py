"""A training from its recipe to `NAME.safetensors`, resumed exactly."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gradients import OnlineAdaptation, resolve
from mixing import losses, models, strict_json
from mixing.errors import UserError
from mixing.mixers import UNITY_DB
from mixing.models.regression import Regression
from mixing.multitrack import Multitrack
from mixing.output import write_text
from mixing.training.config import Config, check_names
from mixing.training.data import Material, material, with_synthetic
from mixing.training.objective import Objective
from proxies import normalisation

IDENTITY = "run.json"


def train(
    config: Config,
    folders: Sequence[str | Path],
    run: str | Path,
    *,
    name: str,
    command: str,
    processes: int = 1,
    nodes: int = 1,
    device: str = "auto",
    fresh: bool = False,
    quiet: bool = True,
    say: Callable[[Sequence[str]], None] = lambda notes: None,
) -> Path:
    """Train a mixing model, or go on where an earlier call with the same settings was stopped.

    Excerpts, initial weights and all else that is random are functions of the settings and the step, so a run that was killed and
    called again ends as the one that was not: on the same machine, bit for bit.

    Args:
        config: of the run.
        folders: of songs.
        run: folder of the run: run.json (settings), checkpoints, tensorboard, and the result.
        name: of the result, `<name>.safetensors`.
        command: what trains the weights again, for their header.
        processes: on this machine, each with an equal part of the batch: on as many GPUs, or on the CPU through gloo.
        nodes: machines; started by torchrun or the like on each.
        device: Lightning's accelerator: "auto", "cpu", "gpu", "mps".
        fresh: start over, whatever the folder has.
        quiet: no progress bar.
        say: is told, in sentences, what was left out.

    Returns:
        path of the result; at once where the run was finished before.

    Raises:
        UserError: wrong settings, or the folder has a run with other ones.
    """
    check_names(config, models.kinds(), losses.names())
    world = processes * nodes
    if config.batch % world:
        raise UserError(f"config: a batch of {config.batch} cannot be shared by {world} processes; take a multiple of {world}.")
    if config.validation_excerpts < world:
        raise UserError(f"config: validation_excerpts is at least {world}, the processes; got {config.validation_excerpts}.")
    if fresh and nodes > 1:
        raise UserError(f"train: several nodes cannot agree on when {run} is empty; remove it, and leave --fresh out.")
    heard = material(config, folders)
    if not _is_child():
        say(heard.notes)
    run = Path(run)
    result = run / f"{name}.safetensors"
    # Other processes of this run come here too, a little later, and must find what the first one left.
    if fresh and not _is_child():
        _clear(run, result)
    identity = {"config": config.as_dict(), "songs": heard.fingerprint}
    if not _is_child():
        _compare(run, identity)
        if result.exists():
            return result
    torch.manual_seed(config.seed)
    adaptation = _adaptation(config)
    model, objective = build(config, adaptation), Objective(config)
    heard = with_synthetic(heard, config, getattr(model, "player", None))
    if not _is_child():  # here, where the settings are known to be right
        run.mkdir(parents=True, exist_ok=True)
        write_text(run / IDENTITY, json.dumps(identity, indent=1))
    if isinstance(model, Regression):
        learned = _fit(model, heard)
    else:
        where = {"processes": processes, "nodes": nodes, "device": device, "quiet": quiet}
        learned = _descend(model, objective, config, heard, run, adaptation, **where)
    if learned is not None:
        models.save(result, model, _header(config, heard, command, learned))
    return result


def _fit(model: Regression, heard: Material) -> dict[str, Any]:
    """Fit a model that learns from whole songs, at once; those whose settings nobody knows say nothing to it.

    Raises:
        UserError: nobody knows any song's settings.
    """
    start = time.monotonic()
    known = [song for song in heard.learn if song.settings_known]
    if not known:
        raise UserError("train: regression learns from settings, and no song's are known; see `dasp train --help`.")

    def examples() -> Iterator[tuple[Multitrack, Tensor, Tensor]]:
        for song in known:
            gains, pans = (torch.tensor(values, dtype=torch.float64) for values in song.settings())
            yield song.read(sample_rate=model.sample_rate), gains + UNITY_DB, pans

    model.fit(examples())
    return {"steps": 0, "seconds": time.monotonic() - start, "validation": {}}


def _descend(
    model: models.Model,
    objective: Objective,
    config: Config,
    heard: Material,
    run: Path,
    adaptation: OnlineAdaptation | None,
    *,
    processes: int,
    nodes: int,
    device: str,
    quiet: bool,
) -> dict[str, Any] | None:
    """Train by gradient descent, from where the run's newest checkpoint is.

    Returns:
        what the header says of it; None in all processes but the first, whose model alone is the result.
    """
    from mixing.training import lightning

    if not any(p.requires_grad for p in model.parameters()):
        raise UserError(f"config: model: {model.kind} has no weights for gradient descent.")
    if processes * nodes > 1:
        normalisation.share(model)
    module = lightning.Training(config, model, objective, adaptation)
    start = lightning.newest(run)
    trainer = lightning.trainer(
        config,
        run,
        validates=heard.validation is not None,
        processes=processes,
        nodes=nodes,
        device=device,
        first=int(start.stem) if start else 0,
        quiet=quiet,
    )
    songs = lightning.Songs(config, heard.training, heard.validation)
    try:
        trainer.fit(module, datamodule=songs, ckpt_path=start, weights_only=True)
    except FloatingPointError as error:
        raise UserError(f"{error} A lower optimiser.learning_rate, or optimiser.clip, may help.") from None
    except SystemExit:  # Lightning's end of an interrupted run
        if trainer.interrupted:
            raise KeyboardInterrupt from None
        raise
    trainer.strategy.barrier()
    if not trainer.is_global_zero:
        return None
    normalisation.unshare(model)
    model.load_state_dict(module.result())
    counters = module.counters
    validation = {"loss": counters.best, **counters.scores} if counters.best_step else {}
    return {"steps": counters.best_step or trainer.global_step, "seconds": counters.seconds, "validation": validation}


def build(config: Config, adaptation: OnlineAdaptation | None = None) -> models.Model:
    """The model of a recipe, with new weights.

    Args:
        config: of the run.
        adaptation: fine-tunes the proxies that the model's gradient goes through.

    Raises:
        UserError: it cannot be built with these settings.
    """
    settings = {"sample_rate": config.sample_rate, **config.model}
    kind = settings.pop("kind")
    try:
        if adaptation is not None:
            settings["gradient"] = replace(resolve(settings["gradient"]), adapt=adaptation)  # type: ignore[call-arg]
        return models.build(kind, **settings)
    except (TypeError, ValueError) as error:
        raise UserError(f"config: model: {error}") from None


def _adaptation(config: Config) -> OnlineAdaptation | None:
    """The online fine-tuning that a recipe asks for."""
    how = config.adapt
    if not how.lr:
        return None
    if config.model.get("gradient") not in ("proxy", "hybrid"):
        raise UserError("config: adapt.lr is for a model with model.gradient proxy or hybrid; set that, or adapt.lr to 0.")
    return OnlineAdaptation(how.lr, how.every, how.steps, how.spread, seed=config.seed)


def _is_child() -> bool:
    """Whether this is another process of a run than the first: Lightning's own, or torchrun's."""
    return any(os.environ.get(name, "0") != "0" for name in ("LOCAL_RANK", "NODE_RANK", "GROUP_RANK"))


def _clear(run: Path, result: Path) -> None:
    for folder in ("checkpoints", "tensorboard"):
        shutil.rmtree(run / folder, ignore_errors=True)
    for file in (run / IDENTITY, result):
        file.unlink(missing_ok=True)


def _compare(run: Path, own: dict[str, Any]) -> None:
    """Compare a run with what its folder says that it is of.

    Raises:
        UserError: they differ.
    """
    file = run / IDENTITY
    try:
        found = strict_json.parse(str(file), file.read_text(encoding="utf-8")) if file.exists() else own
        if found == own:
            return
        old, new = dict(found["config"]), own["config"]
    except (OSError, ValueError, TypeError, KeyError, UserError):
        raise UserError(f"train: {file} is damaged; choose another folder with --run, or start over with --fresh.") from None
    changed = sorted(k for k in old.keys() | new.keys() if old.get(k) != new.get(k))
    what = f"another {', '.join(changed)}" if changed else "other songs"
    raise UserError(f"train: {run} has a run with {what}; choose another folder with --run, or start over with --fresh.")


def _header(config: Config, heard: Material, command: str, learned: dict[str, Any]) -> dict[str, Any]:
    """What stands beside the weights: trained on what, how, how well."""
    training = {
        "steps": learned["steps"],
        "batch": config.batch,
        "seconds": round(learned["seconds"], 1),
        "songs": {kind: list(names) for kind, names in heard.songs.items()},
        "hold_out": list(config.data.hold_out),
    }
    return {
        "data": list(config.data.licences) or [{"name": "not stated", "licence": "not stated", "origin": "not stated"}],
        "licence": config.licence,
        "command": command,
        "seed": config.seed,
        "scores": {"validation": learned["validation"], "training": training},
    }
