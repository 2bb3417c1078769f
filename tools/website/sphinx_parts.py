"""A Sphinx extension: equations as MathML, which needs no script and no font of others, and docstrings that are plain text."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx


def _inline(self: Any, node: nodes.math) -> None:
    self.body.append(tex2mathml(node.astext(), as_block=False))
    raise nodes.SkipNode


def _block(self: Any, node: nodes.math_block) -> None:
    # Wide equations scroll by themselves; a region that scrolls must be reachable by the keyboard.
    self.body.append(f'<div class="equation" tabindex="0">{tex2mathml(node.astext(), as_block=True)}</div>')
    raise nodes.SkipNode


_CODE = re.compile(r"(`[^`]+`)")


def escaped(lines: list[str]) -> list[str]:
    """Docstrings of this repository are sentences, not reStructuredText: `x` is code, and nothing else is markup.

    Doctests stay as they are, tables of controls are left out: the page of an effect has its own.
    """
    out, doctest = [], False
    for line in lines:
        doctest = (doctest and bool(line.strip())) or line.lstrip().startswith(">>>")
        if doctest or not line.strip():
            out.append(line)
            continue
        if line.startswith("| ") or line.startswith("|--"):
            continue
        pieces = []
        for piece in _CODE.split(line):
            if _CODE.fullmatch(piece):
                pieces.append(f"`{piece}`")
            else:
                piece = piece.replace("\\", "\\\\")
                piece = re.sub(r"([*|])", r"\\\1", piece)
                pieces.append(re.sub(r"(\w)_(?!\w)", r"\1\\_", piece))
        out.append("".join(pieces))
    return out


def _docstring(app: Sphinx, what: str, name: str, item: Any, options: Any, lines: list[str]) -> None:
    lines[:] = escaped(lines)


# What axe-core finds in the HTML of Sphinx and of the theme, and how it is mended: captions are headings, of which level is to be
# said; what scrolls must be reachable by keyboard; the lines of a signature are no list of definitions.
_MENDED = {
    'role="heading"': 'role="heading" aria-level="2"',
    '<div class="table-wrapper': '<div tabindex="0" class="table-wrapper',
    '<div class="highlight"><pre>': '<div class="highlight"><pre tabindex="0">',
    "<dl>\n<dd><em": '<dl role="presentation">\n<dd role="presentation"><em',
    '<dd><em class="sig-param"': '<dd role="presentation"><em class="sig-param"',
}


def _mend(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    for part in ("body", "furo_navigation_tree"):
        for found, better in _MENDED.items():
            if context.get(part):
                context[part] = context[part].replace(found, better)


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_html_math_renderer("mathml", (_inline, lambda self, node: None), (_block, lambda self, node: None))
    app.connect("autodoc-process-docstring", _docstring, priority=100)  # before napoleon reads the sections
    app.connect("html-page-context", _mend, priority=900)  # after the theme has made its tree
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
