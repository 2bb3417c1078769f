"""Audio files: every format there and back, and every kind of bad file refused with one sentence that names it."""

import os

import numpy as np
import pytest
import soundfile
import torch
from synthetic import RATE, listing, save, stem

from mixing import UserError
from mixing.audio import check_writable, read, resample, write


@pytest.mark.parametrize(("ending", "tolerance"), [("wav", 0.0), ("flac", 2**-23), ("ogg", 0.05), ("mp3", 0.05)])
@pytest.mark.parametrize("channels", [1, 2])
def test_there_and_back(tmp_path, ending, tolerance, channels):
    audio = stem(1, channels=channels)
    assert write(tmp_path / f"a.{ending}", audio, 44100) == 0
    back, rate = read(tmp_path / f"a.{ending}")
    assert rate == 44100
    assert back.dtype == torch.float32
    assert back.shape == audio.shape
    assert float((back - audio).abs().max()) <= tolerance
    assert [f.name for f in tmp_path.iterdir()] == [f"a.{ending}"]


@pytest.mark.parametrize("rate", [8000, 22050, 48000, 96000])
def test_any_rate(tmp_path, rate):
    write(tmp_path / "a.wav", stem(0), rate)
    assert read(tmp_path / "a.wav")[1] == rate


def test_peaks_above_one_live_in_float_files_and_are_turned_down_in_others(tmp_path):
    audio = 4 * stem(0)
    assert audio.abs().max() > 1.1
    assert write(tmp_path / "a.wav", audio, RATE) == 0
    assert torch.equal(read(tmp_path / "a.wav")[0], audio)
    for name, subtype in (("a.flac", None), ("b.wav", "PCM_16")):
        gain = write(tmp_path / name, audio, RATE, subtype)
        back, _ = read(tmp_path / name)
        assert gain < -0.5
        assert back.abs().max() < 1
        torch.testing.assert_close(back, audio * 10 ** (gain / 20), atol=1e-4, rtol=0)


def test_a_long_ogg_is_written_in_pieces(tmp_path):
    write(tmp_path / "a.ogg", 0.1 * torch.randn(2, 2_000_000, generator=torch.Generator().manual_seed(0)), 44100)
    assert read(tmp_path / "a.ogg")[0].shape == (2, 2_000_000)


def test_resampling_keeps_level_pitch_and_length():
    def tone(rate):
        return torch.sin(2 * torch.pi * 440 * torch.arange(rate, dtype=torch.float64) / rate)[None].float()

    audio, expected = tone(44100), tone(48000)
    out = resample(audio, 44100, 48000)
    assert out.shape == (1, 48000)
    assert float((out - expected)[:, 2000:-2000].abs().max()) < 1e-5
    assert resample(audio, 44100, 44100) is audio


def cut(path, fraction):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * fraction)])
    return path


def bad_files(folder):
    """name -> (file, a word that the sentence must have)."""
    audio = np.asarray(stem(1, channels=2).T)
    noise = np.random.default_rng(0).integers(0, 256, 5000, dtype=np.uint8).tobytes()
    nan, inf = audio.copy(), audio.copy()
    nan[100:103], inf[7, 1] = np.nan, np.inf
    cases = {}
    for name, content, word in [
        ("text.wav", b"This is a letter, not a sound.\n" * 50, "WAV, FLAC, MP3 or OGG"),
        ("empty.wav", b"", "empty"),
        ("noise.flac", noise, "WAV, FLAC, MP3 or OGG"),
        ("noise.mp3", noise[:300], "WAV, FLAC, MP3 or OGG"),
    ]:
        (folder / name).write_bytes(content)
        cases[name] = (folder / name, word)
    for name, samples, word in [
        ("nan.wav", nan, "6 samples"),
        ("inf.wav", inf, "1 samples"),
        ("integers.wav", audio * 32768, "dBFS"),
        ("surround.wav", np.repeat(audio, 3, 1), "6 channels"),
        ("nothing.wav", audio[:0], "no samples"),
    ]:
        soundfile.write(folder / name, samples, RATE, subtype="FLOAT")
        cases[name] = (folder / name, word)
    for ending in ("wav", "flac", "ogg", "mp3", "aiff"):
        path = save(folder / f"cut.{ending}", torch.from_numpy(audio.T))
        cases[path.name] = (cut(path, 0.5), "flac" if ending == "flac" else "cut short")
    cases["folder"] = (folder, "folder")
    cases["missing"] = (folder / "missing.wav", "no such file")
    return cases


