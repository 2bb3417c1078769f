"""Reverbs of our own: each one's defining property, and the atom beneath them."""

import itertools
import math

import numpy as np
import pytest
import scipy.signal
import torch
from sounds import sound, white

from dasp.atoms.network import Network, network_reference
from dasp.effects import find
from dasp.effects.feedback_delay_network import FeedbackDelayNetwork
from dasp.effects.noise_shaped_reverb import NoiseShapedReverb
from dasp.effects.plate import Plate
from dasp.effects.spring import Spring, stretch_of

HOP = 32


def _everything() -> Network:
    """A network with each instruction, in loops that do not blow up."""
    net = Network()
    a, b, c, loop = net.line(20), net.line(31), net.line(7), net.line(11)
    left, right = net.input(0), net.input(1)
    echo = net.sum(net.slide(a, 0), net.diff(net.step(b, 1), net.tap(loop, 11)))
    spread = net.all_pass(net.scaled(left, echo, 2), c, 5, 3)
    dark = net.one_pole(spread, 4, 5)
    net.write(a, net.scaled(right, dark, 6))
    net.write(b, net.diff(spread, left))
    net.write(loop, net.scaled(0, dark, 2))
    net.output(0, dark)
    net.output(1, net.sum(echo, right))
    return net


@pytest.mark.parametrize("frames", [1, 600])
def test_the_network_kernel_is_its_reference(frames):
    net, x = _everything(), white(2, 2, 600)
    low = torch.tensor([3.3, 4.2, 0.2, -0.6, 0.3, 0.3, 0.2], dtype=torch.float64)[:, None]
    high = torch.tensor([17.7, 29.4, 0.4, 0.6, 0.6, 0.6, 0.4], dtype=torch.float64)[:, None]
    params = low + (high - low) * torch.rand(2, 7, frames, dtype=torch.float64)
    inputs = [t.requires_grad_() for t in (x, params)]
    state = 0.1 * white(2, sum(net.sizes), seed=1)
    ours, reference = net.run(*inputs, state), network_reference(*inputs, state, net)
    torch.testing.assert_close(ours, reference, rtol=1e-11, atol=1e-11)
    g = white(*ours[0].shape, seed=2)
    grads = [torch.autograd.grad(y, inputs, g) for y, _ in (ours, reference)]
    for a, b in zip(*grads, strict=True):
        assert (b != 0).all(1).any()
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)
    single = net.run(x.detach().float(), params, state.float())[0]
    torch.testing.assert_close(single.double(), ours[0].detach(), rtol=1e-4, atol=1e-5)
    blocks, memory = [], state
    for a, b in itertools.pairwise((0, 1, 1, 250, 600)):
        y, memory = net.run(x[..., a:b], params if frames == 1 else params[..., a:b], memory)
        blocks.append(y)
    assert torch.equal(torch.cat(blocks, -1), ours[0])


def _decay_s(h: np.ndarray, rate: int, low_hz: float, high_hz: float) -> float:
    """RT60 of a band by Schroeder's backward integration, -5 to -35 dB."""
    band = scipy.signal.sosfilt(scipy.signal.butter(4, (low_hz, high_hz), "bandpass", fs=rate, output="sos"), h)
    left = np.cumsum(band[::-1] ** 2)[::-1]
    level = 10 * np.log10(left / left[0])
    n = np.flatnonzero((level < -5) & (level > -35))
    return -60 / np.polyfit(n / rate, level[n], 1)[0]


@pytest.mark.parametrize("rate", [8000, 44100, 96000])
@pytest.mark.parametrize("lines", [8, 16])
@pytest.mark.parametrize(("low", "high", "size"), [(1.5, 0.7, 1.0), (3.0, 0.3, 0.5), (0.5, 2.0, 2.0)])
def test_a_feedback_delay_networks_decay_is_the_set_one(rate, lines, low, high, size):
    effect = FeedbackDelayNetwork(rate, lines=lines)
    impulse = torch.zeros(1, 1, int(1.2 * rate * max(low, high)), dtype=torch.float64)
    impulse[..., 0] = 1

    def response(crossover: float) -> np.ndarray:
        settings = {"decay_low_s": low, "decay_high_s": high, "size": size, "crossover_frequency_hz": crossover}
        return effect(impulse, mix=1.0, **settings)[0, 0].numpy()

    assert _decay_s(response(2500.0), rate, 60, 240) == pytest.approx(low, rel=0.1)
    assert _decay_s(response(400.0), rate, 2500, 3600) == pytest.approx(high, rel=0.1)


@pytest.mark.parametrize("name", ["FeedbackDelayNetwork", "Plate", "Spring"])
def test_a_network_falls_silent_at_every_corner(name):
    """The longest decays, and controls that jump between their ends: what stays is less than what was."""
    effect = find(name)(8000)
    corners = torch.tensor(list(itertools.product((0.0, 1.0), repeat=len(effect.controls))), dtype=torch.float64)
    x = torch.zeros(len(corners), 2, 30000)
    x[..., :1000] = white(2, 1000).float().sign()
    for u in (corners, torch.stack([corners, corners.flip(0)] * 15, -1)):
        y = effect(x, u)
        assert y.isfinite().all() and y.abs().amax() < 100
        early, late = (part.double().square().sum((1, 2)) for part in (y[..., :10000], y[..., -10000:]))
        assert (late < early).all()


