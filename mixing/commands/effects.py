"""`dasp effects`: the table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mixing.commands._common import show, tell

if TYPE_CHECKING:
    from dasp import Effect


@click.command("effects", short_help="List the effects and their controls.")
@click.argument("name", required=False)
@click.option("--markdown", is_flag=True, help="Print a Markdown table.")
@click.option(
    "--plot", metavar="FILE", type=click.Path(path_type=Path), help="Draw what each control of NAME does instead: SVG or PNG."
)
def command(name: str | None, markdown: bool, plot: Path | None) -> None:
    """List every effect, its controls, their units, ranges, scales and defaults; or those of effect NAME."""
    from dasp.effects import find, registry
    from mixing.errors import UserError

    try:
        chosen = [find(name)] if name else list(registry().values())
    except ValueError as error:
        raise UserError(str(error)) from None
    if plot is not None:
        if not name:
            raise UserError("--plot draws one effect: name it, as in dasp effects Compressor --plot compressor.svg.")
        from mixing.pictures import effects, style

        style.check(plot)
        style.save(effects.picture(chosen[0]), plot)
        tell(f"wrote {plot}")
        return
    rows = [row for cls in chosen for row in _rows(cls)]
    titles = ("effect", "control", "range", "unit", "scale", "default", "")
    if markdown:
        click.echo(f"| {' | '.join(titles)} |\n|{'---|' * len(titles)}")
        for effect, control, *rest in rows:
            click.echo(f"| {effect} | {f'`{control}`' if control else ''} | {' | '.join(rest)} |")
    else:
        _print(titles, rows)
    for cls in chosen:
        if cls.options and not markdown:
            settings = ", ".join(f"--{k} (default {v})" for k, v in cls.options.items())
            click.echo(f"{cls.__name__} also takes {settings}.")


def _rows(cls: type[Effect]) -> list[tuple[str, ...]]:
    """A row a control, the effect's name in the first; one row for an effect without controls."""
    rows = [("", q.name, f"{q.low:g} to {q.high:g}", q.unit, q.scale, f"{q.default:g}", q.doc) for q in cls.controls]
    first, *others = rows or [("",) * 6 + ("no controls",)]
    return [(cls.__name__, *first[1:]), *others]


def _print(titles: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in titles:
        table.add_column(title, no_wrap=title != "", style="bold" if title == "effect" else None)
    for row in rows:
        table.add_row(*row)
    show(table)
