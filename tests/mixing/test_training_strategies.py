"""Training with every strategy, with proxies that adapt, with known settings, and of models that are fitted at once."""

import dataclasses

import pytest
import torch
from training_songs import TINY, songs

from mixing import models
from mixing.data import load
from mixing.errors import UserError
from mixing.mixers import UNITY_DB
from mixing.training.config import config
from mixing.training.data import material, with_synthetic
from mixing.training.objective import Objective
from mixing.training.run import build, train

RATE = 44100  # that of the trained proxies
FULL = {
    **TINY,
    "model": {**TINY["model"], "strip": "full"},
    "sample_rate": RATE,
    "data": {"samples": 8192},
    "loss": {"terms": {"stereo_mrstft": {"weight": 1.0, "fft_sizes": [512, 2048]}}},
    "optimiser": {"learning_rate": 0.02, "warm_up": 0},
    "steps": 8,
    "validate": 8,
    "batch": 3,
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return songs(tmp_path_factory.mktemp("songs"), rate=RATE, seconds=0.5)


def learn(settings, data, run, **changes):
    return train(config(settings, **changes), [data], run, name="x", command="dasp train x", device="cpu")


def loss_of(model, settings, data):
    """The loss of what a model is heard to do with the three songs, each whole."""
    whole = config(settings, **{"data.samples": round(0.5 * RATE)})
    examples = [material(whole, [data]).training.excerpts.example(k) for k in range(12)]
    picked = {e.songs[0]: e for e in examples}
    assert len(picked) == 3
    with torch.no_grad():
        return float(Objective(whole)(model.eval(), type(examples[0]).collate(list(picked.values())))[0])


@pytest.mark.parametrize("gradient", ["autodiff", "proxy", "hybrid", "spsa", "fd"])
def test_every_strategy_learns_three_songs(gradient, data, tmp_path):
    path = learn(FULL, data, tmp_path, **{"model.gradient": gradient})
    torch.manual_seed(0)
    before, after = loss_of(build(config(FULL)), FULL, data), loss_of(models.load(path), FULL, data)
    assert after < 0.9 * before, (before, after)
    assert models.load(path).settings["gradient"] == gradient


def test_proxies_that_adapt_go_on_as_they_were(data, tmp_path):
    settings = {**FULL, "steps": 3, "validate": 1, "batch": 1, "data": {"samples": 4096, "validation": ["song2"]}}
    settings |= {"validation_excerpts": 1, "loss": {"terms": {"l1": {"weight": 1.0}}}}
    changes = {"model.gradient": "hybrid", "adapt.lr": 1e-3}
    learn(settings, data, tmp_path / "whole", **changes)
    learn(settings, data, tmp_path / "halted", **changes)
    for name in ("000000003.ckpt", "../x.safetensors"):
        (tmp_path / "halted" / "checkpoints" / name).unlink()
    learn(settings, data, tmp_path / "halted", **changes)
    whole, halted = (
        torch.load(tmp_path / run / "checkpoints" / "000000003.ckpt", weights_only=True) for run in ("whole", "halted")
    )
    assert whole["adaptation"]["losses"] == halted["adaptation"]["losses"] and len(whole["adaptation"]["losses"]) >= 3
    assert all(torch.equal(value, halted["state_dict"][name]) for name, value in whole["state_dict"].items())
    learn(settings, data, tmp_path / "frozen", **{**changes, "adapt.lr": 0.0})
    frozen = torch.load(tmp_path / "frozen" / "checkpoints" / "000000003.ckpt", weights_only=True)["state_dict"]
    assert any(not torch.equal(value, frozen[name]) for name, value in whole["state_dict"].items())


def test_known_settings_are_learned(data, tmp_path):
    """From settings alone: the faders and pans of the songs, which are told by the songs' meta.json."""
    settings = {**FULL, "model": {**FULL["model"], "strip": "gain-pan"}, "loss": {"terms": {}, "parameters": 1.0}}
    settings |= {"steps": 150, "validate": 150, "optimiser": {"learning_rate": 0.01, "warm_up": 0}}
    torch.manual_seed(0)
    before = loss_of(build(config(settings)), settings, data)
    assert loss_of(models.load(learn(settings, data, tmp_path)), settings, data) < 0.5 * before


def test_the_distance_to_known_settings_is_the_mean_difference_in_the_units_of_the_console(data):
    settings = {**FULL, "model": {**FULL["model"], "strip": "gain-pan"}, "loss": {"terms": {}, "parameters": 1.0}}
    whole = config(settings)
    example = material(whole, [data]).training[0]
    model = build(whole).eval()
    with torch.no_grad():
        loss, terms, mix = Objective(whole)(model, example)
    (song,) = (s for s in load(data).songs if s.name == example.songs[0])
    faders = torch.tensor(song.gains_db, dtype=torch.float64) + UNITY_DB
    pans = torch.tensor(song.pans, dtype=torch.float64)
    tracks = {name: value[0].double() for name, value in mix.controls["tracks"].items()}
    fader_error, pan_error = (tracks["fader_db"] - faders).abs() / 84, (tracks["pan"] - pans).abs()
    torch.testing.assert_close(loss.double(), (fader_error.mean() + pan_error.mean()) / 2, rtol=1e-4, atol=1e-6)
    assert terms.keys() == {"parameters"}
    known = {"tracks": {name: torch.full_like(value, torch.nan) for name, value in example.known["tracks"].items()}}
    with torch.no_grad():
        unknown, _, _ = Objective(whole)(model, dataclasses.replace(example, known=known))
    assert float(unknown) == 0.0


def test_synthetic_mixes_have_every_setting(data):
    settings = {**FULL, "data": {**FULL["data"], "synthetic": 0.5, "excerpts": {"track_peak_db": -12}}}
    whole = config(settings)
    heard = material(whole, [data])
    model = build(whole).eval()
    mixed = with_synthetic(heard, whole, model.player).training
    synthetic = [k for k in range(12) if "buses" in mixed[k].known]
    assert 2 < len(synthetic) < 10
    for k in range(12):
        own, human = mixed[k], heard.training[k]
        assert torch.equal(own.multitrack.audio, human.multitrack.audio)
        assert torch.equal(own.multitrack.mix, human.multitrack.mix) == (k not in synthetic)
    example = mixed[synthetic[0]]
    controls = example.controls(model.console)
    assert controls.tracks.isfinite().all() and controls.buses.isfinite().all()
    with torch.no_grad():
        made = model.player(example.multitrack, controls).audio
    torch.testing.assert_close(made, example.multitrack.mix, rtol=1e-3, atol=1e-4)
    with pytest.raises(UserError, match=r"data\.synthetic is for models that set a console"):
        with_synthetic(heard, whole, None)


def test_regression_is_fitted_by_the_same_command(data, tmp_path):
    path = learn({"model": {"kind": "regression"}, "sample_rate": RATE, "data": {"samples": 4096}}, data, tmp_path)
    loaded = models.load(path)
    assert loaded.header["scores"]["training"]["songs"]["training"] == ["song0", "song1", "song2"]
    assert float(loaded.weight.abs().sum()) > 0
    assert not (tmp_path / "checkpoints").exists()
    bare = tmp_path / "bare"
    songs(bare, rate=RATE, seconds=0.5)
    for file in bare.glob("*/meta.json"):
        file.unlink()
    with pytest.raises(UserError, match="no song's are known"):
        learn({"model": {"kind": "regression"}, "sample_rate": RATE, "data": {"samples": 4096}}, bare, tmp_path / "other")
