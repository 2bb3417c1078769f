"""Filters and equalisers: equal to Pedalboard's to the bit, and doing what their names say."""

import itertools

import numpy as np
import pytest
import scipy.signal
import torch
from sounds import white

import dasp
from dasp.atoms.biquad import biquad, biquad_reference
from dasp.atoms.design import KINDS, sections, sections_reference
from dasp.atoms.ladder import ladder, ladder_reference
from dasp.atoms.ramp import ramp, ramp_reference
from dasp.effects import find
from dasp.effects.graphic_eq import CENTRES_HZ, design
from dasp.effects.ladder_filter import MODES

RATES = (44100, 48000, 96000)
PLUGINS = ("PeakFilter", "LowShelfFilter", "HighShelfFilter", "HighpassFilter", "LowpassFilter")


def _signal(kind: str, channels: int, samples: int, seed: int) -> torch.Tensor:
    """float32 (1, C, T). The impulse's and the burst's tails sink below 1e-8, where the plugins clear their states."""
    if kind == "noise":
        return white(1, channels, samples, seed=seed, dtype=torch.float32) * 0.3
    if kind == "impulse":
        x = torch.zeros(1, channels, samples)
        x[..., 100] = 1.0
        return x
    t = torch.arange(samples) / samples
    frequency = 40.0 * (1 + torch.arange(channels))[:, None]
    return (torch.sin(2 * torch.pi * frequency * t) * torch.exp(-60 * t))[None]