BAD = [
    "text.wav", "empty.wav", "noise.flac", "noise.mp3", "nan.wav", "inf.wav", "integers.wav", "surround.wav", "nothing.wav",
    "cut.wav", "cut.flac", "cut.ogg", "cut.mp3", "cut.aiff", "folder", "missing",
]  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_refused_by_name(tmp_path, name):
    path, word = bad_files(tmp_path)[name]
    with pytest.raises(UserError) as caught:
        read(path)
    sentence = str(caught.value)
    assert str(path) in sentence
    assert word in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence


def test_a_file_without_permission_is_refused(tmp_path, monkeypatch):
    path = save(tmp_path / "a.wav", stem(0))

    def denied(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", denied)
    with pytest.raises(UserError, match=r"cannot be opened \(permission denied\)"):
        read(path)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.wav")
    with pytest.raises(UserError, match="no regular file"):
        read(tmp_path / "a.wav")


def test_samples_that_are_not_finite_are_never_written(tmp_path):
    with pytest.raises(ValueError, match="not finite"):
        write(tmp_path / "a.wav", torch.tensor([[0.0, float("nan")]]), RATE)
    assert not listing(tmp_path)


def test_an_mp3_whose_header_promises_more_than_memory_holds_is_refused(tmp_path):
    path = tmp_path / "x.mp3"
    write(path, 0.1 * torch.randn(1, 3000), 8000)
    data = bytearray(path.read_bytes())
    place = max(data.find(b"Xing"), data.find(b"Info"))
    data[place + 8 : place + 12] = (0x7FFFFF00).to_bytes(4, "big")  # MPEG frames, of 576 samples or more
    path.write_bytes(data)
    with pytest.raises(UserError, match="promises more sound than memory can hold"):
        read(path)


def test_a_streamed_wav_whose_header_promises_4_gigabytes_is_read(tmp_path):
    path = save(tmp_path / "a.wav", stem(0), subtype="PCM_16")
    content = bytearray(path.read_bytes())
    place = content.index(b"data")
    content[place + 4 : place + 8] = content[4:8] = b"\xff\xff\xff\xff"
    path.write_bytes(bytes(content))
    assert read(path)[0].shape == stem(0).shape


def test_nothing_is_left_when_a_file_cannot_be_written(tmp_path, monkeypatch):
    save(tmp_path / "a.mp3", stem(0))
    before = listing(tmp_path)
    for path, rate in ((tmp_path / "a.mp3", 96000), (tmp_path / "a.xyz", RATE), (tmp_path / "none" / "a.wav", RATE)):
        with pytest.raises(UserError, match=r"\.$"):
            write(path, stem(0), rate)

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(UserError, match="no space left"):
        write(tmp_path / "a.mp3", stem(1), 44100)
    assert listing(tmp_path) == before


def test_an_output_is_checked_before_the_work(tmp_path):
    check_writable(tmp_path / "a.wav")
    assert not list(tmp_path.iterdir())
    for path in (tmp_path / "a.txt", tmp_path / "none" / "a.wav"):
        with pytest.raises(UserError):
            check_writable(path)
    (tmp_path / "a.wav").mkdir()
    with pytest.raises(UserError, match="is a folder"):
        check_writable(tmp_path / "a.wav")
