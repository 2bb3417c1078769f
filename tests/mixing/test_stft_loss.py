"""The STFT loss against auraloss, against the plain torch reference, and where auraloss has no gradient."""

import math

import pytest
import torch
from auraloss.freq import MultiResolutionSTFTLoss as Auraloss
from auraloss.freq import SumAndDifferenceSTFTLoss
from memory import rise
from torch import Tensor

from dasp.atoms import spectral
from dasp.atoms.spectral import Slope
from mixing import MultiResolutionSTFTLoss, StereoLoss

QUARTER = {"fft_sizes": [512, 2048, 4096], "hop_sizes": [128, 512, 1024], "win_lengths": [512, 2048, 4096]}
ODD = {
    "fft_sizes": [33, 100, 512],
    "hop_sizes": [10, 33, 50],
    "win_lengths": [33, 77, 101],
}  # by the reference alone, but for one
SMALL = {"fft_sizes": [64, 256], "hop_sizes": [16, 50], "win_lengths": [64, 200]}
SETTINGS = [
    {},
    QUARTER,
    {**ODD, "window": "blackman_window", "w_sc": 0.3},
    {"w_lin_mag": 0.7, "mag_distance": "L2"},
    {"w_lin_mag": 0.3, "reduction": "sum"},
    {"w_sc": 0.0, "window": "hamming_window"},
    {"w_log_mag": 0.0},
    {"eps": 1.0, "w_lin_mag": 0.1},  # a tenth of the bins lies below
]
SHAPES = [(1, 1, 8193), (2, 2, 5001), (1, 5, 2600)]


def noise(shape, seed=0, dtype=torch.float64) -> Tensor:
    return 0.1 * torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def value_and_gradients(loss, output, target):
    output, target = output.clone().requires_grad_(), target.clone().requires_grad_()
    value = loss(output, target)
    value.backward()
    return value.detach(), output.grad, target.grad


def error(found: Tensor, expected: Tensor) -> float:
    return float((found.double() - expected.double()).norm() / expected.double().norm())


@pytest.fixture(params=["kernel", "reference"])
def engine(request, monkeypatch):
    if request.param == "reference":
        monkeypatch.setattr(spectral, "_native", lambda *_: False)
    return request.param


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_equals_auraloss_in_double(settings, shape, engine):
    x, y = noise(shape), noise(shape, 1)
    expected = value_and_gradients(Auraloss(**settings), x, y)
    found = value_and_gradients(MultiResolutionSTFTLoss(**settings), x, y)
    assert math.isclose(found[0], expected[0], rel_tol=1e-13)
    # A bin near 0 has a slope of 1 / |X| in a direction known to 1e-16 / |X|.
    assert error(found[1], expected[1]) < 1e-10
    assert error(found[2], expected[2]) < 1e-10


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_is_as_near_to_double_as_auraloss_in_single(settings):
    # Bins near 0 make one seed's error a hundred times another's, so the errors over some seeds are compared.
    ours, theirs = [], []
    for seed in range(4):
        x, y = (noise((2, 1, 4101), 2 * seed + i, torch.float32) for i in (0, 1))
        exact = value_and_gradients(Auraloss(**settings), x.double(), y.double())
        found = value_and_gradients(MultiResolutionSTFTLoss(**settings), x, y)
        expected = value_and_gradients(Auraloss(**settings), x, y)
        assert found[0].dtype == torch.float32
        assert math.isclose(found[0], expected[0], rel_tol=1e-6)
        assert math.isclose(found[0], exact[0], rel_tol=1e-6)
        ours.append([error(a, b) for a, b in zip(found[1:], exact[1:], strict=True)])
        theirs.append([error(a, b) for a, b in zip(expected[1:], exact[1:], strict=True)])
    ours, theirs = torch.tensor(ours), torch.tensor(theirs)
    assert ours.median() < 2 * theirs.median() + 2e-7
    assert ours.max() < 4 * theirs.max() + 2e-7


def test_loud_signals_in_single():
    """Products of ratios, summed as exponents, hold whatever the ratios."""
    x, y = 1e-7 * noise((1, 1, 5000), dtype=torch.float32), 1e5 * noise((1, 1, 5000), 1, torch.float32)
    expected, found = (loss(x, y) for loss in (Auraloss(), MultiResolutionSTFTLoss()))
    assert math.isclose(found, expected, rel_tol=1e-6)


