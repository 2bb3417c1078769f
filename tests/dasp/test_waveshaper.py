"""One pass over memory for curves without memory and for the mix of two signals: against plain torch and the system's tanhf."""

import ctypes
from functools import partial

import numpy as np
import pytest
import torch

from dasp.atoms.waveshaper import Curve, blend, blend_reference, shape, shape_reference

F64 = torch.float64
CURVES: tuple[Curve, ...] = ("gain", "tanh", "clip", "round")


def _case(samples, moving, dtype):
    generator = torch.Generator().manual_seed(samples)
    x, other, weight = torch.randn(3, 3, 2, samples, generator=generator, dtype=dtype)
    a, b = 0.3 + torch.rand(2, 3, 1, samples if moving else 1, generator=generator, dtype=F64)
    return x, other, weight, a.to(dtype).double(), b.to(dtype).double()


def _both(run, reference, weight, *tensors):
    """Value and gradients of each."""
    for function in (run, reference):
        inputs = [t.clone().requires_grad_() for t in tensors]
        y = function(*inputs)
        yield y, *torch.autograd.grad((y * weight).sum(), inputs)


@pytest.mark.parametrize("dtype", [torch.float32, F64])
@pytest.mark.parametrize("moving", [False, True])
@pytest.mark.parametrize("samples", [1, 7, 300, 20000])  # less than a register; more than a thread's piece
def test_kernels_are_their_references(samples, moving, dtype):
    x, other, weight, a, b = _case(samples, moving, dtype)
    rtol, atol = (1e-10, 1e-10) if dtype == F64 else (1e-4, 1e-3)
    for curve in CURVES:
        p = 8 * a if curve == "round" else a
        ours, plain = _both(partial(shape, curve=curve), partial(shape_reference, curve=curve), weight, x, p)
        for one, other_one in zip(ours, plain, strict=True):
            torch.testing.assert_close(one, other_one, rtol=rtol, atol=atol)
        if curve != "tanh":
            assert torch.equal(ours[0], plain[0])
    ours, plain = _both(blend, blend_reference, weight, x, other, a, b)
    assert torch.equal(ours[0], plain[0])
    for one, other_one in zip(ours, plain, strict=True):
        torch.testing.assert_close(one, other_one, rtol=rtol, atol=atol)


def test_a_gain_has_second_derivatives_and_a_curve_refuses_them():
    x, _, _, a, _ = _case(5, False, F64)
    inputs = [t.requires_grad_() for t in (x, a)]
    assert torch.autograd.gradgradcheck(lambda x, a: shape(x, a, "gain"), inputs)
    (first,) = torch.autograd.grad(shape(x, a, "tanh").square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


def test_tanh_is_the_systems_at_every_magnitude():
    """Every 997th float32 of both signs, the smallest, the largest and what is no number among them."""
    bits = np.arange(0, 2**32, 997, dtype=np.uint64).astype(np.uint32)
    x = np.concatenate([bits.view(np.float32), np.array([0.0, -0.0, np.inf, -np.inf, np.nan], np.float32)])
    libm = ctypes.CDLL("libm.so.6")
    libm.tanhf.restype, libm.tanhf.argtypes = ctypes.c_float, [ctypes.c_float]
    few = np.random.default_rng(0).choice(len(x), 200_000, replace=False)
    few = np.concatenate([few, np.arange(len(x) - 5, len(x))])
    system = np.array([libm.tanhf(v) for v in x[few].tolist()], np.float32)
    ours = shape(torch.from_numpy(x)[None, None], torch.ones(1, 1, 1), "tanh")[0, 0].numpy()[few]
    assert np.array_equal(ours, system, equal_nan=True)
    assert np.array_equal(np.signbit(ours), np.signbit(system))


@pytest.mark.parametrize(("function", "message"), [(lambda x, v: shape(x, v, "clip"), "shape: parameter must be"),
                                                  (lambda x, v: blend(x, x, v, v), "blend: gain must be")])  # fmt: skip
def test_a_parameter_of_a_wrong_shape_is_refused(function, message):
    with pytest.raises(ValueError, match=message):
        function(torch.zeros(2, 1, 8), torch.ones(2, 1, 3))
