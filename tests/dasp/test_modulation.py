"""Chorus, Phaser and Flanger and what is beneath them: Pedalboard to the bit, references, exact adjoints, closed forms."""

import itertools

import numpy as np
import pytest
import torch
from sounds import sound

import dasp.atoms.allpass_cascade
import dasp.atoms.delay_line
import dasp.atoms.lfo
from dasp.atoms.allpass_cascade import allpass_cascade, allpass_cascade_reference
from dasp.atoms.lfo import lfo, lfo_phase_reference
from dasp.effects import find
from dasp.testing import derivatives, music

F64 = torch.float64


def _draws(name, count, seed):
    cls = find(name)
    u = torch.rand(count, len(cls.controls), generator=torch.Generator().manual_seed(seed), dtype=F64)
    return [{q.name: float(q.to_physical(v)) for q, v in zip(cls.controls, row, strict=True)} for row in u]


def _by_hand(pedalboard, name, values, rate, channels):
    """A plugin that has seen the sample rate before its attributes are set: a fresh Phaser takes 44.1 kHz for granted."""
    plugin = getattr(pedalboard, name)()
    plugin.process(np.zeros((channels, channels + 1), np.float32), rate)
    for attribute, value in values.items():
        setattr(plugin, attribute, value)
    plugin.reset()
    return plugin


@pytest.mark.parametrize("name", ["Chorus", "Phaser"])
@pytest.mark.parametrize("rate", [44100, 48000, 96000])
@pytest.mark.parametrize("channels", [1, 2])
def test_is_pedalboards_to_the_bit(name, rate, channels, pedalboard):
    for index, values in enumerate(_draws(name, 10, rate + channels)):
        for kind in ("noise", "impulse", "burst"):
            x = sound(kind, channels, rate, 9000, seed=index)
            theirs = getattr(pedalboard, name)(**values)(x[0].numpy(), rate)
            assert np.array_equal(find(name)(rate)(x, **values)[0].numpy(), theirs), (kind, values)


@pytest.mark.parametrize("name", ["Chorus", "Phaser"])
@pytest.mark.parametrize("rate", [8000, 16000, 22050, 32000, 192000])
def test_is_pedalboards_at_other_rates(name, rate, pedalboard):
    for index, values in enumerate(_draws(name, 4, rate)):
        x = sound("noise", 2, rate, 9000, seed=index)
        theirs = _by_hand(pedalboard, name, values, rate, 2).process(x[0].numpy(), rate)
        assert np.array_equal(find(name)(rate)(x, **values)[0].numpy(), theirs), values
        assert np.array_equal(find(name)(rate, gradient="fd")(x, **values)[0].numpy(), theirs), values


def test_fresh_phaser_below_41_khz_has_another_centre(pedalboard):
    """The quirk that `plugin_needs_rate` avoids is there: without it this option would not be needed."""
    x = sound("noise", 1, 22050, 9000)
    fresh = pedalboard.Phaser(centre_frequency_hz=1000.0)(x[0].numpy(), 22050)
    assert np.abs(find("Phaser")(22050)(x, centre_frequency_hz=1000.0)[0].numpy() - fresh).max() > 0.05


@pytest.mark.parametrize("name", ["Chorus", "Phaser"])
@pytest.mark.parametrize("frames", [3, 100, 281, 1000])
def test_moving_controls_are_the_plugin_block_by_block(name, frames):
    u = torch.rand(2, 5, frames, generator=torch.Generator().manual_seed(frames), dtype=F64)
    for rate in (44100, 16000):
        for channels in (1, 2):
            x = torch.cat([sound("noise", channels, rate, 9000), sound("burst", channels, rate, 9000)])
            assert torch.equal(find(name)(rate)(x, u), find(name)(rate, gradient="fd")(x, u))


@pytest.mark.parametrize("name", ["Chorus", "Phaser"])
def test_streaming_with_new_values_is_the_plugin_streamed(name, pedalboard):
    """New values every 250 samples: each ramp is cut short; and then a rest in which the last ramp ends."""
    draws = _draws(name, 5, 0)
    x = sound("noise", 2, 44100, 9000)
    plugin, effect = _by_hand(pedalboard, name, draws[0], 44100, 2), find(name)()
    state = None
    for index, (a, b) in enumerate(itertools.pairwise((0, 250, 500, 750, 1000, 9000))):
        for attribute, value in draws[index].items():
            setattr(plugin, attribute, value)
        theirs = plugin.process(x[0, :, a:b].numpy(), 44100, buffer_size=250, reset=False)
        ours, state = effect.stream(x[..., a:b], state, **draws[index])
        assert np.array_equal(ours[0].numpy(), theirs), index


