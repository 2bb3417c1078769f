"""What all networks share: built again from their description, streamed in blocks, exported; a new one of ten lines."""

import random

import pytest
import torch

import proxies.network
from proxies import TCN, Network, build
from proxies.network import kinds, per_sample


class Delayed(Network):
    """The smallest network: the sample before, times a weight and the first control."""

    def __init__(self, num_controls: int = 1, *, in_channels: int = 1, out_channels: int = 1) -> None:
        super().__init__(locals())
        self.weight = torch.nn.Parameter(torch.tensor(2.0))

    def process(self, x, controls, state):
        padded = proxies.network.with_past(x, 1, state, "past")
        return self.weight * per_sample(controls, x.shape[2])[:, :1] * padded[..., :-1]


def settled(**settings) -> TCN:
    """A network in double precision and evaluation mode, the statistics of its normalisation away from their start."""
    torch.manual_seed(0)
    network = TCN(3, **{"blocks": 3, "growth": 4, "kernel": 5, "channels": 8, **settings})
    network(torch.randn(4, network.in_channels, 400), torch.rand(4, 3))
    return network.double().eval()


@torch.no_grad()
def in_blocks(network, x, u, lengths):
    """The signal block by block; frames of u, if any, are one for each sample."""
    state, parts, start = None, [], 0
    for length in lengths:
        part = slice(start, start + length)
        y, state = network.stream(x[..., part], state, u[..., part] if u.ndim == 3 else u)
        parts.append(y)
        start += length
    assert start == x.shape[2]
    return torch.cat(parts, 2)


def test_description_builds_the_network_again():
    network = TCN.preset("TCN-300", 4, skip=True)
    again = build(**network.description)
    assert type(again) is TCN
    assert again.description == network.description
    again.load_state_dict(network.state_dict())


def test_kinds_are_the_files_that_define_a_network():
    assert "tcn" in kinds()
    assert not {"network", "checkpoint", "header"} & set(kinds())
    for kind in kinds():
        settings = {"networks": [{"kind": "gain"}]} if kind == "series" else {}
        assert build(kind, num_controls=2, **settings).description["kind"] == kind


@pytest.mark.parametrize("kind", ["tnc", "network", "os", "../x", "proxies.tcn", "", "tcn.tcn"])
def test_an_unknown_kind_is_one_sentence(kind):
    with pytest.raises(ValueError, match=r"^build: no kind of network .*; there are .*tcn"):
        build(kind, num_controls=2)


def test_the_nearest_kind_is_named():
    with pytest.raises(ValueError, match=r"Did you mean 'tcn'\?$"):
        build("tcnn")


@pytest.mark.parametrize("lengths", [[1] * 150, [7] * 21 + [3], [150], [149, 1], [64, 0, 28, 58]])
@pytest.mark.parametrize("settings", [{}, {"condition": 0, "bias": True, "skip": True}, {"kernel": 1}], ids=str)
def test_blocks_are_the_whole(lengths, settings):
    network = settled(**settings)
    assert settings.get("kernel") or network.receptive_field > 64
    x = torch.randn(2, 2, 150, dtype=torch.float64)
    for u in (torch.rand(2, 3, dtype=torch.float64), torch.rand(2, 3, 150, dtype=torch.float64)):
        torch.testing.assert_close(in_blocks(network, x, u, lengths), network(x, u), atol=1e-12, rtol=0)


def test_blocks_of_random_lengths_in_single_precision():
    network, draw = TCN.preset("TCN-100", 2).eval(), random.Random(0)
    cuts = sorted(draw.sample(range(1, 12_000), 30))
    lengths = [b - a for a, b in zip([0, *cuts], [*cuts, 12_000], strict=True)]
    x, u = torch.randn(1, 1, 12_000), torch.rand(1, 2)
    with torch.no_grad():
        torch.testing.assert_close(in_blocks(network, x, u, lengths), network(x, u), atol=1e-5, rtol=0)


