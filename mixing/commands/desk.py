"""`dasp desk`: the mixing desk of a mix, as a page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mixing.commands._common import MIX, SETTINGS, recorded, say, tell
from mixing.errors import UserError

if TYPE_CHECKING:
    from mixing.blocks import Folder
    from mixing.desk import Version
    from mixing.settings import Settings

DESK = "desk"


@click.command("desk", short_help="Make a page on which a mix is heard, changed and compared.")
@click.argument("folder", metavar="OUT_DIR", type=click.Path(path_type=Path))
@click.option(
    "--stems",
    metavar="STEMS_DIR",
    type=click.Path(path_type=Path),
    help="Stems of the mix; by default those that the settings say they were made from.",
)
@click.option("--reference", metavar="FILE", type=click.Path(path_type=Path), help="A mix to compare with; by default a match's.")
@click.option(
    "--mix", "mixes", metavar="NAME=FILE", multiple=True, help="Another mix to compare with; may be given several times."
)
def command(folder: Path, stems: Path | None, reference: Path | None, mixes: tuple[str, ...]) -> None:
    """Write OUT_DIR/desk: a mixing desk that opens in a browser by a double-click on its index.html.

    OUT_DIR is what `dasp mix` or `dasp match` wrote. Faders, pans, equalisers, compressors, mutes and sends are live; what is
    saved there, `dasp apply-settings` renders exactly. The stems, the reference and other mixes are carried along, at one
    loudness. Nothing is asked of any server. Where a model has no settings the strips begin at the plain sum.
    """
    from mixing import settings

    path = folder / SETTINGS
    if not (folder / MIX).exists():
        raise UserError(f"{folder}: has no {MIX}; give a folder that dasp mix or dasp match wrote.")
    values = settings.read(path) if path.exists() else None
    known_by = recorded(values)
    if stems is None:
        stems = known_by.get("stems")
        if stems is None or not stems.is_dir():
            said = f"the stems it was made from, {stems}, are not there" if stems else "does not say which stems it was made from"
            raise UserError(f"{folder}: {said}; give --stems.")
    if reference is None and (known := known_by.get("reference")) is not None and known.is_file():
        reference = known
    versions = versions_of(folder, values is not None, reference, mixes)
    left_out = [v.file for v in versions]
    write(folder, stems, values, versions, title=stems.resolve().name, exclude=left_out)


def write(
    folder: Path,
    stems: Path,
    values: Settings | None,
    versions: list[Version],
    *,
    title: str,
    exclude: list[Path] | None = None,
) -> None:
    """Make the desk in a folder of results, and say so.

    Args:
        folder: of the results.
        stems: folder of the stems.
        values: settings; None where a model has none.
        versions: to compare with; the exact render first.
        title: of the page.
        exclude: files beside the stems that are none.
    """
    import sys

    from mixing import desk
    from mixing.blocks import Folder
    from mixing.stems import Stems

    opened = Stems.open(stems, None if values is None else float(values["sample_rate"]), exclude or ())
    source = Folder(opened)
    wanted = None if values is None else {t["name"] for t in values["tracks"]}
    left_out = [f"{n}: is not in the settings; left out." for n in opened.names if wanted is not None and n not in wanted]
    notes = [*opened.notes, *left_out]
    say(notes)
    total = (len(opened.names) if values is None else len(values["tracks"])) + len(versions)
    with click.progressbar(length=total, label="desk", file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:
        written = desk.write(
            folder / DESK,
            title,
            plain_sum(source) if values is None else values,
            source,
            versions,
            has_settings=values is not None,
            notes=notes,
            progress=lambda done, _: bar.update(done - bar.pos),
        )
    carried = written.audio / 1e6
    tell(f"wrote {folder / DESK / 'index.html'} ({written.folder / 1e6:.1f} MB with {carried:.1f} MB of sound)")


def plain_sum(source: Folder) -> Settings:
    """Settings of the plain sum of stems."""
    from mixing import settings
    from mixing.models.sum import Sum

    return settings.of_plan(Sum().settle(source), source, 0.0, {"command": "dasp desk"})


def versions_of(folder: Path, has_settings: bool, reference: Path | None = None, mixes: tuple[str, ...] = ()) -> list[Version]:
    """Every file to compare with, the mix itself first."""
    from mixing.audio import probe
    from mixing.desk import Version

    about = "as dasp rendered it with the settings that this desk begins with" if has_settings else "the model's mix"
    found = [Version("Exact render" if has_settings else "Model", folder / MIX, about, exact=has_settings)]
    if reference is not None:
        found.append(Version("Reference", reference, reference.name))
    for given in mixes:
        name, sign, file = given.partition("=")
        if not (sign and name.strip() and file):
            raise UserError(f"--mix {given}: must be NAME=FILE, such as --mix rules=rules/mix.wav.")
        found.append(Version(name.strip(), Path(file), Path(file).name))
    names = ["Mix", "Plain sum", *(v.name for v in found)]
    twice = next((n for n in names if names.count(n) > 1), None)
    if twice is not None:
        raise UserError(f"--mix {twice}: that name stands twice; choose another.")
    for version in found:
        probe(version.file)
    return found