@pytest.mark.parametrize("name", ["Chorus", "Phaser", "Flanger"])
@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_streams_to_the_bit(name, dtype):
    x = sound("noise", 2, 44100, 9000).to(dtype)
    effect, state, blocks = find(name)(), None, []
    values = {**_draws(name, 1, 1)[0], "rate_hz": 3.0, "feedback": 0.5}
    for a, b in itertools.pairwise((0, 1, 2, 4, 5, 32, 33, 5000, 9000)):
        y, state = effect.stream(x[..., a:b], state, **values)
        blocks.append(y)
    assert torch.equal(torch.cat(blocks, -1), effect(x, **values))


@pytest.mark.parametrize("moving", [False, True])
def test_cascade_kernel_is_its_reference_and_its_gradient_exact(moving):
    generator = torch.Generator().manual_seed(0)
    frames = 80 if moving else 1
    x, state = (torch.randn(2, 2, n, generator=generator, dtype=F64) for n in (80, 7))
    c, f = (low + wide * torch.rand(2, 1, frames, generator=generator, dtype=F64) for low, wide in ((0.05, 0.6), (-0.8, 1.6)))
    weight = torch.randn(x.shape, generator=generator, dtype=F64)
    results = []
    for run in (lambda x, c, f: allpass_cascade(x, c, f, 6, state), lambda x, c, f: allpass_cascade_reference(x, c, f, state)):
        inputs = [t.clone().requires_grad_() for t in (x, c, f)]
        y, after = run(*inputs)
        results.append((y, after, *torch.autograd.grad((y * weight).sum(), inputs)))
    for ours, reference in zip(*results, strict=True):
        torch.testing.assert_close(ours, reference, rtol=1e-11, atol=1e-12)
    inputs = [t.requires_grad_() for t in (x, c, f)]
    assert torch.autograd.gradcheck(lambda x, c, f: allpass_cascade(x, c, f, 6, state)[0], inputs)
    single = allpass_cascade(x.detach().float(), c, f, 6, state.float())[0]
    assert torch.equal(single, allpass_cascade_reference(x.detach().float(), c, f, state.float())[0])


