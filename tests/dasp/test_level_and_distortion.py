"""Level, stereo, distortion and Tremolo: Pedalboard's to the bit, and what the others promise."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import integrate

import dasp
from dasp.atoms.antialias import mean_clip, mean_tanh, mean_tanh_reference
from dasp.effects import find
from dasp.testing import CHECKS, check_effect, draw, music

RATE = 44100
SAMPLES = 6000


def _effect(name, rate=RATE, **kwargs):
    return find(name)(rate, **kwargs)


def _signal(kind: str, channels: int, rate: int, seed: int) -> torch.Tensor:
    generator = np.random.default_rng(seed)
    if kind == "noise":
        x = 0.5 * generator.standard_normal((channels, SAMPLES))
    elif kind == "impulse":
        x = np.zeros((channels, SAMPLES))
        x[:, 100] = 1.0
    else:
        t = np.arange(SAMPLES) / rate
        x = np.stack([np.sin(2 * np.pi * f * t) * np.exp(-30 * t) for f in 220 * (1 + np.arange(channels))])
    return torch.tensor(x, dtype=torch.float32)[None]


def _sine(frequency: float, seconds: float = 1.0, rate: int = RATE) -> torch.Tensor:
    """A whole number of periods in a second: every harmonic falls on a bin of its own."""
    t = torch.arange(round(seconds * rate), dtype=torch.float64) / rate
    return torch.sin(2 * math.pi * frequency * t)[None, None]


# Pedalboard's


@pytest.mark.parametrize("name", ["Invert", "Clipping", "Bitcrush"])
@pytest.mark.parametrize("rate", [44100, 48000, 96000])
def test_typed_values_are_pedalboards_to_the_bit(pedalboard, name, rate):
    cls = find(name)
    generator = np.random.default_rng(rate)
    for index, kind, channels in itertools.product(range(12), ("noise", "impulse", "burst"), (1, 2)):
        settings = {q.name: float(generator.uniform(q.low, q.high)) for q in cls.controls}
        if index == 0 and name == "Bitcrush":
            settings = {"bit_depth": 4.0}  # most people type integers
        x = _signal(kind, channels, rate, index)
        theirs = getattr(pedalboard, name)(**settings)(x[0].numpy(), rate)
        assert np.array_equal(cls(rate)(x, **settings)[0].numpy(), theirs), (kind, channels, settings)


@pytest.mark.parametrize(("name", "level"), [("Clipping", 2.0), ("Bitcrush", 0.7)])
def test_a_dense_sweep_of_values_is_pedalboards_to_the_bit(pedalboard, name, level):
    """Bit depths among them where libm's powf and its pow, rounded, differ in the last bit: the plugin calls pow."""
    cls = find(name)
    (q,) = cls.controls
    values = np.random.default_rng(0).uniform(q.low, q.high, 2000)
    if name == "Bitcrush":
        values[:5] = (11.586084393201679, 9.244319721596883, 12.50818880922355, 11.991231893403112, 8.636450465355269)
    x = np.full((1, 2), level, np.float32)
    theirs = [getattr(pedalboard, name)(**{q.name: float(v)})(x, RATE) for v in values]
    ours = cls()(torch.from_numpy(x).expand(len(values), 1, 2), **{q.name: torch.from_numpy(values)})
    assert np.array_equal(ours.numpy(), np.stack(theirs))


def test_clipping_at_the_floor_is_silence_as_in_the_plugin(pedalboard):
    x = _signal("noise", 2, RATE, 0)
    for db in (-99.9, -100.0, -120.0):
        theirs = pedalboard.Clipping(threshold_db=db)(x[0].numpy(), RATE)
        assert np.array_equal(_effect("Clipping")(x, threshold_db=db)[0].numpy(), theirs)
        assert theirs.any() == (db > -100)


def test_bitcrush_rounds_ties_as_the_plugin(pedalboard):
    x = (torch.arange(-40, 41, dtype=torch.float32) / 32)[None, None]  # every other one is a tie at 4 bits
    theirs = pedalboard.Bitcrush(bit_depth=4)(x[0].numpy(), RATE)
    ours = _effect("Bitcrush")(x, bit_depth=4.0)[0].numpy()
    assert np.array_equal(ours, theirs)
    assert (ours != x[0].numpy()).sum() == 40


