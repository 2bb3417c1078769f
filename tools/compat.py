"""The whole suite beside torchaudio with the oldest and the newest torch that dasp supports; the outcome goes to docs/compat.md.

torchaudio's Linux wheels load only beside the registry's own builds of torch (2.5 GB each), so every version gets an
environment of its own under .compat/, apart from .venv. Nothing may be skipped here: a test that cannot run is a failure.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import venv
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HOME = ROOT / ".compat"
TORCH = ("2.11", "2.14")
TORCHAUDIO = "2.11"
DOCUMENT = ROOT / "docs" / "compat.md"


@dataclass(frozen=True)
class Outcome:
    """What one environment's run of the suite came to."""

    torch: str
    torchaudio: str
    python: str
    tests: int
    failed: int
    skipped: tuple[str, ...]
    seconds: float

    @property
    def good(self) -> bool:
        return self.tests > 0 and not self.failed and not self.skipped


def constraints(home: Path) -> Path:
    """The tested set without torch and numpy, of which an environment has its own, and without triton, which torch pins."""
    lines = (ROOT / "constraints.txt").read_text().splitlines(keepends=True)
    path = home / "constraints.txt"
    path.write_text("".join(line for line in lines if not re.match(r"(torch|numpy|triton)==", line)))
    return path


def run(*command: str | Path, check: bool = True) -> int:
    print("$", *(str(c).removeprefix(f"{ROOT}/") for c in command), flush=True)
    return subprocess.run([str(c) for c in command], cwd=ROOT, check=check).returncode


def environment(home: Path, version: str, extra: str) -> Path:
    """The Python of an environment in a folder: torch and torchaudio once, dasp as a wheel afresh each time.

    Args:
        home: the folder; made where it is missing.
        version: of torch.
        extra: of dasp's, what is to be installed with it.
    """
    python = home / "bin" / "python"
    if not python.exists():
        venv.create(home, with_pip=True)
    pip = (python, "-m", "pip", "--disable-pip-version-check", "install", "-q", "-c", constraints(home))
    run(*pip, f"torch=={version}.*", f"torchaudio=={TORCHAUDIO}.*", f".[{extra}]")
    # The dependencies are there now; the wheel itself is built again even if its version is the same.
    run(*pip, "--force-reinstall", "--no-deps", ".")
    return python


def suite(python: Path) -> Outcome:
    """Run every test against the installed wheel (not against the tree: hence pytest's own script, not `-m`). `benchmarks/` has
    benchmarks, which nobody asked for."""
    report = python.parents[1] / "report.xml"
    report.unlink(missing_ok=True)
    run(
        python.with_name("pytest"), "tests", "-q", "-n", "2", "-rs", "-p", "no:cacheprovider", f"--junitxml={report}", check=False
    )
    if not report.exists():
        sys.exit(f"compat: pytest wrote no report with {python}.")
    (counts,) = ElementTree.parse(report).iter("testsuite")
    skipped = tuple(f"{case.get('name')}: {s.get('message')}" for case in counts.iter("testcase") for s in case.iter("skipped"))
    failed = int(counts.get("failures", 0)) + int(counts.get("errors", 0))
    ask = "import platform, torch, torchaudio; print(torch.__version__, torchaudio.__version__, platform.python_version())"
    versions = subprocess.run([str(python), "-c", ask], capture_output=True, text=True, check=True).stdout.split()
    names = ("torch", "torchaudio", "python")
    return Outcome(
        **dict(zip(names, versions, strict=True)),
        tests=int(counts.get("tests", 0)),
        failed=failed,
        skipped=skipped,
        seconds=float(counts.get("time", 0)),
    )


def markdown(outcomes: list[Outcome]) -> str:
    """The page that `make compat` writes."""
    rows = "\n".join(
        f"| {o.torch} | {o.torchaudio} | {o.python} | {o.tests} | {o.failed} | {len(o.skipped)} | {o.seconds:.0f} s |"
        for o in outcomes
    )
    return f"""# Versions

Written by `make compat`, which builds an environment for the oldest and for the newest supported torch (the registry's
builds), each with torchaudio {TORCHAUDIO}, installs dasp as a wheel and runs every test there. Nothing may be skipped.

| torch | torchaudio | Python | tests | failed | skipped | time |
|---|---|---|---|---|---|---|
{rows}

`make test` runs beside the torch of `constraints.txt`. Where that is a CPU-only build, torchaudio does not load: the
tests that compare with it are skipped there, with that reason.
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("versions", nargs="*", metavar="VERSION", default=TORCH, help=f"of torch (default: {' '.join(TORCH)})")
    versions = parser.parse_args().versions
    outcomes = [suite(environment(HOME / f"torch-{version}", version, "dev")) for version in versions]
    if tuple(versions) == TORCH:
        DOCUMENT.write_text(markdown(outcomes))
    for o in outcomes:
        print(f"torch {o.torch}, torchaudio {o.torchaudio}: {o.tests} tests, {o.failed} failed, {len(o.skipped)} skipped")
        print("".join(f"  skipped: {s}\n" for s in o.skipped), end="")
    return 0 if all(o.good for o in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