def test_full_output_and_the_gradient_of_each_term(engine):
    settings = {**SMALL, "w_lin_mag": 0.5, "output": "full"}
    x, y = noise((1, 2, 3000)), noise((1, 2, 3000), 1)
    a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
    expected, found = Auraloss(**settings)(a, y), MultiResolutionSTFTLoss(**settings)(b, y)
    flat = list(zip([v for term in found[1:] for v in term], [v for term in expected[1:4] for v in term], strict=True))
    assert len(flat) == 6
    for ours, theirs in [*flat, (found.loss, expected[0])]:
        assert math.isclose(ours.detach(), theirs.detach(), rel_tol=1e-13)
        gradients = [torch.autograd.grad(v, t, retain_graph=True)[0] for v, t in ((ours, b), (theirs, a))]
        assert error(*gradients) < 1e-10


def test_a_term_without_weight_is_left_out():
    x, y = noise((1, 1, 3000)), noise((1, 1, 3000), 1)
    terms = MultiResolutionSTFTLoss(**SMALL, w_sc=0.0, output="full")(x, y)
    assert terms.spectral_convergence == terms.linear_magnitude == [0, 0]
    assert float(terms.loss) == float(torch.stack(terms.log_magnitude).mean()) > 0


@pytest.mark.parametrize("weights", [(1.0, 1.0), (0.5, 2.0)])
def test_stereo_equals_auraloss(weights):
    x, y = noise((2, 2, 5001)), noise((2, 2, 5001), 1)
    expected = SumAndDifferenceSTFTLoss(**QUARTER, w_sum=weights[0], w_diff=weights[1], output="full")
    found = StereoLoss(QUARTER["fft_sizes"], mid_weight=weights[0], side_weight=weights[1], output="full")
    for a, b in zip(found(x, y), expected(x, y), strict=True):
        assert math.isclose(a, b, rel_tol=1e-13)
    found.output = expected.output = "loss"
    for a, b in zip(value_and_gradients(found, x, y), value_and_gradients(expected, x, y), strict=True):
        assert error(a, b) < 1e-10


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_prepared_target_changes_nothing(dtype, engine):
    x, y = noise((2, 2, 5001), dtype=dtype), noise((2, 2, 5001), 1, dtype)
    x[1] = 0  # there the target's phase is needed too
    for loss in (MultiResolutionSTFTLoss(**SMALL), StereoLoss([64, 256])):
        a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
        values = loss(a, y), loss(b, loss.prepare(y))
        assert torch.equal(*values)
        sum(values).backward()
        assert torch.equal(a.grad, b.grad)


SILENCE = [{}, {"w_sc": 0.0}, {"w_log_mag": 0.0}, {"mag_distance": "L2", "w_lin_mag": 0.1}, {"eps": 1e-5}]


@pytest.mark.parametrize("settings", SILENCE, ids=str)
@pytest.mark.parametrize("level", [0.0, 1e-9], ids=["silent", "nearly silent"])
def test_descent_leaves_silence(settings, level, engine):
    ours, theirs = MultiResolutionSTFTLoss(**SMALL, **settings), Auraloss(**SMALL, **settings)
    y = noise((1, 2, 2000))
    value, gradient, _ = value_and_gradients(ours, level * noise(y.shape, 1), y)
    expected, nothing, _ = value_and_gradients(theirs, level * noise(y.shape, 1), y)
    assert math.isclose(value, expected, rel_tol=1e-12)
    assert gradient.isfinite().all()
    assert (gradient != 0).double().mean() > 0.99
    assert not nothing.any()
    step = gradient / gradient.abs().max()
    path = [float(ours(-size * step, y)) for size in (1e-3, 3e-3, 1e-2)]  # bins above sqrt(eps)
    assert value > path[0] > path[1] > path[2]
    x = torch.zeros_like(y).requires_grad_()
    optimiser = torch.optim.Adam([x], lr=0.01)
    for _ in range(40):
        optimiser.zero_grad()
        ours(x, y).backward()
        optimiser.step()
    assert ours(x.detach(), y) < 0.5 * value


def test_the_slope_out_of_silence_is_the_one_just_above_it(engine):
    """A frame with the target's phases and a hair more than sqrt(eps) in every bin has nearly the gradient of a silent one."""
    y, window, eps = noise((1, 64)), torch.ones(64, dtype=torch.float64), 1e-8
    spectrum = torch.fft.rfft(y)
    above = torch.fft.irfft(spectrum / spectrum.abs() * 1.00001 * math.sqrt(eps))
    for squared in (False, True):
        slope = Slope(log=0.7, linear=0.3)
        silent, loud = (spectral.compare(x, y, window, 64, eps, squared=squared, apart=True, slope=slope) for x in (0 * y, above))
        assert error(silent.apart, loud.apart) < 1e-4
        assert error(silent.signal, loud.signal) < 1e-4


