"""Delay, PingPongDelay, Comb, Allpass and the delay line beneath them: Pedalboard to the bit, closed forms, exact adjoints."""

import itertools

import numpy as np
import pytest
import torch
from scipy.signal import lfilter
from sounds import sound

import dasp.atoms.delay_line as atom
from dasp.atoms.delay_line import delay_line, delay_line_reference, line_state
from dasp.effects.allpass import Allpass
from dasp.effects.comb import Comb
from dasp.effects.delay import Delay, delay
from dasp.effects.ping_pong_delay import PingPongDelay
from dasp.testing import CHECKS, check_effect, music

F64 = torch.float64
READS = [{"late": late, "thiran": thiran} for late, thiran in ((False, False), (True, False), (False, True))]


def _line_case(moving, seed=0, samples=150, memory=40):
    """Delays 0.1 samples or more from whole and half ones, where reads have kinks; two items, stereo, lines with content."""
    generator = torch.Generator().manual_seed(seed)

    def rand(*shape):
        return torch.rand(*shape, generator=generator, dtype=F64)

    frames = samples if moving else 1
    x = rand(2, 2, samples) - 0.5
    d = torch.floor(2 + 30 * rand(2, 1, frames)) + 0.1 + 0.3 * rand(2, 1, frames)
    f = 1.6 * rand(2, 1, frames) - 0.8
    return x, d, f, rand(2, 2, memory + 2) - 0.5


@pytest.mark.parametrize("read", READS, ids=str)
@pytest.mark.parametrize("moving", [False, True])
def test_kernel_is_the_reference_forward_and_gradient(read, moving):
    x, d, f, state = _line_case(moving)
    weight = torch.randn(x.shape, generator=torch.Generator().manual_seed(1), dtype=F64)
    results = []
    for run in (delay_line, delay_line_reference):
        inputs = [t.clone().requires_grad_() for t in (x, d, f)]
        y, after = run(*inputs, state, **read)
        results.append((y, after, *torch.autograd.grad((y * weight).sum(), inputs)))
    for ours, reference in zip(*results, strict=True):
        torch.testing.assert_close(ours, reference, rtol=1e-11, atol=1e-12)
    single, _ = delay_line(x.float(), d, f, state.float(), **read)
    reference, _ = delay_line_reference(x.float(), d, f, state.float(), **read)
    assert torch.equal(single, reference)


@pytest.mark.parametrize("read", READS, ids=str)
@pytest.mark.parametrize("moving", [False, True])
def test_line_gradient_is_exact_away_from_kinks(read, moving):
    x, d, f, state = _line_case(moving, seed=3, samples=60)
    inputs = [t.requires_grad_() for t in (x, d, f)]
    assert torch.autograd.gradcheck(lambda x, d, f: delay_line(x, d, f, state, **read)[0], inputs)


