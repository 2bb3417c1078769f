"""The comparison of all mixing systems: it runs on tiny songs, goes on where it stopped, and says what it did."""

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.comparison import running
from benchmarks.comparison.__main__ import main
from benchmarks.comparison.page import README, overview, page
from benchmarks.comparison.running import SHORT, Budget, Result, recipe
from benchmarks.comparison.systems import NAMES, SYSTEMS

sys.path.insert(0, str(Path(__file__).parent / "mixing"))
from training_songs import songs

SPLIT = ("--hold-out", "song0", "--hold-out", "song1", "--validation", "song2")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return songs(tmp_path_factory.mktemp("songs"), 4, rate=44100, seconds=1.0)


def command(*words):
    result = CliRunner().invoke(main, [str(w) for w in words])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.slow
def test_every_system_takes_part(data, tmp_path):
    files = ("--json", tmp_path / "all.json", "--page", tmp_path / "all.md")
    told = command("--data", data, "--out", tmp_path / "out", "--short", "--device", "cpu", *SPLIT, *files)
    found = json.loads((tmp_path / "all.json").read_text())["systems"]
    assert [s["name"] for s in found] == list(NAMES)
    for system, declared in zip(found, SYSTEMS, strict=True):
        assert [row["song"] for row in system["rows"]] == ["song0", "song1"], system
        assert not system["left_out"]
        assert all(row["values"]["stereo_mrstft"] > 0 for row in system["rows"])
        assert (system["parameters"] is None) == (declared.rule is not None and not declared.name.startswith("shipped"))
    text = (tmp_path / "all.md").read_text()
    assert text.strip() in told
    assert all(s.title in text for s in SYSTEMS) and "**Tiny networks" in text


def test_it_goes_on_where_it_stopped(data, tmp_path, monkeypatch):
    few = ("--only", "mono", "--only", "rules", "--only", "dmc-gain-pan")
    words = ("--data", data, "--out", tmp_path / "out", "--short", "--device", "cpu", *SPLIT)
    first = command(*words, *few)
    (tmp_path / "out" / "rules.json").unlink()
    trained, evaluate = [], running.evaluate
    monkeypatch.setattr(running, "train", lambda *args, **options: trained.append(options))
    monkeypatch.setattr(
        running, "evaluate", lambda mixers, *args, **options: trained.append([*mixers]) or evaluate(mixers, *args, **options)
    )
    again = command(*words, *few)
    assert trained == [["rules"]]
    assert again.splitlines()[-20:] == first.splitlines()[-20:]
    other = CliRunner().invoke(main, [str(w) for w in (*words, *few, "--seed", 5)])
    assert other.exit_code == 1 and "is of another budget or other songs; choose another folder" in other.output


def test_all_are_trained_on_the_same(data):
    budget = Budget(steps=100, batch=3)
    made = [recipe(s, budget) for s in SYSTEMS if s.rule is None]
    same = ("sample_rate", "seed", "steps", "batch", "validate", "validation_excerpts", "patience")
    assert len({json.dumps([c.as_dict()[name] for name in same]) for c in made}) == 1
    heard = [{k: v for k, v in c.as_dict()["data"].items() if k != "licences"} for c in made]
    assert all(h == heard[0] for h in heard)
    full = [c for s, c in zip([s for s in SYSTEMS if s.rule is None], made, strict=True) if s.name.startswith("dmc-full")]
    assert [c.model.pop("gradient") for c in full] == ["autodiff", "proxy", "hybrid", "spsa", "fd"]
    assert all(c == full[0] for c in full), "strategies differ in the strategy alone"


def test_the_page_says_who_is_least_and_what_was_left_out():
    def rows(name, values):
        return tuple(
            {"song": f"s{i}", "group": f"g{i}", "mixer": name, "values": {"stereo_mrstft": v, "pan_error": None}}
            for i, v in enumerate(values)
        )

    left = ({"song": "s9", "mixer": "b", "why": "is silent"},)
    results = [
        Result("sum", "Plain | sum", None, None, None, "", rows("sum", [1.0, 1.2, 1.4]), ()),
        Result("b", "B", 12345, 130.0, 50, "", rows("b", [0.5, 0.6, 0.7]), left),
    ]
    text = page(results, replace(SHORT, tiny=False))
    (line,) = (line for line in text.splitlines() if line.startswith("| B |"))
    assert "| 12,345 | 2 min | **0.600" in line
    (line,) = (line for line in text.splitlines() if line.startswith(r"| Plain \| sum |"))
    assert line.count("|") == 6 and line.split("|")[5].startswith(" 1.200 (")
    assert "is silent" in text and "Tiny" not in text
    short = overview(results, README).splitlines()
    assert all(line in text for line in short) and len(short) == 4  # all headlines of these rows are the README's
    assert json.dumps([asdict(r) for r in results])
    assert "## Songs whose settings are known" not in text
    results[0].rows[1]["values"]["gain_error_db"] = 2.0
    part = page(results, SHORT).partition("## Songs whose settings are known")[2]
    assert "The rendered ones alone, 1 of them." in part and "| **0.600**" in part and "| 1.200 | **2.000** |" in part
