"""The command: `python -m benchmarks.comparison --data DIR`."""

from __future__ import annotations

from pathlib import Path

import click

from benchmarks.comparison.systems import NAMES, SYSTEMS

FILE = click.Path(path_type=Path)


@click.command(
    help=f"Train and measure the systems named, or all: {', '.join(NAMES)}. Called again, it goes on where it stopped."
)
@click.option("--data", multiple=True, required=True, type=FILE, metavar="DIR", help="Songs; repeat for more.")
@click.option("--out", type=FILE, default=Path("runs/comparison"), show_default=True, help="Folder of trainings and results.")
@click.option("--only", multiple=True, type=click.Choice(NAMES), metavar="NAME", help="Some systems only; repeat for more.")
@click.option("--steps", type=click.IntRange(1), help="Of every training.")
@click.option("--batch", type=click.IntRange(1), help="Excerpts a step.")
@click.option("--seed", type=int, help="Of weights, excerpts and the random mixer.")
@click.option("--hold-out", multiple=True, metavar="PATTERN", help="Songs to measure on, in place of the recipes'.")
@click.option("--validation", multiple=True, metavar="PATTERN", help="Songs to choose weights on, in place of the recipes'.")
@click.option("--short", is_flag=True, help="Tiny networks and a few steps: to see that it works, not who is better.")
@click.option("--threads", type=click.IntRange(1), help="Of torch.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, gpu or mps.")
@click.option("--json", "json_path", type=FILE, metavar="FILE", help="Put all figures here.")
@click.option("--page", "page_path", type=FILE, metavar="FILE", help="Write the page here.")
@click.option("--readme", type=FILE, metavar="FILE", help="Put a shorter table between this file's comparison markers.")
def main(
    data: tuple[Path, ...],
    out: Path,
    only: tuple[str, ...],
    steps: int | None,
    batch: int | None,
    seed: int | None,
    hold_out: tuple[str, ...],
    validation: tuple[str, ...],
    short: bool,
    threads: int | None,
    device: str,
    json_path: Path | None,
    page_path: Path | None,
    readme: Path | None,
) -> None:
    import json
    from dataclasses import asdict, replace

    import torch

    from benchmarks.comparison.page import README, overview, page
    from benchmarks.comparison.running import SHORT, Budget, run
    from mixing.errors import UserError
    from mixing.markers import replace_between
    from mixing.output import check_file, write_text

    if threads:
        torch.set_num_threads(threads)
    given = {"steps": steps, "batch": batch, "seed": seed}
    budget = replace(SHORT if short else Budget(), **{name: value for name, value in given.items() if value is not None})
    songs = {name: value for name, value in (("hold_out", hold_out), ("validation", validation)) if value}
    systems = [s for s in SYSTEMS if not only or s.name in only]
    try:
        for path in filter(None, (json_path, page_path, readme)):
            check_file(path)
        results = run(systems, data, out, budget, songs=songs or None, device=device)
    except UserError as error:
        raise click.ClickException(str(error)) from None
    text = page(results, budget)
    if json_path is not None:
        write_text(json_path, json.dumps({"budget": asdict(budget), "systems": [asdict(r) for r in results]}, indent=1))
    if page_path is not None:
        write_text(page_path, text)
    if readme is not None:
        write_text(readme, replace_between(readme.read_text(encoding="utf-8"), "comparison", overview(results, README)))
    click.echo(text)


if __name__ == "__main__":
    main()
