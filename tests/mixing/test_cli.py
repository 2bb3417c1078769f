"""The command line: help, effects, apply, mix, apply-settings; a user's mistake is one sentence and leaves no file."""

import json
import subprocess
import sys

import pytest
import torch
from synthetic import RATE, listing, save, stem

import dasp
from dasp.effects import registry
from mixing import Multitrack, Sum, cli
from mixing.audio import read

COMMANDS = ["apply", "apply-settings", "effects", "match", "mix"]


def test_help_names_every_command_and_each_has_help(dasp_command):
    code, out, err = dasp_command("--help")
    assert (code, err) == (0, "")
    assert dasp_command()[:2] == (0, out)
    for name in COMMANDS:
        assert f"  {name} " in out
        code, text, _ = dasp_command(name, "--help")
        assert code == 0
        assert text.startswith(f"Usage: dasp {name} ")
    assert dasp_command("--version")[1] == f"dasp, version {dasp.__version__}\n"


def test_python_m_mixing_is_dasp_and_help_does_not_wait_for_torch():
    command = [sys.executable, "-X", "importtime", "-m", "mixing", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Usage: dasp ")
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "mixing.cli" in loaded
    assert not loaded & {"torch", "numpy", "scipy", "matplotlib", "soundfile", "rich"}


def test_an_unknown_command_or_option_suggests_the_nearest(refused):
    assert "Did you mean 'match'?" in refused("mtch", "x")
    assert "--model" in refused("mix", "a", "-o", "b", "--modle", "sum")
    assert "Did you mean 'sum'?" in refused("mix", "a", "-o", "b", "--model", "summ")
    assert "STEMS_DIR" in refused("mix")
    assert "--reference" in refused("match", "stems", "-o", "out")


def test_a_fault_of_ours_is_a_traceback(monkeypatch, song, tmp_path):
    monkeypatch.setattr(Sum, "settle", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        cli.main(["mix", str(song), "-o", str(tmp_path / "out"), "--model", "sum"])


def test_ctrl_c_is_130_and_writes_nothing(monkeypatch, song, tmp_path, dasp_command):
    def press(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Sum, "settle", press)
    before = listing(tmp_path)
    code, _, err = dasp_command("mix", song, "-o", tmp_path / "out", "--model", "sum")
    assert code == 130
    assert "Traceback" not in err
    assert listing(tmp_path) == before


def test_control_characters_in_names_do_not_reach_the_terminal(refused, tmp_path):
    assert "\x1b" not in refused("mix", tmp_path / "a\x1b[31mb\nc", "-o", tmp_path / "out")


# effects


def test_effects_prints_every_control_of_every_effect(dasp_command):
    for flags in ((), ("--markdown",)):
        code, out, _ = dasp_command("effects", *flags)
        assert code == 0
        for name, cls in registry().items():
            assert name in out
            for q in cls.controls:
                assert q.name in out
                assert f"{q.low:g} to {q.high:g}" in out


def test_effects_of_one(dasp_command, refused):
    out = dasp_command("effects", "Panner")[1]
    assert "--law (default constant_power)" in out
    assert "threshold_db" not in out
    table = dasp_command("effects", "Compressor", "--markdown")[1].splitlines()
    assert table[0] == "| effect | control | range | unit | scale | default |  |"
    assert table[2].startswith("| Compressor | `threshold_db` | -60 to 0 | dB | linear | -20 |")
    assert len(table) == 6
    assert "Did you mean 'Panner'?" in refused("effects", "Paner")
    assert "Invert" in (out := dasp_command("effects", "Invert")[1]) and "no controls" in out


# apply


@pytest.mark.parametrize(("source", "target"), [("wav", "wav"), ("flac", "ogg"), ("ogg", "mp3"), ("mp3", "flac")])
@pytest.mark.parametrize("channels", [1, 2])
def test_apply_is_the_effect(tmp_path, dasp_command, source, target, channels):
    path = save(tmp_path / f"in.{source}", stem(1, channels=channels))
    code, out, _ = dasp_command(
        "apply", "Compressor", path, tmp_path / f"out.{target}", "--threshold-db", "-24", "--release-ms", 50
    )
    assert code == 0
    assert out.startswith(f"wrote {tmp_path / f'out.{target}'} (1.50 s, {'stereo' if channels == 2 else 'mono'}, {RATE} Hz)")
    audio, rate = read(path)
    expected = dasp.Compressor(rate)(audio[None], threshold_db=-24.0, release_ms=50.0)[0]
    got, _ = read(tmp_path / f"out.{target}")
    assert (audio - expected).abs().max() > 0.03
    assert (got - expected).abs().max() <= {"wav": 0, "flac": 2**-22}.get(target, 0.05)


def test_apply_takes_the_effects_options_and_makes_stereo(tmp_path, dasp_command):
    path = save(tmp_path / "in.wav", stem(1), subtype="FLOAT")
    for law in ("linear", "constant_power"):
        assert dasp_command("apply", "Panner", path, tmp_path / f"{law}.wav", "--pan", 0.5, "--law", law)[0] == 0
    linear, power = read(tmp_path / "linear.wav")[0], read(tmp_path / "constant_power.wav")[0]
    assert linear.shape[0] == 2
    torch.testing.assert_close(linear * 2**0.5, power)


def test_apply_lets_a_reverb_ring_out(tmp_path, dasp_command):
    path = save(tmp_path / "in.wav", stem(1), subtype="FLOAT")
    dasp_command("apply", "Reverb", path, tmp_path / "out.wav", "--tail", 0.5)
    out, _ = read(tmp_path / "out.wav")
    assert out.shape[1] == stem(1).shape[1] + RATE // 2
    assert out[:, -RATE // 4 :].abs().max() > 1e-4


def test_apply_through_the_real_plugin_is_the_same(tmp_path, dasp_command):
    pytest.importorskip("pedalboard")
    path = save(tmp_path / "in.wav", stem(1), subtype="FLOAT")
    for gradient in ("autodiff", "fd"):
        dasp_command("apply", "Distortion", path, tmp_path / f"{gradient}.wav", "--drive-db", 12, "--gradient", gradient)
    torch.testing.assert_close(read(tmp_path / "fd.wav")[0], read(tmp_path / "autodiff.wav")[0], atol=1e-6, rtol=0)


@pytest.mark.parametrize("gradient", ["autodiff", "fd"])
def test_apply_of_effects_without_controls_or_for_stereo_only(tmp_path, dasp_command, refused, gradient):
    mono, stereo = (save(tmp_path / f"{c}.wav", stem(1, channels=c), subtype="FLOAT") for c in (1, 2))
    assert dasp_command("apply", "Invert", stereo, tmp_path / "out.wav", "--gradient", gradient)[0] == 0
    assert torch.equal(read(tmp_path / "out.wav")[0], -read(stereo)[0])
    assert dasp_command("apply", "MidSideEncoder", stereo, tmp_path / "ms.wav", "--gradient", gradient)[0] == 0
    assert "takes 2 channels; got 1. Use Panner" in refused("apply", "StereoWidener", mono, tmp_path / "no.wav")
    assert "Invert has no control with a true gradient" in refused("gradients", "--effect", "Invert")


def test_apply_never_clips_silently(tmp_path, dasp_command):
    path = save(tmp_path / "in.wav", stem(1), subtype="FLOAT")
    _, _, err = dasp_command("apply", "Gain", path, tmp_path / "out.flac", "--gain-db", 20)
    assert "turned down by" in err
    assert read(tmp_path / "out.flac")[0].abs().max() < 1
    _, _, err = dasp_command("apply", "Gain", path, tmp_path / "out.wav", "--gain-db", 20)
    assert "dBFS" in err
    torch.testing.assert_close(read(tmp_path / "out.wav")[0], 10 * stem(1))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["Compresor", "in.wav", "out.wav"], "Did you mean 'Compressor'?"),
        ([], "name an effect"),
        (["Gain", "in.wav"], "OUT"),
        (["Compressor", "in.wav", "out.wav", "--treshold-db", "3"], "--threshold-db"),
        (["Compressor", "in.wav", "out.wav", "--threshold-db", "3"], "3 is not a number from -60 to 0 dB"),
        (["Compressor", "in.wav", "out.wav", "--threshold-db", "nan"], "nan is not a number from -60 to 0 dB"),
        (["Compressor", "in.wav", "out.wav", "--threshold-db", "loud"], "loud is not a number from -60 to 0 dB"),
        (["Panner", "in.wav", "out.wav", "--law", "linea"], "Did you mean 'linear'?"),
        (["Reverb", "in.wav", "out.wav", "--tail", "nan"], "nan is not a number from 0 to 600 s"),
        (["Gain", "in.wav", "out.wav", "--gradient", "spas"], "Did you mean 'spsa'?"),
        (["Gain", "in.wav", "out.wav", "--gradient", "proxy"], "needs a proxy"),
        (["Gain", "none.wav", "out.wav"], "no such file"),
        (["Gain", "text.wav", "out.wav"], "cannot be read as audio"),
        (["Gain", "in.wav", "out.xyz"], ".xyz is not one of"),
        (["Gain", "in.wav", "none/out.wav"], "choose another folder"),
        (["Gain", "in.wav", "in.wav/out.wav"], "choose another folder"),
        (["Gain", "fast.wav", "out.mp3"], "MP3 cannot hold"),
    ],
)
def test_apply_refuses_in_one_sentence(tmp_path, monkeypatch, refused, arguments, words):
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "in.wav", stem(1))
    save(tmp_path / "fast.wav", stem(1, seconds=0.1, rate=96000), 96000)
    (tmp_path / "text.wav").write_text("no sound")
    before = listing(tmp_path)
    assert words in refused("apply", *arguments)
    assert listing(tmp_path) == before


