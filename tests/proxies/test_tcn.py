"""The published networks: size, receptive field, causality, conditioning; and that the network is an Fn."""

import copy

import pytest
import torch

from proxies import TCN

PUBLISHED = {  # preset, controls: parameters, receptive field
    ("TCN-100", 2): (25_905, 4_445),
    ("TCN-300", 2): (50_737, 13_333),
    ("TCN-1000", 2): (33_201, 44_445),
    ("TCN-324", 2): (162_161, 14_323),
    ("DeepAFx-ST", 18): (171_137, 7_021),
    ("DeepAFx-ST", 6): (164_993, 7_021),
    ("DeepAFx-ST", 24): (174_209, 7_021),
}
# Fields of the networks that are our reading of what was not published, from 1 + 14 taps * 1,023 for each ten blocks.
READ = {("TCN-10", 2): 14_323, ("TCN-20", 2): 28_645, ("TCN-30", 2): 42_967}
FIELDS = {preset: field for preset, (_, field) in PUBLISHED.items()} | READ


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def small(**settings) -> TCN:
    """Double precision, evaluation mode, statistics of the normalisation away from their neutral start."""
    network = TCN(3, **{"blocks": 3, "growth": 4, "kernel": 3, "channels": 8, **settings})
    network(torch.randn(4, network.in_channels, 400), torch.rand(4, 3))
    return network.double().eval()


def reach(network: TCN, samples: int, at: int) -> torch.Tensor:
    """Positions of the input on which output sample `at` depends, by the gradient."""
    x = torch.randn(1, 1, samples, dtype=torch.float64, requires_grad=True)
    network.double().eval()(x, torch.rand(1, network.num_controls, dtype=torch.float64))[0, 0, at].backward()
    return x.grad[0, 0].nonzero()[:, 0]


def name_of(preset) -> str:
    return "-".join(map(str, preset))


@pytest.mark.parametrize("preset", PUBLISHED, ids=name_of)
def test_published_size(preset):
    assert sum(p.numel() for p in TCN.preset(*preset).parameters()) == PUBLISHED[preset][0]


@pytest.mark.parametrize("preset", FIELDS, ids=name_of)
def test_published_receptive_field(preset):
    field = FIELDS[preset]
    network = TCN.preset(*preset, channels=2)  # the width is not part of it
    assert network.receptive_field == field
    touched = reach(network, field + 50, at=field + 20)
    assert touched.min() == 21
    assert touched.max() == field + 20


def test_a_preset_is_a_start():
    network = TCN.preset("TCN-20", 5, causal=False, skip=True)
    assert network.description == {
        "kind": "tcn", "num_controls": 5, "in_channels": 1, "out_channels": 1, "blocks": 20, "growth": 2, "kernel": 15,
        "channels": 32, "condition": 32, "stack": 10, "causal": False, "bias": False, "skip": True, "tanh": True,
    }  # fmt: skip


def test_conditioning_without_a_network_of_its_own():
    network, x = small(condition=0), torch.randn(1, 1, 30, dtype=torch.float64)
    assert network.blocks[0].film.in_features == 3
    still, moving = torch.rand(1, 3, dtype=torch.float64), torch.rand(1, 3, 4, dtype=torch.float64)
    assert network(x, still).shape == network(x, moving).shape == x.shape


def test_skip_adds_the_input_before_the_output_is_bounded():
    network = small(tanh=False)
    other = small(skip=True, tanh=False)
    bounded = small(skip=True)
    other.load_state_dict(network.state_dict())
    bounded.load_state_dict(network.state_dict())
    x, u = torch.randn(2, 3, 50, dtype=torch.float64), torch.rand(2, 3, dtype=torch.float64)
    torch.testing.assert_close(other(x, u), x + network(x, u), atol=1e-12, rtol=0)
    torch.testing.assert_close(bounded(x, u), other(x, u).tanh(), atol=1e-12, rtol=0)
    assert other(5 * x, u).abs().max() > 1 > bounded(5 * x, u).abs().max()


def test_dilation_starts_over_after_a_stack():
    assert TCN(1, blocks=5, growth=2, stack=3).dilations == (1, 2, 4, 1, 2)


def test_causal_network_does_not_hear_the_future():
    network, x, u = small(), torch.randn(1, 1, 300, dtype=torch.float64), torch.rand(1, 3, dtype=torch.float64)
    later = x.clone()
    later[..., 200:] += 1.0
    assert torch.equal(network(x, u)[..., :200], network(later, u)[..., :200])
    assert not torch.equal(network(x, u)[..., 200:], network(later, u)[..., 200:])


