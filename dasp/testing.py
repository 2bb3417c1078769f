"""`check_effect`: the public conformance suite of effects. Each check answers a defect that a published library has.

    import pytest
    from dasp.testing import CHECKS, check_effect

    @pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.__name__)
    def test_my_effect(check):
        check(MyEffect)

A check takes the effect's class (or a function that makes one, given the arguments of Effect's constructor) and raises
AssertionError with the figure that is off.
"""

from __future__ import annotations

import copy
import importlib.util
import itertools
import math
import pickle
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from dasp.chain import Compound
from dasp.effect import Effect

Make = Callable[..., Effect]
RATE = 44100


def check_effect(make: Make) -> list[str]:
    """Run every check on an effect.

    Args:
        make: the effect's class, or a function with its constructor's arguments.

    Returns:
        the names of the checks that applied and passed.

    Raises:
        AssertionError: the first check that failed.
    """
    return [check.__name__ for check in CHECKS if check(make) is not False]


def music(rate: float = RATE, seconds: float = 0.1, channels: int = 2, batch: int = 1, seed: int = 0) -> Tensor:
    """An exciting signal, float64 (B, C, T): struck decaying tones from 60 Hz to 8 kHz over a little noise; every channel differs,
    the same sound at every rate, and loud enough (peak 0.9) that thresholds are crossed."""
    samples = round(seconds * rate)
    generator = torch.Generator().manual_seed(seed)
    t = torch.arange(samples, dtype=torch.float64) / rate
    frequency = torch.logspace(math.log10(60), math.log10(8000), 24, dtype=torch.float64)
    phase = torch.rand(batch, channels, 24, 1, generator=generator, dtype=torch.float64) * 2 * math.pi
    onset = torch.rand(batch, channels, 24, 1, generator=generator, dtype=torch.float64) * seconds * 0.5
    decay = torch.exp(-(t - onset).clamp_min(0) / (0.2 * seconds)) * (t >= onset)
    tones = (torch.sin(2 * math.pi * frequency[:, None] * t + phase) * decay).sum(2)
    noise = torch.randn(batch, channels, samples, generator=generator, dtype=torch.float64)
    x = tones + 0.05 * noise
    return 0.9 * x / x.abs().amax(-1, keepdim=True).clamp_min(1e-9)


def draw(effect: Effect, batch: int = 1, seed: int = 1, low: float = 0.2, high: float = 0.8) -> Tensor:
    """Random controls (batch, P), float64, away from the edges."""
    generator = torch.Generator().manual_seed(seed)
    return low + (high - low) * torch.rand(batch, len(effect.controls), generator=generator, dtype=torch.float64)


def _widths(effect: Effect) -> tuple[int, ...]:
    return effect.channels or (1, 2, 5)


def _width(effect: Effect) -> int:
    return 2 if 2 in _widths(effect) else _widths(effect)[0]


def _setting(make: Make, **kwargs: Any) -> tuple[Effect, Tensor, Tensor]:
    effect = make(RATE, **kwargs)
    return effect, music(channels=_width(effect)), draw(effect)


def _error_db(a: Tensor, b: Tensor) -> float:
    """Energy of a - b over that of b, in dB."""
    a, b = a.detach().double(), b.detach().double()
    return float(10 * torch.log10(((a - b) ** 2).sum().clamp_min(1e-300) / (b**2).sum().clamp_min(1e-300)))


def _equal(a: Tensor, b: Tensor, db: float, what: str, effect: Effect) -> None:
    assert a.shape == b.shape, f"{effect.name}: {what}: shapes {tuple(a.shape)} and {tuple(b.shape)}"
    error = _error_db(a, b)
    assert error <= db, f"{effect.name}: {what}: they differ by {error:.1f} dB, allowed {db:.0f} dB"


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


def check_acts(make: Make) -> None:
    """The output differs from the input by more than a floor, before any other claim counts."""
    effect, x, u = _setting(make)
    error = _error_db(effect(x, u), x.expand_as(effect(x, u)))
    assert error > -40, f"{effect.name}: the output is the input to {error:.0f} dB; nothing is tested"


def check_controls_alive(make: Make) -> None:
    """Every control has a gradient on an exciting signal: no release that is accepted and never used."""
    effect, x, u = _setting(make)
    u.requires_grad_()
    y = effect(x, u)
    weight = torch.randn(y.shape, generator=torch.Generator().manual_seed(3), dtype=y.dtype)
    (gradient,) = torch.autograd.grad((y * weight).sum(), u)
    for q, g in zip(effect.controls, gradient[0], strict=True):
        assert g.abs() > 1e-9, f"{effect.name}: {q.name} has no effect on the output (gradient {g:.1e})"


