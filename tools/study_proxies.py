"""What makes a proxy good, by many short trainings: the network's form, its size, its steps, and the difference loss.

`python tools/study_proxies.py FOLDER [STUDY ...]`: FOLDER has one folder for each song. Runs are kept in runs/study/, and what
was done is not done again. Figures land in docs/proxy_study.json, after each run, and the tables in docs/proxy_study.md.
"""

from __future__ import annotations

import itertools
import json
import resource
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import proxies
from proxies.config import config, read

ROOT = Path(__file__).resolve().parents[1]
RUNS = ROOT / "runs" / "study"
JSON, PAGE = ROOT / "docs" / "proxy_study.json", ROOT / "docs" / "proxy_study.md"
CASES = 48

# The literature's losses and optimiser, for the literature's networks.
PLAIN = {
    "network": {"kind": "tcn", "preset": "TCN-100"},
    "initial": {},
    "loss": {"l1": 1.0, "mr_stft": 1.0},
    "optimiser": {"learning_rate": 3e-3},
    "controls": {},
    "batch": 8,
    "steps": 400,
}
SIZES = {"small": (3, 6), "shipped": (6, 16), "large": (12, 48)}  # hinges of the curve, width of the layers that read controls
STEPS = (150, 450, 1350)
SEEDS = (0, 1, 2)
WEIGHTS = (0.0, 0.03, 0.3)  # of the difference loss

Figures = dict[str, Any]


def forms() -> dict[str, tuple[str, Figures]]:
    """A plain TCN for effects of four families, beside the shipped heads."""
    return {f"plain {name}": (name, PLAIN) for name in ("Distortion", "Compressor", "ParametricEQ", "Reverb")}


def sizes() -> dict[str, tuple[str, Figures]]:
    """The compressor's head in three sizes, each trained for three lengths."""
    runs = {}
    for (label, (units, width)), steps in itertools.product(SIZES.items(), STEPS):
        network = {"kind": "gain", "followers": ["peak"], "units": units, "width": width}
        runs[f"{label} {steps}"] = ("Compressor", {"network": network, "steps": steps, "validate": 150})
    return runs


def differences() -> dict[str, tuple[str, Figures]]:
    """Matching output differences, at three weights and from three seeds, at equal steps, batches and plugin runs."""
    runs = {}
    for name, weight, seed in itertools.product(("Compressor", "PeakFilter"), WEIGHTS, SEEDS):
        runs[f"{name} {weight:g} {seed}"] = (name, {"loss.difference": weight, "seed": seed, "steps": 300, "validate": 100})
    return runs


STUDIES: dict[str, Callable[[], dict[str, tuple[str, Figures]]]] = {
    "differences": differences,
    "sizes": sizes,
    "forms": forms,
}


def run(study: str, name: str, recipe: str, changes: Figures, folder: str) -> Figures:
    """Train and score one network: what was changed in the recipe, CPU seconds, parameters, scores."""
    whole = config(read(recipe), **changes)
    place = RUNS / study / name.replace(" ", "-")
    settings = [word for key, value in changes.items() for word in ("--set", f"{key}={json.dumps(value)}")]
    before = _cpu()
    _python("-m", "proxies.train", "--config", recipe, "--audio", folder, "--threads", "1", "--run", str(place), *settings)
    seconds = _cpu() - before
    weights, scores = place / f"{recipe}.safetensors", place / "scores.json"
    works = [word for pattern in whole.audio.hold_out for word in ("--works", pattern)]
    evaluate = ("-m", "proxies.evaluate", whole.target, "--weights", str(weights), "--audio", folder)
    _python(*evaluate, *works, "--cases", str(CASES), "--json", str(scores))
    parameters = sum(p.numel() for p in proxies.load(weights).parameters())
    found = json.loads(scores.read_text())
    kept = {key: found[key] for key in ("esr", "mr_stft", "gradient", "jacobian_error", "real_time_factor")}
    return {"recipe": recipe, "changes": changes, "parameters": parameters, "cpu_seconds": round(seconds, 1), **kept}


