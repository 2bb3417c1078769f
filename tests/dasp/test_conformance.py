"""Every effect of the registry, and compounds of them, through the public conformance suite."""

import pytest
import torch

import dasp
from dasp.effect import Effect
from dasp.effects import registry
from dasp.param import Param
from dasp.testing import CHECKS, check_effect

COMPOUNDS = {
    "Chain": lambda rate=44100, **kw: dasp.Chain(
        dasp.PeakFilter(rate), dasp.Compressor(rate), dasp.Gain(rate), **{"gradient": "autodiff", **kw}
    ),
    "Parallel": lambda rate=44100, **kw: dasp.Parallel(
        dasp.Compressor(rate), dasp.Distortion(rate), **{"gradient": "autodiff", **kw}
    ),
    "nested": lambda rate=44100, **kw: dasp.Chain(
        dasp.Parallel(dasp.Chain(dasp.LowShelfFilter(rate), dasp.Distortion(rate))),
        dasp.Panner(rate),
        **{"gradient": "autodiff", **kw},
    ),
    "Feedback": lambda rate=44100, **kw: dasp.Feedback(
        dasp.Chain(dasp.Compressor(rate), dasp.LowpassFilter(rate)), delay_seconds=0.005, **{"gradient": "autodiff", **kw}
    ),
    **{f"Panner {law}": lambda rate=44100, law=law, **kw: dasp.Panner(rate, law=law, **kw) for law in ("linear", "-4.5dB")},
}


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.__name__.removeprefix("check_"))
@pytest.mark.parametrize("make", [*registry().values(), *COMPOUNDS.values()], ids=[*registry(), *COMPOUNDS])
def test_conforms(make, check):
    check(make)


def test_registry_is_the_public_set():
    for name, cls in registry().items():
        assert getattr(dasp, name) is cls


class _Broken(Effect):
    """An effect with a choice of published defects."""

    controls = (Param("level", "", 0.0, 1.0, 0.5, doc="gain"), Param("release_ms", "ms", 1.0, 100.0, 10.0, doc="unused"))

    @staticmethod
    def dsp(x, *, sample_rate, level, release_ms):
        return x * level.to(x.dtype)


class _SummedDetector(Effect):
    """Sums the channels in its detector, is NaN on silence, and has noise of its own."""

    controls = (Param("level", "", 0.0, 1.0, 0.5, doc="gain"),)

    @staticmethod
    def dsp(x, *, sample_rate, level):
        key = x.sum(1, keepdim=True).abs()
        return x * level.to(x.dtype) / (1 + key) + 1e-3 * torch.rand_like(x) + 0 * torch.sqrt(x.abs()) / x.abs()


@pytest.mark.parametrize(
    ("make", "check", "word"),
    [
        (_Broken, "check_controls_alive", "release_ms has no effect"),
        (_SummedDetector, "check_pure", "two runs differ"),
        (_SummedDetector, "check_finite", "not finite on silence"),
        (_SummedDetector, "check_dual_mono", "dual mono"),
    ],
)
def test_the_suite_fails_a_broken_effect(make, check, word):
    (run,) = [c for c in CHECKS if c.__name__ == check]
    with pytest.raises(AssertionError, match=word):
        run(make)
    with pytest.raises(AssertionError):
        check_effect(make)


def test_table_and_function_must_agree():
    with pytest.raises(TypeError, match="dsp takes level; the table declares gain_db"):

        class Wrong(Effect):
            controls = (Param("gain_db", "dB", -1.0, 1.0, 0.0),)

            @staticmethod
            def dsp(x, *, sample_rate, level):
                return x
