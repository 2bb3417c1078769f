"""The command: `python -m benchmarks.regressions [GROUP ...]`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).resolve().parents[2]
FILE = click.Path(path_type=Path, dir_okay=False)


@click.command(help="Time dasp beside its peers, some groups or all, and hold the ratios against those on record.")
@click.argument("groups", nargs=-1, metavar="[GROUP]...")
@click.option("--record", is_flag=True, help="Put these ratios on record. A group's first run is on record anyway.")
@click.option("--quick", is_flag=True, help="Short audio, one turn: to see that it works, not how fast it is.")
@click.option(
    "--report",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    metavar="FILE",
    help="Measure nothing: take the JSON that pytest's --benchmark-json wrote.",
)
@click.option("--json", "json_path", type=FILE, metavar="FILE", help="Keep the ratios here, and read here those on record.")
@click.option("--page", "page_path", type=FILE, metavar="FILE", help="Write the page here.")
def main(
    groups: tuple[str, ...], record: bool, quick: bool, report: Path | None, json_path: Path | None, page_path: Path | None
) -> None:
    from benchmarks.regressions import record as records
    from benchmarks.regressions.page import page, table
    from benchmarks.regressions.suite import GROUPS, chosen
    from benchmarks.results import dumps
    from mixing.errors import UserError
    from mixing.output import check_file, write_text
    from mixing.strict_json import parse

    if unknown := set(groups) - set(GROUPS):
        raise click.UsageError(f"there is no group {sorted(unknown)[0]}; choose from {', '.join(GROUPS)}.")
    try:
        for path in filter(None, (json_path, page_path)):
            check_file(path)
        kept = records.read(json_path) if json_path else {}
        found = parse(str(report), report.read_text(encoding="utf-8")) if report else measure(groups, quick)
        new = records.measured(found, chosen(groups, quick))
    except (UserError, ValueError) as error:
        raise click.ClickException(str(error)) from None
    except (AttributeError, KeyError, TypeError):
        raise click.ClickException(f"{report}: expected the JSON of a run of benchmarks/regressions; this is another.") from None
    all_kept = records.merged(kept, new, record)
    if json_path:
        write_text(json_path, dumps(all_kept))
    if page_path:
        write_text(page_path, page(all_kept))
    now = {group: all_kept[group] for group in new}
    click.echo(table(now))
    slower = [v for group in now.values() for v in records.verdicts(group) if v.regressed]
    for v in slower:
        ratio = f"{v.figure.ratio.median:.3g} x, {v.recorded:.3g} x on record"
        click.echo(f"slower: {v.figure.work}, {v.figure.ours} against {v.figure.peer}: {ratio}", err=True)
    if slower:
        sys.exit(1)


def measure(groups: tuple[str, ...], quick: bool) -> dict[str, Any]:
    """Run the suite in a process of its own: pytest-benchmark's report.

    Raises:
        ClickException: a benchmark of dasp's failed.
    """
    options = [f"--speed-group={group}" for group in groups] + (["--speed-quick", "--speed-turns=1"] if quick else [])
    # Whoever calls may be a test, or a worker of several, beside which pytest-benchmark refuses to work.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "pytest", "benchmarks/regressions", "-q", "-p", "no:cacheprovider", "--benchmark-only"]
        command += ["--benchmark-quiet", f"--benchmark-json={report}", *options]
        status = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
        if status:
            raise click.ClickException(f"pytest ended with status {status}, so there are no ratios and nothing is written.")
        return json.loads(report.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
