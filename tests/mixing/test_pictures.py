"""Every picture is drawn, with labelled axes and the numbers that it claims to show."""

import math

import numpy as np
import pytest
import torch
from synthetic import RATE, listing, save, stem

import dasp
from dasp import SPSA, Autodiff, FiniteDifference
from dasp.effects import registry
from dasp.testing import music
from mixing import UserError
from mixing import agreement as a
from mixing.landscape import landscape
from mixing.pictures import effects, gradients, probes, sound, style

FEW = {
    "autodiff": (Autodiff(), torch.float64),
    "fd": (FiniteDifference(), torch.float32),
    "SPSA 2": (SPSA(directions=2), torch.float32),
}


def labelled(axes):
    """Every panel names its axes, and what is drawn in it is numbers."""
    for axis in axes:
        assert axis.get_xlabel() and axis.get_ylabel(), axis.get_title("left")
        for line in axis.lines:
            assert np.isfinite(np.asarray(line.get_ydata(), dtype=float)).all()


def test_every_effect_has_a_view():
    named = [name for names in effects.VIEWS.values() for name in names]
    assert sorted(named) == sorted(registry())
    assert effects.view("SomethingElse") == "decay"


@pytest.mark.parametrize("name", registry())
def test_every_effect_is_drawn(name):
    cls = registry()[name]
    picture = effects.picture(cls, 22050, probes.QUICK)
    panels = picture.axes[: max(1, len(cls.controls))]
    assert [p.get_title("left") for p in panels] == ([q.name for q in cls.controls] or [""])
    labelled(panels)
    for panel, q in zip(panels, cls.controls, strict=False):
        lines = [np.asarray(line.get_ydata()) for line in panel.lines]
        assert len(lines) >= 3
        if effects.view(name) != "stereo":
            assert q.unit == panel.get_legend().get_title().get_text()
            assert panel.get_legend().get_texts()[-1].get_text().endswith("(default)")
        low, high = panel.get_ylim()
        inside = [line for line in lines if ((line > low) & (line < high)).any()]
        assert inside, f"{name}.{q.name}: nothing is within the panel"


@pytest.mark.parametrize(
    "name", ["PeakFilter", "Compressor", "StudioCompressor", "Distortion", "Delay", "Tremolo", "NoiseGate", "Overdrive"]
)
def test_each_control_makes_a_difference_that_is_seen(name):
    cls = registry()[name]
    size = probes.Size(points=15, response=1 << 12, seconds=1.2)
    for panel, q in zip(effects.picture(cls, 22050, size).axes, cls.controls, strict=True):
        first, last = (
            np.asarray(panel.lines[k].get_ydata(), dtype=float) for k in (0, 4 if effects.view(name) != "modulation" else 2)
        )
        low, high = panel.get_ylim()
        apart = np.abs(np.clip(first, low, high) - np.clip(last, low, high)).max()
        assert apart > 0.02 * (high - low), f"{name}.{q.name}"


def test_a_filter_is_drawn_as_it_is():
    peak = dasp.PeakFilter(44100)
    u = peak.unit(1, cutoff_frequency_hz=1000.0, gain_db=9.0, q=2.0)
    curves = probes.magnitude(peak, u, probes.Size())
    at = np.interp([20, 1000, 15000], curves.x, curves.y[0])
    assert at == pytest.approx([0, 9, 0], abs=0.15)


