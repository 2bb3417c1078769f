"""Long songs and many tracks through `mix`: how much memory they take, beside a short song's; and how long a short one takes."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.reliability.outcome import Outcome

RATE = 22050
BLOCK = 60  # seconds of noise that a long file repeats
# name -> tracks, seconds
SONGS = {"8 tracks of 30 seconds": (8, 30), "2 tracks of an hour": (2, 3600), "100 tracks of 5 minutes": (100, 300)}
MOST = 2.0  # times the memory of the first; the mix, which is in memory as a whole, not counted
MIX_BYTES = 8  # a sample of a stereo mix
USUAL = (8, 30, 44100)  # tracks, seconds, sample rate of a song as it comes
USUAL_S, USUAL_MB = 20.0, 3000.0  # what it may take at most


def run(count: int, seed: int, tell: Callable[[str], None]) -> list[Outcome]:
    """Mix each song by rules, whose settings make the mix in blocks.

    Args:
        count: 0 for songs a hundredth as long.
        seed: of the noise.
        tell: progress.
    """
    outcome = Outcome(f"Long songs and many tracks at {RATE} Hz through `mix --model rules`")
    least, notes = None, []
    for name, (tracks, seconds) in SONGS.items():
        tell(f"long: {name}")
        seconds = seconds if count else max(2, seconds // 100)
        with tempfile.TemporaryDirectory() as folder:
            peak, said = _mixed(folder, tracks, seconds, RATE, seed, "--model", "rules")
            mix = Path(folder, "mix.wav")
            whole = mix.exists() and mix.stat().st_size >= MIX_BYTES * seconds * RATE
        besides = peak - MIX_BYTES * seconds * RATE / 1e6
        least = besides if least is None else least
        failure = f"{name}: {said[-200:]}" if not whole else f"{name}: {besides:.0f} MB" if besides > MOST * least else ""
        outcome.count("done" if whole else "failed", failure)
        notes.append(f"{name}: peak {peak:.0f} MB, {besides:.0f} MB without the mix")
    outcome.note = "; ".join(notes) + "."
    return [outcome, _usual(seed, bool(count))]


def _usual(seed: int, timed: bool) -> Outcome:
    """A short song through the model that is the default, from a cold start."""
    tracks, seconds, rate = USUAL
    outcome = Outcome(f"{tracks} tracks of {seconds} s at {rate} Hz through `mix`, from a cold start")
    with tempfile.TemporaryDirectory() as folder:
        start = time.monotonic()
        peak, said = _mixed(folder, tracks, seconds, rate, seed)
        taken = time.monotonic() - start
        done = Path(folder, "mix.wav").exists()
    failure = f"{taken:.1f} s, {peak:.0f} MB: {said[-200:]}"
    bad = not done or peak > USUAL_MB or (timed and taken > USUAL_S)
    outcome.count("done" if done else "failed", failure if bad else "")
    outcome.note = f"{taken:.1f} s with its stems written first, {peak:.0f} MB, on {os.cpu_count()} cores."
    return outcome


def _mixed(folder: str, tracks: int, seconds: int, rate: int, seed: int, *options: str) -> tuple[float, str]:
    """`dasp mix` of tracks of noise into a folder: the peak of its memory, and what it said."""
    stems = Path(folder, "stems")
    stems.mkdir()
    for n in range(tracks):
        _write(stems / f"{n:03d}.wav", seconds, rate, (seed, n))
    return _peak_mb([sys.executable, "-m", "mixing", "mix", str(stems), "-o", folder, *options])


def _write(path: Path, seconds: int, rate: int, seed: tuple[int, int]) -> None:
    import soundfile

    block = (3000 * np.random.default_rng(seed).standard_normal(min(seconds, BLOCK) * rate)).astype(np.int16)
    with soundfile.SoundFile(path, "w", rate, 1, "PCM_16") as file:
        for start in range(0, seconds, BLOCK):
            file.write(block[: (min(seconds - start, BLOCK)) * rate])


def _peak_mb(command: list[str]) -> tuple[float, str]:
    """Peak resident memory of a command, and what it said."""
    script = (
        "import resource, subprocess, sys; done = subprocess.run(sys.argv[1:], capture_output=True, text=True); "
        "print(done.stdout + done.stderr); print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run([sys.executable, "-c", script, *command], capture_output=True, text=True, check=False)
    said, _, last = done.stdout.strip().rpartition("\n")
    return float(last) / 1024, said
