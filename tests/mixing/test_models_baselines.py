"""Mixers by rule and by regression: what their rules promise; and models by name and in files."""

import json
import struct
import subprocess
import sys

import pytest
import torch
from synthetic import RATE, stem
from tiny import dmc, permuted, song, stirred

from mixing import Multitrack, UserError
from mixing.blocks import Whole, mix
from mixing.loudness import integrated_loudness
from mixing.models import MixWaveUNet, Regression, Rules, about, build, kinds, load, mixer, names, save
from mixing.models.track_features import VECTOR, of_track

HEADER = {
    "data": [{"name": "songs", "licence": "CC0-1.0", "origin": "synthetic"}],
    "licence": "CC0-1.0",
    "command": "dasp train x.yaml",
    "seed": 3,
}
T = torch.arange(2 * RATE) / RATE


def tone(*hz, level=0.1):
    return level * sum(torch.sin(2 * torch.pi * f * T) for f in hz)[None]


def rules_of(*tracks):
    source = Whole(Multitrack.from_tracks(list(tracks), float(RATE)))
    plan = Rules().settle(source)
    return {k: v[0].tolist() for k, v in plan.console.physical(plan.controls)["tracks"].items()}


# rules


def test_the_low_end_is_in_the_centre_and_higher_tracks_are_further_out_on_both_sides():
    stereo = tone(1500).expand(2, -1)
    pans = rules_of(tone(60), tone(2000), tone(500), tone(6000), stereo)["pan"]
    assert pans[0] == 0.5 and pans[4] == 0.5
    out = [abs(p - 0.5) for p in pans]
    assert 0 < out[2] < out[1] < out[3] <= 0.4 + 1e-9
    assert min(pans) < 0.5 < max(pans)


def test_every_track_is_as_loud_and_the_mix_has_its_loudness():
    tracks = song(4, seconds=1.5, stereo=(1,))
    quiet = Multitrack(tracks.audio * torch.tensor([1.0, 0.1, 3.0, 0.5])[:, None, None], tracks.channels, RATE, tracks.names)
    one, other = mixer("rules")(tracks), mixer("rules")(quiet)
    torch.testing.assert_close(one.audio, other.audio, atol=1e-3, rtol=1e-2)
    assert abs(integrated_loudness(one.audio[0], RATE) + 18) < 0.05


def test_a_band_gives_way_where_another_track_has_its_strength():
    """A hum with a weak partial on a whistle's tone, in a song of both."""
    hum = tone(62, 125, 250, level=0.2) + tone(2000, level=0.15)
    found = rules_of(hum, tone(2000, level=0.01) + tone(8000, 4000, level=0.02))
    cuts = {(found[f"peak_filter{i}_cutoff_frequency_hz"][0], found[f"peak_filter{i}_gain_db"][0]) for i in (1, 2)}
    assert any(round(hz) == 2000 and db < -1 for hz, db in cuts), cuts
    assert all(found[f"peak_filter{i}_gain_db"][1] <= 0 for i in (1, 2))
    apart = rules_of(tone(62, 125, 250), tone(2000, 4000, 8000))
    assert all(db > -0.5 for i in (1, 2) for db in apart[f"peak_filter{i}_gain_db"])


@pytest.mark.parametrize("name", ["rules", "regression"])
def test_permutation_padding_and_blocks(name):
    model = Rules() if name == "rules" else taught()[0]
    tracks, order = song(4, seconds=1.2, stereo=(1,)), [2, 0, 3, 1]
    one, other = model(tracks), model(permuted(tracks, order))
    for control, value in one.controls["tracks"].items():
        torch.testing.assert_close(other.controls["tracks"][control], value[:, order], atol=1e-4, rtol=1e-4)
    both = model(Multitrack.collate([tracks, song(2, seconds=1.2)]))
    torch.testing.assert_close(both.audio[:1], one.audio, atol=1e-5, rtol=1e-5)
    made, plan = mix(model, Whole(tracks), block=7001)
    assert plan is not None
    torch.testing.assert_close(made.audio, one.audio, atol=1e-5, rtol=1e-5)


