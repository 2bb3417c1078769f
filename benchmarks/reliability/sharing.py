"""Several at once: threads with one effect, processes with one output folder."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from benchmarks.reliability.outcome import Outcome

THREADS = 8


def run(count: int, seed: int, tell: Callable[[str], None]) -> list[Outcome]:
    """So many calls from threads, and a hundredth as many pairs of processes.

    Args:
        count: of calls.
        seed: of audio and settings.
        tell: progress.
    """
    return [_threads(count, seed, tell), _processes(max(1, count // 100), seed, tell)]


def _threads(count: int, seed: int, tell: Callable[[str], None]) -> Outcome:
    from dasp import effects

    tell("sharing: threads")
    outcome = Outcome(f"Calls of one effect object from {THREADS} threads, forward and backward, against the same calls in turn")
    names = list(effects.registry())[::3]
    each = max(1, count // (2 * len(names)))
    for name in names:
        for strategy in ("autodiff", "fd"):
            effect = effects.find(name)(44100, gradient=strategy)
            channels = max(effect.channels or (2,))

            def call(k: int, effect: object = effect, channels: int = channels) -> list[torch.Tensor]:
                generator = torch.Generator().manual_seed(seed + k)
                x = 0.3 * torch.randn(1, channels, 500 + k, generator=generator)
                u = torch.rand(1, len(effect.controls), generator=generator).requires_grad_()  # type: ignore[attr-defined]
                y = effect(x, u)  # type: ignore[operator]
                return [y.detach(), *(torch.autograd.grad(y.sum(), u) if u.numel() and y.requires_grad else ())]

            in_turn = [call(k) for k in range(each)]
            with ThreadPoolExecutor(THREADS) as pool:
                at_once = list(pool.map(call, range(each)))
            for k, (a, b) in enumerate(zip(in_turn, at_once, strict=True)):
                same = all(torch.equal(p, q) for p, q in zip(a, b, strict=True))
                outcome.count("done", "" if same else f"{name} under {strategy}: call {k} differs")
    return outcome


def _processes(count: int, seed: int, tell: Callable[[str], None]) -> Outcome:
    """Two `dasp mix` of different models into one folder: what lies there at the end is whole, and each file is one of theirs."""
    import soundfile

    tell("sharing: processes")
    outcome = Outcome("Pairs of processes that write the same output folder at the same time")
    with tempfile.TemporaryDirectory() as folder:
        stems = Path(folder, "stems")
        stems.mkdir()
        for n in range(3):
            noise = 0.1 * np.random.default_rng((seed, n)).standard_normal(8000)
            soundfile.write(stems / f"{n}.wav", noise, 8000)
        for trial in range(count):
            out = Path(folder, f"out{trial}")
            command = [sys.executable, "-m", "mixing", "mix", str(stems), "-o", str(out), "--model"]
            both = [subprocess.Popen([*command, m], stderr=subprocess.PIPE, stdout=subprocess.PIPE) for m in ("sum", "rules")]
            said = [process.communicate()[1].decode() for process in both]
            failure = "; ".join(s for s, process in zip(said, both, strict=True) if process.returncode or "Traceback" in s)
            if not failure:
                left = sorted(p.name for p in out.iterdir())
                audio, _ = soundfile.read(out / "mix.wav")
                settings = json.loads((out / "settings.json").read_text())
                whole = left == ["mix.wav", "settings.json"] and len(audio) == 8000 and len(settings["tracks"]) == 3
                failure = "" if whole else f"left {left}, {len(audio)} samples"
            outcome.count("done", failure and f"trial {trial}: {failure}")
    return outcome
