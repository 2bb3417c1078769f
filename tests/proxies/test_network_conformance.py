"""`check_network` on every kind of network, and on networks that each break one rule."""

import pytest
import torch

from proxies import TCN, Network, build
from proxies.network import kinds, per_sample
from proxies.testing import check_network

SMALL = {
    "tcn": {"blocks": 3, "growth": 3, "channels": 6},
    "room": {"combs": [40, 61], "allpasses": [20]},
    "series": {"networks": [{"kind": "filter", "controls": [0]}, {"kind": "gain"}]},
}


@pytest.mark.parametrize("kind", kinds())
def test_every_kind_conforms(kind):
    torch.manual_seed(0)
    check_network(build(kind, num_controls=3, **SMALL.get(kind, {})))


@pytest.mark.parametrize(
    "settings",
    [{"causal": False}, {"skip": True, "tanh": False, "condition": 0}, {"in_channels": 2, "out_channels": 1}, {"kernel": 1}],
    ids=str,
)
def test_every_form_of_tcn_conforms(settings):
    torch.manual_seed(0)
    check_network(TCN(2, **{"blocks": 3, "growth": 3, "channels": 6, **settings}))


class Gain(Network):
    """A network that holds to the rules."""

    def __init__(self, num_controls: int = 2, *, causal: bool = True) -> None:
        super().__init__(locals())
        self.weight = torch.nn.Parameter(torch.ones(1))

    def process(self, x, controls, state):
        return self.weight * x * per_sample(controls, x.shape[2]).sum(1, keepdim=True)


def broken(process, field=None, causal=True) -> Network:
    """A gain with another `process`."""
    fields = {"process": process, "receptive_field": field, "__module__": __name__}
    return type("Broken", (Gain,), fields)(causal=causal)


def test_a_gain_conforms():
    check_network(Gain())


def whole(self, x, u, state):
    return Gain.process(self, x, u, state)


@pytest.mark.parametrize(
    ("network", "sentence"),
    [
        (broken(lambda self, x, u, state: whole(self, x, u[:, :1], state)), r"Controls \[1\] do nothing"),
        (broken(lambda self, x, u, state: x.abs().sqrt() * whole(self, x, u, state).log()), "output is not finite at controls 0"),
        (broken(lambda self, x, u, state: whole(self, x, u, state) - x.mean(0)), "Items of a batch one by one: differs"),
        (broken(lambda self, x, u, state: whole(self, x, u, state) * (1 if u.ndim == 2 else 2)), "1 constant frames: differs"),
        (broken(lambda self, x, u, state: whole(self, x.roll(-1, 2), u, state)), "hears 1 samples ahead"),
        (broken(lambda self, x, u, state: whole(self, x.roll(1, 2), u, state) + x, 1), "field is 1, and it hears 2 samples"),
        (broken(lambda self, x, u, state: whole(self, x.roll(1, 2), u, state)), "Blocks: differs"),
    ],
)  # fmt: skip
def test_each_rule_is_checked(network, sentence):
    with pytest.raises(AssertionError, match=sentence):
        check_network(network)
