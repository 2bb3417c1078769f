"""Weights in files: what is saved is loaded, and what no longer fits is refused with the way out."""

from types import SimpleNamespace

import pytest
import torch
from proxy_files import COMMAND, CONTROLS, header_of, network

import proxies
from proxies import TCN, checkpoint, control_table


@pytest.fixture
def saved(tmp_path):
    """A file, and the network that is in it."""
    net = network()
    proxies.save(tmp_path / "a.safetensors", net, header_of(net))
    return tmp_path / "a.safetensors", net


def test_what_is_saved_is_loaded(saved):
    path, net = saved
    loaded = proxies.load(path, CONTROLS)
    x, u = torch.randn(2, 2, 300), torch.rand(2, 2)
    assert torch.equal(loaded(x, u), net(x, u))
    assert loaded.header == header_of(net)
    assert not loaded.training
    assert not any(p.requires_grad for p in loaded.parameters())
    u.requires_grad_()
    assert torch.autograd.grad(loaded(x, u).square().sum(), u)[0].abs().min() > 0


def test_a_loaded_network_in_a_model_in_training_mode_stays_as_it_is(saved):
    from dasp import Compressor

    loaded = proxies.load(saved[0])
    model = torch.nn.Sequential(Compressor(proxy=loaded)).train()
    assert model[0].training and not any(module.training for module in loaded.modules())
    loaded.requires_grad_()
    model.train()
    assert loaded.training


def test_half_is_half_the_size_and_nearly_the_same(tmp_path):
    net = network(channels=64)
    for half in (False, True):
        proxies.save(tmp_path / f"{half}.safetensors", net, header_of(net), half=half)
    loaded = proxies.load(tmp_path / "True.safetensors")
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    x, u = torch.randn(1, 1, 300), torch.rand(1, 2)
    torch.testing.assert_close(loaded(x, u), net(x, u), atol=2e-3, rtol=0)
    assert not torch.equal(loaded(x, u), net(x, u))
    sizes = [(tmp_path / f"{half}.safetensors").stat().st_size for half in (False, True)]
    assert sizes[1] < 0.6 * sizes[0]


def test_the_same_network_is_the_same_file(saved):
    path, net = saved
    first = path.read_bytes()
    proxies.save(path, net, header_of(net))
    assert path.read_bytes() == first


def test_a_network_in_double_precision_is_stored_in_single(tmp_path):
    net = network().double()
    proxies.save(tmp_path / "a.safetensors", net, header_of(net))
    assert {p.dtype for p in proxies.load(tmp_path / "a.safetensors").parameters()} == {torch.float32}


def test_loading_leaves_the_callers_random_numbers_alone(saved):
    state = torch.get_rng_state()
    proxies.load(saved[0])
    assert torch.equal(torch.get_rng_state(), state)


def test_loaded_whatever_the_default_dtype(saved):
    torch.set_default_dtype(torch.float64)
    try:
        loaded = proxies.load(saved[0])
    finally:
        torch.set_default_dtype(torch.float32)
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}


def test_a_save_that_fails_leaves_the_file_that_was_there(saved):
    path, net = saved
    before = path.read_bytes()
    with torch.no_grad():
        net.output.bias.fill_(1e5)
    with pytest.raises(ValueError, match=r"^save: output.bias is not finite as float16; use half=False"):
        proxies.save(path, net, header_of(net), half=True)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_shipped_weights_have_names(saved, monkeypatch):
    path, net = saved
    monkeypatch.setattr(checkpoint, "WEIGHTS", path.parent / "weights")
    with pytest.raises(ValueError, match=r"^load: no shipped weights 'Compressor'; there are none"):
        proxies.load("Compressor")
    (path.parent / "weights").mkdir()
    for name in ("Compressor", "Reverb"):
        path.with_name("weights").joinpath(f"{name}.safetensors").write_bytes(path.read_bytes())
    x, u = torch.randn(1, 1, 9), torch.rand(1, 2)
    assert torch.equal(proxies.load("Compressor", CONTROLS)(x, u), net(x, u))
    with pytest.raises(ValueError, match=r"'Compresor'; there are Compressor, Reverb. Did you mean 'Compressor'\?"):
        proxies.load("Compresor")


def test_files_that_are_none(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"^load: no file .*b.safetensors"):
        proxies.load(tmp_path / "b.safetensors")
    with pytest.raises(ValueError, match="is not a file"):
        proxies.load(tmp_path)


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"name": "threshold"}, "control 1 is 'threshold_db' in the weights and 'threshold' in the effect"),
        ({"low": -80}, "low of threshold_db is -60.0 in the weights and -80.0 in the effect"),
        ({"scale": "log"}, "scale of threshold_db is 'linear' in the weights and 'log' in the effect"),
        (None, "2 controls in the weights, 1 in the effect"),
    ],
)
def test_another_table_is_refused_with_the_way_to_train_again(saved, change, difference):
    table = CONTROLS[:1] if change is None else (SimpleNamespace(**vars(CONTROLS[0]) | change), CONTROLS[1])
    with pytest.raises(ValueError) as caught:
        proxies.load(saved[0], table)
    assert str(caught.value) == (
        f"dasp:Compressor: these weights are of another control table: {difference}. Train them again: {COMMAND}"
    )


def test_the_table_of_an_effect_fits(tmp_path):
    from dasp import Compressor

    net = TCN(len(Compressor.controls))
    proxies.save(tmp_path / "a.safetensors", net, header_of(net, controls=control_table(Compressor.controls)))
    assert proxies.load(tmp_path / "a.safetensors", Compressor.controls).num_controls == len(Compressor.controls)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"network": {"kind": "tcn", "num_controls": 2}}, "network: expected the network's"),
        ({"receptive_field": 3}, "receptive_field: expected the network's 21; got 3"),
        ({"controls": control_table(CONTROLS[:1])}, "controls: expected the network's 2; got 1"),
    ],
)
def test_a_header_of_another_network_is_not_saved(tmp_path, fields, sentence):
    net = network()
    with pytest.raises(ValueError, match=f"^header: {sentence}"):
        proxies.save(tmp_path / "a.safetensors", net, header_of(net, **fields))


def test_a_network_that_could_not_be_loaded_is_not_saved(tmp_path):
    class Mine(TCN):
        pass

    net = Mine(2)
    with pytest.raises(ValueError, match=r"^save: Mine is not a network of this package.*tcn"):
        proxies.save(tmp_path / "a.safetensors", net, header_of(net))
