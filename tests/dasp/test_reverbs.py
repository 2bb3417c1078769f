"""The reverbs: equal to the plugin where there is one, and each one's defining property."""

import itertools
import math

import numpy as np
import pytest
import scipy.signal
import torch

from dasp.atoms import freeverb
from dasp.atoms.network import Network, network_reference
from dasp.chain import Chain
from dasp.effects import find
from dasp.effects.convolution import Convolution, convolution
from dasp.effects.feedback_delay_network import FeedbackDelayNetwork
from dasp.effects.noise_shaped_reverb import NoiseShapedReverb
from dasp.effects.plate import Plate
from dasp.effects.reverb import Reverb
from dasp.effects.spring import Spring, stretch_of

HOP = 32


def _signal(kind: str, channels: int, rate: int, samples: int, seed: int) -> torch.Tensor:
    generator = np.random.default_rng(seed)
    if kind == "noise":
        x = 0.3 * generator.standard_normal((channels, samples))
    elif kind == "impulse":
        x = np.zeros((channels, samples))
        x[:, 100] = 1.0
    else:
        t = np.arange(samples) / rate
        x = np.stack([np.sin(2 * np.pi * f * t) * np.exp(-3 * t) for f in 220 * (1 + np.arange(channels))])
    return torch.tensor(x, dtype=torch.float32)[None]


def _noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


CASES = [
    pytest.param(rate, channels, kind, id=f"{rate}-{channels}-{kind}")
    for rate, channels, kind in itertools.product((44100, 48000, 96000), (1, 2), ("noise", "impulse", "burst"))
]


@pytest.mark.parametrize(("rate", "channels", "kind"), CASES)
def test_reverb_is_the_plugin_to_the_bit(pedalboard, rate, channels, kind):
    generator = np.random.default_rng(rate + channels)
    x = _signal(kind, channels, rate, 9000, channels)
    for _ in range(10):
        values = {q.name: float(v) for q, v in zip(Reverb.controls, generator.random(5), strict=True)}
        theirs = pedalboard.Reverb(**values)(x[0].numpy(), rate)
        assert np.abs(theirs - x[0].numpy()).max() > 1e-3
        assert np.array_equal(Reverb(rate)(x, **values)[0].numpy(), theirs)


