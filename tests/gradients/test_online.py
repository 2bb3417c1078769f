"""Frozen and adapted proxies; what a proxy says of inputs outside its training."""

import copy
import pickle
import warnings

import pytest
import torch
from torch import nn

from gradients import Hybrid, OnlineAdaptation, Proxy, Target


def box(x, u):
    return x * (0.5 + u[:, :, None].to(x.dtype))


class Wrong(nn.Module):
    """The box's own form, with the control's sign the wrong way round."""

    def __init__(self):
        super().__init__()
        self.offset, self.slope = nn.Parameter(torch.tensor(1.5)), nn.Parameter(torch.tensor(-1.0))
        self.register_buffer("one", torch.ones(()))

    def forward(self, x, u):
        return x * (self.offset * self.one + self.slope * u[:, :, None].to(x.dtype))


def descend(strategy, proxy, steps=120):
    """Controls that should make the box's output meet that at 0.9, from 0.3; the loss of the real box at the end."""
    x = torch.randn(2, 1, 64, generator=torch.Generator().manual_seed(1))
    goal, u = box(x, torch.full((2, 1), 0.9)), torch.full((2, 1), 0.3, requires_grad=True)
    target, optimiser = Target("box", None, lambda x, u: box(x, u).detach(), proxy, training=True), torch.optim.Adam([u], lr=0.05)
    for _ in range(steps):
        optimiser.zero_grad()
        (strategy(target, x, u) - goal).square().mean().backward()
        optimiser.step()
        with torch.no_grad():
            u.clamp_(0, 1)
    with torch.no_grad():
        return float((box(x, u) - goal).square().mean()), u.detach()


@pytest.mark.parametrize("kind", [Proxy, Hybrid, lambda **k: Hybrid(when="eval", **k)], ids=["proxy", "hybrid", "half"])
def test_online_descent_reaches_what_the_frozen_proxy_does_not(kind):
    frozen, _ = descend(kind(), Wrong())
    proxy, adaptation = Wrong(), OnlineAdaptation(lr=0.05, steps=5, spread=0.3)
    adapted, u = descend(kind(adapt=adaptation), proxy)
    assert frozen > 0.1
    unmoved = OnlineAdaptation(lr=0.05, steps=5)
    assert descend(kind(adapt=unmoved), Wrong())[0] > 0.1, "one point teaches no derivative"
    assert unmoved.losses[-1] < 1e-3
    assert adapted < 1e-3
    torch.testing.assert_close(u, torch.full((2, 1), 0.9), atol=0.05, rtol=0)
    assert len(adaptation.losses) == 120 * 5 and adaptation.losses[-1] < 1e-3 * adaptation.losses[0]
    assert (proxy.slope.item(), proxy.slope.grad) == (-1.0, None), "the network itself is not written to"
    proxy.load_state_dict(adaptation.state(proxy))
    assert proxy.slope > 0


def test_adaptation_is_deterministic_and_takes_its_turns():
    runs = []
    for _ in range(2):
        adaptation, proxy = OnlineAdaptation(lr=0.02, every=3, steps=2, spread=0.1), Wrong()
        runs.append((descend(Hybrid(adapt=adaptation), proxy, steps=10), adaptation.losses))
    assert torch.equal(runs[0][0][1], runs[1][0][1]) and runs[0][1] == runs[1][1]
    assert len(runs[0][1]) == 2 * 4  # calls 1, 4, 7 and 10


def test_no_learning_in_evaluation_or_without_gradients():
    adaptation, proxy = OnlineAdaptation(), Wrong()
    x, u = torch.ones(1, 1, 4), torch.full((1, 1), 0.5, requires_grad=True)
    target = Target("box", None, box, proxy, training=False)
    for strategy in (Proxy(adapt=adaptation), Hybrid(adapt=adaptation)):
        strategy(target, x, u)
        with torch.no_grad():
            strategy(Target("box", None, box, proxy, training=True), x, u)
    assert not adaptation.losses
    assert torch.equal(Proxy(adapt=adaptation)(target, x, u), proxy(x, u))


def test_passes_under_way_are_left_alone_and_two_effects_share_a_proxy():
    adaptation, proxy = OnlineAdaptation(lr=0.1, steps=3), Wrong()
    target = Target("box", None, lambda x, u: box(x, u).detach(), proxy, training=True)
    x = torch.randn(1, 1, 16)
    u, v = (torch.full((1, 1), c, requires_grad=True) for c in (0.2, 0.7))
    first = Proxy(adapt=adaptation)(target, x, u)
    slope = adaptation.state(proxy)["slope"]
    second = Hybrid(adapt=adaptation)(target, x, v)  # adapts again, before the first one's backward pass
    assert adaptation.state(proxy)["slope"] != slope
    (first.sum() + second.sum()).backward()
    torch.testing.assert_close(u.grad, (slope * x.sum()).reshape(1, 1))


