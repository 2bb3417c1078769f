"""The losses by their names: against auraloss and against plain arithmetic, and on silence."""

import math

import librosa
import numpy as np
import pytest
import torch
from auraloss.perceptual import FIRFilter
from auraloss.time import ESRLoss as AuralossESR
from auraloss.time import SISDRLoss as AuralossSISDR
from torch import Tensor

from mixing import StereoLoss, losses
from mixing.feature_loss import AudioFeatureLoss, filter_bank
from mixing.fxnorm_loss import FxNormLoss, a_weighting
from mixing.waveform_loss import ESRLoss, SISDRLoss

RATE = 44100
EVERY = losses.names()


def noise(shape=(2, 2, 9000), seed=0, dtype=torch.float64) -> Tensor:
    return 0.1 * torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def gradient(loss, output, target) -> tuple[float, Tensor]:
    output = output.clone().requires_grad_()
    value = loss(output, target)
    value.backward()
    return float(value.detach()), output.grad


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_silence_has_finite_values_and_gradients(name, dtype):
    loss, silence, sound = losses.build(name, sample_rate=RATE), torch.zeros(1, 2, 9000, dtype=dtype), noise((1, 2, 9000), dtype=dtype)
    one_sided = sound * torch.tensor([1.0, 0.0], dtype=dtype)[:, None]
    for output in (silence, sound, one_sided):
        for target in (silence, sound, one_sided):
            value, slope = gradient(loss, output, target)
            assert math.isfinite(value)
            assert slope.isfinite().all()


@pytest.mark.parametrize("name", EVERY)
def test_equal_is_best_and_descent_comes_nearer(name):
    loss, target = losses.build(name, sample_rate=RATE), noise()
    output = 0.5 * target.flip(0) + 0.02 * noise(seed=1)
    equal, (value, slope) = float(loss(target, target)), gradient(loss, output, target)
    assert equal < value
    if name != "si_sdr":  # whose best is as many decibels as precision has
        assert equal == 0
    nearer = min(float(loss(output - size * slope / slope.abs().max(), target)) for size in (1e-4, 1e-3, 1e-2))
    assert nearer < value


@pytest.mark.parametrize("name", EVERY)
def test_gradients_are_those_of_differences(name):
    loss = losses.build(name, sample_rate=RATE)
    output, target, step = noise((1, 2, 6000)), noise((1, 2, 6000), 1), noise((1, 2, 6000), 2)
    _, slope = gradient(loss, output, target)
    size = 1e-8  # the logarithms of nearly empty bins bend within that
    with torch.no_grad():
        expected = float(loss(output + size * step, target) - loss(output - size * step, target)) / (2 * size)
    assert math.isclose(float((slope * step).sum()), expected, rel_tol=1e-4)


def test_l1_is_the_mean_absolute_difference():
    x, y = noise(), noise(seed=1)
    assert math.isclose(losses.build("l1")(x, y), np.abs(x.numpy() - y.numpy()).mean(), rel_tol=1e-12)


@pytest.mark.parametrize(("ours", "theirs"), [(ESRLoss(), AuralossESR()), (SISDRLoss(), AuralossSISDR())])
def test_equals_auraloss(ours, theirs):
    x, y = noise() + 0.01, noise(seed=1) - 0.02
    x = y + 0.3 * x
    (value, slope), (expected, wanted) = gradient(ours, x, y), gradient(theirs, x, y)
    assert math.isclose(value, expected, rel_tol=1e-7)
    assert torch.allclose(slope, wanted, rtol=1e-6, atol=1e-12)


def test_si_sdr_does_not_hear_level_and_mean():
    x, y = noise(), noise(seed=1)
    mixed = y + 0.1 * x
    assert math.isclose(SISDRLoss()(7 * mixed + 0.3, y), SISDRLoss()(mixed, y), rel_tol=1e-6)
    assert float(SISDRLoss()(0 * x, 0 * y)) == 0


def test_esr_of_a_silent_target_counts_as_one_at_the_floor():
    x = noise((1, 1, 5000))
    assert math.isclose(ESRLoss(-40.0)(x, 0 * x), float(x.square().mean()) / 1e-4, rel_tol=1e-9)
    quiet = 1.1e-2 * torch.ones(1, 1, 5000, dtype=torch.float64)  # just above -40 dB
    assert math.isclose(ESRLoss(-40.0)(2 * quiet, quiet), 1.0, rel_tol=1e-9)