def _by_hand(pedalboard, x: np.ndarray, values: dict[str, np.ndarray], rate: int, **settings: float) -> np.ndarray:
    """The plugin's own glide: new values every HOP samples, its state going on."""
    plugin = pedalboard.Reverb(**{k: float(v[0]) for k, v in values.items()}, **settings)
    blocks = []
    for k in range(x.shape[1] // HOP):
        for name, value in values.items():
            setattr(plugin, name, float(value[k]))
        blocks.append(plugin.process(x[:, HOP * k : HOP * (k + 1)], rate, buffer_size=HOP, reset=False))
    return np.concatenate(blocks, 1)


@pytest.mark.parametrize(("rate", "channels"), list(itertools.product((44100, 48000, 96000), (1, 2))))
def test_reverb_glides_as_the_plugin_does_to_the_bit(pedalboard, rate, channels):
    generator = torch.Generator().manual_seed(rate)
    for case in range(10):
        x = _signal(("noise", "impulse", "burst")[case % 3], channels, rate, HOP * 150, case)
        u = torch.rand(1, 5, 150, generator=generator, dtype=torch.float64)
        u[..., 40:100] = u[..., 40:41]  # long enough for the glide to arrive
        u[:, :, 120:] = u[:, :, :1] if case % 2 else u[:, :, 120:]
        effect = Reverb(rate)
        values = {k: v[0].numpy() for k, v in effect.physical(u).items()}
        ours = effect(x, u)[0].numpy()
        assert np.array_equal(ours, _by_hand(pedalboard, x[0].numpy(), values, rate))
        assert np.array_equal(ours, Reverb(rate, gradient="fd")(x, u)[0].numpy())


@pytest.mark.parametrize("moving", [False, True])
def test_reverb_in_blocks_is_the_whole_to_the_bit(moving):
    x, effect = _signal("noise", 2, 44100, HOP * 100, 0), Reverb()
    u = torch.rand(1, 5, 100, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    u = u if moving else u[..., 0]
    whole, state, blocks = effect(x, u), None, []
    for a, b in itertools.pairwise((0, 1, 7, 7, 30, 100)):
        part = u if not moving else u[..., a:b] if b > a else u[..., a]
        block, state = effect.stream(x[..., HOP * a : HOP * b], state, part)
        blocks.append(block)
    assert torch.equal(torch.cat(blocks, -1), whole)


def test_reverb_glides_between_blocks_of_different_settings_as_the_plugin_does(pedalboard):
    x, effect = _signal("noise", 2, 44100, 4096, 0), Reverb()
    plugin = pedalboard.Reverb(room_size=0.2, wet_level=0.9)
    first = plugin.process(x[0, :, :2048].numpy(), 44100, reset=False)
    plugin.room_size, plugin.wet_level, plugin.freeze_mode = 0.8, 0.4, 1.0
    second = plugin.process(x[0, :, 2048:].numpy(), 44100, reset=False)
    a, state = effect.stream(x[..., :2048], None, room_size=0.2, wet_level=0.9)
    b, _ = Reverb(freeze_mode=1.0).stream(x[..., 2048:], state, room_size=0.8, wet_level=0.4)
    assert np.array_equal(a[0].numpy(), first)
    assert np.array_equal(b[0].numpy(), second)


def test_a_frozen_room_is_the_plugins_and_ignores_its_size(pedalboard):
    x = _signal("noise", 2, 44100, 5000, 0)
    effect = Reverb(freeze_mode=1.0)
    for kind in ("autodiff", "fd"):
        frozen = Reverb(freeze_mode=1.0, gradient=kind)(x, room_size=0.9)
        assert np.array_equal(frozen[0].numpy(), pedalboard.Reverb(room_size=0.9, freeze_mode=1.0)(x[0].numpy(), 44100))
    torch.testing.assert_close(effect(x), x * 0.8)
    room = torch.tensor([0.5], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.grad(effect(x, room_size=room).square().sum(), room)[0] == 0


@pytest.mark.parametrize("frames", [1, 700])
@pytest.mark.parametrize("sides", [1, 2])
def test_freeverbs_kernel_is_its_reference(frames, sides):
    feed, lengths = _noise(2, 1, frames if frames > 1 else 700), freeverb.line_lengths(8000, sides)
    f, d = (0.3 + 0.5 * torch.rand(2, frames, dtype=torch.float64) for _ in range(2))
    state = 0.1 * _noise(2, sum(lengths) + len(freeverb.COMBS) * sides, seed=1)
    inputs = [t.requires_grad_() for t in (feed, f, d)]
    out = [run(*inputs, *rest) for run, rest in _ways(state, lengths)]
    torch.testing.assert_close(out[0], out[1], rtol=1e-12, atol=1e-12)
    g = _noise(*out[0][0].shape, seed=2)
    for ours, reference in zip(*(torch.autograd.grad(y, inputs, g) for y, _ in out), strict=True):
        assert reference.abs().max() > 1e-3
        torch.testing.assert_close(ours, reference, rtol=1e-9, atol=1e-12)


def _ways(state, lengths):
    return (freeverb._Freeverb.apply, (state, lengths)), (freeverb.freeverb_reference, (lengths, state))


def test_every_frame_of_a_reverb_has_a_gradient():
    u = torch.rand(1, 5, 40, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    Reverb()(_signal("noise", 2, 44100, 40 * 128, 0), u).square().sum().backward()
    # A comb's first echo comes after 1116 samples, so feedback that came later cannot be heard yet.
    assert (u.grad[0, 2:] != 0).all() and (u.grad[0, :2, :20] != 0).all()


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
    net, x = _everything(), _noise(2, 2, 600)
    low = torch.tensor([3.3, 4.2, 0.2, -0.6, 0.3, 0.3, 0.2], dtype=torch.float64)[:, None]
    high = torch.tensor([17.7, 29.4, 0.4, 0.6, 0.6, 0.6, 0.4], dtype=torch.float64)[:, None]
    params = low + (high - low) * torch.rand(2, 7, frames, dtype=torch.float64)
    inputs = [t.requires_grad_() for t in (x, params)]
    state = 0.1 * _noise(2, sum(net.sizes), seed=1)
    ours, reference = net.run(*inputs, state), network_reference(*inputs, state, net)
    torch.testing.assert_close(ours, reference, rtol=1e-11, atol=1e-11)
    g = _noise(*ours[0].shape, seed=2)
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
    x[..., :1000] = _noise(2, 1000).float().sign()
    for u in (corners, torch.stack([corners, corners.flip(0)] * 15, -1)):
        y = effect(x, u)
        assert y.isfinite().all() and y.abs().amax() < 100
        early, late = (part.double().square().sum((1, 2)) for part in (y[..., :10000], y[..., -10000:]))
        assert (late < early).all()


def _snr_db(ours: np.ndarray, theirs: np.ndarray) -> float:
    error = np.square(ours.astype(float) - theirs).sum()
    return 10 * np.log10(np.square(theirs.astype(float)).sum() / max(error, 1e-300))


def _response(generator: np.random.Generator, samples: int) -> np.ndarray:
    h = generator.standard_normal((generator.integers(1, 3), samples)) * np.exp(-np.arange(samples) / (0.2 * samples))
    return (generator.uniform(0.01, 3) * h).astype(np.float32)


@pytest.mark.parametrize(("rate", "channels", "kind"), CASES)
def test_convolution_is_the_plugin(pedalboard, rate, channels, kind):
    generator = np.random.default_rng(rate + channels)
    x = _signal(kind, channels, rate, 6000, channels)
    for case in range(10):
        h, mix = _response(generator, int(10 ** generator.uniform(0.5, 4.5))), float(generator.random())
        ir_rate = (None, 48000, 22050)[case % 3]
        effect = Convolution(rate, impulse_response=h, impulse_response_rate=ir_rate)
        theirs = pedalboard.Convolution(h, mix=mix, sample_rate=ir_rate or rate)(x[0].numpy(), rate)
        assert _snr_db(effect(x, mix=mix)[0].detach().numpy(), theirs) > (120 if ir_rate in (None, rate) else 110)


@pytest.mark.parametrize("channels", [1, 2])
def test_convolution_glides_as_the_plugin_does(pedalboard, channels):
    h = _response(np.random.default_rng(1), 700)
    x = _signal("noise", channels, 44100, HOP * 200, 0)
    u = torch.rand(1, 1, 200, dtype=torch.float64)
    u[..., 40:140] = u[..., 40:41]
    plugin, blocks = pedalboard.Convolution(h, mix=float(u[0, 0, 0]), sample_rate=44100), []
    for k in range(200):
        plugin.mix = float(u[0, 0, k])
        blocks.append(plugin.process(x[0, :, HOP * k : HOP * (k + 1)].numpy(), 44100, buffer_size=HOP, reset=False))
    for strategy in ("autodiff", "fd"):
        ours = Convolution(impulse_response=h, gradient=strategy)(x, u)[0].detach().numpy()
        assert _snr_db(ours, np.concatenate(blocks, 1)) > 120


def test_convolution_in_blocks_is_the_whole():
    x, effect = _signal("noise", 2, 44100, 5000, 0), Convolution(learnable=False)
    assert not list(effect.parameters())
    state, blocks = None, []
    for a, b in itertools.pairwise((0, 1, 1, 900, 5000)):
        y, state = effect.stream(x[..., a:b], state, mix=0.4)
        blocks.append(y)
    assert torch.equal(torch.cat(blocks, -1), effect(x, mix=0.4))


@pytest.mark.parametrize("normalise", [False, True])
def test_the_impulse_response_has_the_true_gradient(normalise):
    x = _noise(2, 2, 300)
    h = _noise(2, 50, seed=1).requires_grad_()

    def loss(h: torch.Tensor) -> torch.Tensor:
        return convolution(x, mix=0.7, impulse_response=h.expand(2, -1, -1), normalise=normalise)

    assert torch.autograd.gradcheck(loss, (h,), fast_mode=True)
    effect = Convolution(impulse_response=h.detach(), normalise=normalise)
    (effect(x, mix=0.7) ** 2).sum().backward()
    torch.testing.assert_close(effect.impulse_response.grad, torch.autograd.grad((loss(h) ** 2).sum(), h)[0])


def test_an_impulse_response_is_learnt_through_the_plugin():
    target = Convolution(impulse_response=_noise(1, 40, seed=3).float(), learnable=False)
    effect = Chain(Convolution(impulse_response=_noise(1, 40, seed=4).float()), gradient="fd")
    x = _noise(1, 1, 2000).float()
    goal = target(x, mix=1.0)
    optimiser = torch.optim.Adam(effect.parameters(), lr=0.15)
    losses = []
    for _ in range(40):
        optimiser.zero_grad()
        loss = (effect(x, mix=1.0) - goal).square().mean()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 1e-2 * losses[0]


def test_convolution_refuses_what_it_cannot_do():
    with pytest.raises(ValueError, match=r"Convolution: impulse_response must be .*got torch.float32 of \(3, 10\)"):
        Convolution(impulse_response=torch.zeros(3, 10))
    with pytest.raises(ValueError, match="normalise=False"):
        Convolution(normalise=False, gradient="fd")(torch.ones(1, 1, 100))
    for u in (torch.rand(1, 1), torch.rand(1, 1, 4)):  # two samples of two channels: a square
        short = Convolution(impulse_response=torch.ones(2, 2), gradient="fd")(torch.ones(1, 2, 100), u)
        assert torch.allclose(short, Convolution(impulse_response=torch.ones(2, 2))(torch.ones(1, 2, 100), u), atol=1e-6)
    silent = Convolution(impulse_response=np.zeros(10, np.float32))(torch.ones(1, 1, 100))
    assert silent.abs().max() == 0
    assert Convolution(gradient="fd")(torch.zeros(1, 2, 0)).shape == (1, 2, 0)  # an empty array kills the plugin


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
    x = _noise(1, 1, 4000)
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
    x = _noise(1, 2, 7800)
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
    x = _noise(1, 2, 6000).requires_grad_()
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
    effect, x = find(name)(22050), _noise(2, 2, HOP * 300).to(dtype)
    moving = torch.rand(2, len(effect.controls), 300, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for u in (moving[..., 0], moving):
        whole, state, blocks = effect(x, u), None, []
        for a, b in itertools.pairwise((0, 1, 1, 70, 300)):
            part = u if u.ndim == 2 else u[..., a:b] if b > a else u[..., a]
            y, state = effect.stream(x[..., HOP * a : HOP * b], state, part)
            blocks.append(y)
        assert torch.equal(torch.cat(blocks, -1), whole)


def test_shaped_noise_in_blocks_is_the_whole_to_the_bit():
    effect, x = NoiseShapedReverb(), _signal("noise", 2, 44100, 9000, 0)
    state, blocks = None, []
    for a, b in itertools.pairwise((0, 1, 1, 4000, 9000)):
        y, state = effect.stream(x[..., a:b], state)
        blocks.append(y)
    assert torch.equal(torch.cat(blocks, -1), effect(x))
