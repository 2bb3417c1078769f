"""Songs on disk: parts equal the whole at any rate, splits part no group, sums are the mix."""

import dataclasses

import miniatures as mini
import numpy as np
import pytest
import torch
from miniatures import RATE
from synthetic import save

from mixing import Console, UserError, audio, data
from mixing.data import DataSet, Example, Song, Stem


def noise(frames: int, channels: int = 2) -> torch.Tensor:
    return 0.3 * torch.randn(channels, frames, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("subtype", ["FLOAT", "PCM_16"])
@pytest.mark.parametrize(
    ("rate", "new"),
    [(48000, 44100), (96000, 44100), (44100, 48000), (44100, 16000), (22050, 44100), (44101, 44100), (8000, 8000)],
)
def test_a_part_is_that_part_of_the_resampled_whole(tmp_path, rate, new, subtype):
    path = save(tmp_path / "x.wav", noise(2 * rate + 77), rate, subtype=subtype)
    whole = audio.resample(audio.read(path)[0], rate, new)
    assert whole.shape[1] == audio.resampled_length(2 * rate + 77, rate, new)
    end = whole.shape[1]
    for start, samples in ((0, 100), (1, 999), (new // 2 + 13, 4001), (end - 500, 500), (end - 20, 400), (end + 5, 10)):
        part = audio.read_span(path, start, samples, new)
        assert part.shape == (2, max(0, min(samples, end - start)))
        # Same filter, same phase: equal, or to rounding where the ratio is so odd that soxr interpolates its filter.
        torch.testing.assert_close(part, whole[:, start : start + samples], rtol=0, atol=2e-6 if rate == 44101 else 0)


@pytest.mark.parametrize("name", ["x.flac", "x.ogg", "x.mp3"])
@pytest.mark.parametrize("kind", ["sweep", "noise"])
def test_coded_files_are_sought_to_the_sample(tmp_path, name, kind):
    # A sweep codes into few bytes: its last Ogg page holds most of a second, in which libsndfile's own seek goes astray.
    t = torch.arange(3 * 44100) / 44100
    sound = 0.5 * torch.sin(2 * torch.pi * 200 * t * (1 + t))[None] if kind == "sweep" else noise(len(t))
    audio.write(tmp_path / name, sound, 44100)
    whole, _ = audio.read(tmp_path / name)
    for start in torch.randint(0, whole.shape[1], (40,)).tolist():
        part = audio.read_span(tmp_path / name, start, 2000)
        torch.testing.assert_close(part, whole[:, start : start + 2000], rtol=0, atol=1e-6)


def test_reading_costs_the_excerpt_and_not_the_file(tmp_path, monkeypatch):
    import soundfile

    path = save(tmp_path / "long.wav", torch.zeros(1, 600 * RATE).index_fill(1, torch.tensor([500 * RATE]), 0.5), RATE)
    read, frames = soundfile.SoundFile.read, []

    def counted(self, count=-1, *args, **kwargs):
        block = read(self, count, *args, **kwargs)
        frames.append(len(block))
        return block

    monkeypatch.setattr(soundfile.SoundFile, "read", counted)
    assert audio.read_span(path, 500 * RATE - 5, 10)[0, 5] == 0.5
    assert sum(frames) == 10
    audio.probe(path)
    audio.read_span(path, 500 * 16000, 10, 16000)
    assert sum(frames) < 20000
    frames.clear()
    audio.probe(path, "all")
    assert (sum(frames), max(frames)) == (600 * RATE, 65536)


def test_song_reads_parts_of_stems_and_mix(tmp_path):
    (song,) = data.load(mini.plain(tmp_path, 1))
    whole, part = song.read(), song.read(1000, 500)
    assert whole.audio.shape == (1, 3, 2, RATE)
    assert whole.channels.tolist() == [[1, 2, 1]]
    assert whole.names == (("0_a", "1_b", "2_c"),)
    torch.testing.assert_close(part.audio, whole.audio[..., 1000:1500], rtol=0, atol=0)
    torch.testing.assert_close(part.mix, whole.mix[..., 1000:1500], rtol=0, atol=0)
    torch.testing.assert_close(whole.unity_mix(), whole.mix)
    some = song.read(0, 100, stems=[2, 0], mix=False)
    assert some.names == (("2_c", "0_a"),)
    assert some.mix is None
    assert song.read(RATE - 10, 500).samples == 10
    assert song.read(0, 100, 16000).sample_rate == 16000
    assert song.length(16000) == 16000
    for wrong in ((-1, 5), (RATE, 5), (0, 0)):
        with pytest.raises(ValueError, match="asked for"):
            song.read(*wrong)
    with pytest.raises(ValueError, match="whole number of Hz"):
        song.read(0, 5, 44100.5)


def test_several_files_of_a_stem_are_summed_and_mono_mixes_play_from_both_sides(tmp_path):
    one, two = mini.write(tmp_path / "1.wav", 0, subtype="FLOAT"), mini.write(tmp_path / "2.wav", 1, 2, subtype="FLOAT")
    song = Song("s", "s", (Stem("both", None, (one, two), 2),), one, RATE, RATE)
    part = song.read()
    torch.testing.assert_close(part.audio[0, 0], mini.tone(0).expand(2, -1) + mini.tone(1, 2))
    torch.testing.assert_close(part.mix[0], mini.tone(0).expand(2, -1))


def test_known_settings_are_a_consoles(tmp_path):
    (song,) = data.load(mini.plain(tmp_path, 1))
    song = dataclasses.replace(song, gains_db=(-6.0, 0.0, 3.0), pans=(0.1, 0.5, 0.9))
    part = song.read()
    made = song.sum(part)
    gains, pans = (torch.tensor([c]) for c in song.settings())
    console = Console()
    example = Example(part, {"tracks": {"fader_db": gains + 10 * np.log10(2), "pan": pans}}, ("s",), (0,))
    torch.testing.assert_close(console(part, example.controls(console)).audio, made, rtol=1e-4, atol=1e-6)
    # A centred stem at 0 dB is as it is.
    torch.testing.assert_close(song.sum(song.read(stems=[1]), [1])[0], part.audio[0, 1])
    unknown = dataclasses.replace(song, pans=(0.1, None, 0.9))
    assert not unknown.settings_known
    with pytest.raises(ValueError, match="not known"):
        unknown.sum(part)


def song(name: str, group: str) -> Song:
    return Song(name, group, (), None, RATE, RATE)


def test_split_takes_whole_groups_and_loses_nothing():
    found = DataSet("d", tuple(song(f"{g}_{n}", g) for g in "abc" for n in range(3)))
    train, held = found.split(["b_1"])
    assert [s.name for s in held] == ["b_0", "b_1", "b_2"]
    assert {s.name for s in train} | {s.name for s in held} == {s.name for s in found}
    assert not {s.group for s in train} & {s.group for s in held}
    assert [len(part) for part in found.split(("a", "c_?"))] == [3, 6]
    assert [len(part) for part in found.split()] == [9, 0]
    with pytest.raises(UserError, match="matches no song and no group"):
        found.split(["x*"])
    with pytest.raises(UserError, match="nothing is left"):
        found.split(["*"])


def test_data_sets_are_joined_and_songs_found():
    one, two = DataSet("one", (song("a", "g"), song("b", "h"))), DataSet("two", (song("a", "g"),), (("x", "bad"),))
    both = one + two
    assert [s.name for s in both] == ["one/a", "b", "two/a"]
    assert [s.group for s in both] == ["one/g", "h", "two/g"]
    assert both.skipped == (("x", "bad"),)
    assert both["b"].group == "h"
    with pytest.raises(KeyError, match="Did you mean 'one/a'"):
        both["one/"]
    with pytest.raises(ValueError, match="both have a"):
        one + dataclasses.replace(two, name="one")
