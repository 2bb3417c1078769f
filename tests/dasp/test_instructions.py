"""One source, several builds: what a processor's instruction set must not change."""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest

import dasp.atoms._library as library

FOLDER = Path(library._LIBRARY._name).parent
RUN = """
import hashlib, sys
import torch
from dasp.effects import registry
from dasp.testing.signals import setting

torch.set_num_threads(2)
for name, cls in registry().items():
    effect, x, u = setting(cls)
    digest = hashlib.sha256()
    # A few rows, and more than fill the lanes of any processor.
    for rows in (3, 19):
        for dtype in (torch.float32, torch.float64):
            unlike = torch.linspace(1, 0.7, rows * len(x), dtype=torch.float64)[:, None]
            audio = (x[..., :300].repeat(rows, 1, 1) * unlike[..., None]).to(dtype).requires_grad_()
            controls = (u.repeat(rows, 1) * unlike).requires_grad_()
            y = effect(audio, controls)
            g = torch.randn(y.shape, generator=torch.Generator().manual_seed(0), dtype=dtype)
            wanted = (audio, controls) if controls.numel() else (audio,)
            for t in (y.detach(), *torch.autograd.grad(y, wanted, g)):
                digest.update(t.contiguous().numpy().tobytes())
    print(name, digest.hexdigest())
"""


def _loaded() -> list[str]:
    """The builds that this processor can run."""
    widest = library._open(FOLDER / "_native.so").dasp_instructions
    widest.restype = ctypes.c_char_p
    order = ["baseline", "avx2", "avx512"]
    return order[: order.index(widest().decode().removeprefix("_") or "baseline") + 1]


def _run(instructions: str, code: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "DASP_INSTRUCTIONS": instructions}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)


def test_every_build_computes_every_effect_to_the_same_bit():
    outcomes = {}
    for instructions in _loaded():
        run = _run(instructions, RUN)
        assert run.returncode == 0, run.stderr
        outcomes[instructions] = run.stdout.splitlines()
        assert len(outcomes[instructions]) >= 44
    for instructions, lines in outcomes.items():
        assert lines == outcomes["baseline"], instructions


def test_the_widest_build_is_the_one_that_is_loaded():
    suffix = "" if _loaded()[-1] == "baseline" else f"_{_loaded()[-1]}"
    assert Path(library._LIBRARY._name).name == f"_native{suffix}.so"


@pytest.mark.parametrize("name", ["sse9", ""])
def test_a_build_that_is_not_there_is_refused(name):
    run = _run(name, "import dasp")
    assert run.returncode != 0
    assert f"DASP_INSTRUCTIONS={name}" in run.stderr and "baseline is there on every machine" in run.stderr
