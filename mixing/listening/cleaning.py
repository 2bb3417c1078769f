"""Which ratings do not count, and why: rules with limits that the user sets, each exclusion listed.

Whole listeners are left out by the rules of ITU-R BS.1534-3 (post-screening by the hidden reference and the anchor) and where
their ratings of repeated pages differ too much; single pages where they were left too soon or a stimulus was not played.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from mixing.listening.ratings import RatedPage, Session
from mixing.listening.sound import ANCHORS_HZ

MID_ANCHOR = list(ANCHORS_HZ)[1]
_MANY = 0.25  # of the listeners: an anchor that so many rate high is no anchor for that song (BS.1534-3, 4.1.2)


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
    """The sessions that count with the pages that count, and all that was left out.

    Args:
        sessions: as they were read.
        rules: what does not count.

    Returns:
        sessions, and what was left out with the reason.
    """
    kept: list[Session] = []
    out: list[Excluded] = []
    spared = _songs_without_anchor(sessions, rules)
    for session in sessions:
        pages = []
        for page in session.pages:
            why = _of_page(page, rules)
            if why:
                out.append(Excluded(session.participant, page.song, page.kind, why))
            else:
                pages.append(page)
        left = replace(session, pages=tuple(pages))
        why = next((w for rule in _LISTENER if (w := rule(left, rules, spared))), "")
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


def _songs_without_anchor(sessions: tuple[Session, ...], rules: Rules) -> set[str]:
    """Songs whose 7 kHz anchor more than a quarter of the listeners rate high: it hardly degrades them."""
    high: dict[str, list[bool]] = {}
    for page in (p for s in sessions for p in s.pages if p.kind == "rated"):
        high.setdefault(page.song, []).extend(
            any(v > rules.anchor_above for v in x.ratings.values())
            for x in page.stimuli.values()
            if x.role == "anchor" and x.condition == MID_ANCHOR
        )
    return {song for song, found in high.items() if sum(found) > _MANY * len(found)}


def _empty(session: Session, rules: Rules, spared: set[str]) -> str:
    return "" if any(p.kind == "rated" for p in session.pages) else "no page is left"


def _inconsistent(session: Session, rules: Rules, spared: set[str]) -> str:
    difference = repeat_difference(session)
    if difference is None or difference <= rules.repeat_tolerance:
        return ""
    return f"repeated pages differ by {difference:.0f} on average; {rules.repeat_tolerance:g} are allowed"


def _reference_low(session: Session, rules: Rules, spared: set[str]) -> str:
    stimuli = [x for p in session.pages if p.kind == "rated" for x in p.stimuli.values() if x.role == "reference"]
    found = [any(v < rules.reference_below for v in x.ratings.values()) for x in stimuli]
    return _too_often(found, rules.share, f"rates the hidden reference below {rules.reference_below:g}")


def _anchor_high(session: Session, rules: Rules, spared: set[str]) -> str:
    pages = [p for p in session.pages if p.kind == "rated" and p.song not in spared]
    stimuli = [x for p in pages for x in p.stimuli.values() if x.role == "anchor" and x.condition == MID_ANCHOR]
    found = [any(v > rules.anchor_above for v in x.ratings.values()) for x in stimuli]
    return _too_often(found, rules.share, f"rates the {MID_ANCHOR} above {rules.anchor_above:g}")


def _too_often(found: list[bool], share: float, what: str) -> str:
    if sum(found) <= share * len(found):
        return ""
    return f"{what} on {sum(found)} of {len(found)} pages; {100 * share:g} % are allowed (ITU-R BS.1534-3)"


_LISTENER = (_empty, _inconsistent, _reference_low, _anchor_high)
