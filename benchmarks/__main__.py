"""The command: `python -m benchmarks [GROUP ...]`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

GROUPS = (
    "equalizer",
    "compressor",
    "reverb",
    "pedalboard",
    "onepole",
    "convolution",
    "spsa",
    "loss",
    "strip",
    "start",
    "growth",
)


FILE = click.Path(path_type=Path)


@click.command(help=f"Measure the groups named, or all: {', '.join(GROUPS)}.")
@click.argument("groups", nargs=-1, type=click.Choice(GROUPS), metavar="[GROUP]...")
@click.option("--quick", is_flag=True, help="Small sizes, one run each: to see that it works, not how fast it is.")
@click.option("--memory/--no-memory", default=True, help="Measure memory, each contender in a process of its own.")
@click.option("--seed", default=0, show_default=True, help="Of audio, controls and cotangents.")
@click.option("--json", "json_path", type=FILE, metavar="FILE", help="Put the figures here, beside those of other groups.")
@click.option("--page", "page_path", type=FILE, metavar="FILE", help="Write the page here; pictures beside it.")
def main(groups: tuple[str, ...], quick: bool, memory: bool, seed: int, json_path: Path | None, page_path: Path | None) -> None:
    import importlib
    import time
    from dataclasses import replace

    from benchmarks.contest import Setup
    from benchmarks.page import page
    from benchmarks.results import dumps, machine, merged
    from mixing.errors import UserError
    from mixing.output import check_file, write_text

    def progress(message: str) -> None:
        print(f"[{time.monotonic() - start:5.0f} s] {message}", file=sys.stderr, flush=True)

    for path in filter(None, (json_path, page_path)):
        try:
            check_file(path)
        except UserError as error:
            raise click.ClickException(str(error)) from None
    start = time.monotonic()
    setup = Setup(quick, memory and not quick, seed, progress, page_path.parent if page_path else None)
    new = {}
    for name in groups or GROUPS:
        group = importlib.import_module(f"benchmarks.{name}").run(setup)
        new[name] = replace(group, machine=machine(seed))
        if json_path is not None:
            # After every group, so that what was measured is kept whatever becomes of the next one.
            write_text(json_path, dumps(in_order(merged(json_path, new))))
    text = page(in_order(merged(json_path, new) if json_path else new))
    if page_path is not None:
        write_text(page_path, text)
    click.echo(text)


def in_order(results: dict) -> dict:
    """As the groups are listed, whatever the order in which they were measured."""
    return {name: results[name] for name in GROUPS if name in results}


if __name__ == "__main__":
    main()
