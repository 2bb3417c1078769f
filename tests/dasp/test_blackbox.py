"""The black box: a chain's plugins as one, probes that share their audio, threads and no processes."""

import contextlib
import multiprocessing
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import dasp
from dasp.effect import Effect
from dasp.hosting import BUFFER, FileHost
from dasp.param import Param
from dasp.testing import draw, music
from gradients import SPSA, FiniteDifference

CHAINS = {
    "static": lambda **kw: dasp.Chain(
        dasp.HighpassFilter(), dasp.PeakFilter(), dasp.Compressor(), dasp.Delay(), dasp.Gain(), **kw
    ),
    "linked": lambda **kw: dasp.Chain(dasp.Distortion(), dasp.Reverb(), dasp.Phaser(), dasp.ParametricEQ(), **kw),
    "response": lambda **kw: dasp.Chain(
        dasp.Gain(),
        dasp.Convolution(),
        dasp.Compressor(),
        dasp.Convolution(impulse_response=music(channels=2)[0, :, :99].float()),
        **kw,
    ),
    "nested": lambda **kw: dasp.Chain(
        dasp.Gain(), dasp.Chain(dasp.PeakFilter(), dasp.Chain(dasp.Convolution())), dasp.Limiter(), **kw
    ),
    "mixed": lambda **kw: dasp.Chain(
        dasp.Gain(), dasp.PeakFilter(), dasp.Panner(), dasp.Reverb(), dasp.Parallel(dasp.Compressor()), dasp.Gain(), **kw
    ),
    "options": lambda **kw: dasp.Chain(dasp.LadderFilter(mode="HPF24"), dasp.Delay(), dasp.LadderFilter(mode="BPF12"), **kw),
    "no controls": lambda **kw: dasp.Chain(dasp.Invert(), dasp.Gain(), dasp.Invert(), **kw),
}


def one_by_one(chain, x, u, **aux):
    """The chain's black box, effect by effect, each through torch."""
    for effect, part, mine in chain._parts(u, aux):
        through = one_by_one if isinstance(effect, dasp.Chain) else lambda e, *args, **more: e.target().blackbox(*args, **more)
        x = through(effect, x, part, **mine)
    return x


def same(chain, x, u, **aux):
    aux |= chain.extra(x)
    heard, expected = chain.target().blackbox(x, u, **aux), one_by_one(chain, x, u, **aux)
    assert heard.dtype == x.dtype and torch.equal(heard, expected)
    assert not torch.equal(heard, x.expand_as(heard))


@pytest.mark.parametrize("moving", [False, True], ids=["static", "moving"])
@pytest.mark.parametrize("width", [1, 2])
@pytest.mark.parametrize("kind", CHAINS)
def test_a_chain_as_one_is_its_plugins_one_by_one_to_the_bit(pedalboard, kind, width, moving):
    chain = CHAINS[kind]()
    if kind == "mixed" and width == 2:
        chain = dasp.Chain(*(e for e in chain if not isinstance(e, dasp.Panner)))
    u = draw(chain, 3)
    if moving:
        u = (u[..., None] + torch.linspace(-0.15, 0.15, 11, dtype=u.dtype)).clamp(0, 1)
    x = music(channels=width, batch=3, seconds=0.1)
    for audio in (x, x.float(), x.float()[..., :200], x[:, :1].float().expand(-1, width, -1)):
        same(chain, audio, u)
    if not moving:
        same(chain, x[..., :2], u)
    assert chain.target().blackbox(x[..., :0], u, **chain.extra(x)).shape[2] == 0
    assert len(chain.target().blackbox(x[:0], u[:0], **chain.extra(x[:0]))) == 0


def test_a_side_chain_reaches_every_detector(pedalboard):
    chain = dasp.Chain(dasp.PeakFilter(), dasp.Compressor(), dasp.Gain(), dasp.Chain(dasp.NoiseGate()))
    x, u = music(batch=2).float(), draw(chain, 2)
    same(chain, x, u, sidechain=0.5 * x.flip(-1))
    same(chain, x, u, sidechain=0.0 * x)


