"""`dasp apply-settings`: play a settings file on stems."""

from __future__ import annotations

from pathlib import Path

import click

from mixing.commands._common import peak_notes, said, say, song, tell


@click.command("apply-settings", short_help="Mix stems with the settings in a file.")
@click.argument("stems", metavar="STEMS_DIR", type=click.Path(path_type=Path))
@click.argument("settings_file", metavar="SETTINGS_JSON", type=click.Path(path_type=Path))
@click.argument("target", metavar="OUT", type=click.Path(path_type=Path))
def command(stems: Path, settings_file: Path, target: Path) -> None:
    """Mix the stems in a folder with the settings that `dasp match` or `dasp mix` wrote, or that were edited since.

    Stems are found by name and resampled to the rate of the settings; the format of OUT follows its ending.
    """
    from mixing import audio, settings

    audio.check_writable(target)
    values = settings.read(settings_file)
    tracks = song(stems, notes=False, sample_rate=float(values["sample_rate"]))

    from mixing.playback import render

    mix = render(values, tracks)
    wanted = {t["name"] for t in values["tracks"]}
    say([*tracks.notes, *(f"{n}: is not in the settings; left out." for n in tracks.names[0] if n not in wanted)])
    gain = audio.write(target, mix, tracks.sample_rate)
    say(peak_notes(mix, gain, str(target)))
    tell(f"wrote {said(target, mix, tracks.sample_rate)}")
