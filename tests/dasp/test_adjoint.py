"""The audio's gradient through linear time-invariant plugins, by the plugin itself on the time-reversed cotangent."""

import pytest
import torch

from dasp import SPSA, Chain, Convolution, FiniteDifference
from dasp.effects import registry
from dasp.testing import draw, music

LINEAR = [
    "ParametricEQ", "LowShelfFilter", "HighShelfFilter", "PeakFilter", "HighpassFilter", "LowpassFilter", "Delay", "Reverb",
    "Convolution", "Gain", "Invert",
]  # fmt: skip
OTHERS = ["Compressor", "Distortion", "Chorus", "Limiter", "Clipping"]


def audio_gradient(effect, u, width=2):
    x = music(channels=width, seconds=0.15).float().requires_grad_()
    y = effect(x, u)
    return torch.autograd.grad(y, x, torch.randn(y.shape, generator=torch.Generator().manual_seed(0)))[0]


@pytest.mark.parametrize("strategy", [FiniteDifference(audio="adjoint"), SPSA(audio="adjoint")], ids=["fd", "spsa"])
@pytest.mark.parametrize("name", LINEAR)
def test_the_adjoint_of_a_linear_plugin_is_the_white_boxs_gradient(pedalboard, name, strategy):
    cls = registry()[name]
    fixed = {"learnable": False} if name == "Convolution" else {}
    u = draw(cls())
    exact = audio_gradient(cls(**fixed), u)
    ours = audio_gradient(cls(gradient=strategy, **fixed), u)
    # The plugin's coefficients are float32, the white box's gradient is that of exact ones.
    assert (ours - exact).norm() < 1e-3 * exact.norm()


@pytest.mark.parametrize("name", OTHERS)
def test_it_is_refused_for_others(pedalboard, name):
    cls = registry()[name]
    u = draw(cls(), low=0.4, high=0.6)
    if name == "Compressor":
        u[:] = cls().unit(1, threshold_db=-40.0, ratio=8.0)
    with pytest.raises(ValueError, match="linear time-invariant"):
        audio_gradient(cls(gradient=FiniteDifference(audio="adjoint")), u)


def test_an_impulse_response_that_learns_needs_the_white_box(pedalboard):
    with pytest.raises(ValueError, match="detach that, or choose audio='whitebox'"):
        audio_gradient(Convolution(gradient=FiniteDifference(audio="adjoint")), draw(Convolution()))


def test_a_chain_of_linear_plugins_is_one(pedalboard):
    effects = [registry()[n]() for n in ("PeakFilter", "Delay", "Reverb")]
    u = draw(Chain(*effects))
    exact = audio_gradient(Chain(*effects, gradient="autodiff"), u)
    ours = audio_gradient(Chain(*effects, gradient=FiniteDifference(audio="adjoint")), u)
    assert (ours - exact).norm() < 1e-4 * exact.norm()
