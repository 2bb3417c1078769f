"""Projects for a DAW: what goes in comes out, whatever the settings; what is changed in the DAW is taken over; what does not fit
is refused, and what cannot be expressed is said."""

import copy
import json
import zipfile

import exports
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from synthetic import RATE, listing

from mixing import UserError
from mixing.export import Lane, export, places, read
from mixing.export.effects import groups
from mixing.settings import SCHEMA

ENDINGS = (".dawproject", ".rpp")
KIT = ["LowShelfFilter", "PeakFilter", "HighShelfFilter", "Compressor"]


@pytest.fixture(scope="module")
def stems(tmp_path_factory):
    return exports.stems(tmp_path_factory.mktemp("song") / "stems", ["track1", "track2", "track3"])


def usual(**more):
    """Settings of the kind that a match writes."""
    rng = exports.random.Random(3)
    tracks = [
        {
            "name": f"track{n + 1}",
            "channels": 1 + n % 2,
            "lag_samples": 40 * n,
            "inserts": [exports.effect(rng, e) for e in KIT],
            "fader_db": -3.0 - n,
            "pan": 0.3 + 0.2 * n,
            "sends_db": {"reverb": -12.0},
        }
        for n in range(3)
    ]
    return {
        "schema": SCHEMA,
        "sample_rate": RATE,
        "tracks": tracks,
        "buses": [{"name": "reverb", "effects": [exports.effect(rng, "Reverb")]}],
        "master": [exports.effect(rng, "PeakFilter"), {"effect": "Gain", "controls": {"gain_db": {"value": -2.0, "unit": "dB"}}}],
        "output_gain_db": -1.5,
        **more,
    }


LANES = (
    Lane("tracks.0.fader_db", ((0.0, -6.0), (0.1, 0.0), (0.2, -12.0))),
    Lane("tracks.1.pan", ((0.0, 0.2), (0.25, 0.8))),
    Lane("tracks.1.fader_db", ((0.05, -3.0), (0.15, 3.0))),
    Lane("tracks.2.sends_db.reverb", ((0.0, -60.0), (0.3, -6.0))),
    Lane("tracks.2.inserts.3.controls.threshold_db", ((0.0, -30.0), (0.3, -10.0))),
    Lane("buses.0.effects.0.controls.damping", ((0.0, 0.1), (0.3, 0.9))),
    Lane("output_gain_db", ((0.0, -1.5), (0.3, -60.0))),
)


@pytest.mark.parametrize("ending", ENDINGS)
@seed(0)
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(number=st.integers(0, 10**9))
def test_a_round_trip_keeps_every_value(stems, tmp_path_factory, ending, number):
    values = exports.settings(number)
    path = tmp_path_factory.mktemp("out") / f"song{ending}"
    notes = export(values, stems, path)
    back = read(path)
    assert back.settings == values
    assert back.lanes == back.notes == ()
    full = places.complete(values)
    off = [w for w, v in back.observed.items() if abs(v - places.get(full, w)) > 1e-5 * max(1, abs(v))]
    # What the project's own devices say is what was written, but for what is said to be cut to their range.
    assert len(off) <= sum("the nearest is set" in n or "is cut to it" in n for n in notes)
    assert sum(w.endswith(("fader_db", ".pan")) for w in back.observed) == 6
    assert {f"tracks.{n}.sends_db.{b}" for n, t in enumerate(values["tracks"]) for b in t["sends_db"]} <= set(back.observed)


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_the_devices_say_is_complete_for_a_match(stems, tmp_path, ending):
    """Every control of the usual effects stands in the project in the DAW's own terms, not only in what dasp keeps for itself."""
    path = tmp_path / f"song{ending}"
    export(usual(), stems, path)
    observed = read(path).observed
    for place, _, effects in places.chains(places.complete(usual())):
        for k, entry in enumerate(effects):
            assert {f"{place}.{k}.controls.{c}" for c in entry["controls"]} <= set(observed), entry["effect"]
    assert {f"tracks.{n}.lag_samples": 40 * n for n in range(3)}.items() <= observed.items()


@pytest.mark.parametrize("ending", ENDINGS)
def test_automation_goes_there_and_back(stems, tmp_path, ending):
    path = tmp_path / f"song{ending}"
    notes = export(usual(), stems, path, lanes=LANES)
    back = read(path)
    assert back.lanes == LANES
    assert back.settings == usual()
    assert back.notes == ()
    lost = [n for n in notes if "has no envelope" in n]
    assert len(lost) == (2 if ending == ".rpp" else 0)


