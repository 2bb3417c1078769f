"""`dasp train`: a recipe and songs become weights."""

from __future__ import annotations

import importlib.util
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from mixing.commands._common import say, tell
from mixing.errors import UserError

NEEDED = ("click", "pytorch_lightning", "rich", "safetensors", "soundfile", "soxr", "tensorboard", "yaml")


@click.command("train", short_help="Train a mixing model.")
@click.argument("recipe", metavar="RECIPE")
@click.option("--data", multiple=True, metavar="DIR", help="Songs, in a layout that is known; repeat for more.")
@click.option("--run", type=click.Path(path_type=Path), help="Folder of the run. By default runs/NAME-SEED.")
@click.option("--gradient", metavar="NAME", help="How the effects are differentiated: autodiff, proxy, hybrid, spsa, fd.")
@click.option("--seed", type=int, help="Of weights, excerpts and all else that is random.")
@click.option("--steps", type=click.IntRange(1), help="Of the optimiser.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Any setting: --set optimiser.learning_rate=1e-4")
@click.option("--processes", type=click.IntRange(1), default=1, show_default=True, help="Each has a part of the batch.")
@click.option("--nodes", type=click.IntRange(1), default=1, show_default=True, help="Machines, each started with torchrun.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, gpu or mps.")
@click.option("--threads", type=click.IntRange(1), help="Of torch and of the plugins.")
@click.option("--fresh", is_flag=True, help="Start over instead of going on where the run stopped.")
def command(
    recipe: str,
    data: tuple[str, ...],
    run: Path | None,
    gradient: str | None,
    settings: tuple[str, ...],
    processes: int,
    nodes: int,
    device: str,
    threads: int | None,
    fresh: bool,
    **direct: Any,
) -> None:
    """Train the mixing model of RECIPE, a shipped recipe's name or a YAML file, on the songs in DIR.

    Called again, it goes on where it stopped, and ends as if it had not. The result is NAME.safetensors in the run's folder, for
    `dasp mix --model`; beside it TensorBoard's curves, sounds and settings.
    """
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(f"train: needs {', '.join(missing)}: pip install 'dasp-toolkit[train]'")
    from mixing.training.config import config, read
    from proxies.recipe import changes

    try:
        changed = changes(settings)
    except ValueError as error:
        raise UserError(str(error)) from None
    changed |= {name: value for name, value in direct.items() if value is not None}
    changed |= {"model.gradient": gradient} if gradient else {}
    whole = config(read(recipe), **changed)

    import torch

    from mixing.training.run import train

    if threads:
        torch.set_num_threads(threads)
    stem = Path(recipe).stem if Path(recipe).suffix else recipe
    name = re.sub(r"\W+", "-", f"{stem}-{gradient}" if gradient else stem).strip("-")
    try:
        path = train(
            whole,
            data,
            run or Path("runs") / f"{name}-{whole.seed}",
            name=name,
            command=retraining(recipe, data, changed),
            processes=processes,
            nodes=nodes,
            device=device,
            fresh=fresh,
            quiet=not sys.stderr.isatty(),
            say=say,
        )
    except KeyboardInterrupt:
        tell("dasp: interrupted; the same command goes on from the newest checkpoint.", err=True)
        sys.exit(130)
    tell(f"{path}")


def retraining(recipe: str, folders: Sequence[str], changes: dict[str, Any]) -> str:
    """The command that trains again, without this machine's folders: of a path, its last part."""
    words = ["dasp", "train", Path(recipe).name]
    for folder in folders:
        words += ["--data", Path(folder).resolve().name]
    for name, value in sorted(changes.items()):
        words += ["--set", f"{name}={value}"]
    return shlex.join(words)
