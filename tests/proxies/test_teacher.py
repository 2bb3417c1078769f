"""Import paths of teachers: what they find, and what they say where there is nothing."""

import sys
import types

import pytest
import torch

from dasp import Chain, Compressor, Gain
from proxies.teacher import PLUGINS, teacher


def audio(batch=2, channels=2):
    return torch.randn(batch, channels, 200)


@pytest.fixture
def mylib(monkeypatch):
    """A user's module `mylib.fx` with one of each thing that a path may name."""

    def tape(x, u):
        return torch.tanh(x * (1 + u[:, :, None]))

    tape.controls = Gain.controls
    module = types.ModuleType("mylib.fx")
    module.Tape = tape
    module.number = 3
    module.strip = lambda gain_db, *, sample_rate, wet=1.0: Chain(Gain(sample_rate), Compressor(sample_rate))
    monkeypatch.setitem(sys.modules, "mylib", types.ModuleType("mylib"))
    monkeypatch.setitem(sys.modules, "mylib.fx", module)
    return module


def test_an_effects_class():
    found = teacher("dasp:Compressor", 48000)
    assert (found.name, found.path, found.sample_rate, found.static) == ("Compressor", "dasp:Compressor", 48000.0, "")
    assert found.controls == Compressor.controls
    x, u = audio(), torch.rand(2, 4)
    effect = Compressor(48000)
    assert torch.equal(found.blackbox(x, u), effect.target().blackbox(x, u))
    assert torch.equal(found.whitebox(x, u), effect.target().whitebox(x, u))


def test_a_function_with_a_table(mylib):
    found = teacher("mylib.fx:Tape")
    assert (found.name, found.whitebox, found.channels) == ("tape", None, None)
    x, u = audio(), torch.rand(2, 1)
    assert torch.equal(found.blackbox(x, u), mylib.Tape(x, u))


def test_a_factory_gets_literals_and_the_rate(mylib):
    found = teacher("mylib.fx:strip(-3.0, wet=0.5)", 32000)
    assert found.sample_rate == 32000
    assert len(found.controls) == 5


def test_calls_within_calls():
    found = teacher("dasp:Chain(Gain(), Compressor())", 22050)
    assert (found.sample_rate, len(found.controls)) == (22050.0, 5)
    assert found.blackbox(audio(), torch.rand(2, 5)).shape == (2, 2, 200)


def test_an_effect_whose_controls_stand_still_says_why(pedalboard):
    found = teacher("dasp:Reverb")
    assert found.links_channels
    assert found.channels == (1, 2)


def test_a_plugins_file_goes_to_the_table(monkeypatch):
    import dasp

    asked = []
    monkeypatch.setattr(dasp, "external", lambda path, rate: asked.append((path, rate)) or Gain(rate))
    assert PLUGINS[".vst3"] == "dasp:external"
    assert teacher("somewhere/Tape Machine.vst3", 48000).controls == Gain.controls
    assert asked == [("somewhere/Tape Machine.vst3", 48000)]


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("dasp:Compresor", "dasp has no 'Compresor'. Did you mean 'Compressor'?"),
        ("nowhere.at_all:x", "no module 'nowhere.at_all'"),
        ("Compressor", "expected an import path such as dasp:Compressor"),
        ("dasp:Gain(", "is not an import path"),
        ("dasp:Gain(1 + x)", "'1 \\+ x' in .* is neither a literal nor a name of dasp"),
        ("dasp:Gain(*[1])", "is neither a literal"),
        ("mylib.fx:number", "mylib.fx:number is a int without controls and target"),
        ("dasp:Param", "is the class Param without controls"),
    ],
)
def test_a_wrong_path_is_one_sentence(path, sentence, mylib):
    with pytest.raises(ValueError, match=f"^teacher: .*{sentence}"):
        teacher(path)


def test_a_module_that_lacks_something_itself_is_not_called_missing(tmp_path, monkeypatch):
    (tmp_path / "broken_lib.py").write_text("import something_that_is_not_installed\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="something_that_is_not_installed"):
        teacher("broken_lib:Effect")
