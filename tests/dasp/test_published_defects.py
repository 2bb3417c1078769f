"""Defects of published libraries, one test each, named after them."""

import random

import pytest
import torch

import dasp
from dasp.effects import find, registry
from dasp.testing import draw, music
from dasp.testing.signals import width_of


@pytest.mark.parametrize("law", ["linear", "constant_power", "-4.5dB"])
def test_defect_square_root_in_a_panner_is_nan_at_its_ends(law):
    for pan in (0.0, 1.0):
        u = torch.tensor([[pan]], dtype=torch.float64, requires_grad=True)
        dasp.Panner(law=law)(music(channels=1), u).square().sum().backward()
        assert u.grad.isfinite().all()


@pytest.mark.parametrize("name", ["Distortion", "Clipping", "Bitcrush", "Overdrive", "Fuzz"])
def test_defect_a_distortion_fails_on_stereo_with_a_drive_for_each_item(name):
    effect, x = find(name)(), music(channels=2, batch=3)
    q = effect.controls[0]
    values = torch.tensor([q.to_physical(v) for v in (0.2, 0.4, 0.8)])
    y = effect(x, **{q.name: values})
    for i in range(3):
        assert torch.equal(y[i : i + 1], effect(x[i : i + 1], **{q.name: float(values[i])}))


def test_defect_distortion_knows_no_sample_rate_and_names_its_drive_wrongly():
    effect, x = dasp.Distortion(48000), music(48000)
    assert effect.sample_rate == 48000 and [q.name for q in effect.controls] == ["drive_db"]
    normalised = effect(x, torch.full((1, 1), 0.25, dtype=torch.float64))
    torch.testing.assert_close(normalised, torch.tanh(x * 10 ** (10 / 20)))
    assert torch.equal(normalised, effect(x, drive_db=10.0))
    with pytest.raises(TypeError, match="Did you mean 'drive_db'"):
        effect(x, drive_bd=10.0)


def test_defect_a_widener_is_neutral_only_in_the_middle_of_nowhere():
    """Neutral at width 1, which is the default, the middle of the range, and what the table says."""
    effect, x = find("StereoWidener")(), music()
    (q,) = effect.controls
    assert q.default == 1.0 and "1 neutral" in q.doc and q.to_unit(1.0) == 0.5
    for dtype in (torch.float32, torch.float64):
        assert torch.equal(effect(x.to(dtype)), x.to(dtype))
    assert not torch.allclose(effect(x, width=0.5), x)


@pytest.mark.parametrize("name", registry())
def test_defect_an_effect_has_randomness_of_its_own(name):
    effect, outputs = find(name)(), []
    x, u = music(channels=width_of(effect)), draw(effect)
    for seed in (0, 1):
        torch.manual_seed(seed)
        random.seed(seed)
        outputs.append(effect(x, u))
    assert torch.equal(*outputs)


@pytest.mark.parametrize("name", registry())
def test_defect_prints_are_left_in_functions(name, capfd):
    effect = find(name)()
    x, u = music(channels=width_of(effect), seconds=0.02), draw(effect).requires_grad_()
    effect(x.requires_grad_(), u).sum().backward()
    effect.stream(x.detach(), None, draw(effect))
    assert capfd.readouterr() == ("", "")
