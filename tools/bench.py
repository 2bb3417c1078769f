"""The benchmarks in an environment of their own under .bench/: the registry's newest torch that dasp supports, and every
contender.

What stands behind the command goes to `python -m benchmarks`: the groups to measure. Their figures replace the older ones in
docs/benchmarks.json, and docs/benchmarks.md is written from all.
"""

from __future__ import annotations

import sys
from pathlib import Path

from compat import NEWEST, ROOT, environment, run

FILES = ("--json", "docs/benchmarks.json", "--page", "docs/benchmarks.md")


def contenders() -> Path:
    """The Python of the environment in which all contenders are."""
    return environment(ROOT / ".bench", (*NEWEST, "numpy>=1.26"), ".", "bench")


def main() -> int:
    return run(contenders(), "-m", "benchmarks", *FILES, *sys.argv[1:], check=False)


if __name__ == "__main__":
    sys.exit(main())
