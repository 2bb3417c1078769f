"""The main job does without torchaudio."""

import sys


def test_match_runs_where_torchaudio_cannot_be_imported(song, tmp_path, dasp_command, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchaudio", None)
    assert dasp_command("mix", song, "-o", tmp_path / "mix")[0] == 0
    code, _, err = dasp_command(
        "match", song, "--reference", tmp_path / "mix" / "mix.wav", "-o", tmp_path / "out", "--steps", 2, "--no-polish"
    )
    assert code == 0, err
    assert sorted(f.name for f in (tmp_path / "out").iterdir()) == ["mix.wav", "report.html", "settings.json"]
