"""Run the demo for several hidden mixes and through the black boxes; the figures go to docs/demo.json, the page to docs/demo.md
and its table to README.md.

python tools/record_demo.py                                  # all of it, some 30 minutes
python tools/record_demo.py --foreign STEMS_DIR MASTER       # only a match of a released master, beside what is recorded
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RECORD = ROOT / "docs" / "demo.json"
PAGE = ROOT / "docs" / "demo.md"
README = ROOT / "README.md"
RUNS = (
    ("autodiff", 1),
    ("autodiff", 2),
    ("autodiff", 3),
    ("spsa", 1),
    ("fd", 1),
    ("proxy", 1),
    ("hybrid", 1),
    ("spsa", 1, "--no-polish"),
    ("proxy", 1, "--no-polish"),
    ("hybrid", 1, "--no-polish"),
)
TITLES = {
    "worst_level_error_db": "worst level, dB",
    "worst_pan_error": "worst pan",
    "residual_db": "residual, dB",
    "stft_distance": "STFT distance",
    "median_equaliser_error_db": "equaliser, dB",
    "median_reduction_error_db": "gain reduction, dB",
}


def machine() -> str:
    """The processor's name and how many cores there are."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor() or 'unknown processor'}, {os.cpu_count()} cores"


def dasp(*arguments: object) -> None:
    print("$ dasp", *arguments, flush=True)
    subprocess.run([sys.executable, "-m", "mixing", *map(str, arguments)], check=True)


def hidden(gradient: str, seed: int, *options: str) -> dict[str, Any]:
    """One hidden mix, recovered."""
    with tempfile.TemporaryDirectory() as folder:
        figures = Path(folder) / "figures.json"
        dasp("demo", "-o", Path(folder) / "out", "--gradient", gradient, "--seed", seed, *options, "--json", figures)
        return json.loads(figures.read_text())


def foreign(stems: Path, master: Path) -> dict[str, Any]:
    """A released master matched from its stems."""
    with tempfile.TemporaryDirectory() as folder:
        dasp("match", stems, "--reference", master, "-o", folder)
        settings = json.loads((Path(folder) / "settings.json").read_text())
    lags = {t["name"]: t["lag_samples"] for t in settings["tracks"] if t.get("lag_samples")}
    return {"song": stems.resolve().name, "tracks": len(settings["tracks"]), "metrics": settings["metrics"], "lags": lags}


def strategies(record: dict[str, Any]) -> str:
    """The hidden mix of seed 1 under every strategy, as a table."""
    runs = [r for r in record["hidden"] if r["seed"] == 1]
    (white,) = [r["figures"]["seconds"] for r in runs if r["gradient"] == "autodiff"]
    lines = [
        "| gradient | steps | residual, dB | STFT distance | worst level, dB | worst pan | stems within 0.5 dB and 0.03 | time |"
        " over autodiff's |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for run in runs:
        f = run["figures"]
        name = run["gradient"] + (", without Gauss-Newton" if run["polish"] is False else "")
        near = f"{f['tracks_within_half_db_and_003']:.0f} of {f['tracks_judged']:.0f}"
        cells = [f"{run['metrics']['steps']:.0f}", f"{f['residual_db']:.1f}", f"{f['stft_distance']:.3f}"]
        cells += [f"{f['worst_level_error_db']:.2f}", f"{f['worst_pan_error']:.3f}", near]
        lines.append(f"| {name} | {' | '.join(cells)} | {f['seconds']:.0f} s | {f['seconds'] / white:.1f} x |")
    return "\n".join(lines)


def page(record: dict[str, Any]) -> str:
    """docs/demo.md."""
    from mixing.recovery import BLACK_BOX_TARGETS, TARGETS

    white = {r["seed"]: r for r in record["hidden"] if r["gradient"] == "autodiff"}
    parts = [
        "# The demo, recorded",
        "",
        f"Written by `make demo-record`. Machine: {record['machine']}.",
        "",
        "Nine stems, 30 s, are mixed through real Pedalboard plugins (per stem low shelf, peak, high shelf, compressor, fader, "
        "pan; one shared reverb send) with settings drawn from a seed; `dasp demo --seed 1` finds them again from stems and mix. "
        "Worst and median are over the stems above -30 dB of the mix. Level is that of the whole strip; equaliser errors are RMS "
        "over third octaves in which the stem has energy; STFT distance is sum/difference, over the plain sum's.",
        "",
        f"| hidden mix | {' | '.join(TITLES.values())} | time |",
        f"|---|{'---|' * (len(TITLES) + 1)}",
        f"| target | {' | '.join(f'{TARGETS[k]:g}' for k in TITLES)} | 180 s |",
    ]
    for seed, run in sorted(white.items()):
        values = [f"{run['figures'][k]:.3f}" + ("" if run["reached"][k] else " (missed)") for k in TITLES]
        parts.append(f"| seed {seed} | {' | '.join(values)} | {run['figures']['seconds']:.0f} s |")
    parts += [
        "",
        "## Through the real plugins",
        "",
        "The same job without a white box: `spsa` and `fd` run Pedalboard in every strip's inserts and in the reverb, forward "
        "and in the probes; `hybrid` runs it forward and differentiates the shipped proxies; `proxy` runs the proxies alone. A "
        "match finishes with Gauss-Newton by differences of what is heard: of the real plugins, under `proxy` and `autodiff` "
        "of the white boxes that equal them. Steps are those of the descent. "
        f"Target: residual at most {BLACK_BOX_TARGETS['residual_db']:g} dB, all stems but one within 0.5 dB and 0.03.",
        "",
        strategies(record),
    ]
    if "foreign" in record:
        run = record["foreign"]
        m = run["metrics"]
        lags = Counter(run["lags"].values())
        moved = ", ".join(f"{n} by {abs(lag)} samples ({'late' if lag > 0 else 'early'})" for lag, n in lags.items()) or "none"
        parts += [
            "",
            "## A released master",
            "",
            f"`{run['song']}`, {run['tracks']} stems against the master that was released, which holds more than a console "
            f"makes (limiting, automation, AAC). STFT distance {m['stft_distance']:.3f} of the plain sum's (wanted: 0.65), "
            f"residual {m['residual_db']:.1f} dB, {m['seconds']:.0f} s. Stems moved into place: {moved}.",
        ]
    return "\n".join(parts) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--foreign", nargs=2, type=Path, metavar=("STEMS_DIR", "MASTER"))
    parser.add_argument("--page", action="store_true", help="only write the page again from what is recorded")
    given = parser.parse_args()
    record = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    if given.foreign:
        record["foreign"] = foreign(*given.foreign)
    elif not given.page:
        record |= {"machine": machine(), "hidden": [hidden(*run) for run in RUNS]}
    RECORD.write_text(json.dumps(record, indent=1) + "\n")
    if "hidden" in record:
        from mixing.markers import replace_between

        PAGE.write_text(page(record))
        README.write_text(replace_between(README.read_text(), "demo", strategies(record)))
        print(f"wrote {PAGE.relative_to(ROOT)} and README.md")


if __name__ == "__main__":
    main()
