"""`dasp export`: a mix as a project that a DAW opens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mixing.commands._common import SETTINGS, recorded, say, tell
from mixing.errors import UserError


@click.command("export", short_help="Write a mix as a DAWproject or a REAPER project.")
@click.argument("folder", metavar="OUT_DIR", type=click.Path(path_type=Path))
@click.option("--to", "kind", type=click.Choice(["dawproject", "reaper"]), required=True, help="The kind of project.")
@click.option(
    "--stems",
    metavar="STEMS_DIR",
    type=click.Path(path_type=Path),
    help="The stems; by default those of the command that wrote OUT_DIR.",
)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="By default in OUT_DIR, with its name.",
)
def command(folder: Path, kind: str, stems: Path | None, output: Path | None) -> None:
    """Write the mix in OUT_DIR (its settings.json, from `dasp mix` or `dasp match`) as a project.

    Tracks with the stems, faders, pans, sends, buses and the effects that the format or REAPER has, with their settings; the
    audio is copied along. What cannot be expressed is listed, here and in the project's notes.
    """
    from mixing import settings
    from mixing.export import ENDINGS, export

    values = settings.read(folder / SETTINGS if folder.is_dir() or not folder.exists() else folder)
    name = folder.resolve().name if folder.is_dir() else folder.resolve().parent.name
    target = output or (folder if folder.is_dir() else folder.parent) / f"{name or 'mix'}{ENDINGS[kind]}"
    if target.suffix.lower() != ENDINGS[kind]:
        raise UserError(f"{target}: a project for {kind} ends in {ENDINGS[kind]}.")
    notes = export(values, stems or _stems(folder, values), target, title=name)
    say(notes)
    tracks, buses = len(values["tracks"]), len(values.get("buses", []))
    beside = f" and {target.stem}_media" if kind == "reaper" else ""
    words = f"{tracks} track{'s' * (tracks != 1)}, {buses} bus{'es' * (buses != 1)}"
    tell(f"wrote {target}{beside} ({words}; {len(notes) or 'no'} note{'s' * (len(notes) != 1)} on what is not expressed)")


def _stems(folder: Path, values: dict[str, Any]) -> Path:
    """The stems that the settings were made for: those of the command that their provenance holds.

    Raises:
        UserError: it names none, or none that is here.
    """
    named = recorded(values).get("stems")
    if named is None:
        raise UserError(f"{folder}: does not say where its stems are; give them with --stems STEMS_DIR.")
    if not named.is_dir():
        raise UserError(f"{folder}: its stems were in {named}, which is not here; give them with --stems STEMS_DIR.")
    return named
