"""Limiter and NoiseGate equal Pedalboard's to the bit; the atoms beneath them equal their references."""

import numpy as np
import pytest
import torch

from dasp.atoms.ballistics import gain_curve, gain_curve_reference
from dasp.atoms.ramp import ramp, ramp_reference
from dasp.effects import find

RATES = (44100, 48000, 96000)
RANGES = {
    "Limiter": {"threshold_db": (-40, 0), "release_ms": (1, 1000)},
    "NoiseGate": {"threshold_db": (-60, 0), "ratio": (1, 30), "attack_ms": (0.05, 200), "release_ms": (1, 1000)},
}


def _signal(kind, channels, rate, samples=6000, seed=0):
    generator = np.random.default_rng(seed)
    t = np.arange(samples) / rate
    if kind == "noise":
        x = generator.standard_normal((channels, samples)) * (0.05 + 0.5 * (t < 0.04))
    elif kind == "impulse":
        x = np.zeros((channels, samples))
        x[:, 100::1500] = 1.0
    else:
        x = np.stack([np.sin(2 * np.pi * f * t) * np.exp(-40 * t) for f in 220 * (1 + np.arange(channels))])
    return x.astype(np.float32)


def _draw(name, generator):
    return {
        key: float(generator.uniform(low, high)) if low <= 0 else float(np.exp(generator.uniform(np.log(low), np.log(high))))
        for key, (low, high) in RANGES[name].items()
    }


@pytest.mark.parametrize("name", RANGES)
@pytest.mark.parametrize("rate", RATES)
def test_equals_pedalboard_to_the_bit(name, rate, pedalboard):
    generator = np.random.default_rng(rate)
    for seed in range(12):
        values = _draw(name, generator)
        for channels in (1, 2):
            for kind in ("noise", "impulse", "burst"):
                x = _signal(kind, channels, rate, seed=seed)
                theirs = getattr(pedalboard, name)(**values)(x, rate)
                ours = find(name)(rate)(torch.from_numpy(x)[None], **values)[0].numpy()
                assert np.array_equal(ours, theirs), f"{np.sum(ours != theirs)} samples differ: {kind}, {channels}, {values}"


@pytest.mark.parametrize("name", RANGES)
@pytest.mark.parametrize("rate", [*RATES, 8000, 192000])
def test_moving_controls_equal_pedalboard_block_by_block_to_the_bit(name, rate, pedalboard):
    """Pedalboard driven by hand, new values every 32 to 288 samples, so that ramps are cut short and end."""
    generator = np.random.default_rng(rate)
    x = _signal("noise", 1, rate, 3200)
    effect = find(name)(rate)
    values = [v for held in (1, 2, 3, 5, 9) * 5 for v in [_draw(name, generator)] * held]
    plugin = getattr(pedalboard, name)(**values[0])
    blocks = []
    for k, block in enumerate(np.split(x, 100, axis=1)):
        for key, value in values[k].items():
            setattr(plugin, key, value)
        blocks.append(plugin.process(block, rate, buffer_size=32, reset=False))
    moving = {key: torch.tensor([[v[key] for v in values]], dtype=torch.float64) for key in values[0]}
    ours = effect(torch.from_numpy(x)[None], **moving)[0].numpy()
    assert np.array_equal(ours, np.concatenate(blocks, 1))


