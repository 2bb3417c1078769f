"""Reverb and Convolution: equal to the plugin, and what they learn."""

import itertools

import numpy as np
import pytest
import torch
from sounds import sound, white

from dasp.atoms import freeverb, freeverb_mix
from dasp.chain import Chain
from dasp.effects.convolution import Convolution, convolution
from dasp.effects.reverb import Reverb

HOP = 32


CASES = [
    pytest.param(rate, channels, kind, id=f"{rate}-{channels}-{kind}")
    for rate, channels, kind in itertools.product((44100, 48000, 96000), (1, 2), ("noise", "impulse", "burst"))
]


@pytest.mark.parametrize(("rate", "channels", "kind"), CASES)
def test_reverb_is_the_plugin_to_the_bit(pedalboard, rate, channels, kind):
    generator = np.random.default_rng(rate + channels)
    x = sound(kind, channels, rate, 9000, channels)
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
        x = sound(("noise", "impulse", "burst")[case % 3], channels, rate, HOP * 150, case)
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
    x, effect = sound("noise", 2, 44100, HOP * 100, 0), Reverb()
    u = torch.rand(1, 5, 100, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    u = u if moving else u[..., 0]
    whole, state, blocks = effect(x, u), None, []
    for a, b in itertools.pairwise((0, 1, 7, 7, 30, 100)):
        part = u if not moving else u[..., a:b] if b > a else u[..., a]
        block, state = effect.stream(x[..., HOP * a : HOP * b], state, part)
        blocks.append(block)
    assert torch.equal(torch.cat(blocks, -1), whole)


def test_reverb_glides_between_blocks_of_different_settings_as_the_plugin_does(pedalboard):
    x, effect = sound("noise", 2, 44100, 4096, 0), Reverb()
    plugin = pedalboard.Reverb(room_size=0.2, wet_level=0.9)
    first = plugin.process(x[0, :, :2048].numpy(), 44100, reset=False)
    plugin.room_size, plugin.wet_level, plugin.freeze_mode = 0.8, 0.4, 1.0
    second = plugin.process(x[0, :, 2048:].numpy(), 44100, reset=False)
    a, state = effect.stream(x[..., :2048], None, room_size=0.2, wet_level=0.9)
    b, _ = Reverb(freeze_mode=1.0).stream(x[..., 2048:], state, room_size=0.8, wet_level=0.4)
    assert np.array_equal(a[0].numpy(), first)
    assert np.array_equal(b[0].numpy(), second)


def test_a_frozen_room_is_the_plugins_and_ignores_its_size(pedalboard):
    x = sound("noise", 2, 44100, 5000, 0)
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
    # At 8000 Hz some lines are shorter than the kernel's longest block.
    feed, lengths = white(2, 1, 700), freeverb.line_lengths(8000, sides)
    f, d = (0.3 + 0.5 * torch.rand(2, frames, dtype=torch.float64) for _ in range(2))
    state = 0.1 * white(2, freeverb.state_size(lengths), seed=1)
    inputs = [t.requires_grad_() for t in (feed, f, d)]
    out = [run(*inputs, *rest) for run, rest in _ways(state, lengths)]
    torch.testing.assert_close(out[0], out[1], rtol=1e-12, atol=1e-12)
    g = white(*out[0][0].shape, seed=2)
    for ours, reference in zip(*(torch.autograd.grad(y, inputs, g) for y, _ in out), strict=True):
        assert reference.abs().max() > 1e-3
        torch.testing.assert_close(ours, reference, rtol=1e-9, atol=1e-12)


def _ways(state, lengths):
    return (freeverb._Freeverb.apply, (state, lengths)), (freeverb.freeverb_reference, (lengths, state))


def test_the_gradient_holds_over_the_segments_of_a_long_sound():
    """The kernel recomputes its states 16384 samples at a time; the reference would take minutes."""
    lengths, samples = freeverb.line_lengths(44100, 2), 40000
    feed, g = white(1, 1, samples), white(1, 2, samples, seed=1)
    silence = feed.new_zeros(1, freeverb.state_size(lengths))

    def along(f: float, d: float) -> float:
        controls = (torch.full((1, 1), v, dtype=torch.float64) for v in (f, d))
        return (freeverb._forward(feed.detach(), *controls, silence, lengths)[0] * g).sum().item()

    inputs = [feed.requires_grad_(), *(torch.full((1, 1), v, dtype=torch.float64, requires_grad=True) for v in (0.8, 0.3))]
    y = freeverb._Freeverb.apply(*inputs, silence, lengths)[0]
    to_feed, to_f, to_d = torch.autograd.grad(y, inputs, g)
    torch.testing.assert_close((to_feed * feed).sum(), (y * g).sum(), rtol=1e-11, atol=0)  # linear in its feed
    e = 1e-5
    assert to_f.item() == pytest.approx((along(0.8 + e, 0.3) - along(0.8 - e, 0.3)) / (2 * e), rel=1e-6)
    assert to_d.item() == pytest.approx((along(0.8, 0.3 + e) - along(0.8, 0.3 - e)) / (2 * e), rel=1e-6)


@pytest.fixture(params=[1, 2])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("batch", "channels", "samples", "varying"), [(1, 2, 20000, False), (3, 1, 900, True), (2, 2, 333, True)]
)
def test_the_mix_in_one_pass_is_the_parts_one_after_the_other(threads, dtype, batch, channels, samples, varying):
    x = white(batch, channels, samples).to(dtype).requires_grad_()
    controls = torch.rand(batch, 5, samples if varying else 1, generator=torch.Generator().manual_seed(1)).double()
    controls = (controls * torch.tensor([0.9, 0.4, 1, 1, 1])[:, None]).float().double().requires_grad_()
    state = 0.1 * white(batch, freeverb.state_size(freeverb.line_lengths(8000, channels)), seed=2).to(dtype)
    y, after = freeverb_mix.freeverb_mix(x, controls, 8000, state)
    parts, parts_after = freeverb_mix.freeverb_mix_reference(x, controls, 8000, state)
    assert torch.equal(y, parts)
    assert torch.equal(after, parts_after)
    with torch.no_grad():
        assert torch.equal(freeverb_mix.freeverb_mix(x, controls, 8000, state)[0], y)
    g = white(*y.shape, seed=3).to(dtype)
    tolerance = 1e-6 if dtype == torch.float32 else 1e-12
    for ours, theirs in zip(torch.autograd.grad(y, (x, controls), g), torch.autograd.grad(parts, (x, controls), g), strict=True):
        for a, b in zip(ours.double().unbind(1), theirs.double().unbind(1), strict=True):
            assert b.norm() > 1e-3 or channels == 1
            assert (a - b).norm() <= tolerance * b.norm()


