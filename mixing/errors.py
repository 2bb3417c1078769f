"""What a user did wrong, in one sentence."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """One sentence: what, what was expected, what to do. The command line prints it and exits with code 2."""


def printable(text: str) -> str:
    """Text for a terminal or a table: what a file's name holds of controls, escapes and undecodable bytes becomes spaces."""
    return "".join(c if c.isprintable() else " " for c in text)


def nearest(name: str, known: Iterable[str]) -> str:
    """' Did you mean ...?' for the end of a message, or nothing. As dasp's, for a command line that has not loaded torch."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""
