"""`dasp listen-report`: what the listeners said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mixing.commands._common import Number, provenance, say, show, tell
from mixing.errors import UserError, printable

PAGE, MARKDOWN, RATINGS, SUMMARY, TESTS, EXCLUDED = (
    "listening.html",
    "listening.md",
    "ratings.csv",
    "summary.csv",
    "tests.csv",
    "excluded.csv",
)
FILES = (PAGE, MARKDOWN, RATINGS, SUMMARY, TESTS, EXCLUDED)


@click.command("listen-report", short_help="Say what came of a listening test.")
@click.argument("ratings", metavar="RATINGS...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--key", "key_file", metavar="FILE", type=click.Path(path_type=Path), help="Of the test; by default found near.")
@click.option("-o", "--output", metavar="OUT_DIR", required=True, type=click.Path(path_type=Path), help="Folder for the results.")
@click.option("--min-page-seconds", default=10.0, show_default=True, type=Number(0, 3600, "s"), help="Left sooner: not counted.")
@click.option("--min-heard", default=0.9, show_default=True, type=Number(0, 600, "s"), help="Of each stimulus; 0 asks for none.")
@click.option("--repeat-tolerance", default=25.0, show_default=True, type=Number(0, 100), help="Of 100, on repeated pages.")
@click.option("--reference-below", default=90.0, show_default=True, type=Number(0, 100), help="MUSHRA: 0 asks for none.")
@click.option("--anchor-above", default=90.0, show_default=True, type=Number(0, 100), help="MUSHRA, 7 kHz; 100 allows all.")
@click.option("--share", default=0.15, show_default=True, type=Number(0, 1), help="Of pages on which these two may be broken.")
@click.option(
    "--by",
    type=click.Choice(["listener", "page"]),
    default="listener",
    show_default=True,
    help="What medians and tests take as independent.",
)
@click.option("--confidence", default=0.95, show_default=True, type=Number(0.5, 0.999), help="Of the intervals.")
@click.option("--seed", default=0, show_default=True, help="Of the bootstrap.")
def command(
    ratings: tuple[Path, ...],
    key_file: Path | None,
    output: Path,
    min_page_seconds: float,
    min_heard: float,
    by: Any,
    confidence: float,
    seed: int,
    **limits: float,
) -> None:
    """Clean the ratings of a listening test, and write box plots, medians with intervals and tests.

    RATINGS are the JSON files that the page of `dasp listen` saved, or folders of them. Writes into OUT_DIR, all or none:
    listening.html, listening.md, ratings.csv (every rating that counts, with its condition), summary.csv, tests.csv and
    excluded.csv. Files that are of another test or were changed are refused, and listed with what the rules left out.
    """
    from mixing.listening import ratings as handed
    from mixing.output import check_folder, write_folder, write_text

    check_folder(output, FILES)
    files = handed.listed(ratings)
    key_file = key_file or handed.find_key(files)
    key = handed.read_key(key_file)
    files = [f for f in files if f.resolve() != key_file.resolve()]

    from mixing.listening.cleaning import Rules
    from mixing.listening.report import Report, counted, page

    rules = Rules(min_page_s=min_page_seconds, min_heard_s=min_heard, **limits).screening(key["method"] == "mushra")
    report = Report(key, handed.read(files, key), rules, by, confidence, seed)
    say(f"left out: {line}" for line in report.left_out())
    if not report.sessions:
        why = "; ".join(report.left_out()[:1]).removesuffix(".") or "give some"
        raise UserError(f"no ratings are left of {counted(len(files), 'file')}: {why}.")
    texts = (
        page(report, provenance()),
        report.markdown(),
        report.csv(),
        report.summary_csv(),
        report.tests_csv(),
        report.excluded_csv(),
    )

    def save(folder: Path) -> None:
        for name, content in zip(FILES, texts, strict=True):
            write_text(folder / name, content)

    write_folder(output, save)
    _summary(report)
    tell(f"wrote {output / PAGE}, {', '.join(FILES[1:-1])} and {FILES[-1]}")


def _summary(report: Any) -> None:
    """The medians on the terminal."""
    from rich.table import Table

    from mixing.listening.report import spread

    lines = Table(box=None, pad_edge=False, header_style="bold")
    lines.add_column("condition")
    for c in report.criteria:
        lines.add_column(printable(c.title), justify="right")
    for name in report.conditions:
        found = [spread(report.results[c.name].centres[name]) for c in report.criteria]
        lines.add_row(printable(name), *found)
    show(lines)
