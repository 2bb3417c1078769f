"""`dasp demo`: a mix with hidden settings, matched, and the settings recovered beside the hidden ones."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mixing.commands._common import tell

if TYPE_CHECKING:
    from mixing.hidden import HiddenMix
    from mixing.recovery import Recovery
    from mixing.result import MatchResult

REFERENCE = "reference.wav"


@click.command("demo", short_help="Hide a mix's settings and recover them, on the multitrack that ships with dasp.")
@click.option("-o", "--output", metavar="OUT_DIR", default="demo_out", show_default=True, type=click.Path(path_type=Path))
@click.option(
    "--gradient",
    default="autodiff",
    show_default=True,
    help="autodiff; fd or spsa through the plugins; proxy or hybrid through trained networks.",
)
@click.option("--seed", default=1, show_default=True, help="Of the hidden settings.")
@click.option("--steps", type=click.IntRange(0, 100_000), help="Of gradient descent; chosen to fit by default.")
@click.option("--polish/--no-polish", default=None, help="Finish with Gauss-Newton, as `dasp match` does by default.")
@click.option("--json", "json_path", metavar="FILE", type=click.Path(path_type=Path), help="Also write the figures here.")
def command(output: Path, gradient: str, seed: int, steps: int | None, polish: bool | None, json_path: Path | None) -> None:
    """Mix the shipped stems through real Pedalboard plugins with settings drawn from a seed, then find them again.

    Prints recovered beside hidden, and each figure beside its target. Writes the reference, the match, settings.json and
    report.html into OUT_DIR.
    """
    from mixing.commands._common import MIX, REPORT, SETTINGS, check_output, strategy
    from mixing.commands.match import EFFECTS, Meter, Stop, write_results
    from mixing.demo_data import FRANCIUM
    from mixing.hidden import hide
    from mixing.matching import match
    from mixing.multitrack import Multitrack
    from mixing.output import check_file, write_text
    from mixing.recovery import compare

    check_output(output, FRANCIUM, (REFERENCE, MIX, SETTINGS, REPORT))
    if json_path is not None:
        check_file(json_path)
    strategy(gradient, [*EFFECTS.split(","), "Reverb"])
    tracks = Multitrack.from_folder(FRANCIUM)
    tell(f"{len(tracks.names[0])} stems of 'Francium' by Software-Entwicklungskit (CC0), {tracks.samples / 44100:.0f} s")
    tell(f"mixing them through real plugins with hidden settings (seed {seed}) ...")
    hidden = hide(tracks, seed)
    tell("recovering the settings from the stems and the mix ...")
    options = {"gradient": gradient, "seed": seed, "steps": steps, "polish": polish}
    with Stop(None) as stop, Meter() as meter:
        result = match(tracks, hidden.audio, **options, progress=meter.show, should_stop=stop)
    recovery = compare(hidden, result, tracks)
    _show(recovery)
    _show_bus(hidden, result)
    passed = _verdicts(recovery, gradient)
    write_results(output, replace(tracks, mix=hidden.audio[None]), result, REFERENCE, gradient, seed, with_reference=True)
    tell(f"wrote {REFERENCE}, {MIX}, {SETTINGS} and {REPORT} into {output}")
    if json_path is not None:
        about = {**options, "figures": recovery.figures(), "reached": passed}
        rows = [asdict(t) for t in recovery.tracks]
        write_text(json_path, json.dumps({**about, "metrics": result.metrics, "tracks": rows}, indent=1) + "\n")


def _show(recovery: Recovery) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="recovered beside hidden")
    for title in (
        "track",
        "in the mix",
        "level error",
        "pan",
        "equaliser error",
        "gain reduction",
        "its error",
        "cannot be told",
    ):
        table.add_column(title, justify="left" if title in ("track", "cannot be told") else "right")
    for t in recovery.tracks:
        table.add_row(
            t.name,
            f"{t.level_db:.1f} dB",
            f"{t.level_error_db:+.3f} dB",
            f"{t.pan_found:.3f} ({t.pan_hidden:.3f})",
            f"{t.equaliser_error_db:.2f} dB",
            "-" if t.flags else f"{t.found_reduction_db:.2f} ({t.hidden_reduction_db:.2f}) dB",
            f"{t.reduction_error_db:.2f} dB",
            "; ".join(t.flags),
        )
    Console(width=150).print(table)


def _show_bus(hidden: HiddenMix, result: MatchResult) -> None:
    values = (f"{k} {result.buses[k]:.3f} ({v:.3f})" for k, v in hidden.buses.items() if k in ("room_size", "damping", "width"))
    tell(f"reverb, recovered (hidden): {', '.join(values)}")


def _verdicts(recovery: Recovery, gradient: str) -> dict[str, bool]:
    from mixing.recovery import BLACK_BOX_TARGETS, TARGETS

    white = gradient == "autodiff"
    targets, figures = (TARGETS if white else BLACK_BOX_TARGETS), recovery.figures()
    verdicts = recovery.verdicts(targets)
    for name, limit in targets.items():
        tell(f"  {name:28s} {figures[name]:9.3f}   target {limit:g}   {'reached' if verdicts[name] else 'MISSED'}")
    near, judged = int(figures["tracks_within_half_db_and_003"]), int(figures["tracks_judged"])
    if not white:
        verdicts["all_but_one_track_within_half_db_and_003"] = near >= judged - 1
    tell(f"  {near} of the {judged} tracks above -30 dB are within 0.5 dB and 0.03 of their hidden level and pan")
    tell(f"  {figures['seconds']:.0f} s")
    return verdicts
