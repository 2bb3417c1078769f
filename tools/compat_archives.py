"""The sdist, from the repository, and the wheel, from the unpacked sdist; and whether all that the packages read is in both."""

from __future__ import annotations

import filecmp
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("dasp", "gradients", "mixing", "proxies")
NATIVE = "dasp/atoms/native/"
BUILDING = ("CMakeLists.txt", "LICENSE", "NOTICE", "README.md", "pyproject.toml", "tools/build_backend.py")
"""What the sdist needs beside the packages for a wheel to be built from it."""


def run(*command: str | Path, check: bool = True, cwd: Path = ROOT, **variables: str) -> int:
    print("$", *(str(c).removeprefix(f"{ROOT}/") for c in command), flush=True)
    return subprocess.run([str(c) for c in command], cwd=cwd, check=check, env={**os.environ, **variables}).returncode


def sources(root: Path = ROOT) -> set[str]:
    """Every file of the packages, as paths from the root, without what Python and the compiler left there."""
    files = (f for package in PACKAGES for f in (root / package).rglob("*") if f.is_file())
    return {f.relative_to(root).as_posix() for f in files if f.parent.name != "__pycache__" and f.suffix not in (".pyc", ".so")}


def lacking(archive: Path, files: Iterable[str]) -> list[str]:
    """What an sdist or a wheel ought to hold and does not: the sdist the sources and what builds them, the wheel the sources
    but those of the kernels.

    Args:
        archive: a .tar.gz or a .whl.
        files: `sources()`.
    """
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            return sorted({f for f in files if not f.startswith(NATIVE)} - set(wheel.namelist()))
    with tarfile.open(archive) as sdist:
        return sorted({*files, *BUILDING} - {name.partition("/")[2] for name in sdist.getnames()})


def build(home: Path) -> Path:
    """The wheel in home/dist; an older one is kept where it was built from the same sdist to the byte, since compiling takes
    minutes.

    Raises:
        SystemExit: a file of the packages is not in the sdist or not in the wheel.
    """
    python, dist = home / "build" / "bin" / "python", home / "dist"
    dist.mkdir(parents=True, exist_ok=True)
    if not python.exists():
        venv.create(home / "build", with_pip=True)
    pip = (python, "-m", "pip", "--disable-pip-version-check")
    run(*pip, "install", "-q", "-c", "constraints.txt", "build")
    with tempfile.TemporaryDirectory() as folder:
        run(python, "-m", "build", "--sdist", "--outdir", folder, ".")
        (sdist,) = Path(folder).glob("*.tar.gz")
        kept = dist / sdist.name
        if not kept.exists() or not filecmp.cmp(sdist, kept, shallow=False) or not list(dist.glob("*.whl")):
            for old in dist.iterdir():
                old.unlink()
            # pip unpacks it into a folder of its own: nothing of the repository is near.
            run(*pip, "wheel", "-q", "--no-deps", "-w", dist, sdist, cwd=Path(folder))
            shutil.move(sdist, kept)  # after the wheel: a run that is cut off leaves no wheel that seems to be this sdist's
    (wheel,) = dist.glob("*.whl")
    for archive in (kept, wheel):
        if missing := lacking(archive, sources()):
            sys.exit(f"compat: {archive.name} lacks {', '.join(missing)}.")
    return wheel
