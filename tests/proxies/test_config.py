"""Settings of a training run, from YAML and the command line."""

import pytest
import yaml

from proxies.config import Config, LossSettings, config, read, shipped


def test_defaults_and_round_trip():
    whole = config({"target": "dasp:Compressor"})
    assert whole == Config("dasp:Compressor")
    assert config(yaml.safe_load(yaml.safe_dump(whole.as_dict()))) == whole


def test_sections_and_changes():
    whole = config(
        {"target": "dasp:Gain", "loss": {"l1": 2, "fft_sizes": [256, 512]}, "precision": 32},
        **{"audio.synthetic": 0.5, "steps": 7, "optimiser.learning_rate": "3e-3"},
    )
    assert whole.loss == LossSettings(l1=2.0, fft_sizes=(256, 512))
    assert (whole.audio.synthetic, whole.steps, whole.optimiser.learning_rate, whole.precision) == (0.5, 7, 3e-3, "32")


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({}, "needs a target"),
        ({"target": "dasp:Gain", "stepz": 3}, "no setting stepz. Did you mean steps?"),
        ({"target": "dasp:Gain", "audio": {"levels_db": [0, 1]}}, "no setting audio.levels_db. Did you mean audio.level_db?"),
        ({"target": "dasp:Gain", "zzz": 3}, "no setting zzz. There are target, network"),
        ({"target": "dasp:Gain", "steps": "many"}, "steps is int; got 'many'"),
        ({"target": "dasp:Gain", "steps": True}, "steps is int; got True"),
        ({"target": "dasp:Gain", "audio": 3}, "audio is a section; got 3"),
        ({"target": "dasp:Gain", "precision": 16}, "precision is one of '32', 'bf16'; got 16"),
        ({"target": "dasp:Gain", "audio": {"level_db": [0]}}, "audio.level_db is tuple"),
        ({"target": "dasp:Gain", "audio": {"level_db": [0, -3]}}, "audio.level_db has a value that cannot be"),
        ({"target": "dasp:Gain", "loss": {"difference": 0.1}, "batch": 3}, "batch .even, with loss.difference."),
        ({"target": "dasp:Gain", "network": {"blocks": 3}}, "network has a value"),
    ],
)
def test_wrong_settings_are_one_sentence(settings, sentence):
    with pytest.raises(ValueError, match=f"^config: .*{sentence}"):
        config(settings)


def test_files(tmp_path):
    (tmp_path / "a.yaml").write_text("target: dasp:Gain\nsteps: 3\n")
    assert read(tmp_path / "a.yaml") == {"target": "dasp:Gain", "steps": 3}
    (tmp_path / "b.yaml").write_text("a: [1\n")
    (tmp_path / "c.yaml").write_text("- 1\n")
    (tmp_path / "d.yaml").write_text("!!python/object/apply:os.system ['true']\n")
    for name, sentence in (
        ("b", "is not YAML"),
        ("c", "holds no mapping"),
        ("d", "kind os.system"),
        ("e", "no file"),
    ):
        with pytest.raises(ValueError, match=sentence):
            read(tmp_path / f"{name}.yaml")
    with pytest.raises(ValueError, match="Did you mean 'Compressor'"):
        read("Compresor")


@pytest.mark.parametrize("name", shipped())
def test_shipped_recipes_can_be_used(name):
    from proxies.data import batches
    from proxies.trainer import network

    settings = read(name)
    whole = config(settings, **{"batch": 2, "audio.samples": 4096})
    if "signaltrain" in whole.target:  # needs its recordings; has tests of its own
        return
    data = batches(whole, [])
    made = network(whole.network, len(data.controls))
    batch = data.training(0)
    assert made(batch.x, batch.u).shape == batch.y.shape
