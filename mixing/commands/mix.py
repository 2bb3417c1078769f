"""`dasp mix`: a mix by one of the simplest mixers."""

from __future__ import annotations

from pathlib import Path

import click

from mixing.commands._common import MIX, SETTINGS, check_output, peak_notes, provenance, said, say, song

MODELS = ("sum", "equal-loudness", "random")


@click.command("mix", short_help="Mix stems by a simple rule.")
@click.argument("stems", metavar="STEMS_DIR", type=click.Path(path_type=Path))
@click.option("-o", "--output", metavar="OUT_DIR", required=True, type=click.Path(path_type=Path), help="Folder for the results.")
@click.option("--model", default="sum", show_default=True, type=click.Choice(MODELS), help="How to mix.")
@click.option("--seed", default=0, show_default=True, help="Of the random mixer.")
def command(stems: Path, output: Path, model: str, seed: int) -> None:
    """Mix the stems in a folder: writes mix.wav (32-bit float) and settings.json.

    sum: every stem as it is. equal-loudness: every stem at the same loudness (ITU-R BS.1770), the mix at -18 LUFS. random:
    faders and pans drawn by --seed. A mix that would clip is turned down, and said to be.
    """
    check_output(output, stems)
    tracks = song(stems)

    import math

    from mixing import audio, mixers, settings
    from mixing.output import write_folder

    kind = mixers.MODELS[model]
    mix = kind(seed=seed) if model == "random" else kind()
    made = mix(tracks)
    peak = float(made.audio.abs().max())
    gain_db = min(0.0, -20 * math.log10(peak / 0.999)) if peak > 1 else 0.0
    sound = made.audio[0] * 10 ** (gain_db / 20)
    about = provenance(model=model, seed=seed if model == "random" else None)
    values = settings.of_mix(made, tracks, gain_db, about)

    def save(folder: Path) -> None:
        audio.write(folder / MIX, sound, tracks.sample_rate)
        settings.write(folder / SETTINGS, values)

    write_folder(output, save)
    say(peak_notes(sound, gain_db, MIX))
    click.echo(f"wrote {said(output / MIX, sound, tracks.sample_rate)} and {SETTINGS}")