def test_frames_become_points():
    lane = Lane.from_frames("tracks.0.fader_db", [0.0, -6.0, -12.0, -18.0], 2.0)
    assert lane.points == ((0.25, 0.0), (0.75, -6.0), (1.25, -12.0), (1.75, -18.0))


@pytest.mark.parametrize(
    ("lane", "words"),
    [
        (Lane("tracks.9.fader_db", ((0.0, 0.0),)), "there is no such control"),
        (Lane("tracks.0.inserts.0.controls.speed", ((0.0, 0.0),)), "there is no such control"),
        (Lane("tracks.0.lag_samples", ((0.0, 0.0),)), "does not vary in time"),
        (Lane("sample_rate", ((0.0, 0.0),)), "does not vary in time"),
        (Lane("tracks.0.name", ((0.0, 0.0),)), "there is no such control"),
        (Lane("tracks.0.pan", ((0.0, 1.5),)), "has 1.5, which is not from 0 to 1"),
        (Lane("tracks.0.pan", ((0.0, float("nan")),)), "which is not from 0 to 1"),
        (Lane("tracks.0.inserts.3.controls.threshold_db", ((0.0, 3.0),)), "which is not from -60 to 0"),
        (Lane("tracks.0.pan", ((1.0, 0.5), (0.5, 0.5))), "in order of time"),
        (Lane("tracks.0.pan", ()), "in order of time"),
    ],
)
def test_lanes_that_do_not_fit_are_refused(stems, tmp_path, lane, words):
    with pytest.raises(UserError, match=words):
        export(usual(), stems, tmp_path / "song.rpp", lanes=[lane])
    with pytest.raises(UserError, match="two lanes are of one control"):
        export(usual(), stems, tmp_path / "song.rpp", lanes=[LANES[0], LANES[0]])
    assert listing(tmp_path) == {}


def test_neighbouring_filters_are_one_equaliser():
    names = ["PeakFilter", "Gain", "LowShelfFilter", "Gain", "Compressor", "ParametricEQ", "Distortion"]
    found = groups([{"effect": n} for n in names])
    assert [(g.kind, g.numbers) for g in found] == [
        ("equalizer", (0, 1, 2)),
        ("equalizer", (3,)),
        ("Compressor", (4,)),
        ("equalizer", (5,)),
        ("Distortion", (6,)),
    ]


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_cannot_be_expressed_is_said_and_kept(stems, tmp_path, ending):
    values = usual(buses=[{"name": "reverb", "effects": [{"effect": "Plate"}]}])
    values["tracks"][0]["inserts"] = [{"effect": "Distortion"}, {"effect": "StudioCompressor", "options": {"lookahead_ms": 2.0}}]
    path = tmp_path / f"song{ending}"
    notes = "\n".join(export(values, stems, path))
    for words in ("track track1: ", "Distortion; its settings are in the file and do not play", "Plate", "bus reverb: is muted"):
        assert words in notes
    assert "lookahead_ms 2.0" in notes
    assert read(path).settings == values
    if ending == ".rpp":
        text = path.read_text()
    else:
        with zipfile.ZipFile(path) as archive:
            text = archive.read("metadata.xml").decode()
    assert "Not expressed: bus reverb: is muted" in text


