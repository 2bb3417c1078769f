"""Excerpts and synthetic mixes: drawn from seed and number, right after every augmentation, with what is known of them."""

import dataclasses
import pickle

import miniatures as mini
import pytest
import torch
from miniatures import RATE
from synthetic import save
from torch.utils.data import DataLoader

from mixing import Console, Controls, UserError, data, engineer
from mixing.data import Augment, DataSet, Example, Excerpts, Synthetic
from mixing.instruments import family

HALF = RATE // 2


@pytest.fixture
def songs(tmp_path):
    """Two songs whose mix is the plain sum, and one of which only that is not known."""
    found = data.load(mini.plain(tmp_path / "data", 3))
    return DataSet("mini", (*(dataclasses.replace(s, unity=True) for s in found.songs[:2]), found.songs[2]))


def equal(one, two) -> bool:
    return bool(torch.equal(one.audio, two.audio) and torch.equal(one.mix, two.mix) and one.names == two.names)


def test_an_excerpt_depends_on_seed_and_number_only(songs):
    all_on = Augment(level_db=12, drop=0.4, fold=0.4, swap=0.5)
    one, two = (Excerpts(songs, HALF, RATE, 7, augment=all_on, shuffle=True, length=12) for _ in range(2))
    backwards = {k: two[k] for k in reversed(range(12))}
    assert all(equal(one[k], backwards[k]) for k in range(12))
    other = Excerpts(songs, HALF, RATE, 8, augment=all_on, shuffle=True, length=12)
    assert not all(equal(one[k], other[k]) for k in range(12))
    assert not equal(one[0], one[12])  # the first of the next epoch
    assert len(list(one)) == len(one) == 12
    with pytest.raises(IndexError):
        one[-1]


def test_workers_draw_the_same(songs):
    excerpts = Excerpts(songs, HALF, RATE, 3, length=4, max_tracks=3)
    batches = list(DataLoader(excerpts, batch_size=2, collate_fn=data.collate, num_workers=1))
    assert len(batches) == 2
    assert batches[0].audio.shape == (2, 3, 2, HALF)
    assert torch.equal(batches[1].mix[1:], excerpts[3].mix)
    assert equal(pickle.loads(pickle.dumps(excerpts))[2], excerpts[2])


def test_without_augmentation_an_excerpt_is_the_file(songs):
    excerpts = Excerpts(songs, HALF, RATE, 0)
    for k in range(6):
        example = excerpts.example(k)
        file = songs[example.songs[0]].read(example.starts[0], HALF)
        assert equal(example.multitrack, file) or songs[example.songs[0]].unity
        torch.testing.assert_close(example.multitrack.mix, file.mix)
        assert torch.equal(example.multitrack.audio, file.audio)


def test_every_augmentation_keeps_the_mix_the_known_settings(songs):
    augment = Augment(level_db=6, drop=0.3, fold=0.0, swap=0.5)  # more might need a fader above its range
    excerpts = Excerpts(songs.songs[:2], HALF, RATE, 1, augment=augment, track_peak_db=-12, mix_peak_db=0, shuffle=True)
    console = Console()
    counts = set()
    for k in range(12):
        example = excerpts.example(k)
        part = example.multitrack
        counts.add(part.audio.shape[1])
        made = console(part, example.controls(console)).audio
        torch.testing.assert_close(made, part.mix, rtol=1e-4, atol=1e-5)
        assert abs(float(part.mix.abs().max()) - 1) < 1e-5
    assert counts == {1, 2, 3}


def test_peaks_and_levels_are_where_they_are_asked(songs):
    plain = Excerpts(songs, HALF, RATE, 1, track_peak_db=-12)[0]
    torch.testing.assert_close(plain.audio.abs().amax((2, 3)), torch.full((1, 3), 10 ** (-12 / 20)))
    turned = Excerpts(songs, HALF, RATE, 1, track_peak_db=-12, augment=Augment(level_db=6))
    levels = 20 * torch.cat([turned[k].audio.abs().amax((2, 3)).flatten() for k in range(20)]).log10() + 12
    assert float(levels.abs().max()) <= 6.001
    assert float(levels.min()) < -4
    assert float(levels.max()) > 4
    assert torch.equal(turned[0].mix, plain.mix)


