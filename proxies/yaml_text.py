"""YAML from elsewhere: plain values of a size that the text itself has; refused in a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from yaml.nodes import Node

LARGEST = 1_000_000  # characters
_VALUES = 100_000
_PLAIN = {f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null", "seq", "map", "merge")}


def parse(text: str) -> Any:
    """Mappings, lists, text, numbers, booleans and null. No tag makes an object of another kind, and nothing is imported.

    Anchors and aliases may be used, but a few lines of them can stand for billions of values: what they stand for is counted
    before anything is made.

    Raises:
        ValueError: not YAML, another kind of value, too large or too deep; the message has the line where there is one.
    """
    import yaml

    if len(text) > LARGEST:
        raise ValueError(f"is longer than {LARGEST:,} characters")
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if node is not None:
            _size(node, {})
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"is not YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise ValueError("is nested too deeply") from None


def _size(node: Node, known: dict[int, int]) -> int:
    """How many values a node stands for, each time that it is referred to."""
    if id(node) in known:
        if known[id(node)] == 0:
            raise ValueError(f"line {_line(node)}: a value holds itself")
        return known[id(node)]
    if node.tag not in _PLAIN:
        kind = node.tag.rpartition(":")[2]
        raise ValueError(f"line {_line(node)}: a value of kind {kind} is not taken; put text in quotes")
    known[id(node)] = 0
    inner = [x for entry in node.value for x in (entry if isinstance(entry, tuple) else (entry,))]
    size = 1 + (0 if isinstance(node.value, str) else sum(_size(x, known) for x in inner))
    if size > _VALUES:
        raise ValueError(f"line {_line(node)}: stands for more than {_VALUES:,} values")
    known[id(node)] = size
    return size


def _line(node: Node) -> int:
    return node.start_mark.line + 1