def test_silent_frames_alone_differ_from_auraloss(engine):
    """Where a sample lies in no silent frame, its gradient is auraloss's."""
    x, y = noise((1, 2, 4000)), noise((1, 2, 4000), 1)
    x[:, 1, 2000:] = 0
    ours, theirs = (value_and_gradients(loss(**SMALL), x, y)[1] for loss in (MultiResolutionSTFTLoss, Auraloss))
    assert error(ours[:, 0], theirs[:, 0]) < 1e-10
    assert error(ours[:, 1, : 2000 - 256], theirs[:, 1, : 2000 - 256]) < 1e-10
    assert not theirs[:, 1, 2000 + 256 :].any()
    assert ours[:, 1, 2000 + 256 :].all()


def test_empty_bins_of_a_sounding_frame_stay_as_in_auraloss(engine):
    time = torch.arange(4000, dtype=torch.float64)
    x, y = (0.1 * torch.sin(2 * math.pi * 8 * time / 256))[None, None], noise((1, 1, 4000))
    settings = {"fft_sizes": [256], "hop_sizes": [64], "win_lengths": [256]}
    spectrum = torch.stft(x[0], 256, 64, window=torch.hann_window(256).double(), return_complex=True)
    assert 0.5 < (spectrum.abs() < 1e-4).double().mean() < 1
    ours, theirs = (value_and_gradients(loss(**settings), x, y)[1] for loss in (MultiResolutionSTFTLoss, Auraloss))
    assert error(ours, theirs) < 1e-6  # bins a little above eps


def test_a_mono_output_hears_the_targets_width():
    mono, y = noise((1, 1, 3000)).expand(1, 2, 3000), noise((1, 2, 3000), 1)
    found = StereoLoss([64, 256])
    expected = SumAndDifferenceSTFTLoss([64, 256], [16, 64], [64, 256])
    ours, theirs = (value_and_gradients(loss, mono, y)[1] for loss in (found, expected))
    assert theirs.diff(dim=1).abs().max() < 1e-12
    assert ours.diff(dim=1).abs().max() > 1e-3


def test_silence_against_silence_has_no_gradient():
    silence = torch.zeros(1, 2, 3000)
    value, *gradients = value_and_gradients(MultiResolutionSTFTLoss(**SMALL), silence, silence)
    assert float(value) == 0
    assert not any(g.any() for g in gradients)


def test_equal_signals_have_no_loss_and_no_gradient(engine):
    x = noise((1, 2, 3000))
    value, *gradients = value_and_gradients(MultiResolutionSTFTLoss(**SMALL), x, x)
    assert float(value) == 0
    assert not any(g.any() for g in gradients)


@pytest.mark.parametrize("settings", [{}, {"w_sc": 0.0}, {"mag_distance": "L2"}], ids=str)
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_no_number_is_seen(settings, bad, engine):
    x = noise((1, 1, 3000))
    x[0, 0, 1500] = bad
    assert not MultiResolutionSTFTLoss(**SMALL, **settings)(x, noise((1, 1, 3000), 1)).isfinite()


