"""DAWproject: valid against the published schema; units and laws as the format wants them; safe to read."""

import math
import os
import struct
import zipfile
from pathlib import Path
from xml.etree import ElementTree as ET

import exports
import pytest
from synthetic import RATE
from test_export import LANES, usual

from mixing import UserError
from mixing.export import Lane, export, read
from mixing.export.dawproject_map import balance, unbalance
from mixing.export.effects import pan_gains

SCHEMA = Path(os.environ.get("DASP_DAWPROJECT", Path(__file__).resolve().parents[3] / "shared" / "dawproject"))


@pytest.fixture(scope="module")
def stems(tmp_path_factory):
    return exports.stems(tmp_path_factory.mktemp("song") / "stems", ["track1", "track2", "track3"])


@pytest.fixture(scope="module")
def schemas():
    from lxml import etree

    if not (SCHEMA / "Project.xsd").is_file():
        pytest.skip(f"DAWproject's schema is not in {SCHEMA}: name its folder by DASP_DAWPROJECT")
    return {
        "project.xml": etree.XMLSchema(etree.parse(str(SCHEMA / "Project.xsd"))),
        "metadata.xml": etree.XMLSchema(etree.parse(str(SCHEMA / "MetaData.xsd"))),
    }


def root_of(path):
    with zipfile.ZipFile(path) as archive:
        return ET.fromstring(archive.read("project.xml"))


@pytest.mark.schema
@pytest.mark.parametrize("number", range(12))
def test_it_is_valid_against_the_published_schema(schemas, stems, tmp_path, number):
    from lxml import etree

    values, lanes = (usual(), LANES) if number == 0 else (exports.settings(number), ())
    if number == 1:  # every effect that can be an insert
        values["tracks"][0]["inserts"] = [{"effect": name} for name in exports.INSERTS]
    path = tmp_path / "song.dawproject"
    export(values, stems, path, lanes=lanes)
    with zipfile.ZipFile(path) as archive:
        for name, schema in schemas.items():
            document = etree.fromstring(archive.read(name))
            assert schema.validate(document), schema.error_log


@pytest.fixture(scope="module")
def project(stems, tmp_path_factory):
    path = tmp_path_factory.mktemp("out") / "song.dawproject"
    export(usual(), stems, path, lanes=LANES)
    return root_of(path)


def value(root, key):
    return float(root.find(f".//*[@id='{key}']").get("value"))


def test_a_clip_starts_where_the_lag_says(project):
    clips = [project.find(f".//Lanes[@track='track{n}']/Clips/Clip") for n in range(3)]
    assert [float(c.get("playStart")) for c in clips] == [0.0, 40 / RATE, 80 / RATE]
    assert [float(c.get("time")) for c in clips] == [0.0, 0.0, 0.0]
    assert [float(c.get("duration")) for c in clips] == pytest.approx([0.3, 0.3 - 40 / RATE, 0.3 - 80 / RATE], abs=1e-4)
    assert clips[1].find("Audio").attrib.items() >= {"channels": "2", "sampleRate": str(RATE)}.items()


def test_early_stems_start_later(stems, tmp_path):
    values = usual()
    values["tracks"][0]["lag_samples"] = -100
    export(values, stems, tmp_path / "a.dawproject")
    clip = root_of(tmp_path / "a.dawproject").find(".//Lanes[@track='track0']/Clips/Clip")
    assert (float(clip.get("time")), float(clip.get("playStart"))) == (100 / RATE, 0.0)
    assert read(tmp_path / "a.dawproject").settings == values


def test_units_are_the_format_s(project):
    controls = usual()["tracks"][0]["inserts"][3]["controls"]
    place = "tracks.0.inserts.3.controls"
    compressor = project.find(".//*[@id='tracks.0.inserts.3']")
    assert compressor.tag == "Compressor"
    assert compressor.find("AutoMakeup").get("value") == "false"
    assert [e.get("unit") for e in compressor if e.get("unit")] == ["seconds", "linear", "seconds", "decibel"]
    assert value(project, f"{place}.threshold_db") == controls["threshold_db"]["value"]
    # Seconds of the time constant, 1 / (2 pi) of Pedalboard's number.
    assert value(project, f"{place}.attack_ms") == pytest.approx(controls["attack_ms"]["value"] / 1000 / (2 * math.pi))
    equaliser = project.find(".//*[@id='tracks.0.inserts.0']")
    assert [b.get("type") for b in equaliser.iter("Band")] == ["lowShelf", "bell", "highShelf"]
    assert value(project, "tracks.0.fader_db") == pytest.approx(10 ** (-3 / 20))
    assert value(project, "tracks.0.pan") == 0.3
    assert value(project, "output_gain_db") == pytest.approx(10 ** (-1.5 / 20))
    send = project.find(".//*[@id='track0.send.reverb']")
    assert send.get("destination") == "bus0.channel" and send.get("type") == "post"
    assert project.find(".//*[@id='bus0.channel']").get("role") == "effect"
    assert project.find(".//*[@id='bus0.mute']").get("value") == "true"  # the format has no reverb