def test_drop_out_leaves_what_cannot_be_remade(songs):
    excerpts = Excerpts(songs, HALF, RATE, 1, augment=Augment(drop=0.9))
    for k in range(20):
        example = excerpts.example(k)
        count = example.multitrack.audio.shape[1]
        if example.songs[0] == "song2":
            assert count == 3
        else:
            torch.testing.assert_close(example.multitrack.unity_mix(), example.multitrack.mix)
    assert {len(excerpts[k].names[0]) for k in range(20)} >= {1, 3}


def test_folding_makes_stereo_stems_mono_and_their_settings_unknown(songs):
    example = Excerpts(songs.songs[:1], HALF, RATE, 1, augment=Augment(fold=1.0)).example(0)
    assert example.multitrack.channels.tolist() == [[1, 1, 1]]
    assert torch.equal(example.multitrack.audio[:, :, 0], example.multitrack.audio[:, :, 1])
    assert torch.isnan(example.known["tracks"]["pan"]).tolist() == [[False, True, False]]
    assert torch.isnan(example.known["tracks"]["fader_db"]).tolist() == [[False, True, False]]


def test_silent_parts_and_silent_stems_are_left_out(tmp_path):
    root = tmp_path / "data" / "song"
    loud = mini.tone(1, 1, 4.0)
    loud[:, RATE : 4 * RATE] = 0  # three of four seconds are silent
    save(root / "stems" / "1_loud.wav", loud, RATE)
    save(root / "stems" / "2_never.wav", torch.zeros(1, 4 * RATE), RATE)
    save(root / "mix.wav", loud.expand(2, -1), RATE)
    songs = data.load(tmp_path / "data")
    excerpts = Excerpts(songs, HALF, RATE, 0, min_active_db=-50, min_track_db=-70)
    starts = [excerpts.example(k).starts[0] for k in range(20)]
    assert max(starts) < RATE
    assert excerpts[0].names == (("1_loud",),)
    anything = Excerpts(songs, HALF, RATE, 0, min_active_db=-300)
    assert max(anything.example(k).starts[0] for k in range(20)) > RATE


def test_songs_that_cannot_serve_are_listed(songs, tmp_path):
    bare = dataclasses.replace(songs.songs[2], name="bare", mix=None)
    scored = dataclasses.replace(bare, name="scored", gains_db=(0.0, -3.0, 2.0), pans=(0.2, 0.5, 0.8))
    many = (*songs, bare, scored)
    excerpts = Excerpts(many, HALF, RATE, 0, max_tracks=2)
    assert [w for w, _ in excerpts.skipped] == ["song2", "bare", "scored"]
    assert all(excerpts[k].audio.shape[1] == 2 for k in range(4))
    remade = Excerpts(many, HALF, RATE, 0, remake=True)
    assert [w for w, _ in remade.skipped] == ["bare"]
    console = Console()
    example = next(e for e in map(remade.example, range(30)) if e.songs == ("scored",))
    torch.testing.assert_close(console(example.multitrack, example.controls(console)).audio, example.multitrack.mix)
    with pytest.raises(UserError, match=r"no song to draw from; the first of 5, song0: is 1\.00 s long"):
        Excerpts(many, 2 * RATE, RATE, 0)


