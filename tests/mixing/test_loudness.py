"""Integrated loudness beside the standard and pyloudnorm."""

import math

import pyloudnorm
import pytest
import torch

from mixing.loudness import LoudnessMeter, integrated_loudness


def test_loudness_of_a_tone_is_the_standards():
    """BS.1770-4: a 0 dBFS 997 Hz sine in one channel reads -3.01 LUFS."""
    tone = torch.sin(2 * math.pi * 997 * torch.arange(96000, dtype=torch.float64) / 48000)[None]
    assert math.isclose(integrated_loudness(tone, 48000), -3.01, abs_tol=0.01)
    assert integrated_loudness(0 * tone, 48000) == -math.inf
    assert integrated_loudness(tone[:, :1000], 48000) == -math.inf


@pytest.mark.parametrize("seconds", [0.4, 0.449, 0.451, 0.76, 3.07, 40.0])
@pytest.mark.parametrize(("rate", "channels"), [(44100, 2), (22050, 1)])
def test_loudness_in_parts_is_pyloudnorms(seconds, rate, channels):
    """Loud, quiet and silent stretches; parts shorter and longer than a gating block, and empty ones."""
    generator = torch.Generator().manual_seed(round(seconds * 1000) + channels)
    x = torch.randn(channels, math.ceil(seconds * rate), generator=generator) * torch.tensor([0.3, 0.1])[:channels, None]
    third = x.shape[1] // 3
    x[:, third : 2 * third] *= 0.003
    x[:, -third // 4 :] = 0
    expected = pyloudnorm.Meter(rate, filter_class="DeMan").integrated_loudness(x.double().T.numpy())
    assert math.isfinite(expected)
    assert math.isclose(integrated_loudness(x, rate), expected, abs_tol=1e-10)
    for size in (1000, rate // 2, 7 * rate + 3):
        meter = LoudnessMeter(rate)
        for part in x.split(size, 1):
            meter.add(part)
            meter.add(part[:, :0])
        assert math.isclose(meter.integrated(), expected, abs_tol=1e-10)


def test_loudness_is_known_at_any_time():
    """Asking changes nothing: the meter goes on as if it had not been asked."""
    x = torch.randn(2, 30000, generator=torch.Generator().manual_seed(0))
    meter = LoudnessMeter(22050)
    meter.add(x[:, :17000])
    assert math.isclose(meter.integrated(), integrated_loudness(x[:, :17000], 22050), abs_tol=1e-12)
    meter.add(x[:, 17000:])
    assert math.isclose(meter.integrated(), integrated_loudness(x, 22050), abs_tol=1e-12)
    assert integrated_loudness(iter(x.split(5000, 1)), 22050) == meter.integrated()
