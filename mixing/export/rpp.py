"""REAPER's project text: chunks of lines, `<NAME words` to `>`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from mixing.errors import UserError
from mixing.export.media import shown

_DEEPEST = 50


@dataclass
class Chunk:
    """A chunk.

    Attributes:
        head: its words; the first is its name.
        body: lines, each a list of words, and chunks.
    """

    head: list[str]
    body: list[list[str] | Chunk] = field(default_factory=list)

    def line(self, *words: object) -> None:
        """Add a line; numbers are written so that they are read as they are."""
        self.body.append([w if isinstance(w, str) else number(w) for w in words])  # type: ignore[arg-type]

    def chunk(self, *words: object) -> Chunk:
        """Add a chunk and return it."""
        made = Chunk([w if isinstance(w, str) else number(w) for w in words])  # type: ignore[arg-type]
        self.body.append(made)
        return made

    def lines(self, name: str) -> Iterator[list[str]]:
        """Lines that begin with a word."""
        return (x for x in self.body if isinstance(x, list) and x[:1] == [name])

    def chunks(self, *names: str) -> Iterator[Chunk]:
        """Chunks of these names; of any where none is given."""
        return (x for x in self.body if isinstance(x, Chunk) and (not names or (x.head[:1] and x.head[0] in names)))

    def text(self, depth: int = 0) -> str:
        """As REAPER writes it."""
        pad = "  " * depth
        out = [f"{pad}<{' '.join(self._words(self.head))}"]
        out += [e.text(depth + 1) if isinstance(e, Chunk) else f"{pad}  {' '.join(self._words(e))}" for e in self.body]
        return "\n".join([*out, f"{pad}>"])

    def _words(self, words: list[str]) -> list[str]:
        return words if words[:1] and words[0].startswith("|") else [quoted(w) for w in words]


def number(value: float) -> str:
    """Without a decimal point where it has no fraction, as REAPER writes it."""
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def quoted(word: str) -> str:
    """A word, in one of the three kinds of quotes where it needs them. A word with all three loses the last."""
    word = shown(word)
    if word and not any(c in word for c in " \"'`") and word[0] not in "<>|":
        return word
    for quote in "\"'`":
        if quote not in word:
            return f"{quote}{word}{quote}"
    return f"`{word.replace('`', chr(39))}`"


def parse(who: str, text: str) -> Chunk:
    """The outermost chunk of a project.

    Raises:
        UserError: not such a text.
    """
    root: Chunk | None = None
    stack: list[Chunk] = []
    for n, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped:
            continue
        if stripped == ">" and stack:
            closed = stack.pop()
            if not stack:
                return closed
        elif stripped.startswith("<"):
            made = Chunk(_split(stripped[1:]))
            if stack:
                stack[-1].body.append(made)
            elif root is not None:
                break
            root = root or made
            stack.append(made)
            if len(stack) > _DEEPEST:
                raise UserError(f"{who}: line {n}: chunks within chunks {_DEEPEST} deep; it is no REAPER project.")
        elif stack:
            stack[-1].body.append([stripped] if stripped.startswith("|") else _split(stripped))
        else:
            break
    raise UserError(f"{who}: is not a REAPER project, or is cut short.")


def _split(line: str) -> list[str]:
    words, at = [], 0
    while at < len(line):
        if line[at] == " ":
            at += 1
            continue
        quote = line[at] if line[at] in "\"'`" else ""
        start = at + len(quote)
        end = line.find(quote or " ", start)
        end = len(line) if end < 0 else end
        words.append(line[start:end])
        at = end + 1
    return words
