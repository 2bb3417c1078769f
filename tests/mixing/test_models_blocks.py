"""Stems that stay on disk, songs in blocks, and `dasp mix` with models."""

import json
import math
import subprocess
import sys

import pytest
import torch
from synthetic import RATE, listing, save, stem
from test_models_baselines import HEADER
from tiny import dmc, stirred

from mixing import Multitrack, models
from mixing.audio import read
from mixing.blocks import Folder, Whole, mix, overlapped
from mixing.loudness import integrated_loudness
from mixing.mixers import Mix
from mixing.models import MixWaveUNet, mixer
from mixing.models import save as save_model
from mixing.stems import Stems


@pytest.fixture
def folder(song):
    """The song, a stem at another rate, and a short one."""
    save(song / "4_fast.flac", 0.3 * stem(1, rate=44100), 44100)
    save(song / "5_short.ogg", 0.3 * stem(2, seconds=0.5))
    return song


def test_stems_on_disk_are_those_in_memory(folder):
    held, left = Stems.open(folder, hold=math.inf), Stems.open(folder, hold=0)
    assert (left.names, left.samples, left.sample_rate, left.notes) == (held.names, held.samples, held.sample_rate, held.notes)
    assert all(f.audio is None for f in left.files) and all(f.audio is not None for f in held.files)
    whole = Multitrack.from_folder(folder)
    assert torch.equal(held.read(0, held.samples), whole.audio[0])
    for start, count in ((0, held.samples), (1000, 7001), (held.samples - 10, 50), (held.samples + 5, 3)):
        torch.testing.assert_close(left.read(start, count), held.read(start, count), atol=1e-5, rtol=0)
    part = Stems.open(folder, hold=held.files[0].samples + 12_000)
    assert [f.audio is not None for f in part.files] == [True, False, False, False, True]


def test_a_mix_from_disk_is_the_mix_from_memory(folder):
    model, tracks = stirred(dmc("full")).eval(), Multitrack.from_folder(folder)
    for each in (model, mixer("rules"), mixer("mono"), MixWaveUNet(3, 2, RATE, levels=3, filters=2).eval()):
        with torch.no_grad():
            whole = each(tracks).audio
        seen = []
        made, _ = mix(each, Folder(Stems.open(folder, hold=0)), 9000, lambda done, total, seen=seen: seen.append((done, total)))
        torch.testing.assert_close(made.audio, whole, atol=5e-5, rtol=0)
        assert seen[-1] == (tracks.samples, tracks.samples) and seen == sorted(seen)


def test_blocks_that_disagree_are_cross_faded():
    """A mixer whose level depends on where the block begins: there is no step from one block to the next."""
    tracks = Multitrack.from_tracks([torch.ones(1, 10_000)], float(RATE))
    calls = []

    def moody(part):
        calls.append(part.samples)
        return Mix(part.unity_mix() * (1 + len(calls) % 2))

    y = torch.cat(list(overlapped(moody, Whole(tracks), block=3000, fade=500)), 1)
    assert y.shape == (2, 10_000)
    assert len(calls) == 4
    assert y[0].min() == 1 and y[0].max() == 2
    assert y.diff().abs().max() < 1.5 / 500


def test_dasp_mix_with_a_model(song, tmp_path, dasp_command):
    path = tmp_path / "my.safetensors"
    save_model(path, stirred(dmc("full")), HEADER)
    code, out, _ = dasp_command("mix", song, "-o", tmp_path / "out", "--model", path)
    assert code == 0
    assert "and settings.json" in out
    assert "DMC, " in out and "trained on songs (CC0-1.0)" in out
    values = json.loads((tmp_path / "out" / "settings.json").read_text())
    assert [e["effect"] for e in values["tracks"][0]["inserts"]] == ["ParametricEQ", "Compressor"]
    assert values["buses"][0]["effects"][0]["effect"] == "Reverb"
    assert "trained on songs" in values["provenance"]["about"]
    assert dasp_command("apply-settings", song, tmp_path / "out" / "settings.json", tmp_path / "again.wav")[0] == 0
    torch.testing.assert_close(read(tmp_path / "again.wav")[0], read(tmp_path / "out" / "mix.wav")[0], atol=1e-4, rtol=0)


