"""A person who takes a listening test with the keyboard alone."""

import csv
import io
import json


class Listener:
    """Presses keys on a page of `dasp listen`, and reads what stands there.

    Args:
        page: Playwright's.
        name: typed as the participant's.
    """

    def __init__(self, page, name="p1"):
        self.page, self.name, self.keys = page, name, page.keyboard

    def heading(self, text):
        self.page.wait_for_function("t => document.querySelector('h1')?.textContent.includes(t)", arg=text)

    def tab_to(self, selector, most=120):
        """Press Tab until the focus is on an element; a keyboard trap or an element out of reach fails."""
        for _ in range(most):
            self.keys.press("Tab")
            if self.page.evaluate("s => document.activeElement?.matches(s) ?? false", selector):
                return
        raise AssertionError(f"{selector} cannot be reached by Tab")

    def begin(self):
        self.heading("")
        self.tab_to("input[type=text]")
        self.keys.press("Control+a")
        self.keys.type(self.name)
        self.tab_to("input[type=checkbox]")
        self.keys.press("Space")
        self.tab_to("button.primary")
        self.keys.press("Enter")

    def set_volume(self, steps=3):
        self.heading("Set the volume")
        self.tab_to("button.play")
        self.keys.press("Enter")
        self.tab_to("input[type=range]")
        for _ in range(steps):
            self.keys.press("ArrowLeft")
        self.tab_to("button.primary")
        self.keys.press("Enter")

    def ready(self, heading):
        self.heading(heading)
        self.page.wait_for_selector("button.primary")

    def labels(self):
        return self.page.evaluate("dasp.pageState(dasp.currentPage()).order.map((_, i) => dasp.label(i))")

    def hear(self, key):
        """Press a letter and listen until it counts."""
        self.keys.press(key)
        self.page.wait_for_function(
            """key => {
                const page = dasp.currentPage(), kept = dasp.pageState(page);
                const name = key === "r" ? page.reference : kept.order["abcdefghijk".indexOf(key)];
                return kept.plays[name] && kept.heard_s[name] > dasp.test.min_heard_s;
            }""",
            arg=key,
        )

    def rate(self, presses):
        """Keys that move the mark or slider that a letter has chosen."""
        for press in presses:
            self.keys.press(press)

    def fill(self, presses):
        """Hear everything and rate it on every scale: label -> keys."""
        if self.page.evaluate("Boolean(dasp.currentPage().reference)"):
            self.hear("r")
        for title in self.page.evaluate("dasp.test.criteria.map(c => c.title)"):
            self.tab_to(f"section[aria-label='{title}'] :is([role=slider], input)")
            for label in self.labels():
                self.hear(label.lower())
                self.rate(presses(label))

    def next(self):
        self.tab_to("button.primary")
        self.keys.press("Enter")

    def answer(self):
        """Choose the second answer of every question of choice; numbers and texts are typed."""
        self.heading("Some questions")
        for n in range(self.page.evaluate("dasp.test.questions.length")):
            self.tab_to("select, textarea, input")
            kind = self.page.evaluate("n => dasp.test.questions[n].type", n)
            if kind == "choice":
                self.keys.press("ArrowDown")
                self.keys.press("ArrowDown")
            else:
                self.keys.type("3" if kind == "number" else "a <b>remark</b>, with a comma")
        self.tab_to("button.primary")
        self.keys.press("Enter")

    def save(self, folder):
        """Press the buttons that save; the two files."""
        self.heading("Thank you")
        out = []
        for selector in ("button.primary", "button"):
            self.tab_to(selector)
            with self.page.expect_download() as waiting:
                self.keys.press("Enter")
            out.append(folder / waiting.value.suggested_filename)
            waiting.value.save_as(out[-1])
        return out

    def state(self):
        return json.loads(self.page.evaluate("JSON.stringify(dasp.state)"))


def mixes(folder, conditions=("dmc", "sum", "human"), songs=("alpha", "beta"), seconds=3.0, rate=22050):
    """Folders of finished mixes, a file a song, that differ in level and sound; condition -> folder."""
    from synthetic import save, stem

    for c, condition in enumerate(conditions):
        for s, song in enumerate(songs):
            audio = (0.2 + 0.2 * c) * stem(3 * s + c, seconds, rate, 2)
            save(folder / condition / f"{song}.wav", audio, rate, subtype="FLOAT")
    return {c: folder / c for c in conditions}


def listen(out, *options):
    """Make a test of short excerpts that need not be heard for long."""
    import pytest

    from mixing.cli import main
    from mixing.listening import design

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(design, "MIN_HEARD_S", 0.15)
        with pytest.raises(SystemExit) as end:
            main([str(a) for a in ("listen", *options, "-o", out, "--seconds", 2)])
    assert end.value.code == 0
    return out


def handed_in(key, name, rate, *, seconds=60.0, heard=5.0, **more):
    """What the page would save for a listener.

    Args:
        key: of the test.
        name: the participant's.
        rate: (condition, criterion, page's entry of the key) -> rating.
        seconds: on each page.
        heard: seconds of each stimulus.
        more: in place of what stands in the file; the digest fits it.
    """
    from mixing.listening.files import digest

    pages = []
    for position, (page, known) in enumerate(((n, p) for n, p in key["pages"].items() if p["kind"] != "training"), 1):
        stimuli = [
            {
                "stimulus": n,
                "label": "ABCDEFGHIJK"[i],
                "plays": 3,
                "heard_s": heard,
                "ratings": {c: rate(s["condition"], c, known) for c in key["criteria"]},
            }
            for i, (n, s) in enumerate(known["stimuli"].items())
        ]
        reference = None if key["reference"] is None else {"plays": 1, "heard_s": heard}
        entry = {"page": page, "position": position, "seconds": seconds, "comment": "", "reference": reference}
        pages.append({**entry, "stimuli": stimuli})
    data = {
        "schema": "dasp-ratings/1",
        "test": key["test"],
        "test_digest": key["digest"],
        "method": key["method"],
        "participant": name,
        "started_at": "2026-11-29T08:00:00.000Z",
        "finished_at": "2026-11-29T08:30:00.000Z",
        "volume_db": -3,
        "answers": {},
        "pages": pages,
        **more,
    }
    return {**data, "digest": digest(data)}


def invented_key(conditions=("a", "b", "c"), songs=4, method="ape", criteria=("preference",), **options):
    """The key of a test without sounds."""
    from mixing.listening import design
    from mixing.listening.criteria import CRITERIA

    names = [f"song {i}" for i in range(songs)]
    made = design.design(
        bytes(range(32)), names, conditions, method=method, criteria=tuple(CRITERIA[c] for c in criteria), **options
    )
    lengths = {p.name: 30.0 for p in made.pages}
    question = {"name": "playback", "text": "With what?", "type": "choice", "options": ["headphones", "loudspeakers"]}
    test = design.public(made, lengths, title="A test", welcome=[], questions=[question], post_url=None, rate=44100, bits=16)
    return design.private(made, test, {s.name: {} for p in made.pages for s in p.stimuli})


def table(file):
    """Rows of a CSV file."""
    return list(csv.DictReader(io.StringIO(file.read_text())))
