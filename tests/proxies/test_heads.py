"""The heads: shapes, memory, controls that vary, gradients at the corners; and that each can be the effect it was made for."""

import math
import time

import pytest
import torch

from proxies.network import build
from proxies.reader import Reader, fit_width, narrow
from proxies.scan import follow, recurrence

BAND = {"kind": "filter", "controls": [0, 1, 2]}
STRIP = [BAND, {"kind": "gain", "controls": [3]}, {"kind": "shaper", "controls": [2, 3], "curve": "hinge"}, {"kind": "room"}]
HEADS = {
    "shaper": {"kind": "shaper", "num_controls": 2},
    "clip": {"kind": "shaper", "num_controls": 2, "curve": "hinge"},
    "gain": {"kind": "gain", "num_controls": 4},
    "gate": {"kind": "gain", "num_controls": 4, "followers": ["square", "peak"]},
    "filter": {"kind": "filter", "num_controls": 3, "sections": 2},
    "room": {"kind": "room", "num_controls": 5},
    "series": {"kind": "series", "num_controls": 4, "networks": STRIP},
}
ANY_CHANNELS = [name for name in HEADS if name not in ("room", "series")]


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def head(name, dtype=torch.float64):
    """Double precision, with all weights away from their start."""
    network = build(**HEADS[name]).to(dtype).eval()
    with torch.no_grad():
        for p in network.parameters():
            p.add_(0.1 * torch.randn_like(p))
    return network


def sound(network, batch=2, channels=2, samples=3000, dtype=torch.float64):
    """Bursts, so that followers rise and fall, and controls."""
    x = torch.randn(batch, channels, samples, dtype=dtype) * (torch.arange(samples) % 1000 < 300)
    return x, torch.rand(batch, network.num_controls, dtype=dtype)


@pytest.mark.parametrize("name", HEADS)
def test_batch_is_its_items(name):
    network = head(name)
    x, u = sound(network)
    y = network(x, u)
    assert y.shape == x.shape
    torch.testing.assert_close(y[1:], network(x[1:], u[1:]), rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", ANY_CHANNELS)
def test_each_channel_for_itself(name):
    network = head(name)
    x, u = sound(network, channels=5)
    torch.testing.assert_close(network(x, u)[:, 3:4], network(x[:, 3:4], u), rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", HEADS)
def test_constant_frames_are_static_controls(name):
    network = head(name)
    x, u = sound(network)
    torch.testing.assert_close(network(x, u[..., None].expand(-1, -1, 7)), network(x, u), rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", HEADS)
def test_frames_act_where_they_stand(name):
    network = head(name)
    x, u = sound(network)
    frames = u[..., None].repeat(1, 1, 6)
    frames[..., 3:] = 1 - frames[..., 3:]
    assert not torch.equal(network(x, frames), network(x, u))
    torch.testing.assert_close(network(x, frames)[..., :1200], network(x, u)[..., :1200], rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_blocks_are_the_whole(name, dtype):
    network = head(name, dtype)
    x, u = sound(network, dtype=dtype)
    state, blocks = None, []
    with torch.no_grad():
        for block in x.split([1, 700, 1, 0, 1298, 1000], -1):
            y, state = network.stream(block, state, u)
            blocks.append(y)
        whole = network(x, u)
    torch.testing.assert_close(torch.cat(blocks, -1), whole, rtol=0, atol=1e-9 if dtype == torch.float64 else 1e-4)


def test_stream_leaves_the_state_it_was_given():
    network = head("series")
    x, u = sound(network)
    _, state = network.stream(x, None, u)
    kept = {key: value.clone() for key, value in state.items()}
    network.stream(x, state, u)
    assert state.keys() == kept.keys()
    assert all(torch.equal(state[key], kept[key]) for key in kept)


@pytest.mark.parametrize("name", HEADS)
def test_gradients_are_finite_at_the_corners_and_in_silence(name):
    network = head(name, torch.float32)
    for corner in (0.0, 1.0):
        for x in (torch.zeros(1, 2, 500), torch.ones(1, 2, 500), torch.randn(1, 2, 500)):
            x.requires_grad_()
            u = torch.full((1, network.num_controls), corner, requires_grad=True)
            y = network(x, u)
            grads = torch.autograd.grad(y.square().sum(), [x, u, *network.parameters()], allow_unused=True)
            assert y.isfinite().all()
            assert all(g is None or g.isfinite().all() for g in grads)


@pytest.mark.parametrize("name", HEADS)
def test_gradient_of_the_controls(name):
    network = head(name)
    x, u = sound(network, batch=1, channels=1, samples=150)
    for values in (u, u[..., None].repeat(1, 1, 2)):
        assert torch.autograd.gradcheck(lambda u: network(x, u), values.requires_grad_(), atol=1e-5, fast_mode=True)


@pytest.mark.parametrize("name", HEADS)
def test_built_again_from_its_description(name):
    network = head(name)
    again = build(**network.description).double().eval()
    again.load_state_dict(network.state_dict())
    x, u = sound(network)
    assert torch.equal(again(x, u), network(x, u))


@pytest.mark.parametrize("name", ["shaper", "gain", "gate"])
def test_real_time(name):
    """About 0.05 on an idle core; the bound leaves room for a busy one."""
    network = head(name, torch.float32)
    x, u = sound(network, batch=1, channels=1, samples=44100, dtype=torch.float32)
    with torch.no_grad():
        network(x, u)
        start = time.process_time()
        network(x, u)
    assert time.process_time() - start < 1


@pytest.mark.parametrize("name", [name for name in HEADS if name != "series"])
def test_narrowed_controls_mean_a_part_of_what_they_meant(name):
    network, part = head(name), head(name)
    part.load_state_dict(network.state_dict())
    x, u = sound(network)
    low = torch.rand(network.num_controls, dtype=torch.float64) / 2
    narrow(part, low.tolist(), (low + 0.3).tolist())
    torch.testing.assert_close(part(x, u), network(x, low + 0.3 * u), rtol=0, atol=1e-9)


def test_room_is_mono_or_pairs():
    network = head("room")
    x, u = sound(network, channels=4)
    torch.testing.assert_close(network(x, u)[:, 2:], network(x[:, 2:], u), rtol=0, atol=1e-9)
    assert network(x[:, :1], u).shape == (2, 1, 3000)
    with pytest.raises(ValueError, match=r"Room: expected audio \(B, a multiple of 2, T\)"):
        network(x[:, :3], u)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "filter", "num_controls": 1, "sections": 2, "frequencies": [0.1]}, r"one a section \(2\); got \[0.1\]"),
        ({"kind": "filter", "num_controls": 1, "frequencies": [0.5]}, "Filter: frequencies are shares of the sample rate"),
        ({"kind": "shaper", "num_controls": 1, "curve": "cubic"}, "'tanh' or 'hinge'; got 'cubic'"),
        ({"kind": "gain", "num_controls": 1, "followers": ["rms"]}, "'peak' or 'square'; got 'rms'"),
        ({"kind": "gain", "num_controls": 1, "attack": [0, 1]}, r"attack is samples for each of 1 followers; got \[0, 1\]"),
        ({"kind": "gain", "num_controls": 1, "release": [-1]}, "release is samples"),
        ({"kind": "filter", "num_controls": 1, "sections": 0}, "sections must be an integer of at least 1"),
        ({"kind": "room", "num_controls": 1, "combs": []}, "one comb at least"),
        ({"kind": "room", "num_controls": 1, "spread": -1}, "delays are samples"),
        ({"kind": "series", "num_controls": 1, "networks": []}, "at least one network"),
        ({"kind": "series", "num_controls": 1, "networks": [{"kind": "gain", "controls": [1]}]}, "indices from 0 to 0"),
    ],
)
def test_settings_that_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        build(**settings)


