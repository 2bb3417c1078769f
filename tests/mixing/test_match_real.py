"""The command with the real matching, on a song of three seconds: a mix made by a console is found again."""

import json

import pytest
import torch
from synthetic import RATE, save, stem

from mixing import Console, Multitrack
from mixing.audio import read


@pytest.fixture
def hidden(tmp_path):
    """Stems, their mix with known faders and pans, and those."""
    folder = tmp_path / "song"
    for k in range(3):
        save(folder / f"{k}.wav", stem(k, seconds=3.0, channels=1 + k % 2), subtype="FLOAT")
    tracks = Multitrack.from_folder(folder)
    console = Console()
    controls = console.defaults(1, 3)
    faders, pans = [-3.0, 2.0, -6.0], [0.3, 0.5, 0.8]
    for n in range(3):
        for i, value in enumerate((faders[n], pans[n])):
            controls.tracks[0, n, i] = console.track_controls[i].to_unit(value)
    mix = console(tracks, controls).audio[0]
    return folder, save(tmp_path / "mix.wav", mix, subtype="FLOAT"), faders, pans


def test_faders_and_pans_are_found(hidden, tmp_path, dasp_command):
    folder, reference, faders, pans = hidden
    out = tmp_path / "out"
    code, text, _ = dasp_command(
        "match", folder, "--reference", reference, "-o", out, "--effects", "none", "--no-reverb", "--steps", 10
    )
    assert code == 0
    assert "wrote" in text
    settings = json.loads((out / "settings.json").read_text())
    for track, fader, pan in zip(settings["tracks"], faders, pans, strict=True):
        assert abs(track["fader_db"] - fader) < 0.1
        assert abs(track["pan"] - pan) < 0.005
    difference = read(out / "mix.wav")[0] - read(reference)[0]
    assert difference.square().mean() < 1e-4 * read(reference)[0].square().mean()


@pytest.mark.parametrize("gradient", ["autodiff", "spsa"])
def test_every_part_of_the_console_at_once(hidden, tmp_path, dasp_command, gradient):
    if gradient == "spsa":
        pytest.importorskip("pedalboard")
    folder, reference, *_ = hidden
    out = tmp_path / "out"
    code, _, err = dasp_command(
        "match", folder, "--reference", reference, "-o", out, "--master", "--steps", 3, "--no-polish", "--gradient", gradient
    )
    assert code == 0, err
    assert sorted(f.name for f in out.iterdir()) == ["mix.wav", "report.html", "settings.json"]
    dasp_command("apply-settings", folder, out / "settings.json", tmp_path / "again.wav")
    mix = read(out / "mix.wav")[0]
    torch.testing.assert_close(read(tmp_path / "again.wav")[0], mix, atol=1e-6, rtol=1e-4)
    assert mix.shape == (2, 3 * RATE)
