"""`dasp match` around the matching itself, which is replaced by random settings: what is refused, said, kept and written."""

import json
import os
import signal
import sys
from html.parser import HTMLParser
from types import SimpleNamespace

import pytest
import torch
from shipping import shipped
from synthetic import RATE, fake_match, listing, save, stem
from test_cli import STEM_CASES, stems_of

from mixing import Multitrack
from mixing.audio import read


@pytest.fixture
def calls(monkeypatch):
    """Stands in for mixing.matching; the calls that it got. It takes `steps` steps and stops when it is told to."""
    got = []

    def match(tracks, reference, *, progress, should_stop, steps, **options):
        done = 0
        progress("align", 0, 1, 0.0)
        for done in range(1, (steps or 5) + 1):
            progress("fit", done, steps or 5, 1 / done)
            if should_stop():
                break
        got.append(SimpleNamespace(tracks=tracks, reference=reference, done=done, steps=steps, **options))
        return fake_match(tracks, master=False)

    monkeypatch.setitem(sys.modules, "mixing.matching", SimpleNamespace(match=match))
    return got


@pytest.fixture
def reference(song, tmp_path):
    """A mix of the song, beside it."""
    return save(tmp_path / "mix.wav", 0.5 * Multitrack.from_folder(song).unity_mix()[0], subtype="FLOAT")


def test_all_three_files_and_a_summary(song, reference, tmp_path, calls, dasp_command):
    out = tmp_path / "out"
    code, text, err = dasp_command("match", song, "--reference", reference, "-o", out, "--seed", 7)
    assert code == 0
    assert sorted(listing(out)) == ["mix.wav", "report.html", "settings.json"]
    assert "1_kick" in text
    assert f"wrote {out / 'mix.wav'} (1.50 s, stereo, {RATE} Hz), settings.json and report.html" in text
    assert "note: A note." in err
    result = fake_match(calls[0].tracks, master=False)
    assert torch.equal(read(out / "mix.wav")[0], result.audio)
    settings = json.loads((out / "settings.json").read_text())
    about = settings["provenance"]
    assert (about["seed"], about["gradient"], about["reference"]) == (7, "autodiff", "mix.wav")
    assert about["command"].startswith("dasp match ")
    assert settings["tracks"][0]["fader_db"] == result.tracks["1_kick"]["fader_db"]
    dasp_command("apply-settings", song, out / "settings.json", tmp_path / "again.wav")
    torch.testing.assert_close(read(tmp_path / "again.wav")[0], result.audio, atol=1e-7, rtol=1e-5)
    HTMLParser().feed((out / "report.html").read_text())


def test_options_reach_the_match(song, reference, tmp_path, calls, dasp_command):
    options = ["--effects", "Gain, Compressor", "--no-reverb", "--master", "--no-align", "--steps", 3, "--no-polish", "--seed", 2]
    assert dasp_command("match", song, "--reference", reference, "-o", tmp_path / "a", *options)[0] == 0
    assert dasp_command("match", song, "--reference", reference, "-o", tmp_path / "b", "--effects", "none")[0] == 0
    first, second = calls
    assert first.effects == ("Gain", "Compressor")
    assert (first.reverb, first.master, first.align, first.steps, first.polish, first.seed) == (False, True, False, 3, False, 2)
    assert second.effects == ()
    assert (second.reverb, second.master, second.align, second.steps, second.polish) == (True, "auto", True, None, None)


def test_networks_are_of_one_sample_rate(song, reference, tmp_path, calls, refused, dasp_command, monkeypatch):
    weights = tmp_path / "weights"
    weights.mkdir()
    shipped(weights, monkeypatch, RATE)
    arguments = ["match", song, "--reference", reference, "-o", tmp_path / "out", "--gradient", "hybrid"]
    message = refused(*arguments)
    assert "LowShelfFilter: Hybrid(backward='proxy') needs a proxy view" in message
    assert "Networks are shipped for Compressor, ParametricEQ, Reverb." in message
    assert dasp_command(*arguments, "--effects", "ParametricEQ,Compressor")[0] == 0
    assert calls[0].gradient == "hybrid"
    shipped(weights, monkeypatch, 48000)
    assert "is of 48000 Hz and the effect of 22050 Hz" in refused(*arguments, "--effects", "Compressor")


def test_a_reference_of_another_rate_length_and_width_is_fitted_and_said(song, tmp_path, calls, dasp_command):
    path = save(tmp_path / "mix.flac", stem(1, seconds=1.2, rate=48000), 48000)
    _, _, err = dasp_command("match", song, "--reference", path, "-o", tmp_path / "out")
    assert f"note: {path}: resampled from 48000 to 22050 Hz.\n" in err
    assert f"note: {path}: is mono; used for both sides.\n" in err
    assert "note: the stems are 0.30 s longer; cut to 1.20 s.\n" in err
    assert calls[0].reference.shape == (2, round(1.2 * RATE))
    assert calls[0].tracks.samples == round(1.2 * RATE)
    torch.testing.assert_close(calls[0].reference.square().mean(), stem(1, seconds=1.2).square().mean(), rtol=1e-2, atol=0)
    long = save(tmp_path / "long.wav", stem(1, seconds=2.0, channels=2))
    _, _, err = dasp_command("match", song, "--reference", long, "-o", tmp_path / "out")
    assert f"note: {long} is 0.50 s longer; cut to 1.50 s.\n" in err


