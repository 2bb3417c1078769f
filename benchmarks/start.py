"""How long it takes to begin: the import beside torch's, and the first effect call."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.contest import Setup
from benchmarks.measure import Spread, spread
from benchmarks.results import Aim, Group, Row, find

ROOT = Path(__file__).resolve().parents[1]
TEMPLATE = """
import time, warnings
warnings.simplefilter("ignore")
import torch
torch.set_num_threads(1)
x = torch.randn(1, 2, 44100)
t = [time.perf_counter()]
{load}
t.append(time.perf_counter())
for _ in range(2):
    {call}
    t.append(time.perf_counter())
print(*(b - a for a, b in zip(t, t[1:])))
"""
ROWS = "x.flatten(0, 1)"
CODE = {
    "dasp": ("import dasp", "dasp.Compressor()(x)"),
    "dasp-pytorch": (
        "import dasp_pytorch",
        "dasp_pytorch.functional.gain(x, 44100, torch.zeros(1)); dasp_pytorch.signal.lfilter_via_fsm(x[:, :1], "
        "torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, -0.5]]))",
    ),
    "torchaudio": ("import torchaudio.functional", "torchaudio.functional.bass_biquad(x, 44100, 6.0)"),
    "torchlpc": ("import torchlpc", f"torchlpc.sample_wise_lpc({ROWS}, torch.full((2, 44100, 2), 0.1))"),
    "torchcomp": (
        "import torchcomp",
        f"torchcomp.limiter_gain({ROWS}, torch.full((2,), -20.0), torch.full((2,), 0.1), torch.full((2,), 0.01))",
    ),
    "philtorch": ("import philtorch.lti", f"philtorch.lti.lfilter(torch.ones(2, 1), torch.full((2, 2), 0.1), {ROWS})"),
    "grafx": (
        "import grafx.processors.dynamics as grafx",
        "grafx.Compressor(energy_smoother='ballistics', knee='hard', flashfftconv=False)(x, torch.zeros(1, 1), "
        "torch.zeros(1, 1), z_alpha_pre=torch.zeros(1, 2))",
    ),
    "pedalboard": ("import pedalboard", "pedalboard.Compressor()(x[0].numpy(), 44100)"),
}
PARTS = ("import, torch loaded", "first call", "second call")


def measured(load: str, call: str, repeats: int) -> list[Spread] | str:
    """Wall time of the three parts in fresh processes, or why it failed."""
    times = []
    for _ in range(repeats):
        command = [sys.executable, "-c", TEMPLATE.format(load=load, call=call)]
        done = subprocess.run(
            command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
        )
        if done.returncode:
            return done.stderr.strip().splitlines()[-1]
        times.append([float(t) for t in done.stdout.split()[-3:]])
    return [spread([1000 * s for s in part]) for part in zip(*times, strict=True)]


def run(setup: Setup) -> Group:
    quick = setup.quick
    rows, notes = [], []
    for name, (load, call) in ({"dasp": CODE["dasp"]} if quick else CODE).items():
        setup.progress(f"start: {name}")
        found = measured(load, call, 1 if quick else 5)
        if isinstance(found, str):
            notes.append(f"{name}: left out ({found:.120})")
            continue
        rows += [Row("1 s stereo", part, name, wall_ms=time) for part, time in zip(PARTS, found, strict=True)]
    return Group(TITLE, ABOUT, tuple(rows), () if quick else tuple(aims(rows)), tuple(notes))


def aims(rows: list[Row]) -> list[Aim]:
    parts = [find(rows, "dasp", "1 s stereo", part) for part in PARTS[:2]]
    seconds = [row.wall_ms.median / 1000 for row in parts if row and row.wall_ms]
    figure = sum(seconds) if len(seconds) == 2 else None
    return [Aim("start: import dasp and first effect call, over import torch", figure, 0.3, True, " s")]


TITLE = "Start"
ABOUT = """Fresh processes, one thread, wall time; torch is imported before the clock starts. The first call includes whatever
is compiled or loaded for it."""