@pytest.mark.parametrize("strategy", [FiniteDifference(), SPSA(directions=3)], ids=["fd", "spsa"])
@pytest.mark.parametrize("kind", ["static", "response", "moving", "sidechain"])
def test_probes_seen_through_the_cotangent_are_probes_on_copies(pedalboard, kind, strategy):
    """`Target.rises` against what the strategy makes of `Target.blackbox` alone."""
    chain = CHAINS["response" if kind == "response" else "static"]()
    x, u = music(batch=2).float()[..., :1500], draw(chain, 2)
    u = u[..., None].repeat(1, 1, 3) if kind == "moving" else u
    aux = chain.extra(x) | ({"sidechain": 0.5 * x.flip(-1)} if kind == "sidechain" else {})
    gradients = []
    for target in (chain.target(), replace(chain.target(), rises=None)):
        torch.manual_seed(3)
        v = u.clone().requires_grad_()
        y = strategy(target, x, v, **{k: t.detach() for k, t in aux.items()})
        gradients.append(torch.autograd.grad(y, v, torch.randn(y.shape, generator=torch.Generator().manual_seed(0)))[0])
    assert (gradients[0] - gradients[1]).norm() < 1e-6 * gradients[1].norm()
    assert (gradients[0] != 0).any()


def test_cotangents_alone_share_the_runs(pedalboard, monkeypatch):
    """jacrev maps over cotangents: 50 rows of the Jacobian ask for no more runs than one."""
    runs = []
    plain = dasp.blackbox._Plugin.run
    monkeypatch.setattr("dasp.blackbox._Plugin.run", lambda self, *args: runs.append(1) or plain(self, *args))
    effect, x = dasp.Compressor(gradient="fd"), music().float()[..., :1000]
    rows = torch.func.jacrev(lambda u: effect(x, u)[0, 0, 500:550])(torch.full((1, 4), 0.4, dtype=torch.float64))
    assert len(runs) == 1 + 2 * 4
    white = torch.func.jacrev(lambda u: dasp.Compressor()(x, u)[0, 0, 500:550])(torch.full((1, 4), 0.4, dtype=torch.float64))
    torch.testing.assert_close(rows, white, rtol=2e-2, atol=2e-3 * float(white.abs().max()))


def test_vmap_over_audio_and_controls_is_a_loop(pedalboard):
    effect, x, u = dasp.Compressor(gradient="fd"), music(batch=4).float()[..., :1000], torch.rand(4, 4, dtype=torch.float64)

    def gradient(x, u):
        return torch.func.grad(lambda u: effect(x[None], u[None]).square().sum())(u)

    looped = torch.stack([gradient(*pair) for pair in zip(x, u, strict=True)])
    torch.testing.assert_close(torch.func.vmap(gradient)(x, u), looped, rtol=1e-6, atol=0)
    torch.testing.assert_close(torch.func.vmap(gradient, (None, 0))(x[0], u)[0], looped[0], rtol=1e-6, atol=0)


@pytest.mark.parametrize(("strategy", "runs"), [(FiniteDifference(), 2 * 4), (SPSA(), 2), (SPSA(directions=5), 10)])
def test_runs_are_what_the_docstrings_promise(pedalboard, monkeypatch, strategy, runs):
    seen = []
    plain = dasp.blackbox._Plugin.run
    monkeypatch.setattr("dasp.blackbox._Plugin.run", lambda self, *args: seen.append(self.cls.__name__) or plain(self, *args))
    chain = dasp.Chain(dasp.Gain(), dasp.PeakFilter(), gradient=strategy)
    u = torch.full((3, 4), 0.5, dtype=torch.float64, requires_grad=True)
    y = chain(music(batch=3).float(), u)
    assert seen == ["Gain", "PeakFilter"] * 3  # one forward, and each item from the first plugin to the last
    y.square().sum().backward()
    assert seen == ["Gain", "PeakFilter"] * 3 * (1 + runs)


def test_a_plugin_of_another_width_is_refused(pedalboard, monkeypatch):
    monkeypatch.setattr("dasp.blackbox._Plugin.run", lambda self, audio, *rest: audio[:1])
    with pytest.raises(ValueError, match=r"Gain: the output of \(2, 4410\) must be \(2, 4410\); the plugin made \(1, 4410\)"):
        dasp.Gain(gradient="spsa")(music(channels=2).float()[..., :4410])


PEAKS = """
import resource, torch
from dasp import SPSA, FiniteDifference, ParametricEQ, PeakFilter
x = 0.1 * torch.randn(2, 1, 2**20)

def step(effect, x):
    u = torch.full((2, len(effect.controls)), 0.5, dtype=torch.float64, requires_grad=True)
    torch.autograd.grad(effect(x, u).square().sum(), u)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / (x.numel() * 4)

few = [PeakFilter(gradient=SPSA()), PeakFilter(gradient=FiniteDifference())]
many = [PeakFilter(gradient=SPSA(directions=16)), ParametricEQ(gradient=FiniteDifference())]
for effect in few + many:
    before = step(effect, x[..., :1000])
print(*(max(step(effect, x) for effect in effects) - before for effects in (few, many)))
"""


