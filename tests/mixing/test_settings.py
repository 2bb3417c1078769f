"""settings.json: written, checked, played; and every way in which a file can be wrong said in one sentence."""

import copy
import json
import re

import jsonschema
import pytest
import torch
from synthetic import RATE, fake_match, listing, stem

from mixing import EqualLoudness, Multitrack, Random, Sum, UserError
from mixing.blocks import Whole
from mixing.models import Rules
from mixing.playback import render
from mixing.settings import SCHEMA, of_match, of_plan, read, schema, write


def song(count: int = 3, seconds: float = 0.6) -> Multitrack:
    return Multitrack.from_tracks([stem(k, seconds, channels=1 + k % 2) for k in range(count)], RATE)


@pytest.fixture(scope="module")
def matched():
    tracks = song()
    result = fake_match(tracks, lag=40)
    return tracks, result, of_match(result, tracks.channels[0].tolist(), {"dasp": "0.1.0", "seed": 0, "gradient": "autodiff"})


def test_the_schema_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(schema())
    assert schema()["$id"] == SCHEMA


def test_a_match_goes_through_the_file_and_sounds_the_same(tmp_path, matched):
    tracks, result, settings = matched
    write(tmp_path / "settings.json", settings)
    back = read(tmp_path / "settings.json")
    assert back == settings
    assert result.audio.abs().max() > 0.002
    torch.testing.assert_close(render(back, tracks), result.audio, atol=1e-8, rtol=1e-5)
    shuffled = {**back, "tracks": back["tracks"][::-1]}
    torch.testing.assert_close(render(shuffled, tracks), result.audio, atol=1e-8, rtol=1e-5)


def test_what_a_person_reads_is_there(matched):
    _, result, settings = matched
    kick = settings["tracks"][0]
    assert [e["effect"] for e in kick["inserts"]] == ["LowShelfFilter", "PeakFilter", "HighShelfFilter", "Compressor"]
    peak = kick["inserts"][1]["controls"]["cutoff_frequency_hz"]
    assert peak == {"value": result.tracks["track1"]["peak_filter_cutoff_frequency_hz"], "unit": "Hz"}
    assert kick["lag_samples"] == 40
    assert kick["sends_db"] == {"reverb": result.tracks["track1"]["send_reverb_db"]}
    assert [e["effect"] for e in settings["master"]] == ["PeakFilter", "Gain"]
    assert settings["metrics"]["linear_explains_db"] is None


def test_what_was_not_recovered_is_marked(matched):
    settings = matched[2]

    def lost(n):
        return {
            f"{e['effect']}.{k}" for e in settings["tracks"][n]["inserts"] for k, c in e["controls"].items() if "determined" in c
        }

    assert lost(0) == {f"Compressor.{k}" for k in ("threshold_db", "ratio", "attack_ms", "release_ms")}
    assert lost(1) == {"Compressor.threshold_db"}
    assert len(lost(2)) == 13


@pytest.mark.parametrize("mixer", [Sum(), EqualLoudness(), Random(5), Rules()], ids=lambda m: type(m).__name__)
def test_a_simple_mix_goes_through_the_file(tmp_path, mixer):
    tracks = song()
    mix = mixer(tracks)
    source = Whole(tracks)
    write(tmp_path / "s.json", of_plan(mixer.settle(source), source, -1.5, {"seed": 5}))
    torch.testing.assert_close(render(read(tmp_path / "s.json"), tracks), mix.audio[0] * 10 ** (-1.5 / 20), atol=1e-5, rtol=0)


def test_a_file_by_hand_may_leave_out_and_differ_from_track_to_track(tmp_path):
    tracks = song()
    by_hand = {
        "schema": SCHEMA,
        "sample_rate": RATE,
        "tracks": [
            {"name": "track2", "fader_db": -6.0, "inserts": [{"effect": "Distortion"}], "sends_db": {"hall": -10}},
            {"name": "track1", "fader_db": 0.0, "pan": 0.2},
        ],
        "buses": [
            {"name": "hall", "effects": [{"effect": "Gain"}, {"effect": "Reverb", "controls": {"dry_level": {"value": 0}}}]}
        ],
    }
    path = tmp_path / "s.json"
    path.write_text(json.dumps(by_hand))
    mix = render(read(path), tracks)
    del by_hand["tracks"][0]["sends_db"]
    path.write_text(json.dumps(by_hand))
    dry = render(read(path), tracks)
    assert mix.isfinite().all()
    assert (mix - dry).abs().max() > 1e-4
    left, right = dry.square().mean(1)
    assert left > right


def test_a_muted_track_is_in_neither_the_mix_nor_a_bus(tmp_path, matched):
    tracks, _, settings = matched
    muted, without = copy.deepcopy(settings), copy.deepcopy(settings)
    muted["tracks"][1]["mute"] = True
    muted["tracks"][0]["mute"] = False
    del without["tracks"][1]
    write(tmp_path / "s.json", muted)
    mix = render(read(tmp_path / "s.json"), tracks)
    assert mix.abs().max() > 0.002
    assert (mix - render(settings, tracks)).abs().max() > 1e-4
    torch.testing.assert_close(mix, render(without, tracks), atol=1e-8, rtol=1e-5)
    for track in muted["tracks"]:
        track["mute"] = True
    assert not render(muted, tracks).any()


