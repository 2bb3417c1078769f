"""Checks of the sound: it acts, and it is one function however it is called."""

from __future__ import annotations

import importlib.util
import itertools
import json

import torch

from dasp.blackbox import render
from dasp.chain import Compound
from dasp.testing.signals import ACTS_DB, RATE, Make, assert_equal, draw, error_db, leaves, music, setting, width_of, widths


def check_acts(make: Make) -> None:
    """The output differs from the input by more than a floor, before any other claim counts."""
    effect, x, u = setting(make)
    error = error_db(effect(x, u), x.expand_as(effect(x, u)))
    assert error > ACTS_DB, f"{effect.name}: the output is the input to {error:.0f} dB; nothing is tested"


def check_shapes(make: Make) -> None:
    """A batch of 3 is three batches of 1, with 1, 2 and 5 channels; short and empty signals pass."""
    effect = make(RATE)
    for width in widths(effect):
        x, u = music(channels=width, batch=3, seconds=0.05), draw(effect, 3)
        whole = effect(x, u)
        single = torch.cat([effect(x[i : i + 1], u[i : i + 1]) for i in range(3)])
        assert_equal(whole, single, -250, f"batch of 3 against three of 1, {width} channels", effect)
        for samples in (0, 1, 2, 3):
            y = effect(x[..., :samples], u)
            assert y.shape[2] == samples and y.isfinite().all(), f"{effect.name}: {samples} samples gave {tuple(y.shape)}"


def check_dual_mono(make: Make) -> bool | None:
    """Two equal channels sound as one: no detector that sums them."""
    effect = make(RATE)
    if effect.links_channels or not {1, 2} <= set(widths(effect)):
        return False
    x, u = music(channels=1), draw(effect)
    mono = effect(x, u)
    stereo = effect(x.expand(-1, 2, -1), u)
    assert_equal(stereo, mono.expand_as(stereo), -250, "dual mono against mono", effect)
    return None


def check_pure(make: Make) -> None:
    """The same input twice gives the same output, in training and evaluation mode; the caller's tensors are untouched."""
    effect, x, u = setting(make)
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
        x = music(rate, 0.4, width_of(effect))
        y = effect(x, draw(effect))
        power = torch.fft.rfft(y).abs().square()
        power = power[..., : round(2000 * 0.4)] / rate**2
        levels.append(10 * torch.log10(power.sum(-1)))
    off = (levels[0] - levels[1]).abs().max()
    assert off < 0.5, f"{effect.name}: level at {RATE} and {2 * RATE} Hz differs by {off:.2f} dB"


def check_streaming(make: Make) -> bool | None:
    """Blocks with the state carried are the whole; the state that was given is not changed."""
    effect, x, u = setting(make)
    for dtype, db in ((torch.float64, -240), (torch.float32, -120)):
        whole = effect(x.to(dtype), u)
        cuts = [0, 1, 700, 701, 2048, x.shape[2]]
        state, blocks = None, []
        for a, b in itertools.pairwise(cuts):
            block = x[..., a:b].to(dtype)
            first, after = effect.stream(block, state, u)
            again, after = effect.stream(block, state, u)
            assert torch.equal(first, again), f"{effect.name}: a block changed the state that it was given"
            state = after
            blocks.append(first)
        assert_equal(torch.cat(blocks, -1), whole, db, "blocks against the whole", effect)
    return None


def check_frames(make: Make) -> bool | None:
    """Constant frames are static controls; moving ones act; effects that cannot say so in a sentence."""
    effect, x, u = setting(make)
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
    assert_equal(effect(x, frames), effect(x, u), -240, "constant frames against static", effect)
    moving = torch.cat([frames[..., :3], 1 - frames[..., 3:]], -1)
    assert error_db(effect(x, moving), effect(x, u)) > -60, f"{effect.name}: frames do nothing"
    return None


def check_sidechain(make: Make) -> bool | None:
    """A side-chain input acts, its gradient is right, and x as its own key changes nothing."""
    effect, x, u = setting(make)
    if "sidechain" not in effect.takes:
        return False
    key = 0.5 * music(channels=x.shape[1], seed=5)
    if not isinstance(effect, Compound):  # in a chain the detector hears what comes before it, not x
        assert_equal(effect(x, u, sidechain=x), effect(x, u), -250, "its own key against none", effect)
    assert error_db(effect(x, u, sidechain=key), effect(x, u)) > -60, f"{effect.name}: the side-chain does nothing"
    inputs = (x[..., :1500].clone().requires_grad_(), u.clone().requires_grad_(), key[..., :1500].clone().requires_grad_())
    assert torch.autograd.gradcheck(lambda x, u, k: effect(x, u, sidechain=k), inputs, fast_mode=True, atol=1e-4, rtol=1e-3), (
        effect.name
    )
    return None


def check_blackbox(make: Make) -> bool | None:
    """White box = black box in float32 (the real plugin, where there is one): static, moving, with a side-chain; opcheck."""
    effect = make(RATE, gradient="fd")
    has_plugin = any(e.plugin is not None for e in leaves(effect))
    if has_plugin and importlib.util.find_spec("pedalboard") is None:
        return False
    white = make(RATE)
    x, u = music(channels=width_of(effect), batch=2).float(), draw(effect, 2)
    assert_equal(white(x, u), effect(x, u), -110, "white box against black box", effect)
    if not effect.static and effect.controls:
        moving = (u[..., None] + torch.linspace(-0.1, 0.1, 9, dtype=u.dtype)).clamp(0, 1)
        assert_equal(white(x, moving), effect(x, moving), -110, "white box against black box, moving controls", effect)
    if "sidechain" in effect.takes:
        key = 0.5 * x.flip(-1)
        assert_equal(white(x, u, sidechain=key), effect(x, u, sidechain=key), -110, "white against black box, side-chain", effect)
    for leaf in leaves(effect):
        part = torch.rand(2, len(leaf.controls), dtype=torch.float64) * 0 + 0.5
        values = torch.stack([q.to_physical(part[:, i]) for i, q in enumerate(leaf.controls)], 1) if leaf.controls else part
        width = width_of(leaf)
        x, program = music(channels=width, batch=2, seconds=0.01).float(), json.dumps([[leaf._key, {}]])
        torch.library.opcheck(
            render.overload, (x, values, None, [None], 0, program, float(RATE)), test_utils=("test_schema", "test_faketensor")
        )
    return None
