"""What users of Effect, Chain and Parallel rely on, beyond the conformance suite."""

import math

import numpy as np
import pytest
import scipy.signal
import torch

import dasp
from dasp.effects import find
from dasp.testing import music


def test_controls_and_physical_values_are_one_thing():
    x, comp = music().float(), dasp.Compressor()
    u = comp.unit(1, threshold_db=-30.0, ratio=8.0)
    torch.testing.assert_close(comp(x, u), comp(x, threshold_db=-30.0, ratio=8.0), rtol=0, atol=0)
    back = comp.physical(u)
    assert math.isclose(back["threshold_db"], -30.0) and math.isclose(back["attack_ms"], 5.0)


def test_physical_tensors_carry_gradients_per_item_and_over_time():
    x, comp = music(batch=3), dasp.Compressor()
    threshold = torch.tensor([-40.0, -30.0, -20.0], dtype=torch.float64, requires_grad=True)
    comp(x, threshold_db=threshold).square().sum().backward()
    assert (threshold.grad.abs() > 0).all()
    moving = torch.full((3, 10), -30.0, dtype=torch.float64, requires_grad=True)
    comp(x, threshold_db=moving).square().sum().backward()
    assert moving.grad.shape == (3, 10) and (moving.grad.abs() > 0).any()


def test_one_argument_swaps_the_gradient():
    x = music().float()
    u = torch.full((1, 4), 0.5, dtype=torch.float64)

    def gradient(strategy):
        v = u.clone().requires_grad_()
        return torch.autograd.grad(dasp.Compressor(gradient=strategy)(x, v).square().sum(), v)[0][0]

    exact = gradient("autodiff")
    assert torch.nn.functional.cosine_similarity(exact, gradient("fd"), dim=0) > 0.999
    torch.manual_seed(0)
    assert torch.nn.functional.cosine_similarity(exact, gradient(dasp.SPSA(directions=256)), dim=0) > 0.95


def test_chain_table_names_are_unique_and_prefixed_where_they_clash():
    chain = dasp.Chain(dasp.LowShelfFilter(), dasp.Gain(), dasp.Gain(), dasp.Compressor())
    names = [q.name for q in chain.controls]
    assert names[:5] == ["cutoff_frequency_hz", "low_shelf_filter_gain_db", "q", "gain1_gain_db", "gain2_gain_db"]
    assert "threshold_db" in names
    eq = dasp.Chain(dasp.ParametricEQ(), dasp.ParametricEQ())
    assert "parametric_eq2_peak1_gain_db" in [q.name for q in eq.controls]


def test_chain_is_its_effects_in_series_under_every_strategy():
    x = music().float()
    chain = dasp.Chain(dasp.PeakFilter(), dasp.Compressor(), dasp.Panner())
    u = torch.rand(1, len(chain.controls), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    a, b, c = chain.split(u)
    by_hand = dasp.Panner()(dasp.Compressor()(dasp.PeakFilter()(x, a), b), c)
    assert torch.equal(chain(x, u), by_hand)
    assert torch.equal(dasp.Chain(*chain.effects, gradient="autodiff")(x, u), by_hand)
    torch.testing.assert_close(dasp.Chain(*chain.effects, gradient="spsa")(x, u), by_hand, atol=1e-6, rtol=0)


def test_joint_spsa_runs_the_chain_twice_a_direction(monkeypatch, pedalboard):
    calls = []
    monkeypatch.setattr("dasp.blackbox.pedalboard", lambda: calls.append(1) or pedalboard)
    chain = dasp.Chain(dasp.PeakFilter(), dasp.Compressor(), gradient=dasp.SPSA(directions=3))
    u = torch.full((1, 7), 0.5, requires_grad=True)
    chain(music().float(), u).square().sum().backward()
    renders = 2  # the chain as one, forward and for all probes; that many times the package is looked up
    runs = 2 * (1 + 2 * 3)  # two plugins, one run forward and two a direction
    assert len(calls) == renders + runs


def test_parallel_is_dry_plus_wet():
    x = music()
    both = dasp.Parallel(dasp.Distortion())
    y = both(x, dry_level=0.25, wet_level=0.5, drive_db=10.0)
    torch.testing.assert_close(y, 0.25 * x + 0.5 * dasp.Distortion()(x, drive_db=10.0))
    wide = dasp.Parallel(dasp.Panner())(x[:, :1], pan=0.0, dry_level=0.0)
    torch.testing.assert_close(wide, torch.cat([x[:, :1], 0 * x[:, :1]], 1), atol=1e-12, rtol=0)


def test_chain_refuses_mixed_rates_and_strangers():
    with pytest.raises(ValueError, match="one sample rate"):
        dasp.Chain(dasp.Gain(44100), dasp.Gain(48000))
    with pytest.raises(TypeError, match="takes effects"):
        dasp.Chain(torch.nn.Identity())
    with pytest.raises(ValueError, match="at least one"):
        dasp.Chain()


def test_nearest_names_are_suggested():
    with pytest.raises(TypeError, match="Did you mean 'threshold_db'"):
        dasp.Compressor()(music(), treshold_db=-3.0)
    with pytest.raises(TypeError, match="Did you mean 'law'"):
        dasp.Panner(lav="linear")
    with pytest.raises(ValueError, match="Did you mean 'Compressor'"):
        find("compresor")


@pytest.mark.parametrize("law", ["linear", "constant_power", "-4.5dB"])
def test_pan_laws_are_the_textbook_ones(law):
    pan = torch.linspace(0, 1, 11, dtype=torch.float64)
    from dasp.effects.panner import pan_gains

    left, right = pan_gains(pan, law)
    angle = pan * torch.pi / 2
    expected = {
        "linear": (1 - pan, pan),
        "constant_power": (angle.cos(), angle.sin()),
        "-4.5dB": (((1 - pan) * angle.cos()).clamp_min(0).sqrt(), (pan * angle.sin()).sqrt()),
    }[law]
    torch.testing.assert_close(torch.stack([left, right]), torch.stack(expected), atol=1e-9, rtol=0)
    torch.testing.assert_close(right, left.flip(0), atol=1e-9, rtol=0)


def test_gain_below_the_floor_is_silence():
    from dasp.effects.gain import gain

    assert gain(torch.ones(1, 1, 3), gain_db=-100.0).abs().max() == 0


def test_proxy_and_hybrid_use_the_given_network():
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(1))

        def forward(self, x, u):
            return x * (1 + self.weight * u.mean(1)[:, None, None].to(x.dtype))

    x = music()
    effect = dasp.Compressor(gradient="proxy", proxy=Net())
    effect(x, torch.rand(1, 4)).sum().backward()
    assert effect.proxy.weight.grad is not None and len(list(effect.parameters())) == 1
    hybrid = dasp.Compressor(gradient=dasp.Hybrid(forward="whitebox", backward="proxy"), proxy=Net())
    u = torch.full((1, 4), 0.5, dtype=torch.float64, requires_grad=True)
    y = hybrid(x, u)
    assert torch.equal(y, dasp.Compressor()(x, u))
    torch.testing.assert_close(torch.autograd.grad(y.sum(), u)[0], x.sum().expand(1, 4) / 4)
    with pytest.raises(ValueError, match="proxy view"):
        dasp.Chorus(gradient="proxy")(x)  # for which no weights are shipped


