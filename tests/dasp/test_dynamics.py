"""Dynamics: the equations and curves of the literature, and the defects of published libraries."""

import itertools

import numpy as np
import pytest
import torch

from dasp.atoms.crossover import three_bands
from dasp.effects import find, registry
from dasp.effects._dynamics import soft_excess
from dasp.effects.de_esser import DeEsser
from dasp.effects.expander import Expander
from dasp.effects.multiband_compressor import MultibandCompressor
from dasp.effects.studio_compressor import StudioCompressor
from dasp.testing import CHECKS, music
from dasp.testing.signals import error_db, setting

OPTIONS = {
    "StudioCompressor rms mean": lambda rate=44100, **kw: StudioCompressor(rate, detector="rms", stereo_link="mean", **kw),
    "StudioCompressor branching late": lambda rate=44100, **kw: StudioCompressor(
        rate, smoothing="branching", lookahead_ms=2.0, **kw
    ),
    "StudioCompressor unlinked": lambda rate=44100, **kw: StudioCompressor(rate, stereo_link="none", **kw),
    "Expander peak mean": lambda rate=44100, **kw: Expander(rate, detector="peak", stereo_link="mean", **kw),
    "Expander unlinked late": lambda rate=44100, **kw: Expander(rate, stereo_link="none", lookahead_ms=1.0, **kw),
    "DeEsser wide": lambda rate=44100, **kw: DeEsser(rate, mode="wide", **kw),
    "MultibandCompressor rms mean": lambda rate=44100, **kw: MultibandCompressor(rate, detector="rms", stereo_link="mean", **kw),
}
SOUND = ("finite", "gradients", "shapes", "dual_mono", "streaming", "frames", "sidechain")


@pytest.mark.parametrize("make", OPTIONS.values(), ids=OPTIONS)
def test_options_conform(make):
    for check in CHECKS:
        if check.__name__.removeprefix("check_") in SOUND:
            check(make)


def _paper(x, rate, smoothing, *, threshold_db, ratio, knee_db, attack_ms, release_ms, makeup_gain_db):
    """Equations (4), (16), (17) of Giannoulis et al., one sample after the other, one channel."""
    attack, release = (np.exp(-1 / (rate * ms / 1000)) for ms in (attack_ms, release_ms))
    held = smooth = 0.0
    y = np.empty_like(x)
    for n, sample in enumerate(x):
        level = 20 * np.log10(max(abs(sample), 1e-6))
        over = level - threshold_db
        if 2 * over < -knee_db:
            out = level
        elif 2 * abs(over) <= knee_db and knee_db > 0:
            out = level + (1 / ratio - 1) * (over + knee_db / 2) ** 2 / (2 * knee_db)
        else:
            out = threshold_db + over / ratio
        reduction = level - out
        if smoothing == "decoupled":
            held = max(reduction, release * held + (1 - release) * reduction)
            smooth = attack * smooth + (1 - attack) * held
        else:
            pole = attack if reduction > smooth else release
            smooth = pole * smooth + (1 - pole) * reduction
        y[n] = sample * 10 ** ((makeup_gain_db - smooth) / 20)
    return y


