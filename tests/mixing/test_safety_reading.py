"""Files from outside: none is run, none imports what it names, none names a file elsewhere; what is wrong is one sentence."""

import contextlib
import json
import os
import pickle
import sys

import numpy as np
import pytest
import torch
from synthetic import RATE, save, stem
from training_songs import TINY, songs

import proxies
from mixing import audio, data, models, settings
from mixing.errors import UserError
from mixing.export import dawproject_read, reaper_read
from mixing.fx_statistics import Statistics
from mixing.listening import questionnaire, ratings
from mixing.milestones import Milestones
from mixing.training.config import config
from mixing.training.config import read as read_recipe
from mixing.training.run import train


class Mark:
    """Makes a file where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def as_numpy(thing, path):
    with path.open("wb") as file:
        np.save(file, np.array([thing], dtype=object))


def as_torch(thing, path):
    torch.save({"state_dict": thing, "loops": thing}, path)


PAYLOADS = {
    "pickle": lambda mark, path: path.write_bytes(pickle.dumps(mark, protocol=2)),
    "torch": as_torch,
    "numpy": as_numpy,
    "YAML": lambda mark, path: path.write_text(f"!!python/object/apply:os.mkdir ['{mark.path}']\n"),
}


def as_training(path):
    """The newest checkpoint of a run that is called again."""
    folder = path.parent / "training"
    (folder / "run" / "checkpoints").mkdir(parents=True)
    path.rename(folder / "run" / "checkpoints" / "000000003.ckpt")
    train(config(TINY), [songs(folder / "songs")], folder / "run", name="x", command="dasp train x", device="cpu")


def as_run(path):
    folder = path.parent / "again"
    (folder / "run").mkdir(parents=True)
    path.rename(folder / "run" / "run.json")
    train(config(TINY), [songs(folder / "songs")], folder / "run", name="x", command="dasp train x", device="cpu")


def as_pack(path):
    folder = path.parent / "pack" / "song"
    save(folder / "stems" / "a.wav", stem(0))
    path.rename(folder / "meta.json")
    data.load(folder.parent, "pack")


def as_medleydb(path):
    folder = path.parent / "medleydb" / "A_B"
    save(folder / "A_B_RAW" / "A_B_RAW_01_01.wav", stem(0))
    path.rename(folder / "A_B_METADATA.yaml")
    data.load(folder.parent, "medleydb")


def as_match(path):
    """What a match finds of an earlier one; what is damaged counts as nothing."""
    folder = path.parent / ".match"
    folder.mkdir()
    path.rename(folder / "000000001.safetensors")
    assert Milestones(folder, "of").get("fit") is None
    raise UserError("nothing was found")


def as_questions(path):
    questionnaire.read(path.rename(path.with_suffix(".yaml")))


READERS = {
    "settings": settings.read,
    "DAWproject": dawproject_read.read,
    "REAPER project": reaper_read.read,
    "audio": audio.read,
    "model": models.load,
    "proxy": proxies.load,
    "recipe": lambda path: read_recipe(path.rename(path.with_suffix(".yaml"))),
    "statistics": Statistics.read,
    "key": ratings.read_key,
    "ratings": lambda path: ratings.read_one(path, {}),
    "questions": as_questions,
    "checkpoint": as_training,
    "run": as_run,
    "pack": as_pack,
    "MedleyDB": as_medleydb,
    "match": as_match,
}


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_nothing_in_a_file_is_run(reader, payload, tmp_path):
    path, mark = tmp_path / "given.safetensors", Mark(tmp_path / "was run")
    PAYLOADS[payload](mark, path)
    with pytest.raises((UserError, ValueError) if reader == "proxy" else UserError) as caught:
        READERS[reader](path)
    assert not mark.path.exists()
    assert str(caught.value).endswith((".", ".)", "nothing was found")) or reader == "proxy"
    assert "weights_only" not in str(caught.value)


def test_these_files_would_be_run_by_who_does_not_look(tmp_path):
    """The payloads are live: they are run by the calls that no line of the toolkit makes."""
    import yaml

    readers = {
        "pickle": lambda path: pickle.loads(path.read_bytes()),
        "torch": lambda path: torch.load(path, weights_only=False),
        "numpy": lambda path: np.load(path, allow_pickle=True),
        "YAML": lambda path: yaml.unsafe_load(path.read_text()),
    }
    assert readers.keys() == PAYLOADS.keys()
    for name, read in readers.items():
        mark = Mark(tmp_path / f"{name} was run")
        PAYLOADS[name](mark, tmp_path / name)
        with contextlib.suppress(FileExistsError):
            read(tmp_path / name)
        assert mark.path.exists(), name


FLOOD = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (FLOOD, "stands for more than 100,000 values"),
        ("a: &a [*a]", "a value holds itself"),
        ("[" * 1500, "is nested too deeply"),
        ("a: !!python/name:os.system", "a value of kind"),
        ("a: !!binary aGk=", "a value of kind binary"),
        ("licence: 2026-01-01", "a value of kind timestamp is not taken; put text in quotes"),
        ("x" * 1_000_001, "is longer than 1,000,000 characters"),
        ("a: [1", "is not YAML"),
    ],
)
def test_yaml_that_is_more_than_it_seems_is_refused(text, words, tmp_path, refused):
    path = tmp_path / "r.yaml"
    path.write_text(text)
    assert words in refused("train", path, "--data", tmp_path)
    if len(text) < 1_000_000:
        with pytest.raises(UserError, match=words):
            questionnaire.read(path)
        if "\n" not in text:
            assert words in refused("train", "dmc-gain-pan", "--data", tmp_path, "--set", f"licence={text}")


def test_anchors_may_be_used(tmp_path):
    (tmp_path / "r.yaml").write_text("model: &m {kind: dmc}\nother: {<<: *m, strip: full}\n")
    assert read_recipe(tmp_path / "r.yaml")["other"] == {"kind": "dmc", "strip": "full"}


@pytest.fixture
def foreign(tmp_path, monkeypatch):
    """A module on the path that says so when it is imported."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "foreign_fx.py").write_text(
        "class Effect:\n    controls = ()\n\n\ndef embed(x, rate):\n    return [1.0]\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path / "modules"))
    monkeypatch.delitem(sys.modules, "foreign_fx", raising=False)
    yield lambda: "foreign_fx" in sys.modules
    sys.modules.pop("foreign_fx", None)