def test_a_reference_among_the_stems_is_no_stem(song, tmp_path, calls, dasp_command):
    path = save(song / "mix.wav", stem(1))
    dasp_command("match", song, "--reference", path, "-o", tmp_path / "out")
    assert calls[0].tracks.names == (("1_kick", "2_synth", "3_hat"),)


def test_ctrl_c_keeps_the_best_so_far(song, reference, tmp_path, calls, dasp_command, monkeypatch):
    from mixing.commands import match as command

    before = signal.getsignal(signal.SIGINT)
    show = command.Meter.show

    def press(self, stage, step, total, loss):
        show(self, stage, step, total, loss)
        if step == 3:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(command.Meter, "show", press)
    code, _, err = dasp_command("match", song, "--reference", reference, "-o", tmp_path / "out", "--steps", 50)
    assert code == 0
    assert calls[0].done == 3
    assert "stopping and keeping the best so far" in err
    assert sorted(listing(tmp_path / "out")) == ["mix.wav", "report.html", "settings.json"]
    assert any("Stopped by Ctrl-C" in n for n in json.loads((tmp_path / "out" / "settings.json").read_text())["notes"])
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_twice_ends_without_results(song, reference, tmp_path, calls, dasp_command, monkeypatch):
    from mixing.commands import match as command

    monkeypatch.setattr(command.Meter, "show", lambda *_: os.kill(os.getpid(), signal.SIGINT))
    before = listing(tmp_path)
    code, _, err = dasp_command("match", song, "--reference", reference, "-o", tmp_path / "out")
    assert code == 130
    assert "nothing was written" in err
    assert listing(tmp_path) == before


def test_the_time_limit_keeps_the_best_so_far(song, reference, tmp_path, calls, dasp_command):
    code, _, err = dasp_command(
        "match", song, "--reference", reference, "-o", tmp_path / "out", "--steps", 1000, "--time-limit", 0
    )
    assert code == 0
    assert calls[0].done == 1
    assert "Stopped by the time limit" in err


@pytest.mark.parametrize("case", STEM_CASES)
def test_bad_stems_are_refused(song, reference, tmp_path, calls, refused, case):
    words = stems_of(song, case)
    before = listing(tmp_path)
    stems = song / "none" if case == "no folder" else song
    assert words in refused("match", stems, "--reference", reference, "-o", tmp_path / "out")
    assert listing(tmp_path) == before
    assert not calls


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--reference", "none.wav"], "none.wav: there is no such file"),
        (["--reference", "text.wav"], "text.wav: cannot be read as audio"),
        (["--reference", "silent.wav"], "silent.wav: is silent"),
        (["--reference", "late.wav"], "late.wav: is silent where the stems are"),
        (["--reference", "short.wav"], "short.wav: shares only 0.50 s with the stems"),
        (["--effects", "LowShelf,Compressor"], "--effects: no effect 'LowShelf'"),
        (["--effects", "Compresor"], "Did you mean 'Compressor'?"),
        (["--effects", "Panner"], "cannot be an insert"),
        (["--gradient", "autodif"], "Did you mean 'autodiff'?"),
        (["--gradient", "hybrid"], "is of 44100 Hz and the effect of 22050 Hz"),
        (["--steps", "-1"], "--steps"),
        (["--time-limit", "nan"], "nan is not a number"),
        (["-o", "song"], "holds the stems"),
        (["-o", "text.wav"], "is a file"),
        (["-o", "taken"], "report.html: is a folder"),
        (["-o", "text.wav/out"], "choose another folder"),
    ],
)
def test_bad_references_and_options_are_refused_before_the_work(song, tmp_path, monkeypatch, calls, refused, arguments, words):
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "mix.wav", stem(1))
    (tmp_path / "text.wav").write_text("no sound")
    save(tmp_path / "silent.wav", 0 * stem(1))
    late = stem(1, seconds=3.0)
    late[:, : 2 * RATE] = 0
    save(tmp_path / "late.wav", late)
    save(tmp_path / "short.wav", stem(1, seconds=0.5))
    (tmp_path / "taken" / "report.html").mkdir(parents=True)
    before = listing(tmp_path)
    given = {"--reference": "mix.wav", "-o": "out"} | dict(zip(arguments[::2], arguments[1::2], strict=True))
    assert words in refused("match", "song", *[a for pair in given.items() for a in pair])
    assert listing(tmp_path) == before
    assert not calls


@pytest.mark.parametrize("place", ["mixing.audio.write", "mixing.settings.write", "mixing.output.write_text"])
def test_all_files_or_none(song, reference, tmp_path, calls, refused, dasp_command, monkeypatch, place):
    out = tmp_path / "out"
    dasp_command("match", song, "--reference", reference, "-o", out)
    (out / "mine.txt").write_text("stays")
    before = listing(tmp_path)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(place, full)
    for folder in (out, tmp_path / "new"):
        code, _, err = dasp_command("match", song, "--reference", reference, "-o", folder, "--seed", 1)
        assert code == 2
        assert err.splitlines()[-1] == f"dasp: {folder}: cannot be written (no space left on device); choose another folder."
    assert listing(tmp_path) == before
