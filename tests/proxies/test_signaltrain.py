"""The SignalTrain LA2A data set in a miniature of its published layout."""

import numpy as np
import pytest
import soundfile
import torch

import proxies
from proxies.config import config, read
from proxies.data import batches
from proxies.signaltrain import CONTROLS, main, pairs, segments, table
from proxies.trainer import train

SETTINGS = [(0, 0), (0, 50), (1, 100)]


def miniature(folder, seconds=0.4):
    generator = np.random.default_rng(0)
    number = 100
    for part in ("Train", "Val", "Test"):
        (folder / part).mkdir(parents=True)
        for switch, reduction in SETTINGS:
            x = 0.3 * generator.standard_normal(int(seconds * 44100))
            y = x * (1 - reduction / 200) * (1 - switch / 10)
            soundfile.write(folder / part / f"input_{number}_.wav", x, 44100, subtype="FLOAT")
            soundfile.write(folder / part / f"target_{number}_LA2A_2c__{switch}__{reduction}.wav", y, 44100, subtype="FLOAT")
            number += 1
    return folder


@pytest.fixture
def folder(tmp_path):
    return miniature(tmp_path / "SignalTrain_LA2A_Dataset_1.1")


def settings(**changes):
    recipe = read("SignalTrain")
    small = {
        "audio.samples": 4096,
        "batch": 2,
        "epochs": 2,
        "validate": 3,
        "precision": "32",
        "network": {"kind": "tcn", "blocks": 2},
    }
    return config(recipe, **{**small, **changes})


def test_pairs_have_their_controls(folder):
    found = pairs(folder, "Train")
    assert [p.controls for p in found] == [(0.0, 0.0), (0.0, 0.5), (1.0, 1.0)]
    assert [p.input.path.name for p in found] == ["input_100_.wav", "input_101_.wav", "input_102_.wav"]
    assert len(segments(found, 4096)) == 12


def test_an_epoch_has_every_clip_once(folder):
    data = batches(settings(), [folder])
    assert data.epoch == 6
    epochs = [[data.training(e * 6 + k) for k in range(6)] for e in range(2)]
    for epoch in epochs:
        loudness = torch.cat([b.x.abs().sum((1, 2)) for b in epoch])
        assert len(loudness.unique()) == 12
    assert not torch.equal(epochs[0][0].x, epochs[1][0].x)
    for x, u, y in epochs[0]:
        gain = (1 - u[:, 1] / 2) * (1 - u[:, 0] / 10)
        torch.testing.assert_close(y, x * gain[:, None, None], atol=1e-6, rtol=1e-5)
    parts = [data.training(4, rank, 2) for rank in range(2)]
    assert torch.equal(torch.cat([p.x for p in parts]), data.training(4).x)
    assert {float(b.u[0, 1]) for b in data.validation()} == {0.0, 0.5, 1.0}


def test_the_recipe_trains_and_has_its_table(folder, tmp_path, capsys):
    path = train(settings(), [folder], tmp_path / "run", name="SignalTrain", command="retrain", device="cpu")
    network = proxies.load(path, CONTROLS)
    assert network.header.data == (
        {"name": "SignalTrain LA2A Dataset 1.1", "licence": "CC-BY-4.0", "origin": "https://doi.org/10.5281/zenodo.3824876"},
    )
    row = table(network, pairs(folder, "Test"), samples=8192)
    assert list(row) == ["L1", "ESR", "DC", "log-cosh", "STFT", "MRSTFT"]
    assert all(np.isfinite(value) and value > 0 for value in row.values())
    with pytest.raises(SystemExit, match="no recording is as long as 262144"):
        main([str(folder), str(path)])


def test_the_table_of_a_network_that_knows(folder):
    def exact(x, u):
        return x * ((1 - u[:, 1] / 2) * (1 - u[:, 0] / 10))[:, None, None]

    assert max(table(exact, pairs(folder, "Test"), samples=8192).values()) < 1e-5


def test_what_is_wrong_with_a_folder(folder):
    with pytest.raises(ValueError, match="has no folder Train; expected Train, Val, Test"):
        batches(settings(), [folder / "Train"])
    with pytest.raises(ValueError, match="needs --audio with the data set's one folder; got 0"):
        batches(settings(), [])
    (folder / "Val" / "target_103_LA2A_2c__0__0.wav").rename(folder / "Val" / "other.wav")
    with pytest.raises(ValueError, match="has number 103 without its target"):
        batches(settings(), [folder])
    soundfile.write(folder / "Val" / "target_103_LA2A_2c__0__0.wav", np.zeros(100), 44100)
    with pytest.raises(ValueError, match="has 100 samples and its input 17640"):
        batches(settings(), [folder])
    with pytest.raises(ValueError, match="mono at 44100 Hz"):
        batches(settings(sample_rate=48000), [folder])