def test_streamed_blocks_with_new_controls_equal_pedalboard_to_the_bit(pedalboard):
    """The state carries a glide that has not ended: blocks shorter and longer than the ramp, a new threshold at each."""
    x, generator = _signal("noise", 2, 44100, 480), np.random.default_rng(0)
    plugin, state = pedalboard.Limiter(), None
    for block in np.split(x, np.cumsum([120, 17, 17, 5, 100, 30, 44, 45]), axis=1):  # a larger one later would reset the plugin
        values = _draw("Limiter", generator)
        for key, value in values.items():
            setattr(plugin, key, value)
        theirs = plugin.process(block, 44100, reset=False)
        ours, state = find("Limiter")().stream(torch.from_numpy(block)[None], state, **values)
        assert np.array_equal(ours[0].numpy(), theirs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_ramp_is_its_reference(dtype):
    """Targets that rest, move every sample, and change in the middle of a ramp; values to the bit, gradients of all targets."""
    generator = torch.Generator().manual_seed(0)
    held = torch.rand(2, 3, 40, generator=generator, dtype=dtype).repeat_interleave(9, 2)
    target = torch.cat([held[..., :200], held[..., 200:260:7], held[..., :1].expand(-1, -1, 60)], 2)
    weight = torch.randn(target.shape, generator=generator, dtype=dtype)
    state = torch.tensor([0.3, 0.7, 0.1, 4.0], dtype=dtype).expand(2, 3, 4)
    for length in (1, 5, 9, 23):
        results = []
        for run in (ramp, ramp_reference):
            t = target.clone().requires_grad_()
            y, after = run(t, length, state)
            results.append((y.detach(), after, torch.autograd.grad((y * weight).sum(), t)[0]))
        for ours, oracle in zip(*results, strict=True):
            tolerance = 0 if ours is results[0][0] or ours is results[0][1] else 2e-5 if dtype == torch.float32 else 1e-12
            torch.testing.assert_close(ours, oracle, rtol=0, atol=tolerance)


def test_ramp_is_a_straight_line():
    y, _ = ramp(torch.tensor([[[1.0] * 3 + [3.0] * 10]], dtype=torch.float64), 4)
    assert y.flatten().tolist() == [1, 1, 1, 1.5, 2, 2.5, 3, 3, 3, 3, 3, 3, 3]


def test_limiter_holds_full_scale():
    x = 3 * torch.randn(1, 2, 20000, generator=torch.Generator().manual_seed(0))
    for threshold in (-40.0, -10.0, 0.0):
        assert find("Limiter")()(x, threshold_db=threshold).abs().max() <= 1


@pytest.mark.parametrize("below", [False, True], ids=["compressor", "gate"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gain_curve_is_its_reference(below, dtype):
    generator = torch.Generator().manual_seed(0)
    level = torch.rand(2, 3, 300, generator=generator, dtype=dtype)
    level[..., ::50] = 0
    weight = torch.randn(level.shape, generator=generator, dtype=dtype)
    for frames in (1, 300):
        threshold = 0.2 + 0.6 * torch.rand(2, 1, frames, generator=generator, dtype=torch.float64).to(dtype).double()
        exponent = (torch.rand(2, 1, frames, generator=generator, dtype=torch.float64) - (0 if below else 1)).to(dtype).double()
        results = []
        for run in (gain_curve, gain_curve_reference):
            inputs = [t.clone().requires_grad_() for t in (level, threshold, exponent)]
            y = run(*inputs, below=below)
            results.append((y, *torch.autograd.grad((y * weight).sum(), inputs)))
        tolerance = 2e-5 if dtype == torch.float32 else 1e-12
        for ours, oracle in zip(*results, strict=True):
            torch.testing.assert_close(ours, oracle, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("curve", [gain_curve, gain_curve_reference])
def test_gate_has_finite_derivatives_where_the_power_has_none(curve):
    level = torch.tensor([[[0.0, 1e-300, 0.01, 0.1, 1.0]]], dtype=torch.float64, requires_grad=True)
    threshold, exponent = (torch.full((1, 1, 1), v, dtype=torch.float64, requires_grad=True) for v in (0.1, 0.5))
    for e, at_zero in ((exponent, 0.0), (torch.zeros_like(exponent).requires_grad_(), 1.0)):
        y = curve(level, threshold, e, below=True)
        gradients = torch.autograd.grad(y.sum(), (level, threshold, e))
        assert all(g.isfinite().all() for g in gradients) and gradients[0][..., 0] == 0 and y[..., 0] == at_zero
    y = curve(level, threshold, exponent, below=True)
    torch.testing.assert_close(y[0, 0, 1:], (level[0, 0, 1:] / 0.1).clamp(max=1) ** 0.5)
