"""The models that come with the package: small, by a recipe that is there, played as their settings say."""

import json

import pytest
import torch
from synthetic import save, stem

from mixing import models
from mixing.audio import read
from mixing.models.model import DEFAULT, WEIGHTS
from mixing.training.config import config
from mixing.training.config import read as recipe

NAMES = models.shipped()


def test_the_default_is_shipped():
    assert DEFAULT in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_makes_it_and_it_says_what_it_heard(name):
    assert (WEIGHTS / f"{name}.safetensors").stat().st_size <= 10_000_000
    model = models.load(name)
    settings = config(recipe(name))
    assert models.build(**settings.model).settings == model.settings
    assert [d["name"] for d in model.header["data"]] == [d["name"] for d in settings.data.licences]
    training = model.header["scores"]["training"]
    heard = {song for part in training["songs"].values() for song in part}
    assert training["hold_out"] == list(settings.data.hold_out)
    assert heard and not any(song.startswith("eif_rubidium") for song in heard)


def test_by_default_a_shipped_console_mixes_and_its_settings_are_the_mix(tmp_path, dasp_command):
    for k in range(3):
        save(tmp_path / "song" / f"{k}.wav", stem(k, 2.0, rate=44100, channels=1 + k % 2), 44100, subtype="FLOAT")
    code, text, err = dasp_command("mix", tmp_path / "song", "-o", tmp_path / "out")
    assert code == 0, err
    assert f"by {DEFAULT}" in text and "Everything is Free" in text
    settings = json.loads((tmp_path / "out" / "settings.json").read_text())
    assert settings["provenance"]["model"] == DEFAULT and len(settings["tracks"]) == 3
    dasp_command("apply-settings", tmp_path / "song", tmp_path / "out" / "settings.json", tmp_path / "again.wav")
    torch.testing.assert_close(read(tmp_path / "again.wav")[0], read(tmp_path / "out" / "mix.wav")[0], atol=1e-5, rtol=0)