@pytest.mark.parametrize("size", [32, 64, 128, 256, 512, 1024, 2048, 4096, 8192])
@pytest.mark.parametrize("squared", [False, True])
def test_the_kernel_equals_the_reference(size, squared):
    x, y = noise((3, size * 3 + 5)), noise((3, size * 3 + 5), 1)
    y[1, : 2 * size] = 0
    x[2, size:] = 0
    window = torch.hann_window(size).double()
    slope = Slope(0.3, 0.2, 0.7, 0.4)
    found = spectral.compare(x, y, window, size // 3, 1e-8, squared=squared, apart=True, slope=slope)
    expected = spectral.compare_reference(x, y, window, size // 3, 1e-8, squared, None, True, slope)
    assert torch.allclose(found.sums, expected.sums, rtol=1e-12, atol=0)
    assert error(found.apart, expected.apart) < 1e-12
    assert error(found.signal, expected.signal) < 1e-9
    alone = spectral.compare(x, y, window, size // 3, 1e-8, squared=squared)
    assert torch.equal(alone.sums, found.sums)
    assert alone.apart is alone.signal is None


def test_threads_change_nothing():
    x, y = noise((2, 1, 40000), dtype=torch.float32), noise((2, 1, 40000), 1, torch.float32)
    loss, found = MultiResolutionSTFTLoss(), []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            found.append(value_and_gradients(loss, x, y))
    finally:
        torch.set_num_threads(1)
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_transforms_and_compile():
    loss, y = MultiResolutionSTFTLoss(**SMALL), noise((1, 2, 3000))
    prepared = loss.prepare(y)
    x = noise((3, 1, 2, 3000), 1)
    expected = [value_and_gradients(loss, item, y) for item in x]
    assert torch.equal(torch.func.vmap(lambda v: loss(v, y))(x), torch.stack([e[0] for e in expected]))
    for target in (y, prepared):
        gradients = torch.func.vmap(torch.func.grad(lambda v, t=target: loss(v, t)))(x)
        assert torch.equal(gradients, torch.stack([e[1] for e in expected]))
    compiled = value_and_gradients(torch.compile(loss, fullgraph=True, backend="aot_eager"), x[0], y)
    assert all(torch.equal(a, b) for a, b in zip(compiled, expected[0], strict=True))
    arguments = (x[0], y, [], [torch.hann_window(64).double()], [16], [1e-8, 1.0, 1.0, 0.0], [True, False], [True, True])
    torch.library.opcheck(torch.ops.mixing.stft_distance.default, arguments)


def test_second_derivatives_are_refused():
    x = noise((1, 1, 3000)).requires_grad_()
    (gradient,) = torch.autograd.grad(MultiResolutionSTFTLoss(**SMALL)(x, noise((1, 1, 3000), 1)), x, create_graph=True)
    with pytest.raises(NotImplementedError, match="once"):
        gradient.square().sum().backward()


def test_memory_is_a_few_signals():
    """Of signals above 32 MiB: those the allocator takes from the system one by one."""
    before = """
import torch
from mixing import MultiResolutionSTFTLoss
torch.set_num_threads(1)
loss = MultiResolutionSTFTLoss([1024], [256], [1024])
x, y = (0.1 * torch.randn(1, 2, 4_300_000) for _ in range(2))
loss(x[..., :10_000].clone().requires_grad_(), y[..., :10_000]).backward()
x.requires_grad_()
"""
    assert 2 < rise(before, "loss(x, y).backward()") / (2 * 4_300_000 * 4) < 9


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"hop_sizes": [10]}, "as many"),
        ({"fft_sizes": [], "hop_sizes": [], "win_lengths": []}, "at least one"),
        ({"win_lengths": [2000, 1200, 240]}, "win_length"),
        ({"window": "hann"}, "hann_window"),
        ({"output": "all"}, "output"),
        ({"reduction": "none"}, "reduction"),
        ({"mag_distance": "L3"}, "mag_distance"),
        ({"eps": 0.0}, "eps"),
    ],
)
def test_wrong_settings_are_refused(settings, word):
    with pytest.raises(ValueError, match=word):
        MultiResolutionSTFTLoss(**settings)


@pytest.mark.parametrize(
    ("x", "y", "word"),
    [
        (torch.zeros(2, 3000), torch.zeros(2, 3000), r"\(B, C, T\)"),
        (torch.zeros(1, 2, 3000), torch.zeros(1, 1, 3000), "one shape"),
        (torch.zeros(0, 2, 3000), torch.zeros(0, 2, 3000), "something"),
        (torch.zeros(1, 2, 1024), torch.zeros(1, 2, 1024), "more than 1024"),
        (torch.zeros(1, 2, 3000), torch.zeros(1, 2, 3000).double(), "one dtype"),
        (torch.zeros(1, 2, 3000).half(), torch.zeros(1, 2, 3000).half(), "float32"),
    ],
)
def test_wrong_signals_are_refused(x, y, word):
    with pytest.raises(ValueError, match=word):
        MultiResolutionSTFTLoss()(x, y)


def test_stereo_refuses_what_is_not_stereo():
    loss = StereoLoss([64])
    with pytest.raises(ValueError, match=r"\(B, 2, T\)"):
        loss(torch.zeros(1, 1, 300), torch.zeros(1, 1, 300))
    with pytest.raises(ValueError, match=r"one shape"):
        loss(torch.zeros(1, 2, 300), loss.prepare(torch.ones(1, 2, 400)))
    with pytest.raises(ValueError, match="full"):
        StereoLoss(output="all")
