"""The command line as it is installed, on the multitrack that ships with it.

The suite runs these tests beside the development install, `make compat` a copy of this file, in an empty folder, with the extras
`mixing` and `plugins` alone. Hence it needs nothing but pytest and dasp.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

DASP = Path(sys.executable).with_name("dasp")


@pytest.fixture
def dasp(tmp_path):
    """Run the installed script in an empty folder: what it prints."""

    def run(*arguments: str) -> str:
        done = subprocess.run([DASP, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_it_says_what_it_can_do(dasp):
    assert "match" in dasp("--help")
    assert "threshold_db" in dasp("effects", "Compressor")


def test_the_demo_stems_are_mixed_and_become_a_page(dasp, tmp_path):
    from mixing.demo_data import FRANCIUM

    dasp("mix", os.fspath(FRANCIUM), "-o", "mix", "--desk")
    settings = json.loads((tmp_path / "mix" / "settings.json").read_text())
    assert len(settings["tracks"]) == 9
    assert (tmp_path / "mix" / "desk" / "index.html").is_file()


def test_the_demo_recovers_hidden_settings(dasp, tmp_path):
    assert "recovered beside hidden" in dasp("demo", "-o", "demo", "--steps", "2", "--no-polish")
    assert {f.name for f in (tmp_path / "demo").iterdir()} == {"mix.wav", "reference.wav", "report.html", "settings.json"}
    assert "<svg" in (tmp_path / "demo" / "report.html").read_text()
