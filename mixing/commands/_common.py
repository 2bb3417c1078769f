"""What the commands share: what they say, and what they write about themselves."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mixing.errors import UserError, printable

if TYPE_CHECKING:
    from rich.table import Table
    from torch import Tensor

    from mixing.multitrack import Multitrack

MIX, SETTINGS, REPORT = "mix.wav", "settings.json", "report.html"


class Number(click.ParamType):
    """A number in a range, both ends included. (click's own FloatRange lets NaN through.)"""

    name = "number"

    def __init__(self, low: float, high: float, unit: str = "") -> None:
        self.low, self.high, self.unit = low, high, unit

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not self.low <= number <= self.high:
            self.fail(
                f"{value} is not a number from {self.low:g} to {self.high:g}{' ' * bool(self.unit)}{self.unit}.", param, ctx
            )
        return number


def show(table: Table, width: int = 200) -> None:
    """A table on stdout. What is piped elsewhere is not folded to a terminal's width."""
    from rich.console import Console

    terminal = Console(markup=False)
    (terminal if terminal.is_terminal else Console(width=width, markup=False)).print(table)


def tell(line: str, err: bool = False) -> None:
    """A line on stdout or stderr, in which no file's name reaches the terminal as a control."""
    click.echo(printable(line), err=err)


def say(notes: Iterable[str]) -> None:
    """Notes for the user, on stderr."""
    for note in notes:
        tell(f"note: {note}", err=True)


def said(path: Path, audio: Tensor, rate: float) -> str:
    """What a file holds, for the line that says it was written."""
    width = {1: "mono", 2: "stereo"}[audio.shape[0]]
    return f"{path} ({audio.shape[1] / rate:.2f} s, {width}, {rate:g} Hz)"


def peak_notes(audio: Tensor, gain_db: float, what: str) -> list[str]:
    """Whether audio was turned down, or peaks above full scale in a float file."""
    from mixing.audio import peak

    if gain_db < 0:
        return [f"{what}: turned down by {-gain_db:.2f} dB, so that it does not clip."]
    loudest = peak(audio)
    if loudest > 1:
        return [
            f"{what}: peaks at {20 * math.log10(loudest):+.2f} dBFS, which the 32-bit float file holds; turn it down to play it."
        ]
    return []


def provenance(**more: str | float | None) -> dict[str, Any]:
    """What wrote a settings file."""
    import dasp

    context = click.get_current_context()
    return {"dasp": dasp.__version__, "command": str(context.find_root().obj), **more}


def recorded(values: dict[str, Any] | None) -> dict[str, Path]:
    """The stems, and a match's reference, from the command that the settings say they were made by; empty where they do not."""
    import shlex

    from mixing.cli import dasp

    try:
        words = shlex.split(str((values or {}).get("provenance", {}).get("command", "")))
        if len(words) < 2 or words[0] != "dasp" or words[1] not in ("mix", "match"):
            return {}
        command = dasp.get_command(click.Context(dasp), words[1])
        made = command.make_context(words[1], words[2:], resilient_parsing=True)  # parsed, not run
    except (ValueError, click.ClickException):
        return {}  # it was changed since
    return {k: made.params[k] for k in ("stems", "reference") if made.params.get(k) is not None}


def check_output(folder: Path, stems: Path, files: Iterable[str] = (MIX, SETTINGS)) -> None:
    """Refuse an output folder that cannot be written to, or that holds the stems (the mix would be a stem next time)."""
    from mixing.output import check_folder

    if folder.resolve() in (stems.resolve(), (stems / "stems").resolve()):
        raise UserError(f"{folder}: holds the stems; choose another folder for {', '.join(files)}.")
    check_folder(folder, files)


def strategy(name: str, effects: Iterable[str], sample_rate: float = 44100) -> None:
    """Refuse a gradient that is unknown, or that these effects (or this machine) do not have, before any work is done.

    Args:
        name: of the strategy.
        effects: names.
        sample_rate: in Hz; trained networks are of one rate.

    Raises:
        UserError: the message says which effect, and what it has.
    """
    import torch

    from dasp.effects import find
    from dasp.trained import SHIPPED
    from gradients import resolve

    try:
        resolve(name)
    except ValueError as error:
        raise UserError(str(error)) from None
    for effect_name in effects:
        try:
            effect = find(effect_name)(sample_rate, gradient=name)
            controls = effect.unit(1).requires_grad_()
            audio = torch.zeros(1, max(effect.channels or (1,)), 64, requires_grad=not effect.controls)
            effect(audio, controls).sum().backward()
        except (ValueError, ImportError) as error:
            hint = f" Networks are shipped for {', '.join(sorted(SHIPPED))}." if name in ("proxy", "hybrid") and SHIPPED else ""
            raise UserError(f"--gradient {name}: {error}{hint}") from None


def song(stems: Path, notes: bool = True, **options: Any) -> Multitrack:
    """Read a folder of stems and say what was done to them."""
    from mixing.multitrack import Multitrack

    tracks = Multitrack.from_folder(stems, **options)
    if notes:
        say(tracks.notes)
    return tracks
