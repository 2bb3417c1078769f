"""`dasp evaluate` on a folder of songs: models, folders of mixes, what is chosen, written, said and refused."""

import csv
import json

import numpy as np
import pytest
import torch
from synthetic import listing, save, stem

from mixing.commands.evaluate import FILES, named
from mixing.evaluation import statistics

RATE = 22050


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    monkeypatch.setattr(statistics, "RESAMPLES", 200)


@pytest.fixture(scope="module")
def songs(tmp_path_factory):
    """Three songs of two stems in the plain layout, the third without a mix."""
    root = tmp_path_factory.mktemp("data") / "songs"
    for k, name in enumerate(("alpha", "beta", "gamma")):
        tracks = [(0.3 + 0.2 * k) * stem(k + i, 1.2, RATE, 2) for i in range(2)]
        for i, track in enumerate(tracks):
            save(root / name / "stems" / f"{i}_stem.wav", track, RATE, subtype="FLOAT")
        if name != "gamma":
            save(root / name / "mix.wav", torch.stack([tracks[0][0], 0.5 * tracks[1][1]]), RATE, subtype="FLOAT")
    return root


@pytest.fixture(scope="module")
def finished(songs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("mixes") / "mine"
    save(folder / "alpha.wav", 0.3 * stem(0, 1.2, RATE, 2), RATE, subtype="FLOAT")
    return folder


def test_tables_page_and_summary(songs, finished, tmp_path, dasp_command):
    out = tmp_path / "out"
    before = listing(songs)
    code, text, err = dasp_command(
        "evaluate", "sum", "eq=equal-loudness", "random", finished, "--data", songs, "-o", out, "--seed", 3
    )
    assert code == 0, err
    assert sorted(listing(out)) == sorted(FILES)
    assert listing(songs) == before
    with open(out / "songs.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(r["song"], r["mixer"]) for r in rows] == [
        *(("alpha", m) for m in ("sum", "eq", "random", "mine")),
        *(("beta", m) for m in ("sum", "eq", "random")),
    ]
    assert all(float(r["stereo_mrstft"]) > 0 for r in rows)
    assert "gamma: left out" in err
    assert "beta, mine: left out" in err
    assert "no such mix" in err
    for mixer in ("sum", "eq", "random", "mine"):
        assert mixer in text
    assert f"wrote {out / 'evaluation.html'}" in text
    assert "dasp evaluate sum eq=equal-loudness" in (out / "evaluation.html").read_text()
    with open(out / "summary.csv", newline="") as file:
        summary = list(csv.DictReader(file))
    assert {r["mixer"] for r in summary} == {"sum", "eq", "random", "mine"}
    again = tmp_path / "again"
    dasp_command("evaluate", "sum", "eq=equal-loudness", "random", finished, "--data", songs, "-o", again, "--seed", 3)
    assert (again / "songs.csv").read_bytes() == (out / "songs.csv").read_bytes()
    assert (again / "summary.csv").read_bytes() == (out / "summary.csv").read_bytes()


def test_what_is_chosen(songs, tmp_path, dasp_command):
    options = ("--songs", "be*", "--seconds", 1, "--by", "song", "--against", "random", "--confidence", 0.8)
    embedding = ("--embedding", "mixing.evaluation.embedding:feature_vectors")
    code, _, err = dasp_command("evaluate", "sum", "random", "--data", songs, "-o", tmp_path / "out", *options, *embedding)
    assert code == 0, err
    text = (tmp_path / "out" / "evaluation.md").read_text()
    assert "1 song, 2 mixers" in text
    assert "80% intervals from songs" in text
    assert "## Tests against random" in text
    assert "Embedding distance" in text
    assert "alpha" not in text


def test_labels(tmp_path):
    folder = tmp_path / "a=b"
    folder.mkdir()
    assert named(("sum", "x=random", str(folder))) == {"sum": "sum", "x": "random", "a=b": str(folder)}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("sum", "sum"), "two models called sum"),
        (("x=",), "MODEL or LABEL=MODEL"),
        (("sun",), "sum"),
        (("sum", "--against", "sun"), "Did you mean 'sum'?"),
        (("sum", "--songs", "delta"), "no song or group fits"),
        (("sum", "--songs", "gamma"), "nothing could be measured"),
        (("sum", "--layout", "folders"), "folder"),
        (("sum", "--embedding", "math:cosin"), "cannot be imported"),
        (("sum", "--embedding", "math:pi"), "is no function"),
        (("sum", "--seconds", "nan"), "not a number"),
    ],
)
def test_what_is_refused(songs, tmp_path, refused, arguments, words):
    assert words in refused("evaluate", *arguments, "--data", songs, "-o", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_data_that_is_not_there(tmp_path, refused):
    assert "nowhere" in refused("evaluate", "sum", "--data", tmp_path / "nowhere", "-o", tmp_path / "out")


def test_composers_settings_are_compared(tmp_path, dasp_command):
    """The pack's layout knows gains and pans; the sum's faders are all equal and its pans central."""
    song = tmp_path / "pack" / "tune"
    stems = []
    for k, (gain, pan) in enumerate([(0.0, -1.0), (-8.0, 0.5)]):
        save(song / "stems" / f"0{k}_part.wav", stem(k, 1.2, RATE), RATE, subtype="FLOAT")
        stems.append({"file": f"stems/0{k}_part.wav", "channels": 1, "composer_gain_db": gain, "composer_pan": pan})
    save(song / "mix_composer.wav", torch.cat([stem(0, 1.2, RATE), 0.4 * stem(1, 1.2, RATE)]), RATE, subtype="FLOAT")
    (song / "meta.json").write_text(json.dumps({"song": "tune", "licence": "CC0-1.0", "stems": stems}))
    code, _, err = dasp_command("evaluate", "sum", "mono", "--data", tmp_path / "pack", "-o", tmp_path / "out")
    assert code == 0, err
    with open(tmp_path / "out" / "songs.csv", newline="") as file:
        found = {r["mixer"]: r for r in csv.DictReader(file)}
    assert np.isclose(float(found["sum"]["gain_error_db"]), 4)
    assert np.isclose(float(found["sum"]["pan_error"]), (0.5 + 0.25) / 2)
    assert found["mono"]["gain_error_db"] == ""