def check_finite(make: Make) -> None:
    """Values and gradients are finite at the corners of the table, on silence, at full scale and on an impulse."""
    effect = make(RATE)
    count, width = len(effect.controls), _width(effect)
    if count <= 6:
        corners = torch.tensor(list(itertools.product((0.0, 1.0), repeat=count)), dtype=torch.float64).reshape(-1, count)
    else:
        random = torch.randint(0, 2, (32, count), generator=torch.Generator().manual_seed(0)).double()
        corners = torch.cat([torch.zeros(1, count), torch.ones(1, count), torch.eye(count), 1 - torch.eye(count), random]).double()
    samples = 600
    impulse = torch.zeros(1, width, samples, dtype=torch.float64)
    impulse[..., 3] = 1.0
    square = torch.ones(1, width, samples, dtype=torch.float64)
    square[..., ::2] = -1.0
    for dtype in (torch.float32, torch.float64):
        for what, signal in (("silence", torch.zeros_like(impulse)), ("an impulse", impulse), ("full scale", square)):
            x = signal.to(dtype).repeat(len(corners), 1, 1).requires_grad_()
            u = corners.clone().requires_grad_()
            y = effect(x, u)
            assert y.isfinite().all(), f"{effect.name}: not finite on {what} at {_first_bad(effect, y, corners)}"
            gx, gu = torch.autograd.grad(y.sum(), (x, u), allow_unused=True)
            for g, of in ((gx, "audio"), (gu, "controls")):
                assert g is None or g.isfinite().all(), (
                    f"{effect.name}: the gradient of the {of} is not finite on {what} at {_first_bad(effect, g, corners)}"
                )


def _first_bad(effect: Effect, y: Tensor, corners: Tensor) -> str:
    row = corners[(~y.isfinite()).flatten(1).any(1).nonzero()[0, 0]]
    return ", ".join(f"{q.name}={q.to_physical(float(v)):g}" for q, v in zip(effect.controls, row, strict=True))


def check_gradients(make: Make) -> None:
    """torch.autograd.gradcheck in float64 of audio and controls, static and time-varying."""
    effect, x, u = _setting(make)
    x = x[..., :2500]

    def run(x: Tensor, u: Tensor) -> Tensor:
        return effect(x, u)

    inputs = (x.clone().requires_grad_(), u.clone().requires_grad_())
    assert torch.autograd.gradcheck(run, inputs, fast_mode=True, atol=1e-4, rtol=1e-3), effect.name
    if not effect.static and effect.controls:
        moving = (u[..., None] + torch.linspace(-0.1, 0.1, 5, dtype=u.dtype)).requires_grad_()
        assert torch.autograd.gradcheck(run, (inputs[0], moving), fast_mode=True, atol=1e-4, rtol=1e-3), effect.name


def check_float32_gradient(make: Make) -> None:
    """The gradient for float32 audio is the float64 one: cosine within 1e-6 of 1, norm within 0.1 %."""
    effect, x, u = _setting(make)
    if not effect.controls:
        return
    weight = torch.randn(effect(x, u).shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)

    def gradient(dtype: torch.dtype) -> Tensor:
        v = u.clone().requires_grad_()
        return torch.autograd.grad((effect(x.to(dtype), v) * weight.to(dtype)).sum(), v)[0].flatten()

    single, double = gradient(torch.float32), gradient(torch.float64)
    cosine = torch.nn.functional.cosine_similarity(single, double, dim=0)
    assert cosine > 1 - 1e-6, f"{effect.name}: cosine of the float32 gradient {cosine:.9f}"
    ratio = single.norm() / double.norm()
    assert abs(ratio - 1) < 1e-3, f"{effect.name}: norm of the float32 gradient off by {ratio - 1:.1e}"


def check_shapes(make: Make) -> None:
    """A batch of 3 is three batches of 1, with 1, 2 and 5 channels; short and empty signals pass."""
    effect = make(RATE)
    for width in _widths(effect):
        x, u = music(channels=width, batch=3, seconds=0.05), draw(effect, 3)
        whole = effect(x, u)
        single = torch.cat([effect(x[i : i + 1], u[i : i + 1]) for i in range(3)])
        _equal(whole, single, -250, f"batch of 3 against three of 1, {width} channels", effect)
        for samples in (0, 1, 2, 3):
            y = effect(x[..., :samples], u)
            assert y.shape[2] == samples and y.isfinite().all(), f"{effect.name}: {samples} samples gave {tuple(y.shape)}"


