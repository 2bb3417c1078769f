"""The desk's folder: sound carried byte for byte, what is live and what is printed, files that appear whole or not at all."""

import json
import re
import zlib

import numpy as np
import pytest
import soundfile
import torch
from desk_song import INSERTS, SECONDS, full_settings, results, stems
from synthetic import RATE, listing, save, stem

from dasp.effects import find
from mixing import Multitrack, UserError, desk, settings
from mixing.blocks import Whole
from mixing.desk.carry import BLOCK, carry, piece_length, script
from mixing.desk.parts import LIVE, completed, is_live, said, split
from mixing.output import replace_folder

UNESCAPED = {b"\\\\": b"\\", b'\\"': b'"', b"\\n": b"\n", b"\\r": b"\r"}


def content(text: bytes) -> tuple[list[int], bytes]:
    """A script's numbers and its bytes, as a browser reads them."""
    numbers, string = re.fullmatch(rb'dasp\.piece\(([\d,]+),"(.*)"\)\n', text, re.DOTALL).groups()
    return [int(n) for n in numbers.split(b",")], re.sub(rb"\\.", lambda m: UNESCAPED[m[0]], string)


def carried(folder, number, rate=RATE) -> np.ndarray:
    """A sound put together again, (T, channels)."""
    import io

    files = sorted(folder.glob(f"{number:03d}-*.js"))
    parts = [soundfile.read(io.BytesIO(content(f.read_bytes())[1]), always_2d=True) for f in files]
    assert {r for _, r in parts} == {rate}
    assert {len(x) for x, _ in parts} == {piece_length(rate)}
    return np.concatenate([x for x, _ in parts])


def test_every_byte_arrives():
    every = bytes(range(256)) * 3 + b'\\\\n"\r\n\\"' + np.random.default_rng(0).bytes(100_000)
    text = script(3, 14, every)
    numbers, back = content(text)
    assert back == every
    assert numbers == [3, 14, len(every), zlib.adler32(every)]
    assert not re.search(rb"[\r\n](?=.)", text)
    assert len(text) < 1.02 * len(every)


@pytest.mark.parametrize(("bits", "subtype"), [(16, "PCM_16"), (24, "PCM_24")])
def test_samples_are_carried_exactly(tmp_path, monkeypatch, bits, subtype):
    monkeypatch.setattr("mixing.desk.carry._SECONDS", 0.3)
    path = save(tmp_path / "a.wav", stem(1, 1.0, channels=2), subtype=subtype)
    x = soundfile.read(path, always_2d=True)[0]
    found = carry(tmp_path, 7, torch.from_numpy(x.T), RATE)
    assert (found["bits"], found["channels"], found["gain"]) == (bits, 2, 1.0)
    back = carried(tmp_path, 7)
    assert np.array_equal(back[: len(x)], x)
    assert not back[len(x) :].any()
    assert found["bytes"] == sum(content(f.read_bytes())[0][2] for f in tmp_path.glob("*.js"))


def test_what_is_too_loud_or_twice_the_same_is_carried_too(tmp_path):
    x = 3 * stem(0, 0.5)
    x = 2.5 * x / x.abs().max()
    found = carry(tmp_path, 0, x.expand(2, -1), RATE)
    assert (found["channels"], found["gain"]) == (1, 4.0)
    back = carried(tmp_path, 0)[: x.shape[1]].T * found["gain"]
    assert np.abs(back - x.double().numpy()).max() <= 4 * 2**-24
    found = carry(tmp_path, 1, x, RATE, exact=False)
    back = carried(tmp_path, 1)[: x.shape[1]].T * found["gain"]
    assert found["bits"] == 16
    assert np.abs(back - x.double().numpy()).max() <= 2.6 * 2**-15
    assert carry(tmp_path, 2, torch.zeros(1, 10), RATE, exact=False)["gain"] == 1.0
    assert carry(tmp_path, 3, torch.ones(1, 10), RATE)["gain"] == 2.0
    assert (carried(tmp_path, 3)[:10] == 0.5).all()


