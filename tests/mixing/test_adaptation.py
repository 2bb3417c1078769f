"""A mix found by descent through proxies: frozen ones, and ones that are fine-tuned while they are used."""

import torch
from synthetic import RATE, stem
from torch import nn

from dasp import Chain, Gain
from gradients import Hybrid, OnlineAdaptation
from mixing import Console, Controls, Multitrack


class Upside(nn.Module):
    """A gain whose control has the wrong direction."""

    def __init__(self):
        super().__init__()
        self.decibels = nn.Parameter(torch.tensor([0.0, -20.0]))

    def forward(self, x, u):
        level = self.decibels[0] + self.decibels[1] * (u[:, :1, None] - 0.5).to(x.dtype)
        return x * 10 ** (level / 20)


def found(adapt):
    """Track gains (N,) in [0, 1] that descent finds for a mix made at 0.55, 0.45 and 0.6, and the loss before and behind."""
    tracks = Multitrack.from_tracks([stem(k, 0.2) for k in range(3)], RATE)
    exact = Console(Chain(Gain(RATE)))
    controls = exact.defaults(1, 3)
    goal = controls.tracks.clone()
    goal[0, :, 0] = torch.tensor([0.55, 0.45, 0.6])
    reference = exact(tracks, Controls(goal, controls.buses, controls.master)).audio
    console = Console(Chain(Gain(RATE, proxy=Upside())), gradient=Hybrid(forward="whitebox", adapt=adapt))
    gains = torch.full((1, 3, 1), 0.5, dtype=torch.float64, requires_grad=True)
    optimiser, losses = torch.optim.Adam([gains], lr=0.01), []
    for _ in range(150):
        mixed = console(tracks, Controls(torch.cat([gains, controls.tracks[..., 1:]], -1), controls.buses, controls.master))
        loss = (mixed.audio - reference).square().mean() / reference.square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        with torch.no_grad():
            gains.clamp_(0, 1)
        losses.append(float(loss.detach()))
    return gains.detach()[0, :, 0], losses, console


def test_a_mix_is_found_through_proxies_that_adapt_and_not_through_frozen_ones():
    _, frozen, _ = found(None)
    gains, adapted, console = found(OnlineAdaptation(lr=3.0, steps=3, spread=0.1))
    assert frozen[-1] > frozen[0]
    assert adapted[-1] < 0.01 * adapted[0]
    torch.testing.assert_close(gains, torch.tensor([0.55, 0.45, 0.6], dtype=torch.float64), atol=0.01, rtol=0)
    (proxy,) = (m for m in console.modules() if isinstance(m, Upside))
    assert proxy.decibels.tolist() == [0.0, -20.0], "the adaptation holds what was learned, not the network"
