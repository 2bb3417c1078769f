"""Every strategy through the public conformance suite, and what the suite cannot know."""

import pickle

import pytest
import torch

import gradients
from gradients import SPSA, Autodiff, FiniteDifference, Hybrid, Proxy, Strategy, Target, resolve
from gradients.testing import check_strategy, polynomial


@pytest.mark.parametrize(
    ("strategy", "runs"),
    [
        (Autodiff(), (0, 0, 0)),
        (Proxy(), (0, 0, 0)),
        (Hybrid(), (1, 0, 0)),
        (Hybrid(backward="whitebox"), (1, 0, 0)),
        (FiniteDifference(), (1, 8, 8)),
        (FiniteDifference(epsilon=1e-3, audio="proxy"), (1, 8, 8)),
        (SPSA(), (1, 2, 4)),
        (SPSA(directions=4), (1, 8, 16)),
        (SPSA(epsilon=lambda k: 0.05 / (k + 1) ** 0.101), (1, 2, 4)),
    ],
    ids=lambda v: type(v).__name__ if isinstance(v, Strategy) else "runs",
)
def test_conformance_and_runs_as_documented(strategy, runs):
    report = check_strategy(strategy)
    assert (report.forward_runs, report.backward_runs, report.edge_runs) == runs
    assert report.audio_refused, "a black box alone must not give the audio a gradient silently"


class _Broken(SPSA):
    """Divides by epsilon instead of twice epsilon."""

    def _controls(self, *args):
        return 2 * super()._controls(*args)


class _Clipping(Strategy):
    """Clips its probes to [0, 1] and still divides by twice epsilon: half the gradient at an edge."""

    def __call__(self, target, x, controls, **aux):
        from gradients._opaque import opaque

        def vjp(x, u, *rest, y, g, needs):
            e, columns = 0.01, []
            for i in range(u.shape[1]):
                step = torch.zeros_like(u)
                step[:, i] = e
                up, down = (target.blackbox((x), (u + s * step).clamp(0, 1)) for s in (1, -1))
                columns.append(((up - down) * g).flatten(1).sum(1) / (2 * e))
            return torch.func.vjp(lambda x: target.whitebox(x, u), x)[1](g)[0], torch.stack(columns, 1)

        return opaque(target.blackbox, vjp, target.name, x, controls, aux)


@pytest.mark.parametrize(("strategy", "word"), [(_Broken(), "inside"), (_Clipping(), "edges")])
def test_the_suite_fails_a_wrong_strategy(strategy, word):
    with pytest.raises(AssertionError, match=word):
        check_strategy(strategy)


def test_resolve_names_and_suggests():
    assert gradients.names() == ["autodiff", "fd", "hybrid", "proxy", "spsa"]
    for name in gradients.names():
        assert isinstance(resolve(name), Strategy)
    spsa = SPSA(directions=3)
    assert resolve(spsa) is spsa
    with pytest.raises(ValueError, match="Did you mean 'spsa'"):
        resolve("spas")


def test_missing_view_is_one_sentence():
    with pytest.raises(ValueError, match=r"box: gradient='proxy' needs a proxy view.*whitebox only.*proxy="):
        Proxy()(Target("box", whitebox=polynomial(1)), torch.zeros(1, 1, 40), torch.zeros(1, 4))


def _lti(x, u):
    """A stereo LTI system: each output mixes both inputs, one of them delayed."""
    late = torch.nn.functional.pad(x, (3, 0))[..., : x.shape[2]]
    return torch.stack([x[:, 0] + 0.5 * late[:, 1], 0.2 * late[:, 0] - x[:, 1]], 1) * (1 + u[:, :1, None])


def test_adjoint_is_exact_for_a_linear_time_invariant_box_with_cross_talk():
    x = torch.randn(2, 2, 50, dtype=torch.float64, requires_grad=True)
    u, g = torch.rand(2, 1, dtype=torch.float64), torch.randn(2, 2, 50, dtype=torch.float64)
    target = Target("lti", None, lambda x, u: _lti(x, u).detach(), None)
    got = torch.autograd.grad(FiniteDifference(audio="adjoint")(target, x, u), x, g)[0]
    truth = torch.autograd.grad(_lti(x, u), x, g)[0]
    torch.testing.assert_close(got, truth)


@pytest.mark.parametrize("strategy", [FiniteDifference(audio="adjoint"), SPSA(audio="adjoint")], ids=["fd", "spsa"])
def test_adjoint_of_a_nonlinear_box_is_refused(strategy):
    x = torch.randn(1, 1, 50, dtype=torch.float64, requires_grad=True)
    y = strategy(Target("tanh", None, lambda x, u: torch.tanh(3 * x), None), x, torch.rand(1, 1, dtype=torch.float64))
    with pytest.raises(ValueError, match="linear time-invariant"):
        y.sum().backward()


