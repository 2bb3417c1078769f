"""Small inputs of every operator that has a GPU kernel: some rows and channels, a state in the middle of a stream."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dasp.atoms import (
    allpass_cascade,
    antialias,
    ballistics,
    biquad,
    delay_line,
    freeverb,
    ladder,
    lfo,
    libm,
    network,
    ramp,
    recurrence,
)

SAMPLES = 19


@dataclass
class Case:
    """An operator's call. `exact`: the kernel has the CPU's order of operations. `state`: the argument that is one."""

    atom: str
    function: str
    operator: Callable[..., Any]
    args: tuple
    exact: bool = True
    state: int | None = None


def cases(atom: str, dtype: torch.dtype, varying: bool) -> list[Case]:
    """The calls of one atom's operators."""
    torch.manual_seed(0)
    return BUILDERS[atom](dtype, SAMPLES if varying else 1)


def _noise(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64).to(dtype)


def _uniform(*shape: int) -> Tensor:
    return torch.rand(*shape, dtype=torch.float64)


def _pair(atom: str, module: Any, g: Tensor, args: tuple, state: int, exact: bool = True, settings: int = 0) -> list[Case]:
    """A recurrence's operator and its adjoint, which takes the same and the cotangent in front; not all of the settings."""
    back = args[: len(args) - settings]
    return [
        Case(atom, "forward", module._forward, args, exact, state),
        Case(atom, "backward", module._backward, (g, *back), False),
    ]


def _biquad(dtype: torch.dtype, frames: int) -> list[Case]:
    x, state = _noise(2, 2, SAMPLES, dtype=dtype), _noise(2, 2, 3, 3, dtype=dtype)
    x[..., 9:], state[..., :2] = 0, state[..., :2] * 1e-8  # some states are cleared at the end of the plugin's block
    state[..., 2] = 8192.0 - 12 + torch.arange(2)[:, None, None]
    sos = 0.3 * _noise(2, 3, 5, frames)
    hop = Case("biquad", "forward", biquad._forward, (x, sos, state, 7))
    return [*_pair("biquad", biquad, _noise(2, 2, SAMPLES, dtype=dtype), (x, sos, state, 0), 2, settings=1), hop]


def _ballistics(dtype: torch.dtype, frames: int) -> list[Case]:
    v, state = _noise(2, 2, SAMPLES, dtype=dtype).abs(), _uniform(2, 2, 1).to(dtype)
    g, (attack, release) = _noise(2, 2, SAMPLES, dtype=dtype), _uniform(2, 2, 1, frames)
    found = _pair("ballistics", ballistics, g, (v, attack, release, state), 3)
    v[..., :2] = 0
    threshold, exponent = 0.2 + _uniform(2, 1, frames), _uniform(2, 1, frames)
    for below, power in ((False, -exponent), (True, exponent + 0.5)):
        y = ballistics._curve(v, threshold, power, below)
        found.append(Case("ballistics", "curve", ballistics._curve, (v, threshold, power, below), False))
        back = (g, v, y, threshold, power, below)
        found.append(Case("ballistics", "curve_backward", ballistics._curve_backward, back, False))
    return found


def _freeverb(dtype: torch.dtype, frames: int) -> list[Case]:
    lengths = freeverb.line_lengths(1000, 2)
    feed, state = _noise(2, 1, SAMPLES, dtype=dtype), _noise(2, sum(lengths) + 16, dtype=dtype)
    feedback, damping = _uniform(2, 2, frames)
    g = _noise(2, 2, SAMPLES, dtype=dtype)
    return _pair("freeverb", freeverb, g, (feed, feedback, damping, state, lengths), 3)


def _delay_line(dtype: torch.dtype, frames: int) -> list[Case]:
    found = []
    for late, thiran, lowest in ((False, False, 4.3), (True, False, 0.3), (True, True, 5.3)):
        x, state = _noise(2, 2, SAMPLES, dtype=dtype), _noise(2, 2, 18, dtype=dtype)
        delay, feedback = lowest + 8 * _uniform(2, 1, frames), _uniform(2, 1, SAMPLES + 1 - frames)
        if frames > 1:
            delay[0, 0, 3], delay[1, 0, 5] = 100.0, 9.0  # beyond the line, and whole
        g = _noise(2, 2, SAMPLES, dtype=dtype)
        found += _pair("delay_line", delay_line, g, (x, delay, feedback, state, late, thiran), 3, exact=not thiran)
    return found


def _allpass_cascade(dtype: torch.dtype, frames: int) -> list[Case]:
    x, state, g = _noise(2, 2, SAMPLES, dtype=dtype), _noise(2, 2, 4, dtype=dtype), _noise(2, 2, SAMPLES, dtype=dtype)
    args = (x, _uniform(2, 1, frames), _uniform(2, 1, SAMPLES + 1 - frames), state)
    return _pair("allpass_cascade", allpass_cascade, g, args, 3)


