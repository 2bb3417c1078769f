"""The convolution atom: scipy's sums, exact gradients, and streams that equal the whole to the bit."""

import itertools

import numpy as np
import pytest
import scipy.signal
import torch
from memory import rise
from sounds import white

from dasp.atoms import convolution
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


def direct(history, x, h):
    """The definition, in float64, by torch's own convolution: no FFT."""
    batch, channels, taps = *x.shape[:2], h.shape[2]
    signal = torch.nn.functional.pad(torch.cat([history, x], -1), (max(0, taps - 1 - history.shape[2]), 0))
    signal = signal[..., signal.shape[2] - x.shape[2] - taps + 1 :].reshape(1, batch * channels, -1)
    rows = h.flip(-1).expand(-1, channels, -1).reshape(batch * channels, 1, taps)
    return torch.nn.functional.conv1d(signal, rows, groups=batch * channels).reshape(x.shape)


@pytest.mark.parametrize("block", [None, 64, 128, 4096])
@pytest.mark.parametrize(("samples", "taps"), [(1, 1), (1, 200), (63, 64), (700, 3), (1000, 1000), (300, 2100), (5000, 700)])
@pytest.mark.parametrize("channels", [1, 2])
def test_gradients_are_those_of_the_definition(samples, taps, channels, block, monkeypatch):
    """To history, audio and response, with each block length of the kernel."""
    if block:
        monkeypatch.setattr(convolution, "_gradient_block", lambda *_: block)
    x, h, g = white(2, 2, samples), white(2, channels, taps, seed=1), white(2, 2, samples, seed=2)
    _, history = convolve(white(2, 2, 900, seed=3), h)
    for past in (history, history.new_zeros(2, 2, 0)):
        given = [t.clone().requires_grad_() for t in (past, x, h)]
        y = convolve(given[1], given[2], given[0], through_history=True)[0] if past is history else convolve(*given[1:])[0]
        ours = torch.autograd.grad(y, given, g, allow_unused=True)
        theirs = torch.autograd.grad(direct(*given), given, g)
        for a, b in zip(ours[past is not history :], theirs[past is not history :], strict=True):
            assert (a - b).abs().max() <= 1e-13 * (1 + g.abs().sum().sqrt()) * b.abs().max()


@pytest.mark.parametrize("wanted", [(0,), (1,), (0, 1)])
def test_one_gradient_does_not_wait_for_the_other(wanted):
    """What is not asked for is not computed, and what is asked for is the same to the bit."""
    x, h = white(1, 2, 3000), white(1, 1, 400, seed=1)
    both = [t.clone().requires_grad_() for t in (x, h)]
    some = [t.clone().requires_grad_(i in wanted) for i, t in enumerate((x, h))]
    for given in (both, some):
        convolve(*given)[0].square().sum().backward()
    assert all(torch.equal(some[i].grad, both[i].grad) for i in wanted)
    assert all(some[i].grad is None for i in {0, 1} - set(wanted))


def test_float32_gradients_are_float64_ones_rounded_once():
    x, h, g = (white(*shape, seed=i, dtype=torch.float32) for i, shape in enumerate([(2, 2, 9000), (2, 1, 3000), (2, 2, 9000)]))
    single = [t.clone().requires_grad_() for t in (x, h)]
    double = [t.double().requires_grad_() for t in (x, h)]
    ours = torch.autograd.grad(convolve(*single)[0], single, g)
    theirs = torch.autograd.grad(convolve(*double)[0], double, g.double())
    assert all(torch.equal(a, b.float()) for a, b in zip(ours, theirs, strict=True))


SETUP = """
import torch
from dasp.atoms.convolution import convolve
torch.set_num_threads(1)
def run(samples):
    x = torch.zeros({batch}, 2, samples).normal_().requires_grad_()
    h = torch.zeros({batch}, 1, {taps}).normal_().requires_grad_()
    return x, h, torch.zeros({batch}, 2, samples).normal_()
x, h, g = run(100)
convolve(x, h)[0].backward(g)
x, h, g = run({samples})
"""


@pytest.mark.parametrize(("batch", "samples", "taps"), [(4, 262144, 88200), (1, 2_000_000, 2000)])
def test_memory_is_of_the_order_of_the_input(batch, samples, taps):
    """Output, gradients and scratch; the spectra of all of the signal and the response would be 10 times the input and more."""
    rose = rise(SETUP.format(batch=batch, samples=samples, taps=taps), "convolve(x, h)[0].backward(g)")
    assert 1.9 < rose / (4 * batch * 2 * samples) < 6.0  # output and gradient are 2: with less, nothing would have been measured


def test_rows_and_threads_change_no_bit():
    x, h = white(3, 2, 20000), white(3, 1, 3000, seed=1).requires_grad_()
    threads = torch.get_num_threads()
    results = []
    try:
        for count in (1, 2, 4):
            torch.set_num_threads(count)
            y = convolve(x, h)[0]
            results.append((y.detach(), torch.autograd.grad(y, h, x)[0]))
    finally:
        torch.set_num_threads(threads)
    alone = [convolve(x[i : i + 1], h[i : i + 1])[0] for i in range(3)]
    assert torch.equal(torch.cat(alone), results[0][0])
    assert all(torch.equal(a, b) for other in results[1:] for a, b in zip(results[0], other, strict=True))


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
