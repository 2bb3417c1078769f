"""Folders of stems, ragged batches, and the words that say what was done to them."""

import pytest
import torch
from synthetic import RATE, save, stem

from mixing import Multitrack, UserError


def test_a_folder_is_read_by_name_with_its_channels(song):
    tracks = Multitrack.from_folder(song)
    assert tracks.names == (("1_kick", "2_synth", "3_hat"),)
    assert tracks.channels.tolist() == [[1, 2, 1]]
    assert tracks.mask.all()
    assert tracks.sample_rate == RATE
    assert tracks.notes == ()
    assert tracks.audio.shape == (1, 3, 2, tracks.samples)
    assert tracks.audio.dtype == torch.float32
    kick = stem(0)
    assert torch.equal(tracks.audio[0, 0, 0], kick[0])
    assert torch.equal(tracks.audio[0, 0, 1], kick[0])
    assert not torch.equal(tracks.audio[0, 1, 0], tracks.audio[0, 1, 1])


def test_a_stems_folder_inside_is_preferred(tmp_path):
    save(tmp_path / "mix.wav", stem(0))
    save(tmp_path / "stems" / "a.wav", stem(1))
    assert Multitrack.from_folder(tmp_path).names == (("a",),)


def test_what_is_excluded_is_no_stem(song):
    save(song / "mix.wav", stem(0))
    assert "mix" in Multitrack.from_folder(song).names[0]
    assert "mix" not in Multitrack.from_folder(song, exclude=[song / "." / "mix.wav"]).names[0]


def test_differing_rates_lengths_and_silence_are_dealt_with_and_said(tmp_path):
    save(tmp_path / "a.wav", stem(0))
    save(tmp_path / "b.wav", stem(1, rate=44100), 44100)
    save(tmp_path / "c.wav", stem(2, seconds=0.9))
    save(tmp_path / "d.wav", 0 * stem(2))
    save(tmp_path / "e.wav", stem(3)[:, :-3])
    (tmp_path / "f.m4a").write_bytes(b"x")
    tracks = Multitrack.from_folder(tmp_path)
    assert tracks.sample_rate == RATE
    assert tracks.samples == stem(0).shape[1]
    assert (tracks.audio[0, 1, 0] - stem(1)[0]).square().mean() < 1e-4 * stem(1).square().mean()
    assert tracks.notes == (
        "f.m4a: is not read; convert it to WAV or FLAC if it is a stem.",
        "b: resampled from 44100 to 22050 Hz.",
        "d: is silent.",
        "c: padded with 0.60 s of silence at the end.",
        "e: padded with 3 samples of silence at the end.",
    )
    asked = Multitrack.from_folder(tmp_path, sample_rate=44100)
    assert asked.sample_rate == 44100
    assert sum("resampled" in n for n in asked.notes) == 4


@pytest.mark.parametrize(
    ("files", "word"),
    [
        ({}, "has no stems"),
        ({"a.txt": None}, "has no stems"),
        ({"a.wav": 0.0, "b.wav": 0.0}, "every stem is silent"),
        ({"a.wav": 1.0, "a.flac": 1.0}, "two files are named a"),
    ],
)
def test_unusable_folders_are_refused(tmp_path, files, word):
    for name, level in files.items():
        if level is None:
            (tmp_path / name).write_text("notes")
        else:
            save(tmp_path / name, level * stem(1))
    with pytest.raises(UserError, match=word) as caught:
        Multitrack.from_folder(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        Multitrack.from_folder(tmp_path / "none")
    with pytest.raises(UserError, match="no such folder"):
        Multitrack.from_folder(save(tmp_path / "a.wav", stem(0)))


def test_a_folder_without_permission_is_refused(song, monkeypatch):
    def denied(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.iterdir", denied)
    with pytest.raises(UserError, match=r"cannot be read \(permission denied\)"):
        Multitrack.from_folder(song)


def test_one_bad_stem_stops_all_and_is_named(song):
    (song / "4_bad.wav").write_text("not a sound")
    with pytest.raises(UserError, match=r"4_bad\.wav"):
        Multitrack.from_folder(song)


def ragged():
    one = Multitrack.from_tracks([stem(0), stem(1, channels=2)], RATE)
    two = Multitrack.from_tracks([stem(2, seconds=0.5)[0]], RATE, ["hat"])
    return one, two, Multitrack.collate([one, two])


def test_a_ragged_batch_has_a_mask_and_every_song_unchanged():
    one, two, both = ragged()
    assert both.audio.shape == (2, 2, 2, one.samples)
    assert both.mask.tolist() == [[True, True], [True, False]]
    assert both.channels.tolist() == [[1, 2], [1, 0]]
    assert both.names == (("track1", "track2"), ("hat",))
    assert torch.equal(both.audio[:1], one.audio)
    assert torch.equal(both.audio[1, :1, :, : two.samples], two.audio[0])
    assert not both.audio[1, :, :, two.samples :].any()
    mix = both.unity_mix()
    assert torch.equal(mix[:1], one.unity_mix())
    assert torch.equal(mix[1:, :, : two.samples], two.unity_mix())
    assert mix.abs().max() > 0.1


def test_what_padding_tracks_hold_is_never_heard():
    *_, both = ragged()
    both.audio[1, 1] = 1.0
    assert both.unity_mix()[1].abs().max() < 0.9


def test_collate_refuses_differing_rates():
    one, *_ = ragged()
    with pytest.raises(ValueError, match="one sample rate"):
        Multitrack.collate([one, Multitrack.from_tracks([stem(0)], 44100)])


def test_select_excerpt_and_to():
    one, *_ = ragged()
    part = one.select(["track2"])
    assert part.names == (("track2",),)
    assert part.channels.tolist() == [[2]]
    assert torch.equal(part.audio[0, 0], one.audio[0, 1])
    assert torch.equal(one.select(["track2", "track1"]).audio[0, 1], one.audio[0, 0])
    with pytest.raises(ValueError, match="no track 'track3'; there are track1, track2"):
        one.select(["track3"])
    assert torch.equal(one.excerpt(100, 50).audio, one.audio[..., 100:150])
    double = one.to(torch.float64)
    assert double.audio.dtype == torch.float64
    assert double.channels.dtype == torch.int64
    assert one.to("meta").channels.device.type == "meta"


@pytest.mark.parametrize("audio", [torch.zeros(1, 2, 3, 10), torch.zeros(2, 2, 10)])
def test_wrong_shapes_are_refused(audio):
    with pytest.raises(ValueError, match=r"\(B, N, 2, T\)"):
        Multitrack(audio, torch.ones(1, 2, dtype=torch.int64), RATE, (("a", "b"),))
