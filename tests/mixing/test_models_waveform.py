"""Models of waveforms: the published sizes, places for tracks, gradients, and blocks that are the whole."""

import pytest
import torch
from synthetic import RATE
from tiny import song

from mixing import Multitrack
from mixing.blocks import Whole, mix
from mixing.models import Demucs, MixWaveUNet, build

OFFICIAL = {"levels": 4, "filters": 4}
TINY = {
    "official": lambda **kw: MixWaveUNet(sample_rate=RATE, **{"tracks": 3, **OFFICIAL, **kw}),
    "toolkit": lambda **kw: MixWaveUNet(sample_rate=RATE, **{"tracks": 3, "form": "toolkit", **OFFICIAL, **kw}),
    "demucs": lambda **kw: Demucs(sample_rate=RATE, **{"tracks": 3, "channels": 4, "depth": 3, **kw}),
}


def tiny(kind, **settings):
    torch.manual_seed(0)
    return TINY[kind](**settings)


def test_published_sizes_of_mix_wave_u_net():
    with torch.device("meta"):
        official, toolkit = MixWaveUNet(8), MixWaveUNet(8, form="toolkit")
        small = MixWaveUNet.small()
    assert official.size == 6_183_450
    assert toolkit.size == 17_833_426
    assert official.lengths(88_200) == (121_843, 89_093)
    assert 4 * small.size < 10_000_000  # bytes


def test_lengths_are_those_of_the_network():
    model = tiny("official")
    for asked in (1, 77, 500, 3000):
        taken, given = model.lengths(asked)
        assert given >= asked
        y = torch.zeros(1, 3, taken)
        assert model._valid(torch.zeros(1, 3, given)).shape == (1, 2, given)
        for layer in model.encoder:
            y = layer(y)[..., ::2]
        assert y.shape[-1] > 0


@pytest.mark.parametrize("kind", TINY)
@pytest.mark.parametrize("samples", [1, 1000, 4097])
def test_a_mix_is_as_long_as_the_tracks(kind, samples):
    tracks = song(3).excerpt(0, samples)
    made = tiny(kind).eval()(tracks)
    assert made.audio.shape == (1, 2, samples)
    assert made.audio.isfinite().all()
    assert made.controls is None


@pytest.mark.parametrize("kind", TINY)
def test_in_blocks_it_is_the_whole(kind):
    model, tracks = tiny(kind).eval(), song(3, seconds=1.6)
    if kind == "demucs":  # its LSTMs hear everything; here the part that matters is within reach
        model.margin = 100 * model.multiple
    with torch.no_grad():
        whole = model(tracks).audio
    made, plan = mix(model, Whole(tracks), block=6001)
    assert plan is None
    assert whole.std() > 1e-3
    torch.testing.assert_close(made.audio, whole, atol=1e-4 if kind == "demucs" else 1e-6, rtol=0)


@pytest.mark.parametrize("kind", TINY)
def test_a_click_stays_where_it_is(kind):
    """What is learned can be no better than where the network puts a sample: its response to a click lies around the click."""
    model = tiny(kind).eval()
    x = torch.zeros(1, model.tracks * model.track_channels, 4000)
    with torch.no_grad():
        rest = model.process(x)
        x[..., 2000] = 1.0
        moved = (model.process(x) - rest).abs().sum(1)[0]
    if kind == "demucs":
        assert abs(int(moved.argmax()) - 2000) <= model.stride**3
    else:
        there = moved.nonzero()[:, 0]
        assert 2000 - model.margin <= there.min() < 2000 < there.max() <= 2000 + model.margin
        assert moved[1990:2011].max() == moved.max()


@pytest.mark.parametrize("kind", TINY)
def test_a_batch_is_its_songs_and_every_parameter_has_a_gradient(kind):
    model = tiny(kind)
    songs = [song(3, 0.3), song(2, 0.3)]
    with torch.no_grad():
        single = [model.eval()(s).audio for s in songs]
        both = model(Multitrack.collate(songs)).audio
    torch.testing.assert_close(both, torch.cat(single), atol=1e-5, rtol=1e-4)
    model.train()(Multitrack.collate(songs)).audio.square().sum().backward()
    for name, p in model.named_parameters():
        assert p.grad is not None and p.grad.isfinite().all() and p.grad.any(), name


def test_tracks_take_their_places_and_surplus_ones_are_grouped():
    tracks = song(7, 0.2, stereo=(1, 4))
    audio = tracks.audio[0]
    mono = tiny("official").places(tracks)[0]
    assert mono.shape == (3, tracks.samples)
    torch.testing.assert_close(mono[0], (audio[0] + audio[3] + audio[6]).mean(0))
    torch.testing.assert_close(mono[1], (audio[1] + audio[4]).mean(0))
    stereo = tiny("demucs", track_channels=2).places(song(2, 0.2))[0]
    assert torch.equal(stereo[2:4], song(2, 0.2).audio[0, 1])
    assert not stereo[4:].any()


def test_wrong_settings_are_named():
    for kind, settings, words in (
        ("mix_wave_u_net", {"form": "offical"}, "form is one of.*Did you mean 'official'"),
        ("mix_wave_u_net", {"up": 4}, "up is the size of a kernel and odd; got 4"),
        ("mix_wave_u_net", {"levels": 0}, "levels must be an integer of at least 1"),
        ("mix_wave_u_net", {"track_channels": 3}, "track_channels is 1"),
        ("demucs", {"context": 2}, "context is odd"),
        ("demucs", {"kernel": 2}, "kernel no smaller than stride"),
    ):
        with pytest.raises(ValueError, match=words):
            build(kind, **settings)
    with pytest.raises(ValueError, match="takes multitracks at 44100 Hz"):
        MixWaveUNet(2, levels=2, filters=2)(song(1))


@pytest.mark.parametrize("kind", TINY)
def test_it_learns_a_mix(kind):
    model, tracks = tiny(kind), song(2, 0.3)
    target = tracks.audio[:, 0] + torch.tensor([1.0, 0.3])[:, None] * tracks.audio[:, 1]
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    losses = []
    for _ in range(25):
        optimiser.zero_grad()
        loss = (model(tracks).audio - target).abs().mean()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.6 * losses[0]