def test_stems_that_do_not_fit_are_refused(matched):
    tracks, _, settings = matched
    with pytest.raises(UserError, match=r"no stem is named track3; there are track1, track2\. Did you mean"):
        render(settings, tracks.select(["track1", "track2"]))
    with pytest.raises(UserError, match="track1: is shorter than its lag"):
        render(settings, tracks.excerpt(0, 30))


def edit(path, value):
    """Set one place of the settings, given as 'tracks.0.fader_db'; ... removes it."""

    def change(settings):
        *way, last = [int(k) if k.isdigit() else k for k in path.split(".")]
        place = settings
        for key in way:
            place = place[key]
        if value is ...:
            del place[last]
        else:
            place[last] = value

    return change


HOSTILE = "<script>alert(1)</script>\n\x1b[31m" * 50


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (edit("schema", "dasp-settings/2"), "is of version dasp-settings/2; this dasp reads dasp-settings/1"),
        (edit("schema", ...), "'schema' is a required property"),
        (edit("schema", 7), "schema"),
        (edit("tracks", []), "tracks"),
        (edit("tracks", "none"), "tracks: 'none' is not of type 'array'"),
        (edit("tracks.0.fader_db", "loud"), "tracks[0].fader_db: 'loud' is not of type 'number'"),
        (edit("tracks.0.fader_db", 1e6), "tracks[0].fader_db"),
        (edit("tracks.0.pan", 1.5), "tracks[0].pan"),
        (edit("tracks.0.pann", 0.5), "'pann' was unexpected"),
        (edit("tracks.0.lag_samples", 1.5), "lag_samples"),
        (edit("tracks.0.mute", "yes"), "tracks[0].mute: 'yes' is not of type 'boolean'"),
        (edit("tracks.1.name", "track1"), "tracks: track1 stands twice"),
        (edit("tracks.0.inserts.0.effect", "LowShelf"), "no effect 'LowShelf'"),
        (edit("tracks.0.inserts.0.effect", HOSTILE), "no effect"),
        (edit("tracks.0.inserts.0.effect", "Panner"), "makes mono stereo"),
        (edit("tracks.0.inserts.3.controls.treshold_db", {"value": 1}), "Did you mean 'threshold_db'?"),
        (edit("tracks.0.inserts.3.controls.threshold_db", {"value": 3}), "Compressor's threshold_db is -60 to 0 dB; got 3"),
        (edit("tracks.0.inserts.3.controls.threshold_db", -3), "threshold_db"),
        (edit("tracks.0.inserts.3.controls.threshold_db.unit", "ms"), "Compressor's threshold_db is in dB; got ms"),
        (edit("tracks.0.inserts.0.options", {"law": "linear"}), "no option 'law'"),
        (edit("tracks.0.sends_db", {"delay": 0.0}), "sends to the bus delay, but there are reverb"),
        (edit("buses.0.name", "my reverb"), "buses[0].name"),
        (edit("master.0", {"effect": "Panner", "options": {"law": "linea"}}), "Did you mean 'linear'?"),
        (edit("metrics", [1]), "metrics"),
        (edit(HOSTILE, 1), "Additional properties are not allowed"),
    ],
)
def test_a_wrong_value_is_named(tmp_path, matched, change, words):
    settings = copy.deepcopy(matched[2])
    change(settings)
    path = tmp_path / "s.json"
    path.write_text(json.dumps(settings))
    with pytest.raises(UserError, match=re.escape(words)) as caught:
        read(path)
    sentence = str(caught.value)
    assert sentence.startswith(str(path))
    assert len(sentence) < 600 + len(str(path))
    assert "\n" not in sentence


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is not JSON (line 1"),
        (b"{", "is not JSON"),
        (b"\x00\xff\xfe", "not a text file"),
        (b"[]", "is not of type 'object'"),
        (b"null", "is not of type 'object'"),
        (b'{"schema": NaN}', "NaN is not a number"),
        (b'{"sample_rate": 1e999}', "too large a number"),
        (b'{"a": 1, "a": 2}', "stands twice"),
        (b"[" * 100_000, "nested too deeply"),
        (b" " * 20_000_001, "larger than any settings file"),
    ],
    ids=range(10),
)
def test_what_is_no_settings_file_is_refused(tmp_path, content, words):
    path = tmp_path / "s.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=re.escape(words)):
        read(path)


def test_missing_files_and_folders_are_refused(tmp_path, matched):
    with pytest.raises(UserError, match="no such file"):
        read(tmp_path / "none.json")
    with pytest.raises(UserError, match="cannot be opened"):
        read(tmp_path)
    with pytest.raises(UserError, match="cannot be written"):
        write(tmp_path / "none" / "s.json", matched[2])


def test_settings_that_would_not_be_read_again_are_never_written(tmp_path, matched):
    wrong = {**matched[2], "tracks": []}
    with pytest.raises(UserError):
        write(tmp_path / "s.json", wrong)
    assert listing(tmp_path) == {}
