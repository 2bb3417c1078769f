"""Matching from Python: hidden settings through real plugins, late stems, foreign references, and what cannot be told."""

import math

import pytest
import torch
from shipping import shipped
from synthetic import RATE, stem

from dasp import Reverb
from mixing import Console, Multitrack, match, matching
from mixing.align import find_lags, shift
from mixing.hidden import hide
from mixing.recovery import compare
from mixing.result import ALWAYS_ON, INACTIVE, UNHEARD, identifiability, strip


def song(seconds: float = 4.0) -> Multitrack:
    return Multitrack.from_tracks([stem(k, seconds, channels=1 + k % 2) for k in range(3)], RATE)


def test_hidden_settings_of_real_plugins_are_recovered(pedalboard):
    tracks = song()
    hidden = hide(tracks, seed=2)
    result = match(tracks, hidden.audio)
    recovery = compare(hidden, result, tracks)
    assert recovery.residual_db < -32
    assert result.metrics["stft_distance"] < 0.05
    for track in recovery.tracks:
        assert abs(track.level_error_db) < 0.1
        assert track.pan_error < 0.005
        assert track.reduction_error_db < 0.3
    assert {"align", "fit", "refine"} <= {stage for stage, *_ in result.history}
    assert result.notes == ()


@pytest.mark.parametrize("gradient", ["spsa", "fd"])
def test_the_real_plugins_gradients_lead_down(pedalboard, gradient):
    tracks = song(2.0)
    hidden = hide(tracks, seed=2)
    begun = match(tracks, hidden.audio, gradient=gradient, steps=0, polish=False)
    found = match(tracks, hidden.audio, gradient=gradient, steps=30, polish=False)
    assert found.metrics["residual_db"] < begun.metrics["residual_db"] - 3


@pytest.mark.parametrize("gradient", ["proxy", "hybrid"])
@pytest.mark.parametrize("master", [False, True])
def test_trained_networks_give_the_gradient_and_the_effects_the_sound(pedalboard, tmp_path, monkeypatch, gradient, master):
    """Networks of chance lead nowhere, but what is reported is what the effects themselves make of the settings."""
    shipped(tmp_path, monkeypatch, RATE)
    tracks = song(2.0)
    reference = tracks.unity_mix()[0] * 0.5
    options = {"effects": ("ParametricEQ", "Compressor"), "steps": 2, "polish": False, "master": master}
    result = match(tracks, reference, gradient=gradient, **options)
    assert result.metrics["steps"] == 2
    white = Console(strip(options["effects"], RATE), {"reverb": Reverb(RATE)}, result.console.master)
    heard = white(tracks, result.controls).audio[0]
    torch.testing.assert_close(result.audio, heard, atol=1e-5, rtol=0)


def test_gauss_newton_by_differences_of_the_real_plugins(pedalboard):
    """White box and plugin are one sound, so the same descent through either ends in the same place."""
    tracks = song(2.0)
    hidden = hide(tracks, seed=2)
    ends = [match(tracks, hidden.audio, gradient=g, steps=0).metrics["residual_db"] for g in ("autodiff", "fd")]
    assert ends[0] < -20
    assert math.isclose(*ends, abs_tol=1e-3)


@pytest.mark.parametrize("late", [172, -60, 2500])
def test_a_late_stem_is_found_and_moved(late):
    tracks = song()
    moved = shift(tracks, [0, -late, 0])
    reference = tracks.unity_mix()[0]
    assert find_lags(tracks, reference) == [0, 0, 0]
    lags = find_lags(moved, reference)
    assert lags[0] == lags[2] == 0
    assert abs(lags[1] - late) <= 2
    result = match(moved, reference, effects=(), reverb=False, steps=0)
    assert result.lags["track2"] == lags[1]
    assert any("track2" in n and f"{abs(lags[1])} samples" in n for n in result.notes)


def pumped(tracks: Multitrack) -> torch.Tensor:
    """The plain sum with a swinging gain: no console's mix, nor a linear one."""
    mix = tracks.unity_mix()[0]
    swing = 1 + 0.9 * torch.sin(torch.arange(mix.shape[1]) * (2 * math.pi * 3 / RATE))
    return mix * swing


def test_a_foreign_reference_is_known_by_what_no_linear_mix_explains():
    tracks = song()
    reference = pumped(tracks) + 0.5 * tracks.unity_mix()[0].flip(-1)
    result = match(tracks, reference, steps=1, align=False)
    assert any("likeness, not a recovery" in n for n in result.notes)
    assert result.master  # joined by itself
    assert not match(tracks, tracks.unity_mix()[0] * 0.5, steps=1).master


def test_in_doubt_a_short_fit_decides(monkeypatch, pedalboard):
    monkeypatch.setattr(matching, "FOREIGN_DB", 0.0)
    monkeypatch.setattr(matching, "DOUBTFUL_DB", -100.0)
    tracks = song()
    foreign = match(tracks, pumped(tracks), steps=1, align=False)
    own = match(tracks, hide(tracks, seed=2).audio, steps=1, polish=False)
    assert any("likeness" in n for n in foreign.notes)
    assert not any("likeness" in n for n in own.notes)
    assert "try" in {stage for stage, *_ in own.history}


def test_compressors_that_tell_nothing_are_flagged():
    tracks = Multitrack.from_tracks([stem(1), stem(1), 1e-4 * stem(1), torch.sign(stem(1)) * 0.3], RATE)
    console = Console(strip(("Compressor",), RATE))
    controls = console.defaults(1, 4)
    for n, threshold in enumerate((0.0, -20.0, 0.0, -60.0)):
        controls.tracks[0, n, 0] = console.track_controls[0].to_unit(threshold)
    strips = console.strips(tracks, controls.tracks)
    reductions, flags = identifiability(console, tracks, controls, strips, strips[0].sum(0))
    names = tracks.names[0]
    assert flags[names[0]] == (INACTIVE,)
    assert names[1] not in flags
    assert UNHEARD in flags[names[2]]
    assert flags[names[3]] == (ALWAYS_ON,)
    assert reductions[names[0]] == (0.0, 0.0)
    assert reductions[names[1]][0] < -0.5


def test_wrong_shapes_are_refused():
    tracks = song(1.0)
    with pytest.raises(ValueError, match="as long as the stems"):
        match(tracks, tracks.unity_mix()[0][:, :-1])
    with pytest.raises(ValueError, match="one song at a time"):
        match(Multitrack.collate([tracks, tracks]), tracks.unity_mix()[0])
