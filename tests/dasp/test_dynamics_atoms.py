"""The fused compressor and gate, the design of their parameters, and linear recurrences, against their references."""

import os
import subprocess
import sys

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

import dasp
from dasp.atoms._library import native
from dasp.atoms.dynamics import dynamics, dynamics_reference
from dasp.atoms.level import designed, designed_reference
from dasp.atoms.libm import libm
from dasp.atoms.recurrence import one_pole, recurrence_reference, two_pole


def _random(*shape, seed=0, dtype=torch.float64):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def _parameters(batch, rows, frames, below, dtype):
    p = _random(batch, rows, frames, seed=1)
    p[:, 2] = 0.1 + 0.5 * p[:, 2]
    p[:, 3] *= 3 if below else -1
    return p.to(dtype).double()


def _audio(batch, channels, samples, seed, dtype):
    x = _random(batch, channels, samples, seed=seed) - 0.5
    x[..., 10:20] = 0
    return x.to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("rows", [4, 6], ids=["peak", "rms"])
@pytest.mark.parametrize("below", [False, True], ids=["compressor", "gate"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (3, 1), (3, 5), (5, 7)])
def test_dynamics_is_its_reference(dtype, rows, below, shape):
    samples = 150
    x, key = (_audio(*shape, samples, seed, dtype) for seed in (2, 3))
    weight, state = _audio(*shape, samples, 4, dtype), _random(*shape, rows // 2 - 1, dtype=dtype)
    for frames in (1, samples):
        p = _parameters(shape[0], rows, frames, below, dtype)
        for side in (None, key):
            results = []
            for run in (dynamics, dynamics_reference):
                inputs = [t.clone().requires_grad_() for t in (x, p, *(() if side is None else (side,)))]
                y, after = run(inputs[0], inputs[1], inputs[2] if side is not None else None, state, below)
                results.append((y.detach(), after, *torch.autograd.grad((y * weight).sum(), inputs)))
            for ours, oracle in zip(*results, strict=True):
                close = 1e-11 if dtype == torch.float64 else 3e-5
                torch.testing.assert_close(ours, oracle, rtol=close, atol=close * float(oracle.abs().max().clamp_min(1)))


def test_the_gradient_is_that_of_unrounded_parameters():
    """A slow release's pole has three digits of its distance from 1 in float32; the gradient in float32 has six or more."""
    x = _audio(2, 1, 4000, 0, torch.float32)
    found = []
    for audio in (x, x.double()):
        release = torch.tensor([900.0, 400.0], dtype=torch.float64, requires_grad=True)
        y = dasp.Compressor()(audio, threshold_db=-30.0, ratio=4.0, attack_ms=5.0, release_ms=release)
        found.append(torch.autograd.grad((y * _audio(2, 1, 4000, 1, y.dtype)).sum(), release)[0])
    torch.testing.assert_close(*found, rtol=2e-6, atol=0)


@pytest.mark.parametrize("rows", [4, 6], ids=["peak", "rms"])
@pytest.mark.parametrize("below", [False, True], ids=["compressor", "gate"])
def test_dynamics_has_the_derivatives_of_differences(rows, below):
    # No constant stretch: there the level comes to rest on the kink between attack and release.
    x, key = (_random(2, 3, 30, seed=seed) - 0.5 for seed in (5, 6))
    for frames in (1, 30):
        p = _parameters(2, rows, frames, below, torch.float64)
        inputs = [t.requires_grad_() for t in (x, p, key)]
        assert gradcheck(lambda *t: dynamics(*t, below=below)[0], inputs)
        assert gradcheck(lambda x, p: dynamics(x, p, below=below)[0], inputs[:2])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("rows", [4, 6], ids=["peak", "rms"])
def test_dynamics_in_blocks_is_the_whole_to_the_bit(dtype, rows):
    x, p = _audio(3, 2, 400, 7, dtype), _parameters(3, rows, 400, False, dtype)
    whole, last = dynamics(x, p)
    state, blocks = None, []
    for part in (slice(0, 1), slice(1, 98), slice(98, 98), slice(98, 230), slice(230, 400)):
        y, state = dynamics(x[..., part], p[..., part], state=state)
        blocks.append(y)
    assert torch.equal(torch.cat(blocks, -1), whole) and torch.equal(state, last)


def test_dynamics_says_what_it_expects():
    x = torch.zeros(2, 1, 10)
    with pytest.raises(ValueError, match=r"dynamics: parameters must be \(2, 4 or 6, 1 or 10\) .* got \(2, 5, 1\)"):
        dynamics(x, torch.ones(2, 5, 1))
    with pytest.raises(ValueError, match=r"the key must have the audio's shape \(2, 1, 10\); got \(2, 2, 10\)"):
        dynamics(x, torch.ones(2, 4, 1), torch.zeros(2, 2, 10))


LEVELS = {
    "compressor": ((0, 7), (-1, 0), False),
    "limiter": ((0, 16), (-0.999, -0.999), False),
    "gate": ((-20, 0), (0, 29), True),
    "gate near its threshold": ((-1e-3, 0), (0, 29), True),
    "tiny levels and gains": ((-149, 0), (0, 2), True),
    "gate that amplifies": ((-60, 0), (-1, 0), True),
}


@pytest.mark.parametrize("case", LEVELS)
def test_gain_is_the_systems_powf_to_the_bit(case):
    """Millions of values; a follower of poles 0 hands its input on, so that the gain of silent audio 1 is the curve itself."""
    (low, high), (first, last), below = LEVELS[case]
    count = 1 << 20
    level = torch.exp2(low + (high - low) * _random(count)).float()
    exponent = (first + (last - first) * _random(count, seed=1)).float()
    level[::1000], level[1::1000], level[2::1000] = 1.0, 0.25, 2.0**-126
    exponent[5::1000], exponent[6::1000] = 0.0, 0.5 if below else -0.5
    if below:
        level[3::1000], level[4::1000] = 0.0, 2.0**-149
    acts = level <= 1 if below else level >= 1
    p = torch.zeros(1, 4, count, dtype=torch.float64)
    p[0, 2], p[0, 3] = 1.0, exponent
    gain, _ = dynamics(torch.ones(1, 1, count), p, level[None, None], below=below)
    expected = torch.where(acts, libm("powf", level, exponent), 1.0)
    assert acts.float().mean() > 0.9 and torch.equal(gain[0, 0], expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_bad_audio_is_not_hidden(dtype):
    """As in the plugin, the level keeps a NaN."""
    x = torch.ones(1, 1, 300, dtype=dtype)
    x[..., 100] = float("nan")
    y, _ = dynamics(x, torch.tensor([[[0.5], [0.9], [0.1], [-0.5]]]))
    assert y[..., :100].isfinite().all() and y[..., 100:].isnan().all()


def test_instruction_sets_agree_to_the_bit():
    """The kernels of this processor's widest build against those of any processor, in another process."""
    script = (
        "import torch, hashlib; from dasp.atoms.dynamics import dynamics; from dasp.atoms.recurrence import two_pole\n"
        "torch.manual_seed(0); h = hashlib.sha256()\n"
        "for dtype in (torch.float32, torch.float64):\n"
        "    for batch, rows, frames in ((1, 4, 1), (3, 6, 1), (9, 4, 1), (2, 6, 500)):\n"
        "        x = torch.randn(batch, 2, 500, dtype=dtype, requires_grad=True)\n"
        "        p = torch.rand(batch, rows, frames, dtype=torch.float64) * 0.6 + 0.01; p.requires_grad_()\n"
        "        y, s = dynamics(x, p, below=rows == 6); z, _ = two_pole(x, p[:, :1] - 0.5, p[:, 1:2] * 0.5)\n"
        "        for t in (y, s, z, *torch.autograd.grad((y * x.detach() + z).sum(), (x, p))):\n"
        "            h.update(t.detach().numpy().tobytes())\n"
        "print(h.hexdigest())"
    )
    found = set()
    for environment in ({"DASP_INSTRUCTIONS": "baseline"}, {}):
        keep = {k: v for k, v in os.environ.items() if k != "DASP_INSTRUCTIONS"}
        run = [sys.executable, "-c", script]
        found.add(subprocess.run(run, env=keep | environment, capture_output=True, text=True, check=True).stdout)
    assert len(found) == 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_designed_parameters_are_their_reference(dtype):
    x, kinds = torch.zeros(3, 2, 50, dtype=dtype), "pole pole pole gain above below"
    ranges = ((200, 0.01, 50), (2, -0.5, 50), (1000, 1, 1), (60, -60, 50), (20, 1, 1), (30, 1, 50))
    controls = [_random(3, 1, k, seed=i) * size + low for i, (size, low, k) in enumerate(ranges)]
    controls[1].clamp_(min=0)
    controls[3][0, 0, 0] = -250.0
    for c in controls:
        c.requires_grad_()
    ours, plugin = designed(x, 44100.0, kinds, *controls)
    values = torch.cat([c.expand(-1, -1, 50) for c in controls], 1)
    oracle = designed_reference(values, kinds, 44100.0, False)
    torch.testing.assert_close(ours, oracle, rtol=1e-15, atol=0)
    if dtype == torch.float64:
        assert plugin is None
    else:
        assert torch.equal(plugin, designed_reference(values, kinds, 44100.0, True))
    assert ours[0, 3, 0] == 0 and (ours[:, 1] == 0).any()
    weight = _random(*ours.shape, seed=9)
    both = [torch.autograd.grad((t * weight).sum(), controls) for t in (ours, oracle)]
    for a, b in zip(*both, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("shape", [(1, 1, 7), (2, 3, 150), (5, 4, 70), (1, 2, 1)])
def test_recurrence_is_its_reference(dtype, order, shape):
    batch, channels, samples = shape
    x, weight = (_audio(*shape, seed, dtype) for seed in (1, 2))
    state = _random(batch, channels, order)
    for poles in ((batch, 1, 1), (batch, 1, samples), shape):
        for kind in (torch.float32, torch.float64):
            a = [0.6 * _random(*poles, seed=3 + k, dtype=kind) for k in range(order)]
            results = []
            for ours in (True, False):
                inputs = [t.clone().requires_grad_() for t in (x, *a, state)]
                run = one_pole if order == 1 else two_pole
                y, after = run(*inputs) if ours else recurrence_reference(inputs[0], inputs[1:-1], inputs[-1])
                results.append((y, after, *torch.autograd.grad((y * weight).sum(), inputs)))
            tolerance = 1e-12 if dtype == kind == torch.float64 else 1e-5
            for first, second in zip(*results, strict=True):
                torch.testing.assert_close(first, second, rtol=tolerance, atol=tolerance)


def test_recurrence_has_derivatives_of_every_order():
    x = (_random(2, 2, 9) - 0.5).requires_grad_()
    s1, s2 = (_random(2, 2, k, seed=k).requires_grad_() for k in (1, 2))
    for shape in ((2, 1, 1), (2, 1, 9), (2, 2, 9)):
        a, b = (0.4 * _random(*shape, seed=k) for k in (3, 4))
        a.requires_grad_()
        b.requires_grad_()
        for check in (gradcheck, gradgradcheck):
            assert check(lambda *t: one_pole(*t)[0], (x, a, s1)) and check(lambda *t: two_pole(*t)[0], (x, a, b, s2))


def test_recurrence_is_scipys_filter_and_streams():
    signal = pytest.importorskip("scipy.signal")
    x = _audio(1, 2, 500, 0, torch.float64)
    a1, a2 = (torch.full((1, 1, 1), v, dtype=torch.float64) for v in (-1.8, 0.9))
    y, last = two_pole(x, a1, a2)
    torch.testing.assert_close(y, torch.from_numpy(signal.lfilter([1], [1, -1.8, 0.9], x.numpy())))
    first, state = two_pole(x[..., :123].float(), a1, a2)
    second, _ = two_pole(x[..., 123:].float(), a1, a2, state)
    assert torch.equal(torch.cat([first, second], -1), two_pole(x.float(), a1, a2)[0])
    torch.testing.assert_close(last[..., 0], y[..., -1])
    with pytest.raises(ValueError, match=r"one_pole: coefficients must be \(1, 1, 1\), \(1, 1, 500\) or \(1, 2, 500\)"):
        one_pole(x, a1.expand(1, 2, 1))


def test_kernels_are_there():
    """Otherwise everything above would compare the references with themselves."""
    assert native(torch.zeros(1))
