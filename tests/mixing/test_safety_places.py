"""Files from outside name no other files, and one that is damaged is refused in a sentence."""

import json
import zipfile
from pathlib import Path

import exports
import pytest
import torch
from synthetic import save, stem
from training_songs import TINY, songs

from mixing import data
from mixing.errors import UserError
from mixing.export import dawproject_read, export, reaper_read
from mixing.milestones import Milestones
from mixing.training.config import config
from mixing.training.run import train
from proxies import snapshot

OUTSIDE = (
    "../../outside.wav",
    "../outside.wav",
    "stems/../../../outside.wav",
    "..\\..\\outside.wav",
    "C:outside.wav",
    "\\x.wav",
    "a\0.wav",
    "",
)


@pytest.mark.parametrize("name", [*OUTSIDE, "{absolute}"])
def test_a_song_names_files_of_its_own_folder_only(name, tmp_path):
    secret = save(tmp_path / "outside.wav", stem(0))
    name = name.replace("{absolute}", str(secret))
    root = tmp_path / "set" / "data"
    save(root / "song" / "stems" / "a.wav", stem(1))
    save(root / "song" / "mix.wav", stem(1))
    (root / "song" / "meta.json").write_text(json.dumps({"stems": [{"file": "stems/a.wav"}, {"file": name}]}))
    save(root / "good" / "stems" / "a.wav", stem(1))
    (root / "good" / "meta.json").write_text(json.dumps({"stems": [{"file": "stems/a.wav"}]}))
    found = data.load(root, "pack")
    assert [s.name for s in found.songs] == ["good"]
    ((what, why),) = found.skipped
    assert what == "song" and "is no file within the song's folder" in why


@pytest.mark.parametrize("field", ["raw_dir", "mix_filename", "filename"])
@pytest.mark.parametrize("name", ["../outside", "/etc", "..\\x", "a\0b"])
def test_medleydb_too(field, name, tmp_path):
    for song in ("A_Good", "A_Bad"):
        save(tmp_path / song / f"{song}_RAW" / f"{song}_RAW_01_01.wav", stem(0))
        save(tmp_path / song / f"{song}_MIX.wav", stem(0))
    meta = {field: name} if field != "filename" else {"stems": {"S01": {"raw": {"R01": {"filename": name}}}}}
    (tmp_path / "A_Bad" / "A_Bad_METADATA.yaml").write_text(json.dumps(meta))
    found = data.load(tmp_path, "medleydb")
    assert [s.name for s in found.songs] == ["A_Good"]
    assert "is no file within the song's folder" in found.skipped[0][1]


def damaged(kind, path):
    if kind == "junk":
        path.write_bytes(b"junk" * 100)
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "another":
        torch.save({"a": 1}, path)
    elif kind == "cut":
        torch.save({"a": torch.zeros(1000)}, path)
        path.write_bytes(path.read_bytes()[:-500])
    else:
        parts = ("state_dict", "optimizer_states", "loops", "counters", "best")
        torch.save({"pytorch-lightning_version": "2.6.0", "global_step": 3, "epoch": 1, **{p: {} for p in parts}}, path)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("junk", "is damaged, or none that dasp wrote"),
        ("empty", "is damaged, or none that dasp wrote"),
        ("cut", "is damaged, or none that dasp wrote"),
        ("another", "is none that dasp wrote"),
        ("of another model", "is of another model"),
    ],
)
def test_a_checkpoint_that_is_none_is_refused(kind, words, tmp_path):
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    damaged(kind, run / "checkpoints" / "000000003.ckpt")
    with pytest.raises(UserError, match=words) as caught:
        train(config(TINY), [songs(tmp_path / "songs")], run, name="x", command="dasp train x", device="cpu")
    assert "start over with --fresh" in str(caught.value)


def test_other_files_beside_checkpoints_are_none(tmp_path):
    from mixing.training.lightning import newest

    (tmp_path / "checkpoints").mkdir()
    for name in ("last.ckpt", "²²².ckpt", "000000006.ckpt", "000000009.txt"):
        (tmp_path / "checkpoints" / name).touch()
    assert newest(tmp_path).name == "000000006.ckpt"


def test_a_project_whose_packed_text_is_damaged_is_refused(tmp_path):
    values = exports.settings(3)
    export(values, exports.stems(tmp_path / "s", [t["name"] for t in values["tracks"]]), tmp_path / "a.dawproject")
    content = (tmp_path / "a.dawproject").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.dawproject") as archive:
        info = archive.getinfo("project.xml")
    for at in range(info.header_offset + 60, info.header_offset + info.compress_size, 97):
        (tmp_path / "b.dawproject").write_bytes(content[:at] + bytes([content[at] ^ 255]) + content[at + 1 :])
        with pytest.raises(UserError):
            dawproject_read.read(tmp_path / "b.dawproject")


def test_a_clip_that_begins_nowhere_is_refused(tmp_path):
    values = exports.settings(3)
    place = exports.stems(tmp_path / "s", [t["name"] for t in values["tracks"]])
    export(values, place, tmp_path / "a.rpp")
    text = (tmp_path / "a.rpp").read_text().replace("POSITION 0", "POSITION -1e308").replace("SOFFS 0", "SOFFS 1e308")
    (tmp_path / "a.rpp").write_text(text)
    with pytest.raises(UserError, match="begins inf s into its file"):
        reaper_read.read(tmp_path / "a.rpp")


def test_a_match_keeps_nothing_behind_a_link(tmp_path):
    """Its folder holds only what it wrote: old files in it are removed."""
    own = tmp_path / "my weights"
    for n in range(5):
        snapshot.write(own, n, {"a": torch.zeros(1)}, {})
    before = sorted(own.iterdir())
    (tmp_path / ".match").symlink_to(own)
    with pytest.raises(UserError, match="is a link"):
        Milestones(tmp_path / ".match", "of")
    assert sorted(own.iterdir()) == before


def test_commands_in_settings_are_parsed_and_never_run(tmp_path, monkeypatch):
    """`dasp export` and `dasp desk` find the stems by the command that wrote the settings, which is text in a file."""
    from mixing.commands._common import recorded

    monkeypatch.chdir(tmp_path)
    lines = ("dasp mix a -o b; touch ran", "dasp mix $(touch ran) -o b", "touch ran", "dasp mix --help", "dasp match a b",
             "dasp mix 'a", "dasp train x", "dasp demo -o ran", "dasp mix 'a\0b' -o c", "dasp mix")  # fmt: skip
    for line in lines:
        found = recorded({"provenance": {"command": line}})
        assert not Path(found.get("stems", "nowhere")).is_dir()
    assert list(tmp_path.iterdir()) == []
