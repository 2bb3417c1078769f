"""The mixing desk: a page, with its sound beside it, on which a mix is heard, changed and compared. See docs/desk.md."""

from mixing.desk.write import Version, write

__all__ = ["Version", "write"]