def test_a_weighting_is_auralosss_and_the_standards():
    theirs = FIRFilter("aw", fs=RATE).fir.weight[0, 0].numpy()
    np.testing.assert_allclose(a_weighting(RATE), theirs, atol=1e-6)
    # IEC 61672-1 (2013), table 3: level and the limits of class 1, in dB.
    table = {500: (-3.2, 1.0, 1.0), 1000: (0, 0.7, 0.7), 2000: (1.2, 1.0, 1.0), 4000: (1.0, 1.0, 1.0), 8000: (-1.1, 2.5, 1.5)}
    for rate in (44100, 48000):
        taps = a_weighting(rate)
        for frequency, (level, below, above) in table.items():
            response = np.abs(np.sum(taps * np.exp(-2j * np.pi * frequency / rate * np.arange(len(taps)))))
            assert level - below < 20 * np.log10(response) < level + above


def fxnorm_by_hand(x: np.ndarray, y: np.ndarray, variant: str) -> float:
    """Frame by frame, the definition in numpy: centred frames of reflected signals."""
    taps = np.convolve(a_weighting(RATE), [1.0, 0.85])
    window = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(4096) / 4096))

    def magnitudes(signal):
        signal = np.pad(signal, 2048, mode="reflect")
        frames = [signal[s : s + 4096] * window for s in range(0, len(signal) - 4095, 1024)]
        return np.maximum(np.abs(np.fft.rfft(frames)), 1e-4)

    total = 0.0
    for sign in (1, -1):
        # As long as before, and as late as half the filter.
        x_, y_ = (np.convolve(v[0] + sign * v[1], taps)[50 : 50 + v.shape[1]] for v in (x, y))
        a, b = magnitudes(x_), magnitudes(y_)
        distance = np.linalg.norm(b - a) / np.linalg.norm(b) if variant == "a" else np.square(a - b).mean()
        total += distance + np.abs(np.log(a) - np.log(b)).mean()
    return total


@pytest.mark.parametrize("variant", ["a", "b"])
def test_fxnorm_is_its_definition(variant):
    x, y = noise((1, 2, 12000)), noise((1, 2, 12000), 1)
    assert math.isclose(FxNormLoss(variant, RATE)(x, y), fxnorm_by_hand(x[0].numpy(), y[0].numpy(), variant), rel_tol=1e-5)


@pytest.mark.parametrize("variant", ["a", "b"])
def test_fxnorm_does_not_mind_which_side(variant):
    x, y = noise(), noise(seed=1)
    loss = FxNormLoss(variant, RATE)
    value = float(loss(x, y))
    assert math.isclose(loss(x.flip(1), y), value, rel_tol=1e-12)
    assert not math.isclose(loss(x * torch.tensor([1.0, 0.5])[:, None], y), value, rel_tol=1e-3)
    plain = FxNormLoss(variant, weighting=False)
    assert torch.equal(plain.weight(x), x)
    if variant == "a":  # twice, since StereoLoss halves
        assert math.isclose(plain(x, y), 2 * StereoLoss([4096], window="sqrt_hann_window")(x, y), rel_tol=1e-12)


def test_features_of_known_signals():
    t = torch.arange(RATE, dtype=torch.float64) / RATE
    sine, other = (torch.sin(2 * math.pi * f * t) for f in (1000, 1300))
    found = AudioFeatureLoss(RATE).features(torch.stack([torch.stack([sine, sine]), torch.stack([sine, 0 * sine])]))
    assert math.isclose(found["rms"][0, 0], math.log10(math.sqrt(0.5)), abs_tol=1e-6)
    assert math.isclose(20 * found["crest"][0, 1], 3.0103, abs_tol=1e-3)
    assert found["width"][0] == 0
    assert math.isclose(found["width"][1], 0.5, abs_tol=1e-6)
    assert found["imbalance"][0] == 0
    assert math.isclose(found["imbalance"][1], -1, abs_tol=1e-6)
    bands = AudioFeatureLoss(RATE, bands=24).features(torch.stack([sine, other])[None])["spectrum"][0, 0]
    assert bands.argmax() == 8  # 1 kHz is 9.06 on this scale, whose 24 centres stand 24.62 / 25 apart


