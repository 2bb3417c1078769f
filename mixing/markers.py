"""Generated parts of Markdown files, between a pair of comments."""

from __future__ import annotations


def replace_between(text: str, name: str, content: str) -> str:
    """Replace what stands between `<!-- name:begin -->` and `<!-- name:end -->`.

    Raises:
        ValueError: the markers are not there.
    """
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    head, found, rest = text.partition(begin)
    _, closed, tail = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"no {begin} ... {end} in the file.")
    return f"{head}{begin}\n{content}\n{end}{tail}"
