"""The sound of a listening test: stretches, loudness, anchors, samples."""

import numpy as np
import pytest
from scipy.signal import freqz
from synthetic import save, stem

from mixing.errors import UserError
from mixing.listening import sound

RATE = 44100


def music(seed=0, seconds=2.0, level=0.1):
    rng = np.random.default_rng(seed)
    return level * rng.standard_normal((2, round(seconds * RATE)))


@pytest.mark.parametrize("target", [-23.0, -30.0])
def test_every_stimulus_is_at_the_target(target):
    for seed, level in enumerate((0.001, 0.1, 0.9)):
        x = sound.at_loudness(sound.faded(music(seed, level=level), RATE), RATE, target, "x")
        heard = sound.of_pcm(sound.pcm(x, 16, b"seed"), 16)
        assert abs(sound.loudness(heard, RATE) - target) < 0.1


def test_what_would_clip_is_refused_with_a_loudness_that_works():
    click = np.zeros((2, RATE))
    click[:, ::4410] = 0.5
    with pytest.raises(UserError, match=r"would clip at -23 LUFS \(true peak \+\d") as refusal:
        sound.at_loudness(click, RATE, -23, "song, mix")
    lower = float(str(refusal.value).split("--loudness ")[1].split(" or")[0])
    assert sound.true_peak_db(sound.at_loudness(click, RATE, lower, "song, mix")) <= sound.CEILING_DBTP


def test_silence_is_refused():
    with pytest.raises(UserError, match="silent"):
        sound.at_loudness(np.zeros((2, RATE)), RATE, -23, "song, mix")


def test_true_peaks_lie_between_samples():
    t = np.arange(4000)
    x = np.sin(2 * np.pi * t / 4 + np.pi / 4)[None].repeat(2, 0)  # never sampled at its top
    assert np.abs(x).max() == pytest.approx(np.sqrt(0.5))
    assert sound.true_peak_db(x * np.hanning(4000)) == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize("cutoff", [3500.0, 7000.0])
def test_anchors_have_the_standards_response(cutoff):
    impulse = np.zeros((2, 8192))
    impulse[:, 4096] = 1
    h = sound.anchor(impulse, RATE, cutoff)[0]
    frequency, response = freqz(h, worN=1 << 15, fs=RATE)
    level = 20 * np.log10(np.abs(response) + 1e-12)
    assert np.abs(level[frequency <= cutoff]).max() < 0.1
    assert level[frequency >= cutoff * 8 / 7].max() < -25
    assert level[frequency >= cutoff * 9 / 7].max() < -50
    assert int(np.abs(h).argmax()) == 4096, "in time with what it is made of"


def test_the_loudest_stretch_is_chosen_for_all():
    quiet, loud = music(0, 6, 0.01), music(1, 6, 0.01)
    quiet[:, 3 * RATE : 5 * RATE] *= 10
    loud[:, 3 * RATE : 5 * RATE] *= 10
    first, stop = sound.stretch({"a": quiet, "b": 100 * loud}, RATE, 2)
    assert (first, stop) == (3 * RATE, 5 * RATE)
    assert sound.stretch({"a": quiet}, RATE, 60) == (0, quiet.shape[1])
    assert sound.stretch({"a": quiet}, RATE, 2, 1.5) == (round(1.5 * RATE), round(3.5 * RATE))
    with pytest.raises(UserError, match="ends at 6"):
        sound.stretch({"a": quiet}, RATE, 2, 7)


@pytest.mark.parametrize("bits", [16, 24])
def test_samples_come_back_and_dither_differs(bits):
    x = np.clip(music(level=0.3), -1, 1)
    data, other = sound.pcm(x, bits, b"one"), sound.pcm(x, bits, b"two")
    assert len(data) == len(other) == x.size * bits // 8
    assert data != other
    assert data == sound.pcm(x, bits, b"one")
    error = sound.of_pcm(data, bits) - x
    step = 2.0 ** (1 - bits)
    assert np.abs(error).max() <= 1.5 * step
    assert np.sqrt((error**2).mean()) == pytest.approx(step / 2, rel=0.05)  # of triangular dither and rounding
    full = sound.of_pcm(sound.pcm(np.array([[1.0, -1.0], [1.0, -1.0]]), bits, b""), bits)
    assert full.min() >= -1 and full.max() <= 1 - step


def test_fades_reach_both_ends():
    x = sound.faded(np.ones((2, RATE)), RATE)
    assert x[:, 0].max() < 1e-3 and x[:, -1].max() < 1e-3
    assert (x[:, RATE // 2] == 1).all()


def test_mixes_of_a_song_are_brought_together(tmp_path):
    files = {
        "mono": save(tmp_path / "a.wav", stem(0, 2.0, 22050)),
        "long": save(tmp_path / "b.wav", stem(1, 2.5, 44100, 2), 44100),
    }
    assert sound.sample_rate(list(files.values())) == 44100
    loaded, notes = sound.load("song", files, RATE)
    assert {x.shape for x in loaded.values()} == {(2, 2 * RATE)}
    assert notes == ["song: long is 0.5 s longer than mono; what both have was used."]
    files["long"] = save(tmp_path / "c.wav", stem(1, 8.0, 22050, 2))
    with pytest.raises(UserError, match=r"c\.wav: is 6\.0 s longer than .*a\.wav"):
        sound.load("song", files, RATE)
