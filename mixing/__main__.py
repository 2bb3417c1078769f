"""`dasp`, which is `python -m mixing` too: the command line, or one sentence where a package that it needs is not installed."""

from __future__ import annotations

import sys
from typing import NoReturn

_OWN = ("dasp", "gradients", "mixing", "proxies")


def main() -> NoReturn:
    """Run the command line (see `mixing.cli.main`). Where an extra is missing: exit code 2, and what to install on stderr."""
    try:
        from mixing import cli

        cli.main()
    except ImportError as error:
        sentence = missing(error)
        if sentence is None:
            raise
        print(f"dasp: {sentence}", file=sys.stderr)
        sys.exit(2)


def missing(error: ImportError) -> str | None:
    """What is to be installed, in one sentence; None where the error is not that of an extra that is missing."""
    if "pip install 'dasp-toolkit[" in str(error):  # said where the package is imported
        return str(error)
    package = (error.name or "").partition(".")[0]
    if not isinstance(error, ModuleNotFoundError) or not package or package in _OWN or package in sys.stdlib_module_names:
        return None
    return f"the command line needs {package}, which is not installed: pip install 'dasp-toolkit[mixing]'."


if __name__ == "__main__":
    main()
