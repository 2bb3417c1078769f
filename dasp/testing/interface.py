"""Checks of the interface: the table, torch's transforms, copies, messages."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from dasp.chain import Compound
from dasp.testing.signals import RATE, Make, assert_equal, setting


def check_table(make: Make) -> None:
    """Names are unique, and [0, 1] <-> physical round-trips over the range."""
    effect = make(RATE)
    names = [q.name for q in effect.controls]
    assert len(set(names)) == len(names), f"{effect.name}: a name occurs twice: {names}"
    u = torch.linspace(0, 1, 33, dtype=torch.float64)
    for q in effect.controls:
        value = q.to_physical(u)
        assert torch.allclose(q.to_unit(value), u, atol=1e-12), f"{effect.name}: {q.name} does not round-trip"
        assert math.isclose(value[0], q.low) and math.isclose(value[-1], q.high), f"{effect.name}: {q.name}'s ends are off"
        assert q.doc, f"{effect.name}: {q.name} has no doc"


def check_transforms(make: Make) -> None:
    """vmap is a loop, torch.func.grad is backward, jacrev has the Jacobian's shape."""
    effect, x, u = setting(make)
    if not effect.controls:
        return
    xs, us = torch.stack([x, x.flip(-1)]), torch.stack([u, 1 - u])
    mapped = torch.func.vmap(lambda x, u: effect(x, u))(xs, us)
    looped = torch.stack([effect(x, u) for x, u in zip(xs, us, strict=True)])
    assert_equal(mapped, looped, -240, "vmap against a loop", effect)

    def loss(u: Tensor) -> Tensor:
        return (effect(x, u) ** 2).mean()

    by_func = torch.func.grad(loss)(u)
    by_backward = torch.autograd.grad(loss(v := u.clone().requires_grad_()), v)[0]
    assert_equal(by_func, by_backward, -200, "torch.func.grad against backward", effect)
    rows = torch.func.jacrev(lambda u: (effect(x, u) ** 2).mean((1, 2)))(u)
    assert_equal(rows[0], by_backward, -200, "jacrev against backward", effect)


def check_compile(make: Make) -> None:
    """torch.compile(fullgraph=True) gives the eager values and gradients."""
    effect, x, u = setting(make)
    x = x[..., :512].float()
    torch.compiler.reset()  # all effects share one forward, and dynamo counts its recompilations
    compiled = torch.compile(effect, fullgraph=True, backend="aot_eager")
    outputs = []
    for run in (effect, compiled):
        v = u.clone().requires_grad_()
        y = run(x, v)
        gradient = torch.autograd.grad(y.square().sum(), v)[0] if effect.controls else v
        outputs.append((y, gradient))
    assert_equal(outputs[1][0], outputs[0][0], -100, "compiled against eager", effect)
    if effect.controls:
        assert_equal(outputs[1][1], outputs[0][1], -80, "compiled gradient against eager", effect)


def check_copies(make: Make) -> None:
    """pickle, deepcopy, .to(float64) and a state_dict round trip keep the effect."""
    effect, x, u = setting(make)
    other = make(RATE, gradient="spsa")
    assert pickle.loads(pickle.dumps(other)).gradient == other.gradient, f"{effect.name}: pickle lost the strategy"
    expected = effect(x, u)
    for what, twin in (("pickle", pickle.loads(pickle.dumps(effect))), ("deepcopy", copy.deepcopy(effect))):
        assert torch.equal(twin(x, u), expected), f"{effect.name}: {what} changed the sound"
    effect.to(torch.float64).load_state_dict(effect.state_dict())
    assert torch.equal(effect(x, u), expected), f"{effect.name}: .to(float64) or a state_dict round trip changed the sound"


def check_messages(make: Make) -> None:
    """Each shape rule, broken by one: the message names the effect, and the control where one is meant."""
    effect, x, u = setting(make)
    cases: list[tuple[Callable[[], Any], str]] = [
        (lambda: effect(x[0], u), "(batch, channels, samples)"),
        (lambda: effect(x.long(), u), "float32 or float64"),
        (lambda: effect(x, torch.cat([u, u[:, :1]], 1) if u.shape[1] else u.new_zeros(1, 1)), "controls must be"),
        (lambda: effect(x, torch.cat([u, u])), "controls must be"),
        (lambda: effect(x, no_such_control=1.0), "no_such_control"),
        (lambda: make(-1.0), "sample_rate") if not isinstance(effect, Compound) else (lambda: effect(x[0], u), "batch"),
    ]
    if effect.channels:
        wrong = max(effect.channels) + 1
        cases.append((lambda: effect(x[:, :1].expand(-1, wrong, -1), u), "channels"))
    if "sidechain" not in effect.takes:
        cases.append((lambda: effect(x, u, sidechain=x), "sidechain"))
    for call, word in cases:
        try:
            call()
        except (ValueError, TypeError) as error:
            assert effect.name in str(error) and word in str(error), f"{effect.name}: a message with holes: {error}"
        else:
            raise AssertionError(f"{effect.name}: accepts what it should refuse ({word})")
