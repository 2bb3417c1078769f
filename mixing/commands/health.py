"""`dasp health`: whether a plugin is a function of its audio and its controls, and what may be asked of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mixing.commands._common import show
from mixing.errors import printable

if TYPE_CHECKING:
    from dasp.health import Health


@click.command("health", short_help="Examine a plugin: deterministic, finite, linear, its latency, its cost ...")
@click.argument("plugin")
@click.option("--plugin-name", help="Which plugin, of a file with several.")
@click.option("--rate", default=44100, show_default=True, type=click.IntRange(8000, 192_000), help="Sample rate in Hz.")
@click.option("--settings", default=4, show_default=True, type=click.IntRange(1, 1000), help="Random settings to try.")
@click.option("--seed", default=0, show_default=True, help="Of the settings and the signals.")
@click.option(
    "--range",
    "ranges",
    type=(str, float, float),
    multiple=True,
    metavar="NAME LOW HIGH",
    help="A control's range, where the plugin publishes none (may be repeated).",
)
@click.option("--json", "json_path", type=click.Path(dir_okay=False, path_type=Path), help="Also write the figures here.")
def command(
    plugin: str,
    plugin_name: str | None,
    rate: int,
    settings: int,
    seed: int,
    ranges: tuple[tuple[str, float, float], ...],
    json_path: Path | None,
) -> None:
    """Examine PLUGIN: a VST3 or Audio Unit file, or the name of one of Pedalboard's own.

    Which controls and options it has, and which gradients may be asked of it.
    """
    from dasp.health import external_health
    from mixing.errors import UserError
    from mixing.output import check_file, write_text

    if json_path is not None:
        check_file(json_path)

    wanted = {name: (low, high) for name, low, high in ranges}
    try:
        health = external_health(plugin, rate, plugin_name=plugin_name, ranges=wanted, settings=settings, seed=seed)
    except (ValueError, ImportError) as error:
        raise UserError(str(error)) from None
    _show(health)
    if json_path is not None:
        write_text(json_path, json.dumps(health.as_dict(), indent=1) + "\n")


def _show(health: Health) -> None:
    from rich.table import Table

    title = printable(f"{health.plugin} at {health.sample_rate:g} Hz")
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for head in ("", "answer", ""):
        table.add_column(head)
    for row in health.rows():
        table.add_row(*map(printable, row))
    show(table)