def test_the_mix_has_its_gradient_where_none_was_in_sight():
    """vmap inside of grad: whether a gradient will be asked for cannot be seen from within."""
    x = white(3, 1, 2, 300)
    controls = torch.tensor([0.8, 0.2, 0.5, 0.3, 0.7], dtype=torch.float64).reshape(1, 5, 1)

    def loss(controls: torch.Tensor) -> torch.Tensor:
        return torch.vmap(lambda x: freeverb_mix.freeverb_mix(x, controls, 8000)[0])(x).square().sum()

    leaf = controls.clone().requires_grad_()
    sum(freeverb_mix.freeverb_mix(v, leaf, 8000)[0].square().sum() for v in x).backward()
    torch.testing.assert_close(torch.func.grad(loss)(controls), leaf.grad)


def test_a_rate_at_which_a_line_would_be_empty_is_refused():
    with pytest.raises(ValueError, match="sample_rate must be at least 196 Hz; got 195"):
        Reverb(195)(white(1, 1, 10))
    assert Reverb(196)(white(1, 1, 10)).shape == (1, 1, 10)


def test_every_frame_of_a_reverb_has_a_gradient():
    u = torch.rand(1, 5, 40, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    Reverb()(sound("noise", 2, 44100, 40 * 128, 0), u).square().sum().backward()
    # A comb's first echo comes after 1116 samples, so feedback that came later cannot be heard yet.
    assert (u.grad[0, 2:] != 0).all() and (u.grad[0, :2, :20] != 0).all()


def _snr_db(ours: np.ndarray, theirs: np.ndarray) -> float:
    error = np.square(ours.astype(float) - theirs).sum()
    return 10 * np.log10(np.square(theirs.astype(float)).sum() / max(error, 1e-300))


def _response(generator: np.random.Generator, samples: int) -> np.ndarray:
    h = generator.standard_normal((generator.integers(1, 3), samples)) * np.exp(-np.arange(samples) / (0.2 * samples))
    return (generator.uniform(0.01, 3) * h).astype(np.float32)


@pytest.mark.parametrize(("rate", "channels", "kind"), CASES)
def test_convolution_is_the_plugin(pedalboard, rate, channels, kind):
    generator = np.random.default_rng(rate + channels)
    x = sound(kind, channels, rate, 6000, channels)
    for case in range(10):
        h, mix = _response(generator, int(10 ** generator.uniform(0.5, 4.5))), float(generator.random())
        ir_rate = (None, 48000, 22050)[case % 3]
        effect = Convolution(rate, impulse_response=h, impulse_response_rate=ir_rate)
        theirs = pedalboard.Convolution(h, mix=mix, sample_rate=ir_rate or rate)(x[0].numpy(), rate)
        assert _snr_db(effect(x, mix=mix)[0].detach().numpy(), theirs) > (120 if ir_rate in (None, rate) else 110)


@pytest.mark.parametrize("channels", [1, 2])
def test_convolution_glides_as_the_plugin_does(pedalboard, channels):
    h = _response(np.random.default_rng(1), 700)
    x = sound("noise", channels, 44100, HOP * 200, 0)
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
    x, effect = sound("noise", 2, 44100, 5000, 0), Convolution(learnable=False)
    assert not list(effect.parameters())
    state, blocks = None, []
    for a, b in itertools.pairwise((0, 1, 1, 900, 5000)):
        y, state = effect.stream(x[..., a:b], state, mix=0.4)
        blocks.append(y)
    assert torch.equal(torch.cat(blocks, -1), effect(x, mix=0.4))


@pytest.mark.parametrize("normalise", [False, True])
def test_the_impulse_response_has_the_true_gradient(normalise):
    x = white(2, 2, 300)
    h = white(2, 50, seed=1).requires_grad_()

    def loss(h: torch.Tensor) -> torch.Tensor:
        return convolution(x, mix=0.7, impulse_response=h.expand(2, -1, -1), normalise=normalise)

    assert torch.autograd.gradcheck(loss, (h,), fast_mode=True)
    effect = Convolution(impulse_response=h.detach(), normalise=normalise)
    (effect(x, mix=0.7) ** 2).sum().backward()
    torch.testing.assert_close(effect.impulse_response.grad, torch.autograd.grad((loss(h) ** 2).sum(), h)[0])


def test_an_impulse_response_is_learnt_through_the_plugin():
    target = Convolution(impulse_response=white(1, 40, seed=3).float(), learnable=False)
    effect = Chain(Convolution(impulse_response=white(1, 40, seed=4).float()), gradient="fd")
    x = white(1, 1, 2000).float()
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
