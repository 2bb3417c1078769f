"""dasp's speed beside its peers' and beside the record, in the environment of `make bench`.

What stands behind the command goes to `python -m benchmarks.regressions`. The ratios go to docs/regressions.json, which keeps
those on record, and docs/regressions.md is written from it.
"""

from __future__ import annotations

import sys

from bench import contenders
from compat import run

FILES = ("--json", "docs/regressions.json", "--page", "docs/regressions.md")


def main() -> int:
    return run(contenders(), "-m", "benchmarks.regressions", *FILES, *sys.argv[1:], check=False)


if __name__ == "__main__":
    sys.exit(main())