@pytest.mark.parametrize("smoothing", ["decoupled", "branching"])
@pytest.mark.parametrize("knee", [0.0, 9.0])
def test_studio_compressor_is_the_papers_equations(smoothing, knee):
    x = music(channels=1)
    values = {"threshold_db": -24.0, "ratio": 3.0, "attack_ms": 2.0, "release_ms": 40.0, "makeup_gain_db": 5.0, "knee_db": knee}
    ours = StudioCompressor(smoothing=smoothing)(x, **values)
    theirs = _paper(x[0, 0].numpy(), 44100, smoothing, **values)
    np.testing.assert_allclose(ours[0, 0].numpy(), theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("rate", [8000, 44100, 192000])
def test_attack_and_release_are_real_time_constants_and_both_act(rate):
    """Published defect: a release time that is accepted and never used; times that mean 2 pi times less than they say."""
    square = torch.ones(1, 1, rate // 2, dtype=torch.float64)
    square[..., ::2] = -1
    square[..., rate // 4 :] *= 1e-3
    comp = StudioCompressor(rate, smoothing="branching")
    y = comp(square, threshold_db=-20.0, ratio=4.0, knee_db=0.0, attack_ms=20.0, release_ms=50.0)
    reduction = -20 * torch.log10(y / square).flatten()
    t = torch.arange(rate // 4, dtype=torch.float64) + 1
    rise = 15 * (1 - torch.exp(-t / (0.020 * rate)))
    torch.testing.assert_close(reduction[: rate // 4], rise, rtol=0, atol=1e-9)
    fall = rise[-1] * torch.exp(-t / (0.050 * rate))
    torch.testing.assert_close(reduction[rate // 4 : rate // 4 * 2], fall, rtol=0, atol=1e-9)


def test_release_is_not_ignored():
    """Published defect: release_ms is accepted and the attack's time is used for both. In every effect that has one."""
    x = music()
    for name, cls in registry().items():
        for q in cls.controls:
            if q.name.endswith("release_ms"):
                u = setting(cls)[2]
                moved = u.clone()
                moved[:, [p.name for p in cls.controls].index(q.name)] = 0.95
                assert error_db(cls()(x, moved), cls()(x, u)) > -80, f"{name}.{q.name}"


def test_attack_or_release_is_decided_at_every_sample():
    """Published defect: the branch compares the first sample of the block, so one of the two times holds for all of it."""
    x = torch.ones(1, 1, 3000, dtype=torch.float64)
    x[..., 1000:2000] = 1e-3
    y = StudioCompressor(smoothing="branching")(x, threshold_db=-20.0, ratio=4.0, knee_db=0.0, attack_ms=1.0, release_ms=20.0)
    reduction = -20 * torch.log10(y / x).flatten()
    assert reduction[999] > 14.9 and 3 < reduction[1999] < 6 and reduction[2200] > 14


@pytest.mark.parametrize("name", ["StudioCompressor", "MultibandCompressor", "DeEsser", "Expander"])
@pytest.mark.parametrize("link", ["max", "mean", "none"])
@pytest.mark.parametrize("detector", ["peak", "rms"])
def test_dual_mono_sounds_as_mono(name, link, detector):
    """Published defect: the side-chain sums the channels, which is 6 dB more for dual mono than for mono."""
    effect, x, u = setting(lambda *a, **kw: find(name)(*a, stereo_link=link, detector=detector, **kw))
    mono = x[:, :1]
    for channels in (2, 5):
        both = effect(mono.expand(-1, channels, -1), u)
        assert error_db(both, effect(mono, u).expand_as(both)) < -250


def test_link_is_one_gain_after_the_loudest_or_the_mean():
    loud = torch.ones(1, 1, 4000, dtype=torch.float64) * torch.tensor([[[1.0], [0.1]]], dtype=torch.float64)
    values = {"threshold_db": -20.0, "ratio": 4.0, "knee_db": 0.0, "attack_ms": 1.0}

    def reduction(link):
        y = StudioCompressor(stereo_link=link)(loud, **values)
        return (-20 * torch.log10(y / loud))[0, :, -1].tolist()

    assert reduction("max") == pytest.approx([15.0, 15.0])
    assert reduction("none") == pytest.approx([15.0, 0.0], abs=1e-12)
    assert reduction("mean") == pytest.approx([0.75 * (20 + 20 * np.log10(0.55))] * 2)


@pytest.mark.parametrize("name", ["StudioCompressor", "Expander"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_knee_of_zero_is_finite(name, dtype):
    """Published defect: knee_db = 0, allowed by its own table, divides by zero: NaN gradients. Also at the threshold itself."""
    x = torch.tensor([1.0, 0.1, 0.0, 1e-9, -0.1, 0.05], dtype=dtype).repeat(50).reshape(1, 1, -1).requires_grad_()
    values = {"threshold_db": torch.tensor([-20.0]), "knee_db": torch.tensor([0.0]), "ratio": torch.tensor([3.0])}
    for v in values.values():
        v.requires_grad_()
    y = find(name)(detector="peak")(x, **values)
    gradients = torch.autograd.grad(y.square().sum(), (x, *values.values()))
    assert y.isfinite().all() and all(g.isfinite().all() for g in gradients)
    assert gradients[1] != 0 and gradients[3] != 0


@pytest.mark.parametrize("ratio", [1.0, 1.5, 4.0, 20.0])
@pytest.mark.parametrize("knee", [0.0, 1e-6, 6.0, 24.0])
def test_knee_is_continuous_and_never_expands(ratio, knee):
    """Published defect: a knee that jumps 2.7 dB at its upper edge, and expands inside."""
    level = torch.linspace(-60, 0, 6001, dtype=torch.float64)
    excess = soft_excess(level + 30, torch.tensor(knee, dtype=torch.float64))
    out = level - (1 - 1 / ratio) * excess
    slope = out.diff() / level.diff()
    assert (slope >= 1 / ratio - 1e-6).all() and (slope <= 1 + 1e-6).all()
    assert (slope.diff() <= 1e-6).all()  # from 1 to 1 / ratio, once
    outside = (level + 30).abs() > knee / 2
    torch.testing.assert_close(excess[outside], (level + 30).clamp_min(0)[outside], rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    "name", ["Compressor", "StudioCompressor", "Expander", "NoiseGate", "Limiter", "DeEsser", "MultibandCompressor"]
)
def test_silence_and_ratio_one_are_finite(name):
    """Published defect: asserts and NaN on silence, and at ratio 1, where nothing is to be done."""
    cls = find(name)
    ones = {q.name: 1.0 for q in cls.controls if q.name.endswith("ratio")}
    for x in (torch.zeros(1, 2, 400), music()[..., :400].float()):
        u = cls().unit(1, **ones).requires_grad_()
        x = x.clone().requires_grad_()
        y = cls()(x, u)
        gradients = torch.autograd.grad(y.sum(), (x, u))
        assert y.isfinite().all() and all(g.isfinite().all() for g in gradients)
        if ones and name != "MultibandCompressor":  # its crossovers turn the phase
            assert torch.equal(y, x)


def test_lookahead_delays_the_audio_and_not_the_gain():
    x = torch.zeros(1, 1, 2000, dtype=torch.float64)
    x[..., 1000] = 1.0
    comp = StudioCompressor(48000, lookahead_ms=5.0)
    assert comp.latency == 240
    values = {"threshold_db": -40.0, "ratio": 10.0, "attack_ms": 1.0, "release_ms": 500.0}
    late, now = comp(x, **values), StudioCompressor(48000)(x, **values)
    assert late[..., :1240].abs().max() == 0 and now[..., 1000].item() > 0.9
    assert 0 < late[..., 1240].item() < 0.1  # 240 samples of attack came before it


def test_sidechain_ducks():
    x, key = 0.1 * torch.ones(1, 2, 8000), torch.zeros(1, 2, 8000)
    key[..., 4000:] = 1.0
    y = StudioCompressor()(x, threshold_db=-20.0, ratio=4.0, knee_db=0.0, attack_ms=5.0, sidechain=key)
    assert torch.equal(y[..., :4000], x[..., :4000])
    assert 20 * np.log10(y[0, 0, -1].item() / 0.1) == pytest.approx(-15.0, abs=0.01)


def test_expander_curve_and_range():
    """Steady tones: ratio dB down for each dB below the threshold, no further than the range, untouched above."""
    for level, expected in ((-10.0, 0.0), (-39.0, 0.0), (-50.0, -20.0), (-55.0, -30.0), (-80.0, -36.0)):
        x = 10 ** (level / 20) * torch.ones(1, 1, 44100, dtype=torch.float64)
        y = Expander()(x, threshold_db=-40.0, ratio=3.0, knee_db=0.0, release_ms=20.0, range_db=36.0)
        assert 20 * torch.log10(y / x)[0, 0, -1].item() == pytest.approx(expected, abs=1e-6)


def test_expander_opens_with_the_attack_and_closes_with_the_release():
    rate = 44100
    x = torch.ones(1, 1, 3 * 4410, dtype=torch.float64)
    x[..., :4410] = x[..., 8820:] = 1e-3
    y = Expander(rate, detector="peak")(
        x, threshold_db=-20.0, ratio=20.0, knee_db=0.0, attack_ms=10.0, release_ms=30.0, range_db=30.0
    )
    gain = 20 * torch.log10(y / x).flatten()
    t = torch.arange(4410, dtype=torch.float64) + 1
    closed = -30 * (1 - torch.exp(-t / (0.030 * rate)))
    opened = closed[-1] * torch.exp(-t / (0.010 * rate))
    torch.testing.assert_close(gain[:8820], torch.cat([closed, opened]), rtol=0, atol=1e-9)
    again = -30 + (opened[-1] + 30) * torch.exp(-t / (0.030 * rate))
    torch.testing.assert_close(gain[8820:], again, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", ["Limiter", "NoiseGate", "StudioCompressor", "Expander", "DeEsser", "MultibandCompressor"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_any_blocks_are_the_whole_to_the_bit(name, dtype):
    effect, x, u = setting(find(name))
    x = x.to(dtype)
    whole = effect(x, u)
    if dtype == torch.float32:  # in double, interpolating equal frames may cost a last bit
        assert torch.equal(effect(x, u[..., None].expand(-1, -1, 11)), whole)
    generator = np.random.default_rng(0)
    for _ in range(3):
        cuts = [0, 0, *sorted(generator.integers(0, x.shape[2], 20)), x.shape[2]]
        state, blocks = None, []
        for a, b in itertools.pairwise(cuts):
            y, state = effect.stream(x[..., a:b], state, u)
            blocks.append(y)
        assert torch.equal(torch.cat(blocks, -1), whole)


def _tone(frequency, level_db, rate, seconds=0.5):
    t = torch.arange(round(seconds * rate), dtype=torch.float64) / rate
    return (10 ** (level_db / 20) * torch.sin(2 * torch.pi * frequency * t))[None, None]


def _gain_db(y, x, rate):
    """Of a steady tone, over its last 0.1 s."""
    last = round(0.1 * rate)
    return float(10 * torch.log10(y[..., -last:].square().sum() / x[..., -last:].square().sum()))


@pytest.mark.parametrize("rate", [8000, 44100, 192000])
@pytest.mark.parametrize("crossovers", [(40.0, 12000.0), (200.0, 3000.0), (1000.0, 1000.0)])
def test_bands_sum_flat(rate, crossovers):
    """What comes out where nothing compresses: the same magnitude at all frequencies, to 0.01 dB, in single precision as well."""
    x = torch.zeros(1, 1, rate)
    x[..., 0] = 1.0
    values = dict(zip(("low_crossover_hz", "high_crossover_hz"), crossovers, strict=True))
    values |= {f"{band}_ratio": 1.0 for band in ("low", "mid", "high")}
    effect = MultibandCompressor(rate)
    for dtype in (torch.float32, torch.float64):
        y = effect(x.to(dtype), **values)
        db = 20 * torch.log10(torch.fft.rfft(y.double()).abs())
        assert db.abs().max() < 0.01, f"{db.abs().max():.4f} dB"
    assert (y - x).abs().max() > 0.01  # the phase is another


@pytest.mark.parametrize(("rate", "upper"), [(44100, 3000.0), (8000, 3900.0)])
def test_bands_are_linkwitz_riley(rate, upper):
    """Against scipy's Butterworth filters, squared; the upper crossover is limited to fs/2 - 100 Hz."""
    signal = pytest.importorskip("scipy.signal")
    x = torch.zeros(1, 1, rate, dtype=torch.float64)
    x[..., 0] = 1.0
    hertz = [torch.full((1, 1, 1), f, dtype=torch.float64) for f in (200.0, upper if rate > 8000 else 12000.0)]
    bands = torch.fft.rfft(three_bands(x, *hertz, rate)[:, 0, 0]).abs().numpy()

    def squared(kind, frequency):
        return abs(signal.freqz(*signal.butter(2, frequency, kind, fs=rate), worN=rate // 2 + 1, include_nyquist=True)[1]) ** 2

    high_of_low = squared("high", 200.0)
    expected = (squared("low", 200.0), high_of_low * squared("low", upper), high_of_low * squared("high", upper))
    for ours, theirs in zip(bands, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-9)


def test_a_band_is_compressed_for_itself():
    """A loud low tone is turned down by the compressor's law, a quiet high one is not, whichever of both is there."""
    rate = 44100
    low, high = _tone(60.0, -6.0, rate), _tone(9000.0, -30.0, rate)
    effect = MultibandCompressor(rate, knee_db=0.0)
    values = {
        "low_threshold_db": -26.0,
        "low_ratio": 2.0,
        "low_attack_ms": 0.1,
        "low_release_ms": 1000.0,
        "low_makeup_gain_db": 4.0,
    }
    y = effect(low + high, **values)
    alone = effect(high, **values)
    assert _gain_db(alone, high, rate) == pytest.approx(0.0, abs=0.01)
    assert _gain_db(y - alone, low, rate) == pytest.approx(-10.0 + 4.0, abs=0.15)  # the release lets go a little in each cycle


def test_multiband_is_three_studio_compressors():
    x, effect = music(), MultibandCompressor(knee_db=3.0, detector="rms")
    u = setting(MultibandCompressor)[2]
    values = {k: float(v) for k, v in effect.physical(u).items()}
    crossovers = [torch.full((1, 1, 1), values.pop(f"{side}_crossover_hz"), dtype=torch.float64) for side in ("low", "high")]
    bands = three_bands(x, *crossovers, 44100)
    expected = sum(
        StudioCompressor(detector="rms")(
            band, knee_db=3.0, **{k.removeprefix(f"{name}_"): v for k, v in values.items() if k.startswith(name)}
        )
        for name, band in zip(("low", "mid", "high"), bands, strict=True)
    )
    assert error_db(effect(x, u), expected) < -240


@pytest.mark.parametrize("mode", ["band", "wide"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_de_esser_is_transparent_below_its_threshold(mode, dtype):
    """Sample for sample, however loud the rest is."""
    x = (_tone(200.0, -3.0, 44100) + _tone(6500.0, -40.0, 44100)).to(dtype)
    assert torch.equal(DeEsser(mode=mode)(x, threshold_db=-20.0, ratio=20.0), x)


def test_de_esser_turns_the_band_down_and_leaves_the_rest():
    rate, values = 44100, {"threshold_db": -30.0, "ratio": 3.0, "attack_ms": 0.1, "release_ms": 500.0}
    sibilant, voice = _tone(6500.0, -9.0, rate), _tone(200.0, -12.0, rate)
    for mode, of_voice in (("band", 0.0), ("wide", -14.0)):
        effect = DeEsser(rate, mode=mode)
        y = effect(sibilant + voice, **values)
        spectrum = torch.fft.rfft(y[0, 0, -rate // 10 :]).abs() / torch.fft.rfft((sibilant + voice)[0, 0, -rate // 10 :]).abs()
        assert 20 * torch.log10(spectrum[650]).item() == pytest.approx(-14.0, abs=0.3)
        assert 20 * torch.log10(spectrum[20]).item() == pytest.approx(of_voice, abs=0.3)


def test_unknown_options_are_named():
    with pytest.raises(ValueError, match=r"StudioCompressor: detector is one of peak, rms; got 'peek'. Did you mean 'peak'"):
        StudioCompressor(detector="peek")(music())
    with pytest.raises(ValueError, match="Expander: stereo_link is one of max, mean, none"):
        Expander(stereo_link="sum")(music())
    with pytest.raises(ValueError, match="StudioCompressor: smoothing is one of decoupled, branching"):
        StudioCompressor(smoothing="linear")(music())
    with pytest.raises(ValueError, match="DeEsser: mode is one of band, wide"):
        DeEsser(mode="split")(music())
