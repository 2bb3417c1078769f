"""The suite of speed regressions: asked for or skipped, in turns, its ratios, its record, and the end that it comes to."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.contest import BOTH, FORWARD
from benchmarks.regressions import record, suite
from benchmarks.regressions.__main__ import main
from benchmarks.regressions.page import page

ROOT = Path(__file__).resolve().parents[1]
MACHINE = {"processor": "some", "torch": "1.0"}


def report(factor=1.0, turns=5, without=()):
    """What pytest-benchmark writes where every peer takes twice the time of dasp, and dasp `factor` times its own."""
    rows = []
    for turn, run in suite.turns(suite.chosen(), turns):
        if run.contender in without:
            continue
        seconds = 0.01 * factor if run.contender in suite.OURS else 0.02
        told = [seconds, seconds, 50 * seconds]  # the last one was disturbed
        rows.append({"extra_info": run.key | {"turn": turn}, "stats": {"data": told}})
    left_out = {"loss": ["auraloss: left out"]} if "auraloss" in without else {}
    return {"benchmarks": rows, "dasp": {"left_out": left_out, "machine": MACHINE}}


@pytest.fixture
def command(tmp_path):
    """Runs the command on a made-up report, beside the files of its earlier runs: (status, all that it said)."""

    def run(told, *options):
        path = tmp_path / "report.json"
        path.write_text(told if isinstance(told, str) else json.dumps(told))
        files = ["--json", str(tmp_path / "kept.json"), "--page", str(tmp_path / "page.md")]
        done = CliRunner().invoke(main, ["--report", str(path), *files, *options])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, done.output

    return run


def test_every_run_is_of_a_contender():
    for pairing in suite.PAIRINGS:
        known = {one.name for one in suite.contest(pairing.group, pairing.contest).contenders}
        assert {pairing.ours, *pairing.peers} <= known, pairing
    labels = [(pairing.label, pairing.ours) for pairing in suite.PAIRINGS]
    assert len(set(labels)) == len(labels)


def test_contenders_take_turns_and_the_first_changes():
    runs = list(suite.turns(suite.chosen(["onepole"]), 2))
    assert [turn for turn, _ in runs] == [0] * 6 + [1] * 6
    told = [(run.work, run.contender) for _, run in runs]
    contest = [(work, name) for work in (FORWARD, BOTH) for name in ("dasp", "torchlpc", "philtorch")]
    assert told == contest + contest[1:] + contest[:1]


def test_a_contender_of_two_pairings_runs_once_a_turn():
    runs = [run for _, run in suite.turns(suite.chosen(), 1)]
    assert len(set(runs)) == len(runs)
    assert sum(run.group == "strip" for run in runs) == 3
    assert [(run.work, run.contender) for run in runs if run.group == "reverb"] == [
        (FORWARD, "dasp"),
        (FORWARD, "pedalboard"),
        (BOTH, "dasp"),
    ]


def pytest_here(*options):
    # Without what tells pytest-benchmark that it is a worker's child.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_it_is_skipped_unless_asked():
    done = pytest_here("benchmarks/regressions")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "make regressions" in done.stdout and "skipped in" in done.stdout
    assert "passed" not in done.stdout


def test_a_short_run(tmp_path):
    figures, written = tmp_path / "kept.json", tmp_path / "page.md"
    done = CliRunner().invoke(main, ["convolution", "--quick", "--json", str(figures), "--page", str(written)])
    assert done.exit_code == 0, done.output
    (kept,) = record.read(figures).values()
    assert kept.latest == kept.record
    peers = {figure.peer for figure in kept.latest.figures}
    left_out = {reason.split(":")[0] for reason in kept.latest.left_out}
    assert suite.FAST_FFT in peers
    assert peers | left_out == {suite.FFT, suite.FAST_FFT}, "who is not measured is named"
    assert all(figure.ratio.median > 0 and figure.ratio.runs == 1 for figure in kept.latest.figures)
    assert "| convolution, 2 s, f+b, quick |" in written.read_text()


def test_the_ratio_is_that_of_medians_in_the_same_turn():
    told = report()
    for one in told["benchmarks"]:
        slow = 3 if one["extra_info"]["turn"] == 2 else 1  # the machine was busy in one turn, with everyone
        one["stats"]["data"] = [slow * s for s in one["stats"]["data"]]
    (figure,) = record.figures(told, suite.chosen(["reverb"])[:1])
    assert (figure.ratio.median, figure.ratio.low, figure.ratio.high, figure.ratio.runs) == pytest.approx((2, 2, 2, 5))
    assert figure.ours_ms.median == pytest.approx(10)
    assert figure.peer_ms.median == pytest.approx(20)


def test_the_first_run_is_on_record_and_an_equal_one_is_no_regression(command, tmp_path):
    assert command(report())[0] == 0
    status, said = command(report(factor=1.3))
    assert status == 0
    assert "slower" not in said
    text = (tmp_path / "page.md").read_text()
    assert "| six-band EQ, forward, B | 13 | torchlpc | 20 | 1.54 (1.54 to 1.54) | 2 | 0.77 |" in text
    assert "| strip and loss step, f+b, B, dasp, Freeverb | 13 |" in text
    assert "make regressions" in text and "processor some" in text
    assert text == page(record.read(tmp_path / "kept.json"))


def test_a_regression_is_found(command, tmp_path):
    command(report())
    status, said = command(report(factor=1.5))
    assert status == 1
    assert "slower: six-band EQ, forward, B, dasp against torchlpc: 1.33 x, 2 x on record" in said
    assert "| 1.33 (1.33 to 1.33) | 2 | 0.67 **slower** |" in (tmp_path / "page.md").read_text()
    assert command(report())[0] == 0, "a regression does not become the record"


def test_a_new_record_when_asked(command):
    command(report())
    assert command(report(factor=1.5), "--record")[0] == 0
    assert command(report(factor=1.5))[0] == 0
    assert command(report(factor=3))[0] == 1


def test_a_peer_that_is_missing_is_listed_and_no_regression(command, tmp_path):
    command(report())
    assert command(report(without=("auraloss",)))[0] == 0
    text = (tmp_path / "page.md").read_text()
    assert "- auraloss: left out" in text
    assert "| MR-STFT loss, hops of a quarter, f+b, B |  | auraloss |  |  | 2 | not measured |" in text


def test_a_peer_that_is_new_is_not_on_record(command, tmp_path):
    command(report(without=("philtorch",)))
    assert command(report())[0] == 0
    assert "| philtorch | 20 | 2 (2 to 2) |  | new |" in (tmp_path / "page.md").read_text()


def test_some_groups_leave_the_others(command, tmp_path):
    command(report())
    told = report(factor=1.2)
    told["benchmarks"] = [one for one in told["benchmarks"] if one["extra_info"]["group"] == "loss"]
    assert command(told)[0] == 0
    kept = record.read(tmp_path / "kept.json")
    assert list(kept) == list(suite.GROUPS)
    assert {group: run.latest.figures[0].ratio.median for group, run in kept.items() if run.latest != run.record} == {
        "loss": pytest.approx(2 / 1.2)
    }


@pytest.mark.parametrize("told", ["[]", "{}", '{"benchmarks": [{}], "dasp": {}}', '{"benchmarks": 1, "dasp": {}}'])
def test_another_report_is_refused(command, told):
    status, said = command(told)
    assert status == 1
    assert "expected the JSON of a run of benchmarks/regressions" in said


def test_a_file_of_another_form_is_refused(command, tmp_path):
    (tmp_path / "kept.json").write_text('{"loss": 1}')
    status, said = command(report())
    assert status == 1
    assert "loss: expected the fields latest, record" in said


def test_an_unknown_group_is_refused():
    done = CliRunner().invoke(main, ["equaliser"])
    assert done.exit_code == 2
    assert "equalizer" in done.output


def test_a_failing_suite_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: subprocess.CompletedProcess(a, 1))
    done = CliRunner().invoke(main, ["--json", str(tmp_path / "kept.json")])
    assert done.exit_code == 1
    assert "pytest ended with status 1" in done.output
    assert not list(tmp_path.iterdir())