def test_silence_and_short_songs_are_harmless():
    silent = Multitrack.from_tracks([0 * tone(60), tone(500)], float(RATE))
    short = song(3, seconds=0.1)
    for tracks in (silent, short):
        for model in (Rules(), taught()[0]):
            made = model(tracks)
            assert made.audio.isfinite().all()
            assert all(v.isfinite().all() for v in made.controls["tracks"].values())


# regression


def taught(seed=0):
    """Songs mixed by a rule that is linear in the features, and the regression that has seen them."""
    examples = []
    for k in range(6):
        tracks = Multitrack.from_tracks(
            [(0.1 + 0.13 * ((k * 7 + n * 3) % 5)) * stem(n + k, 0.8, channels=1 + n % 2) for n in range(4)], float(RATE)
        )
        loudness = [of_track([tracks.audio[0, n]], 1, RATE).loudness_lufs for n in range(4)]
        fader = torch.tensor([-20.0 - v for v in loudness])
        examples.append((tracks, fader, torch.tensor([0.3 if n % 2 else 0.6 for n in range(4)])))
    return Regression(RATE).fit(examples, seed=seed), examples


def test_regression_finds_a_linear_rule():
    model, examples = taught()
    tracks, fader, pan = examples[2]
    louder = Multitrack(tracks.audio * torch.tensor([1.0, 2.0, 0.8, 1.0])[:, None, None], tracks.channels, RATE, tracks.names)
    found = model(louder).controls["tracks"]
    moved = fader - torch.tensor([0.0, 6.02, -1.94, 0.0])
    assert (found["fader_db"][0] - moved).abs().max() < 1.0
    assert (found["pan"][0] - pan).abs().max() < 0.05
    assert torch.equal(taught()[0].weight, model.weight)
    assert of_track([tracks.audio[0, 0]], 1, RATE).vector().shape == (VECTOR,)


def test_fresh_regression_is_the_sum_and_bad_examples_are_refused():
    tracks = song(2)
    torch.testing.assert_close(Regression(RATE)(tracks).audio, tracks.unity_mix(), atol=1e-6, rtol=1e-6)
    with pytest.raises(ValueError, match="at least one song"):
        Regression(RATE).fit([])
    with pytest.raises(ValueError, match=r"of 2 tracks; got \(3,\)"):
        Regression(RATE).fit([(tracks, torch.zeros(3), torch.zeros(2))])


# by name


def test_a_file_is_a_model():
    assert set(kinds()) == {"demucs", "dmc", "mix_wave_u_net", "regression"}
    assert set(names()) == {*kinds(), "equal_loudness", "mono", "random", "rules", "sum"}
    assert isinstance(mixer("rules"), Rules)
    assert mixer("random", seed=4).seed == 4
    assert "loudness" in about(mixer("equal-loudness"))
    assert about(build("regression")).startswith("Regression, 142 parameters, not trained")
    for kind in kinds():
        assert build(kind).kind == kind


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: mixer("rule"), "no model 'rule'; there are .*Did you mean 'rules'"),
        (lambda: mixer("none.safetensors"), "none.safetensors: there is no such file"),
        (lambda: mixer("sum", seed=1), "sum: .*seed"),
        (lambda: mixer("x.safetensors", seed=1), "takes no seed"),
        (lambda: load("/"), "is a folder"),
    ],
)
def test_a_wrong_name_is_one_sentence(call, words):
    with pytest.raises(UserError, match=words):
        call()


def test_a_kind_is_the_model_that_is_shipped_of_it(tmp_path, monkeypatch):
    monkeypatch.setattr("mixing.models.model.WEIGHTS", tmp_path)
    with pytest.raises(UserError, match="no weights of this kind are shipped"):
        mixer("dmc")
    for name, strip in (("dmc-full", "full"), ("dmc-gain-pan", "gain-pan")):
        save(tmp_path / f"{name}.safetensors", dmc(strip), HEADER)
    assert mixer("dmc").settings["strip"] == "full"
    monkeypatch.setattr("mixing.models.model.DEFAULT", "dmc-gain-pan")
    assert mixer("dmc").settings["strip"] == "gain-pan"
    assert mixer("dmc-full").settings["strip"] == "full"


