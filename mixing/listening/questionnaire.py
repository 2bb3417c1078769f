"""The questions at the end of a test: a sensible default, or the user's own in a JSON or YAML file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mixing.errors import UserError
from mixing.listening.files import canonical, check, read_json, read_text
from mixing.settings import short
from proxies import yaml_text

_LARGEST = 1_000_000
_SECRET = "I would rather not say"

DEFAULT: list[dict[str, Any]] = [
    {"name": "age", "text": "Your age", "type": "choice", "options": ["under 18", "18 to 24", "25 to 34", "35 to 44", "45 to 54",
     "55 to 64", "65 or more", _SECRET]},
    {"name": "gender", "text": "Your gender identity, if you wish to say", "type": "text"},
    {"name": "mixing_experience", "text": "For how long have you mixed music?", "type": "choice", "required": True,
     "options": ["never", "less than 1 year", "1 to 4 years", "5 to 9 years", "10 years or more"]},
    {"name": "listening_experience", "text": "How used are you to listening critically?", "type": "choice", "required": True,
     "options": ["not at all", "a little: I make music", "very: I record, mix, produce or study sound"]},
    {"name": "earlier_tests", "text": "In how many listening tests have you taken part before?", "type": "number", "low": 0,
     "high": 1000},
    {"name": "hearing", "text": "Is your hearing normal, as far as you know?", "type": "choice", "required": True,
     "options": ["yes", "no", "I do not know", _SECRET]},
    {"name": "playback", "text": "What did you listen with?", "type": "choice", "required": True,
     "options": ["studio monitors", "other loudspeakers", "over-ear headphones", "in-ear headphones", "a built-in speaker"]},
    {"name": "device", "text": "Which make and model, if you know it", "type": "text"},
    {"name": "environment", "text": "Where did you listen?", "type": "choice", "required": True,
     "options": ["a treated studio or listening room", "a quiet room", "a room with some noise", "a noisy place"]},
    {"name": "remarks", "text": "Anything else that we should know", "type": "text"},
]  # fmt: skip


def read(path: Path) -> list[dict[str, Any]]:
    """The user's questions.

    Raises:
        UserError: a file that cannot be read or does not fit `questionnaire.schema.json`; two questions of one name.
    """
    if path.suffix.lower() in (".yaml", ".yml"):
        try:
            questions = yaml_text.parse(read_text(path, _LARGEST))
        except ValueError as error:
            raise UserError(f"{path}: {short(str(error), 150)}.") from None
        check(str(path), questions, "questionnaire")
    else:
        questions = read_json(path, _LARGEST, "questionnaire")
    if any("\ud800" <= c <= "\udfff" for c in canonical(questions)):
        raise UserError(f"{path}: has half a character (an unpaired surrogate); write it anew as UTF-8.")
    names = [q["name"] for q in questions]
    for q in questions:
        if names.count(q["name"]) > 1:
            raise UserError(f"{path}: two questions are named {q['name']}; rename one.")
        if q["type"] == "number" and q["low"] >= q["high"]:
            raise UserError(f"{path}: {q['name']}: low {q['low']:g} is not below high {q['high']:g}.")
    return questions