@pytest.mark.parametrize("ending", ENDINGS)
def test_hostile_names_are_text(tmp_path, ending):
    names = ["<b>&amp;\"'`]]>", "a b\tc", "| > NAME x", "\N{MULTIPLE MUSICAL NOTES} Schlagzeug äöü", "x\\..\\..\\evil", "C:\\x"]
    folder = exports.stems(tmp_path / "stems", names)
    values = {"schema": SCHEMA, "sample_rate": RATE, "tracks": [{"name": n, "fader_db": -1.0} for n in names]}
    values["notes"] = ["</NOTES> <b>\n> \x1b[31m"]
    out = tmp_path / "out"
    out.mkdir()
    path = out / f"song{ending}"
    export(values, folder, path, title="<title>\n>")
    assert read(path).settings == values
    inside = [p.name for p in (out / "song_media").iterdir()] if ending == ".rpp" else zipfile.ZipFile(path).namelist()
    assert len(inside) == 6 + (3 if ending == ".dawproject" else 0)
    assert all(set(n.split("/")[-1]) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") for n in inside)
    assert {p.name for p in out.iterdir()} == {path.name} | ({"song_media"} if ending == ".rpp" else set())


def test_the_same_settings_give_the_same_bytes(stems, tmp_path):
    for n in (1, 2):
        (tmp_path / str(n)).mkdir()
        export(usual(), stems, tmp_path / f"{n}.dawproject", title="song", lanes=LANES)
        export(usual(), stems, tmp_path / str(n) / "song.rpp")
    assert (tmp_path / "1.dawproject").read_bytes() == (tmp_path / "2.dawproject").read_bytes()
    assert (tmp_path / "1" / "song.rpp").read_bytes() == (tmp_path / "2" / "song.rpp").read_bytes()


def test_the_audio_is_the_stems(stems, tmp_path):
    export(usual(), stems, tmp_path / "a.rpp")
    export(usual(), stems, tmp_path / "a.dawproject")
    with zipfile.ZipFile(tmp_path / "a.dawproject") as archive:
        for n in range(1, 4):
            audio = (stems / f"track{n}.wav").read_bytes()
            assert (tmp_path / "a_media" / f"track{n}.wav").read_bytes() == audio
            assert archive.read(f"audio/track{n}.wav") == audio
            assert archive.getinfo(f"audio/track{n}.wav").compress_type == zipfile.ZIP_STORED


@pytest.mark.parametrize("ending", ENDINGS)
def test_nothing_is_written_where_something_is_wrong(stems, tmp_path, ending, monkeypatch):
    wrong = usual()
    wrong["tracks"][0]["name"] = "tracc1"
    with pytest.raises(UserError, match=r"no stem is named tracc1.*Did you mean 'track1'"):
        export(wrong, stems, tmp_path / f"song{ending}")
    with pytest.raises(UserError, match="no such folder of stems"):
        export(usual(), tmp_path / "none", tmp_path / f"song{ending}")
    with pytest.raises(UserError, match=r"ending \.als is not one of"):
        export(usual(), stems, tmp_path / "song.als")
    with pytest.raises(UserError, match="cannot be written"):
        export(usual(), stems, tmp_path / "none" / f"song{ending}")
    bad = usual()
    bad["tracks"][0]["inserts"][0]["controls"]["gain_db"]["value"] = 99
    with pytest.raises(UserError, match="LowShelfFilter's gain_db is -24 to 24 dB"):
        export(bad, stems, tmp_path / f"song{ending}")
    assert listing(tmp_path) == {}

    def full(*_):
        raise UserError("disk full.")

    module = "dawproject.write_whole" if ending == ".dawproject" else "reaper.write_text"
    monkeypatch.setattr(f"mixing.export.{module}", full)
    with pytest.raises(UserError, match="disk full"):
        export(usual(), stems, tmp_path / f"song{ending}")
    assert listing(tmp_path) == {}


def test_what_is_no_project_is_refused(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        read(tmp_path / "none.rpp")
    with pytest.raises(UserError, match="no such file"):
        read(tmp_path / "none.dawproject")
    with pytest.raises(UserError, match="is not one of"):
        read(tmp_path / "settings.json")
    for content in (b"", b"PK\x03\x04", b"\x00" * 100, b"<REAPER_PROJECT", b"<" * 10_000, b"<A\n" * 10_000):
        for ending in ENDINGS:
            path = tmp_path / f"wrong{ending}"
            path.write_bytes(content)
            with pytest.raises(UserError) as caught:
                read(path)
            assert str(caught.value).startswith(str(path)), str(caught.value)
            assert "\n" not in str(caught.value)


def test_settings_changed_by_hand_beyond_an_effect_are_refused(stems, tmp_path):
    path = tmp_path / "song.dawproject"
    export(usual(), stems, path)
    with pytest.raises(UserError, match="Compressor's threshold_db is -60 to 0 dB; got 7"):
        read(exports.edited(path, 'id="tracks.0.inserts.3.controls.threshold_db"', "7.0"))
    out = copy.deepcopy(usual())
    changed = read(exports.edited(path, 'id="tracks.0.inserts.3.controls.threshold_db"', "-7.5"))
    out["tracks"][0]["inserts"][3]["controls"]["threshold_db"]["value"] = -7.5
    assert json.dumps(changed.settings) == json.dumps(out)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_muted_track_stays_muted_and_one_muted_in_the_daw_is(stems, tmp_path, ending):
    values = usual()
    values["tracks"][1]["mute"] = True
    path = tmp_path / f"song{ending}"
    export(values, stems, path)
    assert read(path).settings == values
    if ending == ".rpp":
        text = path.read_text()
        assert text.count("MUTESOLO 1 0 0") == 1
        path.write_text(text.replace("MUTESOLO 0 0 0", "MUTESOLO 1 0 0", 1))
    else:
        path = exports.edited(path, 'id="tracks.0.mute"', "true")
    assert [t.get("mute", False) for t in read(path).settings["tracks"]] == [True, True, False]
