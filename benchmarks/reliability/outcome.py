"""What a section found."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Outcome:
    """Counts of one kind of trial.

    Attributes:
        title: what was tried, for the page.
        tried: how many.
        ended: how they ended, by name ("done", "refused", ...), with counts.
        failures: what must not happen, each with what makes it happen again; the first few of each kind.
        note: figures that belong to it.
    """

    title: str
    tried: int = 0
    ended: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    note: str = ""

    def count(self, end: str, failure: str = "") -> None:
        """One trial, and why it is a failure where it is one."""
        self.tried += 1
        self.ended[end] = self.ended.get(end, 0) + 1
        if failure:
            self.failures.append(failure)