# in files


@pytest.mark.parametrize("half", [False, True])
def test_a_file_brings_the_model_back(tmp_path, half):
    model, tracks = stirred(dmc("full")).eval(), song(2, 0.3)
    state = torch.get_rng_state()
    save(tmp_path / "a.safetensors", model, HEADER | {"scores": {"loss": 1.5}}, half=half)
    again = load(tmp_path / "a.safetensors")
    assert torch.equal(torch.get_rng_state(), state)
    assert again.settings == model.settings
    assert again.header["scores"] == {"loss": 1.5}
    assert again.header["data"] == HEADER["data"]
    assert "trained on songs (CC0-1.0)" in about(again)
    assert not again.training
    torch.testing.assert_close(again(tracks).audio, model(tracks).audio, atol=2e-2 if half else 0, rtol=0)


def test_a_file_is_read_by_a_process_that_has_imported_nothing_else(tmp_path):
    save(tmp_path / "a.safetensors", dmc(), HEADER)
    script = "import sys; from mixing import models; print(models.load(sys.argv[1]).name)"
    run = subprocess.run([sys.executable, "-c", script, tmp_path / "a.safetensors"], capture_output=True, text=True, check=False)
    assert run.stdout.strip() == "DMC", run.stderr[-500:]


def test_regression_and_waveform_models_go_through_files_too(tmp_path):
    tracks = song(2, 0.3)
    for model in (taught()[0], MixWaveUNet(2, 1, RATE, "toolkit", 3, 2).eval()):
        save(tmp_path / "a.safetensors", model, HEADER)
        assert torch.equal(load(tmp_path / "a.safetensors")(tracks).audio, model(tracks).audio)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": "x"}, "seed: expected a whole number"),
        ({"data": [{"name": "a"}]}, "data: expected name, licence and origin"),
        ({"more": 1}, "entries: expected"),
        ({"licence": ""}, "licence: expected a line"),
        ({"scores": {"a": float("nan")}}, "scores.a: expected finite"),
        ({"version": 2}, "version: expected 1"),
    ],
)
def test_a_wrong_header_is_refused(tmp_path, change, words):
    with pytest.raises(ValueError, match=words):
        save(tmp_path / "a.safetensors", dmc(), HEADER | change)
    assert not list(tmp_path.iterdir())


def hostile(path, change):
    """A good file with something changed in the header's text."""
    save(path, dmc(), HEADER)
    content = path.read_bytes()
    (size,) = struct.unpack("<Q", content[:8])
    table = json.loads(content[8 : 8 + size])
    header = json.loads(table["__metadata__"]["header"])
    table["__metadata__"]["header"] = change(header)
    text = json.dumps(table).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + size :])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda h: "[" * 100_000, "nested too deeply"),
        (lambda h: "{}", "entries: expected"),
        (lambda h: json.dumps(h | {"model": {"kind": "../x"}}), "no kind of model"),
        (lambda h: json.dumps(h | {"model": {"kind": "model"}}), "no kind of model"),
        (lambda h: json.dumps(h | {"model": h["model"] | {"hidden": 1 << 19}}), "larger network"),
        (lambda h: json.dumps(h | {"model": h["model"] | {"hidden": 17}}), "the network has"),
        (lambda h: json.dumps(h | {"model": h["model"] | {"colour": 1}}), "unexpected keyword"),
        (lambda h: json.dumps(h | {"model": {"kind": "mix_wave_u_net", "levels": 1 << 19}}), "levels is at most"),
    ],
)
def test_a_hostile_file_is_refused_in_one_sentence(tmp_path, change, words):
    hostile(tmp_path / "a.safetensors", change)
    with pytest.raises(UserError, match=f"a.safetensors: not a model that can be loaded: .*({words})"):
        load(tmp_path / "a.safetensors")


def test_a_file_that_is_none(tmp_path):
    (tmp_path / "a.safetensors").write_bytes(b"nonsense")
    with pytest.raises(UserError, match="not a model that can be loaded"):
        load(tmp_path / "a.safetensors")