@pytest.mark.parametrize("name", ["Clipping", "Bitcrush"])
def test_moving_values_are_pedalboards_to_the_bit(pedalboard, name):
    """New values every 32 samples, set by hand."""
    cls = find(name)
    (q,) = cls.controls
    for seed in range(4):
        x = _signal("noise", 1, RATE, seed)[..., :3200]
        u = torch.rand(1, 1, 100, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        plugin = getattr(pedalboard, name)()
        blocks = []
        for k, value in enumerate(q.to_physical(u)[0, 0]):
            setattr(plugin, q.name, float(value))
            block = x[0, 0, 32 * k : 32 * k + 32].numpy()
            blocks.append(plugin.process(block, RATE, buffer_size=32, reset=False))
        assert np.array_equal(cls(RATE)(x, u)[0, 0].numpy(), np.concatenate(blocks))


def test_bitcrush_gradient_is_the_slope_of_the_expected_squared_error():
    """E (y - x)^2 = 1 / (12 s^2), s = 2^bits: its derivative in bits, -2 ln 2 / (12 s^2), on average over noise."""
    x = 2 * torch.rand(1, 1, 200000, generator=torch.Generator().manual_seed(0), dtype=torch.float64) - 1
    for bits in (3.0, 5.5, 8.0):
        depth = torch.tensor([bits], dtype=torch.float64, requires_grad=True)
        (_effect("Bitcrush")(x, bit_depth=depth) - x).square().mean().backward()
        assert depth.grad.item() == pytest.approx(-2 * math.log(2) * 4**-bits / 12, rel=0.02)


def test_bitcrush_passes_the_audios_gradient_straight_through():
    x = music().float().requires_grad_()
    g = torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    assert torch.equal(torch.autograd.grad(_effect("Bitcrush")(x), x, g)[0], g)


def test_clipping_gradient_is_the_sign_where_it_clips():
    x = music().requires_grad_()
    db = torch.tensor([-12.0], dtype=torch.float64, requires_grad=True)
    limit = 10 ** (-12 / 20)
    gx, gdb = torch.autograd.grad(_effect("Clipping")(x, threshold_db=db), (x, db), torch.ones_like(x))
    clipped = x.abs() > limit
    assert clipped.any() and torch.equal(gx, (~clipped).double())
    torch.testing.assert_close(gdb[0], (clipped * x.sign()).sum() * limit * math.log(10) / 20)


# effects without controls


@pytest.mark.parametrize("gradient", ["autodiff", "fd", "spsa"])
def test_effects_without_controls_work_alone_and_in_moving_chains(gradient):
    x = music().float().requires_grad_()
    assert torch.equal(torch.autograd.grad(_effect("Invert", gradient=gradient)(x).sum(), x)[0], -torch.ones_like(x))
    frames = torch.rand(1, 1, 9, dtype=torch.float64)
    chain = dasp.Chain(dasp.Gain(), _effect("Invert"), gradient=gradient)
    assert torch.equal(chain(x, frames), -dasp.Gain()(x, frames))
    assert torch.equal(_effect("Invert", gradient=gradient)(x, frames[:, :0]), -x)
    assert "No controls." in find("Invert").__doc__


# mid and side


def test_mid_side_round_trip():
    """Exact for 16-bit recordings in float32; else within one rounding of the larger channel."""
    encoder, decoder = _effect("MidSideEncoder"), _effect("MidSideDecoder")
    recorded = torch.randint(-32768, 32768, (2, 2, 5000), generator=torch.Generator().manual_seed(0)).float() / 32768
    assert torch.equal(decoder(encoder(recorded)), recorded)
    for dtype in (torch.float32, torch.float64):
        x = torch.randn(2, 2, 5000, generator=torch.Generator().manual_seed(1), dtype=dtype)
        off = (decoder(encoder(x)) - x).abs()
        assert (off <= torch.finfo(dtype).eps * x.abs().amax(1, keepdim=True)).all()


def test_mid_side_is_half_sum_and_half_difference():
    left, right = music(channels=2).unbind(1)
    mid, side = _effect("MidSideEncoder")(torch.stack([left, right], 1)).unbind(1)
    assert torch.equal(mid, (left + right) / 2) and torch.equal(side, (left - right) / 2)
    mono = _effect("MidSideEncoder")(torch.stack([left, left], 1))
    assert torch.equal(mono[:, 0], left) and not mono[:, 1].any()


def test_widener_keeps_the_mid_and_scales_the_sides_energy():
    x, encode = music(), _effect("MidSideEncoder")
    for width in (0.0, 0.3, 1.0, 1.7, 2.0):
        y = _effect("StereoWidener")(x, width=width)
        (mid, side), (mid_after, side_after) = encode(x).unbind(1), encode(y).unbind(1)
        torch.testing.assert_close(mid_after, mid)
        torch.testing.assert_close(side_after, width * side, atol=1e-15, rtol=1e-12)
        energy = 2 * mid.square().sum() + 2 * width**2 * side.square().sum()
        torch.testing.assert_close(y.square().sum(), energy)
    with pytest.raises(ValueError, match=r"StereoWidener: takes 2 channels; got 1\. Use Panner"):
        _effect("StereoWidener")(x[:, :1])


# distortion


def _spectrum_db(y: torch.Tensor) -> torch.Tensor:
    """Power of each bin relative to the strongest, in dB, of the second half: the DC blocker has settled."""
    power = torch.fft.rfft(y[0, 0, len(y[0, 0]) // 2 :]).abs().square()
    return 10 * torch.log10(power / power.max() + 1e-40)


def test_overdrive_makes_even_harmonics_only_when_biased():
    x = 0.5 * _sine(400.0, seconds=2.0)
    bins = torch.arange(2, 9) * 400
    symmetric = _spectrum_db(_effect("Overdrive")(x, bias=0.0))[bins]
    assert (symmetric[::2] < -200).all() and (symmetric[1::2] > -60).all()
    biased = [_spectrum_db(_effect("Overdrive")(x, bias=b))[bins] for b in (0.1, 0.3, 0.9)]
    assert all((b[::2] > -60).all() for b in biased)
    assert biased[0][0] < biased[1][0] < biased[2][0]


@pytest.mark.parametrize("rate", [8000, 44100, 192000])
def test_overdrive_has_no_direct_component(rate):
    x = 0.5 * _sine(200.0, seconds=2.0, rate=rate)
    y = _effect("Overdrive", rate)(x, bias=0.8)[..., rate:]
    assert y.abs().max() > 0.3 and y.mean().abs() < 1e-9
    curve = torch.tanh(10 * x + 0.8)
    assert (curve - math.tanh(0.8)).mean() < -0.1  # what is blocked


def test_silence_stays_silence():
    for name in ("Overdrive", "Fuzz"):
        for dtype in (torch.float32, torch.float64):
            assert not _effect(name)(torch.zeros(1, 2, 500, dtype=dtype)).any()


def test_overdrive_is_its_formula_where_nothing_aliases():
    """Well below the sample rate the mean over a step is the curve itself at the step's middle; the filters are scipy's."""
    from scipy import signal

    rate, frequency = 192000, 100.0
    t = np.arange(rate) / rate
    y = _effect("Overdrive", rate)(0.4 * _sine(frequency, rate=rate), drive_db=12.0, bias=0.5, tone_hz=3000.0, level_db=-6.0)
    late = 0.4 * np.sin(2 * np.pi * frequency * (t - 0.5 / rate))
    late[0] = 0.0
    expected = np.tanh(10 ** (12 / 20) * late + 0.5) - np.tanh(0.5)
    for cutoff, kind in ((10.0, "highpass"), (3000.0, "lowpass")):
        expected = signal.lfilter(*signal.butter(1, cutoff, kind, fs=rate), expected)
    assert np.abs(y[0, 0].numpy() - 10 ** (-6 / 20) * expected).max() < 1e-5


def _aliases_db(y: torch.Tensor, frequency: int, below: float) -> float:
    """Power at all bins below a frequency that are no harmonics, relative to the fundamental."""
    power = torch.fft.rfft(y[0, 0]).abs().square()
    bins = torch.arange(len(power))
    return float(10 * torch.log10(power[(bins % frequency != 0) & (bins < below)].sum() / power[frequency]))


@pytest.mark.parametrize("name", ["Fuzz", "Overdrive"])
@pytest.mark.parametrize("rate", [44100, 48000, 96000])
def test_aliasing_of_5_khz_falls(name, rate):
    """The first order's reach: where it is heard, below 16 kHz, 13 dB and more; with what folds to just below fs/2, 7 dB."""
    frequency = 5003
    x = _sine(frequency, rate=rate)
    for drive in (30.0, 40.0):
        z = 10 ** (drive / 20) * x
        if name == "Fuzz":
            naive, y = z.clamp(-1, 1), _effect(name, rate)(x, drive_db=drive)
        else:
            naive = torch.tanh(z)
            y = _effect(name, rate)(torch.cat([x, x], -1), drive_db=drive, bias=0.0, tone_hz=20000.0)[..., rate:]
        for below, gain in ((16000.0, 13.0), (rate / 2, 7.0)):
            assert _aliases_db(y, frequency, below) < _aliases_db(naive, frequency, below) - gain


@pytest.mark.parametrize(("mean", "curve"), [(mean_tanh, np.tanh), (mean_clip, lambda z: np.clip(z, -1, 1))])
def test_antialiased_means_are_the_integrals_at_any_step(mean, curve):
    generator = np.random.default_rng(0)
    for exponent in range(-15, 3):
        for _ in range(4):
            middle = generator.choice([0.0, 1.0, -1.0, generator.uniform(-3, 3)])
            a, b = middle + 10.0**exponent * generator.uniform(-1, 1, 2)
            corners = [z for z in (-1.0, 1.0) if min(a, b) < z < max(a, b)]
            pieces = itertools.pairwise([min(a, b), *corners, max(a, b)])
            area = sum(integrate.quad(curve, *piece, epsabs=1e-13, epsrel=1e-12, limit=200)[0] for piece in pieces)
            expected = area / abs(b - a) if a != b else curve(a)
            ends = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (a, b)]
            found = mean(*ends)
            assert found.item() == pytest.approx(expected, abs=1e-11)
            # d/db = (f(b) - mean) / (b - a), from the mean itself where the step is long enough to divide by
            slopes = torch.autograd.grad(found, ends)
            assert all(s.isfinite() and -1e-12 <= s <= 1 for s in slopes)
            if abs(b - a) > 1e-3:
                expected_slopes = ((expected - curve(a)) / (b - a), (curve(b) - expected) / (b - a))
                assert [s.item() for s in slopes] == pytest.approx(expected_slopes, abs=1e-7)


def test_the_kernel_is_its_reference():
    """Forward and backward, at steps of any size, full scale through the steepest gain included."""
    generator = torch.Generator().manual_seed(0)
    a = 3 * torch.randn(2, 3, 4000, generator=generator, dtype=torch.float64)
    step = 10 ** (4 * torch.rand(a.shape, generator=generator, dtype=torch.float64) - 3) * a.sign()
    step[..., ::100] = 0
    g = torch.randn(a.shape, generator=generator, dtype=torch.float64)
    ends = (a.requires_grad_(), (a.detach() + step).requires_grad_())
    assert (step.abs() < 0.1).any() and (step.abs() > 5).any()
    ours, theirs = mean_tanh(*ends), mean_tanh_reference(*ends)
    torch.testing.assert_close(ours, theirs, atol=1e-13, rtol=0)
    for found, expected in zip(*(torch.autograd.grad(y, ends, g) for y in (ours, theirs)), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-11, rtol=1e-10)


@pytest.mark.parametrize("mean", [mean_tanh, mean_tanh_reference, mean_clip])
def test_antialiased_means_have_right_gradients_around_the_branch(mean):
    step = torch.tensor([0.0, 1e-12, -1e-7, 1e-3, 0.0999, -0.0999, 0.1001, -0.1001, 0.4], dtype=torch.float64)
    a = torch.linspace(-0.55, 0.5, 9, dtype=torch.float64)
    assert torch.autograd.gradcheck(mean, (a.requires_grad_(), (a.detach() + step).requires_grad_()), atol=1e-8, rtol=1e-7)
    for close in (0.1, -0.1):  # value and slope do not jump where the branches meet
        ends = [a.detach() + torch.tensor(close * f, dtype=torch.float64) for f in (1 - 1e-12, 1 + 1e-12)]
        inputs = [(a.detach().clone().requires_grad_(), b.requires_grad_()) for b in ends]
        values = [mean(*pair) for pair in inputs]
        slopes = [torch.stack(torch.autograd.grad(v.sum(), pair)) for v, pair in zip(values, inputs, strict=True)]
        torch.testing.assert_close(*values, atol=1e-11, rtol=0)
        torch.testing.assert_close(*slopes, atol=1e-10, rtol=0)


@pytest.mark.parametrize("name", ["Overdrive", "Fuzz", "Tremolo"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_any_split_into_blocks_is_the_whole_to_the_bit(name, dtype):
    effect, x = _effect(name), music(channels=2).to(dtype)
    u = draw(effect)
    whole = effect(x, u)
    generator = np.random.default_rng(0)
    for _ in range(5):
        cuts = sorted({0, x.shape[2], *generator.integers(0, x.shape[2], 12).tolist()})
        state, blocks = None, []
        for a, b in itertools.pairwise([0, *cuts]):  # the first block is empty
            block, state = effect.stream(x[..., a:b], state, u)
            blocks.append(block)
        assert torch.equal(torch.cat(blocks, -1), whole)


# Tremolo


@pytest.mark.parametrize("shape", ["sine", "triangle"])
def test_tremolo_is_the_oscillator_of_its_name(shape):
    rate, seconds, hz, depth = 8000, 3, 3.7, 0.8
    y = _effect("Tremolo", rate, shape=shape)(torch.ones(1, 2, seconds * rate, dtype=torch.float64), rate_hz=hz, depth=depth)
    turns = hz * np.arange(seconds * rate) / rate
    swing = {
        "sine": 0.5 - 0.5 * np.cos(2 * np.pi * turns),
        "triangle": 1 - np.abs(2 * (turns % 1) - 1),
    }[shape]
    assert np.abs(y.numpy() - (1 - depth * swing)).max() < 1e-8


def test_tremolo_integrates_a_moving_rate():
    rate, frames = 8000, 250
    values = torch.linspace(2.0, 11.0, frames, dtype=torch.float64)[None]
    effect, x = _effect("Tremolo", rate), torch.ones(1, 1, 32 * frames, dtype=torch.float64)
    y = effect(x, rate_hz=values, depth=1.0)
    turns = np.cumsum(np.repeat(values[0].numpy(), 32)) / rate
    expected = 0.5 + 0.5 * np.cos(2 * np.pi * np.concatenate([[0.0], turns[:-1]]))
    assert np.abs(y[0, 0].numpy() - expected).max() < 1e-8
    # Blocks with a rate of their own are one moving rate.
    state, blocks = None, []
    for k in range(0, frames, 25):
        block, state = effect.stream(x[..., 32 * k : 32 * k + 800], state, rate_hz=values[:, k : k + 25], depth=1.0)
        blocks.append(block)
    assert torch.equal(torch.cat(blocks, -1), y)


def test_tremolo_does_not_drift():
    """The phase after ten minutes, carried from block to block, is the product of rate and time."""
    from dasp.effects.tremolo import _TURN, _phase

    rate, hz, phase = 8000, 7.301, None
    for _ in range(10):
        _, phase = _phase(torch.full((1, 1, 60 * rate), hz, dtype=torch.float64), rate, phase)
    assert phase.item() / _TURN == pytest.approx((hz * 600) % 1, abs=1e-6)


def test_tremolo_with_triangle_conforms_and_refuses_other_shapes():
    assert len(check_effect(lambda rate=RATE, **kw: _effect("Tremolo", rate, shape="triangle", **kw))) == len(CHECKS) - 1
    with pytest.raises(ValueError, match="Did you mean 'triangle'"):
        _effect("Tremolo", shape="triangel")(music())
