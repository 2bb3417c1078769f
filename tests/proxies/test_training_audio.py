"""Audio and controls to train on: what is drawn, from where, and that it depends on seed and number alone."""

import numpy as np
import pytest
import soundfile

from proxies.audio import File, Source, index, read, split
from proxies.controls import Controls, moving
from proxies.signals import SOUNDS, synthetic

RATE = 44100


def seeded(*key):
    return np.random.default_rng(key)


@pytest.fixture
def folder(tmp_path):
    """Three works: two folders and a single file; a sine at another rate, a ramp, a stereo one, a pause."""
    for work in ("one", "two"):
        (tmp_path / work / "stems").mkdir(parents=True)
    time = np.arange(48000) / 48000
    soundfile.write(tmp_path / "one" / "sine.flac", 0.5 * np.sin(2 * np.pi * 1000 * time), 48000)
    soundfile.write(tmp_path / "one" / "stems" / "ramp.wav", np.arange(20000) / 40000, RATE, subtype="FLOAT")
    stereo = np.stack([np.full(30000, 0.25), np.full(30000, -0.75)], 1)
    soundfile.write(tmp_path / "two" / "stereo.wav", stereo, RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "pause.ogg", np.zeros(30000), RATE)
    (tmp_path / "two" / "notes.txt").write_text("no audio")
    return tmp_path


def test_index_has_works_and_lengths(folder):
    assert [(f.work, f.path.name, f.frames, f.rate) for f in index([folder])] == [
        ("one", "sine.flac", 48000, 48000),
        ("one", "ramp.wav", 20000, RATE),
        ("pause", "pause.ogg", 30000, RATE),
        ("two", "stereo.wav", 30000, RATE),
    ]


def test_split_parts_works_not_files(folder):
    files = index([folder])
    train, kept = split(files, ["o*"])
    assert {f.work for f in train} == {"pause", "two"}
    assert {f.work for f in kept} == {"one"}
    train, kept = split(files, [])
    assert {f.work for f in kept} == {"one"}
    with pytest.raises(ValueError, match=r"'x\*' matches none of the works one, pause, two"):
        split(files, ["x*"])
    with pytest.raises(ValueError, match="need different works"):
        split(files, ["*"])


def test_wrong_folders(tmp_path):
    with pytest.raises(ValueError, match="is not a folder"):
        index([tmp_path / "nowhere"])
    with pytest.raises(ValueError, match=r"no .wav, .* file below"):
        index([tmp_path])
    (tmp_path / "a.wav").write_text("this is no sound")
    with pytest.raises(ValueError, match=r"a\.wav cannot be read as audio"):
        index([tmp_path])


def test_read_is_the_part_asked_for(folder):
    (ramp,) = [f for f in index([folder]) if f.path.name == "ramp.wav"]
    part = read(ramp, 0.1, 100, 1, RATE)
    np.testing.assert_allclose(part[0], (4410 + np.arange(100)) / 40000, atol=1e-6)
    end = read(ramp, 19950 / RATE, 100, 2, RATE)
    assert (end[:, 50:] == 0).all() and (end[:, :50] > 0).all()


@pytest.mark.parametrize("start", [0.0, 0.0003, 0.4])
def test_read_at_another_rate_keeps_time(folder, start):
    (sine,) = [f for f in index([folder]) if f.path.name == "sine.flac"]
    start = round(start * 48000) / 48000
    part = read(sine, start, 1000, 1, RATE)[0]
    expected = 0.5 * np.sin(2 * np.pi * 1000 * (start + np.arange(1000) / RATE))
    inner = slice(100 if start == 0 else 30, None)  # the sine begins in the middle of nothing
    half_a_sample = 0.5 * 2 * np.pi * 1000 / RATE / 2
    assert np.abs(part - expected)[inner].max() < 1.1 * half_a_sample


def test_channels_are_averaged_or_repeated(folder):
    stereo = next(f for f in index([folder]) if f.work == "two")
    np.testing.assert_allclose(read(stereo, 0, 5, 1, RATE), np.full((1, 5), -0.25))
    np.testing.assert_allclose(read(stereo, 0, 5, 3, RATE)[:, 0], [0.25, -0.75, 0.25])


