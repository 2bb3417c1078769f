"""`dasp listen`: a listening test, as a page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mixing.commands._common import Number, provenance, say, tell
from mixing.errors import UserError

if TYPE_CHECKING:
    from mixing.listening.design import Design

WELCOME = (
    "You will hear a few pieces of music, each in several versions, and say what you think of them. There are no right answers.",
    "Use good headphones or loudspeakers in a quiet room, and the same ones throughout.",
)


@click.command("listen", short_help="Make a blind listening test that opens in any browser.")
@click.argument("conditions", metavar="CONDITIONS...", nargs=-1, required=True)
@click.option("-o", "--output", metavar="TEST_DIR", required=True, type=click.Path(path_type=Path), help="A new folder.")
@click.option("--method", type=click.Choice(["ape", "mushra"]), default="ape", show_default=True, help="How people rate.")
@click.option("--reference", metavar="NAME", help="The condition that can also be heard openly; it is rated, hidden, too.")
@click.option("--anchor", "anchors", is_flag=True, help="Rate the reference low-passed at 3.5 kHz and 7 kHz, too.")
@click.option("--criteria", default="preference", show_default=True, help="preference, value, clarity, excitement, similarity.")
@click.option("--loudness", default=-23.0, show_default=True, type=Number(-40, -10, "LUFS"), help="Of every stimulus.")
@click.option("--seconds", default=30.0, show_default=True, type=Number(2, 120, "s"), help="Of each excerpt; 25 to 60 is usual.")
@click.option("--start", metavar="S", type=Number(0, 1e5, "s"), help="Where excerpts begin; by default the loudest stretch.")
@click.option("--repeats", default=0, show_default=True, type=click.IntRange(0, 50), help="Pages that come twice.")
@click.option("--bits", type=click.Choice(["16", "24"]), default="16", show_default=True, help="Of the samples.")
@click.option("--title", default="Listening test", show_default=True, help="Of the page.")
@click.option("--welcome", metavar="FILE", type=click.Path(path_type=Path), help="A text in place of the default instructions.")
@click.option("--questionnaire", metavar="FILE", type=click.Path(path_type=Path), help="Own questions, JSON or YAML.")
@click.option("--post-url", metavar="URL", help="Where ratings are sent, too.")
@click.option("--webmushra", is_flag=True, help="Also write a configuration and WAV files for webMUSHRA.")
@click.option("--seed", default=0, show_default=True, help="Of names, orders and dither.")
def command(conditions: tuple[str, ...], output: Path, criteria: str, **options: Any) -> None:
    """Make a listening test: excerpts at one loudness, in a random order for each person, and nothing that tells which is which.

    CONDITIONS are NAME=FILE, or NAME=FOLDER with one file a song, of the same names in all folders. Give listeners the folder
    TEST_DIR/page, in which index.html opens by a double-click, and keep TEST_DIR/key.json, which tells what each stimulus is.
    `dasp listen-report` reads what they save.
    """
    from mixing.listening import conditions as named
    from mixing.listening import criteria as scales
    from mixing.listening import folder

    chosen = scales.chosen(criteria)
    found = named.named(conditions)
    reference = options["reference"]
    if reference is not None:
        named.known(reference, found, "--reference")
    folder.check_new(output)
    texts = _texts(options)
    if options["webmushra"] and (reference is None or len(chosen) > 1):
        raise UserError("--webmushra: its pages need a reference and have one scale; give --reference and a single criterion.")
    if reference is None and any(c.name == "similarity" for c in chosen):
        raise UserError("--criteria similarity: is similarity to the reference; name it by --reference.")
    songs, notes = named.songs(found)
    say(notes)
    _write(output, songs, tuple(found), chosen, texts, options)


def _texts(options: dict[str, Any]) -> dict[str, Any]:
    """What the page says and asks."""
    from mixing.listening import files, questionnaire
    from mixing.listening.folder import origin

    welcome = list(WELCOME)
    if options["welcome"] is not None:
        text = files.read_text(options["welcome"], 100_000)
        welcome = [" ".join(p.split()) for p in text.replace("\r\n", "\n").split("\n\n") if p.strip()]
    if options["post_url"] is not None:
        origin(options["post_url"])
    own = options["questionnaire"]
    questions = questionnaire.DEFAULT if own is None else questionnaire.read(own)
    return {"title": options["title"], "welcome": welcome, "questions": questions, "post_url": options["post_url"]}


def _write(
    output: Path,
    songs: dict[str, dict[str, Path]],
    names: tuple[str, ...],
    chosen: tuple[Any, ...],
    texts: dict[str, Any],
    options: dict[str, Any],
) -> None:
    import json

    from mixing.listening import design, folder, sound, webmushra

    files = [f for of in songs.values() for f in of.values()]
    rate, bits = sound.sample_rate(files), int(options["bits"])
    shape = {k: options[k] for k in ("method", "reference", "anchors", "repeats")}
    told = {k: options[k] for k in (*shape, "loudness", "seconds", "start", "bits")}
    told |= {"songs": list(songs), "names": list(names), "criteria": [c.name for c in chosen]}
    key = design.secret(options["seed"], (f.read_bytes() for f in files), told)
    made = design.design(key, list(songs), names, criteria=chosen, **shape)

    def save(place: Path) -> None:
        lengths: dict[str, float] = {}
        heard: dict[str, dict[str, Any]] = {}
        starts: dict[str, float] = {}
        for song, of in songs.items():
            part = {k: options[k] for k in ("seconds", "loudness", "start")}
            level, starts[song], notes = folder.excerpts(song, of, made, rate, **part)
            say(notes)
            for page in (p for p in made.pages if p.song == song):
                heard_here = folder.shorter(level, rate, part["loudness"]) if page.kind == "training" else level
                lengths[page.name] = round(next(iter(heard_here.values())).shape[1] / rate, 3)
                sounds = folder.sounds(page, heard_here, made, bits)
                heard |= {n: folder.measured(data, bits, rate) for n, data in sounds.items()}
                folder.write_sounds(place / folder.PAGE, sounds)
                if options["webmushra"]:
                    webmushra.write_sounds(place / folder.WEBMUSHRA, made, sounds, bits, rate)
        test = design.public(made, lengths, rate=rate, bits=bits, **texts)
        folder.write_page(place / folder.PAGE, test)
        if options["webmushra"]:
            webmushra.write(place / folder.WEBMUSHRA, made, test)
        excerpts = {s: round(t, 3) for s, t in starts.items()}
        about = {"loudness_lufs": options["loudness"], "starts_s": excerpts, "seed": options["seed"], "provenance": provenance()}
        kept = json.dumps(design.private(made, test, heard, **about), indent=1, ensure_ascii=False, allow_nan=False)
        (place / folder.KEY).write_text(kept + "\n", encoding="utf-8")
        _advise(made, test, options)

    folder.write_new(output, save)
    rated = len(made.rated)
    tell(
        f"wrote {output / folder.PAGE / 'index.html'}: {rated} page{'s' * (rated != 1)} of {len(made.conditions)} stimuli. "
        f"Give listeners {output / folder.PAGE} only; {output / folder.KEY} tells what is what."
    )


def _advise(made: Design, test: dict[str, Any], options: dict[str, Any]) -> None:
    """Where the test departs from what the tutorial advises."""
    from mixing.listening.design import FATIGUE_S, estimated_s

    notes = []
    if not 25 <= options["seconds"] <= 60:
        notes.append(f"excerpts of {options['seconds']:g} s: to judge a mix, experts want 25 to 60 s.")
    if estimated_s(test) > FATIGUE_S:
        notes.append(f"the test takes about {estimated_s(test) / 60:.0f} min; tests above 45 min tire: use fewer songs.")
    if made.method == "mushra" and len(made.criteria) > 1:
        notes.append("ITU-R BS.1534-3 wants one criterion a page in MUSHRA; make a test of each.")
    if made.reference is not None and test["criteria"][0]["name"] != "similarity":
        notes.append("a reference invites people to rate likeness to it; leave it out unless the task needs one.")
    say(notes)
