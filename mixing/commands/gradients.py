"""`dasp gradients`: the agreement of each gradient strategy with float64 autodiff."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command("gradients")
@click.option("--effect", "names", multiple=True, metavar="NAME", help="Only this effect (may be repeated).")
@click.option("--draws", default=10, show_default=True, type=click.IntRange(1), help="Random pairs of settings.")
@click.option("--seconds", default=2.0, show_default=True, type=click.FloatRange(0.2), help="Length of each excerpt.")
@click.option("--seed", default=0, show_default=True, help="Seed of the draws and of SPSA.")
@click.option("--json", "json_path", type=click.Path(dir_okay=False, path_type=Path), help="Also write the figures here.")
@click.option(
    "--readme",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Put the table into this file, between its markers.",
)
def command(names: tuple[str, ...], draws: int, seconds: float, seed: int, json_path: Path | None, readme: Path | None) -> None:
    """Cosine and norm ratio of each strategy's control gradient against float64 autodiff, on the demo's stems.

    The black boxes are the real plugins. Prints a Markdown table.
    """
    from rich.console import Console as Terminal

    from dasp.effects import find
    from mixing.agreement import EFFECTS, agreement, markdown
    from mixing.demo_data import excerpts
    from mixing.errors import UserError

    try:
        chosen = [find(name) for name in names or EFFECTS]
    except ValueError as error:
        raise UserError(str(error)) from None
    for cls in chosen:
        if not cls.controls:
            raise UserError(f"{cls.__name__} has no controls, hence no gradients to compare.")
    audio, rate = excerpts(seconds)
    terminal = Terminal(stderr=True)
    rows = []
    with terminal.status("") as status:
        for cls in chosen:
            rows += agreement(cls, audio, rate, draws=draws, seed=seed, progress=status.update)
    table = markdown(rows)
    click.echo(table)
    if json_path is not None:
        about = {"draws": draws, "seconds": seconds, "seed": seed, "sample_rate": rate}
        json_path.write_text(json.dumps({**about, "rows": [r.as_dict() for r in rows]}, indent=1) + "\n")
    if readme is not None:
        from mixing.markers import replace_between

        readme.write_text(replace_between(readme.read_text(), "gradients", table))