@pytest.mark.parametrize("rate", [8000, 44100])
def test_each_band_of_shaped_noise_has_its_decay_and_level(rate):
    effect, band = NoiseShapedReverb(rate), 8  # 632 to 1125 Hz
    impulse = torch.zeros(1, 1, 2 * rate, dtype=torch.float64)
    impulse[..., 0] = 1
    others = {f"band{b}_gain_db": -40.0 for b in range(1, 13) if b != band}
    others |= {f"band{b}_decay_s": 0.1 for b in range(1, 13) if b != band}
    for decay in (0.2, 0.6, 1.5):
        h = effect(impulse, mix=1.0, band8_decay_s=decay, **others)[0, 0].numpy()
        assert _decay_s(h, rate, 650, 1100) == pytest.approx(decay, rel=0.1)
    louder = effect(impulse, mix=1.0, band8_decay_s=1.5, band8_gain_db=12.0, **others)[0, 0].numpy()
    tail = slice(rate // 5, None)  # where the other bands are 160 dB down
    np.testing.assert_allclose(louder[tail], h[tail] * 10 ** (12 / 20), atol=1e-6 * np.abs(h).max())


def test_shaped_noise_is_white_at_rest_and_one_room_at_every_rate():
    responses = []
    for rate in (22050, 44100):
        impulse = torch.zeros(1, 2, rate, dtype=torch.float64)
        impulse[:, :, 0] = 1
        spectrum = torch.fft.rfft(NoiseShapedReverb(rate)(impulse, mix=1.0)[0])[:, 100:8000]
        responses.append(spectrum)
        parts = spectrum.abs().square().unflatten(1, (-1, 395)).mean(-1)
        assert 10 * math.log10(parts.mean()) == pytest.approx(0, abs=0.5)  # decaying in a second, as loud as the input
        assert (10 * torch.log10(parts)).std() < 1.0
    a, b = responses
    assert (a - b).abs().square().sum() < 1e-3 * a.abs().square().sum()
    correlation = (a[0] * a[1].conj()).sum().abs() / (a[0].norm() * a[1].norm())
    assert correlation < 0.05  # each channel its own noise


def test_another_seed_is_another_room_and_bands_above_nyquist_have_no_gradient():
    x = white(1, 1, 4000)
    assert not torch.allclose(NoiseShapedReverb(seed=0)(x), NoiseShapedReverb(seed=1)(x))
    effect = NoiseShapedReverb(8000)
    u = torch.full((1, 25), 0.5, dtype=torch.float64, requires_grad=True)
    effect(x, u).square().sum().backward()
    assert (u.grad[0, :10] != 0).all() and (u.grad[0, 10:12] == 0).all()


def _lattice(x: np.ndarray, length: int, g: float) -> tuple[np.ndarray, np.ndarray]:
    """All-pass by scipy: its line's content and its output."""
    a = np.r_[1, np.zeros(length - 1), g]
    return scipy.signal.lfilter([1.0], a, x), scipy.signal.lfilter(a[::-1], a, x)


def _late(x: np.ndarray, samples: int) -> np.ndarray:
    return np.r_[np.zeros(samples), x[: len(x) - samples]]


def test_a_plate_is_the_published_one_until_its_loop_closes():
    """At the published rate, from scipy's filters in a row: what comes round is first heard after 4217 + 3163 + 353 samples."""
    x = white(1, 2, 7800)
    band, decay, damp, g = 0.6, 0.45, 0.3, 0.7
    settings = {"bandwidth": band, "decay": decay, "damping": damp, "input_diffusion": g}
    y = Plate(29761)(x, mix=1.0, pre_delay_ms=1000 * 100 / 29761, **settings)[0].numpy()
    fed = scipy.signal.lfilter([band], [1, band - 1], _late(x[0].mean(0).numpy(), 100))
    for length, diffusion in ((142, g), (107, g), (379, g / 0.75 * 0.625), (277, g / 0.75 * 0.625)):
        fed = _lattice(fed, length, diffusion)[1]
    nodes = []
    for entry, long, exit_ in ((672, 4453, 1800), (908, 4217, 2656)):
        first = _lattice(fed, entry, -0.7)[1]
        damped = scipy.signal.lfilter([1 - damp], [1, -damp], _late(first, long))
        nodes.append((first, *_lattice(decay * damped, exit_, 0.5)))
    (a, b, c), (d, e, f) = nodes
    left = _late(d, 266) + _late(d, 2974) - _late(e, 1913) + _late(f, 1996) - _late(a, 1990) - _late(b, 187) - _late(c, 1066)
    right = _late(a, 353) + _late(a, 3627) - _late(b, 1228) + _late(c, 2673) - _late(d, 2111) - _late(e, 335) - _late(f, 121)
    assert np.abs(b).max() > 0.1 and np.abs(e).max() > 0.1
    np.testing.assert_allclose(y, 0.6 * np.stack([left, right]), atol=1e-10)


@pytest.mark.parametrize("rate", [8000, 44100, 96000])
@pytest.mark.parametrize("decay", [0.3, 0.5, 0.7])
def test_a_plates_decay_follows_its_loop(rate, decay):
    """Around the figure of eight, 21589 published samples, four gains."""
    impulse = torch.zeros(1, 2, 4 * rate, dtype=torch.float64)
    impulse[..., 0] = 1
    left, right = Plate(rate)(impulse, mix=1.0, decay=decay, damping=1e-4)[0].numpy()
    expected = 60 / (-80 * math.log10(decay)) * 21589 / 29761
    assert _decay_s(left, rate, 100, 3500) == pytest.approx(expected, rel=0.15)
    assert abs(np.corrcoef(left, right)[0, 1]) < 0.02


def test_a_plates_gradients_are_right_where_the_loop_has_closed():
    """At 8 kHz, where what came round is heard within the signal."""
    x = white(1, 2, 6000).requires_grad_()
    for frames in (1, 6):
        u = (0.05 + 0.3 * torch.rand(1, 6, frames, dtype=torch.float64)).requires_grad_()
        assert torch.autograd.gradcheck(Plate(8000), (x, u), fast_mode=True, atol=1e-4, rtol=1e-3)
        gradient = torch.autograd.grad(Plate(8000)(x, u).square().sum(), u)[0]
        assert (gradient != 0).all()


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 96000])
@pytest.mark.parametrize(("feedback", "a"), [(0.0, 0.62), (0.6, 0.4)])
def test_a_spring_is_its_closed_form(rate, feedback, a):
    impulse = torch.zeros(1, 1, 2 * rate, dtype=torch.float64)
    impulse[..., 0] = 1
    delay = round(0.03 * rate)
    h = Spring(rate)(impulse, mix=1.0, feedback=feedback, dispersion=a, delay_ms=1000 * delay / rate)[0, 0].numpy()
    w, k = 2 * np.pi * np.fft.rfftfreq(len(h)), stretch_of(rate)
    low = scipy.signal.sosfreqz(scipy.signal.butter(8, 0.95 / k, output="sos"), w)[1]
    z = np.exp(-1j * w)
    once = z**delay * ((a + z**k) / (1 + a * z**k)) ** 80
    np.testing.assert_allclose(np.fft.rfft(h), low * once / (1 + feedback * once), atol=1e-6)


