"""`check_network`: the public conformance suite of proxy networks."""

from __future__ import annotations

import copy
import itertools

import torch
from torch import Tensor

from proxies.network import Network, build, kinds

SAMPLES = 600


def check_network(network: Network, tolerance: float = 1e-9) -> None:
    """Check what every network must hold to, on a copy in double precision and evaluation mode.

    Its description builds it again, also without memory; the shapes are those of an effect; each control acts; value and gradient
    are finite at the corners of the controls, on silence and at full scale; the batch's items and the groups of channels do not
    hear each other; constant frames are static controls; nothing is heard from outside of the receptive field, or from the future
    where it is causal; blocks are the whole, or streaming is refused.

    Args:
        network: weights at random will do, if they are not zeros.
        tolerance: largest difference, of a signal of full scale, between two ways to the same output.

    Raises:
        AssertionError: a property does not hold; the message says which.
    """
    network = copy.deepcopy(network).double().eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(3, 2 * network.in_channels, SAMPLES, generator=generator, dtype=torch.float64) * 2 - 1
    u = torch.rand(3, network.num_controls, generator=generator, dtype=torch.float64) * 0.8 + 0.1
    y = network(x, u)
    _is_described(network)
    assert y.shape == (3, 2 * network.out_channels, SAMPLES), f"Output of shape {tuple(y.shape)} for audio {tuple(x.shape)}."
    _controls_act(network, x, u)
    for place, level in itertools.product((0.0, 0.5, 1.0), (0.0, 1.0)):
        _is_finite(network, level * x, torch.full_like(u, place), f"controls {place}, level {level}")

    def same(what: str, other: Tensor, own: Tensor = y) -> None:
        error = (other - own).abs().max().item()
        assert error <= tolerance, f"{what}: differs by {error:.3g}."

    same("Items of a batch one by one", torch.cat([network(x[i : i + 1], u[i : i + 1]) for i in range(3)]))
    same("Groups of channels one by one", torch.cat([network(part, u) for part in x.chunk(2, 1)], 1))
    for frames in (1, 7):
        same(f"{frames} constant frames", network(x, u[..., None].expand(-1, -1, frames)))
    _hears_its_field_only(network, x, u)
    if network.causal:
        for controls in (u, torch.rand(*u.shape, SAMPLES, generator=generator, dtype=torch.float64)):
            same("Blocks", _in_blocks(network, x, controls), network(x, controls))
    else:
        try:
            network.stream(x, None, u)
        except ValueError:
            return
        raise AssertionError("A network that is not causal must refuse to stream.")


def _is_described(network: Network) -> None:
    if network.kind not in kinds():
        return
    own = {name: value.shape for name, value in network.state_dict().items()}
    for device in ("cpu", "meta"):
        with torch.device(device):
            again = build(**network.description)
        assert again.description == network.description, f"Built again it is {again.description}, not {network.description}."
        built = {name: value.shape for name, value in again.state_dict().items()}
        assert built == own, f"Built again on {device} it has other tensors: {built.items() ^ own.items()}."


def _controls_act(network: Network, x: Tensor, u: Tensor) -> None:
    leaf = u.clone().requires_grad_()
    gradient = torch.autograd.grad(network(x, leaf).square().sum(), leaf)[0]
    dead = (gradient == 0).all(0).nonzero()[:, 0].tolist()
    assert not dead, f"Controls {dead} do nothing."


def _is_finite(network: Network, x: Tensor, u: Tensor, where: str) -> None:
    leaves = x.clone().requires_grad_(), u.requires_grad_()
    y = network(*leaves)
    gradients = torch.autograd.grad(y.square().sum(), leaves)
    for what, value in zip(("output", "gradient in the audio", "gradient in the controls"), (y, *gradients), strict=True):
        assert value.isfinite().all(), f"{what} is not finite at {where}."


def _hears_its_field_only(network: Network, x: Tensor, u: Tensor) -> None:
    at, leaf = SAMPLES // 2, x.clone().requires_grad_()
    heard = torch.autograd.grad(network(leaf, u)[..., at].sum(), leaf)[0].abs().amax((0, 1)).nonzero()[:, 0]
    first, last = (int(heard.min()), int(heard.max())) if len(heard) else (at, at)
    assert not network.causal or last <= at, f"It is causal, and hears {last - at} samples ahead."
    field = network.receptive_field
    assert field is None or last - first < field, f"Its receptive field is {field}, and it hears {last - first + 1} samples."


def _in_blocks(network: Network, x: Tensor, u: Tensor) -> Tensor:
    state, parts, start = None, [], 0
    for length in (1, 1, 0, 62, 1, 300, SAMPLES - 365):
        part = slice(start, start + length)
        y, state = network.stream(x[..., part], state, u[..., part] if u.ndim == 3 else u)
        parts.append(y)
        start += length
    return torch.cat(parts, 2)