def test_a_plugin_that_is_not_installed_is_said_before_any_work(tmp_path, monkeypatch, refused):
    monkeypatch.setitem(sys.modules, "pedalboard", None)
    path = save(tmp_path / "in.wav", stem(1))
    assert "pip install" in refused("apply", "Gain", path, tmp_path / "out.wav", "--gradient", "fd")


# mix and apply-settings


@pytest.mark.parametrize("model", ["sum", "equal-loudness", "random", "rules"])
def test_mix_writes_a_mix_and_settings_that_make_it_again(song, tmp_path, dasp_command, model):
    out = tmp_path / "new" / "out"
    code, text, err = dasp_command("mix", song, "-o", out, "--model", model, "--seed", 4)
    assert (code, err) == (0, "")
    assert text.startswith(f"wrote {out / 'mix.wav'} (1.50 s, stereo, {RATE} Hz)")
    assert sorted(listing(out)) == ["mix.wav", "settings.json"]
    settings = json.loads((out / "settings.json").read_text())
    assert settings["provenance"]["model"] == model
    assert settings["provenance"]["command"].startswith("dasp mix ")
    code, _, _ = dasp_command("apply-settings", song, out / "settings.json", tmp_path / "again.wav")
    assert code == 0
    torch.testing.assert_close(read(tmp_path / "again.wav")[0], read(out / "mix.wav")[0], atol=1e-6, rtol=0)