def test_a_part_that_cannot_be_read_is_drawn_again_and_listed(tmp_path):
    root = mini.plain(tmp_path / "data", 2)
    mini.with_nan(root / "song1" / "stems" / "1_b.wav", HALF, channels=2)
    songs = data.load(root)
    one, two = (Excerpts(songs, RATE // 4, RATE, 5) for _ in range(2))
    drawn = [one.example(k) for k in range(16)]
    assert all(e.multitrack.audio.isfinite().all() for e in drawn)
    assert [w for w, _ in one.skipped] == ["song1"]
    assert "not numbers" in one.skipped[0][1]
    # Having met it before changes nothing.
    assert all(two.example(k).starts == drawn[k].starts for k in reversed(range(16)))
    (root / "song0" / "mix.wav").unlink()
    (root / "song1" / "mix.wav").unlink()
    with pytest.raises(UserError, match="parts in a row could not be read"):
        one[0]


def test_examples_are_collated_with_their_settings(songs):
    excerpts = Excerpts(songs, HALF, RATE, 1, augment=Augment(drop=0.5))
    batch = Example.collate([excerpts.example(k) for k in range(4)])
    tracks = batch.multitrack.audio.shape[1]
    assert batch.known["tracks"]["pan"].shape == (4, tracks)
    assert len(batch.songs) == len(batch.starts) == 4
    assert torch.isnan(batch.known["tracks"]["pan"][~batch.multitrack.mask]).all()


@pytest.mark.parametrize("wrong", [{"drop": 1.1}, {"fold": -0.1}, {"level_db": -1.0}])
def test_augment_refuses_what_cannot_be(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Augment(**wrong)


@pytest.mark.parametrize("plugins", [True, False])
def test_synthetic_mixes_come_with_every_setting(songs, pedalboard, plugins):
    excerpts = Excerpts(songs, HALF, RATE, 1, track_peak_db=-12)
    console = engineer.console(RATE, plugins=plugins)
    synthetic = Synthetic(excerpts, console, seed=2, mix_peak_db=-3)
    one, two = synthetic.example(0), synthetic.example(1)
    assert set(one.known["tracks"]) == {q.name for q in console.track_controls}
    controls = one.controls(console)
    assert all(torch.isfinite(t).all() for t in (controls.tracks, controls.buses, controls.master))
    with torch.no_grad():
        again = console(one.multitrack, controls).audio
    torch.testing.assert_close(again, one.multitrack.mix, rtol=1e-4, atol=1e-5)
    assert abs(20 * float(one.multitrack.mix.abs().max().log10()) + 3) < 0.01
    assert not torch.equal(one.known["tracks"]["ratio"], two.known["tracks"]["ratio"])
    assert equal(synthetic[0], Synthetic(excerpts, console, seed=2, mix_peak_db=-3)[0])
    assert not equal(synthetic[0], Synthetic(excerpts, console, seed=3, mix_peak_db=-3)[0])
    # Of a console with other controls, those that both have are known.
    assert torch.isnan(one.controls(Console(engineer.strip(("Distortion",), RATE))).tracks).any(1).tolist() == [
        [True, False, False]
    ]


def test_plugins_and_our_effects_make_the_same_mix(songs, pedalboard):
    excerpts = Excerpts(songs, HALF, RATE, 1, track_peak_db=-12)
    real, ours = (Synthetic(excerpts, engineer.console(RATE, plugins=p))[0].mix for p in (True, False))
    torch.testing.assert_close(real, ours, rtol=0, atol=1e-5)


def test_a_parameter_loss_has_its_minimum_at_the_true_settings(songs):
    synthetic = Synthetic(Excerpts(songs, HALF, RATE, 1), Console(), seed=1)
    example = synthetic.example(0)
    truth = example.controls(synthetic.console)

    def loss(controls: Controls) -> float:
        error = controls.tracks - truth.tracks
        return float(error[truth.tracks.isfinite()].square().mean())

    assert loss(truth) == 0
    assert loss(synthetic.console.defaults(1, 3)) > 0.001


def test_synthetic_refuses_a_console_of_another_rate_and_a_master_chain(songs):
    excerpts = Excerpts(songs, HALF, RATE, 1)
    with pytest.raises(ValueError, match="runs at 44100 Hz, excerpts at 8000 Hz"):
        Synthetic(excerpts, engineer.console(44100))
    with pytest.raises(ValueError, match="master"):
        Synthetic(excerpts, Console(master=engineer.strip(("Gain",), RATE)), mix_peak_db=0)


def test_low_instruments_stay_near_the_centre():
    from mixing import Multitrack

    tracks = Multitrack.from_tracks([mini.tone(0)] * 40, RATE, ["bass", "vox"] * 20)
    pans = engineer.draw(Console(), tracks, torch.Generator().manual_seed(0)).tracks[0, :, 1]
    assert float((pans[::2] - 0.5).abs().max()) <= 0.04 + 1e-9
    assert float((pans[1::2] - 0.5).abs().max()) > 0.2


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("01_Kick1", "kick"),
        ("bass_guitar", "bass"),
        ("bassoon", "winds"),
        ("flute", "winds"),
        ("female singer", "vocals"),
        ("trap_beat", "drums"),
        ("07_LeadVox", "vocals"),
        ("overdrive_guitar_2", "guitar"),
        ("synth_strings", "strings"),
        ("hi-hat", "hihat"),
        ("overhead_L", "cymbals"),
        ("OH_R", "cymbals"),
        ("fx_granular", "fx"),
        ("that", "other"),
        ("harp", "strings"),
        ("sharp", "other"),
        ("Main System", "other"),
    ],
)
def test_families_of_instruments(name, expected):
    assert family(name) == expected
