"""A match that was killed goes on behind the last stage that it ended."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from synthetic import RATE, listing, save, stem

from mixing import Multitrack, match
from mixing.console import Controls
from mixing.hidden import hide
from mixing.milestones import Milestones, identity


def song(seconds: float = 1.5) -> Multitrack:
    return Multitrack.from_tracks([stem(k, seconds, channels=1 + k % 2) for k in range(2)], RATE)


QUICK = {"effects": ("PeakFilter",), "reverb": False, "steps": 10}


class Killed(Exception):
    """Stands in for the end of the process."""


@pytest.mark.parametrize("at", ["refine", "fit"])
def test_the_same_match_goes_on_where_it_was_killed(tmp_path, at):
    tracks = song()
    reference = hide(tracks, seed=2).audio
    file = tmp_path / "out" / ".match"
    whole = match(tracks, reference, **QUICK)

    def killed(stage, step, *rest):
        if stage == at and step == 3:
            raise Killed

    with pytest.raises(Killed):
        match(tracks, reference, **QUICK, progress=killed, checkpoint=file)
    assert bool(list(file.glob("*"))) == (at == "refine")  # "fit" was not ended
    again = match(tracks, reference, **QUICK, checkpoint=file)
    assert ("fit" in {stage for stage, *_ in again.history}) == (at == "fit")
    torch.testing.assert_close(again.audio, whole.audio, atol=1e-4, rtol=0)


def test_other_matches_and_damaged_files_count_as_none(tmp_path):
    tracks, file = song(), tmp_path / "kept"
    reference = tracks.unity_mix()[0]
    mine = identity(tracks, reference, seed=0)
    assert mine == identity(tracks, reference.clone(), seed=0)
    others = [
        identity(tracks, reference, seed=1),
        identity(tracks, 0.5 * reference, seed=0),
        identity(Multitrack.from_tracks([stem(0, 1.5), stem(2, 1.5)], RATE), reference, seed=0),
    ]
    assert mine not in others
    found = Controls(torch.rand(1, 2, 3), torch.rand(1, 0), torch.rand(1, 1))
    Milestones(file, mine).keep("fit", found)
    kept = Milestones(file, mine).get("fit")
    assert kept is not None and torch.equal(kept.tracks, found.tracks) and kept.buses.shape == (1, 0)
    assert all(Milestones(file, other).get("fit") is None for other in others)
    for part in file.iterdir():
        part.write_bytes(part.read_bytes()[:-4])
    assert Milestones(file, mine).get("fit") is None


def test_the_command_killed_by_force_goes_on(tmp_path):
    """kill -9 as soon as the first stage is written down."""
    for k in range(2):
        save(tmp_path / "stems" / f"{k}.wav", stem(k, 1.5), subtype="FLOAT")
    tracks = Multitrack.from_folder(tmp_path / "stems")
    save(tmp_path / "mix.wav", hide(tracks, seed=2).audio, subtype="FLOAT")
    out = tmp_path / "out"
    command = [sys.executable, "-m", "mixing", "match", str(tmp_path / "stems"), "--reference", str(tmp_path / "mix.wav")]
    command += ["-o", str(out), "--steps", "10", "--effects", "PeakFilter", "--no-reverb"]
    root = Path(__file__).resolve().parents[2]
    process = subprocess.Popen(command, cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 120
    while not list((out / ".match").glob("*.safetensors")) and process.poll() is None and time.monotonic() < end:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert [p.name for p in out.iterdir() if p.suffix in (".wav", ".json", ".html")] == []
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert sorted(listing(out)) == ["mix.wav", "report.html", "settings.json"]