def test_mix_is_the_sum_and_random_follows_its_seed(song, tmp_path, dasp_command):
    for name, flags in {"s": ["--model", "sum"], "a": ["--model", "random"], "b": ["--model", "random", "--seed", 1]}.items():
        dasp_command("mix", song, "-o", tmp_path / name, *flags)
    mixes = {n: read(tmp_path / n / "mix.wav")[0] for n in "sab"}
    assert torch.equal(mixes["s"], Multitrack.from_folder(song).unity_mix()[0])
    assert not torch.equal(mixes["a"], mixes["b"])


def test_a_mix_that_would_clip_is_turned_down_and_says_so(song, tmp_path, dasp_command):
    for n in range(4):
        save(song / f"loud{n}.wav", 3 * stem(1), subtype="FLOAT")
    _, _, err = dasp_command("mix", song, "-o", tmp_path / "out", "--model", "sum")
    assert "turned down by" in err
    mix, _ = read(tmp_path / "out" / "mix.wav")
    assert 0.99 < mix.abs().max() < 1
    dasp_command("apply-settings", song, tmp_path / "out" / "settings.json", tmp_path / "again.wav")
    torch.testing.assert_close(read(tmp_path / "again.wav")[0], mix, atol=1e-5, rtol=0)


def test_what_was_done_to_the_stems_is_said(song, tmp_path, dasp_command):
    save(song / "4_fast.wav", 0.3 * stem(1, rate=44100), 44100)
    save(song / "5_short.wav", 0.3 * stem(2, seconds=0.5))
    _, _, err = dasp_command("mix", song, "--model", "equal-loudness", "-o", tmp_path / "out")
    assert err.splitlines() == [
        "note: 4_fast: resampled from 44100 to 22050 Hz.",
        "note: 5_short: padded with 1.00 s of silence at the end.",
    ]