def _ladder(dtype: torch.dtype, frames: int) -> list[Case]:
    x, state, g = 2 * _noise(2, 2, SAMPLES, dtype=dtype), _noise(2, 2, 5, dtype=dtype), _noise(2, 2, SAMPLES, dtype=dtype)
    parameters = _uniform(2, 6, frames)
    parameters[:, 2] *= 4  # into the table's ends
    args = (x, parameters, state, [0.1, -0.5, 1.0, 0.7, 0.3, 0.5])
    # In double the table is torch's tanh, not C's.
    return _pair("ladder", ladder, g, args, 2, exact=dtype == torch.float32)


def _network(dtype: torch.dtype, frames: int) -> list[Case]:
    found = []
    # With a pole its memory of one sample makes it serial, and slow to interpret.
    for pole in (False, True)[: 2 if dtype == torch.float32 and frames == 1 else 1]:
        net = network.Network()
        line, other = net.line(12), net.line(9)
        echo, step = net.slide(line, 0), net.step(other, 1)
        value = net.all_pass(net.scaled(net.input(0), echo, 2), net.line(7), 7, 3)
        if pole:
            value = net.one_pole(value, 3, 2)
        net.write(line, net.sum(value, net.tap(other, 5)))
        net.write(other, net.diff(net.input(1), step))
        net.output(0, net.sum(echo, echo))
        net.output(1, net.scaled(step, value, 2))
        samples = 4 if pole else SAMPLES
        x, state, g = (_noise(2, n, m, dtype=dtype) for n, m in ((2, samples), (1, sum(net.sizes)), (2, samples)))
        params = 0.9 * _uniform(2, 4, min(frames, samples))
        params[:, :2] = 3.2 + 8 * params[:, :2]
        described = (net.program, net.sizes, net.registers, net.outputs)
        found += _pair("network", network, g, (x, params, state[:, 0], *described), 2, settings=1)
    return found


def _ramp(dtype: torch.dtype, frames: int) -> list[Case]:
    target = _noise(2, 2, 5, dtype=dtype).repeat_interleave(4, -1)[..., :SAMPLES]
    target[0, :, 4:12], target[1, 0] = target[0, :, 4:5], 1.0
    state, g = _noise(2, 2, 4, dtype=dtype), _noise(2, 2, SAMPLES, dtype=dtype)
    state[..., 3], state[1, 0] = 3.0, torch.tensor([1.0, 1.0, 0.0, 0.0])
    found = [Case("ramp", "forward", ramp._forward, (target, state, 3), True, 1)]
    return found + [Case("ramp", "backward", ramp._backward, (g, target, state, 3, hop)) for hop in (0, 4)]


def _lfo(dtype: torch.dtype, frames: int) -> list[Case]:
    step, state = 2 * _uniform(2, 1, frames).float(), _uniform(2, 1, 1).float()
    return [Case("lfo", "phase", lfo._phase, (step, state, SAMPLES))]


def _antialias(dtype: torch.dtype, frames: int) -> list[Case]:
    a, g = 3 * _noise(2, 300), _noise(2, 300)
    b = a + _noise(2, 300) * 10 ** (1 - 6 * _uniform(2, 300))
    b[0, :9] = a[0, :9]
    return [
        Case("antialias", "forward", antialias._forward, (a, b), False),
        Case("antialias", "backward", antialias._backward, (g, a, b), False),
    ]


def _libm(dtype: torch.dtype, frames: int) -> list[Case]:
    x = torch.cat([_noise(1, 300), 0.1 * _noise(1, 300), torch.tensor([[0.0, 1e-30, 50.0, -50.0]])], 1).to(dtype)
    found = [
        Case("libm", "tanh_forward", libm._tanh_forward, (x,), False),
        Case("libm", "tanh_backward", libm._tanh_backward, (torch.ones_like(x), x), False),
    ]
    positive = (0.1 + 5 * _uniform(1, 300)).float()
    if dtype == torch.float64:
        return [*found, Case("libm", "unary", libm._unary, (positive.double(), "tan"), False)]
    names = ("expf", "sinf", "cosf", "tanf", "tanhf", "log10f")
    found += [Case("libm", "unary", libm._unary, (positive, name), False) for name in names]
    return [*found, Case("libm", "power", libm._power, (positive, positive), False)]


def _recurrence(dtype: torch.dtype, frames: int) -> list[Case]:
    x, poles = _noise(2, 2, SAMPLES, dtype=dtype), [0.4 * _noise(2, 2, frames) for _ in range(2)]
    shared = poles[0][:, :1].contiguous()
    calls = [(x, poles[0], None, _noise(2, 2, 1)), (x, shared, None, _noise(2, 2, 1)), (x, *poles, _noise(2, 2, 2))]
    return [
        Case("recurrence", "run", recurrence._run, (*args, reverse), state=None if reverse else 3)
        for args in calls
        for reverse in (False, True)
    ]


BUILDERS: dict[str, Callable[[torch.dtype, int], list[Case]]] = {
    "biquad": _biquad,
    "ballistics": _ballistics,
    "freeverb": _freeverb,
    "delay_line": _delay_line,
    "allpass_cascade": _allpass_cascade,
    "ladder": _ladder,
    "network": _network,
    "ramp": _ramp,
    "lfo": _lfo,
    "antialias": _antialias,
    "recurrence": _recurrence,
    "libm": _libm,
}
