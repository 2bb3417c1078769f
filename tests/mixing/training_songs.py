"""Tiny songs and recipes for the tests of training."""

import json
import os
import sys
from pathlib import Path

import torch
from synthetic import save, stem

ROOT = Path(__file__).resolve().parents[2]
TINY = {
    "model": {
        "kind": "dmc",
        "embedding": 8,
        "channels": [4, 8],
        "mels": 16,
        "n_fft": 512,
        "hop": 256,
        "patch": 4096,
        "hidden": 16,
    },
    "data": {"samples": 8192, "validation": ["song2"]},
    "sample_rate": 22050,
    "loss": {"terms": {"l1": {"weight": 1.0}}},
    "optimiser": {"learning_rate": 0.01, "warm_up": 0},
    "steps": 12,
    "validate": 3,
    "batch": 4,
    "validation_excerpts": 4,
    "workers": 0,
}


def songs(folder: Path, count: int = 3, rate: int = 22050, seconds: float = 1.5) -> Path:
    """Songs of three stems, mixed at known gains and pans, of each kind of stem its own, as `meta.json` says: a folder each."""
    gains, pans = [-2.0, -9.0, 3.0], [0.0, -0.6, 0.7]
    for number in range(count):
        where, rows, parts = folder / f"song{number}", [], []
        for k in range(3):
            sound = stem(number + k, seconds, rate)
            gain, pan = gains[(k + number) % 3], pans[2 * (k + number) % 3]
            file = save(where / "stems" / f"{k}_stem.wav", sound, rate, "FLOAT")
            rows.append({"file": f"stems/{file.name}", "composer_gain_db": gain, "composer_pan": pan})
            angle = torch.tensor((pan + 1) * torch.pi / 4)
            parts.append(sound * 10 ** (gain / 20) * 2**0.5 * torch.stack([angle.cos(), angle.sin()])[:, None])
        save(where / "mix.wav", torch.stack(parts).sum(0), rate, "FLOAT")
        meta = {"song": f"work{number}", "licence": "CC0-1.0", "mix": "gains and pans", "stems": rows}
        (where / "meta.json").write_text(json.dumps(meta))
    return folder


def command(data: Path, run: Path, *more: str) -> tuple[list[str], dict[str, str]]:
    """The command line that trains TINY, for a process of its own, and its environment."""
    recipe = run.parent / "tiny.yaml"
    recipe.write_text(json.dumps(TINY))  # JSON is YAML
    called = [
        sys.executable,
        "-m",
        "mixing",
        "train",
        str(recipe),
        "--data",
        str(data),
        "--run",
        str(run),
        "--device",
        "cpu",
        *more,
    ]
    return called, {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
