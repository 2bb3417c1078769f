"""How the commands of this package end where they cannot go on: in one sentence, without a traceback."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterable
from typing import NoReturn


def fail(program: str, sentence: str, code: int) -> NoReturn:
    """Say why on stderr, without a name's control characters, and end."""
    print(f"{program}: {''.join(c if c.isprintable() else ' ' for c in sentence)}", file=sys.stderr)
    sys.exit(code)


def require(program: str, packages: Iterable[str]) -> None:
    """End with what is to be installed, where one of the packages is missing."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        fail(program, f"needs {', '.join(missing)}: pip install 'dasp-toolkit[train]'.", 2)
