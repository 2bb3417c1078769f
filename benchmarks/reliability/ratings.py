"""A listening test of two songs without sounds, its key, and what a listener handed in."""

from __future__ import annotations

from typing import Any

NAMES = ("a", "b", "c")


def key() -> dict[str, Any]:
    """The key, as `dasp listen` writes it."""
    from mixing.listening import design
    from mixing.listening.criteria import CRITERIA

    made = design.design(
        bytes(range(32)), ["one", "two"], NAMES, method="mushra", reference="a", criteria=(CRITERIA["similarity"],), repeats=1
    )
    question = {"name": "playback", "text": "With what?", "type": "choice", "options": ["headphones", "loudspeakers"]}
    lengths = {page.name: 10.0 for page in made.pages}
    test = design.public(made, lengths, title="A test", welcome=[], questions=[question], post_url=None, rate=44100, bits=16)
    return design.private(made, test, {s.name: {} for page in made.pages for s in page.stimuli})


def handed_in(key: dict[str, Any]) -> dict[str, Any]:
    """One listener's ratings, as the page saves them, without their digest."""
    rated = [(name, page) for name, page in key["pages"].items() if page["kind"] != "training"]
    return {
        "schema": "dasp-ratings/1",
        "test": key["test"],
        "test_digest": key["digest"],
        "method": key["method"],
        "participant": "p1",
        "started_at": "2026-01-01T08:00:00.000Z",
        "finished_at": "2026-01-01T08:30:00.000Z",
        "volume_db": -3,
        "answers": {"playback": "headphones"},
        "pages": [
            {
                "page": name,
                "position": position,
                "seconds": 60.0,
                "comment": "",
                "reference": {"plays": 1, "heard_s": 5.0},
                "stimuli": [
                    {
                        "stimulus": stimulus,
                        "label": "ABCDEFGHIJK"[i],
                        "plays": 3,
                        "heard_s": 5.0,
                        "ratings": dict.fromkeys(key["criteria"], 100 if about["role"] == "reference" else 10.0 + 5 * i),
                    }
                    for i, (stimulus, about) in enumerate(page["stimuli"].items())
                ],
            }
            for position, (name, page) in enumerate(rated, 1)
        ],
    }


def signed(document: Any) -> Any:
    """The document with the digest that its page would give it, so that what reads it looks further than at that."""
    from mixing.listening.files import digest

    if not isinstance(document, dict):
        return document
    try:
        return {**document, "digest": digest(document)}
    except ValueError:  # numbers that JSON does not have
        return document
