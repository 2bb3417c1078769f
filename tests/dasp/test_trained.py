"""Effects with shipped proxies: loaded when first needed, shared, no part of the effect. The weights are made here."""

import copy
import pickle
import subprocess
import sys

import pytest
import torch
from shipping import ship, shipped

import dasp
import dasp.trained
import proxies
from dasp.testing import music
from proxies import control_table


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """A folder of shipped weights: Compressor, ParametricEQ and Reverb."""
    return shipped(tmp_path, monkeypatch, 44100)


def controls(effect, batch=1):
    return torch.full((batch, len(effect.controls)), 0.4, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("gradient", ["proxy", "hybrid"])
def test_no_proxy_given_means_the_shipped_one(weights, gradient):
    x, effect = music().float(), dasp.Compressor(gradient=gradient)
    u = controls(effect)
    network = proxies.load("Compressor", controls=effect.controls)
    y = effect(x, u)
    g = torch.randn_like(y)
    expected = network(x, v := u.detach().clone().requires_grad_())
    torch.testing.assert_close(torch.autograd.grad(y, u, g)[0], torch.autograd.grad(expected, v, g)[0])
    torch.testing.assert_close(y, expected if gradient == "proxy" else dasp.Compressor(gradient="fd")(x, u), rtol=0, atol=0)


def test_it_is_loaded_at_first_use_and_only_for_strategies_that_ask(weights):
    effects = [dasp.Compressor(gradient=g) for g in ("autodiff", "fd", "hybrid")]
    chain = dasp.Chain(dasp.ParametricEQ(), dasp.Compressor(), gradient="autodiff")
    x = music().float()
    for effect in (*effects[:2], chain):
        effect(x, controls(effect)).sum().backward()
    assert not dasp.trained._networks
    effects[2](x, controls(effects[2]))
    assert {key[0] for key in dasp.trained._networks} == {"Compressor"}


def test_import_loads_neither_proxies_nor_safetensors():
    code = "import sys, dasp; dasp.Compressor(); print({'proxies', 'safetensors'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_it_is_no_part_of_the_effect(weights):
    effect = dasp.Compressor(gradient="hybrid")
    x, u = music().float(), torch.full((1, 4), 0.4)
    y = effect(x, u)
    assert not list(effect.parameters()) and not list(effect.modules())[1:] and not effect.state_dict()
    effect.train()
    for other in (copy.deepcopy(effect), pickle.loads(pickle.dumps(effect))):
        v = u.clone().requires_grad_()
        out = other(x, v)
        assert torch.equal(out, y)
        out.sum().backward()
        assert v.grad.abs().sum() > 0
    network = dasp.trained._networks["Compressor", torch.float32, torch.device("cpu")]
    assert not network.training and not any(p.requires_grad for p in network.parameters())
    assert len(pickle.dumps(effect)) < 4000


def test_float64_audio_and_controls_that_vary(weights):
    effect = dasp.Compressor(gradient="proxy")
    x, u = music(), torch.rand(1, 4, 8, dtype=torch.float64, requires_grad=True)
    y = effect(x, u)
    assert y.dtype == torch.float64
    assert torch.autograd.grad(y.sum(), u)[0].shape == u.shape
    torch.testing.assert_close(effect(x.float(), u).double(), y, atol=1e-5, rtol=1e-5)


def test_blocks_are_the_whole(weights):
    effect = dasp.Compressor(gradient="proxy")
    x, u, state, out = music().float(), torch.full((1, 4), 0.4), None, []
    with torch.no_grad():
        for block in x.split(700, 2):
            y, state = effect.stream(block, state, u)
            out.append(y)
        torch.testing.assert_close(torch.cat(out, 2), effect(x, u), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("gradient", ["proxy", "hybrid"])
def test_compiled_as_eager(weights, gradient):
    x = music().float()[..., :256]
    effect = dasp.Compressor(gradient=gradient)
    u = controls(effect)
    torch._dynamo.reset()
    compiled = torch.compile(effect, fullgraph=True, backend="aot_eager")(x, u)  # the weights are loaded while it traces
    eager = effect(x, u)
    torch.testing.assert_close(compiled, eager, atol=1e-6, rtol=1e-5)
    first, second = (torch.autograd.grad(y.square().sum(), u)[0] for y in (compiled, eager))
    torch.testing.assert_close(first, second, atol=1e-6, rtol=1e-4)


def test_another_sample_rate_is_refused_at_the_call(weights):
    effect = dasp.Compressor(48000, gradient="hybrid")
    with pytest.raises(
        ValueError, match=r"of 44100 Hz and the effect of 48000 Hz; make the effect with sample_rate=44100.*train"
    ):
        effect(music().float(), torch.rand(1, 4))


def test_another_table_is_refused_with_the_command(weights):
    table = control_table(dasp.Compressor.controls)
    ship(weights, dasp.Compressor(), controls=({**table[0], "low": -61.0}, *table[1:]))
    with pytest.raises(ValueError, match=r"low of threshold_db is -61.*python -m proxies.train dasp:Compressor"):
        dasp.Compressor(gradient="proxy")(music().float(), torch.rand(1, 4))


def test_an_effect_without_weights_says_how_to_get_them(weights):
    words = r"proxy view.*whitebox and blackbox only.*`python -m proxies.train dasp:Gain` and pass proxy="
    with pytest.raises(ValueError, match=words):
        dasp.Gain(gradient="proxy")(music(), torch.rand(1, 1))
    with pytest.raises(ValueError, match=r"'dasp:Reverb\(freeze_mode=1.0\)'"):  # the shipped one is of another reverb
        dasp.Reverb(gradient="hybrid", freeze_mode=1.0)(music(), torch.rand(1, 5))
    chain = dasp.Chain(dasp.Compressor(), dasp.Gain(), gradient="proxy")
    with pytest.raises(ValueError, match=r"Chain: gradient='proxy'.*Gain: No weights are shipped"):
        chain(music(), torch.rand(1, 5))

    class Compressor(dasp.Compressor):  # of the same name, and none of ours
        controls = dasp.Compressor.controls

    with pytest.raises(ValueError, match="proxy view"):
        Compressor(gradient="proxy")(music(), torch.rand(1, 4))


def test_the_import_path_makes_the_effect_again():
    from proxies.teacher import made

    chain = dasp.Chain(dasp.Compressor(), dasp.Reverb(freeze_mode=1.0), dasp.external("Gain", ranges={"gain_db": (-6.0, 6.0)}))
    for effect in (dasp.Compressor(), dasp.Panner(law="linear"), dasp.ChannelStrip(), chain):
        again = made(effect.path)
        assert type(again) is type(effect) and again.path == effect.path and again.controls == effect.controls


def test_a_name_or_a_file(weights, tmp_path, monkeypatch):
    x, u = music().float(), torch.rand(1, 4)
    path = ship(tmp_path, dasp.Compressor(), name="mine", seed=9)
    monkeypatch.chdir(tmp_path)
    by_file = dasp.Compressor(gradient="proxy", proxy="mine.safetensors")
    monkeypatch.chdir("/")
    assert torch.equal(by_file(x, u), proxies.load(path)(x, u))
    assert torch.equal(dasp.Compressor(gradient="proxy", proxy=path)(x, u), by_file(x, u))
    assert torch.equal(dasp.Compressor(gradient="proxy", proxy="mine")(x, u), by_file(x, u))
    with pytest.raises(ValueError, match="Did you mean 'Compressor'"):
        dasp.Compressor(gradient="proxy", proxy="Compresor")(x, u)
    with pytest.raises(ValueError, match="no use for sidechain="):
        by_file(x, u, sidechain=x)


def test_a_network_given_is_part_of_the_effect_as_before(weights):
    network = proxies.load("Compressor")
    effect = dasp.Compressor(gradient="proxy", proxy=network)
    assert list(effect.modules())[1] is network and effect.state_dict()


def test_a_chain_has_the_proxies_of_its_effects_in_series(weights):
    strip = dasp.ChannelStrip(gradient="hybrid")
    x, u = music().float(), controls(strip)
    y = strip(x, u)
    g = torch.randn_like(y)
    v = u.detach().clone().requires_grad_()
    expected = x
    for effect, part in zip(strip, strip.split(v), strict=True):
        expected = proxies.load(effect.name)(expected, part)
    torch.testing.assert_close(torch.autograd.grad(y, u, g)[0], torch.autograd.grad(expected, v, g)[0])
    assert torch.equal(y, dasp.ChannelStrip(gradient="fd")(x, u))
    assert not list(strip.parameters())


def test_the_channel_strip_has_a_proxy_of_its_own_where_one_is_shipped(weights, monkeypatch):
    strip = dasp.ChannelStrip(gradient="proxy")
    assert [q.name for q in strip.controls] == [
        q.name for e in (dasp.ParametricEQ, dasp.Compressor, dasp.Reverb) for q in e.controls
    ]
    x, u = music().float(), torch.rand(1, 27)
    assert not torch.equal(strip(x, u), x)
    ship(weights, strip, "ChannelStrip", seed=5)
    ship(weights, strip, "ChannelStripSmall", seed=6)
    monkeypatch.setattr("dasp.effect.SHIPPED", frozenset(p.stem for p in weights.glob("*")))
    for name, effect in (
        ("ChannelStrip", strip),
        ("ChannelStripSmall", dasp.ChannelStrip(gradient="proxy", proxy="ChannelStripSmall")),
        ("ChannelStrip", dasp.Chain(*dasp.ChannelStrip(), gradient="proxy", proxy="ChannelStrip")),
    ):
        assert torch.equal(effect(x, u), proxies.load(name)(x, u))
    with pytest.raises(ValueError, match="dasp:ChannelStrip --set sample_rate=48000"):
        dasp.ChannelStrip(48000, gradient="proxy")(x, u)


def test_what_was_not_trained_is_told_by_name(weights):
    x, u = music().float(), torch.full((1, 4), 0.4)
    x = 0.5 * x / x.abs().max()
    far = u.clone()
    far[0, 1] = 1.2
    strategy = dasp.Proxy(warn_outside=True)
    effect = dasp.Compressor(gradient=strategy)
    effect(x, u)
    with pytest.warns(UserWarning, match=r"Compressor: ratio is above 20 dB/dB; sound") as told:
        effect(x, far)
    assert len(told) == 1
    effect(x, far)  # told once; a second warning would be an error here
    with pytest.warns(UserWarning, match="peak is above 0 dBFS"):
        dasp.Compressor(gradient=dasp.Hybrid(warn_outside=True))(4 * x, u)
    strip = dasp.ChannelStrip(gradient=dasp.Proxy(warn_outside=True))
    v = torch.full((1, 27), 0.4)
    v[0, 19] = 1.5
    with pytest.warns(UserWarning, match=r"ChannelStrip: Compressor: ratio is above 20 dB/dB"):
        strip(x, v)


def test_a_shipped_proxy_is_adapted_in_a_copy(weights):
    adaptation = dasp.OnlineAdaptation(lr=1e-2, steps=3)
    network = proxies.load("Compressor")
    before = {k: v.clone() for k, v in network.state_dict().items()}
    effect = dasp.Compressor(gradient=dasp.Hybrid(adapt=adaptation))
    x, u = music().float(), controls(effect)
    for _ in range(5):
        effect(x, u).sum().backward()
    assert adaptation.losses[-1] < adaptation.losses[0]
    shipped = dasp.trained._networks["Compressor", torch.float32, torch.device("cpu")].state_dict()
    assert all(torch.equal(shipped[k], before[k]) for k in before)
    learned = adaptation.state(effect.proxy_view())
    assert learned.keys() == before.keys() and any(not torch.equal(learned[k], before[k]) for k in before)


def test_a_chain_adapts_all_its_proxies(weights):
    adaptation = dasp.OnlineAdaptation(lr=1e-2, steps=2)
    chain = dasp.Chain(dasp.ParametricEQ(), dasp.Compressor(), gradient=dasp.Hybrid(adapt=adaptation))
    x, u = music().float(), controls(chain)
    for _ in range(4):
        chain(x, u).sum().backward()
    assert adaptation.losses[-1] < adaptation.losses[0]
    assert {k.split(".")[1] for k in adaptation.state(chain.proxy_view())} == {"0", "1"}
