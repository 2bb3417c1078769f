"""The differentiable mixing console: symmetry, padding, gradients under every strategy, settings, and songs in blocks."""

import math
from dataclasses import replace

import pytest
import torch
from synthetic import RATE
from tiny import dmc, permuted, song, stirred

from gradients import SPSA
from mixing import Multitrack, StereoLoss, settings
from mixing.blocks import Whole, mix
from mixing.console import Console, Controls
from mixing.models import build, parameter_loss
from mixing.models.encoder import LogMelEncoder, mel_filter_bank
from mixing.playback import render

STRIPS = ("gain-pan", "full")


def test_mel_filters_are_triangles_between_equally_spaced_points_of_the_scale():
    """Against the definition, one number at a time."""
    rate, size, mels = 8000.0, 256, 10
    bank = mel_filter_bank(rate, size, mels, 50.0, 3500.0)
    assert bank.shape == (mels, size // 2 + 1)

    def mel(hz):
        return 2595 * math.log10(1 + hz / 700)

    def hertz(m):
        return 700 * (10 ** (m / 2595) - 1)

    low, high = mel(50.0), mel(3500.0)
    points = [hertz(low + (high - low) * i / (mels + 1)) for i in range(mels + 2)]
    for m in range(mels):
        for k in range(size // 2 + 1):
            f = k * rate / size
            a, b, c = points[m : m + 3]
            expected = (f - a) / (b - a) if a <= f <= b else (c - f) / (c - b) if b < f <= c else 0.0
            assert math.isclose(float(bank[m, k]), expected, abs_tol=1e-6)


@pytest.mark.torchaudio
def test_mel_filters_are_torchaudios(oracle):
    expected = oracle.melscale_fbanks(1025, 0.0, 22050.0, 64, 44100, norm=None, mel_scale="htk").T
    torch.testing.assert_close(mel_filter_bank(44100, 2048, 64), expected, atol=1e-5, rtol=0)


def test_the_encoder_hears_timbre_apart_from_level():
    encoder = LogMelEncoder(RATE, 8, 16, 512, 256, (4, 8), 4096)
    noise = torch.randn(3, 1, 4 * 4096, generator=torch.Generator().manual_seed(0))
    x = torch.stack([0.1 * noise[0], noise[1].cumsum(-1) / 100, 0.1 * noise[2].diff(prepend=noise[2][:, :1])])
    torch.testing.assert_close(encoder(0.1 * x), encoder(x), atol=1e-4, rtol=1e-3)
    assert (encoder(x)[0] - encoder(x)[2]).abs().max() > 1e-2
    silence = torch.zeros(1, 1, 4096 * 3)
    assert not encoder(silence).any()
    half = torch.cat([x[..., : 2 * 4096], torch.zeros(3, 1, 2 * 4096)], -1)
    torch.testing.assert_close(encoder(half), encoder(x[..., : 2 * 4096]))


def in_double(tracks):
    return replace(tracks, audio=tracks.audio.double())


@pytest.mark.parametrize("strip", STRIPS)
def test_permuting_tracks_permutes_controls_and_leaves_the_mix(strip):
    # In double: a compressor and an equaliser can make much of a rounding of their settings.
    model, tracks, order = stirred(dmc(strip)).double(), in_double(song(4, stereo=(1, 3))), [2, 0, 3, 1]
    one, other = model(tracks), model(permuted(tracks, order))
    for name, value in one.controls["tracks"].items():
        torch.testing.assert_close(other.controls["tracks"][name], value[:, order], atol=1e-10, rtol=1e-10)
    for name, value in one.controls["buses"].items():
        torch.testing.assert_close(other.controls["buses"][name], value, atol=1e-10, rtol=1e-10)
    torch.testing.assert_close(other.audio, one.audio, atol=1e-10, rtol=1e-10)
    single, plain = stirred(dmc(strip)).estimate(song(4, stereo=(1, 3))), model.estimate(tracks)
    torch.testing.assert_close(single.tracks.double(), plain.tracks.double(), atol=1e-5, rtol=0)
    faders = one.controls["tracks"]["fader_db"][0]
    assert faders.max() - faders.min() > 0.5  # it did tell the tracks apart


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("strip", STRIPS)
def test_a_batch_is_its_songs_and_padding_tracks_change_nothing(strip, training):
    model = stirred(dmc(strip)).double().train(training)
    songs = [in_double(song(4)), in_double(song(1, stereo=()))]
    both = model(Multitrack.collate(songs))
    for b, single in enumerate(songs):
        own, n = model(single), single.channels.shape[1]
        torch.testing.assert_close(both.audio[b], own.audio[0], atol=1e-10, rtol=1e-10)
        for name, value in own.controls["tracks"].items():
            torch.testing.assert_close(both.controls["tracks"][name][b, :n], value[0], atol=1e-10, rtol=1e-10)
    noisy = Multitrack.collate(songs)
    noisy.audio[1, 1:] = torch.randn(noisy.audio[1, 1:].shape, dtype=torch.float64)
    torch.testing.assert_close(model(noisy).audio, both.audio, atol=1e-10, rtol=1e-10)


def test_fresh_weights_give_the_plain_sum_and_ranges_hold():
    tracks = song(20, seconds=0.4, stereo=(2, 5))
    fresh = dmc()(tracks)
    torch.testing.assert_close(fresh.audio, tracks.unity_mix(), atol=0.15, rtol=0.1)
    faders = stirred(dmc(low_db=-20.0, high_db=6.0))(tracks).controls["tracks"]["fader_db"]
    assert faders.min() >= -20 and faders.max() <= 6


@pytest.mark.parametrize("strip", STRIPS)
def test_every_parameter_has_a_gradient(strip):
    model = dmc(strip)
    loss = StereoLoss((256, 1024))(model(song(3)).audio, 0.3 * song(3).unity_mix().flip(1))
    loss.backward()
    for name, p in model.named_parameters():
        assert p.grad is not None and p.grad.isfinite().all() and p.grad.any(), name


@pytest.mark.parametrize("gradient", ["autodiff", "proxy", "hybrid", "spsa", "fd"])
def test_every_strategy_lowers_the_loss(gradient):
    """A full strip whose inserts are moved away learns two short songs again. Only what drives the inserts may move, since fader,
    pan and send are exact under all; the changed argument is all that differs."""
    if gradient in ("spsa", "fd"):
        pytest.importorskip("pedalboard")
    rate, samples = 44100, 4000
    batch = Multitrack.collate([song(2, 0.2, rate).excerpt(0, samples), song(1, 0.2, rate).excerpt(0, samples)])
    model = dmc("full", rate, gradient=gradient)
    last = model.controller.tracks[-1]
    names = [q.name for q in model.console.inserts]
    with torch.no_grad():
        target = model(batch).audio
        for k, name in enumerate(names):
            last.bias[k] += 1.0 if name.endswith("gain_db") else -1.0 if name == "threshold_db" else 0.0
    last.bias.register_hook(lambda g: torch.cat([g[: len(names)], 0 * g[len(names) :]]))
    optimiser, loss_of = torch.optim.Adam([last.bias], 0.1), StereoLoss((256, 1024))
    torch.manual_seed(0)
    losses = []
    for _ in range(3):
        optimiser.zero_grad()
        loss = loss_of(model(batch).audio, target)
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0], losses


def test_a_strategy_may_be_an_object_and_is_kept_by_name():
    model = dmc("full", gradient=SPSA(directions=3))
    assert model.settings["gradient"] == "spsa"
    assert model.console.track_chain.gradient.directions == 3
    build(**model.description)


def test_what_was_learned_through_proxies_is_played_by_the_effects():
    tracks = song(2, 0.3, 44100)
    through = stirred(dmc("full", 44100, gradient="proxy"))
    plain = dmc("full", 44100)
    plain.load_state_dict(through.state_dict())
    with torch.no_grad():
        assert not torch.equal(through.train()(tracks).audio, plain(tracks).audio)
        assert torch.equal(through.eval()(tracks).audio, plain.eval()(tracks).audio)
        papers = dmc("full", 44100, gradient="proxy", inference="proxy")
        papers.load_state_dict(through.state_dict())
        assert torch.equal(papers.eval()(tracks).audio, through.train()(tracks).audio)


@pytest.mark.parametrize("strip", STRIPS)
def test_in_blocks_it_is_the_whole_and_settings_play_it_again(strip, tmp_path):
    model, tracks = stirred(dmc(strip)).eval(), song(4, seconds=1.3, stereo=(1, 2))
    with torch.no_grad():
        whole = model(tracks)
    made, plan = mix(model, Whole(tracks), block=5001)
    assert whole.audio.abs().max() > 0.05
    torch.testing.assert_close(made.audio, whole.audio, atol=2e-5, rtol=0)
    torch.testing.assert_close(model.settle(Whole(tracks)).controls.tracks, model.estimate(tracks).tracks.detach())
    written = settings.of_plan(plan, Whole(tracks), 0.0, {"model": "x"})
    settings.write(tmp_path / "s.json", written)
    torch.testing.assert_close(render(settings.read(tmp_path / "s.json"), tracks), whole.audio[0], atol=1e-4, rtol=0)


def test_listening_in_parts_is_listening_to_the_whole():
    model, tracks = stirred(dmc()), song(3, seconds=1.2)
    size = 2 * 4096
    parts = [model.listen(tracks.excerpt(s, size)) for s in range(0, tracks.samples, size)]
    heard = parts[0]
    for part in parts[1:]:
        heard = heard + part
    torch.testing.assert_close(model.decide(heard, tracks.channels).tracks, model.estimate(tracks).tracks, atol=1e-5, rtol=1e-5)


def test_an_encoder_of_ones_own():
    model = dmc(encoder="external", embedding=2)
    tracks = song(3)
    with pytest.raises(ValueError, match="give it one with use_encoder"):
        model(tracks)
    model.use_encoder(lambda x: torch.stack([x.abs().mean((1, 2)), x.square().mean((1, 2))], -1))
    assert model(tracks).audio.shape == (1, 2, tracks.samples)
    assert not any("encoder" in name for name in model.state_dict())
    mix(model.eval(), Whole(tracks), block=4096)
    with pytest.raises(ValueError, match=r"must give \(3, 2\); got \(3, 5\)"):
        model.use_encoder(lambda x: x[:, 0, :5])(tracks)
    with pytest.raises(ValueError, match="encoder of its own"):
        dmc().use_encoder(lambda x: x)


def test_settings_are_estimated_where_they_are_known():
    """A parameter loss teaches the faders and pans of two songs."""
    model, batch = dmc(), Multitrack.collate([song(3, 0.2), song(2, 0.2)])
    generator = torch.Generator().manual_seed(3)
    true = model.console.defaults(2, 3)
    true = Controls(0.3 + 0.4 * torch.rand(true.tracks.shape, generator=generator), true.buses, true.master)
    optimiser = torch.optim.Adam(model.parameters(), 0.01)
    losses = []
    for _ in range(100):
        optimiser.zero_grad()
        loss = parameter_loss(model.estimate(batch), true, batch.mask)
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[0] > 0.08
    assert losses[-1] < 0.3 * losses[0]


def test_parameter_loss_is_the_mean_of_what_is_there():
    def controls(rows):
        t = torch.tensor(rows)[None]
        return Controls(t, t.new_zeros(1, 0), t.new_zeros(1, 0))

    mask = torch.tensor([[True, True, False]])
    one, other = controls([[0.1, 0.5], [0.3, 0.5], [0.9, 0.9]]), controls([[0.3, 0.5], [0.5, 0.9], [0.0, 0.0]])
    assert math.isclose(float(parameter_loss(one, other, mask)), (0.2 + 0.2 + 0.0 + 0.4) / 4, abs_tol=1e-6)
    assert math.isclose(float(parameter_loss(one, other, mask, relative=[0])), 0.4 / 4, abs_tol=1e-6)
    assert math.isclose(float(parameter_loss(one, other, mask, of=[0])), 0.2, abs_tol=1e-6)
    with pytest.raises(ValueError, match="of one shape"):
        parameter_loss(one, other, mask[:, :2])
    with pytest.raises(ValueError, match="controls of one console"):
        parameter_loss(one, Controls(other.tracks, torch.zeros(1, 5), other.master), mask)


def test_wrong_settings_are_named():
    for settings_, words in (
        ({"strip": "ful"}, "strip is one of gain-pan, full.*Did you mean 'full'"),
        ({"low_db": 3.0, "high_db": 1.0}, "low_db < high_db"),
        ({"channels": [4, 0]}, "channels must be an integer of at least 1"),
        ({"patch": 100}, "a patch holds at least n_fft"),
        ({"gradient": "spas"}, "not one of|Did you mean 'spsa'"),
        ({"sample_rate": -1}, "sample_rate is in Hz"),
    ):
        with pytest.raises(ValueError, match=words):
            build("dmc", **{"strip": "full"} | settings_)
    with pytest.raises(ValueError, match="takes multitracks at 44100 Hz; got 22050 Hz"):
        build("dmc")(song(1))


def test_a_console_streams_what_it_mixes():
    """Every kind of memory: inserts of mono and of stereo tracks, buses, master."""
    from dasp import Chain, Compressor, Delay, Limiter, LowShelfFilter, Reverb

    tracks = song(4, 0.8, stereo=(1, 3))
    console = Console(Chain(LowShelfFilter(RATE), Compressor(RATE)), [Reverb(RATE), Delay(RATE)], Limiter(RATE))
    controls = console.defaults(1, 4)
    controls.tracks[..., -2:] = 0.8
    whole, state, parts = console(tracks, controls).audio, None, []
    for start in range(0, tracks.samples, 3001):
        before = dict(state or {})
        y, after = console.stream(tracks.excerpt(start, 3001), controls, state)
        assert dict(state or {}) == before
        parts.append(y)
        state = after
    torch.testing.assert_close(torch.cat(parts, -1), whole, atol=2e-5, rtol=0)
