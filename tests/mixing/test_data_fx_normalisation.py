"""Effect normalisation: features of known signals, stems that move to the average, and the command."""

import dataclasses
import json
import math

import miniatures as mini
import numpy as np
import pytest
import scipy.signal
from synthetic import save

from mixing import UserError, data, fx_normalisation, fx_statistics
from mixing.fx_statistics import BANDS_HZ, Features, Statistics, average, compute, measure, peak_levels, spectra

RATE = 16000
BANDS = np.array(BANDS_HZ)
INSIDE = (BANDS > 60) & (BANDS < 7000)


def noise(seconds: float = 4.0, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(round(seconds * RATE))).astype(np.float32)


def stereo(left: float, right: float) -> np.ndarray:
    return np.stack([left * noise(), right * noise()])


def hits(levels_db, seconds: float = 0.25) -> np.ndarray:
    """Bursts of these peaks, one every so many seconds."""
    burst = np.exp(-np.arange(round(seconds * RATE)) / (0.02 * RATE)) * np.cos(np.arange(round(seconds * RATE)) * 0.3)
    return np.concatenate([burst * 10 ** (v / 20) for v in levels_db]).astype(np.float32)[None]


def test_similarity_is_that_of_the_pan():
    for left, right in ((1, 1), (1, 0.5), (0.2, 1)):
        expected = 2 * left * right / (left**2 + right**2)
        similarity = spectra(stereo(left, right), RATE)[1]
        np.testing.assert_allclose(similarity[INSIDE], expected, rtol=1e-5)
    assert spectra(noise()[None], RATE)[1] is None


def test_the_spectrum_follows_a_filter():
    b, a = scipy.signal.butter(2, 1000, fs=RATE)
    before, after = (spectra(x[None].astype(np.float32), RATE)[0] for x in (noise(), scipy.signal.lfilter(b, a, noise())))
    _, response = scipy.signal.freqz(b, a, BANDS[INSIDE], fs=RATE)
    np.testing.assert_allclose((after - before)[INSIDE], 20 * np.log10(np.abs(response)), atol=0.7)


def test_loudness_and_spectrum_do_not_depend_on_rate_or_level():
    one = measure(noise()[None], RATE)
    loud = measure(2 * noise()[None], RATE)
    assert abs(loud.loudness_lufs - one.loudness_lufs - 20 * math.log10(2)) < 1e-6
    np.testing.assert_allclose(loud.spectrum_db, one.spectrum_db, atol=1e-6)
    assert measure(np.zeros((1, RATE), np.float32), RATE) is None


def test_peaks_are_those_of_the_loudest_quarter():
    levels = [-10, -12, -20, -20, -20, -20, -20, -20]
    mean, spread = peak_levels(hits(levels), RATE)
    assert abs(mean + 11) < 0.1
    assert abs(spread - 1) < 0.1
    assert peak_levels(np.full((1, RATE), 0.1, np.float32), RATE) == pytest.approx((-20, 0), abs=0.1)


def test_the_equaliser_undoes_a_filter():
    b, a = scipy.signal.iirpeak(1000, 2, fs=RATE)
    coloured = (noise() + 2 * scipy.signal.lfilter(b, a, noise())).astype(np.float32)[None]
    target = measure(noise(seed=1)[None], RATE)

    def distance(x):
        return np.abs(np.array(measure(x, RATE).spectrum_db) - target.spectrum_db)[INSIDE].mean()

    assert distance(coloured) > 2.0
    assert distance(fx_normalisation.equalise(coloured, RATE, target)) < 0.25 * distance(coloured)


def test_the_equaliser_has_no_delay_and_does_not_lift_what_is_not_there():
    target = measure(noise(seed=1)[None], RATE)
    narrow = scipy.signal.sosfilt(scipy.signal.butter(12, 1000, fs=RATE, output="sos"), noise()).astype(np.float32)[None]
    lifted = fx_normalisation.equalise(narrow, RATE, target)
    high = BANDS > 4000
    before, after = (spectra(x, RATE)[0][high & (BANDS < 7000)].mean() for x in (narrow, lifted))
    assert after < before + 6
    same = fx_normalisation.equalise(noise()[None], RATE, measure(noise()[None], RATE))
    np.testing.assert_allclose(same, noise()[None], atol=1e-3)


