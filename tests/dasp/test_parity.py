"""White box = Pedalboard over random controls: 44.1 and 48 kHz, mono and stereo, noise, impulse and decaying burst."""

import numpy as np
import pytest
import torch

from dasp import effects as _effects
from dasp.effects import registry

pedalboard = pytest.importorskip("pedalboard", reason="the real plugins are an extra")

SAMPLES = 20000
DRAWS = 8
PLUGINS = [name for name, cls in registry().items() if cls.plugin is not None]


def _signal(kind: str, channels: int, rate: int, seed: int) -> torch.Tensor:
    generator = np.random.default_rng(seed)
    if kind == "noise":
        x = 0.3 * generator.standard_normal((channels, SAMPLES))
    elif kind == "impulse":
        x = np.zeros((channels, SAMPLES))
        x[:, 100] = 1.0
    else:
        t = np.arange(SAMPLES) / rate
        x = np.stack([np.sin(2 * np.pi * f * t) * np.exp(-3 * t) for f in 220 * (1 + np.arange(channels))])
    return torch.tensor(x, dtype=torch.float32)[None]


def _snr(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    error = ((ours.double() - theirs.double()) ** 2).sum()
    return float(10 * torch.log10((theirs.double() ** 2).sum().clamp_min(1e-300) / error.clamp_min(1e-300)))


@pytest.mark.parametrize("name", PLUGINS)
@pytest.mark.parametrize("rate", [44100, 48000])
@pytest.mark.parametrize("channels", [1, 2])
def test_white_box_is_the_plugin(name, rate, channels):
    cls = _effects.find(name)
    white, black = cls(rate), cls(rate, gradient="fd")
    generator = torch.Generator().manual_seed(rate + channels)
    for index in range(DRAWS):
        u = torch.rand(1, len(cls.controls), generator=generator, dtype=torch.float64)
        settings = {k: float(v) for k, v in white.physical(u).items()}
        cutoffs = [v for k, v in settings.items() if k.endswith("_hz")]
        floor = 110 if min(cutoffs, default=1e3) > 300 else 80
        for kind in ("noise", "impulse", "burst"):
            x = _signal(kind, channels, rate, index)
            theirs = black(x, u)
            if theirs.abs().max() == 0:
                continue
            snr = _snr(white(x, u), theirs)
            assert snr >= floor, f"{name} at {rate} Hz on {kind}: {snr:.1f} dB with {settings}"


@pytest.mark.parametrize("name", [n for n in PLUGINS if isinstance(_effects.find(n).plugin, str)])
def test_black_box_is_pedalboard_called_by_hand(name):
    """The door itself is checked: values typed in physical units arrive unrounded in the plugin."""
    cls = _effects.find(name)
    x = _signal("noise", 2, 44100, 0)
    settings = {q.name: q.low + 0.37 * (q.high - q.low) for q in cls.controls}
    by_hand = getattr(pedalboard, cls.plugin)(**settings)(x[0].numpy(), 44100)
    assert np.array_equal(cls(gradient="spsa")(x, **settings)[0].numpy(), by_hand)


def test_typed_values_equal_pedalboards_documented_call():
    from dasp import Compressor

    x = _signal("noise", 2, 44100, 1)
    by_hand = pedalboard.Compressor(threshold_db=-24.0, ratio=4.0, attack_ms=1.0, release_ms=100.0)(x[0].numpy(), 44100)
    ours = Compressor()(x, threshold_db=-24.0, ratio=4.0, attack_ms=1.0, release_ms=100.0)
    assert _snr(ours[0], torch.from_numpy(by_hand)) >= 110


def test_moving_controls_are_block_rendering_with_the_plugin():
    """Independent of our own block renderer: Pedalboard by hand, new values every 32 samples."""
    from dasp import Compressor

    x = _signal("noise", 1, 44100, 2)[..., :3200]
    u = torch.rand(1, 4, 100, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    effect = Compressor()
    values = {k: v[0] for k, v in effect.physical(u).items()}
    plugin = pedalboard.Compressor(**{k: float(v[0]) for k, v in values.items()})
    blocks = []
    for k in range(100):
        for name, value in values.items():
            setattr(plugin, name, float(value[k]))
        blocks.append(plugin.process(x[0, 0, 32 * k : 32 * k + 32].numpy(), 44100, buffer_size=32, reset=False))
    assert _snr(effect(x, u)[0, 0], torch.from_numpy(np.concatenate(blocks))) >= 110
