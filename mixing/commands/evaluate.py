"""`dasp evaluate`: how good are these mixers?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mixing.commands._common import Number, provenance, say, show, tell
from mixing.errors import UserError, nearest, printable

if TYPE_CHECKING:
    from mixing.evaluation.table import Table

PAGE, MARKDOWN, SONGS, SUMMARY = "evaluation.html", "evaluation.md", "songs.csv", "summary.csv"
FILES = (PAGE, MARKDOWN, SONGS, SUMMARY)


@click.command("evaluate", short_help="Compare mixers with human mixes, in numbers.")
@click.argument("models", metavar="MODELS...", nargs=-1, required=True)
@click.option("--data", required=True, metavar="DIR", type=click.Path(path_type=Path), help="The songs: stems and mixes.")
@click.option("--layout", default="auto", show_default=True, help="How DIR is laid out; dasp knows the usual data sets.")
@click.option("-o", "--output", metavar="OUT_DIR", required=True, type=click.Path(path_type=Path), help="Folder for the results.")
@click.option("--songs", "patterns", multiple=True, metavar="PATTERN", help="Only songs (or groups) of such names; repeatable.")
@click.option("--seconds", metavar="N", type=Number(1, 1e6, "s"), help="Only the middle of each song; by default all of it.")
@click.option("--against", metavar="MODEL", help="With which the tests compare the others; by default the first.")
@click.option(
    "--by",
    type=click.Choice(["group", "song"]),
    default="group",
    show_default=True,
    help="What the bootstrap draws and the tests pair: songs of one work together, or each song.",
)
@click.option("--confidence", default=0.95, show_default=True, type=Number(0.5, 0.999), help="Of the intervals.")
@click.option("--embedding", metavar="MODULE:FUNCTION", help="Of (audio (2, T), rate) -> vector: for Frechet distances.")
@click.option("--seed", default=0, show_default=True, help="Of the random mixer and of the bootstrap.")
def command(
    models: tuple[str, ...],
    data: Path,
    layout: str,
    output: Path,
    patterns: tuple[str, ...],
    embedding: str | None,
    against: str | None,
    **options: Any,
) -> None:
    """Mix every song with every model, compare the mixes with the songs' own, and write tables.

    MODELS are names that `dasp mix --model` takes, files of weights, or folders of finished mixes (NAME.wav for the song NAME);
    LABEL=MODEL gives one a name of its own. Writes into OUT_DIR, all or none: evaluation.html (tables and plots), evaluation.md,
    songs.csv (every metric of every mix) and summary.csv (means, intervals, tests).

    What cannot be measured is listed with the reason and counts nowhere.
    """
    from mixing.output import check_folder, write_folder, write_text

    check_folder(output, FILES)
    labels = named(models)
    if against is not None and against not in labels:
        raise UserError(f"--against {against}: is none of {', '.join(labels)}.{nearest(against, labels)}")

    from mixing import data as sets
    from mixing.evaluation.embedding import find
    from mixing.evaluation.page import page
    from mixing.evaluation.run import evaluate

    vectors = None if embedding is None else find(embedding)
    loaded = sets.load(data, layout)
    say(f"{what}: left out: {why}" for what, why in loaded.skipped)
    songs = chosen(loaded.songs, patterns)
    mixers = {label: mixer(spec, options["seed"]) for label, spec in labels.items()}
    with Bar(len(songs) * len(mixers)) as bar:
        table = evaluate(mixers, songs, embedding=vectors, against=against, progress=bar.show, **options)
    say(f"{x.song}{f', {x.mixer}' if x.mixer else ''}: left out: {x.why}" for x in table.left_out)
    about = {"data": loaded.name, **provenance()}
    text = page(table, about)

    def save(folder: Path) -> None:
        for name, content in zip(FILES, (text, table.markdown(), table.csv(), table.summary_csv()), strict=True):
            write_text(folder / name, content)

    write_folder(output, save)
    _summary(table)
    tell(f"wrote {output / PAGE}, {MARKDOWN}, {SONGS} and {SUMMARY}")


def named(models: tuple[str, ...]) -> dict[str, str]:
    """Label -> what is to be evaluated; a path without a label is called by its last part.

    Raises:
        UserError: two of one label.
    """
    out: dict[str, str] = {}
    for given in models:
        label, equals, spec = given.partition("=")
        if not equals or Path(given).exists():
            label, spec = (Path(given).stem if Path(given).exists() else given), given
        if not label or not spec:
            raise UserError(f"{given}: expected MODEL or LABEL=MODEL.")
        if label in out:
            raise UserError(f"{given}: there are two models called {label}; give one another name: LABEL={spec}.")
        out[label] = spec
    return out


def chosen(songs: tuple[Any, ...], patterns: tuple[str, ...]) -> tuple[Any, ...]:
    """The songs whose name or group fits one of the patterns; all of them without any.

    Raises:
        UserError: none does.
    """
    if not patterns:
        return songs
    found = tuple(s for s in songs if s.named(patterns))
    if not found:
        known = ", ".join(s.name for s in songs[:5])
        raise UserError(f"--songs {' '.join(patterns)}: no song or group fits; there are {known}{', ...' * (len(songs) > 5)}.")
    return found


def mixer(spec: str, seed: int) -> Any:
    """A folder of finished mixes, or what `mixing.models` makes of the string."""
    from mixing import models
    from mixing.evaluation.finished import FinishedMixes

    if Path(spec).is_dir():
        return FinishedMixes(spec)
    return models.mixer(spec, **({"seed": seed} if spec == "random" else {}))


class Bar:
    """A progress bar on a terminal; nothing elsewhere."""

    def __init__(self, total: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}", markup=False))
        self.bar = Progress(*columns, console=console, disable=not console.is_terminal, transient=True)
        self.task, self.started = self.bar.add_task("", total=total), False

    def __enter__(self) -> Bar:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def show(self, song: str, name: str) -> None:
        self.bar.update(self.task, advance=1 if self.started else 0, description=printable(f"{song}, {name}"))
        self.started = True


def _summary(table: Table) -> None:
    """The headlines on the terminal."""
    from rich.table import Table as Lines

    from mixing.evaluation.table import heading, spread
    from mixing.text_tables import NOTHING

    lines = Lines(box=None, pad_edge=False, header_style="bold")
    lines.add_column("mixer")
    for metric in table.headlines:
        lines.add_column(heading(metric), justify="right")
    for name in table.mixers:
        found = [table.summary(m.name).get(name) for m in table.headlines]
        lines.add_row(printable(name), *(spread(f) if f else NOTHING for f in found))
    show(lines)
