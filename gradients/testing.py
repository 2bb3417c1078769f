"""`check_strategy`: the public conformance suite of gradient strategies, on functions whose derivatives are known."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from gradients.strategy import Strategy, Target

BATCH, CHANNELS, SAMPLES, CONTROLS = 3, 2, 40, 4


@dataclass(frozen=True)
class Report:
    """What `check_strategy` measured.

    Attributes:
        stochastic: whether two backward passes differ.
        forward_runs: black-box runs of one forward pass, for a batch of one.
        backward_runs: black-box runs of one backward pass, controls well inside the range.
        edge_runs: the same with controls at the edges of [0, 1].
        order: observed order of the error in epsilon (deterministic strategies with an `epsilon`), else None.
        noise_exponent: observed exponent of the standard error in `directions` (stochastic ones), else None.
        audio_refused: whether the audio's gradient is refused when only a black box exists.
    """

    stochastic: bool
    forward_runs: int
    backward_runs: int
    edge_runs: int
    order: float | None
    noise_exponent: float | None
    audio_refused: bool


def polynomial(degree: int) -> Callable[..., Tensor]:
    """A function of (audio, controls) with a VJP that autograd knows exactly: a polynomial in the controls, all of them
    coupled, linear in the audio and, where given, in `sidechain`."""
    generator = torch.Generator().manual_seed(degree)
    basis = torch.randn(CONTROLS, SAMPLES, generator=generator, dtype=torch.float64)
    coupling = torch.randn(CONTROLS, CONTROLS, generator=generator, dtype=torch.float64)

    def function(x: Tensor, u: Tensor, sidechain: Tensor | None = None) -> Tensor:
        v = u.mean(-1) if u.ndim == 3 else u
        v = v.to(x.dtype)
        gain = 1 + v @ basis.to(v)
        if degree >= 2:
            gain = gain + ((v @ coupling.to(v)) * v).sum(1, keepdim=True) * basis[0].to(v)
        if degree >= 3:
            gain = gain + (v**3) @ basis.flip(1).to(v)
        y = x * gain[:, None]
        return y if sidechain is None else y + sidechain * v.sum(1)[:, None, None]

    return function


class _Recorder:
    """A black box: counts its runs, remembers the range of its controls, and hides from autograd."""

    def __init__(self, function: Callable[..., Tensor]):
        self.function, self.runs, self.low, self.high = function, 0, torch.inf, -torch.inf

    def __call__(self, x: Tensor, u: Tensor, **aux: Tensor) -> Tensor:
        self.runs += len(x)
        self.low, self.high = min(self.low, u.min().item()), max(self.high, u.max().item())
        return self.function(x, u, **aux).detach()


def _inputs(place: str, frames: int | None = None) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(7)
    x, g = torch.randn(2, BATCH, CHANNELS, SAMPLES, generator=generator, dtype=torch.float64)
    shape = (BATCH, CONTROLS) if frames is None else (BATCH, CONTROLS, frames)
    u = torch.rand(shape, generator=generator, dtype=torch.float64) * 0.4 + 0.3
    if place == "edges":
        u[:, 0], u[:, 1] = 0.0, 1.0
    return x, u, g


def _target(degree: int) -> tuple[Target, _Recorder]:
    function = polynomial(degree)
    box = _Recorder(function)
    return Target("polynomial", function, box, function), box


def _vjp(strategy: Strategy, target: Target, x: Tensor, u: Tensor, g: Tensor, **aux: Tensor) -> tuple[Tensor, ...]:
    x, u = x.clone().requires_grad_(), u.clone().requires_grad_()
    aux = {k: t.clone().requires_grad_() for k, t in aux.items()}
    return torch.autograd.grad(strategy(target, x, u, **aux), (x, u, *aux.values()), g)


def _assert(ok: bool, strategy: Strategy, what: str) -> None:
    if not ok:
        raise AssertionError(f"{type(strategy).__name__}: {what}")


def _close(a: Tensor, b: Tensor, tolerance: float) -> bool:
    return bool((a - b).norm() <= tolerance * b.norm().clamp_min(1e-30))


def _within_standard_errors(samples: Tensor, truth: Tensor) -> bool:
    """4 standard errors for every component; with a few dozen components a sound estimator fails about once in 500."""
    error = samples.std(0) / len(samples) ** 0.5
    return bool(((samples.mean(0) - truth).abs() <= 4 * error + 1e-9 * truth.abs()).all())


def check_strategy(strategy: Strategy, *, draws: int = 4000, tolerance: float = 1e-8, seed: int = 0) -> Report:
    """Run a strategy through everything that a strategy promises.

    On polynomials of known derivatives: exact strategies equal the analytic VJP of a linear and a quadratic function with a
    random cotangent, inside the range and at its edges; stochastic ones are unbiased there (4 standard errors) and their error
    falls as 1/sqrt(directions); an `epsilon` gives second order on a cubic; no probe leaves [0, 1]; the audio's and
    the side-chain's gradients are exact, or refused when there is only a black box; time-varying controls; torch.func.grad,
    vmap and jacrev agree with plain backward.

    Args:
        strategy: the strategy, with its settings.
        draws: random draws for the statistical checks.
        tolerance: relative tolerance of the deterministic checks, in float64.
        seed: torch's seed for the draws (the generator's state is restored afterwards).

    Returns:
        the figures that were measured on the way.

    Raises:
        AssertionError: the first promise that is broken, with its figure.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _check(strategy, draws, tolerance)