def test_float64_audio_and_a_network_of_floats():
    x, u = torch.randn(1, 1, 16, dtype=torch.float64), torch.full((1, 1), 0.5, dtype=torch.float64, requires_grad=True)
    y = Hybrid(adapt=OnlineAdaptation())(Target("box", None, box, Wrong(), training=True), x, u)
    assert torch.autograd.grad(y.sum(), u)[0].dtype == torch.float64


def test_what_it_refuses():
    with pytest.raises(ValueError, match="every must be above 0; got 0"):
        OnlineAdaptation(every=0)
    target = Target("box", None, box, box, training=True)
    with pytest.raises(TypeError, match=r"box: OnlineAdaptation needs a proxy with parameters.*got function"):
        Proxy(adapt=OnlineAdaptation())(target, torch.ones(1, 1, 4), torch.ones(1, 1))


def test_strategy_and_effect_survive_copies_together():
    adaptation, proxy = OnlineAdaptation(lr=0.02), Wrong()
    descend(Hybrid(adapt=adaptation), proxy, steps=3)
    for strategy, network in (
        copy.deepcopy((Hybrid(adapt=adaptation), proxy)),
        pickle.loads(pickle.dumps((Hybrid(adapt=adaptation), proxy))),
    ):
        assert torch.equal(strategy.adapt.state(network)["slope"], adaptation.state(proxy)["slope"])
        descend(strategy, network, steps=1)
        assert len(strategy.adapt.losses) == 4
    assert len(adaptation.losses) == 3


def test_an_adaptation_goes_on_where_its_state_was_taken():
    def drive(adaptation, proxies, calls):
        x, u = torch.randn(2, 1, 16, generator=torch.Generator().manual_seed(2)), torch.full((2, 1), 0.4)
        for k in range(calls):
            for proxy in proxies:
                adaptation.follow("box", proxy, box, x, u, box(x, u) * (1 + 0.1 * k), {})
        return [adaptation.state(proxy)["slope"] for proxy in proxies]

    pair, settings = (Wrong(), Wrong()), {"lr": 0.02, "every": 2, "spread": 0.3}
    whole = OnlineAdaptation(**settings)
    drive(whole, pair, 3)
    saved = copy.deepcopy(whole.state_dict())
    again = OnlineAdaptation(**settings)
    again.load_state_dict(saved)
    assert again.state_dict()["losses"] == saved["losses"] and len(again.state_dict()["students"]) == 2, "before it is used"
    assert drive(again, pair, 4) == drive(whole, pair, 4)
    assert again.losses == whole.losses
    with pytest.raises(ValueError, match="has met a proxy"):
        again.load_state_dict(saved)
    other = OnlineAdaptation()
    other.load_state_dict(saved)
    with pytest.raises(ValueError, match="of another proxy"):
        other.follow("box", nn.Linear(1, 1), box, torch.ones(1, 1, 1), torch.ones(1, 1), torch.ones(1, 1, 1), {})


class Telling(Wrong):
    def outside(self, x, u):
        return [f"control {i} above its range" for i in range(u.shape[1]) if bool((u[:, i] > 1).any())]


@pytest.mark.parametrize("kind", [Proxy, Hybrid])
def test_each_cause_outside_the_training_is_told_once(kind):
    target, strategy = Target("box", None, box, Telling()), kind(warn_outside=True)
    x, inside, above = torch.ones(1, 1, 4), torch.ones(1, 1), torch.full((1, 1), 1.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        strategy(target, x, inside)
        kind()(target, x, above)
    with pytest.warns(UserWarning, match=r"box: control 0 above its range; sound and gradient"):
        strategy(target, x, above)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        strategy(target, x, above)
        torch.func.vmap(lambda x: kind(warn_outside=True)(target, x, inside))(x[None])
    with pytest.warns(UserWarning, match="does not say what it was trained on"):
        kind(warn_outside=True)(Target("box", None, box, Wrong()), x, inside)


def test_a_view_that_is_yet_to_be_made_is_told_at_the_call():
    class Late:
        def prepare(self):
            raise ValueError("box: no file")

    with pytest.raises(ValueError, match="no file"):
        Hybrid()(Target("box", None, box, Late()), torch.ones(1, 1, 4), torch.ones(1, 1))
