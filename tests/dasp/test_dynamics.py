"""Dynamics: equal to Pedalboard to the bit where it has the effect; curves of the literature and published defects elsewhere."""

import numpy as np
import pytest
import torch

import dasp
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
        assert dasp.effects.find("Limiter")()(x, threshold_db=threshold).abs().max() <= 1
