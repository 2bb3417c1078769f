"""The door to torchaudio, and torchaudio as the independent oracle of the filters."""

import importlib
import sys
import types

import pytest
import torch

from dasp._torchaudio import torchaudio
from dasp.atoms import design
from dasp.atoms.biquad import biquad


def test_the_door_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchaudio", None)
    with pytest.raises(ImportError, match=r"^torchaudio is not installed: pip install 'torchaudio>=2.11,<2.12'\.$"):
        torchaudio()


@pytest.mark.parametrize("error", [OSError("libcudart.so.13: cannot open\nmore"), ImportError("libcudart.so.13: cannot open")])
def test_a_build_that_does_not_load_is_one_sentence(monkeypatch, error):
    def fail(name):
        raise error

    monkeypatch.setattr(importlib, "import_module", fail)
    with pytest.raises(
        ImportError, match=r"does not load beside torch .*\(libcudart.so.13: cannot open\): .*registry's CUDA build"
    ):
        torchaudio()


def test_what_torchaudio_itself_lacks_is_not_mistaken_for_torchaudio(monkeypatch):
    def fail(name):
        raise ModuleNotFoundError("No module named 'typing_extensions'", name="typing_extensions")

    monkeypatch.setattr(importlib, "import_module", fail)
    with pytest.raises(ModuleNotFoundError, match="typing_extensions"):
        torchaudio()


def test_what_loads_is_handed_out(monkeypatch):
    package = types.ModuleType("torchaudio")
    monkeypatch.setitem(sys.modules, "torchaudio", package)
    assert torchaudio() is package


def _signal(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.torchaudio
def test_biquad_and_its_gradients_are_lfilters(oracle):
    x = _signal(2, 3, 700).requires_grad_()
    rows = _stable(batch=2, sections=2).requires_grad_()
    g = _signal(2, 3, 700).flip(-1)

    y, _ = biquad(x, rows[..., None])
    theirs = x
    for section in range(2):
        b0, b1, b2, a1, a2 = rows[:, section].unbind(-1)
        a, b = torch.stack([torch.ones_like(a1), a1, a2], -1), torch.stack([b0, b1, b2], -1)
        # One filter for each item of the batch, over all its channels.
        theirs = torch.stack([oracle.lfilter(v, *ab, clamp=False) for v, *ab in zip(theirs, a, b, strict=True)])
    torch.testing.assert_close(y, theirs, rtol=1e-10, atol=1e-12)
    for ours, reference in zip(*(torch.autograd.grad(out, (x, rows), g) for out in (y, theirs)), strict=True):
        assert ours.abs().max() > 1e-3
        torch.testing.assert_close(ours, reference, rtol=1e-8, atol=1e-10)


def _stable(batch: int, sections: int) -> torch.Tensor:
    """Coefficients b0 b1 b2 a1 a2, (batch, sections, 5), with poles well inside the unit circle."""
    generator = torch.Generator().manual_seed(1)
    radius, angle = torch.rand(2, batch, sections, generator=generator, dtype=torch.float64)
    radius, angle = 0.5 + 0.4 * radius, torch.pi * angle
    b = torch.randn(batch, sections, 3, generator=generator, dtype=torch.float64)
    return torch.cat([b, torch.stack([-2 * radius * angle.cos(), radius**2], -1)], -1)


@pytest.mark.torchaudio
@pytest.mark.parametrize("name", ["low_shelf", "high_shelf", "peak"])
@pytest.mark.parametrize(("gain", "q"), [(9.0, 0.7), (-14.0, 2.5)])
def test_filter_designs_are_the_cookbooks(oracle, name, gain, q):
    x, rate, frequency = 0.05 * _signal(1, 1, 2000), 48000, 1700.0  # quiet: the oracle clips at 1
    values = [torch.full((1, 1, 1), v, dtype=torch.float64, requires_grad=True) for v in (frequency, gain, q)]
    y, _ = biquad(x, design.section(name, values[0], values[2], values[1], sample_rate=rate))
    expected = {
        "low_shelf": lambda: oracle.bass_biquad(x, rate, gain, frequency, q),
        "high_shelf": lambda: oracle.treble_biquad(x, rate, gain, frequency, q),
        "peak": lambda: oracle.equalizer_biquad(x, rate, frequency, gain, q),
    }[name]()
    assert (expected - x).abs().max() > 0.02
    torch.testing.assert_close(y, expected, rtol=1e-7, atol=1e-9)
