"""The measurement of gradients: exact ones are seen to be exact, noise and bias are told apart, the command writes its tables."""

import json
import math
from dataclasses import replace

import pytest
import torch

import dasp
from dasp import SPSA, Autodiff, Effect, FiniteDifference, Param
from dasp.testing import music
from mixing import agreement as a


class Curved(Effect):
    """A gain whose third derivative is large: differences are biased. And a control that has no gradient."""

    controls = (
        Param("level", "", 0.0, 1.0, 0.5, doc="gain"),
        Param("bend", "", 0.0, 1.0, 0.5, doc="its cube"),
        Param("steps", "", 0.0, 8.0, 4.0, doc="rounded", surrogate="none"),
    )

    @staticmethod
    def dsp(x, *, sample_rate, level, bend, steps):
        return x * (level + 4 * bend**3 + 0 * steps.round()).to(x.dtype)


def audio():
    return music(seconds=0.05, batch=2).float()


def test_float64_autodiff_is_itself(monkeypatch):
    monkeypatch.setattr(a, "strategies", lambda: {"autodiff float64": (Autodiff(), torch.float64)})
    (row,) = a.agreement(dasp.Compressor, audio(), 44100, draws=3)
    assert math.isclose(row.cosine, 1.0)
    assert math.isclose(row.norm_ratio, 1.0)
    assert row.bias < 1e-6
    assert row.deviation == 0


def test_a_wrong_gradient_is_seen(monkeypatch):
    class Half(Autodiff):
        def __call__(self, target, x, controls, **aux):
            return super().__call__(target, x, 0.5 * controls + 0.5 * controls.detach(), **aux)

    monkeypatch.setattr(a, "strategies", lambda: {"half": (Half(), torch.float64)})
    (row,) = a.agreement(Curved, audio(), 44100, draws=2)
    assert math.isclose(row.norm_ratio, 0.5)
    assert math.isclose(row.bias, 0.5)


def test_noise_and_bias_of_spsa_are_told_apart(monkeypatch):
    """A cubic in one of two controls: its central difference is off by step^2, whatever the number of directions."""
    monkeypatch.setattr(
        a, "strategies", lambda: {f"SPSA {n}": (SPSA(epsilon=0.1, directions=n), torch.float32) for n in (64, 1024)}
    )
    few, many = a.agreement(Curved, audio(), 44100, draws=4)
    assert math.isclose(few.deviation / many.deviation, 4, rel_tol=0.2)
    (fd,) = (row for row in a.step_errors(Curved, audio(), 44100, draws=4) if row.control == "bend")
    assert many.deviation < 0.1
    assert many.bias < 3 * fd.errors[1e-1] + 2 * many.deviation


def test_the_error_of_differences_falls_with_the_square_of_the_step():
    rows = {r.control: r for r in a.step_errors(Curved, audio(), 44100, draws=4)}
    assert set(rows) == {"level", "bend"}  # the surrogate is left out
    errors = rows["bend"].errors
    assert math.isclose(errors[1e-1] / errors[1e-2], 100, rel_tol=0.2)
    assert rows["bend"].best < 1e-2
    assert rows["bend"].declared == 1e-3


def test_effects_without_a_true_gradient_are_known():
    assert a.measurable(Curved)
    step = replace(Curved.controls[2])
    assert not a.measurable(
        type("Steps", (Curved,), {"controls": (step,), "dsp": staticmethod(lambda x, *, sample_rate, steps: x)})
    )


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match="excerpts, channels, samples"):
        a.agreement(dasp.Gain, audio()[0], 44100)


def test_the_command_writes_its_tables(tmp_path, dasp_command, refused, pedalboard):
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- gradients:begin -->\n<!-- gradients:end -->\nafter\n")
    files = ["--json", tmp_path / "g.json", "--page", tmp_path / "g.md", "--readme", readme]
    code, out, _ = dasp_command("gradients", "--effect", "Gain", "--draws", 1, "--seconds", 0.2, "--steps", *files)
    assert code == 0
    assert "| Gain | 1 | 1 / 1.000 |" in out
    figures = json.loads((tmp_path / "g.json").read_text())
    assert {r["strategy"] for r in figures["rows"]} == set(a.strategies())
    assert figures["steps"][0]["control"] == "gain_db"
    assert "| Gain | `gain_db` |" in (tmp_path / "g.md").read_text()
    assert readme.read_text().startswith("before\n<!-- gradients:begin -->\n| effect |")
    assert "Did you mean 'Gain'" in refused("gradients", "--effect", "Gian")
    assert "Invert has no control with a true gradient" in refused("gradients", "--effect", "Invert")
    assert "no <!-- gradients:begin -->" in refused("gradients", "--effect", "Gain", "--readme", tmp_path / "g.md")
    assert FiniteDifference() == a.strategies()["fd"][0]
