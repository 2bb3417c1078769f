"""What listeners are asked: the criteria of the tutorial on automatic mixing (Steinmetz et al. 2022), in words for the page."""

from __future__ import annotations

from dataclasses import dataclass

from mixing.errors import UserError, nearest


@dataclass(frozen=True)
class Criterion:
    """A scale of the page.

    Attributes:
        name: what is typed, and stands in results.
        title: on the page.
        about: what is asked.
        low, high: the ends of the line of an APE test.
    """

    name: str
    title: str
    about: str
    low: str
    high: str


CRITERIA = {
    c.name: c
    for c in (
        Criterion(
            "preference",
            "Preference",
            "How much do you like this mix, all things considered, its technique and its effect on you?",
            "like least",
            "like most",
        ),
        Criterion(
            "value",
            "Production value",
            "How good is the technical quality of the mix: dynamics, equalisation, stereo image, and the way they come together?",
            "low",
            "high",
        ),
        Criterion(
            "clarity",
            "Clarity",
            "How well can you tell the sources of the music apart? This is about masking, not about liking.",
            "hard to tell apart",
            "clearly apart",
        ),
        Criterion(
            "excitement",
            "Excitement",
            "How engaging, intriguing or thought-provoking is the mix to you? This is your own reaction, not quality.",
            "dull",
            "exciting",
        ),
        Criterion(
            "similarity",
            "Similarity to the reference",
            "How close does this come to the reference? Any difference that you hear counts.",
            "very different",
            "the same",
        ),
    )
}

LABELS = ("Bad", "Poor", "Fair", "Good", "Excellent")
"""Of the continuous quality scale of ITU-R BS.1534, from 0 to 100 in fifths."""


def chosen(text: str) -> tuple[Criterion, ...]:
    """From "value,clarity" to those criteria.

    Raises:
        UserError: one that is unknown or stands twice.
    """
    names = [n.strip() for n in text.split(",") if n.strip()]
    for name in names:
        if name not in CRITERIA:
            raise UserError(f"--criteria {name}: is none of {', '.join(CRITERIA)}.{nearest(name, CRITERIA)}")
        if names.count(name) > 1:
            raise UserError(f"--criteria {name}: stands twice; leave one.")
    if not names:
        raise UserError(f"--criteria: give one or more of {', '.join(CRITERIA)}.")
    return tuple(CRITERIA[n] for n in names)