def test_cascade_gradient_across_blocks_of_the_backward_pass():
    """Longer than the blocks in which states are recomputed: the gradient of the whole is that of the reference's tail."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(1, 1, 9000, generator=generator, dtype=F64, requires_grad=True)
    c, f = (torch.full((1, 1, 1), v, dtype=F64, requires_grad=True) for v in (0.01, 0.5))
    y, _ = allpass_cascade(x, c, f, 6)
    eps = 1e-6
    for p, (one, other) in ((c, ((c + eps, f), (c - eps, f))), (f, ((c, f + eps), (c, f - eps)))):
        (ours,) = torch.autograd.grad((y * x.detach().flip(-1)).sum(), p, retain_graph=True)
        difference = ((allpass_cascade(x, *one, 6)[0] - allpass_cascade(x, *other, 6)[0]) * x.flip(-1)).sum() / (2 * eps)
        torch.testing.assert_close(ours.sum(), difference.detach(), rtol=1e-6, atol=0)


def test_oscillator_is_the_reference_and_its_derivative_that_of_the_true_phase():
    rate = torch.tensor([0.7, 12.0], dtype=F64).reshape(2, 1, 1).requires_grad_()
    ours, after = lfo(rate, 44100, 9000, torch.float32)
    step = rate.detach().float() * torch.tensor(2 * np.pi, dtype=torch.float32).div(44100)
    phase, end = lfo_phase_reference(step, torch.zeros(2, 1, 1), 9000)
    assert torch.equal(after, end)
    angle = (phase - torch.tensor(np.pi, dtype=torch.float32)).double()
    np.testing.assert_allclose(ours.detach(), torch.sin(angle), rtol=0, atol=2**-24)
    (slope,) = torch.autograd.grad(ours[0, 0, 8000], rate)
    np.testing.assert_allclose(slope[0, 0, 0], torch.cos(angle[0, 0, 8000]) * 2 * np.pi * 8000 / 44100, rtol=1e-6)
    exact, _ = lfo(rate, 44100, 9000, F64)
    t = torch.arange(9000, dtype=F64) / 44100
    torch.testing.assert_close(exact, torch.sin(2 * np.pi * rate * t - np.pi), rtol=0, atol=1e-9)


def test_without_kernels(monkeypatch):
    x = music(seconds=0.005).float()
    results = []
    for switch in (True, False):
        results.append([find(name)()(x, rate_hz=9.0, feedback=0.4) for name in ("Chorus", "Phaser")])
        for module in (dasp.atoms.allpass_cascade, dasp.atoms.delay_line, dasp.atoms.lfo):
            monkeypatch.setattr(module, "native", lambda _, switch=switch: not switch)
    for ours, plain in zip(*results, strict=True):
        assert torch.equal(ours, plain)


def test_phaser_has_the_notches_of_six_all_passes_beside_the_dry_signal():
    """Depth 0: the phase of a stage is 2 atan(tan(w / 2) / tan(wc / 2)); dry and wet sum to cos of half of all six."""
    rate, centre, size = 44100, 1000.0, 1 << 15
    x = torch.zeros(1, 1, size, dtype=F64)
    x[..., 0] = 1
    response = torch.fft.rfft(find("Phaser")(rate)(x, depth=0.0, centre_frequency_hz=centre, mix=0.5)[0, 0]).abs()
    warped = torch.tan(torch.pi * torch.arange(size // 2, dtype=F64) / size) / np.tan(np.pi * centre / rate)
    expected = torch.cos(6 * torch.atan(warped)).abs()
    assert (expected < 1e-2).sum() > 3  # there are notches
    torch.testing.assert_close(response[:-1], expected, rtol=0, atol=1e-9)


def test_chorus_of_a_tone_sways_its_pitch_as_the_delay_moves():
    """y = sin(w (t - d(t))): the wet phase against the closed form of the delay."""
    t = torch.arange(44100, dtype=F64) / 44100
    tone = torch.sin(2 * np.pi * 500 * t)[None, None]
    y = find("Chorus")()(tone, rate_hz=2.0, depth=0.4, centre_delay_ms=12.0, feedback=0.0, mix=1.0)[0, 0]
    d = 1e-3 * (12 + 4 * torch.sin(2 * np.pi * 2 * t - np.pi))
    torch.testing.assert_close(y[2000:], torch.sin(2 * np.pi * 500 * (t - d))[2000:], rtol=0, atol=1e-3)


def test_flanger_of_a_tone_is_the_tone_at_the_swinging_delay():
    """Against the closed form of the delay, through zero at depth 1; linear interpolation's own error at 500 Hz is below 7e-4."""
    t = torch.arange(22050, dtype=F64) / 44100
    tone = torch.sin(2 * np.pi * 500 * t)[None, None]
    y = find("Flanger")()(tone, rate_hz=3.0, depth=1.0, centre_delay_ms=2.0, feedback=0.0, mix=1.0)[0, 0]
    d = 1e-3 * 2 * (1 + torch.sin(2 * np.pi * 3 * t - np.pi))
    torch.testing.assert_close(y[200:], torch.sin(2 * np.pi * 500 * (t - d))[200:], rtol=0, atol=7e-4)


@pytest.mark.parametrize("feedback", [0.0, 0.7, -0.7])
def test_flanger_at_rest_is_a_comb(feedback):
    """Depth 0 and whole samples: dry plus z^-d / (1 + F z^-(d + 1)), the feedback one sample late."""
    size, delay = 1 << 14, 96
    x = torch.zeros(1, 1, size, dtype=F64)
    x[..., 0] = 1
    y = find("Flanger")(48000)(x, depth=0.0, centre_delay_ms=delay / 48, feedback=feedback, mix=0.5)[0, 0]
    z = torch.exp(-2j * torch.pi * torch.arange(size // 2 + 1, dtype=F64) / size)
    expected = 0.5 + 0.5 * z**delay / (1 + feedback * z ** (delay + 1))
    torch.testing.assert_close(torch.fft.rfft(y), expected, rtol=0, atol=1e-8)


def test_a_wrong_derivative_fails_at_both_steps_of_the_conformance_check_and_a_kink_within_one_does_not():
    def twice(u):
        return 2 * u - u.detach()

    u = torch.tensor([0.3], dtype=F64, requires_grad=True)
    kink = u.detach() + 1e-7  # within the longer step only
    for step, kinked in ((1e-6, False), (1e-8, True)):
        assert not derivatives._agrees(twice, (u,), step, raise_exception=False)
        assert derivatives._agrees(lambda u: (u - kink).abs(), (u,), step, raise_exception=False) is kinked
