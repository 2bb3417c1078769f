"""The simplest mixers: what they promise, for any number of tracks, and that a Console plays their controls."""

import math

import pytest
import torch
from synthetic import RATE, stem

from mixing import Console, EqualLoudness, Multitrack, Random, Sum
from mixing.loudness import integrated_loudness
from mixing.mixers import UNITY_DB
from mixing.models import Mono, mixer


def make(count: int, seconds: float = 1.5) -> Multitrack:
    return Multitrack.from_tracks([(0.4 + 0.3 * k) * stem(k, seconds, channels=1 + k % 2) for k in range(count)], RATE)


@pytest.mark.parametrize("rule", [Sum(), EqualLoudness(), Random(3)], ids=lambda m: type(m).__name__)
@pytest.mark.parametrize("count", [1, 3, 7])
def test_a_console_at_these_controls_makes_this_mix(rule, count):
    tracks = make(count)
    mix = rule(tracks)
    assert mix.audio.shape == (1, 2, tracks.samples)
    assert mix.audio.abs().max() > 0.005
    console = Console()
    controls = console.defaults(1, count)
    for i, q in enumerate(console.track_controls):
        controls.tracks[..., i] = q.to_unit(mix.controls["tracks"][q.name].double())
    torch.testing.assert_close(console(tracks, controls).audio, mix.audio, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["sum", "mono", "equal-loudness"])
def test_a_batch_is_its_songs(name):
    one, two = make(3), make(1, seconds=1.0)
    both = mixer(name)(Multitrack.collate([one, two])).audio
    torch.testing.assert_close(both[:1], mixer(name)(one).audio, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(both[1:, :, : two.samples], mixer(name)(two).audio, atol=1e-3, rtol=1e-2)


def test_mono_sum_has_equal_sides():
    tracks = make(3)
    assert not torch.equal(Sum()(tracks).audio[:, 0], Sum()(tracks).audio[:, 1])
    mono = Mono()(tracks)
    assert torch.equal(mono.audio[:, 0], mono.audio[:, 1])
    assert mono.controls is None


def test_equal_loudness_is_equal_as_heard():
    tracks = make(4)
    mix = EqualLoudness(mix_lufs=-20.0)(tracks)
    gains = 10 ** ((mix.controls["tracks"]["fader_db"] - UNITY_DB) / 20)
    alone = [integrated_loudness(tracks.audio[0, n] * gains[0, n], RATE) for n in range(4)]
    assert max(alone) - min(alone) < 0.01
    assert math.isclose(integrated_loudness(mix.audio[0], RATE), -20.0, abs_tol=0.01)


def test_equal_loudness_leaves_silent_and_short_tracks_alone():
    silent = EqualLoudness()(Multitrack.from_tracks([stem(1), 0 * stem(0)], RATE))
    faders = silent.controls["tracks"]["fader_db"][0]
    assert silent.audio.isfinite().all()
    assert faders.isfinite().all()
    assert faders[0] != faders[1]
    short = Multitrack.from_tracks([stem(1, 0.2), stem(2, 0.2)], RATE)
    assert torch.equal(EqualLoudness()(short).audio, short.unity_mix())


def test_random_is_seeded():
    tracks = make(3)
    state = torch.get_rng_state()
    assert torch.equal(Random(1)(tracks).audio, Random(1)(tracks).audio)
    assert not torch.equal(Random(1)(tracks).audio, Random(2)(tracks).audio)
    assert torch.equal(torch.get_rng_state(), state)
    pan, fader = (Random(1)(tracks).controls["tracks"][k] for k in ("pan", "fader_db"))
    assert ((pan >= 0) & (pan <= 1)).all()
    assert ((fader >= -24) & (fader <= 0)).all()