@pytest.mark.parametrize(("left", "right"), [(1.0, 0.3), (0.3, 1.0), (1.0, 0.9)])
@pytest.mark.parametrize("similarity", [0.7, 0.95])
def test_panning_reaches_the_similarity_on_its_own_side(left, right, similarity):
    target = dataclasses.replace(measure(stereo(1, 1), RATE), similarity=(similarity,) * len(BANDS))
    out = fx_normalisation.pan(stereo(left, right), RATE, target)
    np.testing.assert_allclose(spectra(out, RATE)[1][INSIDE], similarity, atol=0.02)
    power = (out**2).sum(1)
    assert (power[0] > power[1]) == (left > right)
    assert power.sum() == pytest.approx((stereo(left, right) ** 2).sum(), rel=0.05)


def test_panning_leaves_centred_and_mono_stems():
    target = dataclasses.replace(measure(stereo(1, 1), RATE), similarity=(0.5,) * len(BANDS))
    for x in (stereo(1, 1), noise()[None]):
        assert np.array_equal(fx_normalisation.pan(x, RATE, target), x)


def test_the_compressor_brings_peaks_down_and_leaves_lower_ones():
    # Notes of half a second that swell slower than the compressor attacks, far enough apart for its release.
    note = np.sin(np.arange(RATE // 2) * 0.3) * np.hanning(RATE // 2)
    sound = np.concatenate([np.pad(note * 10 ** (v / 20), (0, RATE)) for v in (-10, -28, -11, -28)]).astype(np.float32)[None]
    wanted = dataclasses.replace(measure(sound, RATE), peak_db=-16.0, spread_db=1.0)
    out = fx_normalisation.compress(sound, RATE, wanted, "drums")
    assert np.abs(out).max() == pytest.approx(np.abs(sound).max(), rel=1e-4)
    # Five decibels have gone from between the loud notes and the quiet ones, and no more than that.
    loud, quiet = (20 * np.log10([np.abs(x.reshape(4, -1)).max(1)[n] for x in (sound[0], out[0])]) for n in (0, 1))
    assert (loud - quiet)[0] - (loud - quiet)[1] == pytest.approx(5, abs=0.4)
    low = dataclasses.replace(wanted, peak_db=-10.0)
    assert fx_normalisation.compress(sound, RATE, low) is sound


def test_reverb_is_added_to_voices_and_not_to_drums():
    burst = np.concatenate([noise(0.2), np.zeros(RATE, np.float32)])[None]
    wet = fx_normalisation.reverberate(burst, RATE, "vocals", 1)
    assert np.abs(wet[:, RATE // 2 :]).max() > 1e-4
    assert wet.shape == burst.shape
    assert np.array_equal(wet, fx_normalisation.reverberate(burst, RATE, "vocals", 1))
    assert not np.array_equal(wet, fx_normalisation.reverberate(burst, RATE, "vocals", 2))
    assert fx_normalisation.reverberate(burst, RATE, "kick") is burst


def test_a_whole_normalisation_ends_at_the_loudness_and_leaves_silence():
    target = measure(stereo(1, 0.6), RATE)
    out = fx_normalisation.normalise(0.1 * stereo(0.2, 1), RATE, target)
    assert measure(out, RATE).loudness_lufs == pytest.approx(target.loudness_lufs, abs=0.01)
    silent = np.zeros((2, RATE), np.float32)
    assert fx_normalisation.normalise(silent, RATE, target) is silent
    with pytest.raises(UserError, match="Did you mean 'panning'"):
        fx_normalisation.normalise(out, RATE, target, effects=["paning"])


def test_averages_are_of_magnitudes_and_of_those_that_have_a_part():
    one, two = Features(-20, (0.0,) * 60), Features(-30, (20 * math.log10(3),) * 60, (0.5,) * 60, -12.0, 1.0)
    mean = average([one, two])
    assert mean.loudness_lufs == -25
    np.testing.assert_allclose(mean.spectrum_db, 20 * math.log10(2))
    assert (mean.similarity, mean.peak_db, mean.spread_db) == ((0.5,) * 60, -12, 1)


@pytest.fixture
def wet(tmp_path):
    root = tmp_path / "wet"
    for n in range(2):
        save(root / f"song{n}" / "stems" / "1_kick.wav", mini.tone(0, 1, 2.0, RATE), RATE)
        save(root / f"song{n}" / "stems" / "2_vox.wav", mini.tone(n + 1, 2, 2.0, RATE), RATE)
        save(root / f"song{n}" / "mix.wav", mini.tone(3, 2, 2.0, RATE), RATE)
    return root


def test_statistics_are_written_read_and_refused_when_damaged(wet, tmp_path):
    statistics = compute(data.load(wet))
    assert statistics.stems == {"all": 4, "kick": 2, "vocals": 2}
    statistics.write(tmp_path / "s.json")
    again = Statistics.read(tmp_path / "s.json")
    assert again.families["kick"] == statistics.families["kick"]
    assert again.of("brass") == again.families["all"]
    table = json.loads((tmp_path / "s.json").read_text())

    def damaged(change) -> str:
        copy = json.loads(json.dumps(table))
        change(copy)
        (tmp_path / "bad.json").write_text(json.dumps(copy))
        with pytest.raises(UserError) as error:
            Statistics.read(tmp_path / "bad.json")
        return str(error.value)

    assert "damaged" in damaged(lambda t: t["families"]["kick"].pop("peak_db"))
    assert "60 finite numbers" in damaged(lambda t: t["families"]["kick"]["spectrum_db"].pop())
    assert "NaN is not a number" in damaged(lambda t: t["families"]["kick"].update(loudness_lufs=float("nan")))
    assert "unknown family" in damaged(lambda t: t["families"].update(spoons=t["families"]["kick"]))
    assert "no average of all" in damaged(lambda t: t["families"].pop("all"))
    assert "version 1" in damaged(lambda t: t.update(version=2))
    with pytest.raises(UserError, match="no such file"):
        Statistics.read(tmp_path / "none.json")


def test_the_command_writes_a_data_set_to_train_on(wet, tmp_path, dasp_command):
    out = tmp_path / "normalised"
    code, said, err = dasp_command("fx-normalise", wet, out, "--hold-out", "song1")
    assert code == 0, err
    assert "wrote 2 songs" in said
    statistics = Statistics.read(out / "statistics.json")
    assert statistics.songs == ("song0",)
    made = data.load(out)
    assert [s.name for s in made] == ["song0", "song1"]
    assert [s.channels for s in made["song0"].stems] == [1, 2]
    np.testing.assert_array_equal(made["song0"].read().mix, data.load(wet)["song0"].read().mix)
    for name in ("song0", "song1"):
        sound = fx_statistics.whole(made[name], 1)
        assert measure(sound, RATE).loudness_lufs == pytest.approx(statistics.of("vocals").loudness_lufs, abs=0.05)
    before = (out / "song0" / "stems" / "2_vox.wav").stat().st_mtime_ns
    code, said, err = dasp_command("fx-normalise", wet, out)
    assert code == 0
    assert "wrote 0 songs" in said and "kept 2" in said
    assert (out / "song0" / "stems" / "2_vox.wav").stat().st_mtime_ns == before


def test_the_command_refuses(wet, tmp_path, refused):
    assert "lies in the data set" in refused("fx-normalise", wet, wet / "out")
    assert "Did you mean 'eq'" in refused("fx-normalise", wet, tmp_path / "out", "--effects", "eqq")
    assert "no such file" in refused("fx-normalise", wet, tmp_path / "out", "--statistics", tmp_path / "none.json")
    assert "no song and no group" in refused("fx-normalise", wet, tmp_path / "out", "--hold-out", "x")
    assert not (tmp_path / "out").exists()