def test_a_piece_has_whole_blocks():
    for rate in (8000, 22050, 44100, 48000, 96000):
        assert piece_length(rate) % BLOCK == 0
        assert 4.9 < piece_length(rate) / rate < 5.1


def test_effects_up_to_the_last_that_is_not_live_are_printed():
    eq, comp, drive = ({"effect": n} for n in ("ParametricEQ", "Compressor", "Distortion"))
    assert [split(x) for x in ([], [eq, comp], [drive, eq], [eq, drive, comp], [eq, comp, drive])] == [0, 0, 1, 2, 3]
    assert is_live({"effect": "Reverb", "options": {"freeze_mode": 0.0}})
    assert not is_live({"effect": "Reverb", "options": {"freeze_mode": 1.0}})
    assert [find(n).__name__ for n in LIVE] == list(LIVE)


def test_settings_are_completed_from_the_tables():
    whole = completed(
        {
            "schema": settings.SCHEMA,
            "sample_rate": RATE,
            "tracks": [{"name": "a", "fader_db": 0, "inserts": [{"effect": "Gain"}]}],
        }
    )
    (track,) = whole["tracks"]
    assert track["inserts"][0]["controls"] == {"gain_db": {"value": 0.0, "unit": "dB"}}
    assert (track["pan"], track["mute"], track["sends_db"], whole["buses"], whole["master"]) == (0.5, False, {}, [], [])
    whole["master"] = [{"effect": "Gain", "controls": {}}, {"effect": "Plate", "controls": {}}]
    assert said(whole) == {"printed": [], "returns": [], "skipped": [1], "left_out": ["Plate"]}


def song_of(folder) -> dict:
    page = (folder / "index.html").read_text()
    return json.loads(re.search(r'<script id="song" type="application/json">(.*?)</script>', page, re.DOTALL)[1])


def test_dasp_desk_finds_its_stems_and_says_what_it_made(tmp_path, dasp_command):
    out = results(tmp_path / "out", stems(tmp_path / "song's"), full_settings(Multitrack.from_folder(stems(tmp_path / "song's"))))
    code, _, err = dasp_command("desk", out)
    assert code == 2
    assert "does not say which stems it was made from; give --stems." in err
    values = settings.read(out / "settings.json")
    for strange in ("dasp 'mix", "dasp mix", "rm -rf /", "dasp mix --nonsense x y z", "dasp mix --list"):
        values["provenance"]["command"] = strange
        settings.write(out / "settings.json", values)
        code, told, err = dasp_command("desk", out)
        assert (code, told) == (2, "")
        assert "give --stems." in err
    values["provenance"]["command"] = f"dasp match '{tmp_path}/song'\"'\"'s' --reference gone.wav -o x"
    settings.write(out / "settings.json", values)
    code, said_, _ = dasp_command("desk", out)
    assert code == 0
    assert said_.startswith(f"wrote {out / 'desk' / 'index.html'} (")
    song = song_of(out / "desk")
    assert [v["name"] for v in song["versions"]] == ["Mix", "Plain sum", "Exact render"]
    assert song["settings"]["tracks"][0]["name"] == "1 kick"
    assert song["has_settings"]
    assert song["strip"]["fader_db"]["low"] == -60
    assert [q["name"] for q in song["tables"]["Compressor"]] == ["threshold_db", "ratio", "attack_ms", "release_ms"]
    assert set(song["tables"]) == {*INSERTS, "Reverb", "LowShelfFilter", "Gain"}
    # Made again it takes the place of the first; nothing of that one is left.
    (out / "desk" / "audio" / "099-0000.js").write_bytes(b"")
    assert dasp_command("desk", out, "--mix", f"again={out / 'mix.wav'}")[0] == 0
    names = {f.name for f in (out / "desk" / "audio").iterdir()}
    assert names == {f"{n:03d}-0000.js" for n in range(5)}
    assert {f.name for f in out.iterdir()} == {"desk", "mix.wav", "settings.json"}


