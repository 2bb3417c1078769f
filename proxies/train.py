"""Train a proxy: `python -m proxies.train dasp:Compressor --audio FOLDER`."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from proxies.sentence import fail, require

PROGRAM = "proxies.train"
NEEDED = ("auraloss", "click", "lightning_fabric", "rich", "safetensors", "scipy", "soundfile", "soxr", "tensorboard", "yaml")


def main(args: Sequence[str] | None = None) -> None:
    """The command line: exit code 0 done, 2 a user's mistake (one sentence on stderr), 130 interrupted."""
    require(PROGRAM, NEEDED)
    import click

    @click.command(context_settings={"help_option_names": ["-h", "--help"]})
    @click.argument("target", required=False)
    @click.option("--config", "recipe", metavar="NAME_OR_FILE", help="Settings: a shipped recipe's name, or a YAML file.")
    @click.option("--audio", multiple=True, metavar="FOLDER", help="Music to train on, one folder a song; repeat for more.")
    @click.option("--run", type=click.Path(path_type=Path), help="Folder of the run. By default runs/NAME-SEED.")
    @click.option("--seed", type=int, help="Of weights, audio and controls.")
    @click.option("--steps", type=int, help="Of the optimiser.")
    @click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Any setting: --set audio.synthetic=0.5")
    @click.option("--processes", type=click.IntRange(1), default=1, show_default=True, help="Each has a part of the batch.")
    @click.option("--nodes", type=click.IntRange(1), default=1, show_default=True, help="Machines, each started with torchrun.")
    @click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or mps.")
    @click.option("--threads", type=click.IntRange(1), help="Of torch and of the teacher.")
    @click.option("--fresh", is_flag=True, help="Start over instead of going on where the run stopped.")
    def command(
        target: str | None,
        recipe: str | None,
        audio: tuple[str, ...],
        run: Path | None,
        settings: tuple[str, ...],
        processes: int,
        nodes: int,
        device: str,
        threads: int | None,
        fresh: bool,
        **direct: Any,
    ) -> None:
        """Train a proxy of TARGET: an import path such as dasp:Compressor or mylib.fx:Tape, or a .vst3 file.

        Called again, it goes on where it stopped. The result is NAME.safetensors in the run's folder.
        """
        import torch

        from proxies.config import config
        from proxies.trainer import train

        if threads:
            torch.set_num_threads(threads)
        known, changes = _settings(target, recipe, settings, {k: v for k, v in direct.items() if v is not None})
        whole = config(known, **changes)
        name = Path(recipe).stem if recipe else re.sub(r"\W+", "-", Path(whole.target.rpartition(":")[2]).stem).strip("-")
        again = retraining(whole.target, recipe, audio, changes)
        path = train(
            whole,
            audio,
            run or Path("runs") / f"{name}-{whole.seed}",
            name=name,
            command=again,
            processes=processes,
            nodes=nodes,
            device=device,
            fresh=fresh,
        )
        click.echo(f"{path}")

    try:
        command.main(args=list(sys.argv[1:] if args is None else args), prog_name=f"python -m {PROGRAM}", standalone_mode=False)
    except click.ClickException as error:
        fail(PROGRAM, error.format_message(), 2)
    except (ValueError, ImportError) as error:
        fail(PROGRAM, str(error), 2)
    except (KeyboardInterrupt, click.Abort):
        fail(PROGRAM, "interrupted; the same command goes on from the newest snapshot.", 130)


def _settings(
    target: str | None, recipe: str | None, settings: Sequence[str], direct: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """(what the recipe says, what the command line changes in it)."""
    from proxies.config import read, shipped
    from proxies.recipe import changes as read_changes

    changes = {**direct, **read_changes(settings)}
    if recipe is None and target is None:
        raise ValueError(f"train: needs a target such as dasp:Compressor, or --config with one of {', '.join(shipped())}.")
    if recipe is None:
        known = next((r for r in map(read, shipped()) if r.get("target") == target), {})
        return {**known, "target": target}, changes
    known = read(recipe)
    return (known if target is None else {**known, "target": target}), changes


def retraining(target: str, recipe: str | None, audio: Sequence[str], changes: dict[str, Any]) -> str:
    """The command that trains again, without this machine's folders: of a path, its last part."""
    words = ["python", "-m", "proxies.train", target]
    words += ["--config", recipe if not Path(recipe).suffix else Path(recipe).name] if recipe else []
    for folder in audio:
        words += ["--audio", Path(folder).resolve().name]
    for name, value in sorted(changes.items()):
        words += ["--set", f"{name}={value}"]
    return shlex.join(words)


if __name__ == "__main__":
    main()
