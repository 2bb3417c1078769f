"""Train and score the weights that are shipped, in the order in which one starts from another.

`python tools/train_proxies.py FOLDER [NAME ...]`: FOLDER has one folder for each song. Runs are kept in runs/, and a run that was
killed goes on where it was. Weights land in proxies/weights/, in their headers the scores on the songs that the recipe holds out.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from proxies.config import config, read

ROOT = Path(__file__).resolve().parents[1]
WEIGHTS = ROOT / "proxies" / "weights"
NAMES = (
    "PeakFilter",
    "LowShelfFilter",
    "HighShelfFilter",
    "ParametricEQ",
    "Distortion",
    "Compressor",
    "Limiter",
    "NoiseGate",
    "Reverb",
    "ChannelStrip",
    "ChannelStrip-small",
    "ChannelStrip-large",
)
CASES = {"ChannelStrip": 48}  # of targets whose true gradient takes minutes; of others 128


def make(name: str, folder: str) -> None:
    """Train one, put it where shipped weights are, and score it there."""
    recipe = config(read(name))
    run = ROOT / "runs" / name
    python("-m", "proxies.train", "--config", name, "--audio", folder, "--threads", "1", "--run", str(run))
    WEIGHTS.mkdir(exist_ok=True)
    shutil.copy(run / f"{name}.safetensors", WEIGHTS)
    works = [word for pattern in recipe.audio.hold_out for word in ("--works", pattern)]
    cases = str(CASES.get(recipe.target.rpartition(":")[2], 128))
    evaluate = ("-m", "proxies.evaluate", recipe.target, "--weights", name, "--audio", folder)
    python(*evaluate, *works, "--cases", cases, "--write")


def python(*args: str) -> None:
    print("==", *args, flush=True)
    subprocess.run([sys.executable, *args], cwd=ROOT, check=True)


def main() -> int:
    if len(sys.argv) < 2 or not set(sys.argv[2:]) <= set(NAMES):
        print(f"usage: train_proxies.py FOLDER [{' | '.join(NAMES)}] ...", file=sys.stderr)
        return 2
    for name in sys.argv[2:] or NAMES:
        make(name, sys.argv[1])
    return 0


if __name__ == "__main__":
    sys.exit(main())