def test_a_clip_is_what_its_generator_says(folder):
    source = Source(tuple(index([folder])), 0.5, (-30.0, -6.0), 0.3, RATE)
    for number in range(8):
        a, b = (source.clip(seeded(1, number), 4000, 2) for _ in range(2))
        assert a.dtype == np.float32 and a.shape == (2, 4000)
        assert np.array_equal(a, b)


def test_levels_and_silences():
    source = Source((), 1.0, (-30.0, -6.0), 0.0, RATE)
    peaks = [20 * np.log10(np.abs(source.clip(seeded(2, n), 3000, 1)).max()) for n in range(200)]
    assert -30.01 <= min(peaks) < -28 and -8 < max(peaks) <= -5.99
    silent = Source((), 1.0, (-30.0, -6.0), 1.0, RATE)
    zeros = [(silent.clip(seeded(3, n), 3000, 1) == 0).mean() for n in range(100)]
    assert min(zeros) >= 0.05
    assert 0 < np.mean(np.array(zeros) == 1.0) < 0.3


def test_pauses_of_the_music_are_not_training_material(folder):
    source = Source(tuple(f for f in index([folder]) if f.work == "pause"), 0.0, (-20.0, -20.0), 0.0, RATE)
    assert np.abs(source.clip(seeded(0), 2000, 1)).max() == pytest.approx(0.1, rel=1e-4)


def test_files_are_drawn_as_often_as_they_are_long():
    files = (File(None, "a", 100, 100), File(None, "b", 900, 300))
    drawn = []

    def note(file, start, samples, channels, rate):
        drawn.append(file.work)
        assert 0 <= start <= file.frames / file.rate
        return np.ones((channels, samples))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("proxies.audio.read", note)
        for n in range(400):
            Source(files, 0.0, (0.0, 0.0), 0.0, 100).clip(seeded(n), 10, 1)
    assert 0.65 < drawn.count("b") / len(drawn) < 0.85


@pytest.mark.parametrize("sound", SOUNDS, ids=lambda s: s.__name__)
@pytest.mark.parametrize("samples", [1, 20, 3000])
def test_synthetic_sounds_are_sounds(sound, samples):
    for number in range(5):
        y = sound(seeded(4, number), samples, RATE)
        assert y.shape == (samples,)
        assert np.isfinite(y).all()
        assert samples < 100 or np.abs(y).max() > 1e-3


def test_synthetic_channels_differ_and_peak_at_one():
    widths = []
    for number in range(30):
        y = synthetic(seeded(5, number), 2000, 2, RATE)
        assert np.abs(y).max() == pytest.approx(1)
        widths.append(abs(np.corrcoef(y)[0, 1]))
    assert min(widths) < 0.9 and max(widths) > 0.999


def test_sobol_points_depend_on_seed_and_number_alone():
    forwards, other = Controls(5, seed=3), Controls(5, seed=4)
    whole = forwards(0, 3000)
    backwards = Controls(5, seed=3)
    assert np.array_equal(backwards(2500, 100), whole[2500:2600])
    assert np.array_equal(backwards(1000, 100), whole[1000:1100])
    assert not np.array_equal(other(0, 10), whole[:10])
    assert np.abs(whole[:1024].mean(0) - 0.5).max() < 1e-3  # random points: about 0.01
    assert len(np.unique(whole[:, 0])) == 3000


def test_edges_of_the_table_are_visited():
    points = Controls(4, seed=0, edges=0.1)(0, 1024)
    assert 0.07 < np.isin(points, (0.0, 1.0)).mean() < 0.13
    assert not np.isin(Controls(4, seed=0)(0, 1024), (0.0, 1.0)).any()


def test_moving_controls_move_within_their_range():
    points = Controls(3, seed=1)(0, 64)
    moved = moving(seeded(6), points, 9)
    assert moved.shape == (64, 3, 9)
    assert np.array_equal(moved[:, :, 0], points)
    assert moved.min() >= 0 and moved.max() <= 1
    still = (moved == points[:, :, None]).all(2)
    assert not still.all(1).any()
    assert 0.2 < still.mean() < 0.5