def test_a_compressor_s_static_curve_has_its_threshold_and_ratio():
    compressor = dasp.StudioCompressor(44100)
    u = compressor.unit(1, threshold_db=-30.0, ratio=4.0, knee_db=0.0, attack_ms=0.5, release_ms=500.0)
    curves = probes.levels(compressor, u, probes.Size(points=15))
    assert np.interp(-50, curves.x, curves.y[0]) == pytest.approx(-50, abs=0.1)
    assert np.interp(-10, curves.x, curves.y[0]) == pytest.approx(-25, abs=0.5)
    over_time = probes.gain(compressor, u, probes.Size(), quiet_db=-50.0)
    assert over_time.y[0, 5] == pytest.approx(0, abs=0.1)
    assert over_time.y[0, len(over_time.x) // 2] == pytest.approx(-27 * 0.75, abs=0.6)


def test_a_waveshaper_s_curve_is_the_waveshaper():
    clipping = dasp.Clipping(44100)
    curves = probes.curve(clipping, clipping.unit(1, threshold_db=-6.0), probes.Size())
    limit = 10 ** (-6 / 20)
    np.testing.assert_allclose(curves.y[0], np.clip(curves.x, -limit, limit), atol=1e-6)
    assert (np.diff(curves.x) >= 0).all()


def test_the_energy_of_echoes_is_a_staircase():
    delay = dasp.Delay(44100)
    curves = probes.decay(delay, delay.unit(1, delay_seconds=0.25, feedback=0.5, mix=1.0), probes.Size(seconds=1.5))
    assert np.interp(0.1, curves.x, curves.y[0]) == pytest.approx(10 * math.log10(1 / (1 - 0.25)), abs=0.02)
    assert np.interp(0.4, curves.x, curves.y[0]) == pytest.approx(10 * math.log10(0.25 / (1 - 0.25)), abs=0.02)


def test_agreement_by_control_is_drawn():
    audio = music(seconds=0.05, batch=2).float()
    cosines = {
        "Compressor": a.by_control(dasp.Compressor, audio, 44100, draws=3, chosen=FEW),
        "Gain": a.by_control(dasp.Gain, audio, 44100, draws=3, chosen={"autodiff": FEW["autodiff"]}),
    }
    assert list(cosines["Compressor"]["autodiff"].values()) == pytest.approx([1.0] * 4)
    assert list(cosines["Compressor"]["fd"].values()) == pytest.approx([1.0] * 4, abs=1e-4)
    picture = gradients.agreement(cosines)
    labelled(picture.axes[:1])
    (image,) = picture.axes[0].images
    shown = image.get_array()
    assert shown.shape == (5, 3)
    assert shown[0, 0] == pytest.approx(1.0) and shown.mask[4, 1] and not shown.mask[4, 0]
    texts = [t.get_text() for t in picture.axes[0].texts]
    assert texts.count("none") == 2
    assert picture.axes[0].get_yticklabels()[0].get_text() == "Compressor  threshold_db"
    assert picture.axes[1].get_ylabel() == "cosine with float64 autodiff"


def test_a_landscape_is_drawn():
    audio = music(seconds=0.05).float()
    found = landscape(dasp.PeakFilter, "gain_db", audio, 44100, points=21, asked=5, repeats=3, chosen=FEW)
    assert found.unit[found.loss.argmin()] == pytest.approx(found.target, abs=0.05)
    assert {k: tuple(v.shape) for k, v in found.slopes.items()} == {"autodiff": (5, 1), "fd": (5, 1), "SPSA 2": (5, 3)}
    true = np.interp(found.at, found.unit, found.slope)
    assert found.slopes["autodiff"][:, 0].numpy() == pytest.approx(true, abs=0.04 * np.abs(true).max())
    assert found.slopes["fd"][:, 0].numpy() == pytest.approx(found.slopes["autodiff"][:, 0].numpy(), rel=0.01)
    picture = gradients.landscape(found)
    assert [p.get_title("left") for p in picture.axes[:3]] == list(FEW)
    assert picture.axes[0].get_ylabel() == "loss (mean squared error)"
    assert picture.axes[3].get_ylabel() == "derivative of the loss"
    assert {p.get_xlabel() for p in picture.axes[3:6]} == {"gain_db (dB)"}
    assert np.asarray(picture.axes[0].lines[0].get_ydata()) == pytest.approx(found.loss.numpy())
    with pytest.raises(ValueError, match="has no control 'gain'"):
        landscape(dasp.PeakFilter, "gain", audio, 44100)
    with pytest.raises(ValueError, match="has no true gradient"):
        landscape(dasp.FeedbackDelayNetwork, "size", audio, 44100)


def test_the_default_strategies_of_a_landscape_can_be_watched():
    from mixing.landscape import _watched

    assert list(_watched(dasp.Compressor, 44100)) == ["autodiff float32", "fd", "SPSA 1", "SPSA 16", "proxy", "hybrid"]
    assert list(_watched(dasp.Compressor, 22050))[-1] == "SPSA 16"


def test_before_and_after_show_level_and_place():
    t = torch.arange(44100) / 44100
    tone = 0.5 * torch.sin(2 * math.pi * 1000 * t)[None]
    panned = torch.cat([tone * math.cos(0.8 * math.pi / 2), tone * math.sin(0.8 * math.pi / 2)])
    picture = sound.before_and_after(tone, panned, 44100, "Panner, pan 0.8")
    panels = picture.axes[:4]
    labelled(panels)
    assert [p.get_title("left") for p in panels] == ["before", "after", "before: stereo image", "after: stereo image"]
    for panel, place in zip(panels[2:], (0.5, 0.8), strict=True):
        (mesh,) = panel.collections
        energy = np.asarray(mesh.get_array()).reshape(-1, 61)
        _, column = np.unravel_index(energy.argmax(), energy.shape)
        assert (column + 0.5) / 61 == pytest.approx(place, abs=0.01)
    (mesh,) = panels[0].collections
    level = np.asarray(mesh.get_array()).reshape(160, -1)
    loudest = np.sqrt(np.geomspace(40, 20000, 161)[:-1] * np.geomspace(40, 20000, 161)[1:])[
        level[:, level.shape[1] // 2].argmax()
    ]
    assert loudest == pytest.approx(1000, rel=0.04)
    mono = sound.before_and_after(tone, 0.1 * tone[:, :500], 44100)
    assert [p.get_title("left") for p in mono.axes[:2]] == ["before", "after"]
    assert len(mono.axes) == 3


def test_pictures_are_written_whole_and_the_same_each_time(tmp_path):
    for ending, start in ((".svg", b"<?xml"), (".png", b"\x89PNG")):
        for n in (1, 2):
            style.save(effects.picture(dasp.Gain, 22050, probes.QUICK), tmp_path / f"{n}{ending}")
        first = (tmp_path / f"1{ending}").read_bytes()
        assert first.startswith(start)
        assert first == (tmp_path / f"2{ending}").read_bytes()
    with pytest.raises(UserError, match=r"the ending \.pdf is not one of \.svg, \.png"):
        style.save(effects.picture(dasp.Gain, 22050, probes.QUICK), tmp_path / "a.pdf")
    with pytest.raises(UserError, match="cannot be written"):
        style.check(tmp_path / "none" / "a.png")


def test_numbers_are_short():
    values = (0.0, 0.12345, 12.345, 999.9999, 1000.0, 20000.0, 3556.6)
    assert [style.short(v) for v in values] == ["0", "0.123", "12.3", "1000", "1000", "20000", "3557"]


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(effects, "Size", lambda: probes.QUICK)
    monkeypatch.setattr(a, "strategies", lambda: {"fd": FEW["fd"], "SPSA 256": FEW["SPSA 2"]})
    monkeypatch.setattr("mixing.landscape._watched", lambda *_: {"fd": FEW["fd"]})


def test_the_commands_draw(tmp_path, dasp_command, quick):
    source = save(tmp_path / "in.wav", 0.5 * stem(1, 0.5, channels=2), RATE)
    out = tmp_path / "out"
    out.mkdir()
    for arguments in (
        ("effects", "Compressor", "--plot", out / "effect.svg"),
        ("gradients", "--effect", "Gain", "--draws", 1, "--seconds", 0.2, "--plot", out / "agreement.png"),
        ("gradients", "--effect", "Gain", "--landscape", "gain_db", "--seconds", 0.2, "--plot", out / "landscape.png"),
        ("apply", "Reverb", source, out / "wet.wav", "--room-size", 0.7, "--plot", out / "sound.png"),
    ):
        code, said, err = dasp_command(*arguments)
        assert code == 0, err
        if "agreement" not in str(arguments[-1]):
            assert f"wrote {arguments[-1]}" in said
    assert {p.name for p in out.iterdir()} == {"effect.svg", "agreement.png", "landscape.png", "wet.wav", "sound.png"}


def test_what_cannot_be_drawn_is_one_sentence(tmp_path, refused, quick):
    source = save(tmp_path / "in.wav", stem(0, 0.2), RATE)
    before = listing(tmp_path)
    png, pdf = tmp_path / "a.png", tmp_path / "a.pdf"
    assert "--plot draws one effect: name it" in refused("effects", "--plot", png)
    assert "ending .pdf is not one of" in refused("effects", "Gain", "--plot", pdf)
    assert "ending .pdf is not one of" in refused("apply", "Gain", source, tmp_path / "out.wav", "--plot", pdf)
    assert "ending .pdf is not one of" in refused("gradients", "--effect", "Gain", "--plot", pdf)
    assert "give --effect NAME and --plot FILE" in refused("gradients", "--effect", "Gain", "--landscape", "gain_db")
    assert "give --effect NAME and --plot FILE" in refused("gradients", "--landscape", "gain_db", "--plot", png)
    assert "has no control 'gain'" in refused("gradients", "--effect", "Gain", "--landscape", "gain", "--plot", png)
    assert listing(tmp_path) == before
