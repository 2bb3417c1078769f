"""`kill -9` at a random step of a training or a match, and the same command again.

It must end as the one that nobody killed, with at most one checkpoint interval of work done twice, and until then show no result
that is not whole.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.reliability.outcome import Outcome

STEPS, INTERVAL = 24, 6
RATE = 8000
_TRAINING = {
    "model": {"kind": "mix_wave_u_net", "tracks": 2, "levels": 2, "filters": 2},
    "data": {"samples": 2048, "validation": ["c"]},
    "sample_rate": RATE,
    "loss": {"terms": {"l1": {"weight": 1.0}}},
    "steps": STEPS,
    "validate": INTERVAL,
    "batch": 2,
    "validation_excerpts": 2,
    "workers": 0,
}
_PROXY = {
    "target": "dasp:Distortion",
    "network": {"kind": "tcn", "blocks": 2, "growth": 4, "kernel": 3, "channels": 4, "condition": 4},
    "audio": {"samples": 2048},
    "loss": {"fft_sizes": [256]},
    "steps": STEPS,
    "validate": INTERVAL,
    "batch": 2,
    "validation_batches": 1,
}


@dataclass(frozen=True)
class Command:
    """What is killed.

    Attributes:
        title: for the page.
        words: of the command line, behind `python -m`; "{out}" stands for the folder of its results.
        result: the file that has to be the same.
        interval: steps that may be done twice for each kill.
        counts: whose steps; see `counted`.
    """

    title: str
    words: tuple[str, ...]
    result: str
    interval: int
    counts: str = "optimiser"


def run(count: int, seed: int, tell: Callable[[str], None]) -> list[Outcome]:
    """So many kills, shared among the commands; at least one of the first.

    Args:
        count: of kills.
        seed: of their moments.
        tell: progress.
    """
    outcomes = []
    with tempfile.TemporaryDirectory() as folder:
        commands = _commands(Path(folder))
        for n, command in enumerate(commands):
            mine = len(range(n, count, len(commands)))
            if mine:
                tell(f"killing: {command.title}")
                outcomes.append(_killed(command, mine, random.Random(seed), Path(folder)))
    return outcomes


def _killed(command: Command, count: int, moments: random.Random, folder: Path) -> Outcome:
    outcome = Outcome(f"`kill -9` of {command.title}")
    ended, whole = _called(command, folder / "whole")
    if not ended:
        raise RuntimeError(f"{command.title} failed, and nobody killed it: {' '.join(command.words)}")
    expected = _content(folder / "whole" / command.result)
    most = 0
    for number in range(count):
        out = folder / f"{command.result}-{number}"
        at, late = moments.randrange(whole), moments.uniform(0, 0.1)
        done, steps = _called(command, out, at, late)
        failure = ""
        if not done and (out / command.result).exists() and _content(out / command.result) != expected:
            failure = "a result that is not whole lay there after the kill"
        total = steps
        if not done:
            done, again = _called(command, out)
            total += again
        twice = total - whole
        most = max(most, twice)
        if not done:
            failure = "the second call did not end well"
        elif _content(out / command.result) != expected:
            failure = "the result is not that of the run that nobody killed"
        elif twice > command.interval:
            failure = f"{twice} steps were done twice; an interval has {command.interval}"
        outcome.count("the same result", failure and f"{command.title}, killed after step {at} and {late:.3f} s: {failure}")
    outcome.note = f"{command.title}: {whole} steps, of which at most {most} were done twice; an interval has {command.interval}."
    return outcome


def _called(command: Command, out: Path, at: int | None = None, late: float = 0.0) -> tuple[bool, int]:
    """Call the command, and kill it `late` seconds after a step; (whether it ended well, steps that it did)."""
    counted = out.with_name(out.name + ".steps")
    counted.write_bytes(b"")
    words = [word.replace("{out}", str(out)) for word in command.words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.reliability.counted", str(counted), command.counts, *words],
        env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while at is not None and process.poll() is None:
        if counted.stat().st_size > at:
            time.sleep(late)
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.001)
    return process.wait() == 0, counted.stat().st_size


def _content(path: Path) -> object:
    """What decides whether two results are the same: weights, or settings; not the time that it took."""
    if path.suffix == ".json":
        found = json.loads(path.read_text(encoding="utf-8"))
        return {name: found.get(name) for name in ("tracks", "buses", "master")}
    from safetensors.numpy import load_file

    return {name: (value.shape, value.tobytes()) for name, value in load_file(path).items()}


def _commands(folder: Path) -> list[Command]:
    """The three, with what they read."""
    import numpy as np
    import soundfile

    for number, song in enumerate("abc"):
        stems = [0.1 * np.random.default_rng((number, n)).standard_normal(RATE) for n in range(2)]
        where = folder / "songs" / song
        (where / "stems").mkdir(parents=True)
        for n, stem in enumerate(stems):
            soundfile.write(where / "stems" / f"{n}.wav", stem, RATE, "FLOAT")
        soundfile.write(where / "mix.wav", np.stack([stems[0] + stems[1], stems[0] - 0.5 * stems[1]], 1), RATE, "FLOAT")
    recipe = folder / "tiny.yaml"
    recipe.write_text(json.dumps(_TRAINING))  # JSON is YAML
    options = [word for name, value in _PROXY.items() if name != "target" for word in ("--set", f"{name}={json.dumps(value)}")]
    train = ("mixing", "train", str(recipe), "--data", str(folder / "songs"), "--run", "{out}", "--device", "cpu")
    song = folder / "songs" / "a"
    match = ("mixing", "match", str(song / "stems"), "--reference", str(song / "mix.wav"), "-o", "{out}", "--steps", str(STEPS))
    return [
        Command(
            "`proxies.train`",
            ("proxies.train", str(_PROXY["target"]), "--run", "{out}", "--device", "cpu", *options),
            "Distortion.safetensors",
            INTERVAL,
        ),
        Command("`train`", train, "tiny.safetensors", INTERVAL),
        # The search for late stems is a step too.
        Command("`match`", (*match, "--effects", "PeakFilter", "--no-reverb"), "settings.json", STEPS + 1, "match"),
    ]
