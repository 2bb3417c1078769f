"""The convolution atom: scipy's sums, exact gradients, and streams that equal the whole to the bit."""

import itertools

import numpy as np
import pytest
import scipy.signal
import torch
from sounds import white

from dasp.atoms.convolution import convolve, convolve_reference, fast_length


@pytest.mark.parametrize(
    ("samples", "taps"),
    [
        (1, 1),
        (1, 50),
        (50, 1),
        (500, 64),
        (500, 65),
        (1000, 129),
        (2000, 512),
        (2000, 513),
        (90, 3000),
        (9000, 5000),
        (40000, 34000),
    ],
)
@pytest.mark.parametrize("shared", [True, False])
def test_convolution_is_scipys(samples, taps, shared):
    x, h = white(2, 3, samples), white(2, 1 if shared else 3, taps, seed=1)
    expected = scipy.signal.fftconvolve(x.numpy(), h.expand(2, 3, taps).numpy(), axes=-1)[..., :samples]
    y, _ = convolve(x, h)
    assert np.abs(y.numpy() - expected).max() < 1e-12 * np.abs(expected).max()
    reference = convolve_reference(x[..., :0], x, h)
    assert np.abs(reference.numpy() - expected).max() < 1e-12 * np.abs(expected).max()
    single, _ = convolve(x.float(), h.float())
    close, _ = convolve(x.float().double(), h.float().double())
    assert single.dtype == torch.float32 and torch.equal(single, close.float())


def test_convolution_of_integers_is_exact():
    """A known answer without rounding: numpy's direct sum of small integers."""
    x, h = (torch.randint(-9, 10, (1, 1, n), generator=torch.Generator().manual_seed(n)).double() for n in (3000, 700))
    expected = np.convolve(x[0, 0], h[0, 0])[:3000]
    assert np.abs(convolve(x, h)[0][0, 0].numpy() - expected).max() < 1e-10
    assert np.array_equal(convolve(x[..., :60], h)[0][0, 0].numpy(), expected[:60])


def test_convolution_is_silent_before_the_sound():
    """An FFT's rounding would be heard before an onset, however far below."""
    x = torch.zeros(1, 1, 9000)
    x[..., 7000:] = white(2000, dtype=torch.float32)
    y, _ = convolve(x, white(1, 1, 3000, seed=1))
    assert y[..., :7000].eq(0).all() and y[..., 7000:].ne(0).all()


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("taps", [11, 70])
def test_convolution_gradients(channels, taps):
    x, h = white(2, 2, 80).requires_grad_(), white(2, channels, taps, seed=1).requires_grad_()
    _, history = convolve(white(2, 2, 90, seed=2), h)
    assert torch.autograd.gradcheck(lambda x, h: convolve(x, h, history)[0], (x, h))
    assert torch.autograd.gradgradcheck(lambda x, h: convolve(x, h, history)[0], (x, h), fast_mode=True)


def test_convolution_gradients_past_one_block():
    x, h = white(1, 2, 150000).requires_grad_(), white(1, 1, 700, seed=1).requires_grad_()
    g = white(1, 2, 150000, seed=2)
    gx, gh = torch.autograd.grad(convolve(x, h)[0], (x, h), g)
    signal, response = x.detach().numpy(), h.detach().numpy()
    back = scipy.signal.fftconvolve(g.numpy(), response[..., ::-1], axes=-1)[..., 699:]
    assert np.abs(gx.numpy() - back).max() < 1e-11 * np.abs(back).max()
    lags = [(g.numpy()[..., k:] * signal[..., : 150000 - k]).sum() for k in (0, 1, 63, 64, 500, 699)]
    assert np.abs(gh[0, 0, [0, 1, 63, 64, 500, 699]].numpy() - lags).max() < 1e-10 * np.abs(lags).max()


@pytest.mark.parametrize("taps", [1, 2, 65, 300, 5000])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_convolution_streams_to_the_bit(taps, dtype):
    x, h = white(1, 2, 12000, dtype=dtype), white(1, 1, taps, seed=1)
    whole, end = convolve(x, h)
    for cuts in (
        [0, 0, 1, 5, 63, 64, 700, 701, 12000],
        [0, 4096, 8192, 12000],
        [0, 4095, 4608, 9999, 12000],
        [0, *range(0, 12000, 160), 12000],
    ):
        history, blocks = None, []
        for a, b in itertools.pairwise(cuts):
            y, history = convolve(x[..., a:b], h, history)
            blocks.append(y)
        assert torch.equal(torch.cat(blocks, -1), whole) and torch.equal(history, end)


def test_convolution_refuses_shapes():
    x = white(2, 2, 10)
    with pytest.raises(ValueError, match=r"must be \(2, 1 or 2, taps\).*got \(1, 1, 3\)"):
        convolve(x, x[:1, :1, :3])
    with pytest.raises(ValueError, match="keeps its length"):
        convolve(x, x[:, :, :3], x[..., :5])


def test_fast_lengths():
    smooth = sorted(2**a * 3**b * 5**c for a in range(1, 13) for b in range(8) for c in range(6))
    for n in range(1, 4000):
        assert fast_length(n) == next(s for s in smooth if s >= n)
