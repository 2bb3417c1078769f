"""The features of a mix: by definition, frame by frame in plain loops, on signals whose features are known, and at the edges."""

import math
import sys

import librosa
import numpy as np
import pyloudnorm
import pytest

from mixing.errors import UserError
from mixing.evaluation import features, levels
from mixing.evaluation.audio_features import stereo, trim

RATE = 44100


def music(seconds=1.6, seed=0, rate=RATE) -> np.ndarray:
    """A stereo mix (2, T): two tones and noise, each at its own place, with a beat."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * rate)) / rate
    beat = np.exp(-5 * ((t * (2 + seed)) % 1))
    parts = [0.3 * beat * np.sin(2 * np.pi * (80 + 40 * seed) * t), 0.1 * np.sin(2 * np.pi * 1500 * t), 0.1 * beat * rng.standard_normal(len(t))]
    places = rng.uniform(0.3, 1.0, (2, 3))
    return places @ np.array(parts) + 1e-3 * rng.standard_normal((2, len(t)))


@pytest.fixture(scope="module")
def measured():
    audio = music()
    return audio, features(audio, RATE)


def starts(length: int) -> range:
    return range(0, length - 4096 + 1, 1024)


def test_loudness_and_peak_frame_by_frame(measured):
    audio, found = measured
    frames = [audio[:, s : s + 17640] for s in range(0, audio.shape[1] - 17640 + 1, 8820)]
    assert len(found.lufs) == len(found.peak_db) == len(frames)
    for frame, lufs, peak in zip(frames, found.lufs, found.peak_db, strict=True):
        assert math.isclose(lufs, pyloudnorm.Meter(RATE).integrated_loudness(frame.T), rel_tol=1e-12)
        assert math.isclose(peak, 20 * math.log10(np.abs(frame).max()), rel_tol=1e-12)


def test_dynamics_frame_by_frame(measured):
    audio, found = measured
    audio = audio / np.abs(audio).max() * 10 ** (-1 / 20)
    for channel in range(2):
        for k, s in enumerate(starts(audio.shape[1])):
            frame = audio[channel, s : s + 4096]
            rms = 20 * math.log10(math.sqrt(sum(frame**2) / 4096))
            peak = 20 * math.log10(max(abs(frame)))
            spread = sum(20 * np.log10(np.abs(frame)) - rms) / 4096
            assert math.isclose(found.rms_db[channel, k], rms, rel_tol=1e-9)
            assert math.isclose(found.spread_db[channel, k], spread, rel_tol=1e-9)
            assert math.isclose(found.crest_db[channel, k], peak - rms, rel_tol=1e-9)
            assert math.isclose(found.crest_db_ratio[channel, k], peak / rms, rel_tol=1e-9)


def spectra(audio: np.ndarray) -> np.ndarray:
    """Magnitudes (2, F, bins) at a peak of -1 dBFS, by the definition."""
    window = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(4096) / 4096))
    audio = audio / np.abs(audio).max() * 10 ** (-1 / 20)
    return np.abs(np.fft.rfft([[x[s : s + 4096] * window for s in starts(len(x))] for x in audio]))


def test_spectral_features_by_their_formulas(measured):
    audio, found = measured
    frequency = np.arange(2049) * RATE / 4096
    for channel, frames in enumerate(spectra(audio)):
        for k, x in enumerate(frames):
            centroid = (frequency * x).sum() / x.sum()
            assert math.isclose(found.centroid_hz[channel, k], centroid, rel_tol=1e-4)
            bandwidth = math.sqrt(((frequency - centroid) ** 2 * x).sum() / x.sum())
            assert math.isclose(found.bandwidth_hz[channel, k], bandwidth, rel_tol=1e-4)
            rolloff = frequency[np.searchsorted(np.cumsum(x), 0.85 * x.sum())]
            assert abs(found.rolloff_hz[channel, k] - rolloff) <= RATE / 4096
            power = np.maximum(x**2, 1e-10)
            assert math.isclose(found.flatness[channel, k], np.exp(np.log(power).mean()) / power.mean(), rel_tol=1e-3)


def test_contrast_is_librosas_of_the_same_spectra(measured):
    audio, found = measured
    assert found.contrast_db.shape == (2, 5, len(starts(audio.shape[1])))
    for channel, x in enumerate(spectra(audio)):
        expected = librosa.feature.spectral_contrast(S=x.T, sr=RATE, n_fft=4096, hop_length=1024, fmin=250.0, n_bands=4, quantile=0.02)
        np.testing.assert_allclose(found.contrast_db[channel], expected, rtol=1e-3)


def test_panning_by_its_formula(measured):
    audio, found = measured
    left, right = spectra(audio)
    similarity = 2 * left * right / (left**2 + right**2)
    spectrum = (1 - similarity) * np.sign(right - left)
    edges = [(0, 22050), (0, 250), (250, 2500), (2500, 22050)]
    for band, (low, high) in zip(found.panning, edges, strict=True):
        a, b = (math.floor(f * 4096 / RATE) for f in (low, high))
        np.testing.assert_allclose(band, np.sqrt((spectrum[:, a:b] ** 2).mean(1)), rtol=1e-3)


def test_known_signals():
    t = np.arange(RATE) / RATE
    tone = 0.5 * np.sin(2 * np.pi * 1000 * t)
    noise = 0.1 * np.random.default_rng(0).standard_normal(RATE)
    centred, left = features(np.stack([tone, tone]), RATE), features(np.stack([noise, 0 * noise]), RATE)
    assert np.all(centred.panning == 0)
    np.testing.assert_allclose(left.panning, 1, atol=1e-3)
    np.testing.assert_allclose(centred.centroid_hz, 1000, rtol=0.01)
    np.testing.assert_allclose(centred.crest_db, 20 * math.log10(math.sqrt(2)), atol=0.01)
    assert left.flatness[0].min() > 0.4 > 0.01 > centred.flatness.max()
    # A 0 dBFS sine of 997 Hz in one channel is -3.01 LUFS.
    sine = np.stack([np.sin(2 * np.pi * 997 * t), 0 * t])
    np.testing.assert_allclose(features(sine, RATE).lufs, -3.01, atol=0.1)


def test_the_tutorials_crest_factor_depends_on_level_and_the_textbooks_does_not():
    quiet = music()
    loud = np.concatenate([quiet, np.full((2, 1), 4 * np.abs(quiet).max())], 1)  # one click lowers all that is normalised to it
    found, below = features(quiet, RATE), features(np.concatenate([loud, np.zeros((2, 1024))], 1), RATE)
    frames = found.crest_db.shape[1] - 4
    np.testing.assert_allclose(below.crest_db[:, :frames], found.crest_db[:, :frames], atol=1e-6)
    assert (below.crest_db_ratio[:, :frames] / found.crest_db_ratio[:, :frames] > 1.02).all()


def test_silent_parts_have_finite_features():
    audio = music()
    audio[:, RATE // 2 :] = 0
    found = features(audio, RATE)
    for name in found.__dataclass_fields__:
        assert np.isfinite(getattr(found, name)).all(), name
    assert found.lufs[-1] == -70
    assert found.peak_db[-1] == -120
    assert (found.crest_db[:, -1] == 0).all()


@pytest.mark.parametrize("rate", [22050, 48000, 96000])
def test_other_rates(rate):
    audio = music(1.0, rate=rate)
    found = features(audio, rate)
    assert len(found.lufs) == 4
    assert found.centroid_hz.shape[1] == len(starts(audio.shape[1]))


def test_silence_at_the_ends_is_cut_as_librosa_does():
    audio = music()
    audio[:, :9000] = 0
    audio[:, -20000:] *= 1e-4
    start, stop = trim(audio, RATE)
    assert 9000 - 4096 < start < 9000
    assert 0 < stop - (audio.shape[1] - 20000) < 4096
    _, expected = librosa.effects.trim(audio, top_db=45, frame_length=4096, hop_length=1024)
    assert (start, stop) == tuple(expected)


@pytest.mark.parametrize(
    ("audio", "rate", "words"),
    [
        (np.zeros((2, RATE)), RATE, "silent"),
        (np.zeros((1, RATE)), RATE, "stereo"),
        (np.zeros(RATE), RATE, "stereo"),
        (music(0.3), RATE, "0.40 s"),
        (music(1.0, rate=8000), 8000, "8 kHz"),
        (np.where(np.arange(RATE) == 7, np.nan, music(1.0)), RATE, "2 samples are not numbers"),
    ],
)
def test_what_is_refused(audio, rate, words):
    with pytest.raises(ValueError, match=words):
        features(audio, rate)


def test_without_librosa_one_sentence_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "librosa", None)
    with pytest.raises(UserError, match=r"pip install 'dasp-toolkit\[evaluate\]'"):
        features(music(), RATE)


def test_levels_of_known_signals():
    t = np.arange(RATE) / RATE
    sine, square = 0.5 * np.sin(2 * np.pi * 100 * t), np.where(np.sin(2 * np.pi * 100 * t) >= 0, 0.25, -0.25)
    assert math.isclose(levels.peak_db(sine[None]), -6.0206, abs_tol=1e-3)
    assert math.isclose(levels.rms_db(sine[None]), -9.0309, abs_tol=1e-3)
    assert math.isclose(levels.crest_factor_db(sine[None]), 3.0103, abs_tol=1e-3)
    assert math.isclose(levels.crest_factor_db(square[None]), 0, abs_tol=1e-9)
    assert math.isclose(levels.rms_20ln(sine[None]), 20 * math.log(math.sqrt(np.mean(sine**2))), rel_tol=1e-9)
    left = np.stack([sine, 0 * sine])
    assert levels.width(np.stack([sine, sine])) == 0
    assert math.isclose(levels.width(left), 0.5, rel_tol=1e-9)
    assert math.isclose(levels.width(np.stack([sine, -sine])), 1)
    assert math.isclose(levels.imbalance_db(left), -60, abs_tol=1e-4)
    assert math.isclose(levels.imbalance_db(np.stack([sine, 2 * sine])), 6.0206, abs_tol=1e-3)


def test_levels_of_silence():
    silence = np.zeros((2, 100))
    assert levels.peak_db(silence) == levels.rms_db(silence) == levels.rms_20ln(silence) == -math.inf
    assert math.isnan(levels.crest_factor_db(silence))
    assert math.isnan(levels.width(silence))
    assert math.isnan(levels.imbalance_db(silence))


def test_torch_is_taken_too():
    import torch

    audio = music(0.5)
    np.testing.assert_array_equal(stereo("x", torch.from_numpy(audio).requires_grad_(), RATE), audio)