def test_times_that_a_follower_starts_from():
    """Before training the level of a unit step is known: at once up, and down by 1/e in so many samples."""
    network = build("gain", num_controls=1, attack=[0], release=[200])
    level = []
    network.curve.forward = lambda v, controls: level.append(v) or 0 * v
    x = torch.cat([torch.ones(1, 1, 500), torch.zeros(1, 1, 400)], 2)
    network(x, torch.full((1, 1), 0.5))
    r = level[0].exp()[0, 0]
    assert abs(r[1] - 1) < 0.01
    assert abs(r[499 + 200] / r[499] - math.exp(-1)) < 0.02


def test_frequencies_that_sections_start_from():
    """A section of quality 1 that is made a high pass gives 0 dB at its frequency, and 40 dB less a decade below."""
    frequencies = (0.002, 0.05)
    for n, own in enumerate(frequencies):
        network = build("filter", num_controls=1, sections=2, frequencies=frequencies).double()
        with torch.no_grad():
            network.readers[n].linear.bias[2] = -30.0
            x = torch.zeros(1, 1, 1 << 15, dtype=torch.float64)
            x[..., 0] = 1
            response = torch.fft.rfft(network(x, torch.full((1, 1), 0.5, dtype=torch.float64))[0, 0]).abs()
        at, below = (20 * float(response[round(f * x.shape[2])].log10()) for f in (own, own / 10))
        assert abs(at) < 0.5
        assert abs(below + 40) < 1


def strip(width, kind="gain"):
    network = build(
        "series",
        num_controls=4,
        networks=[{"kind": kind, "width": width}, {"kind": "filter", "width": width, "controls": [0, 1]}],
    )
    for p in network.parameters():
        p.data.add_(torch.randn_like(p), alpha=0.1)
    return network


def test_a_wider_head_computes_what_the_narrower_did_and_learns_with_all_it_has():
    narrow, wide, x, u = strip(6), strip(16), torch.randn(2, 1, 2000), torch.rand(2, 4)
    assert fit_width(wide, narrow)
    torch.testing.assert_close(wide(x, u), narrow(x, u), rtol=1e-5, atol=1e-6)
    wide(x, u).square().sum().backward()
    assert all(reader.hidden[-1].weight.grad.any(0).all() for reader in wide.modules() if isinstance(reader, Reader))