NAMES = ("foreign_fx", "foreign_fx:Effect", "foreign_fx.Effect", "os:system", "../foreign_fx", "dasp.effects.gain")


def test_settings_import_nothing_that_they_name(foreign, tmp_path, refused):
    save(tmp_path / "stems" / "a.wav", stem(0))
    for name in NAMES:
        for entry in ({"effect": name}, {"effect": "Compressor", "options": {"detector": name}}):
            table = {
                "schema": settings.SCHEMA,
                "sample_rate": RATE,
                "tracks": [{"name": "a", "fader_db": 0.0, "inserts": [entry]}],
            }
            (tmp_path / "s.json").write_text(json.dumps(table))
            refused("apply-settings", tmp_path / "stems", tmp_path / "s.json", tmp_path / "out.wav")
    assert not foreign()
    assert not (tmp_path / "out.wav").exists()


@pytest.mark.parametrize(
    "option", [{"proxy": "/etc/passwd"}, {"gradient": "proxy"}, {"sample_rate": 8000}, {"plugin": "a.vst3"}, {"self": 1}]
)
def test_settings_choose_options_of_an_effect_and_nothing_else(option, tmp_path, refused):
    """An effect's class takes more than its options: a file of weights, a strategy, a rate."""
    save(tmp_path / "stems" / "a.wav", stem(0))
    inserts = [{"effect": "Compressor", "options": option}]
    table = {"schema": settings.SCHEMA, "sample_rate": RATE, "tracks": [{"name": "a", "fader_db": 0.0, "inserts": inserts}]}
    (tmp_path / "s.json").write_text(json.dumps(table))
    said = refused("apply-settings", tmp_path / "stems", tmp_path / "s.json", tmp_path / "out.wav")
    assert f"Compressor: no option '{next(iter(option))}'" in said


def test_recipes_of_models_import_nothing_that_they_name(foreign, tmp_path, refused):
    place = songs(tmp_path / "songs")
    for name in NAMES:
        for change in (
            {"model": {"kind": name}},
            {"model": TINY["model"] | {"strip": "full", "gradient": name}},
            {"model": TINY["model"] | {"encoder": name}},
            {"loss": {"terms": {name: {"weight": 1.0}}}},
            {"data": TINY["data"] | {"layout": name}},
            {"optimiser": {"name": name}},
        ):
            (tmp_path / "r.yaml").write_text(json.dumps({**TINY, **change}))
            refused("train", tmp_path / "r.yaml", "--data", place, "--run", tmp_path / "run", "--device", "cpu")
    assert not foreign()
    assert not (tmp_path / "run" / "x.safetensors").exists()


def test_headers_of_weights_import_nothing_that_they_name(foreign, tmp_path):
    from tiny import dmc

    header = {"data": [], "licence": "CC0-1.0", "command": "python -m foreign_fx", "seed": 0}
    for name in NAMES:
        model = dmc("full")
        models.save(tmp_path / "a.safetensors", model, header)
        assert models.load(tmp_path / "a.safetensors").header["command"] == "python -m foreign_fx"
        for setting in ("kind", "gradient", "inference", "encoder", "strip"):
            changed = json.dumps({**header, "version": 1, "scores": {}, "model": model.description | {setting: name}})
            from proxies import store

            store.write(tmp_path / "a.safetensors", model.state_dict(), changed)
            with pytest.raises(UserError, match="not a model that can be loaded"):
                models.load(tmp_path / "a.safetensors")
    assert not foreign()


def test_a_proxy_says_what_it_imitates_and_nobody_imports_it(foreign, tmp_path):
    from dasp import Compressor
    from proxies import TCN, Header, control_table
    from proxies.checkpoint import load
    from proxies.checkpoint import save as keep

    net = TCN(len(Compressor.controls), blocks=2, growth=4, channels=4)
    header = Header(
        "foreign_fx:Effect", control_table(Compressor.controls), 44100.0, None, net.description, net.receptive_field,
        (-60.0, 0.0), {}, "python -m foreign_fx", 0, ({"name": "a", "licence": "CC0", "origin": "b"},), "CC0-1.0",
    )  # fmt: skip
    keep(tmp_path / "a.safetensors", net, header)
    assert load(tmp_path / "a.safetensors").header.effect == "foreign_fx:Effect"
    effect = Compressor(gradient="proxy", proxy=str(tmp_path / "a.safetensors"))
    effect(torch.zeros(1, 1, 64), effect.unit(1))
    assert not foreign()


def test_what_a_user_types_is_imported_as_it_says(foreign):
    """By design, on the command line and as the target of a proxy's recipe alone: docs/safety.md says so."""
    from mixing.evaluation.embedding import find
    from proxies.teacher import made

    assert find("foreign_fx:embed")(0, 0) == [1.0]
    assert type(made("foreign_fx:Effect")).__name__ == "Effect"
    assert foreign()