@pytest.mark.parametrize("rate", [44100, 96000])
def test_a_springs_echo_chirps_up_to_the_transition_frequency(rate):
    """Where the energy of a band arrives: ever later with frequency, as late as the all-passes' group delay says."""
    impulse = torch.zeros(1, 1, rate, dtype=torch.float64)
    impulse[..., 0] = 1
    k, a, delay = stretch_of(rate), 0.62, 0.02
    h = Spring(rate)(impulse, mix=1.0, feedback=0.0, dispersion=a, delay_ms=1000 * delay)[0, 0].numpy()
    t, arrivals, expected = np.arange(rate) / rate, [], []
    for f in (300, 1000, 1700, 2400, 3000, 3500):
        band = scipy.signal.firwin(rate // 100 | 1, (f - 150, f + 150), fs=rate, pass_zero=False)
        energy = scipy.signal.fftconvolve(h, band)[: len(t)] ** 2
        arrivals.append((t * energy).sum() / energy.sum() - (len(band) // 2) / rate)
        expected.append(delay + 80 * k / rate * (1 - a * a) / (1 + 2 * a * np.cos(2 * np.pi * f * k / rate) + a * a))
    assert (np.diff(arrivals) > 0).all() and arrivals[-1] > arrivals[0] + 0.005
    np.testing.assert_allclose(arrivals, expected, rtol=0.1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", ["FeedbackDelayNetwork", "Plate", "Spring"])
def test_a_network_in_blocks_is_the_whole_to_the_bit(name, dtype):
    effect, x = find(name)(22050), white(2, 2, HOP * 300).to(dtype)
    moving = torch.rand(2, len(effect.controls), 300, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for u in (moving[..., 0], moving):
        whole, state, blocks = effect(x, u), None, []
        for a, b in itertools.pairwise((0, 1, 1, 70, 300)):
            part = u if u.ndim == 2 else u[..., a:b] if b > a else u[..., a]
            y, state = effect.stream(x[..., HOP * a : HOP * b], state, part)
            blocks.append(y)
        assert torch.equal(torch.cat(blocks, -1), whole)


def test_shaped_noise_in_blocks_is_the_whole_to_the_bit():
    effect, x = NoiseShapedReverb(), sound("noise", 2, 44100, 9000, 0)
    state, blocks = None, []
    for a, b in itertools.pairwise((0, 1, 1, 4000, 9000)):
        y, state = effect.stream(x[..., a:b], state)
        blocks.append(y)
    assert torch.equal(torch.cat(blocks, -1), effect(x))
