"""`dasp export`: what `dasp mix` and `dasp match` wrote becomes a project; what is said and refused."""

import json

import exports
import pytest
from synthetic import fake_match, listing

from mixing import Multitrack, settings
from mixing.export import read


@pytest.fixture
def mixed(song, tmp_path, dasp_command):
    out = tmp_path / "My mix"
    code, _, err = dasp_command("mix", song, "-o", out, "--model", "rules")
    assert code == 0, err
    return out


@pytest.mark.parametrize(("kind", "ending"), [("dawproject", ".dawproject"), ("reaper", ".rpp")])
def test_a_mix_becomes_a_project(mixed, dasp_command, kind, ending):
    code, out, err = dasp_command("export", mixed, "--to", kind)
    assert (code, err) == (0, "")
    beside = " and My mix_media" if kind == "reaper" else ""
    path = mixed / f"My mix{ending}"
    assert out == f"wrote {path}{beside} (3 tracks, 0 buses; no notes on what is not expressed)\n"
    assert read(path).settings == settings.read(mixed / "settings.json")


def test_a_match_becomes_a_project_with_notes(tmp_path, dasp_command):
    names = ["track1", "track2", "track3"]
    stems = exports.stems(tmp_path / "stems", names, seconds=0.6)
    tracks = Multitrack.from_folder(stems)
    values = settings.of_match(fake_match(tracks, lag=40), tracks.channels[0].tolist(), {"seed": 0})
    (tmp_path / "out").mkdir()
    settings.write(tmp_path / "out" / "settings.json", values)
    target = tmp_path / "song.dawproject"
    code, out, err = dasp_command("export", tmp_path / "out", "--to", "dawproject", "--stems", stems, "-o", target)
    assert code == 0
    assert "bus reverb: the format has no device for Reverb" in err
    assert "bus reverb: is muted" in err
    assert out.startswith(f"wrote {target} (3 tracks, 1 bus; 2 notes on what is not expressed)")
    assert read(target).settings == values
    # A settings file itself may be named, too.
    code, *_ = dasp_command("export", tmp_path / "out" / "settings.json", "--to", "reaper", "--stems", stems)
    assert code == 0
    assert (tmp_path / "out" / "out.rpp").is_file()


def test_what_is_wrong_is_one_sentence(mixed, tmp_path, refused, song):
    before = listing(mixed)
    assert "there is no such file" in refused("export", tmp_path / "none", "--to", "reaper")
    assert "Missing option '--to'" in refused("export", mixed)
    assert "'ableton' is not one of" in refused("export", mixed, "--to", "ableton")
    assert "a project for reaper ends in .rpp" in refused("export", mixed, "--to", "reaper", "-o", tmp_path / "a.dawproject")
    assert "no such folder of stems" in refused("export", mixed, "--to", "reaper", "--stems", tmp_path / "none")
    other = exports.stems(tmp_path / "x", ["a"])
    assert "no stem is named 1_kick" in refused("export", mixed, "--to", "reaper", "--stems", other)
    assert "cannot be written" in refused("export", mixed, "--to", "reaper", "-o", tmp_path / "none" / "a.rpp")
    path = mixed / "settings.json"
    values = json.loads(path.read_text())
    for command, words in (
        (None, "does not say where its stems are"),
        ("", "does not say where its stems are"),
        ("rm -rf /", "does not say where its stems are"),
        ("dasp mix 'unclosed", "does not say where its stems are"),
        ("dasp mix", "does not say where its stems are"),
        ("dasp mix elsewhere -o out", "its stems were in elsewhere, which is not here"),
    ):
        values["provenance"]["command"] = command
        path.write_text(json.dumps(values))
        assert words in refused("export", mixed, "--to", "reaper")
    path.write_bytes(before["settings.json"])
    assert listing(mixed) == before
