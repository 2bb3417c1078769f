"""The benchmarks' harness: it takes turns, finds what is wrong, computes its verdicts, and every group runs on small sizes."""

import json
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from benchmarks import equalizer, onepole, page, results
from benchmarks.__main__ import GROUPS, main
from benchmarks.contest import (
    BOTH,
    FORWARD,
    Contender,
    Contest,
    Setup,
    Size,
    Work,
    agree,
    by_autodiff,
    compete,
    differentiable,
)
from benchmarks.measure import Effort, Spread, interleave
from benchmarks.results import YARDSTICK, Aim, Group, Row, fastest_peer, find

ROOT = Path(__file__).resolve().parents[1]
TINY = Size("tiny", 2, 1, 256)
QUICK = Setup(quick=True)


class FakeClock:
    """Seconds that pass only when a work says so."""

    def __init__(self):
        self.now, self.calls = 0.0, []

    def work(self, name, *seconds):
        left = iter(seconds)

        def run():
            self.calls.append(name)
            self.now += next(left)

        return run

    def __call__(self):
        return self.now


def test_contenders_take_turns_and_the_first_changes():
    clock = FakeClock()
    works = {name: clock.work(name, *[1.0] * 3) for name in "abc"}
    interleave(works, Effort(repeats=3, least=3, budget=100), clock)
    assert "".join(clock.calls) == "abc" + "bca" + "cab"


def test_median_and_quartiles():
    clock = FakeClock()
    times = interleave({"a": clock.work("a", 1, 2, 3, 4, 100), "b": clock.work("b", *[7] * 5)}, Effort(5, 5, 1000), clock)
    assert times["a"] == Spread(3000, 2000, 4000, 5)
    assert times["b"] == Spread(7000, 7000, 7000, 5)


def test_who_has_had_the_budget_rests():
    clock = FakeClock()
    times = interleave({"slow": clock.work("slow", *[5] * 9), "fast": clock.work("fast", *[1] * 9)}, Effort(9, 2, 4), clock)
    assert times["slow"].runs == 2
    assert times["fast"].runs == 4


def double(x, gain):
    return x * gain.reshape(-1, 1, 1).to(x.dtype)


def twice(x, gain):
    return 2 * double(x, gain)


def not_a_number(x, gain):
    root = (gain - gain).sqrt()  # 0, with a slope that is not finite
    return double(x, gain) * (root + 1).reshape(-1, 1, 1).to(x.dtype)


def made(fn):
    return lambda x, controls: differentiable(fn, x, controls)


def refuses(x, controls):
    raise AssertionError("only ratios above 1")


def case(size, seed):
    generator = torch.Generator().manual_seed(seed)
    gain = 1 + torch.rand(size.batch, generator=generator, dtype=torch.float64).float().double()
    return torch.randn(*size.shape, generator=generator), {"gain": gain.requires_grad_()}


@pytest.fixture(scope="module")
def outcome():
    contenders = (
        Contender("ours", made(double)),
        Contender("right", made(double)),
        Contender("wrong output", made(lambda x, gain: 1.02 * double(x, gain))),
        Contender("wrong gradient", made(lambda x, gain: double(x, gain.detach() + 0.5 * (gain - gain.detach())))),
        Contender("no gradient", made(lambda x, gain: double(x, gain.detach()))),
        Contender("not a number", made(not_a_number)),
        Contender("another design", made(twice), oracle=by_autodiff(twice)),
        Contender("forward only", lambda x, controls: Work(lambda: double(x, controls["gain"].detach()))),
        Contender("missing", made(double), ("no_such_package",)),
        Contender("refuses", refuses),
    )
    return compete(Contest(case, contenders, by_autodiff(double)), TINY, BOTH, QUICK)


def row(outcome, name):
    found = find(outcome.rows, name, "tiny", BOTH)
    assert found is not None
    return found


def test_a_right_contender_is_right(outcome):
    for name in ("ours", "right", "another design"):
        assert row(outcome, name).output_error < 1e-6
        assert row(outcome, name).gradient_error < 1e-6
        assert not row(outcome, name).wrong


def test_a_wrong_output_is_found(outcome):
    assert row(outcome, "wrong output").output_error == pytest.approx(0.02, rel=1e-3)
    assert row(outcome, "wrong output").wrong


