"""What is heard where: the pages of a test, their stimuli under opaque names, what the page knows and what only the key does."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from mixing.errors import UserError
from mixing.listening.criteria import LABELS, Criterion
from mixing.listening.files import canonical, digest
from mixing.listening.sound import ANCHORS_HZ

Method = Literal["ape", "mushra"]
MOST_STIMULI = 11  # "less than 12" (Stables et al. 2019)
MIN_HEARD_S = 1.0  # of each stimulus, before a page can be left
FATIGUE_S = 45 * 60.0
TEST, KEY = "dasp-listening/1", "dasp-listening-key/1"

Role = Literal["condition", "reference", "anchor"]
Kind = Literal["rated", "repeat", "training"]


@dataclass(frozen=True)
class Stimulus:
    """A sound of a page.

    Attributes:
        name: opaque.
        condition: what it is: a condition's or an anchor's name.
        role: the hidden reference, an anchor, or neither.
    """

    name: str
    condition: str
    role: Role


@dataclass(frozen=True)
class Page:
    """Stimuli of one song that are rated together.

    Attributes:
        name: opaque.
        song: its name.
        kind: "training" is not counted; a "repeat" tells how consistent a listener is.
        stimuli: in the order of their names, which is no order at all.
        reference: name of the sound that is the open reference, or None.
    """

    name: str
    song: str
    kind: Kind
    stimuli: tuple[Stimulus, ...]
    reference: str | None


@dataclass(frozen=True)
class Design:
    """A whole test.

    Attributes:
        secret: the key of all opaque names.
        method: of rating.
        criteria: what is asked.
        pages: the rated ones and repeats, in the order of their names, and the training page.
        conditions: names in the order given, anchors last.
        reference: the condition that is the reference, or None.
    """

    secret: bytes
    method: Method
    criteria: tuple[Criterion, ...]
    pages: tuple[Page, ...]
    conditions: tuple[str, ...]
    reference: str | None

    @property
    def name(self) -> str:
        """Of the test, opaque too."""
        return opaque(self.secret, "test")

    @property
    def rated(self) -> tuple[Page, ...]:
        """The pages that count, repeats among them."""
        return tuple(p for p in self.pages if p.kind != "training")

    @property
    def training(self) -> Page:
        """The page on which listeners learn what to do."""
        return next(p for p in self.pages if p.kind == "training")


def secret(seed: int, sounds: Iterable[bytes], options: Any) -> bytes:
    """What the opaque names are made with: the same for the same test, and unknown to whoever has not all original files.

    Args:
        seed: the user's.
        sounds: content of the files.
        options: whatever else distinguishes one test from another.
    """
    h = hashlib.sha256(canonical(["dasp-listening", seed, options]).encode())
    for content in sounds:
        h.update(hashlib.sha256(content).digest())
    return h.digest()


def opaque(key: bytes, *what: str) -> str:
    """A name that tells nothing: HMAC-SHA256 (RFC 2104) of what it stands for, 16 hexadecimal digits."""
    return hmac.new(key, canonical(list(what)).encode(), hashlib.sha256).hexdigest()[:16]


def design(
    key: bytes,
    songs: Sequence[str],
    conditions: Sequence[str],
    *,
    method: Method,
    criteria: tuple[Criterion, ...],
    reference: str | None = None,
    anchors: bool = False,
    repeats: int = 0,
) -> Design:
    """The pages of a test.

    Args:
        key: from `secret`.
        songs: names; each is a page, the first is the training page's too.
        conditions: names; the reference is one of them, rated like the others.
        method: "ape" or "mushra".
        criteria: what is asked.
        reference: the condition that can also be heard openly.
        anchors: whether low-pass anchors are rated too.
        repeats: how many songs are rated twice, drawn by the key.

    Raises:
        UserError: more than eleven stimuli a page, anchors without a reference, more repeats than songs.
    """
    everything = (*conditions, *(ANCHORS_HZ if anchors else ()))
    if anchors and reference is None:
        raise UserError("--anchor: anchors are made of the reference; name it by --reference.")
    twice = [n for n in ANCHORS_HZ if anchors and n in conditions]
    if twice:
        raise UserError(f"{twice[0]}: is the name of an anchor; give the condition another name.")
    if len(everything) > MOST_STIMULI:
        raise UserError(
            f"{len(everything)} stimuli a page are too many to compare: fewer than 12 (Stables et al. 2019); leave some out."
        )
    if repeats > len(songs):
        raise UserError(f"--repeats {repeats}: there are only {len(songs)} songs to repeat.")
    rng = np.random.default_rng(int.from_bytes(hmac.new(key, b"repeats", hashlib.sha256).digest(), "big"))
    again = [songs[int(i)] for i in rng.permutation(len(songs))[:repeats]]
    kinds: dict[Kind, Sequence[str]] = {"rated": songs, "repeat": again}

    def page(kind: Kind, song: str) -> Page:
        def role(condition: str) -> Role:
            return "anchor" if condition not in conditions else "reference" if condition == reference else "condition"

        stimuli = [Stimulus(opaque(key, kind, song, c), c, role(c)) for c in everything]
        openly = None if reference is None else opaque(key, kind, song, reference, "open")
        return Page(opaque(key, kind, song), song, kind, tuple(sorted(stimuli, key=lambda s: s.name)), openly)

    rated = sorted((page(kind, s) for kind, of in kinds.items() for s in of), key=lambda p: p.name)
    return Design(key, method, criteria, (*rated, page("training", songs[0])), everything, reference)


def public(made: Design, lengths: dict[str, float], **settings: Any) -> dict[str, Any]:
    """What the page knows, and everybody who reads its source: nothing that tells a condition.

    Args:
        made: the test.
        lengths: seconds of each page.
        settings: `title`, `welcome`, `questions`, `post_url`, `rate`, `bits`.
    """

    def page(p: Page) -> dict[str, Any]:
        return {"page": p.name, "seconds": lengths[p.name], "stimuli": [s.name for s in p.stimuli], "reference": p.reference}

    repeated = {p.song: p.name for p in made.rated if p.kind == "repeat"}
    apart = [sorted((p.name, repeated[p.song])) for p in made.rated if p.kind == "rated" and p.song in repeated]
    test = {
        "schema": TEST,
        "test": made.name,
        "method": made.method,
        "criteria": [{"name": c.name, "title": c.title, "about": c.about, "low": c.low, "high": c.high} for c in made.criteria],
        "labels": list(LABELS),
        "min_heard_s": MIN_HEARD_S,
        "pages": [page(p) for p in made.rated],
        "apart": apart,
        "training": page(made.training),
        **settings,
    }
    test["minutes"] = max(1, round(estimated_s(test) / 60))
    return {**test, "digest": digest(test)}


def private(made: Design, test: dict[str, Any], heard: dict[str, dict[str, Any]], **about: Any) -> dict[str, Any]:
    """The key: what the opaque names stand for.

    Args:
        made: the test.
        test: from `public`.
        heard: stimulus -> what is known of its sound.
        about: what else is to be kept.
    """
    pages = {
        p.name: {
            "song": p.song,
            "kind": p.kind,
            "seconds": next(x["seconds"] for x in (*test["pages"], test["training"]) if x["page"] == p.name),
            "stimuli": {s.name: {"condition": s.condition, "role": s.role, **heard[s.name]} for s in p.stimuli},
        }
        for p in made.pages
    }
    return {
        "schema": KEY,
        "note": "This file tells what every stimulus is. Do not hand it to listeners: give them the folder page/ only.",
        "test": made.name,
        "digest": test["digest"],
        "secret": made.secret.hex(),
        "title": test["title"],
        "method": made.method,
        "criteria": [c.name for c in made.criteria],
        "conditions": list(made.conditions),
        "reference": made.reference,
        "questions": test["questions"],
        "pages": pages,
        **about,
    }


def estimated_s(test: dict[str, Any]) -> float:
    """How long the rating pages take: each stimulus heard one and a half times for each criterion."""
    once = sum(p["seconds"] * len(p["stimuli"]) for p in test["pages"])
    return 1.5 * once * len(test["criteria"])
