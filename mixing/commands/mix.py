"""`dasp mix`: a mix by a model that listens to the stems, or by a rule."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mixing.commands._common import MIX, SETTINGS, check_output, peak_notes, provenance, said, say, tell

if TYPE_CHECKING:
    from mixing.blocks import Plan, Source
    from mixing.mixers import Mix


@click.command("mix", short_help="Mix stems by a trained model or a rule.")
@click.argument("stems", metavar="STEMS_DIR", type=click.Path(path_type=Path))
@click.option("-o", "--output", metavar="OUT_DIR", required=True, type=click.Path(path_type=Path), help="Folder for the results.")
@click.option(
    "--model", metavar="NAME", help="A shipped model, a rule, or a file of weights; by default the best that is shipped."
)
@click.option("--seed", default=0, show_default=True, help="Of the random mixer.")
@click.option("--desk", is_flag=True, help="Also write a mixing desk, a page on which the mix is changed by hand.")
@click.option(
    "--list", is_flag=True, is_eager=True, expose_value=False, callback=lambda *given: _list(*given), help="Name the models."
)
def command(stems: Path, output: Path, model: str | None, seed: int, desk: bool) -> None:
    """Mix the stems in a folder: writes mix.wav (32-bit float) and, where the model works a console, settings.json.

    The settings are in the units that people use: refine them by hand, then `dasp apply-settings`. Rules: sum (every stem as it
    is), mono (the sum in mono), equal-loudness (every stem at the same loudness by ITU-R BS.1770, the mix at -18 LUFS), random
    (faders and pans drawn by --seed), rules (loudness, pan by spectrum, less masking). `dasp mix --list` names the models that
    are shipped, and what they were trained on. Songs may be of any length: they are read and mixed in blocks. A mix that would
    clip is turned down, and said to be. --desk writes OUT_DIR/desk as well: see `dasp desk`.
    """
    check_output(output, stems)
    if desk:
        from mixing.desk.write import check_folder

        check_folder(output / "desk")

    import math

    from mixing import audio, blocks, models, settings
    from mixing.models.model import DEFAULT
    from mixing.output import write_folder
    from mixing.stems import Stems

    name = model or DEFAULT
    mixer = models.mixer(name, **({"seed": seed} if name == "random" else {}))
    source, heard = blocks.Folder(Stems.open(stems, getattr(mixer, "sample_rate", None))), None
    if source.stems.own_rate > source.sample_rate and hasattr(mixer, "settle"):
        # Settings found at a model's rate are played at the stems'; at a lower one there may be no room for its equalisers.
        source, heard = blocks.Folder(Stems.open(stems)), source
    say(source.stems.notes)
    made, plan = _mixed(mixer, source, heard)
    peak = audio.peak(made.audio)
    gain_db = min(0.0, -20 * math.log10(peak / 0.999)) if peak > 1 else 0.0
    sound = made.audio[0].mul_(10 ** (gain_db / 20))  # in place: of an hour, a copy is a gigabyte
    about = provenance(model=name, about=models.about(mixer), seed=seed if name == "random" else None)
    values = None if plan is None else settings.of_plan(plan, source, gain_db, about, source.stems.notes)

    def save(folder: Path) -> None:
        audio.write(folder / MIX, sound, source.sample_rate)
        if values is not None:
            settings.write(folder / SETTINGS, values)

    write_folder(output, save)
    say(peak_notes(sound, gain_db, MIX))
    rest = f" and {SETTINGS}" if values is not None else f"; {name} has no settings"
    tell(f"wrote {said(output / MIX, sound, source.sample_rate)}{rest}")
    tell(f"by {name}: {models.about(mixer)}")
    if desk:
        from mixing.commands.desk import versions_of, write

        write(output, stems, values, versions_of(output, values is not None), title=stems.resolve().name)


def _mixed(mixer: Any, source: Source, heard: Source | None) -> tuple[Mix, Plan | None]:
    """Mix, with a progress bar where there is a terminal."""
    from mixing import blocks

    hidden = not sys.stderr.isatty()
    with click.progressbar(length=source.samples, label="mixing", file=sys.stderr, hidden=hidden) as bar:
        return blocks.mix(mixer, source, progress=lambda done, total: bar.update(done - bar.pos), heard=heard)


def _list(ctx: click.Context, option: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    from mixing import models

    rules = [n for n in models.names() if n not in models.kinds()]
    for name in (*models.shipped(), *rules):
        tell(f"{name.replace('_', '-')}: {models.about(models.mixer(name))}")
    ctx.exit()