def test_settings_found_at_a_model_s_rate_are_played_at_the_stems(tmp_path, dasp_command):
    """48 kHz stems come out as 48 kHz, by the settings that a model of 44.1 kHz finds for them."""
    for k in range(2):
        save(tmp_path / "song" / f"{k}.wav", stem(k, 1.0, rate=48000), 48000, subtype="FLOAT")
    path, out = tmp_path / "my.safetensors", tmp_path / "out"
    save_model(path, stirred(dmc("full", rate=44100)), HEADER)
    code, _, err = dasp_command("mix", tmp_path / "song", "-o", out, "--model", path)
    assert code == 0 and "resampled" not in err
    mix, rate = read(out / "mix.wav")
    values = json.loads((out / "settings.json").read_text())
    assert rate == values["sample_rate"] == 48000 and mix.shape[1] == 48000
    heard = Folder(Stems.open(tmp_path / "song", 44100))
    plan = models.load(path).settle(heard)
    expected = plan.console.physical(plan.controls)["tracks"]["threshold_db"]
    found = [t["inserts"][1]["controls"]["threshold_db"]["value"] for t in values["tracks"]]
    assert found == pytest.approx(expected[0].tolist(), rel=1e-4)
    assert dasp_command("apply-settings", tmp_path / "song", out / "settings.json", tmp_path / "again.wav")[0] == 0
    torch.testing.assert_close(read(tmp_path / "again.wav")[0], mix, atol=1e-4, rtol=0)


def test_dasp_mix_with_a_model_of_waveforms_has_no_settings_and_resamples(song, tmp_path, dasp_command):
    path = tmp_path / "my.safetensors"
    save_model(path, MixWaveUNet(3, 2, 16000, levels=3, filters=2), HEADER)
    code, out, err = dasp_command("mix", song, "-o", tmp_path / "out", "--model", path)
    assert code == 0
    assert "has no settings" in out
    assert "resampled from 22050 to 16000 Hz" in err
    assert sorted(listing(tmp_path / "out")) == ["mix.wav"]
    assert read(tmp_path / "out" / "mix.wav")[1] == 16000


def test_dasp_mix_names_its_models_and_refuses_others(song, tmp_path, dasp_command, refused):
    code, out, _ = dasp_command("mix", "--list")
    assert code == 0
    for name in ("sum: ", "equal-loudness: ", "random: ", "rules: ", "mono: "):
        assert any(line.startswith(name) for line in out.splitlines())
    assert "Did you mean 'rules'?" in refused("mix", song, "-o", tmp_path / "out", "--model", "ruls")
    (tmp_path / "bad.safetensors").write_bytes(b"x" * 100)
    assert "not a model" in refused("mix", song, "-o", tmp_path / "out", "--model", tmp_path / "bad.safetensors")
    assert not (tmp_path / "out").exists()


LONG = """
import resource, sys, torch
from mixing.blocks import Folder, mix
from mixing.models import mixer
from mixing.stems import Stems
mixer("sum")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
made, _ = mix(mixer("sum"), Folder(Stems.open(sys.argv[1], hold=0)), block=1 << 16)
print(float(made.audio.abs().max()), (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_memory_does_not_grow_with_the_tracks(tmp_path):
    """Thirty tracks of 80 seconds, 423 MB as float32 in stereo, are mixed in a block's memory and the mix's own 14 MB."""
    first = save(tmp_path / "song" / "t0.wav", stem(1, seconds=80.0), subtype="PCM_16")
    for k in range(1, 30):
        (tmp_path / "song" / f"t{k}.wav").hardlink_to(first)
    run = subprocess.run([sys.executable, "-c", LONG, str(tmp_path / "song")], capture_output=True, text=True, check=True)
    peak, megabytes = map(float, run.stdout.split())
    assert peak > 1
    assert megabytes < 200


@pytest.mark.parametrize("name", ["rules", "equal-loudness"])
def test_rules_read_no_track_as_a_whole(name):
    """A song longer than what is read of a track at a time, and its mix is at the loudness that was asked for."""

    class Parts(Whole):
        def read(self, start, samples):
            assert samples <= 1 << 22
            return super().read(start, samples)

        def track(self, number, start=0, samples=None):
            assert samples is not None and samples <= 1 << 20
            return super().track(number, start, samples)

    long = Parts(Multitrack.from_tracks([stem(n, seconds=60.0) for n in range(2)], float(RATE)))
    assert long.samples > 1 << 20
    made, plan = mix(mixer(name), long)
    assert math.isclose(integrated_loudness(made.audio[0], RATE), -18.0, abs_tol=0.05)
    assert plan is not None and plan.controls.tracks.isfinite().all()
