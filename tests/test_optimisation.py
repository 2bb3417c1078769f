"""The optimisation test itself, on an effect whose proxy is the effect: then proxy, hybrid and autodiff are one."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch
from click.testing import CliRunner

import dasp
from benchmarks.optimisation import STRATEGIES, Loss, chosen_strategies, draw, esr_db, main, page, race


class Noise:
    def clip(self, generator, samples, channels):
        return (0.3 * generator.standard_normal((channels, samples))).astype(np.float32)


def distortion():
    return dasp.Distortion(proxy=dasp.Distortion().target().whitebox)


@pytest.fixture(scope="module")
def rows():
    effect = distortion()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("benchmarks.optimisation.MOST_STEPS", 1)
        return race(effect, draw(effect, Noise(), 2, 2048, 2, 0), 25, 0, lambda _: None)


def test_every_strategy_in_equal_steps_and_in_equal_time(rows):
    assert [(r.strategy, r.equal) for r in rows] == [(name, equal) for equal in ("steps", "seconds") for name in STRATEGIES]
    assert {r.steps for r in rows if r.equal == "steps"} == {25}
    assert all(r.before > -30 > r.esr_db and r.below_30 > 0.5 for r in rows if r.strategy == "fd")


def test_a_proxy_that_is_the_effect_descends_as_the_effect_does(rows):
    by_name = {r.strategy: r for r in rows if r.equal == "steps"}
    for name in ("proxy", "hybrid"):
        assert math.isclose(by_name[name].control_error, by_name["autodiff"].control_error, abs_tol=2e-3)
    assert by_name["autodiff"].control_error < 0.05


def test_the_page_has_a_row_for_each(rows):
    text = page({"dasp:Distortion": rows})
    assert text.count("| hybrid |") == 2 and "Equal seconds; 2 pairs of 2048 samples" in text and "best of 2 start(s)" in text
    (short,) = [line for line in text.splitlines() if line.startswith("| dasp:Distortion | 1 |")]
    fd, hybrid = (next(r for r in rows if (r.strategy, r.equal) == (name, "steps")) for name in ("fd", "hybrid"))
    assert f"| {hybrid.esr_db - fd.esr_db:.1f} |" in short


def test_the_page_says_where_the_aim_is_missed(rows):
    fd = next(r for r in rows if (r.strategy, r.equal) == ("fd", "steps"))

    def with_hybrid(esr_db, seconds, given_db):
        others = [replace(r, esr_db=esr_db, seconds=seconds) for r in rows if (r.strategy, r.equal) == ("hybrid", "steps")]
        given = [replace(r, esr_db=given_db) for r in rows if (r.strategy, r.equal) == ("hybrid", "seconds")]
        return [fd, *others, *given]

    behind = with_hybrid(fd.esr_db + 3.2, 2 * fd.seconds, fd.esr_db + 1)
    ahead = with_hybrid(fd.esr_db + 2.9, 0.5 * fd.seconds, fd.esr_db - 1)
    text = page({"dasp:Slow": behind, "dasp:Quick": ahead})
    assert "Missed by: dasp:Slow (3.2 dB)." in text
    assert "than one of fd on: dasp:Quick. In fd's time hybrid comes further than fd on: dasp:Quick." in text
    assert "Missed by: none." in page({"dasp:Quick": ahead})


def test_pairs_differ_and_are_reproducible():
    effect = distortion()
    one, two = (draw(effect, Noise(), 5, 2048, 3, 7) for _ in range(2))
    assert torch.equal(one.x, two.x) and torch.equal(one.starts, two.starts) and one.starts.shape == (5, 3, 1)
    assert (esr_db(effect(one.x, one.starts[:, 0]), one.target) > -30).all()


def test_the_loss_of_an_item_is_its_own():
    target = torch.randn(3, 1, 2048)
    y = (target + 0.1).requires_grad_()
    g = torch.autograd.grad(Loss(target)(y)[1], y)[0]
    assert not g[0].any() and not g[2].any() and g[1].any()


def test_strategies_are_those_that_an_effect_has_views_for():
    assert list(chosen_strategies(dasp.Gain(), ())) == ["autodiff", "fd", "spsa 1", "spsa 4"]
    assert list(chosen_strategies(distortion(), ("fd", "hybrid"))) == ["fd", "hybrid"]


def test_the_command(tmp_path):
    (tmp_path / "song").mkdir()
    soundfile.write(tmp_path / "song" / "a.wav", 0.3 * np.random.default_rng(0).standard_normal(20000), 44100)
    options = ["--audio", tmp_path, "--pairs", 2, "--starts", 1, "--steps", 2, "--samples", 2048, "--strategy", "fd"]
    run = CliRunner().invoke(main, ["dasp:Gain", *map(str, options), "--json", str(tmp_path / "o.json")])
    assert run.exit_code == 0, run.output
    (row, other) = json.loads((tmp_path / "o.json").read_text())["dasp:Gain"]
    assert (row["strategy"], row["equal"], other["equal"]) == ("fd", "steps", "seconds")
    CliRunner().invoke(main, ["dasp:Clipping", *map(str, options), "--json", str(tmp_path / "o.json")])
    assert list(json.loads((tmp_path / "o.json").read_text())) == ["dasp:Gain", "dasp:Clipping"]
    refused = CliRunner().invoke(main, ["dasp:Gian", "--audio", str(tmp_path)])
    assert refused.exit_code == 1 and "Did you mean 'Gain'" in refused.output
