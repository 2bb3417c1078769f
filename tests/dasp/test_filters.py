"""Filters and equalisers: equal to Pedalboard's to the bit, and doing what their names say."""

import itertools

import numpy as np
import pytest
import scipy.signal
import torch

from dasp.atoms.convolution import convolve, fast_length


def _noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


@pytest.mark.parametrize(("samples", "taps"), [(1, 1), (1, 50), (50, 1), (500, 129), (90, 3000), (150000, 700), (40000, 30000)])
@pytest.mark.parametrize("shared", [True, False])
def test_convolution_is_scipys(samples, taps, shared):
    x, h = _noise(2, 3, samples), _noise(2, 1 if shared else 3, taps, seed=1)
    expected = scipy.signal.fftconvolve(x.numpy(), h.expand(2, 3, taps).numpy(), axes=-1)[..., :samples]
    y, _ = convolve(x, h)
    assert np.abs(y.numpy() - expected).max() < 1e-11 * np.abs(expected).max()
    single, _ = convolve(x.float(), h.float())
    close = convolve(x.float().double(), h.float().double())[0].float()
    assert single.dtype == torch.float32 and torch.equal(single, close)


def test_convolution_of_integers_is_exact():
    """A known answer without rounding: numpy's direct sum of small integers."""
    x, h = (torch.randint(-9, 10, (1, 1, n), generator=torch.Generator().manual_seed(n)).double() for n in (300, 40))
    assert np.array_equal(convolve(x, h)[0][0, 0].round().numpy(), np.convolve(x[0, 0], h[0, 0])[:300])


@pytest.mark.parametrize("channels", [1, 2])
def test_convolution_gradients(channels):
    x, h = _noise(2, 2, 40).requires_grad_(), _noise(2, channels, 11, seed=1).requires_grad_()
    history = _noise(2, 2, 10, seed=2)
    assert torch.autograd.gradcheck(lambda x, h: convolve(x, h, history)[0], (x, h))


@pytest.mark.parametrize("taps", [1, 2, 300])
def test_convolution_streams(taps):
    x, h = _noise(1, 2, 2000), _noise(1, 1, taps, seed=1)
    whole, end = convolve(x, h)
    history, blocks = None, []
    for a, b in itertools.pairwise([0, 0, 1, 5, 700, 701, 2000]):
        y, history = convolve(x[..., a:b], h, history)
        blocks.append(y)
    torch.testing.assert_close(torch.cat(blocks, -1), whole, rtol=0, atol=1e-12)
    assert torch.equal(history, end)


def test_convolution_refuses_shapes():
    x = _noise(2, 2, 10)
    with pytest.raises(ValueError, match=r"must be \(2, 1 or 2, taps\).*got \(1, 1, 3\)"):
        convolve(x, x[:1, :1, :3])
    with pytest.raises(ValueError, match="keeps its length"):
        convolve(x, x[:, :, :3], x[..., :5])


def test_fast_lengths():
    smooth = sorted(2**a * 3**b * 5**c for a in range(1, 13) for b in range(8) for c in range(6))
    for n in range(1, 4000):
        assert fast_length(n) == next(s for s in smooth if s >= n)
