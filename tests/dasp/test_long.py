"""Any length: without gradients long signals go through in blocks, which changes no bit and holds memory down."""

import pytest
import torch
from memory import rise

from dasp import effect as module
from dasp.automation import to_grid
from dasp.effects import registry
from dasp.testing import draw, music
from dasp.testing.signals import setting


@pytest.mark.parametrize("moving", [False, True], ids=["static", "moving"])
@pytest.mark.parametrize("name", registry())
def test_blocks_are_the_whole_to_the_bit(name, moving, monkeypatch):
    effect = registry()[name](44100)
    width = 2 if effect.channels is None else max(effect.channels)
    x, u = music(channels=width, seconds=0.2).float(), draw(effect)
    if moving:
        if effect.static or not effect.controls:
            return
        u = (u[..., None] + torch.linspace(-0.15, 0.15, 11, dtype=u.dtype)).clamp(0, 1)
    keywords = {"sidechain": x.flip(-1)} if "sidechain" in effect.takes else {}
    with torch.no_grad():
        whole = effect(x, u, **keywords)
        monkeypatch.setattr(module, "LONG", 16000 if moving else 1000)
        blocks = effect(x, u, **keywords)
    assert torch.equal(blocks, whole)
    monkeypatch.setattr(module, "LONG", 10**9)
    with torch.enable_grad():
        assert torch.equal(effect(x, u, **keywords), whole)  # with gradients nothing is cut


@pytest.mark.parametrize("name", registry())
def test_constant_frames_are_static_controls_to_the_bit(name):
    effect = registry()[name](44100)
    if effect.static or not effect.controls:
        return
    width = 2 if effect.channels is None else max(effect.channels)
    x, u = music(channels=width, seconds=0.2).float(), draw(effect)
    for frames in (2, 7, 300):
        assert torch.equal(effect(x, u[..., None].expand(-1, -1, frames)), effect(x, u))


def test_the_grid_is_a_linear_interpolation():
    u = torch.rand(2, 3, 9, dtype=torch.float64)
    ours = to_grid(u, 32 * 50)
    theirs = torch.nn.functional.interpolate(u, 50, mode="linear", align_corners=False)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-14)
    assert torch.equal(to_grid(u, 9), u)


SETUP = """
import torch
from dasp import {name}
effect, x = {name}(44100), torch.zeros(1, 1, 44100 * 60 * 10).normal_(0, 0.1)
effect(x[..., :1000])
"""
CODE = """
with torch.no_grad():
    y = effect(x)
assert y.shape == x.shape and y[..., -1000:].isfinite().all()  # a look at all of it would cost more than it
"""


@pytest.mark.parametrize("name", ["ParametricEQ", "Compressor"])
def test_ten_minutes_hold_little_more_than_their_output(name):
    rose = rise(SETUP.format(name=name), CODE) / (4 * 44100 * 60 * 10)
    assert 0.9 < rose < 2.0  # the output itself is 1


@pytest.mark.parametrize("name", ["Chorus", "Phaser", "Flanger", "Limiter", "Reverb", "Convolution", "Delay", "LadderFilter"])
def test_gradients_at_constant_frames_are_those_beside_them(name):
    """A plugin's glide has no derivative at rest; the one that is given is that of frames which hardly move."""
    effect, x, u = setting(registry()[name])
    rest = u[..., None].repeat(1, 1, 6)
    nearly = rest + 1e-7 * torch.randn(rest.shape, generator=torch.Generator().manual_seed(0), dtype=rest.dtype)
    gradients = []
    for frames in (rest, nearly):
        v = frames.clone().requires_grad_()
        gradients.append(torch.autograd.grad(effect(x, v).square().sum(), v)[0].flatten())
    cosine = torch.nn.functional.cosine_similarity(*gradients, dim=0)
    assert cosine > 0.99, f"{cosine}"
    assert abs(gradients[0].norm() / gradients[1].norm() - 1) < 0.05