def _drawn(name: str, seed: int) -> dict[str, float]:
    """Random values in the controls' units, over the whole table."""
    controls = find(name).controls
    u = torch.rand(len(controls), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return {q.name: q.to_physical(float(v)) for q, v in zip(controls, u, strict=True)}


@pytest.mark.parametrize("name", PLUGINS)
def test_typed_values_are_pedalboard_to_the_bit(name, pedalboard):
    for seed in range(12):
        values, rate, channels = _drawn(name, seed), RATES[seed % 3], 1 + seed // 3 % 2
        for kind in ("noise", "impulse", "burst"):
            x = _signal(kind, channels, 20000, seed)
            theirs = getattr(pedalboard, name)(**values)(x[0].numpy(), rate)
            ours = find(name)(rate)(x, **values)[0].numpy()
            assert np.array_equal(ours, theirs), f"{(ours != theirs).sum()} samples differ on {kind} at {rate} Hz, {values}"


def _moved(name: str, seed: int, samples: int, frames: int, channels: int) -> tuple[torch.Tensor, torch.Tensor]:
    u = torch.rand(1, len(find(name).controls), frames, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return _signal("burst" if seed % 2 else "noise", channels, samples, seed), u


@pytest.mark.parametrize("name", [*PLUGINS, "ParametricEQ", "LadderFilter"])
def test_moving_controls_are_the_block_fed_plugin_to_the_bit(name):
    for seed in range(6):
        x, u = _moved(name, seed, 9000, (7, 40, 600)[seed % 3], 1 + seed // 3)
        rate = RATES[seed % 3]
        white, black = find(name)(rate)(x, u), find(name)(rate, gradient="fd")(x, u)
        assert torch.equal(white, black), f"{(white != black).sum()} samples differ, case {seed}"


@pytest.mark.parametrize(
    "name", [*PLUGINS, "ParametricEQ", "LadderFilter", "BandpassFilter", "NotchFilter", "AllpassFilter", "FIRFilter", "GraphicEQ"]
)
def test_any_split_is_the_whole_to_the_bit(name):
    for kind, cuts in itertools.product(
        ("noise", "burst"), ((0, 1, 8191, 8192, 8193, 16384), (0, 0, 100, 8292, 16484), (0, 7000))
    ):
        effect, x = find(name)(), _signal(kind, 2, 20000, 3)
        values, state, blocks = _drawn(name, 5), None, []
        for a, b in itertools.pairwise((*cuts, 20000)):
            y, state = effect.stream(x[..., a:b], state, **values)
            blocks.append(y)
        whole = effect(x, **values)
        assert torch.equal(torch.cat(blocks, -1), whole), kind


@pytest.mark.parametrize("hop", [0, 32])
def test_biquad_kernel_is_its_reference(hop):
    """With the plugin's blocks: states below 1e-8 are cleared where the stream's 8192nd sample or the hop's last is."""
    x = _signal("burst", 2, 700, 0) * 1e-6
    x[..., :50] = 1e-3 * white(2, 50, dtype=torch.float32)
    sos = torch.tensor([[1.0, -1.8, 0.81, -1.5, 0.6], [0.2, 0.1, 0.0, -0.9, 0.0]], dtype=torch.float64)[None, :, :, None]
    state = torch.tensor([1e-3, 2e-3, 7992.0]).expand(1, 2, 2, 3)
    y, after = biquad(x, sos, state, hop)
    reference, expected = biquad_reference(x, sos, state, hop)
    assert torch.equal(y, reference) and torch.equal(after, expected)
    assert after[..., 2].eq(500).all()
    other, _ = biquad(x, sos, state, 32 - hop)
    assert not torch.equal(y, other)


def test_biquad_rows_of_different_ages_are_filtered_each_for_itself():
    x = _signal("burst", 4, 700, 0)
    sos = torch.tensor([1.0, -1.8, 0.81, -1.5, 0.6], dtype=torch.float64)[None, None, :, None]
    state = torch.zeros(1, 4, 1, 3)
    state[0, :, 0, 2] = torch.tensor([7592.0, 7592.0, 7600.0, 0.0])
    together, _ = biquad(x, sos, state)
    for c in range(4):
        assert torch.equal(together[:, c : c + 1], biquad(x[:, c : c + 1], sos, state[:, c : c + 1])[0])
    assert not torch.equal(together, biquad(x, sos)[0])


def _response(effect: dasp.Effect, frequencies: np.ndarray, samples: int = 1 << 14, **values: float) -> np.ndarray:
    """Complex response at `frequencies` in Hz: the Fourier sum over the impulse response."""
    impulse = torch.zeros(1, 1, samples, dtype=torch.float64)
    impulse[..., 0] = 1.0
    turns = np.outer(frequencies / effect.sample_rate, np.arange(samples))
    return np.exp(-2j * np.pi * turns) @ effect(impulse, **values)[0, 0].numpy()


@pytest.mark.parametrize(("name", "kind"), [("HighpassFilter", "highpass"), ("LowpassFilter", "lowpass")])
@pytest.mark.parametrize("cutoff", [25.0, 1000.0, 19000.0])
def test_first_order_filters_are_butterworths(name, kind, cutoff):
    """scipy designs the first-order Butterworth by its own way to the bilinear transform."""
    x = white(1, 2, 5000)
    b, a = scipy.signal.butter(1, cutoff, kind, fs=48000)
    y = find(name)(48000)(x, cutoff_frequency_hz=cutoff)
    assert np.abs(y.numpy() - scipy.signal.lfilter(b, a, x.numpy())).max() < 1e-10


@pytest.mark.parametrize("name", ["HighpassFilter", "LowpassFilter"])
@pytest.mark.parametrize("gradient", ["autodiff", "fd"])
def test_cutoffs_above_half_the_rate_are_kept_below_it(name, gradient):
    """Pedalboard's own filters overflow there."""
    effect, x = find(name)(8000, gradient=gradient), white(1, 1, 20000, dtype=torch.float32)
    y = effect(x, cutoff_frequency_hz=20000.0)
    assert y.abs().max() < 10 and torch.equal(y, effect(x, cutoff_frequency_hz=3900.0))
    assert torch.equal(y, find(name)(8000)(x, cutoff_frequency_hz=20000.0))


@pytest.mark.parametrize("mode", MODES)
def test_ladder_is_pedalboards_to_the_bit(mode, pedalboard):
    kind = getattr(pedalboard.LadderFilter.Mode, mode)
    for seed in range(6):
        values, rate, channels = _drawn("LadderFilter", seed), (*RATES, 8000)[seed % 4], 1 + seed % 2
        effect = dasp.effects.find("LadderFilter")(rate, mode=mode)
        for signal in ("noise", "impulse", "burst"):
            x = _signal(signal, channels, 10000, seed)
            theirs = pedalboard.LadderFilter(mode=kind, **values)(x[0].numpy(), rate)
            ours = effect(x, **values)[0].numpy()
            assert np.array_equal(ours, theirs), f"{(ours != theirs).sum()} samples differ on {signal} at {rate} Hz, {values}"


@pytest.mark.parametrize("mode", ["HPF12", "LPF24"])
def test_ladder_glides_as_the_plugin(mode, pedalboard):
    """By hand, without our own block renderer: a few jumps far apart, so that glides end; and jumps within glides."""
    kind = getattr(pedalboard.LadderFilter.Mode, mode)
    x = _signal("noise", 1, 12800, 0)
    for every in (1, 100, 150):
        frames = [_drawn("LadderFilter", k // every) for k in range(400)]
        plugin, blocks = pedalboard.LadderFilter(mode=kind, **frames[0]), []
        for k, values in enumerate(frames):
            if k % every == 0:
                for name, value in values.items():
                    setattr(plugin, name, value)
            blocks.append(plugin.process(x[0, 0, 32 * k : 32 * k + 32].numpy(), 44100, buffer_size=32, reset=False))
        moving = {name: torch.tensor([[f[name] for f in frames]], dtype=torch.float64) for name in frames[0]}
        ours = find("LadderFilter")(mode=mode)(x, **moving)
        assert np.array_equal(ours[0, 0].numpy(), np.concatenate(blocks))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("frames", [1, 60])
def test_ladder_kernel_is_its_reference(mode, frames):
    weights, leak = MODES[mode]
    mix = [*(1.2 * w for w in weights), leak]
    x = 3 * white(2, 2, 60)
    low = torch.tensor([0.2, 0.1, 1.0, 0.4, 1.0, 0.4], dtype=torch.float64)[:, None]
    p = low + torch.tensor([0.7, 0.9, 9.0, 0.5, 0.4, 0.5])[:, None] * white(2, 6, frames, seed=1).abs().clamp_max(1)
    state = 0.1 * white(2, 2, 5, seed=2)
    single = [t.float() for t in (x, p.float(), state)]
    for ours, reference in zip(ladder(*single[:2], mix, single[2]), ladder_reference(*single[:2], mix, single[2]), strict=True):
        assert torch.equal(ours, reference)
    g, results = white(2, 2, 60, seed=3), []
    for function in (ladder, ladder_reference):
        a, b = x.clone().requires_grad_(), p.clone().requires_grad_()
        y, after = function(a, b, mix, state)
        results.append([y, after, *torch.autograd.grad(y, (a, b), g)])
    for ours, reference in zip(*results, strict=True):
        assert reference.abs().max() > 1e-3
        torch.testing.assert_close(ours, reference, rtol=1e-10, atol=1e-12)


def test_ladder_gradients_over_several_blocks_are_those_of_one_long_differentiation():
    """The adjoint recomputes its states by blocks of 4096: a control's gradient by differences, in double, past two blocks."""
    effect, x = find("LadderFilter")(mode="BPF12"), 0.3 * white(1, 1, 9000)
    u = torch.tensor([[0.5, 0.4, 0.3]], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(effect(x, u)[..., -500:].square().sum(), u)
    for i in range(3):
        probes = u.detach() + 1e-6 * torch.eye(3, dtype=torch.float64)[i] * torch.tensor([[1.0], [-1.0]])
        up, down = (effect(x, p[None])[..., -500:].square().sum() for p in probes)
        assert abs((up - down) / 2e-6 / gradient[0, i] - 1) < 1e-4


def test_ladder_names_its_modes():
    with pytest.raises(ValueError, match=r"LadderFilter: mode is one of LPF12.*Did you mean 'LPF24'"):
        find("LadderFilter")(mode="LFP24")(white(1, 1, 10))


def _analogue(name: str, q: float) -> tuple[list[float], list[float]]:
    numerator = {"BandpassFilter": [0, 1 / q, 0], "NotchFilter": [1, 0, 1], "AllpassFilter": [1, -1 / q, 1]}[name]
    return numerator, [1, 1 / q, 1]


@pytest.mark.parametrize("name", ["BandpassFilter", "NotchFilter", "AllpassFilter"])
@pytest.mark.parametrize(("cutoff", "q"), [(30.0, 0.3), (440.0, 5.0), (18000.0, 0.7)])
def test_second_order_filters_are_their_analogue_prototypes(name, cutoff, q):
    """scipy's bilinear transform of H(s), prewarped at the centre; and in float32 no further off than rounding."""
    rate, x = 48000, 0.3 * white(1, 2, 5000)
    b, a = _analogue(name, q)
    warped = 2 * rate * np.tan(np.pi * cutoff / rate)
    powers = warped ** np.arange(2, -1, -1)
    b, a = scipy.signal.bilinear(np.array(b) * powers[::-1], np.array(a) * powers[::-1], fs=rate)
    expected = scipy.signal.lfilter(b, a, x.numpy())
    y = find(name)(rate)(x, cutoff_frequency_hz=cutoff, q=q)
    assert np.abs(y.numpy() - expected).max() < 1e-9
    single = find(name)(rate)(x.float(), cutoff_frequency_hz=cutoff, q=q)
    exact = find(name)(rate)(x.float().double(), cutoff_frequency_hz=cutoff, q=q)
    assert torch.equal(single, exact.float())


@pytest.mark.parametrize(("cutoff", "q"), [(100.0, 0.5), (1000.0, 3.0), (6000.0, 9.0)])
def test_what_second_order_filters_are_for(cutoff, q):
    wide, magnitude = np.geomspace(20, 20000, 50), {}
    for name, expected in (("BandpassFilter", 1), ("NotchFilter", 0), ("AllpassFilter", -1)):
        effect = find(name)(48000)
        centre = _response(effect, np.array([cutoff]), cutoff_frequency_hz=cutoff, q=q)
        assert np.abs(centre - expected).max() < 1e-6
        magnitude[name] = np.abs(_response(effect, wide, cutoff_frequency_hz=cutoff, q=q))
    assert np.abs(magnitude["AllpassFilter"] - 1).max() < 1e-6
    # What the band-pass keeps and what the notch keeps is all there was.
    assert np.abs(magnitude["BandpassFilter"] ** 2 + magnitude["NotchFilter"] ** 2 - 1).max() < 1e-6


def test_q_is_the_centre_over_the_bandwidth():
    edges = 500.0 * (np.sqrt(1 + 1 / 64) + np.array([-1, 1]) / 8)  # 3 dB down for Q = 4; far below half the rate
    band = _response(find("BandpassFilter")(96000), edges, cutoff_frequency_hz=500.0, q=4.0)
    assert np.abs(20 * np.log10(np.abs(band)) + 3.0103).max() < 0.01


@pytest.mark.parametrize("name", ["BandpassFilter", "NotchFilter", "AllpassFilter"])
def test_filters_without_a_plugin_stay_finite_at_a_low_rate(name):
    y = find(name)(8000)(white(1, 1, 20000, dtype=torch.float32), cutoff_frequency_hz=20000.0, q=10.0)
    assert y.isfinite().all() and y.abs().max() < 10


@pytest.mark.parametrize("channels", [1, 2])
def test_fir_filter_is_scipys(channels):
    x, h = white(3, 2, 700), white(channels, 40, seed=1)
    y = find("FIRFilter")(impulse_response=h)(x)
    expected = np.stack([[scipy.signal.lfilter(h[c % channels], 1, row[c]) for c in range(2)] for row in x.numpy()])
    assert np.abs(y.detach().numpy() - expected).max() < 1e-12


def test_fir_filter_without_taps_is_a_delay():
    x = white(1, 2, 100, dtype=torch.float32)
    y = find("FIRFilter")()(x)
    assert torch.equal(y[..., 32:], x[..., :-32]) and y[..., :32].eq(0).all()


@pytest.mark.parametrize("gradient", ["autodiff", "fd", "spsa", dasp.Hybrid(backward="whitebox")])
def test_fir_taps_learn_under_every_strategy(gradient):
    """Least squares has one answer: the taps that made the target. And the gradient is the analytic one."""
    x, truth = white(1, 1, 400), white(1, 8, seed=1)
    target = find("FIRFilter")(impulse_response=truth)(x).detach()
    effect = find("FIRFilter")(impulse_response=torch.zeros(1, 8, dtype=torch.float64), gradient=gradient)
    assert [n for n, _ in effect.named_parameters()] == ["impulse_response"]
    effect(x).sub(target).square().sum().backward()
    lagged = torch.stack([torch.nn.functional.pad(x[0, 0], (k, 0))[:400] for k in range(8)])
    torch.testing.assert_close(effect.impulse_response.grad[0], -2 * lagged @ target[0, 0])
    optimiser = torch.optim.LBFGS(effect.parameters(), max_iter=50)

    def loss():
        optimiser.zero_grad()
        error = effect(x).sub(target).square().sum()
        error.backward()
        return error

    optimiser.step(loss)
    torch.testing.assert_close(effect.impulse_response.detach(), truth, atol=1e-5, rtol=0)


def test_fir_taps_learn_in_a_chain():
    chain = dasp.Chain(find("FIRFilter")(), dasp.Gain(), gradient="autodiff")
    chain(white(2, 2, 300), gain_db=6.0).square().sum().backward()
    assert chain.effects[0].impulse_response.grad.abs().max() > 0


def test_fir_taps_that_do_not_learn_are_saved_all_the_same():
    fixed = find("FIRFilter")(impulse_response=torch.ones(3), learnable=False)
    assert not list(fixed.parameters()) and list(fixed.state_dict()) == ["impulse_response"]


def test_fir_filter_says_what_is_wrong_with_taps():
    for bad in (torch.ones(3, dtype=torch.long), torch.ones(1, 1, 3), torch.ones(0)):
        with pytest.raises(ValueError, match="FIRFilter: impulse_response must be floats of shape"):
            find("FIRFilter")(impulse_response=bad)
    with pytest.raises(ValueError, match="responses for 3 channels; got audio with 2"):
        find("FIRFilter")(impulse_response=torch.ones(3, 4))(white(1, 2, 10))


def _decibels(h: torch.Tensor, frequencies: np.ndarray, rate: float) -> np.ndarray:
    """Of symmetric taps (N, taps), by the Fourier sum around their middle."""
    delay = h.shape[1] // 2
    turns = np.outer(np.arange(-delay, delay + 1), frequencies / rate)
    return 20 * np.log10(np.abs(h.numpy() @ np.cos(2 * np.pi * turns)))


@pytest.mark.parametrize("rate", [8000, 44100, 96000])
@pytest.mark.parametrize(("delay_ms", "tolerance"), [(50.0, (0.8, 0.4, 0.4)), (100.0, (0.11, 0.11, 0.11))])
def test_graphic_eq_has_the_gains_that_it_was_given(rate, delay_ms, tolerance):
    """At the worst: every corner of the six lowest bands' gains. And no ripple beyond them where the filter is long enough."""
    corners = 12 * torch.tensor(list(itertools.product((-1.0, 1.0), repeat=6)), dtype=torch.float64)
    gains = torch.cat([corners, -corners[:, :4]], 1)
    centres = np.array([f for f in CENTRES_HZ if f < rate / 2])
    h = design(gains, rate, delay_ms)
    assert torch.equal(h, h.flip(1)) and h.shape == (64, round(2 * delay_ms * rate / 1000) + 1)
    error = np.abs(_decibels(h, centres, rate) - gains.numpy()[:, : len(centres)]).max(0)
    assert (error <= [*tolerance, *[0.05] * (len(centres) - 3)]).all(), error
    between = _decibels(h, np.geomspace(200, min(20000, rate / 2), 100), rate)
    assert np.abs(between).max() < 12.3


def test_graphic_eq_at_rest_is_a_delay_and_at_one_gain_a_gain():
    x = white(1, 2, 6000)
    for db in (0.0, 6.0):
        y = find("GraphicEQ")()(x, **{q.name: db for q in find("GraphicEQ").controls})
        torch.testing.assert_close(y[..., 2205:], 10 ** (db / 20) * x[..., :-2205], rtol=0, atol=1e-12)
        assert y[..., :2205].abs().max() < 1e-12
    short = find("GraphicEQ")(48000, delay_ms=2.0)(x)
    torch.testing.assert_close(short[..., 96:], x[..., :-96], rtol=0, atol=1e-12)


def test_graphic_eq_filters_by_its_design():
    effect = find("GraphicEQ")(48000, delay_ms=20.0)
    values = _drawn("GraphicEQ", 0)
    (h,) = design(torch.tensor([list(values.values())], dtype=torch.float64), 48000, 20.0)
    x = white(1, 1, 5000)
    expected = scipy.signal.lfilter(h.numpy(), 1, x[0, 0].numpy())
    assert np.abs(effect(x, **values)[0, 0].numpy() - expected).max() < 1e-10


def test_frames_at_rest_have_the_gradient_of_frames_next_to_rest():
    """Automation is learnt from a constant start: there, too, a frame acts through the glide that it would start."""
    effect, x = find("LadderFilter")(), white(1, 1, 3200)
    weight, nudge = white(1, 1, 3200, seed=1), 1e-9 * white(1, 3, 100, seed=2)  # a frame a hop
    rest = torch.full((1, 3, 100), 0.5, dtype=torch.float64)
    gradients = []
    for frames in (rest, rest + nudge):
        u = frames.clone().requires_grad_()
        gradients.append(torch.autograd.grad((effect(x, u) * weight).sum(), u)[0])
    assert gradients[1].abs().min() > 1e-9
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-6)
    u = rest[..., 0].clone().requires_grad_()
    (still,) = torch.autograd.grad((effect(x, u) * weight).sum(), u)
    torch.testing.assert_close(gradients[0].sum(-1), still, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("length", [1, 5, 20])
def test_ramp_kernel_is_its_reference_at_rest_too(length):
    steps = torch.tensor([1.0, 1.0, 1.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0, 2.0, 2.0, 2.0], dtype=torch.float64)
    g, results = white(1, 1, 96, seed=1), []
    for function in (ramp, ramp_reference):
        target = steps.repeat_interleave(8)[None, None].clone().requires_grad_()
        state = torch.tensor([[[1.0, 1.0, 0.0, 0.0]]], dtype=torch.float64)
        y, after = function(target, length, state, 8)
        results.append((y, after[..., [0, 1, 3]], *torch.autograd.grad(y, target, g)))
    for ours, reference in zip(*results, strict=True):
        torch.testing.assert_close(ours, reference, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_design_kernel_is_its_reference(dtype):
    generator = torch.Generator().manual_seed(3)
    kinds = KINDS
    f = 10 ** (torch.rand(4, len(kinds), 5, generator=generator, dtype=torch.float64) * 4.4 + 0.2)  # 1.6 Hz to beyond fs / 2
    gain = torch.randn(4, len(kinds), 5, generator=generator, dtype=torch.float64) * 12
    q = torch.rand(4, len(kinds), 5, generator=generator, dtype=torch.float64) * 8 + 0.1
    controls = [t.requires_grad_() for t in (f, gain, q)]
    ours = sections(kinds, *controls, 44100, dtype)
    theirs = sections_reference(kinds, *controls, 44100, dtype)
    if dtype == torch.float32:
        assert torch.equal(ours.plugin[:, :5], theirs.plugin[:, :5])
        torch.testing.assert_close(ours.plugin, theirs.plugin, rtol=1e-6, atol=1e-7)
    ours, theirs = ours.exact, theirs.exact
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-14)
    g = torch.randn(ours.shape, generator=generator, dtype=torch.float64)
    for name, a, b in zip("fgq", *(torch.autograd.grad(y, controls, g) for y in (ours, theirs)), strict=True):
        scale = b.abs().amax(2, keepdim=True).clamp_min(1e-9)
        torch.testing.assert_close(a / scale, b / scale, rtol=1e-7, atol=1e-7, msg=name)
