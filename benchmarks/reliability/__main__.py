"""The command: `python -m benchmarks.reliability`."""

from __future__ import annotations

import importlib
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

import click

# section -> trials in full, and in a short run
SECTIONS = {
    "effects": (3000, 20),
    "fuzz": (10000, 60),
    "training": (10000, 2),
    "sharing": (2000, 20),
    "killing": (30, 1),
    "long": (1, 0),
}
FILE = click.Path(path_type=Path, dir_okay=False)


@click.command(help="Try to break dasp, and count.")
@click.option("--only", multiple=True, type=click.Choice(list(SECTIONS)), help="Some sections only; repeat for more.")
@click.option("--short", is_flag=True, help="Few trials: to see that it works.")
@click.option("--seed", default=0, show_default=True, help="Of everything.")
@click.option("--json", "json_path", type=FILE, metavar="FILE", help="Put the figures here, beside those of other sections.")
@click.option("--page", "page_path", type=FILE, metavar="FILE", help="Write the page here.")
def main(only: tuple[str, ...], short: bool, seed: int, json_path: Path | None, page_path: Path | None) -> None:
    from benchmarks.reliability.page import page
    from mixing.output import write_text

    start = time.monotonic()

    def tell(text: str) -> None:
        print(f"[{time.monotonic() - start:5.0f} s] {text}", file=sys.stderr, flush=True)

    found = json.loads(json_path.read_text(encoding="utf-8")) if json_path and json_path.exists() else {}
    for section, counts in SECTIONS.items():
        if only and section not in only:
            continue
        module = importlib.import_module(f"benchmarks.reliability.{section}")
        began = time.monotonic()
        outcomes = module.run(counts[short], seed, tell)
        found[section] = {"seconds": round(time.monotonic() - began), "outcomes": [asdict(o) for o in outcomes]}
        if json_path:
            write_text(json_path, json.dumps(found, indent=1) + "\n")
    text = page({name: found[name] for name in SECTIONS if name in found})
    if page_path:
        write_text(page_path, text)
    click.echo(text)
    if any(o["failures"] for section in found.values() for o in section["outcomes"]):
        sys.exit(1)


if __name__ == "__main__":
    main()
