"""`dasp fx-normalise`: the stems of a data set brought to its averages of loudness, spectrum, panning and dynamics."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mixing.commands._common import say, show, tell
from mixing.errors import UserError

if TYPE_CHECKING:
    from mixing.fx_statistics import Statistics

STATISTICS = "statistics.json"


@click.command("fx-normalise", short_help="Bring wet stems to a data set's averages, to train on.")
@click.argument("data", metavar="DATA", type=click.Path(path_type=Path))
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--layout", default="auto", show_default=True, help="How DATA is laid out; recognised by default.")
@click.option(
    "--statistics", metavar="FILE", type=click.Path(path_type=Path), help="Averages to use, as an earlier run wrote them."
)
@click.option(
    "--effects", default="eq,compression,panning,loudness", show_default=True, help="What to normalise; reverb adds one."
)
@click.option("--hold-out", multiple=True, metavar="PATTERN", help="Songs or groups that the averages leave out (repeatable).")
@click.option("--seed", default=0, show_default=True, help="Of the reverb.")
def command(
    data: Path, out: Path, layout: str, statistics: Path | None, effects: str, hold_out: tuple[str, ...], seed: int
) -> None:
    """Normalise the effects of every stem in DATA, a folder of songs, towards the averages of its family of instruments.

    Writes into OUT a folder for each song, with its stems (32-bit float) and its mix as it was, which can be trained on like
    DATA, and statistics.json, the averages. Songs that OUT has already are kept, so that a run can be taken up again; they must
    be of the same averages. After Martinez-Ramirez et al. 2022.
    """
    from mixing import fx_normalisation as fx
    from mixing.data import load
    from mixing.fx_statistics import Statistics, compute

    chosen = tuple(e.strip() for e in effects.split(",") if e.strip())
    fx.check_effects(chosen)
    if out.resolve() == data.resolve() or data.resolve() in out.resolve().parents:
        raise UserError(f"{out}: lies in the data set; choose another folder for the results.")
    songs = load(data, layout)
    say(songs.notes())
    train, _ = songs.split(hold_out)
    existing = out / STATISTICS
    if statistics is not None:
        averages = Statistics.read(statistics)
    elif existing.exists():
        averages = Statistics.read(existing)
        say([f"the averages are those of {existing}, of {len(averages.songs)} songs."])
    else:
        averages = compute(train, lambda s: tell(f"measuring {s.name}", err=True))
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({(error.strerror or str(error)).lower()}).") from None
    averages.write(existing)
    _show(averages)
    count, skipped = fx.write(songs, out, averages, chosen, seed, lambda s: tell(f"normalising {s.name}", err=True))
    say(f"skipped {what}: {why}" for what, why in skipped)
    kept = len(songs) - count - len(skipped)
    tell(f"wrote {count} songs into {out}{f', kept {kept} that were there' if kept else ''}; {STATISTICS}")


def _show(averages: Statistics) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("family")
    for title in ("stems", "LUFS", "peaks dB", "similarity at 1 kHz"):
        table.add_column(title, justify="right")
    for name, f in sorted(averages.families.items()):
        peaks = "" if f.peak_db is None else f"{f.peak_db:.1f}"
        similarity = "" if f.similarity is None else f"{f.similarity[34]:.2f}"
        table.add_row(name, str(averages.stems[name]), f"{f.loudness_lufs:.1f}", peaks, similarity)
    show(table)