def page(done: dict[str, dict[str, Figures]]) -> str:
    """The tables, of what there is."""
    lines = [
        "# What makes a proxy good",
        "",
        "Written by `make proxy-study`, from many short trainings on one core. The scores are explained in",
        f"[proxies](proxies.md): songs and controls that no training saw, {CASES} cases; ESR, gradient error under a MR-STFT",
        "loss and under the squared error, tenth percentile of the cosine, and the worst control's Jacobian error. CPU seconds",
        "are those of the training with its teacher.",
        "",
    ]
    if rows := done.get("forms"):
        lines += [
            "## A plain network beside a head",
            "",
            f"TCN-100 of the micro-TCN family ({PLAIN['steps']} steps of {PLAIN['batch']} clips, L1 + MR-STFT, AdamW) beside the",
            "shipped head.",
            "",
            *_table("effect | network", (([r["recipe"], n], f) for r in rows.values() for n, f in _beside(r))),
        ]
    if rows := done.get("sizes"):
        lines += [
            "## Size and steps",
            "",
            "The compressor's head. Sizes are hinges of its curve x width of the layers that read controls:",
            f"{', '.join(f'{n} {units} x {width}' for n, (units, width) in SIZES.items())}. Each length has a cosine of its own.",
            "",
            *_table("size | steps", ((key.split(" "), f) for key, f in rows.items())),
        ]
    if rows := done.get("differences"):
        lines += [
            "## Matching output differences",
            "",
            "An extra loss on the differences between outputs at neighbouring controls (`loss.difference`); weight 0: without.",
            "Equal steps, clips and plugin runs; without the loss all clips are of other audio. Median (least to most) of seeds.",
            "",
            *_spread(rows),
        ]
    return "\n".join(lines).rstrip() + "\n"


def _beside(row: Figures) -> list[tuple[str, Figures]]:
    network = proxies.load(row["recipe"])
    assert network.header is not None
    parameters = sum(p.numel() for p in network.parameters())
    head = {**network.header.scores["evaluation"], "parameters": parameters, "cpu_seconds": None}
    return [("TCN-100", row), (f"{network.kind}, shipped", head)]


def _measures(row: Figures) -> tuple[float, ...]:
    gradient = row["gradient"]
    worst = max(e for e in row["jacobian_error"].values() if e is not None)
    return (
        row["esr"],
        gradient["mr_stft"]["relative_error"],
        gradient["mse"]["relative_error"],
        gradient["mr_stft"]["cosine_p10"],
        worst,
    )


COLUMNS = "ESR | gradient error, MR-STFT | MSE | cosine, 10 % | worst Jacobian"


def _table(labels: str, rows: Iterable[tuple[list[str], Figures]]) -> list[str]:
    head = f"{labels} | parameters | CPU s | {COLUMNS}"
    lines = [f"| {head} |", "|" + "---|" * (head.count("|") + 1)]
    for names, row in rows:
        seconds = "" if row["cpu_seconds"] is None else f"{row['cpu_seconds']:.0f}"
        cells = [*names, f"{row['parameters']:,}", seconds, *(f"{m:.2g}" for m in _measures(row))]
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def _spread(rows: dict[str, Figures]) -> list[str]:
    groups: dict[tuple[str, str], list[tuple[float, ...]]] = {}
    for key, row in rows.items():
        name, weight, _ = key.split(" ")
        groups.setdefault((name, weight), []).append(_measures(row))
    lines = [f"| effect | weight | seeds | {COLUMNS} |", "|" + "---|" * 8]
    for (name, weight), measured in groups.items():
        cells = [f"{statistics.median(m):.2g} ({min(m):.2g} to {max(m):.2g})" for m in zip(*measured, strict=True)]
        lines.append(f"| {name} | {weight} | {len(measured)} | {' | '.join(cells)} |")
    return [*lines, ""]


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _python(*args: str) -> None:
    print("==", *args, flush=True)
    subprocess.run([sys.executable, *args], cwd=ROOT, check=True)


def main() -> int:
    if len(sys.argv) < 2 or not set(sys.argv[2:]) <= set(STUDIES):
        print(f"usage: study_proxies.py FOLDER [{' | '.join(STUDIES)}] ...", file=sys.stderr)
        return 2
    done = json.loads(JSON.read_text()) if JSON.exists() else {}
    for study in sys.argv[2:] or STUDIES:
        for name, (recipe, changes) in STUDIES[study]().items():
            if name not in done.setdefault(study, {}):
                done[study][name] = run(study, name, recipe, changes, sys.argv[1])
                JSON.write_text(json.dumps(done, indent=1) + "\n")
                PAGE.write_text(page(done))
    return 0


if __name__ == "__main__":
    sys.exit(main())