def test_network_that_is_not_causal_looks_both_ways():
    touched = reach(small(causal=False), 300, at=150)
    field = small().receptive_field
    assert (touched.min(), touched.max()) == (150 - field // 2, 150 + field // 2)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("samples", [1, 7, 500])
def test_output_is_as_long_as_the_input(causal, samples):
    network = TCN(3, blocks=2, kernel=4, channels=4, causal=causal).eval()
    assert network(torch.randn(2, 2, samples), torch.rand(2, 3)).shape == (2, 2, samples)


def test_every_control_acts_and_has_the_right_gradient():
    network, x = small(), torch.randn(2, 1, 60, dtype=torch.float64)
    u = torch.rand(2, 3, dtype=torch.float64, requires_grad=True)
    gradient = torch.autograd.grad(network(x, u).square().sum(), u)[0]
    assert (gradient != 0).all()
    assert torch.autograd.gradcheck(network, (x.requires_grad_(), u), fast_mode=True)


def test_constant_frames_are_static():
    network, x, u = small(), torch.randn(2, 1, 200, dtype=torch.float64), torch.rand(2, 3, dtype=torch.float64)
    for frames in (1, 9, 200):
        torch.testing.assert_close(network(x, u[..., None].expand(-1, -1, frames)), network(x, u), atol=1e-12, rtol=0)


def test_frames_act_where_they_are():
    network, x = small(), torch.randn(1, 1, 400, dtype=torch.float64)
    still = torch.full((1, 3, 8), 0.2, dtype=torch.float64)
    moving = still.clone()
    moving[..., 6:] = 0.9
    difference = (network(x, moving) - network(x, still)).abs()[0, 0]
    assert difference[:275].max() == 0  # up to the centre of frame 5, from which the controls glide to frame 6
    assert difference[300:].min() > 0


def test_channels_and_batch_items_are_independent():
    network, x, u = small(), torch.randn(2, 5, 100, dtype=torch.float64), torch.rand(2, 3, dtype=torch.float64)
    y = network(x, u)
    for item in range(2):
        for channel in range(5):
            alone = network(x[item, channel][None, None], u[item][None])
            torch.testing.assert_close(y[item, channel], alone[0, 0], atol=1e-12, rtol=0)


def test_channels_may_be_seen_together():
    network = small(in_channels=2, out_channels=3)
    x, u = torch.randn(1, 4, 50, dtype=torch.float64), torch.rand(1, 3, dtype=torch.float64)
    y = network(x, u)
    assert y.shape == (1, 6, 50)
    torch.testing.assert_close(y[:, 3:], network(x[:, 2:], u), atol=1e-12, rtol=0)
    assert not torch.equal(network(x.flip(1), u), y)


def test_serves_as_the_proxy_of_an_effect():
    from dasp import Gain

    network = TCN(1, blocks=2, channels=4).eval()
    x, u = torch.randn(1, 2, 64), torch.rand(1, 1, requires_grad=True)
    y = Gain(gradient="proxy", proxy=network)(x, u)
    assert torch.equal(y, network(x, u))
    y.square().sum().backward()
    assert u.grad is not None
    assert (u.grad != 0).all()


def test_copies_and_state():
    network, x, u = small(), torch.randn(1, 1, 50, dtype=torch.float64), torch.rand(1, 3, dtype=torch.float64)
    other = small()
    with torch.no_grad():
        other.output.bias += 1.0
    other.load_state_dict(network.state_dict())
    assert torch.equal(other(x, u), network(x, u))
    assert torch.equal(copy.deepcopy(network)(x, u), network(x, u))


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: small()(torch.zeros(5), torch.zeros(1, 3)), r"audio \(B, C, T\); got \(5,\)"),
        (lambda: small(in_channels=2)(torch.zeros(1, 3, 9), torch.zeros(1, 3)), r"\(B, a multiple of 2, T\); got \(1, 3, 9\)"),
        (lambda: small()(torch.zeros(1, 1, 9), torch.zeros(1, 2)), r"controls \(1, 3\) or \(1, 3, frames\); got \(1, 2\)"),
        (lambda: small()(torch.zeros(2, 1, 9), torch.zeros(1, 3)), r"controls \(2, 3\) or \(2, 3, frames\); got \(1, 3\)"),
        (lambda: TCN.preset("TCN-200"), "no preset 'TCN-200'; there are TCN-100, TCN-300, TCN-1000, TCN-324"),
        (lambda: TCN(0), "num_controls must be an integer of at least 1; got 0"),
        (lambda: TCN(1, in_channels=3, channels=8), "multiple of in_channels=3; got 8"),
        (lambda: TCN(1, in_channels=2, skip=True), "out_channels must be in_channels=2; got 1"),
        (lambda: TCN(1, kernel=2.0), "kernel must be an integer of at least 1; got 2.0"),
        (lambda: TCN(1, condition=-1), "condition must be an integer of at least 0; got -1"),
        (lambda: TCN(1, blocks=7), "may be 1048576 samples; it is longer with 7 blocks"),
    ],
)
def test_wrong_arguments_are_one_sentence(call, sentence):
    with pytest.raises(ValueError, match=f"^TCN: .*{sentence}"):
        call()