@pytest.mark.parametrize("pan", [0.0, 0.1, 0.3, 0.5, 0.77, 1.0])
def test_a_stereo_track_is_as_loud_on_both_sides_as_dasp_makes_it(pan):
    volume, position = balance(0.8, pan)
    left, right = volume * min(1, 2 * (1 - position)), volume * min(1, 2 * position)  # a balance control, 0 dB in the centre
    assert (left, right) == pytest.approx(tuple(0.8 * g for g in pan_gains(pan)), abs=1e-12)
    assert unbalance(volume, position) == pytest.approx((0.8, pan), abs=1e-12)


def test_a_stereo_track_panned_over_time_has_its_level_along_with_it(project):
    def points(where):
        lane = next(p for p in project.iter("Points") if p.find("Target").get("parameter") == where)
        return [(float(p.get("time")), float(p.get("value"))) for p in lane.iter("RealPoint")]

    faders, pans = points("tracks.1.fader_db"), points("tracks.1.pan")
    assert [t for t, _ in faders] == [0.0, 0.05, 0.15, 0.25]
    assert [t for t, _ in pans] == [0.0, 0.25]
    assert faders[0][1] == pytest.approx(10 ** (-3 / 20) * math.cos(0.1 * math.pi))
    assert pans[1][1] == pytest.approx(1 - 0.5 * math.tan(0.1 * math.pi))


def test_changed_automation_is_noticed(stems, tmp_path):
    path = tmp_path / "song.dawproject"
    export(usual(), stems, path, lanes=[Lane("tracks.0.pan", ((0.0, 0.25), (0.2, 0.75)))])
    back = read(exports.edited(path, 'interpolation="linear"', "0.5"))
    assert back.notes == ("tracks.0.pan: its automation was changed in the project; the points that dasp wrote are kept.",)


def test_a_stereo_fader_that_was_moved_is_read_by_the_same_law(stems, tmp_path):
    path = tmp_path / "song.dawproject"
    export(usual(), stems, path)
    back = read(exports.edited(path, 'id="tracks.1.fader_db"', repr(10 ** (-9 / 20) * math.cos(math.pi / 4))))
    assert back.settings["tracks"][1]["fader_db"] == pytest.approx(-9.0)
    assert back.settings["tracks"][1]["pan"] == pytest.approx(0.5)


BOMB = b"""<?xml version="1.0"?><!DOCTYPE b [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;">]><Project>&b;</Project>"""
FOREIGN = b"""<?xml version="1.0"?><!DOCTYPE b SYSTEM "file:///etc/passwd"><Project version="1.0"/>"""


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("project.xml", BOMB, "declares a document type or entities"),
        ("project.xml", FOREIGN, "declares a document type or entities"),
        ("project.xml", b"<Project", "project.xml is not XML"),
        ("project.xml", b"", "project.xml is not XML"),
        ("project.xml", None, "has no project.xml"),
        ("dasp.json", None, "has no dasp.json; only projects that dasp wrote"),
        ("dasp.json", b"{", "is damaged"),
        ("dasp.json", b'{"settings": {}, "lanes": []}', "is a required property"),
        ("dasp.json", b'{"settings": {}, "lanes": [1]}', "is damaged"),
        ("../evil.txt", b"x", "would leave its folder"),
        ("/etc/evil", b"x", "would leave its folder"),
        ("a/..\\..\\evil", b"x", "would leave its folder"),
        ("C:evil", b"x", "would leave its folder"),
    ],
)
def test_unsafe_and_damaged_projects_are_refused(stems, tmp_path, name, content, words):
    export(usual(), stems, tmp_path / "good.dawproject")
    path = tmp_path / "bad.dawproject"
    with zipfile.ZipFile(tmp_path / "good.dawproject") as good, zipfile.ZipFile(path, "w") as bad:
        for info in good.infolist():
            if info.filename != name:
                bad.writestr(info.filename, good.read(info))
        if content is not None:
            bad.writestr(name, content)
    with pytest.raises(UserError, match=words) as caught:
        read(path)
    assert str(caught.value).startswith(str(path))
    assert {p.name for p in tmp_path.iterdir()} == {"good.dawproject", "bad.dawproject"}


def test_a_project_that_unpacks_to_far_too_much_is_refused(stems, tmp_path, monkeypatch):
    export(usual(), stems, tmp_path / "a.dawproject")
    monkeypatch.setattr("mixing.export.dawproject_read._LARGEST", 100)
    with pytest.raises(UserError, match="is larger than any project"):
        read(tmp_path / "a.dawproject")
    # One that lies about its length is cut off all the same.
    data = (tmp_path / "a.dawproject").read_bytes()
    at = data.index(b"PK\x01\x02") + 24
    (tmp_path / "a.dawproject").write_bytes(data[:at] + struct.pack("<I", 10) + data[at + 4 :])
    with pytest.raises(UserError):
        read(tmp_path / "a.dawproject")