@pytest.mark.parametrize(("name", "error"), [("wrong gradient", 0.5), ("no gradient", 1.0), ("not a number", float("inf"))])
def test_a_wrong_gradient_is_found(outcome, name, error):
    assert row(outcome, name).output_error < 1e-6
    assert row(outcome, name).gradient_error == pytest.approx(error)
    assert row(outcome, name).worst_gradient == "gain"


def test_who_cannot_take_part_is_named(outcome):
    assert {r.contender for r in outcome.rows}.isdisjoint({"missing", "refuses", "forward only"})
    assert any(n.startswith("missing: left out, no_such_package") for n in outcome.notes)
    assert any(n.startswith("refuses: AssertionError") and "only ratios above 1" in n for n in outcome.notes)


def test_our_own_failure_is_no_remark():
    with pytest.raises(AssertionError, match="only ratios"):
        compete(Contest(case, (Contender("ours", refuses),), None), TINY, FORWARD, QUICK)


def test_the_yardstick_runs_in_the_same_turns(outcome):
    assert row(outcome, YARDSTICK).passes == 1
    ours = row(outcome, "ours")
    assert ours.passes == pytest.approx(ours.cpu_ms.median / row(outcome, YARDSTICK).cpu_ms.median)
    assert ours.wall_ms is not None


def test_the_fastest_peer_is_right_and_another():
    def timed(name, ms, error=0.0):
        return Row("C", BOTH, name, Spread(ms, ms, ms, 1), output_error=error)

    rows = [timed("dasp", 1), timed("dasp-pytorch", 9), timed("wrong", 2, 0.5), timed("slow", 30), timed(YARDSTICK, 0.1)]
    assert fastest_peer(rows, "dasp", "C", BOTH).contender == "dasp-pytorch"
    assert fastest_peer(rows, "dasp", "A", BOTH) is None


@pytest.mark.parametrize(
    ("figure", "limit", "at_most", "met"),
    [
        (2, 3, True, True),
        (4, 3, True, False),
        (3, 3, True, True),
        (4, 3, False, True),
        (2, 3, False, False),
        (None, 3, True, None),
    ],
)
def test_met_is_computed(figure, limit, at_most, met):
    assert Aim("work", figure, limit, at_most).met is met
    assert Aim("work", float("nan"), limit, at_most).met is False


def test_a_false_oracle_stops_the_benchmark(monkeypatch):
    x, controls = equalizer.case(TINY, 0)
    biquad = equalizer.biquad
    monkeypatch.setattr(equalizer, "biquad", lambda x, sos: (biquad(x, sos)[0] * 1.001, None))
    with pytest.raises(RuntimeError, match="sosfilt differ by"):
        equalizer.oracle(x.double(), controls, None)
    with pytest.raises(RuntimeError, match="differ by inf"):
        agree("two", torch.tensor([float("nan")]), torch.ones(1), 1.0)


def test_the_loop_that_is_the_one_poles_oracle():
    x = torch.tensor([[[1.0, 0, 0, 2]]], dtype=torch.float64)
    a = torch.tensor([[[0.9, 0.5, 0.25, 2]]], dtype=torch.float64, requires_grad=True)
    g = torch.tensor([[[0.0, 0, 0, 1]]], dtype=torch.float64)
    y, (to_x, to_a) = onepole.oracle(x, {"a": a}, g)
    assert y.tolist() == [[[1, 0.5, 0.125, 2.25]]]
    assert to_x.tolist() == [[[0.25, 0.5, 2, 1]]]
    assert to_a.tolist() == [[[0, 0.5, 1, 0.125]]]