def test_a_narrower_head_keeps_the_units_that_say_most():
    given, narrow, x, u = strip(16), strip(6), torch.randn(2, 1, 2000), torch.rand(2, 4)
    for reader in (m for m in given.modules() if isinstance(m, Reader)):  # all but six units of each layer say nothing
        reader.hidden[-1].weight.data[:, 6:] = 0
        reader.hidden[2].weight.data[:, :10] = 0
    assert fit_width(narrow, given)
    torch.testing.assert_close(narrow(x, u), given(x, u), rtol=1e-5, atol=1e-6)


def test_widths_alone_may_differ():
    other, before = strip(16, "shaper"), strip(16).state_dict()
    network = strip(16)
    network.load_state_dict(before)
    assert not fit_width(network, other)
    assert all(torch.equal(t, before[name]) for name, t in network.state_dict().items())


@pytest.mark.parametrize(("size", "varies"), [(1, True), (1, False), (2, True), (2, False)])
@pytest.mark.parametrize("samples", [1, 32, 33, 2100])
def test_recurrence_is_the_loop(size, varies, samples):
    a = 0.6 * torch.rand(3, size, size, samples if varies else 1, dtype=torch.float64)
    b, state = torch.randn(3, size, samples, dtype=torch.float64), torch.randn(3, size, dtype=torch.float64)
    s, steps = recurrence(a, b, state), []
    for n in range(samples):
        state = (a[..., n if varies else 0] @ state[..., None])[..., 0] + b[..., n]
        steps.append(state)
    torch.testing.assert_close(s, torch.stack(steps, -1))


@pytest.mark.parametrize("varies", [True, False])
def test_recurrence_has_its_derivative(varies):
    a = 0.6 * torch.rand(2, 2, 2, 40 if varies else 1, dtype=torch.float64)
    b, start = torch.randn(2, 2, 40, dtype=torch.float64), torch.randn(2, 2, dtype=torch.float64)
    arguments = (a.requires_grad_(), b.requires_grad_(), start.requires_grad_())
    assert torch.autograd.gradcheck(recurrence, arguments, fast_mode=True)


@pytest.mark.parametrize(("attack", "release"), [(0.0, 0.9999), (0.9, 0.999), (0.999, 0.9), (0.9999, 0.0), (0.99, 0.99)])
def test_follower_is_the_loop(attack, release):
    level = sound(head("gain"), 1, 1, 6000)[0][:, 0].abs()
    r, followed = 0.3, []
    for v in level[0].tolist():
        r = v + (attack if v > r else release) * (r - v)
        followed.append(r)
    fast, slow, start = (torch.full((1, 1), value, dtype=torch.float64) for value in (attack, release, 0.3))
    expected = torch.tensor(followed, dtype=torch.float64)
    torch.testing.assert_close(follow(level, fast, slow, start)[0], expected, rtol=1e-6, atol=1e-9)


def test_filter_can_be_a_cookbook_peak():
    """The analogue prototype of a peaking band, at 1 kHz, +12 dB, Q 2, against its difference equation."""
    network, big, q, w = build("filter", num_controls=1).double(), 10 ** (12 / 40), 2.0, 2 * math.pi * 1000 / 44100
    prototype = [math.tan(w / 2), 1 / (big * q), 1.0, big / q, 1.0]
    with torch.no_grad():
        for p in network.parameters():
            p.zero_()
        network.get_parameter("readers.0.linear.bias").copy_(torch.tensor(prototype).log())
    alpha = math.sin(w) / (2 * q)
    b, a = [1 + alpha * big, -2 * math.cos(w), 1 - alpha * big], [1 + alpha / big, -2 * math.cos(w), 1 - alpha / big]
    x, y = torch.randn(500).tolist(), []
    for n in range(500):
        past = sum(b[k] * x[n - k] - (a[k] * y[n - k] if k else 0) for k in range(3) if n >= k)
        y.append(past / a[0])
    heard = network(torch.tensor(x, dtype=torch.float64)[None, None], torch.rand(1, 1))[0, 0]
    torch.testing.assert_close(heard, torch.tensor(y, dtype=torch.float64), rtol=0, atol=1e-5)


def test_gain_learns_a_threshold():
    """40 steps on a hard knee; the error falls to a fifth."""
    network = build("gain", num_controls=1, units=4)
    optimiser = torch.optim.Adam(network.parameters(), 0.03)
    errors = []
    for _ in range(40):
        x, u = sound(network, 4, 1, 1000, torch.float32)
        level = follow(x[:, 0].abs(), torch.tensor([[0.9]]), torch.tensor([[0.99]]))[:, None]
        y = x * (level / (0.05 + 0.5 * u[..., None])).clamp_min(1) ** -0.5
        error = (network(x, u) - y).square().sum() / y.square().sum()
        optimiser.zero_grad()
        error.sqrt().backward()
        optimiser.step()
        errors.append(error.item())
    assert sum(errors[-5:]) < sum(errors[:5]) / 5
