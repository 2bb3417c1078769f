"""A mix beside a target: the tutorial's errors by plain loops, distances, levels, known settings; Frechet's distance."""

import dataclasses
import math

import numpy as np
import pytest
import scipy.linalg
import torch
from sklearn.metrics import mean_absolute_percentage_error as mape
from test_evaluation_features import RATE, music

from mixing import StereoLoss
from mixing.evaluation import METRICS, Features, KnownSettings, Target, compare, features, frechet_distance
from mixing.evaluation.comparison import tutorial_errors
from mixing.evaluation.embedding import cosine_distance, embed, feature_vectors, find

SECONDS = 1.7  # 70 spectral frames: more than the running mean's 40


@pytest.fixture(scope="module")
def pair():
    """(mix, target, what `compare` says)."""
    output, target = music(SECONDS, 1), music(SECONDS)
    return output, target, compare(output, target, RATE)


def expected_error(output: np.ndarray, target: np.ndarray) -> float:
    """sklearn's error between running means by a plain loop."""

    def running(x):
        return [np.mean(x[k : k + 40]) for k in range(len(x) - 39)] if len(x) > 40 else [np.mean(x)]

    return mape(running(target), running(output))


def test_the_tutorials_errors_by_plain_loops(pair):
    output, target, found = pair
    start, stop = Target(target, RATE).start, Target(target, RATE).stop
    o, t = (features(x[:, start:stop], RATE) for x in (output, target))
    assert o.centroid_hz.shape[1] > 40 > len(o.lufs)
    expected = {"lufs": expected_error(o.lufs, t.lufs), "peak": expected_error(o.peak_db, t.peak_db)}
    expected["loudness"] = np.mean([expected["lufs"], expected["peak"]])

    def channels(function):
        return np.mean([expected_error(function(o)[c], function(t)[c]) for c in range(2)])

    expected["centroid"] = channels(lambda f: f.centroid_hz + 1)
    expected["bandwidth"] = channels(lambda f: f.bandwidth_hz + 1)
    expected["rolloff"] = channels(lambda f: f.rolloff_hz + 1)
    expected["flatness"] = channels(lambda f: 1 - 20 * np.log10(f.flatness))
    expected["contrast_low"] = channels(lambda f: f.contrast_db[:, 0])
    expected["contrast_mid"] = channels(lambda f: f.contrast_db[:, 1:4].mean(1))
    expected["contrast_high"] = channels(lambda f: f.contrast_db[:, 4])
    expected["contrast"] = np.mean([expected[f"contrast_{b}"] for b in ("low", "mid", "high")])
    expected["spectral"] = np.mean([expected[n] for n in ("centroid", "bandwidth", "contrast", "rolloff", "flatness")])
    bands = ("panning_all", "panning_low", "panning_mid", "panning_high")
    expected |= {n: expected_error(a, b) for n, a, b in zip(bands, o.panning, t.panning, strict=True)}
    expected["panning"] = np.mean([expected[n] for n in bands])
    expected["rms"] = expected_error(1 - o.rms_db.mean(0), 1 - t.rms_db.mean(0))
    expected["spread"] = expected_error(1 - o.spread_db.mean(0), 1 - t.spread_db.mean(0))
    expected["crest_ratio"] = expected_error((o.frame_peak_db / o.rms_db).mean(0), (t.frame_peak_db / t.rms_db).mean(0))
    expected["dynamic"] = np.mean([expected[n] for n in ("rms", "spread", "crest_ratio")])
    expected["feature"] = np.mean([expected[n] for n in ("loudness", "spectral", "panning", "dynamic")])
    assert {f"{n}_mape" for n in expected} == {m.name for m in METRICS if m.name.endswith("_mape")}
    for name, value in expected.items():
        assert math.isclose(found[f"{name}_mape"], value, rel_tol=1e-6), name
        assert value > 1e-3


def test_equal_mixes_have_no_error():
    audio = music(SECONDS)
    assert all(abs(v) < 1e-9 for v in compare(audio, audio, RATE).values())


def test_all_metrics_are_declared(pair):
    *_, found = pair
    others = {"embedding_distance", "gain_error_db", "pan_error"}
    assert set(found) | others == {m.name for m in METRICS}
    assert all(math.isfinite(v) for v in found.values())


def test_level_alone():
    audio = music(SECONDS)
    found = compare(0.5 * audio, audio, RATE)
    for name in ("loudness_error_lu", "peak_error_db", "rms_error_db"):
        assert math.isclose(found[name], 6.0206, abs_tol=1e-3)
    assert math.isclose(found["rms_error_20ln"], 20 * math.log(2), abs_tol=1e-6)
    assert found["stereo_mrstft"] > 0.5
    assert found["stereo_mrstft_matched"] < 1e-3
    for name in ("crest_error_db", "width_error", "imbalance_error_db", "panning_error", "spectral_mape", "dynamic_mape"):
        assert found[name] < 1e-5


def test_distances_are_the_losss(pair):
    output, target, found = pair
    o, t = (torch.from_numpy(x).float()[None] for x in (output, target))
    assert math.isclose(found["stereo_mrstft"], StereoLoss()(o, t), rel_tol=1e-6)
    short = Target(target[:, :20000], RATE)
    assert math.isfinite(short.compare(output[:, :20000])["stereo_mrstft"])