def test_dasp_mix_makes_a_desk_too(song, tmp_path, dasp_command):
    assert dasp_command("mix", song, "-o", tmp_path / "out", "--model", "rules", "--desk")[0] == 0
    about = song_of(tmp_path / "out" / "desk")
    assert about["title"] == "song"
    assert [t["channels"] for t in about["tracks"]] == [1, 2, 1]
    assert about["settings"] == completed(settings.read(tmp_path / "out" / "settings.json"))
    before = listing(tmp_path)
    (tmp_path / "out" / "desk" / "mine.txt").write_text("mine")
    assert dasp_command("mix", song, "-o", tmp_path / "out", "--model", "sum", "--desk")[0] == 2
    (tmp_path / "out" / "desk" / "mine.txt").unlink()
    assert listing(tmp_path) == before


def test_a_model_without_settings_has_the_strips_at_the_plain_sum(tmp_path, dasp_command):
    folder = stems(tmp_path / "song")
    out = tmp_path / "out"
    save(out / "mix.wav", 0.5 * stem(1, SECONDS, channels=2))
    assert dasp_command("desk", out, "--stems", folder)[0] == 0
    song = song_of(out / "desk")
    assert not song["has_settings"]
    assert [v["name"] for v in song["versions"]] == ["Mix", "Plain sum", "Model"]
    assert [t["fader_db"] for t in song["settings"]["tracks"]] == pytest.approx([3.0103] * 3)
    assert song["measured"] == {k: song["versions"][1][k] for k in ("loudness", "peak_db")}


def test_what_cannot_be_made_is_refused_in_a_sentence(tmp_path, refused):
    folder = stems(tmp_path / "song")
    out = results(tmp_path / "out", folder)
    before = listing(tmp_path)
    assert "has no mix.wav; give a folder that dasp mix or dasp match wrote" in refused("desk", tmp_path)
    assert "there is no such file" in refused("desk", out, "--reference", tmp_path / "none.wav")
    assert "must be NAME=FILE" in refused("desk", out, "--mix", out / "mix.wav")
    for name in ("Exact render", "Mix"):
        assert f"{name}: that name stands twice" in refused("desk", out, "--mix", f"{name}={out / 'mix.wav'}")
    assert "there is no such folder" in refused("desk", out, "--stems", tmp_path / "gone")
    with pytest.raises(UserError, match="browsers play 8000 to 192000 Hz; the settings are for 4000 Hz"):
        desk.write(tmp_path / "x", "", full_settings(slow := Multitrack.from_tracks([stem(0)], 4000)), Whole(slow))
    (folder / "1 kick.wav").unlink()
    assert "no stem is named 1 kick" in refused("desk", out)
    del before["song/1 kick.wav"]
    assert listing(tmp_path) == before


def test_a_folder_takes_the_place_of_another_whole_or_not_at_all(tmp_path):
    def save_(folder):
        (folder / "inner").mkdir()
        (folder / "inner" / "a").write_text("new")

    def fail(folder):
        save_(folder)
        raise UserError("no.")

    target = tmp_path / "deep" / "x"
    replace_folder(target, save_)
    assert listing(target) == {"inner": b"", "inner/a": b"new"}
    (target / "old").write_text("old")
    before = listing(tmp_path)
    with pytest.raises(UserError):
        replace_folder(target, fail)
    assert listing(tmp_path) == before
    replace_folder(target, save_)
    assert listing(tmp_path / "deep") == {"x": b"", "x/inner": b"", "x/inner/a": b"new"}


def test_the_same_song_gives_the_same_folder(tmp_path):
    tracks = Multitrack.from_folder(stems(tmp_path / "song"))
    values = full_settings(tracks)
    for name in "ab":
        desk.write(tmp_path / name, "Song", values, Whole(tracks))
    assert listing(tmp_path / "a") == listing(tmp_path / "b")
    page = (tmp_path / "a" / "index.html").read_text()
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", page)


def test_the_scripts_are_small_and_in_the_package():
    from pathlib import Path

    from mixing.desk import page

    files = {f.name: len(f.read_text().splitlines()) for f in Path(page.__file__).parent.glob("*.js")}
    assert set(files) == {*page._SOUND, *page._PAGE, "worklet.js"}
    assert {name: n for name, n in files.items() if n > 400} == {}