def _check(strategy: Strategy, draws: int, tolerance: float) -> Report:
    x, u, g = _inputs("inside")
    target, box = _target(2)
    _assert(_close(strategy(target, x, u), polynomial(2)(x, u), 1e-12), strategy, "the output is not the effect's output")
    first, second = (_vjp(strategy, target, x, u, g)[1] for _ in range(2))
    stochastic = not torch.equal(first, second)

    runs = {}
    for place in ("inside", "edges"):
        x, u, g = _inputs(place)
        for degree in (1, 2):
            truth = torch.autograd.grad(polynomial(degree)(x, v := u.clone().requires_grad_()), v, g)[0]
            target, box = _target(degree)
            if stochastic:
                many = _vjp(strategy, target, x.repeat(draws, 1, 1), u.repeat(draws, 1), g.repeat(draws, 1, 1))
                good = _within_standard_errors(many[1].unflatten(0, (draws, -1)), truth)
            else:
                good = _close(_vjp(strategy, target, x, u, g)[1], truth, tolerance)
            _assert(good, strategy, f"the control gradient of a polynomial of degree {degree} is off, controls {place}")
            inside = box.runs == 0 or (box.low >= 0 and box.high <= 1)
            _assert(inside, strategy, f"a probe left [0, 1]: {box.low} to {box.high}, controls {place}")
        target, box = _target(1)
        y = strategy(target, x[:1].clone().requires_grad_(), v := u[:1].clone().requires_grad_())
        forward = box.runs
        torch.autograd.grad(y, v, g[:1])
        runs[place] = (forward, box.runs - forward)

    _check_transforms(strategy, stochastic, tolerance)
    return Report(
        stochastic=stochastic,
        forward_runs=runs["inside"][0],
        backward_runs=runs["inside"][1],
        edge_runs=runs["edges"][1],
        order=_order(strategy, stochastic),
        noise_exponent=_noise_exponent(strategy, stochastic, draws),
        audio_refused=_check_inputs(strategy, tolerance),
    )


def _order(strategy: Strategy, stochastic: bool) -> float | None:
    """The error's order in epsilon on a cubic, inside and at the edges: 2 for central differences."""
    epsilon = getattr(strategy, "epsilon", "has none")
    if stochastic or epsilon == "has none" or callable(epsilon):
        return None
    orders = []
    for place in ("inside", "edges"):
        x, u, g = _inputs(place)
        truth = torch.autograd.grad(polynomial(3)(x, v := u.clone().requires_grad_()), v, g)[0]
        coarse, fine = (
            (_vjp(dataclasses.replace(strategy, epsilon=e), _target(3)[0], x, u, g)[1] - truth).norm()  # type: ignore[type-var]
            for e in (0.04, 0.02)
        )
        orders.append(float(torch.log2(coarse / fine)))
    order = min(orders)
    _assert(order > 1.9, strategy, f"the error falls as epsilon to the {order:.2f}, not as its square")
    return order