@pytest.mark.parametrize("scale", ["bark", "mel"])
def test_the_filter_bank_is_its_formula(scale):
    bank = filter_bank(RATE, 2048, 20, scale).numpy()
    np.testing.assert_allclose(bank.sum(1), 1)
    if scale == "mel":
        theirs = librosa.filters.mel(sr=RATE, n_fft=2048, n_mels=20, htk=True, norm=None)
        # librosa's triangles have their sides straight in Hz, these in mel.
        assert np.abs(bank.argmax(1) - theirs.argmax(1)).max() <= 1
        assert ((bank > 0).sum(1) - (theirs > 1e-6).sum(1) == 0).all()
    else:
        frequency = np.arange(1025) * RATE / 2048
        heard = 26.81 * frequency / (1960 + frequency)
        step = heard[-1] / 21
        for k in range(20):
            expected = np.clip(1 - np.abs(heard - (k + 1) * step) / step, 0, None)
            np.testing.assert_allclose(bank[k], expected / expected.sum(), atol=1e-12)


def test_the_bands_hold_the_power():
    """White noise has its power in every band, whatever their number; a shorter signal than a transform is padded."""
    x = noise((1, 2, 200000))
    spectrum = 10 ** AudioFeatureLoss(RATE, bands=10).features(x)["spectrum"]
    assert torch.allclose(spectrum, torch.full_like(spectrum, 0.01 / 2), rtol=0.1)
    assert AudioFeatureLoss(RATE).features(x[..., :100])["spectrum"].isfinite().all()


def test_weights_of_features():
    x, y = noise(), noise(seed=1) * torch.tensor([1.0, 0.3])[:, None]
    parts = {}
    for name in ("rms", "crest", "width", "imbalance", "spectrum"):
        others = dict.fromkeys({"rms", "crest", "width", "imbalance", "spectrum"} - {name}, 0.0)
        parts[name] = float(AudioFeatureLoss(RATE, weights=others)(x, y))
    assert all(v > 0 for v in parts.values())
    assert math.isclose(AudioFeatureLoss(RATE)(x, y), sum(parts.values()), rel_tol=1e-12)
    doubled = AudioFeatureLoss(RATE, weights={"rms": 2.0})(x, y)
    assert math.isclose(doubled, sum(parts.values()) + parts["rms"], rel_tol=1e-12)


def test_build_gives_the_rate_to_those_that_have_one():
    assert type(losses.build("stereo_mrstft", sample_rate=48000, fft_sizes=[64])) is StereoLoss
    rates = [losses.build("fxnorm", sample_rate=r).taps for r in (44100, 48000)]
    assert not torch.equal(*rates)
    assert list(EVERY) == sorted(EVERY)


@pytest.mark.parametrize(
    ("name", "settings", "words"),
    [
        ("mrstft", {}, "stereo_mrstft"),
        ("fxnorm", {"variant": "c"}, "a or b"),
        ("fxnorm", {"weight": True}, "'weighting'"),
        ("l1", {"eps": 1}, "none"),
        ("features", {"weights": {"rsm": 1}}, "rsm"),
        ("features", {"scale": "erb"}, "bark or mel"),
        ("features", {"bands": 4000}, "resolve"),
        ("stereo_mrstft", {"fft_size": [64]}, "fft_size"),
    ],
)
def test_what_is_refused(name, settings, words):
    with pytest.raises(ValueError, match=words):
        losses.build(name, **settings)


@pytest.mark.parametrize("name", EVERY)
def test_shapes_are_checked(name):
    loss = losses.build(name)
    for wrong in (torch.zeros(2, 9000), torch.zeros(0, 2, 9000)):
        with pytest.raises(ValueError, match="expected"):
            loss(wrong, wrong)
    if name not in ("l1", "esr", "si_sdr"):
        with pytest.raises(ValueError, match=r"\(B, 2, T\)"):
            loss(torch.zeros(1, 1, 9000), torch.zeros(1, 1, 9000))
    if name != "features":  # which compares a mix with another song's
        with pytest.raises(ValueError, match="one shape"):
            loss(torch.zeros(1, 2, 9000), torch.zeros(1, 2, 9001))