def test_a_state_is_not_changed_and_holds_no_block():
    network, u = settled(), torch.rand(1, 3, dtype=torch.float64)
    _, state = network.stream(torch.randn(1, 1, 5000, dtype=torch.float64), None, u)
    before = {name: value.clone() for name, value in state.items()}
    first, _ = network.stream(torch.ones(1, 1, 40, dtype=torch.float64), state, u)
    again, _ = network.stream(torch.ones(1, 1, 40, dtype=torch.float64), state, u)
    assert torch.equal(first, again)
    assert all(torch.equal(state[name], value) for name, value in before.items())
    held = sum(value.untyped_storage().nbytes() // value.element_size() for value in state.values())
    assert held == 4 * 1 + (16 + 64) * 8  # each block's reach, times its input's width


def test_gradients_flow_through_the_state():
    network, u = settled(), torch.rand(1, 3, dtype=torch.float64)
    x = torch.randn(1, 1, 20, dtype=torch.float64, requires_grad=True)
    _, state = network.stream(x, None, u)
    y, _ = network.stream(torch.zeros(1, 1, 5, dtype=torch.float64), state, u)
    assert torch.autograd.grad(y.sum(), x)[0].abs().sum() > 0


def test_no_samples():
    network, u = settled(in_channels=2, out_channels=3), torch.rand(1, 3, 4, dtype=torch.float64)
    assert network(torch.zeros(1, 4, 0, dtype=torch.float64), u).shape == (1, 6, 0)
    assert network(torch.zeros(0, 4, 9, dtype=torch.float64), u[:0, :, 0]).shape == (0, 6, 9)


def test_a_network_of_ones_own_streams_too():
    network = Delayed().eval()
    assert network.description == {"kind": "test_network", "num_controls": 1, "in_channels": 1, "out_channels": 1}
    assert network.receptive_field is None
    x, u = torch.randn(1, 2, 9), torch.rand(1, 1)
    torch.testing.assert_close(network(x, u)[..., 1:], 2 * u * x[..., :-1])
    torch.testing.assert_close(in_blocks(network, x, u, [4, 5]), network(x, u))


@pytest.mark.slow
def test_exported_without_python():
    network = TCN(2, blocks=2, channels=4).eval()
    samples = torch.export.Dim("samples", min=2, max=1 << 20)
    program = torch.export.export(
        network, (torch.randn(1, 1, 500), torch.rand(1, 2)), dynamic_shapes=({2: samples}, {0: None}), strict=False
    )
    x, u = torch.randn(1, 1, 777), torch.rand(1, 2)
    torch.testing.assert_close(program.module()(x, u), network(x, u))


def test_transformed_as_torch_transforms_functions():
    network, x, u = settled(), torch.randn(2, 2, 100, dtype=torch.float64), torch.rand(2, 3, dtype=torch.float64)
    alone = torch.vmap(lambda a, b: network(a[None], b[None])[0])(x, u)
    torch.testing.assert_close(alone, network(x, u), atol=1e-12, rtol=0)
    gradient = torch.func.grad(lambda b: network(x, b).square().sum())(u)
    leaf = u.clone().requires_grad_()
    torch.testing.assert_close(gradient, torch.autograd.grad(network(x, leaf).square().sum(), leaf)[0])
    compiled = torch.compile(network, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(x, u), network(x, u), atol=1e-12, rtol=0)


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda: settled(causal=False).stream(torch.zeros(1, 1, 9)), ValueError, "it is not causal.*causal=True"),
        (lambda: settled().train().stream(torch.zeros(1, 1, 9)), ValueError, r"training mode.*\.eval\(\)"),
        (lambda: settled().stream(torch.zeros(1, 1, 9)), ValueError, r"needs controls \(1, 3\) for every block; got none"),
        (lambda: settled()(torch.zeros(1, 1, 9), torch.zeros(1, 3)), TypeError, r"dtype torch.float64; got torch.float32"),
        (lambda: settled()(torch.zeros(1, 1, 9), torch.zeros(1, 3, 0)), ValueError, r"\(1, 3, frames\); got \(1, 3, 0\)"),
    ],
)
def test_what_cannot_be_is_one_sentence(call, error, sentence):
    with pytest.raises(error, match=f"^TCN: .*{sentence}"):
        call()


def test_the_state_of_another_batch_is_refused():
    network, u = settled(), torch.rand(2, 3, dtype=torch.float64)
    x = torch.zeros(2, 1, 9, dtype=torch.float64)
    _, state = network.stream(x, None, u)
    with pytest.raises(ValueError, match=r"^stream: expected a state of shape \(1, 1, 4\) under 'block 0'; got \(2, 1, 4\)"):
        network.stream(x[:1], state, u[:1])