def test_the_peak_of_memory_is_that_since_it_was_forgotten():
    """In a process of its own, as the benchmarks have it: the kernel counts loosely where many threads have run."""
    script = """
import torch
from benchmarks import memory_process as memory

rises = []
for forget in (False, True, True):
    before = memory.resident(peak=False)
    if forget:
        memory.forget_peak()
    block = torch.ones(8_000_000) if len(rises) != 1 else None
    del block
    rises.append(memory.resident(peak=True) - before)
print(*rises)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    first, nothing, again = map(int, done.stdout.split())
    assert first > 30e6
    assert nothing < 4e6
    assert 30e6 < again < 40e6


GROUP = Group(
    "Title",
    "About.",
    (
        Row(
            "C",
            BOTH,
            "dasp",
            cpu_ms=Spread(1.0, 0.9, 1.1, 5),
            passes=12.0,
            wall_ms=Spread(0.6, 0.5, 0.7, 3),
            memory=2.0,
            output_error=1e-8,
            gradient_error=float("inf"),
            worst_gradient="gain",
            note="remark",
        ),
        Row("C", BOTH, "other", Spread(20.0, 20.0, 20.0, 1), output_error=0.3),
    ),
    (Aim("first", 12.0, 45, True, " x"), Aim("second", 3.0, 4, False, " x"), Aim("third", None, 1, True)),
    ("other: left out",),
    {"processor": "some"},
    ("picture.svg",),
)


def test_json_there_and_back():
    text = results.dumps({"one": GROUP})
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert results.loads(text) == {"one": GROUP}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda g: g.pop("title"), "one: expected the fields"),
        (lambda g: g.update(more=1), "one: expected the fields"),
        (lambda g: g.update(title=1), "one.title: expected str"),
        (lambda g: g["rows"][0]["cpu_ms"].update(median="fast"), "one.rows.cpu_ms.median: expected float"),
        (lambda g: g["aims"][0].update(at_most=1), "one.aims.at_most: expected bool"),
        (lambda g: g.update(rows={}), "one.rows: expected a list"),
    ],
)
def test_json_that_is_not_ours(change, message):
    plain = json.loads(results.dumps({"one": GROUP}))
    change(plain["one"])
    with pytest.raises(ValueError, match=message):
        results.loads(json.dumps(plain))


def test_groups_measured_one_by_one_come_together(tmp_path):
    path = tmp_path / "figures.json"
    path.write_text(results.dumps({"one": GROUP, "two": GROUP}))
    newer = replace(GROUP, title="newer")
    assert results.merged(path, {"two": newer}) == {"one": GROUP, "two": newer}
    assert results.merged(tmp_path / "none.json", {"two": newer}) == {"two": newer}


def test_the_page_has_verdicts():
    text = page.page({"one": GROUP})
    assert "| first | <= 45 x | 12 x | met |" in text
    assert "| second | >= 4 x | 3 x | **not met** |" in text
    assert "| third | <= 1 | not measured | - |" in text
    assert "| C | f+b | dasp | 1 (0.9 to 1.1) | 12 | 0.6 (0.5 to 0.7) | 2 x | 1e-08 | not finite gain | remark |" in text
    assert "3e-01 **wrong**" in text
    assert "- other: left out" in text
    assert "![Title](picture.svg)" in text


def test_every_file_of_a_group_is_listed():
    helpers = {
        "contest",
        "measure",
        "memory",
        "memory_process",
        "page",
        "results",
        "workers",
        "optimisation",
    }  # the last is a command of its own
    files = {path.stem for path in (ROOT / "benchmarks").glob("[!_]*.py")}
    assert files - helpers == set(GROUPS)


def test_benchmarks_are_in_no_wheel():
    table = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["scikit-build"]
    assert "benchmarks" not in table["wheel"]["packages"]
    assert "benchmarks" in table["sdist"]["exclude"]


def test_a_quick_run_of_everything(tmp_path):
    figures, written = tmp_path / "figures.json", tmp_path / "page.md"
    done = CliRunner().invoke(main, ["--quick", "--json", str(figures), "--page", str(written)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    found = results.loads(figures.read_text())
    assert list(found) == list(GROUPS)
    for name, group in found.items():
        ours = [r for r in group.rows if r.contender.startswith("dasp") or name == "growth"]
        assert ours or group.notes, name
        assert not any(r.wrong for r in ours if r.contender != "dasp-pytorch"), name
        assert group.machine["seed"] == "0"
    assert written.read_text() in done.output + "\n"
    assert all((tmp_path / f).exists() for group in found.values() for f in group.figures)


def test_a_file_that_cannot_be_written_is_refused_first(tmp_path):
    done = CliRunner().invoke(main, ["equalizer", "--quick", "--page", str(tmp_path / "none" / "page.md")])
    assert done.exit_code == 1
    assert "cannot be written" in done.output


def test_an_unknown_group_is_refused():
    done = CliRunner().invoke(main, ["equaliser"])
    assert done.exit_code == 2
    assert "equalizer" in done.output