@pytest.mark.parametrize("read", READS, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_line_in_blocks_is_the_whole(read, dtype):
    x, d, f, _ = _line_case(True, seed=4, samples=400)
    x = x.to(dtype)
    whole, _ = delay_line(x, d, f, **read)
    state, blocks = line_state(x, 40), []
    for a, b in itertools.pairwise((0, 1, 2, 39, 200, 400)):
        y, state = delay_line(x[..., a:b], d[..., a:b], f[..., a:b], state, **read)
        blocks.append(y)
    assert torch.equal(torch.cat(blocks, -1), whole)


def test_line_without_kernels(monkeypatch):
    monkeypatch.setattr(atom, "native", lambda _: False)
    x = music(seconds=0.02)
    plain = Delay(interpolation="linear")(x, delay_seconds=0.0051, feedback=0.5)
    monkeypatch.undo()
    torch.testing.assert_close(plain, Delay(interpolation="linear")(x, delay_seconds=0.0051, feedback=0.5), rtol=0, atol=1e-15)


@pytest.mark.parametrize("rate", [8000, 44100, 48000, 96000])
@pytest.mark.parametrize("channels", [1, 2])
def test_delay_is_pedalboards_to_the_bit(rate, channels, pedalboard):
    generator = np.random.default_rng(rate + channels)
    for index in range(10):
        values = {
            "delay_seconds": float(10 ** generator.uniform(-3, -0.8)),
            "feedback": float(generator.uniform(0, 0.95)),
            "mix": float(generator.uniform(0, 1)),
        }
        for kind in ("noise", "impulse", "burst"):
            x = sound(kind, channels, rate, 12000, seed=index)
            theirs = pedalboard.Delay(**values)(x[0].numpy(), rate)
            assert np.array_equal(Delay(rate)(x, **values)[0].numpy(), theirs), (kind, values)


@pytest.mark.parametrize("seconds", [0.0, 1e-5, 0.29, 5.0])
def test_delay_of_nothing_of_less_than_a_sample_and_the_rounding_of_float32(seconds, pedalboard):
    """0.29 s at 44.1 kHz are 12788 samples, not 12789; and 5 s outlast the table's range."""
    x = sound("noise", 2, 44100, samples=230000 if seconds > 1 else 14000)
    theirs = pedalboard.Delay(seconds, feedback=0.4, mix=0.7)(x[0].numpy(), 44100)
    for dtype, tolerance in ((torch.float32, 0), (F64, 1e-6)):
        ours = delay(x.to(dtype), delay_seconds=seconds, feedback=0.4, mix=0.7)[0].numpy()
        assert np.abs(ours - theirs).max() <= tolerance


@pytest.mark.parametrize("frames", [5, 100, 281, 700])
def test_moving_delay_is_the_plugin_block_by_block(frames):
    u = torch.rand(2, 3, frames, generator=torch.Generator().manual_seed(frames), dtype=F64) * torch.tensor([0.6, 1, 1])[:, None]
    x = torch.cat([sound("noise", 2, 44100, 9000), sound("burst", 2, 44100, 9000)])
    assert torch.equal(Delay()(x, u), Delay(gradient="fd")(x, u))


def test_delay_streams_to_the_bit():
    x = sound("noise", 2, 44100, 12000)
    for options in ({}, {"interpolation": "linear"}):
        effect, state, blocks = Delay(**options), None, []
        values = {"delay_seconds": 0.0123, "feedback": 0.7, "mix": 0.4}
        for a, b in itertools.pairwise((0, 1, 2, 32, 5000, 12000)):
            y, state = effect.stream(x[..., a:b], state, **values)
            blocks.append(y)
        assert torch.equal(torch.cat(blocks, -1), effect(x, **values)), options


CONFORMS = [c for c in CHECKS if c.__name__ != "check_blackbox"]  # there is no plugin with fractional delays


@pytest.mark.parametrize("check", CONFORMS, ids=lambda c: c.__name__.removeprefix("check_"))
def test_fractional_delay_conforms(check):
    check(lambda rate=44100, **keywords: Delay(rate, interpolation="linear", **keywords))


def test_fractional_delay_has_the_true_gradient_and_whole_samples_a_surrogate_near_it():
    """A tone through the line: sin(w (n - d)), whose derivative in d is -w cos(w (n - d)), up to linear interpolation's droop."""
    w = 2 * np.pi * 200
    t = torch.arange(4000, dtype=F64) / 44100
    seconds = torch.tensor([0.0101], dtype=F64, requires_grad=True)
    for interpolation in ("linear", "none"):
        y = Delay(interpolation=interpolation)(torch.sin(w * t)[None, None], delay_seconds=seconds, mix=1.0)[0, 0]
        weight = torch.cos(w * (t - 0.0101)) * (t > 0.02)
        (slope,) = torch.autograd.grad((y * weight).sum(), seconds)
        np.testing.assert_allclose(slope[0], -w * (weight**2).sum(), rtol=2e-3)


def test_gliding_delay_has_no_clicks():
    """A delay that glides bends a slow tone's pitch; whole samples step. The second difference shows steps."""
    t = torch.arange(20000, dtype=F64) / 44100
    x = torch.sin(2 * np.pi * 100 * t)[None, None]
    seconds = torch.tensor([[0.010, 0.012]], dtype=F64)

    def roughness(interpolation):
        return Delay(interpolation=interpolation)(x, delay_seconds=seconds, mix=1.0)[..., 2000:].diff().diff().abs().max()

    assert roughness("linear") < 0.2 * roughness("none")


def test_delay_says_what_it_cannot():
    x = music().float()
    with pytest.raises(ValueError, match=r"Delay: .*white box alone"):
        Delay(interpolation="linear", gradient="fd")(x)
    with pytest.raises(ValueError, match=r"Delay: interpolation is one of none, linear; got 'liner'. Did you mean 'linear'"):
        Delay(interpolation="liner")(x)
    with pytest.raises(ValueError, match=r"delay_line: feedback must be \(1, 1, 1 or 4410\)"):
        delay_line(x, torch.ones(1, 1, 1), torch.zeros(2, 1, 1))


def _ping_pong_by_hand(x, d, feedback, mix):
    """Two whole-sample lines that feed each other, sample by sample, from a mono feed."""
    left, right, feed = np.zeros(x.shape[1]), np.zeros(x.shape[1]), x.mean(0)
    out = np.zeros((2, x.shape[1]))
    for n in range(x.shape[1]):
        if n >= d:
            out[:, n] = left[n - d], right[n - d]
        left[n], right[n] = feed[n] + feedback * out[1, n], feedback * out[0, n]
    return (1 - mix) * x + mix * out


def test_ping_pong_is_two_lines_that_feed_each_other():
    x = music(channels=2, seconds=0.05)
    y = PingPongDelay()(x, delay_seconds=300 / 44100, feedback=0.8, mix=0.4)
    np.testing.assert_allclose(y[0], _ping_pong_by_hand(x[0].numpy(), 300, 0.8, 0.4), rtol=0, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_ping_pong_bounces_an_impulse(dtype):
    x = torch.zeros(1, 1, 2000, dtype=dtype)
    x[..., 0] = 1
    left, right = PingPongDelay(48000)(x, delay_seconds=240 / 48000, feedback=0.5, mix=1.0)[0]
    expected = torch.zeros(2, 2000, dtype=dtype)
    for echo in range(8):
        expected[echo % 2, 240 * (echo + 1)] = 0.5**echo
    torch.testing.assert_close(torch.stack([left, right]), expected, rtol=0, atol=1e-9 if dtype == F64 else 1e-6)
    mono, dual = (PingPongDelay()(t, delay_seconds=0.004) for t in (x, x.expand(-1, 2, -1)))
    assert torch.equal(mono, dual)


@pytest.mark.parametrize("make", [PingPongDelay, Comb, Allpass], ids=lambda c: c.__name__)
@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_new_delays_stream_to_the_bit(make, dtype):
    """A new delay every 300 samples, which glides and lands; the blocks in between are of any size."""
    x = music(channels=2, seconds=0.03).to(dtype)
    delay, *_ = make.controls
    outputs = []
    for size in (300, 100, 7):
        cuts = sorted({*range(0, x.shape[2], size), *range(0, x.shape[2], 300), x.shape[2]})
        effect, state, blocks = make(), None, []
        for a, b in itertools.pairwise(cuts):
            y, state = effect.stream(x[..., a:b], state, **{delay.name: delay.default * (0.01 + 0.003 * (a // 300))})
            blocks.append(y)
        outputs.append(torch.cat(blocks, -1))
    assert torch.equal(outputs[0], outputs[1]) and torch.equal(outputs[0], outputs[2])


@pytest.mark.parametrize(("kind", "gain"), [("feedback", 0.8), ("feedback", -0.8), ("feedforward", 0.8), ("feedforward", -1.0)])
@pytest.mark.parametrize("samples", [60, 60.3])
def test_comb_has_the_response_of_its_equation(kind, gain, samples):
    size = 1 << 15
    x = torch.zeros(1, 1, size, dtype=F64)
    x[..., 0] = 1
    response = torch.fft.rfft(Comb(48000, kind=kind)(x, delay_ms=samples / 48, gain=gain)[0, 0])
    w = 2 * torch.pi * torch.arange(size // 2 + 1, dtype=F64) / size
    whole, rest = int(samples), samples - int(samples)
    echo = torch.exp(-1j * w * whole) * (1 - rest + rest * torch.exp(-1j * w))
    torch.testing.assert_close(response, 1 / (1 - gain * echo) if kind == "feedback" else 1 + gain * echo, rtol=0, atol=1e-8)


def test_comb_and_allpass_are_scipys_filters():
    x = music(seconds=0.05)
    a, b = np.zeros(101), np.zeros(101)
    a[0], a[100], b[0], b[100] = 1, -0.6, -0.6, 1
    y = Comb(48000)(x, delay_ms=100 / 48, gain=0.6)
    np.testing.assert_allclose(y, lfilter([1.0], a, x.numpy()), rtol=0, atol=1e-9)
    y = Allpass(48000)(x, delay_ms=100 / 48, gain=0.6)
    np.testing.assert_allclose(y, lfilter(b, a, x.numpy()), rtol=0, atol=1e-9)


@pytest.mark.parametrize("samples", [40, 40.26, 40.5, 41.49])
@pytest.mark.parametrize("gain", [0.7, -0.4])
def test_allpass_is_flat_at_every_delay(samples, gain):
    """Also between samples, and its echoes come when they should: the low-frequency group delay is d (1 + g) / (1 - g)."""
    size = 1 << 14
    x = torch.zeros(1, 1, size, dtype=F64)
    x[..., 0] = 1
    y = Allpass(44100)(x, delay_ms=samples / 44.1, gain=gain)[0, 0]
    spectrum = torch.fft.rfft(y)
    torch.testing.assert_close(spectrum.abs(), torch.ones_like(spectrum.abs()), rtol=0, atol=1e-9)
    delay_at_dc = (y * torch.arange(size, dtype=F64)).sum() / y.sum()
    np.testing.assert_allclose(delay_at_dc, samples * (1 + gain) / (1 - gain), rtol=1e-9)


def test_feedforward_comb_conforms():
    check_effect(lambda rate=44100, **keywords: Comb(rate, kind="feedforward", **keywords))


@pytest.mark.parametrize("seconds", [0.0030, 0.0047])
def test_delays_are_found_by_descent(seconds):
    """What a true gradient is for: a fractional delay is found from nearby, to a hundredth of a sample."""
    w = 2 * torch.pi * 150 / 44100
    x = torch.sin(w * torch.arange(3000, dtype=F64))[None, None]
    target = Delay(interpolation="linear")(x, delay_seconds=seconds, mix=1.0)
    guess = torch.tensor([seconds * 1.2], dtype=F64, requires_grad=True)
    optimizer = torch.optim.LBFGS([guess], lr=1.0, max_iter=60, line_search_fn="strong_wolfe", tolerance_change=1e-15)

    def closure():
        optimizer.zero_grad()
        loss = (Delay(interpolation="linear")(x, delay_seconds=guess, mix=1.0) - target).square().mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    assert abs(float(guess.detach()) - seconds) * 44100 < 0.01
