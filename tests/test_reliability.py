"""The trials that count failures: a short run of all finds none, and they can fail."""

import json
import time

from click.testing import CliRunner

from benchmarks.reliability.__main__ import SECTIONS, main
from benchmarks.reliability.worker import Worker


def test_a_short_run_finds_no_failure(tmp_path):
    figures, page = tmp_path / "figures.json", tmp_path / "page.md"
    done = CliRunner().invoke(main, ["--short", "--json", str(figures), "--page", str(page)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    found = json.loads(figures.read_text())
    assert list(found) == list(SECTIONS)
    assert all(outcome["tried"] > 0 for section in found.values() for outcome in section["outcomes"])
    assert all(f"## {name.capitalize()}" in page.read_text() for name in SECTIONS)


def trial(what: str) -> tuple[str, str]:
    """What a trial may come to."""
    import os

    if what == "crash":
        os.abort()
    if what == "hang":
        time.sleep(60)
    if what == "memory":
        len(b"x" * 900_000_000)
    if what == "traceback":
        raise KeyError("gone")
    return "done", ""


def test_every_bad_end_is_seen_and_the_next_trial_goes_on():
    with Worker(f"{__name__}:trial", seconds=5) as worker:
        assert worker.run("nothing") == ("done", "")
        for what, end in (("crash", "crashed"), ("traceback", "traceback"), ("memory", "memory"), ("hang", "hung")):
            found, failure = worker.run(what)
            assert found == end and failure, what
            assert worker.run("nothing") == ("done", "")
