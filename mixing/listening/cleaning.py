"""Which ratings do not count, and why: rules with limits that the user sets, each exclusion listed.

Whole listeners are left out by the rules of ITU-R BS.1534-3 (post-screening by the hidden reference and the anchor) and where
their ratings of repeated pages differ too much; single pages where they were left too soon or a stimulus was not played.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from mixing.listening.ratings import RatedPage, Session
from mixing.listening.sound import ANCHORS_HZ

MID_ANCHOR = list(ANCHORS_HZ)[1]


@dataclass(frozen=True)
class Rules:
    """Limits; 0 (or 100 for a share) turns a rule off.

    Attributes:
        min_page_s: a page on which less was spent does not count.
        min_heard_s: nor one of which a stimulus was heard for less; below it also counts what was never played.
        repeat_tolerance: mean absolute difference, of 100, between the two ratings of repeated pages: a listener above is left
            out. 100 turns it off.
        reference_below: BS.1534: the hidden reference is to be rated at least so high; 0 turns it off.
        share: ... in all but this share of a listener's pages.
        anchor_above: BS.1534: the 7 kHz anchor is to be rated at most so high; 100 turns it off.
    """

    min_page_s: float = 10.0
    min_heard_s: float = 0.9
    repeat_tolerance: float = 25.0
    reference_below: float = 90.0
    share: float = 0.15
    anchor_above: float = 90.0

    def screening(self, mushra: bool) -> Rules:
        """The same, without the rules of MUSHRA where another method was used: there a reference need not be the best."""
        return self if mushra else replace(self, reference_below=0.0, anchor_above=100.0)


@dataclass(frozen=True)
class Excluded:
    """What was left out.

    Attributes:
        participant: whose.
        song: the page's, or "" where the whole listener is left out.
        kind: of the page: "rated", "repeat", or "".
        why: in words.
    """

    participant: str
    song: str
    kind: str
    why: str


def clean(sessions: tuple[Session, ...], rules: Rules) -> tuple[tuple[Session, ...], tuple[Excluded, ...]]:
    """The sessions that count with the pages that count, and all that was left out."""
    kept: list[Session] = []
    out: list[Excluded] = []
    for session in sessions:
        pages = []
        for page in session.pages:
            why = _of_page(page, rules)
            if why:
                out.append(Excluded(session.participant, page.song, page.kind, why))
            else:
                pages.append(page)
        left = replace(session, pages=tuple(pages))
        why = next((w for rule in _LISTENER if (w := rule(left, rules))), "")
        if why:
            out.append(Excluded(session.participant, "", "", why))
        else:
            kept.append(left)
    return tuple(kept), tuple(out)


def repeat_difference(session: Session) -> float | None:
    """Mean absolute difference between the two ratings of repeated pages, over stimuli and criteria; None without any."""
    first = {p.song: p for p in session.pages if p.kind == "rated"}
    pairs = [(first[p.song], p) for p in session.pages if p.kind == "repeat" and p.song in first]
    differences = [
        abs(rating - again.stimuli[name].ratings[criterion])
        for page, again in pairs
        for name, stimulus in page.stimuli.items()
        for criterion, rating in stimulus.ratings.items()
    ]
    return sum(differences) / len(differences) if differences else None


def _of_page(page: RatedPage, rules: Rules) -> str:
    if page.seconds < rules.min_page_s:
        return f"{page.seconds:.1f} s on the page; {rules.min_page_s:g} s are asked for"
    unheard = [s.condition for s in page.stimuli.values() if rules.min_heard_s and (not s.plays or s.heard_s < rules.min_heard_s)]
    return f"{len(unheard)} of {len(page.stimuli)} stimuli not listened to" if unheard else ""


def _empty(session: Session, rules: Rules) -> str:
    return "" if any(p.kind == "rated" for p in session.pages) else "no page is left"


def _inconsistent(session: Session, rules: Rules) -> str:
    difference = repeat_difference(session)
    if difference is None or difference <= rules.repeat_tolerance:
        return ""
    return f"repeated pages differ by {difference:.0f} on average; {rules.repeat_tolerance:g} are allowed"


def _reference_low(session: Session, rules: Rules) -> str:
    return _too_often(session, rules, "reference", lambda v: v < rules.reference_below, f"below {rules.reference_below:g}")


def _anchor_high(session: Session, rules: Rules) -> str:
    return _too_often(session, rules, MID_ANCHOR, lambda v: v > rules.anchor_above, f"above {rules.anchor_above:g}")


def _too_often(session: Session, rules: Rules, which: str, wrong: Callable[[float], bool], said: str) -> str:
    pages = [p for p in session.pages if p.kind == "rated"]
    found = [
        any(wrong(v) for v in s.ratings.values())
        for p in pages
        for s in p.stimuli.values()
        if which == (s.role if which == "reference" else s.condition) and s.role != "condition"
    ]
    if not found or sum(found) <= rules.share * len(found):
        return ""
    name = "the hidden reference" if which == "reference" else f"the {which}"
    return f"rates {name} {said} on {sum(found)} of {len(found)} pages; {100 * rules.share:g} % are allowed (ITU-R BS.1534-3)"


_LISTENER = (_empty, _inconsistent, _reference_low, _anchor_high)
