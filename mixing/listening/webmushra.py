"""A configuration for webMUSHRA (Schoeffler et al. 2018), for those who run it: the same sounds under the same opaque names.

Its `mushra` page takes the reference by itself as a hidden one, so ours is not listed; in its results it is called "reference".
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mixing.listening.design import Design

RESOURCES = "configs/resources"


def config(made: Design, test: dict[str, Any]) -> dict[str, Any]:
    """What webMUSHRA's manual (doc/experimenter.md) describes.

    Args:
        made: a test with a reference.
        test: what the page knows.
    """

    def file(name: str) -> str:
        return f"{RESOURCES}/{made.name}/{name}.wav"

    def page(name: str, number: int) -> dict[str, Any]:
        found = next(p for p in made.pages if p.name == name)
        hidden = next(s.name for s in found.stimuli if s.role == "reference")
        return {
            "type": "mushra",
            "id": name,
            "name": f"Page {number}" if number else "Training",
            "content": test["criteria"][0]["about"],
            "showWaveform": True,
            "enableLooping": True,
            "strict": False,
            "reference": file(found.reference or ""),
            "createAnchor35": False,
            "createAnchor70": False,
            "randomize": True,
            "showConditionNames": False,
            "stimuli": {s.name: file(s.name) for s in found.stimuli if s.name != hidden},
        }

    training = made.training
    welcome = "".join(f"<p>{_escaped(p)}</p>" for p in test["welcome"])
    return {
        "testname": test["title"],
        "testId": made.name,
        "bufferSize": 2048,
        "stopOnErrors": True,
        "showButtonPreviousPage": False,
        "remoteService": "service/write.php",
        "pages": [
            {"type": "generic", "id": "welcome", "name": "Welcome", "content": welcome},
            {
                "type": "volume",
                "id": "volume",
                "name": "Volume",
                "content": "Set a comfortable volume now, and leave it alone during the test.",
                "stimulus": file(training.reference or ""),
                "defaultVolume": 0.5,
            },
            page(training.name, 0),
            ["random", *(page(p["page"], k) for k, p in enumerate(test["pages"], 1))],
            {
                "type": "finish",
                "name": "Thank you",
                "content": "Thank you.",
                "showResults": False,
                "writeResults": True,
                "questionnaire": [
                    {"type": "text", "label": "Your name in the results", "name": "participant"},
                    *map(_question, test["questions"]),
                ],
            },
        ],
    }


def write(folder: Path, made: Design, test: dict[str, Any]) -> None:
    """The configuration; sounds are written by `write_sounds`."""
    (folder / "configs").mkdir(parents=True, exist_ok=True)
    (folder / "configs" / f"{made.name}.yaml").write_text(text(config(made, test)), encoding="utf-8")


def text(config: dict[str, Any]) -> str:
    """The configuration as YAML that webMUSHRA's parser (yamljs) takes.

    It knows no collection that is written over several lines in brackets, and no list that begins on the line of another's dash;
    and it takes a name such as 12e4 for a number unless it is in quotes.
    """
    import yaml

    class Quoting(yaml.SafeDumper):
        pass

    Quoting.add_representer(str, lambda dumper, value: dumper.represent_scalar("tag:yaml.org,2002:str", value, style='"'))

    def dumped(value: dict[str, Any], dash: str = "") -> str:
        lines = yaml.dump(value, Dumper=Quoting, sort_keys=False, allow_unicode=True, width=math.inf).splitlines()
        return "".join((dash if n == 0 else " " * len(dash)) + line + "\n" for n, line in enumerate(lines))

    out = dumped({k: v for k, v in config.items() if k != "pages"}) + "pages:\n"
    for page in config["pages"]:
        if isinstance(page, dict):
            out += dumped(page, "  - ")
        else:
            out += f'  -\n    - "{page[0]}"\n' + "".join(dumped(p, "    - ") for p in page[1:])
    return out


def write_sounds(folder: Path, made: Design, sounds: Mapping[str, bytes], bits: int, rate: int) -> None:
    """WAV files beside the configuration."""
    import wave

    place = folder / RESOURCES / made.name
    place.mkdir(parents=True, exist_ok=True)
    hidden = {s.name for p in made.pages for s in p.stimuli if s.role == "reference"}
    for name, data in sounds.items():
        if name in hidden:
            continue
        with wave.open(str(place / f"{name}.wav"), "wb") as file:
            file.setnchannels(2)
            file.setsampwidth(bits // 8)
            file.setframerate(rate)
            file.writeframes(data)


def _question(q: dict[str, Any]) -> dict[str, Any]:
    """One of ours as one of theirs, in which a choice is a "likert"."""
    about = {"label": _escaped(q["text"]), "name": q["name"]}
    if q["type"] == "choice":
        return {"type": "likert", **about, "response": [{"value": _escaped(o), "label": _escaped(o)} for o in q["options"]]}
    limits = {"min": q["low"], "max": q["high"], "default": q["low"]} if q["type"] == "number" else {}
    return {"type": q["type"], **about, **limits}


def _escaped(text: str) -> str:
    from html import escape

    return escape(text)