def stems_of(folder, case):
    """Spoil a folder of stems; the words that the sentence must have."""
    if case == "no stems":
        for f in list(folder.iterdir()):
            f.unlink()
        return "has no stems"
    if case == "no folder":
        return "no such folder"
    if case == "corrupt":
        path = folder / "1_kick.wav"
        path.write_bytes(path.read_bytes()[:2000])
        return "1_kick.wav: is cut short"
    if case == "text":
        (folder / "9_text.wav").write_text("no sound")
        return "9_text.wav: cannot be read as audio"
    if case == "nan":
        bad = stem(1)
        bad[0, 10] = float("nan")
        save(folder / "9_nan.wav", bad, subtype="FLOAT")
        return "9_nan.wav: has 1 samples that are not numbers"
    if case == "silence":
        for f in list(folder.iterdir()):
            save(f, 0 * stem(1))
        return "every stem is silent"
    raise AssertionError(case)


STEM_CASES = ["no stems", "no folder", "corrupt", "text", "nan", "silence"]


@pytest.mark.parametrize("case", STEM_CASES)
def test_mix_refuses_bad_stems_and_writes_nothing(song, tmp_path, refused, case):
    words = stems_of(song, case)
    before = listing(tmp_path)
    assert words in refused("mix", song / "none" if case == "no folder" else song, "-o", tmp_path / "out")
    assert listing(tmp_path) == before


def test_mix_refuses_folders_that_it_cannot_or_should_not_write_to(song, tmp_path, refused):
    (tmp_path / "file").write_text("x")
    before = listing(tmp_path)
    assert "is a file" in refused("mix", song, "-o", tmp_path / "file")
    assert "cannot be written" in refused("mix", song, "-o", tmp_path / "file" / "out")
    assert "holds the stems" in refused("mix", song, "-o", song)
    assert listing(tmp_path) == before
    assert "cannot be written" in refused("mix", song, "-o", "/proc/dasp-test")


def test_mix_writes_all_or_nothing(song, tmp_path, refused, dasp_command, monkeypatch):
    dasp_command("mix", song, "--model", "equal-loudness", "-o", tmp_path / "out")
    before = listing(tmp_path)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mixing.settings.write", full)
    assert "no space left" in refused("mix", song, "-o", tmp_path / "out", "--model", "random")
    assert "no space left" in refused("mix", song, "--model", "equal-loudness", "-o", tmp_path / "new")
    assert listing(tmp_path) == before


def test_apply_settings_says_what_it_left_out_and_refuses_what_is_missing(song, tmp_path, dasp_command, refused):
    dasp_command("mix", song, "--model", "equal-loudness", "-o", tmp_path / "out")
    settings = tmp_path / "out" / "settings.json"
    save(song / "4_new.wav", stem(3))
    _, _, err = dasp_command("apply-settings", song, settings, tmp_path / "again.wav")
    assert err == "note: 4_new: is not in the settings; left out.\n"
    (song / "1_kick.wav").rename(song / "1_kck.wav")
    before = listing(tmp_path)
    assert "Did you mean '1_kck'?" in refused("apply-settings", song, settings, tmp_path / "b.wav")
    assert "no such file" in refused("apply-settings", song, tmp_path / "none.json", tmp_path / "b.wav")
    assert ".txt" in refused("apply-settings", song, settings, tmp_path / "b.txt")
    assert listing(tmp_path) == before