def test_memory_does_not_grow_with_controls_and_directions(pedalboard):
    """Rise of the peak memory in a step, in units of the input: of 2 and 6 probes, then of 32 and 36."""
    run = subprocess.run([sys.executable, "-c", PEAKS], capture_output=True, text=True, check=True)
    few, many = map(float, run.stdout.split())
    assert many < few + 1 and many < 8


def test_eight_threads_on_one_effect_give_the_serial_result(pedalboard, monkeypatch):
    monkeypatch.setattr("dasp.threads.threads", lambda: 4)
    chain = CHAINS["static"](gradient="fd")
    x, u = music(batch=3).float(), draw(chain, 3)

    def step(number):
        v = ((u + 0.02 * number) % 1).requires_grad_()
        y = chain(x.roll(100 * number, -1), v)
        return y.detach(), torch.autograd.grad(y.square().sum(), v)[0]

    serial, together = [step(i) for i in range(8)], [None] * 8

    def work(number):
        together[number] = step(number)

    workers = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for expected, got in zip(serial, together, strict=True):
        assert torch.equal(got[0], expected[0]) and torch.equal(got[1], expected[1])


def children():
    """Processes that this one has started and that live."""
    found = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # a thread that has ended meanwhile
            found.update((task / "children").read_text().split())
    return found


def test_no_process_is_started_and_no_more_threads_than_cores(pedalboard, monkeypatch):
    monkeypatch.setattr("dasp.threads.threads", dasp.threads.cores)
    before, started = children(), []
    sys.addaudithook(
        lambda event, args: started.append(event) if event in ("os.fork", "os.posix_spawn", "subprocess.Popen") else None
    )
    chain = CHAINS["static"](gradient="spsa")
    v = draw(chain, 8).requires_grad_()
    chain(music(batch=8).float(), v).sum().backward()
    assert started == [] and children() == before and multiprocessing.active_children() == []
    assert sum(t.name.startswith("dasp") for t in threading.enumerate()) <= dasp.threads.cores()


class _Knob:
    raw_value = 0.5


class _File:
    """What a plugin's file would load as: one gain, from 0 to 2."""

    def __init__(self, reloads):
        self.parameters, self.reloads = {"gain": _Knob()}, reloads

    def reset(self):
        if self.reloads and threading.current_thread() is not threading.main_thread():
            raise RuntimeError("on the main thread only")

    def process(self, audio, sample_rate, buffer_size=8192, reset=True):
        return audio * audio.dtype.type(2 * self.parameters["gain"].raw_value)


@pytest.mark.parametrize("reloads", [False, True], ids=["any thread", "main thread"])
@pytest.mark.parametrize("strategy", [FiniteDifference(), SPSA()], ids=["fd", "spsa"])
def test_a_hosted_plugin_is_probed_as_any_other(pedalboard, monkeypatch, tmp_path, reloads, strategy):
    loaded = []
    monkeypatch.setattr("dasp.hosting.load", lambda *_: loaded.append(_File(reloads)) or loaded[-1])
    monkeypatch.setattr("dasp.threads.threads", lambda: 2)
    monkeypatch.setattr("dasp.hosting.threads", lambda: 2)
    knob = Param("gain", "", 0.0, 2.0, 1.0)

    class Hosted(Effect):
        controls = (knob,)
        plugin = FileHost(str(tmp_path), None, (knob,), {}, {}, 1)
        options = {BUFFER: 8192}

    x, u = music(batch=3).float(), torch.tensor([[0.2], [0.5], [0.9]], dtype=torch.float64)
    effect = Hosted(gradient=strategy)
    y = effect(x, v := u.clone().requires_grad_())
    torch.testing.assert_close(y, x * (2 * u)[..., None].float(), rtol=1e-6, atol=0)
    (gradient,) = torch.autograd.grad(y, v, x)
    torch.testing.assert_close(gradient[:, 0], 2 * x.double().square().sum((1, 2)), rtol=1e-3, atol=0)
    assert len(loaded) == (1 if reloads else 2)
    mixed = dasp.Chain(dasp.Invert(), effect, dasp.Invert(), dasp.Invert(), gradient=strategy)
    assert torch.equal(mixed(x, u), -y.detach())
    assert not mixed.in_series and mixed.target().rises is None