def test_features_are_of_what_lies_between_the_targets_silences(pair):
    output, target, found = pair
    silence = np.zeros((2, 8192))
    rng = np.random.default_rng(0)
    late, longer = np.concatenate([0.1 * rng.standard_normal(silence.shape), output], 1), np.concatenate([silence, target], 1)
    padded = compare(late, longer, RATE)
    assert padded["stereo_mrstft"] > found["stereo_mrstft"]
    assert abs(padded["spectral_mape"] - found["spectral_mape"]) < 0.2 * found["spectral_mape"]
    assert longer.shape[1] - Target(longer, RATE).start < target.shape[1] + 4096


def test_a_mono_target_has_no_panning_errors(pair):
    output, target, _ = pair
    found = compare(output, target.mean(0, keepdims=True).repeat(2, 0), RATE)
    bad = {n for n, v in found.items() if not math.isfinite(v)}
    assert bad == {"panning_all_mape", "panning_low_mape", "panning_mid_mape", "panning_high_mape", "panning_mape", "feature_mape"}
    assert found["panning_error"] > 0


def test_frames_without_width_are_left_out():
    """As the public implementation does: where the target is centred, both signals' frames go."""
    f, t = features(music(SECONDS, 1), RATE), features(music(SECONDS), RATE)
    panning = t.panning.copy()
    panning[:, 5:25] = 0
    found = tutorial_errors(f, dataclasses.replace(t, panning=panning))
    keep = np.r_[0:5, 25 : panning.shape[1]]
    assert math.isclose(found["panning_low_mape"], expected_error(f.panning[1, keep], panning[1, keep]), rel_tol=1e-6)


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (np.zeros((2, RATE)), "silent"),
        (music(0.9), "shape"),
        (np.full((2, RATE), np.inf), "88200 samples are not numbers"),
        (music(1.0)[:1], "stereo"),
    ],
)
def test_bad_mixes_are_refused(output, words):
    with pytest.raises(ValueError, match=words):
        Target(music(1.0), RATE).compare(output)


def test_a_silent_target_is_refused():
    with pytest.raises(ValueError, match="silent"):
        Target(np.zeros((2, RATE)), RATE)


def test_known_settings():
    known = KnownSettings([0.0, -6.0, None, -30.0], [0.5, 0.2, 0.9, 0.5], [True, True, True, False])
    # Relative to their means (-3 and 8) the faders are 3, -3 and 2, -2: one decibel off each.
    assert known.errors([10.0, 6.0, 99.0, 99.0], [0.5, 0.4, 0.6, 0.0]) == pytest.approx(
        {"gain_error_db": 1.0, "pan_error": (0.0 + 0.2 + 0.3) / 3}
    )
    assert known.errors([3.0, -3.0, 0.0, 0.0], [0.5, 0.2, 0.9, 0.0]) == {"gain_error_db": 0.0, "pan_error": pytest.approx(0)}
    alone = KnownSettings([0.0, None], None, [True, True]).errors([1.0, 2.0], [0.5, 0.5])
    assert all(math.isnan(v) for v in alone.values())


def test_frechet_distance_of_gaussians():
    """Against scipy's root of the product, and against the closed forms of one dimension and of equal covariances."""
    rng = np.random.default_rng(0)
    a = rng.standard_normal((60, 4)) @ rng.standard_normal((4, 4))
    b = rng.standard_normal((50, 4)) @ rng.standard_normal((4, 4)) + 1
    first, second = np.cov(a.T), np.cov(b.T)
    root = scipy.linalg.sqrtm(first @ second).real
    expected = np.square(a.mean(0) - b.mean(0)).sum() + np.trace(first + second - 2 * root)
    assert math.isclose(frechet_distance(a, b), expected, rel_tol=1e-9)
    assert math.isclose(frechet_distance(a, a + np.array([1, 2, 0, 0])), 5, rel_tol=1e-9)
    x, y = a[:, :1], b[:, :1]
    assert math.isclose(frechet_distance(x, y), (x.mean() - y.mean()) ** 2 + (x.std(ddof=1) - y.std(ddof=1)) ** 2, rel_tol=1e-9)
    few = rng.standard_normal((3, 10))  # singular covariances
    assert math.isclose(frechet_distance(few, few), 0, abs_tol=1e-6)
    assert math.isclose(frechet_distance(few, 2 * few), np.square(few.mean(0)).sum() + np.trace(np.cov(few.T)), rel_tol=1e-6)
    for bad in (a[:1], a[:, :3], a[0]):
        with pytest.raises(ValueError, match="two sets"):
            frechet_distance(bad, b)


def test_embeddings():
    audio = music(SECONDS)
    vector = feature_vectors(audio, RATE)
    assert vector.shape == (1, 13)
    assert feature_vectors(np.tile(audio, 8), RATE).shape == (2, 13)
    assert np.abs(vector).max() < 20
    near, far = feature_vectors(audio + 1e-3, RATE), feature_vectors(music(SECONDS, 1), RATE)
    assert cosine_distance(vector, near) < cosine_distance(vector, far)
    assert math.isclose(cosine_distance(np.array([[1.0, 0]]), np.array([[0, 2.0]])), 1)
    assert math.isnan(cosine_distance(np.zeros((1, 2)), np.ones((1, 2))))
    assert embed(lambda a, r: torch.ones(3, requires_grad=True), audio, RATE).shape == (1, 3)
    assert find("mixing.evaluation.embedding:feature_vectors") is feature_vectors
    for bad in (np.array([np.nan]), np.zeros((0, 3)), np.zeros((1, 2, 3))):
        with pytest.raises(ValueError, match="finite vectors"):
            embed(lambda a, r, b=bad: b, audio, RATE)


def test_features_say_what_they_are():
    names = {f.name for f in dataclasses.fields(Features)}
    assert all(name in (Features.__doc__ or "") for name in names)