@pytest.mark.parametrize("gradient", ["fd", "spsa", dasp.Hybrid(backward="whitebox")], ids=["fd", "spsa", "hybrid"])
def test_compile_and_func_through_the_black_box(gradient):
    pytest.importorskip("pedalboard")
    effect, x = dasp.Compressor(gradient=gradient), music().float()[..., :1000]
    u = torch.full((1, 4), 0.5)

    def loss(u):
        return effect(x, u).square().mean()

    torch.manual_seed(0)
    by_backward = torch.autograd.grad(loss(v := u.clone().requires_grad_()), v)[0]
    torch.manual_seed(0)
    torch.testing.assert_close(torch.func.grad(loss)(u), by_backward)
    assert torch.func.jacrev(loss)(u).shape == u.shape
    mapped = torch.func.vmap(lambda u: effect(x, u))(torch.stack([u, 0.5 * u]))
    torch.testing.assert_close(mapped[1], effect(x, 0.5 * u))
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    gradient_compiled = torch.autograd.grad(compiled(v := u.clone().requires_grad_()), v)[0]
    assert gradient_compiled.isfinite().all() and (gradient_compiled != 0).any()
    if gradient != "spsa":
        torch.testing.assert_close(gradient_compiled, by_backward, rtol=1e-4, atol=1e-9)


def test_feedback_around_a_gain_is_the_recursion_of_a_comb():
    x = music(seconds=0.05, channels=1)
    loop = dasp.Feedback(dasp.Gain(), delay_seconds=300 / 44100)
    feedback, gain_db = (torch.tensor([v], dtype=torch.float64, requires_grad=True) for v in (0.6, -2.0))
    y = loop(x, feedback=feedback, gain_db=gain_db)
    a = np.zeros(301)
    a[0], a[300] = 1.0, -0.6 * 10 ** (-2 / 20)
    np.testing.assert_allclose(y[0, 0].detach().numpy(), scipy.signal.lfilter([1.0], a, x[0, 0].numpy()), atol=1e-12)
    # The loop gain is the product of the two, so their gradients are one number seen through two chain rules.
    by_feedback, by_gain = torch.autograd.grad(y.square().sum(), (feedback, gain_db))
    torch.testing.assert_close(by_gain, by_feedback * 0.6 * math.log(10) / 20)
    with pytest.raises(ValueError, match="at least a sample"):
        dasp.Feedback(dasp.Gain(), delay_seconds=0.0)
    with pytest.raises(ValueError, match="cannot go back"):
        dasp.Feedback(dasp.Panner())


def test_a_typed_value_off_a_log_scale_is_refused_in_a_sentence():
    with pytest.raises(ValueError, match="delay_seconds: is on a log scale"):
        dasp.Delay()(music(), delay_seconds=0.0)


@pytest.mark.parametrize("effect", [dasp.Compressor, dasp.NoiseGate, dasp.StudioCompressor])
def test_an_attack_of_zero_is_one_too_short_to_matter(effect):
    """On a log scale it has no place, and log(0) would make its gradient NaN."""
    x = torch.linspace(-1, 1, 500)[None, None]
    zero = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    y = effect()(x, attack_ms=zero)
    assert torch.equal(y, effect()(x, attack_ms=0.0)) and torch.equal(y, effect()(x, attack_ms=1e-12))
    y.sum().backward()
    assert zero.grad == 0
