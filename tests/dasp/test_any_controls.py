"""Whatever the controls within the table, at any rate and on any sound: outputs and gradients are numbers."""

import pytest
import torch
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from dasp.effects import registry
from dasp.testing import music

SOUNDS = ("music", "silence", "denormals", "full scale", "impulse", "one sample", "loud")


def sound(kind: str, rate: int, width: int) -> torch.Tensor:
    x = music(rate, 400 / rate, width).float()
    if kind == "music":
        return x
    if kind == "silence":
        return torch.zeros_like(x)
    if kind == "denormals":
        return x * 1e-40
    if kind == "full scale":
        return x.sign()
    if kind == "loud":
        return 100 * x
    if kind == "one sample":
        return x[..., 200:201]
    impulse = torch.zeros_like(x)
    impulse[..., 3] = 1.0
    return impulse


@pytest.mark.parametrize("name", registry())
def test_numbers_come_out(name):
    cls = registry()[name]
    count = len(cls.controls)
    place = st.one_of(st.sampled_from([0.0, 1.0, 0.5, 1e-310, 1e-9, 1 - 1e-9]), st.floats(0, 1))

    @seed(0)
    @settings(max_examples=25, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(
        u=st.lists(place, min_size=count, max_size=count),
        end=st.lists(place, min_size=count, max_size=count),
        rate=st.sampled_from([8000, 22050, 44100, 192000]),
        kind=st.sampled_from(SOUNDS),
        moving=st.booleans(),
    )
    def check(u, end, rate, kind, moving):
        effect = cls(rate)
        x = sound(kind, rate, 2 if effect.channels is None else max(effect.channels)).requires_grad_()
        v = torch.tensor([u], dtype=torch.float64)
        if moving and count and not effect.static and x.shape[2] > 1:
            v = torch.stack([v, torch.tensor([end], dtype=torch.float64)], -1)
        v.requires_grad_()
        y = effect(x, v)
        assert y.isfinite().all()
        for gradient in torch.autograd.grad(y.sum(), (x, v), allow_unused=True):
            assert gradient is None or gradient.isfinite().all()

    check()