def _noise_exponent(strategy: Strategy, stochastic: bool, draws: int) -> float | None:
    if not stochastic or not hasattr(strategy, "directions"):
        return None
    x, u, g = (t.repeat(max(draws // 8, 50), *[1] * (t.ndim - 1)) for t in _inputs("inside"))
    one, many = (
        _vjp(dataclasses.replace(strategy, directions=n), _target(1)[0], x, u, g)[1].unflatten(0, (-1, BATCH)).std(0).mean()  # type: ignore[type-var]
        for n in (1, 16)
    )
    exponent = float(torch.log(many / one) / torch.log(torch.tensor(16.0)))
    _assert(abs(exponent + 0.5) < 0.1, strategy, f"the error falls as directions to the {exponent:.2f}, not -0.5")
    return exponent


def _check_inputs(strategy: Strategy, tolerance: float) -> bool:
    """Audio, side-chain, frames; True if the audio's gradient is refused without another view."""
    x, u, g = _inputs("inside")
    side = x.flip(-1)
    truth = _vjp(_Plain(), _target(2)[0], x, u, g, sidechain=side)
    got = _vjp(strategy, _target(2)[0], x, u, g, sidechain=side)
    _assert(_close(got[0], truth[0], tolerance), strategy, "the audio's gradient is not that of the effect")
    _assert(_close(got[2], truth[2], tolerance), strategy, "the side-chain's gradient is not that of the effect")

    x, u, g = _inputs("inside", frames=5)
    moving = _vjp(strategy, _target(2)[0], x, u, g)[1]
    _assert(moving.shape == u.shape, strategy, f"controls {tuple(u.shape)} got a gradient {tuple(moving.shape)}")

    x, u, g = _inputs("inside")
    box = _target(2)[1]
    try:
        alone = _vjp(strategy, Target("alone", None, box, None), x, u, g)[0]
    except (ValueError, RuntimeError):
        return True
    _assert(_close(alone, truth[0], tolerance), strategy, "with a black box alone the audio's gradient is wrong, not refused")
    return False


def _check_transforms(strategy: Strategy, stochastic: bool, tolerance: float) -> None:
    """torch.func.grad, vmap and jacrev. The functions under a transform must be transparent to it: no recorder here."""
    function = polynomial(2)
    target = Target("polynomial", function, lambda x, u, **aux: function(x, u, **aux), function)
    x, u, g = _inputs("inside")

    def loss(u: Tensor) -> Tensor:
        return (strategy(target, x, u) * g).sum()

    torch.manual_seed(1)
    by_func = torch.func.grad(loss)(u)
    torch.manual_seed(1)
    by_backward = torch.autograd.grad(loss(v := u.clone().requires_grad_()), v)[0]
    _assert(_close(by_func, by_backward, tolerance), strategy, "torch.func.grad differs from backward")

    batch = torch.stack([x, x.flip(0)])
    mapped = torch.func.vmap(lambda x: strategy(target, x, u))(batch)
    looped = torch.stack([strategy(target, x, u) for x in batch])
    _assert(_close(mapped, looped, tolerance), strategy, "vmap differs from a loop")

    rows = torch.func.jacrev(lambda u: strategy(target, x, u).mean((1, 2)))(u)
    off_diagonal = rows * (1 - torch.eye(BATCH, dtype=rows.dtype))[:, :, None]
    _assert(rows.shape == (BATCH, *u.shape), strategy, f"jacrev gave {tuple(rows.shape)}")
    _assert(bool(off_diagonal.abs().max() < 1e-9), strategy, "jacrev leaks between items of the batch")
    if not stochastic:
        truth = torch.func.jacrev(lambda u: function(x, u).mean((1, 2)))(u)
        _assert(_close(rows, truth, 1e-6), strategy, "jacrev differs from the analytic Jacobian")


class _Plain(Strategy):
    def __call__(self, target: Target, x: Tensor, controls: Tensor, **aux: Tensor) -> Tensor:
        return target.view("whitebox", "check")(x, controls, **aux)
