"""A person who takes a listening test with the keyboard alone."""

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
        return self.page.evaluate("dasp.pageState(dasp.current).order.map((_, i) => dasp.label(i))")

    def hear(self, key):
        """Press a letter and listen until it counts."""
        before = self.page.evaluate("Object.values(dasp.pageState(dasp.current).heard_s).reduce((a, b) => a + b, 0)")
        self.keys.press(key)
        self.page.wait_for_function(
            "b => Object.values(dasp.pageState(dasp.current).heard_s).reduce((x, y) => x + y, 0) > b + dasp.test.min_heard_s",
            arg=before,
        )

    def rate(self, label, presses):
        """The letter chooses the mark or slider; arrows move it."""
        for press in presses:
            self.keys.press(press)

    def fill(self, presses):
        """Hear everything and rate it on every scale: label -> keys."""
        if self.page.evaluate("Boolean(dasp.current.reference)"):
            self.hear("r")
        for label in self.labels():
            self.hear(label.lower())
            self.rate(label, presses(label))

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
