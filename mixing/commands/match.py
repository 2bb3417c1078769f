"""`dasp match`: how was this mixed?"""

from __future__ import annotations

import math
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from mixing.commands._common import (
    MIX,
    REPORT,
    SETTINGS,
    Number,
    check_output,
    peak_notes,
    provenance,
    said,
    say,
    show,
    song,
    strategy,
    tell,
)
from mixing.errors import UserError, printable

if TYPE_CHECKING:
    from mixing.multitrack import Multitrack
    from mixing.result import MatchResult

CHECKPOINT = ".match"
EFFECTS = "LowShelfFilter,PeakFilter,HighShelfFilter,Compressor"


@click.command("match", short_help="Find out how a mix was made from its stems.")
@click.argument("stems", metavar="STEMS_DIR", type=click.Path(path_type=Path))
@click.option("--reference", required=True, metavar="MIX", type=click.Path(path_type=Path), help="The mix to be matched.")
@click.option("-o", "--output", metavar="OUT_DIR", required=True, type=click.Path(path_type=Path), help="Folder for the results.")
@click.option(
    "--gradient",
    default="autodiff",
    show_default=True,
    help="autodiff; fd or spsa through the plugins; proxy or hybrid through trained networks.",
)
@click.option("--effects", default=EFFECTS, show_default=True, help="Inserts of every track, in order; none for no inserts.")
@click.option("--reverb/--no-reverb", default=True, show_default=True, help="One shared reverb that every track can send to.")
@click.option("--master/--no-master", default=None, help="A chain on the mix; by default where the mix needs one.")
@click.option("--align/--no-align", default=True, show_default=True, help="Find late stems and move them.")
@click.option("--steps", type=click.IntRange(0, 100_000), help="Of gradient descent; chosen to fit by default.")
@click.option("--polish/--no-polish", default=None, help="Finish with Gauss-Newton; by default where there is no master chain.")
@click.option("--seed", default=0, show_default=True, help="Of excerpts and of stochastic gradients.")
@click.option("--time-limit", metavar="SECONDS", type=Number(0, 1e6, "s"), help="Stop after this and keep the best so far.")
def command(stems: Path, reference: Path, output: Path, time_limit: float | None, **options: Any) -> None:
    """Fit a mixing console to a mix by gradient descent, and write down its settings.

    Every track gets the same inserts, a fader, a pan and a send to a reverb. Writes into OUT_DIR, all three or none: mix.wav (the
    console's mix), settings.json (every control in its unit) and report.html (loss, spectra, settings for a DAW, players).
    Ctrl-C stops and keeps the best so far; pressed twice it ends without results. A match that was killed goes on where its last
    stage ended when the same command is given again (OUT_DIR/.match, which is gone at the end).
    """
    effects = _insert_names(options.pop("effects"))
    gradient, master, seed = options.pop("gradient"), options.pop("master"), options["seed"]
    check_output(output, stems, (MIX, SETTINGS, REPORT))
    driven = [*effects, *(["Reverb"] if options["reverb"] else [])]
    tracks = song(stems, notes=False, exclude=[reference]).with_mix(reference)
    strategy(gradient, driven, tracks.sample_rate)
    say(tracks.notes)
    assert tracks.mix is not None

    from mixing.matching import match

    with Stop(time_limit) as stop, Meter() as meter:
        result = match(
            tracks,
            tracks.mix[0],
            gradient=gradient,
            effects=effects,
            master="auto" if master is None else master,
            progress=meter.show,
            should_stop=stop,
            checkpoint=output / CHECKPOINT,
            **options,
        )
    result = replace(result, notes=(*result.notes, *stop.notes, *peak_notes(result.audio, 0.0, MIX)))
    say(n for n in result.notes if n not in tracks.notes)
    write_results(output, tracks, result, reference.name, gradient, seed)
    if not stop.notes:  # not before the results are there: a kill in between would have cost the whole match
        shutil.rmtree(output / CHECKPOINT, ignore_errors=True)
    _summary(result)
    tell(f"wrote {said(output / MIX, result.audio, result.sample_rate)}, {SETTINGS} and {REPORT}")