def test_adjoint_of_a_box_that_is_hardly_nonlinear_or_varies_in_time_is_refused_whatever_the_cotangent():
    x, u = torch.randn(1, 1, 50000, dtype=torch.float64), torch.rand(1, 1, dtype=torch.float64)
    tremolo = 1 + 0.1 * torch.sin(torch.linspace(0, 40, 50000, dtype=torch.float64))
    for box in (lambda x, u: torch.tanh(0.3 * x), lambda x, u: tremolo * x):
        y = FiniteDifference(audio="adjoint")(Target("box", None, box, None), x.clone().requires_grad_(), u)
        with pytest.raises(ValueError, match="linear time-invariant"):
            y.backward(torch.randn_like(y))


@pytest.mark.parametrize("strategy", [FiniteDifference(), SPSA(), FiniteDifference(audio="none")], ids=["fd", "spsa", "none"])
def test_audio_gradient_without_a_source_is_refused_at_the_call(strategy):
    box = Target("box", None, lambda x, u: x, None)
    x = torch.randn(1, 1, 8, requires_grad=True)
    with pytest.raises(ValueError, match="audio needs a gradient"):
        strategy(box, x, torch.rand(1, 1))
    strategy(box, x.detach(), torch.rand(1, 1))


def test_half_hybrid_trains_on_the_proxy_and_hears_the_box_in_evaluation():
    x, u = torch.ones(1, 1, 4), torch.full((1, 1), 0.5)
    views = {"blackbox": lambda x, u: 2 * x, "proxy": lambda x, u: 3 * x}
    half = Hybrid(when="eval")
    assert half(Target("t", training=True, **views), x, u)[0, 0, 0] == 3
    assert half(Target("t", training=False, **views), x, u)[0, 0, 0] == 2


def test_spsa_epsilon_schedule_counts_backward_passes():
    seen = []

    def schedule(step):
        seen.append(step)
        return 0.1 / (step + 1)

    strategy, u = SPSA(epsilon=schedule), torch.full((1, 4), 0.5, requires_grad=True)
    target = Target("t", polynomial(1), polynomial(1), None)
    for _ in range(3):
        strategy(target, torch.ones(1, 1, 40), u).sum().backward()
    assert seen == [0, 1, 2]


def test_spsa_reports_a_variance_that_is_the_spread_of_its_estimates():
    reported = []
    strategy = SPSA(directions=8, report=reported.append)
    x, u = torch.randn(1, 1, 40, dtype=torch.float64), torch.full((1, 4), 0.5, dtype=torch.float64, requires_grad=True)
    target = Target("t", polynomial(1), polynomial(1), None)
    torch.manual_seed(0)
    estimates = torch.stack([torch.autograd.grad(strategy(target, x, u).sum(), u)[0] for _ in range(2000)])
    ratio = torch.stack(reported).mean(0) / estimates.var(0)
    torch.testing.assert_close(ratio, torch.ones_like(ratio), atol=0.15, rtol=0)


def test_spsa_is_reproducible_by_seed_and_by_generator():
    target, x = Target("t", polynomial(2), polynomial(2), None), torch.randn(1, 1, 40)

    def gradient(strategy):
        u = torch.full((1, 4), 0.4, requires_grad=True)
        return torch.autograd.grad(strategy(target, x, u).sum(), u)[0]

    torch.manual_seed(3)
    first = gradient(SPSA())
    torch.manual_seed(3)
    assert torch.equal(gradient(SPSA()), first)
    own = [gradient(SPSA(directions=2, generator=torch.Generator().manual_seed(5))) for _ in range(2)]
    assert torch.equal(*own)


@pytest.mark.parametrize("settings", [{"epsilon": 0.0}, {"epsilon": 0.5}, {"directions": 0}])
def test_settings_out_of_range(settings):
    with pytest.raises(ValueError, match="SPSA"):
        SPSA(**settings)


def test_state_is_refused_by_opaque_strategies():
    with pytest.raises(TypeError, match="state= goes with gradient='autodiff'"):
        SPSA()(Target("t", polynomial(1), polynomial(1)), torch.ones(1, 1, 40), torch.rand(1, 4), state={})


def test_strategies_pickle():
    for name in gradients.names():
        assert pickle.loads(pickle.dumps(resolve(name))) == resolve(name)
