"""dasp as others install it: the suite with the oldest and the newest torch and numpy, the core without extras, and the command
line from an empty folder.

An sdist is built from the repository, a wheel from the unpacked sdist, and every environment under .compat/ installs that wheel.
Each outcome is kept in docs/compat.json as soon as it is there, and docs/compat.md is written from all that are kept.
torchaudio's Linux wheels load only beside the registry's own builds of torch (2.5 GB each), hence the environments of their own.
Nothing may be skipped here but what needs a GPU: a test that cannot run is a failure.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import venv
import xml.etree.ElementTree as ElementTree
from dataclasses import asdict, dataclass
from pathlib import Path

from compat_archives import ROOT, build, run

HOME = ROOT / ".compat"
TORCH = ("2.11", "2.14")
OLDEST = (f"torch=={TORCH[0]}.*", "torchaudio==2.11.0")  # torchaudio 2.11.1 does not load beside that torch
NEWEST = (f"torch=={TORCH[1]}.*", "torchaudio==2.11.*")
STORED, PAGE = ROOT / "docs" / "compat.json", ROOT / "docs" / "compat.md"


@dataclass(frozen=True)
class Environment:
    """Packages, and what is run beside them.

    Attributes:
        name: of its folder under .compat/.
        requirements: the versions that are its own; all others are those of constraints.txt.
        extras: of dasp's, with commas between.
        tests: files that are copied into an empty folder and run there; none: every test, in the repository.
        what: that is run, for the page.
    """

    name: str
    requirements: tuple[str, ...]
    extras: str
    tests: tuple[str, ...]
    what: str


# Of the benchmarks, which no wheel has.
APART = tuple(f"tests/test_{name}.py" for name in ("benchmarks", "comparison", "optimisation", "regressions", "reliability"))
CORE, COMMANDS = "tests/installed/test_core.py", "tests/installed/test_commands.py"
ENVIRONMENTS = (
    # scipy's version of constraints.txt needs numpy 1.26.4; the core alone is tested beside 1.26.0.
    Environment("oldest", (*OLDEST, "numpy==1.26.*"), "dev", (), "every test of the packages"),
    Environment("newest", (*NEWEST, "numpy>=2.4"), "dev", (), "every test of the packages"),
    Environment("core-oldest", ("numpy==1.26.0",), "", (CORE,), "the core, no extra installed"),
    Environment("core-newest", ("numpy>=2.4",), "", (CORE,), "the core, no extra installed"),
    Environment("commands", (), "mixing,plugins", (CORE, COMMANDS), "the core and the command line, from an empty folder"),
)


@dataclass(frozen=True)
class Outcome:
    """What one environment's tests came to; the versions are those that were there, torchaudio's None where it is not."""

    torch: str
    torchaudio: str | None
    numpy: str
    python: str
    tests: int
    failed: int
    skipped: tuple[str, ...]
    seconds: float

    @property
    def good(self) -> bool:
        return self.tests > 0 and not self.failed and not self.skipped


def constraints(pins: str, requirements: tuple[str, ...]) -> str:
    """The tested set without what an environment has its own version of. torch itself pins triton and bounds setuptools."""
    own = {re.match(r"[\w-]+", r)[0] for r in requirements}
    own |= {"triton", "setuptools"} if "torch" in own else set()
    return "".join(line for line in pins.splitlines(keepends=True) if line.partition("==")[0] not in own)


def environment(home: Path, requirements: tuple[str, ...], dasp: str | Path, extras: str = "") -> Path:
    """The Python of an environment in a folder: packages once, dasp afresh each time.

    Args:
        home: the folder; made where it is missing.
        requirements: packages; those with a version of their own are exempt from constraints.txt.
        dasp: a wheel, or "." for the repository.
        extras: of dasp's, what is to be installed with it.
    """
    python = home / "bin" / "python"
    there = python.exists()
    if not there:
        venv.create(home, with_pip=True)
    pins = home / "constraints.txt"
    pins.write_text(constraints((ROOT / "constraints.txt").read_text(), tuple(r for r in requirements if re.search("[<=>]", r))))
    pip = (python, "-m", "pip", "--disable-pip-version-check", "install", "-q", "-c", pins)
    run(*pip, "--upgrade", *requirements, f"{dasp}[{extras}]" if extras else dasp)
    if there:  # an older dasp may be, of the same version
        run(*pip, "--force-reinstall", "--no-deps", dasp)
    return python


def tried(python: Path, tests: tuple[str, ...]) -> Outcome:
    """Run tests against the installed wheel (not against the tree: hence pytest's own script, not `-m`)."""
    report = python.parents[1] / "report.xml"
    report.unlink(missing_ok=True)
    pytest = (python.with_name("pytest"), "-q", "-rs", "-p", "no:cacheprovider", f"--junitxml={report}")
    if tests:
        with tempfile.TemporaryDirectory(prefix="dasp-") as empty:
            for test in tests:
                shutil.copy(ROOT / test, empty)
            run(*pytest, "-W", "error", check=False, cwd=Path(empty), PYTHONPATH="")
    else:
        run(*pytest, "tests", "-n", "2", "-m", "not cuda", *(f"--ignore={name}" for name in APART), check=False)
    if not report.exists():
        sys.exit(f"compat: pytest wrote no report with {python}.")
    (counts,) = ElementTree.parse(report).iter("testsuite")
    return Outcome(
        **versions(python),
        tests=int(counts.get("tests", 0)),
        failed=int(counts.get("failures", 0)) + int(counts.get("errors", 0)),
        skipped=tuple(f"{c.get('name')}: {s.get('message')}" for c in counts.iter("testcase") for s in c.iter("skipped")),
        seconds=round(float(counts.get("time", 0)), 1),
    )


def versions(python: Path) -> dict[str, str | None]:
    """Which versions stand beside a Python."""
    ask = """
import json, platform
from importlib.metadata import distributions
found = {d.metadata["Name"]: d.version for d in distributions()}
print(json.dumps({n: found.get(n) for n in ("torch", "torchaudio", "numpy")} | {"python": platform.python_version()}))
"""
    return json.loads(subprocess.run([str(python), "-c", ask], capture_output=True, text=True, check=True).stdout)


def cell(text: str) -> str:
    """Text that cannot end a cell of a Markdown table."""
    return text.replace("\n", " ").replace("|", "\\|")


def markdown(outcomes: dict[str, Outcome]) -> str:
    """The page, from what is kept of each environment by name."""
    rows = []
    for e in ENVIRONMENTS:
        head = f"| {e.name} | {e.what} "
        if e.name not in outcomes:
            rows.append(f"{head}| not run yet |" + " |" * 7)
            continue
        o = outcomes[e.name]
        skipped = cell("; ".join((str(len(o.skipped)), *o.skipped)))
        rows.append(
            f"{head}| {o.torch} | {o.torchaudio or '-'} | {o.numpy} | {o.python} "
            f"| {o.tests} | {o.failed} | {skipped} | {o.seconds:.0f} s |"
        )
    table = "\n".join(rows)
    return f"""# Versions

Written by `make compat`. It builds an sdist from the repository and a wheel from the unpacked sdist, looks that every file of
the packages is in both, and installs that wheel into environments of their own: the oldest and the newest supported torch (the
registry's builds) with torchaudio, and numpy's oldest and newest that go with each set of packages; the core with none of the
extras, where `dasp` says in one sentence what to install; and the command line with its two extras. The last three run in an
empty folder. Nothing may be skipped; tests that need a GPU, and those of the benchmarks, which no wheel has, are left out.

| environment | what is run | torch | torchaudio | numpy | Python | tests | failed | skipped | time |
|---|---|---|---|---|---|---|---|---|---|
{table}

All other packages are those of `constraints.txt`. `python tools/compat.py --only core-oldest` runs one environment and keeps
what was found in the others. `make test` runs beside the torch of `constraints.txt`. Where that is a CPU-only build, torchaudio
does not load: the tests that compare with it are skipped there, with that reason.
"""


def stored() -> dict[str, Outcome]:
    """What is kept of the environments that there still are."""
    kept = json.loads(STORED.read_text()) if STORED.exists() else {}
    names = {e.name for e in ENVIRONMENTS}
    return {name: Outcome(**{**o, "skipped": tuple(o["skipped"])}) for name, o in kept.items() if name in names}


def keep(name: str, outcome: Outcome) -> None:
    """Write one environment's outcome beside the others', and the page from all."""
    outcomes = {**stored(), name: outcome}
    STORED.write_text(json.dumps({n: asdict(o) for n, o in sorted(outcomes.items())}, indent=1) + "\n")
    PAGE.write_text(markdown(outcomes))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [e.name for e in ENVIRONMENTS]
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME", help=f"of {', '.join(names)}")
    only = parser.parse_args().only
    wheel = build(HOME)
    good = True
    for e in (e for e in ENVIRONMENTS if e.name in only):
        outcome = tried(environment(HOME / e.name, ("pytest", *e.requirements), wheel, e.extras), e.tests)
        keep(e.name, outcome)
        good &= outcome.good
        print(f"{e.name}: {outcome.tests} tests, {outcome.failed} failed, {len(outcome.skipped)} skipped")
        print("".join(f"  skipped: {s}\n" for s in outcome.skipped), end="", flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