def _insert_names(text: str) -> tuple[str, ...]:
    """`A,B` -> names of effects that can be inserts.

    Raises:
        UserError: unknown, or one that makes stereo of mono.
    """
    from dasp.effects import find

    names = tuple(n.strip() for n in text.split(",") if n.strip())
    if names == ("none",):
        return ()
    for name in names:
        try:
            cls = find(name)
        except ValueError as error:
            raise UserError(f"--effects: {error}") from None
        if cls.out_channels(1) != 1:
            raise UserError(f"--effects: {name} makes mono stereo and cannot be an insert; every track has a pan anyway.")
    return names


class Stop:
    """Asked between steps whether to stop: after Ctrl-C, or when the time is up.

    While it is entered, the first Ctrl-C only sets the flag; the second one interrupts as usual.
    """

    def __init__(self, seconds: float | None) -> None:
        self.end = None if seconds is None else time.monotonic() + seconds
        self.pressed = self.late = False
        self._before: Any = None

    def __enter__(self) -> Stop:
        self._before = signal.signal(signal.SIGINT, self._press)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _press(self, number: int, frame: FrameType | None) -> None:
        self.pressed = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        tell("note: stopping and keeping the best so far; Ctrl-C again ends without results.", err=True)

    def __call__(self) -> bool:
        self.late = self.late or (self.end is not None and time.monotonic() > self.end)
        return self.pressed or self.late

    @property
    def notes(self) -> list[str]:
        if self.pressed:
            return ["Stopped by Ctrl-C: these are the best settings so far, not the final ones."]
        return ["Stopped by the time limit: these are the best settings so far, not the final ones."] if self.late else []


class Meter:
    """A progress bar with the loss, one for each stage; without a terminal, a line as each stage ends."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self.bar = Progress(
            TextColumn("{task.description:<7}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]}"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
        )
        self.tasks: dict[str, Any] = {}

    def __enter__(self) -> Meter:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def show(self, stage: str, step: int, total: int, loss: float) -> None:
        text = f"{loss:.4f}" if loss and math.isfinite(loss) else "-"
        if stage not in self.tasks:
            for task in self.bar.tasks:
                if not task.completed:  # a stage without steps of its own
                    self.bar.update(task.id, completed=task.total)
                self.bar.stop_task(task.id)
            self.tasks[stage] = self.bar.add_task(stage, total=total, loss=text)
        self.bar.update(self.tasks[stage], completed=step, total=total, loss=text)


def write_results(
    output: Path,
    tracks: Multitrack,
    result: MatchResult,
    reference: str,
    gradient: str,
    seed: int,
    *,
    with_reference: bool = False,
) -> None:
    """The mix, its settings and the report, all or none; on request the reference beside them."""
    from mixing import audio, report, settings
    from mixing.output import write_folder, write_text

    about = provenance(gradient=gradient, seed=seed, reference=reference)
    values = settings.of_match(result, tracks.channels[0].tolist(), about)
    page = report.page(result, values, tracks)

    def save(folder: Path) -> None:
        audio.write(folder / MIX, result.audio, result.sample_rate)
        settings.write(folder / SETTINGS, values)
        write_text(folder / REPORT, page)
        if with_reference:
            assert tracks.mix is not None
            audio.write(folder / reference, tracks.mix[0], result.sample_rate)

    write_folder(output, save)


def _summary(result: MatchResult) -> None:
    """The faders and pans, and what came of it."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title, side in (("track", "left"), ("fader dB", "right"), ("pan", "right"), ("late", "right"), ("", "left")):
        table.add_column(title, justify=side)  # type: ignore[arg-type]
    for name, values in result.tracks.items():
        lag = result.lags.get(name, 0)
        flags = "; ".join(result.flags.get(name, ()))
        table.add_row(printable(name), f"{values['fader_db']:+.2f}", f"{values['pan']:.3f}", str(lag) if lag else "", flags)
    show(table, 160)
    m = result.metrics
    tell(
        f"residual {m['residual_db']:.1f} dB; sum/difference STFT distance {m['stft_distance']:.3f} of the plain sum's; "
        f"{m['seconds']:.0f} s"
    )