def check_dual_mono(make: Make) -> bool | None:
    """Two equal channels sound as one: no detector that sums them."""
    effect = make(RATE)
    if effect.links_channels or not {1, 2} <= set(_widths(effect)):
        return False
    x, u = music(channels=1), draw(effect)
    mono = effect(x, u)
    stereo = effect(x.expand(-1, 2, -1), u)
    _equal(stereo, mono.expand_as(stereo), -250, "dual mono against mono", effect)
    return None


def check_pure(make: Make) -> None:
    """The same input twice gives the same output, in training and evaluation mode; the caller's tensors are untouched."""
    effect, x, u = _setting(make)
    before = x.clone(), u.clone()
    first, second = effect(x, u), effect.eval()(x, u)
    assert torch.equal(first, second), f"{effect.name}: two runs differ"
    assert torch.equal(x, before[0]) and torch.equal(u, before[1]), f"{effect.name}: an input was written to"
    y = effect(x, u)
    y.mul_(0)
    assert torch.equal(x, before[0]), f"{effect.name}: the output shares the input's memory"


def check_rate(make: Make) -> None:
    """The same controls at twice the rate: the same level below 2 kHz, within 0.5 dB. Ranges do not move with the rate."""
    levels = []
    for rate in (RATE, 2 * RATE):
        effect = make(rate)
        x = music(rate, 0.4, _width(effect))
        y = effect(x, draw(effect))
        power = torch.fft.rfft(y).abs().square()
        power = power[..., : round(2000 * 0.4)] / rate**2
        levels.append(10 * torch.log10(power.sum(-1)))
    off = (levels[0] - levels[1]).abs().max()
    assert off < 0.5, f"{effect.name}: level at {RATE} and {2 * RATE} Hz differs by {off:.2f} dB"


def check_streaming(make: Make) -> bool | None:
    """Blocks with the state carried are the whole."""
    effect, x, u = _setting(make)
    for dtype, db in ((torch.float64, -240), (torch.float32, -120)):
        whole = effect(x.to(dtype), u)
        state: dict = {}
        keywords = {"state": state} if "state" in effect.takes else {}
        cuts = [0, 1, 700, 701, 2048, x.shape[2]]
        blocks = [effect(x[..., a:b].to(dtype), u, **keywords) for a, b in itertools.pairwise(cuts)]
        _equal(torch.cat(blocks, -1), whole, db, "blocks against the whole", effect)
    return None


def check_frames(make: Make) -> bool | None:
    """Constant frames are static controls; moving ones act; effects that cannot say so in a sentence."""
    effect, x, u = _setting(make)
    if not effect.controls:
        return False
    frames = u[..., None].expand(-1, -1, 7)
    if effect.static:
        try:
            effect(x, frames)
        except ValueError as error:
            assert effect.name in str(error) and "cannot vary in time" in str(error), str(error)
            return False
        raise AssertionError(f"{effect.name}: says that its controls cannot vary, and takes them")
    _equal(effect(x, frames), effect(x, u), -240, "constant frames against static", effect)
    moving = torch.cat([frames[..., :3], 1 - frames[..., 3:]], -1)
    assert _error_db(effect(x, moving), effect(x, u)) > -60, f"{effect.name}: frames do nothing"
    return None


def check_transforms(make: Make) -> None:
    """vmap is a loop, torch.func.grad is backward, jacrev has the Jacobian's shape."""
    effect, x, u = _setting(make)
    if not effect.controls:
        return
    xs, us = torch.stack([x, x.flip(-1)]), torch.stack([u, 1 - u])
    mapped = torch.func.vmap(lambda x, u: effect(x, u))(xs, us)
    looped = torch.stack([effect(x, u) for x, u in zip(xs, us, strict=True)])
    _equal(mapped, looped, -240, "vmap against a loop", effect)

    def loss(u: Tensor) -> Tensor:
        return (effect(x, u) ** 2).mean()

    by_func = torch.func.grad(loss)(u)
    by_backward = torch.autograd.grad(loss(v := u.clone().requires_grad_()), v)[0]
    _equal(by_func, by_backward, -200, "torch.func.grad against backward", effect)
    rows = torch.func.jacrev(lambda u: (effect(x, u) ** 2).mean((1, 2)))(u)
    _equal(rows[0], by_backward, -200, "jacrev against backward", effect)


