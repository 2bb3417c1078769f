"""Impulse responses that follow their controls: old fades into new, however the stream is cut."""

import itertools

import numpy as np
import pytest
import scipy.signal
import torch

from dasp.effects._responses import respond
from dasp.testing import music

SPACING = 100


def design(values, taps=40):
    """(B, 2) -> (B, 1, taps): a decaying response with two controls."""
    n = torch.arange(taps, dtype=torch.float64)
    return (values[:, :1] * torch.exp(-n / (5 + 20 * values[:, 1:])))[:, None]


def moving(samples):
    t = torch.linspace(0, 1, samples, dtype=torch.float64)
    return torch.stack([0.2 + 0.6 * t, 0.9 - 0.8 * t])[None]


def test_it_is_the_written_down_cross_fade():
    x = music(seconds=0.02, channels=2)
    values = moving(x.shape[2])
    readings = values[0, :, ::SPACING].T
    whole = [
        np.stack([scipy.signal.fftconvolve(c, design(r[None])[0, 0].numpy())[: x.shape[2]] for c in x[0].numpy()])
        for r in readings
    ]
    expected = np.zeros(x.shape[1:])
    for k, new in enumerate(whole):
        old, part = whole[max(k - 1, 0)], slice(k * SPACING, (k + 1) * SPACING)
        way = (np.arange(part.start, min(part.stop, x.shape[2])) % SPACING + 1) / SPACING
        expected[:, part] = old[:, part] + way * (new - old)[:, part]
    np.testing.assert_allclose(respond(x, values, design, SPACING, None)[0].numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("taps", [40, 700])
@pytest.mark.parametrize("static", [False, True])
def test_any_cut_is_the_whole_to_the_bit(dtype, taps, static):
    x = music(seconds=0.02, channels=2).to(dtype)
    values = moving(x.shape[2])
    values = values[..., :1].expand_as(values) if static else values

    def design_of(values):
        return design(values, taps)

    whole = respond(x, values[..., :1] if static else values, design_of, SPACING, None)
    state, blocks = {}, []
    for a, b in itertools.pairwise([0, 0, 1, 99, 100, 250, 700, x.shape[2]]):
        blocks.append(respond(x[..., a:b], values[..., a:b], design_of, SPACING, state))
    assert torch.equal(torch.cat(blocks, -1), whole)


def test_constant_controls_are_static_ones_to_the_bit_and_gradients_are_right():
    x = music(seconds=0.01)
    values = torch.tensor([[[0.5], [0.3]]], dtype=torch.float64)
    frozen = values.expand(-1, -1, x.shape[2])
    assert torch.equal(respond(x, frozen, design, SPACING, None), respond(x, values, design, SPACING, None))
    short, way = x[..., :250].clone().requires_grad_(), moving(250).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, v: respond(x, v, design, SPACING, None), (short, way))