def check_compile(make: Make) -> None:
    """torch.compile(fullgraph=True) gives the eager values and gradients."""
    effect, x, u = _setting(make)
    x = x[..., :512].float()
    torch.compiler.reset()  # all effects share one forward, and dynamo counts its recompilations
    compiled = torch.compile(effect, fullgraph=True, backend="aot_eager")
    outputs = []
    for run in (effect, compiled):
        v = u.clone().requires_grad_()
        y = run(x, v)
        gradient = torch.autograd.grad(y.square().sum(), v)[0] if effect.controls else v
        outputs.append((y, gradient))
    _equal(outputs[1][0], outputs[0][0], -100, "compiled against eager", effect)
    if effect.controls:
        _equal(outputs[1][1], outputs[0][1], -80, "compiled gradient against eager", effect)


def check_copies(make: Make) -> None:
    """pickle, deepcopy, .to(float64) and a state_dict round trip keep the effect."""
    effect, x, u = _setting(make, gradient="spsa")
    effect = make(RATE)
    expected = effect(x, u)
    for what, twin in (("pickle", pickle.loads(pickle.dumps(effect))), ("deepcopy", copy.deepcopy(effect))):
        assert torch.equal(twin(x, u), expected), f"{effect.name}: {what} changed the sound"
    effect.to(torch.float64).load_state_dict(effect.state_dict())
    assert torch.equal(effect(x, u), expected), f"{effect.name}: .to(float64) or a state_dict round trip changed the sound"


def check_messages(make: Make) -> None:
    """Each shape rule, broken by one: the message names the effect, and the control where one is meant."""
    effect, x, u = _setting(make)
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


def check_sidechain(make: Make) -> bool | None:
    """A side-chain input acts, its gradient is right, and x as its own key changes nothing."""
    effect, x, u = _setting(make)
    if "sidechain" not in effect.takes:
        return False
    key = 0.5 * music(channels=x.shape[1], seed=5)
    if not isinstance(effect, Compound):  # in a chain the detector hears what comes before it, not x
        _equal(effect(x, u, sidechain=x), effect(x, u), -250, "its own key against none", effect)
    assert _error_db(effect(x, u, sidechain=key), effect(x, u)) > -60, f"{effect.name}: the side-chain does nothing"
    inputs = (x[..., :1500].clone().requires_grad_(), u.clone().requires_grad_(), key[..., :1500].clone().requires_grad_())
    assert torch.autograd.gradcheck(
        lambda x, u, k: effect(x, u, sidechain=k), inputs, fast_mode=True, atol=1e-4, rtol=1e-3
    ), effect.name
    return None


def check_blackbox(make: Make) -> bool | None:
    """White box = black box in float32 (the real plugin, where there is one): static, moving, with a side-chain; opcheck."""
    effect = make(RATE, gradient="fd")
    has_plugin = any(e.plugin is not None for e in _leaves(effect))
    if has_plugin and importlib.util.find_spec("pedalboard") is None:
        return False
    white = make(RATE)
    x, u = music(channels=_width(effect), batch=2).float(), draw(effect, 2)
    _equal(white(x, u), effect(x, u), -110, "white box against black box", effect)
    if not effect.static and effect.controls:
        moving = (u[..., None] + torch.linspace(-0.1, 0.1, 9, dtype=u.dtype)).clamp(0, 1)
        _equal(white(x, moving), effect(x, moving), -110, "white box against black box, moving controls", effect)
    if "sidechain" in effect.takes:
        key = 0.5 * x.flip(-1)
        _equal(white(x, u, sidechain=key), effect(x, u, sidechain=key), -110, "white against black box, side-chain", effect)
    for leaf in _leaves(effect):
        from dasp.blackbox import render

        part = torch.rand(2, len(leaf.controls), dtype=torch.float64) * 0 + 0.5
        values = torch.stack([q.to_physical(part[:, i]) for i, q in enumerate(leaf.controls)], 1) if leaf.controls else part
        width = _width(leaf)
        torch.library.opcheck(
            render,
            (music(channels=width, batch=2, seconds=0.01).float(), values, None, 0, leaf._key, float(RATE), "{}"),
            test_utils=("test_schema", "test_faketensor"),
        )
    return None


def _leaves(effect: Effect) -> list[Effect]:
    return [leaf for e in effect for leaf in _leaves(e)] if isinstance(effect, Compound) else [effect]


CHECKS: tuple[Callable[[Make], bool | None], ...] = (
    check_table,
    check_acts,
    check_controls_alive,
    check_finite,
    check_gradients,
    check_float32_gradient,
    check_shapes,
    check_dual_mono,
    check_pure,
    check_rate,
    check_streaming,
    check_frames,
    check_transforms,
    check_compile,
    check_copies,
    check_messages,
    check_sidechain,
    check_blackbox,
)
