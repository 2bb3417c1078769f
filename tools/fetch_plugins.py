"""Real third-party VST3 plugins for the tests, into .plugins/: Zam's and the Dragonfly reverbs, from Debian's packages.

The packages come through this machine's own apt: its Debian source with the suite exchanged, in an apt configuration of its own,
so that nothing is installed and nothing of the system changes. Versions and checksums are pinned; what is there stays.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HOME = ROOT / ".plugins"
SUITE = "trixie"
ARCHITECTURE = "amd64"
# package -> version, SHA-256 of the .deb
PINS = {
    "zam-plugins": ("4.2+ds-1", "f8aaeadbffb65a71d3f90608ff2ae674bd33c69e9832798c7856ad53a700e0b4"),
    "dragonfly-reverb-vst3": ("3.2.10-3", "5d705fdbc5b7ebea66a80d3bea49fa394169abc1d2cd08618b6a66399152eff7"),
}
# What the plugins are linked with -> Debian's package of it.
LIBRARIES = {
    "libGL.so.1": "libgl1",
    "libX11.so.6": "libx11-6",
    "libXext.so.6": "libxext6",
    "libXrandr.so.2": "libxrandr2",
    "libsamplerate.so.0": "libsamplerate0",
}
# Suites that a Debian machine's main source may name, besides its code name.
ALIASES = {"oldoldstable", "oldstable", "stable", "testing", "unstable", "sid"}
STAMP = "".join(f"{name} {version} {digest}\n" for name, (version, digest) in PINS.items())


class Unable(Exception):
    """Why the plugins cannot be fetched here, in one sentence."""


def os_release(path: Path = Path("/etc/os-release")) -> dict[str, str]:
    """Which system this is."""
    lines = path.read_text().splitlines() if path.exists() else []
    return {k: v.strip('"') for k, _, v in (line.partition("=") for line in lines)}


def debian_source(etc: Path, suites: set[str]) -> tuple[str, str]:
    """The first entry of apt's sources with one of these suites, its suite exchanged for ours: (file name, its text).

    Both of apt's formats: one line an entry in *.list, paragraphs of fields in *.sources.
    """
    for path in (etc / "sources.list", *sorted((etc / "sources.list.d").glob("*"))):
        if not path.is_file() or path.suffix not in (".list", ".sources"):
            continue
        text = "\n".join(line for line in path.read_text().splitlines() if not line.lstrip().startswith("#"))
        for entry in _lines(text, suites) if path.suffix == ".list" else _paragraphs(text, suites):
            return f"dasp{path.suffix}", entry
    raise Unable("apt here has no source of Debian's packages, which hold the plugins; run this on a Debian machine.")


def _lines(text: str, suites: set[str]) -> Iterator[str]:
    for line in text.splitlines():
        entry = re.match(r"\s*(deb\s+(?:\[[^\]]*\]\s+)?\S+)\s+(\S+)\s+(.*)", line)
        if entry and entry[2] in suites and "main" in entry[3].split():
            yield f"{entry[1]} {SUITE} main\n"


def _paragraphs(text: str, suites: set[str]) -> Iterator[str]:
    for paragraph in re.split(r"\n\s*\n", text):
        fields = {m[1].lower(): m[2] for m in re.finditer(r"^(\S+):((?:.*)(?:\n[ \t].*)*)", paragraph, re.MULTILINE)}
        of_debian = suites & set(fields.get("suites", "").split()) and "main" in fields.get("components", "").split()
        if of_debian and "deb" in fields.get("types", "").split() and fields.get("enabled", "yes").strip() != "no":
            kept = {k: v for k, v in fields.items() if k in ("uris", "signed-by", "trusted")}
            kept |= {"types": " deb", "suites": f" {SUITE}", "components": " main"}
            yield "".join(f"{k.title()}:{v}\n" for k, v in kept.items())


def sha256(path: Path) -> str:
    """A file's checksum."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def missing_libraries() -> list[str]:
    """Debian's packages of the libraries that the plugins need and that do not load here."""
    absent = []
    for library, package in LIBRARIES.items():
        try:
            ctypes.CDLL(library)
        except OSError:
            absent.append(package)
    return absent


def run(what: str, *command: str | Path, cwd: Path) -> None:
    """A command that says nothing unless it fails."""
    done = subprocess.run([str(c) for c in command], cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise Unable(f"{what} failed: {lines[-1] if lines else f'exit code {done.returncode}'}")


def download(work: Path) -> list[Path]:
    """The pinned packages, checked, as files in a folder."""
    system = os_release()
    name, source = debian_source(Path("/etc/apt"), ALIASES | {system.get("VERSION_CODENAME", SUITE)})
    for folder in ("sources", "lists/partial", "cache/archives/partial"):
        (work / folder).mkdir(parents=True)
    (work / "sources" / name).write_text(source)
    settings = {
        "Dir::Etc::sourcelist": "/dev/null",
        "Dir::Etc::sourceparts": work / "sources",
        "Dir::State::lists": work / "lists",
        "Dir::Cache": work / "cache",
        # apt drops root's rights while it fetches, and could then not write into a folder of root's own.
        "APT::Sandbox::User": "root",
    }
    apt = ("apt-get", *(part for key, value in settings.items() for part in ("-o", f"{key}={value}")))
    print(f"fetching {', '.join(f'{p} {v}' for p, (v, _) in PINS.items())} from Debian {SUITE} ...", flush=True)
    run("apt-get update", *apt, "-q", "update", cwd=work)
    run("apt-get download", *apt, "-q", "download", *(f"{p}={v}" for p, (v, _) in PINS.items()), cwd=work)
    files = []
    for package, (version, digest) in PINS.items():
        (path,) = work.glob(f"{package}_*.deb")
        if sha256(path) != digest:
            raise Unable(f"{package} {version}: its SHA-256 is {sha256(path)}, not the pinned {digest}.")
        files.append(path)
    return files


def fetch(home: Path) -> None:
    """Make `home` hold the pinned plugins, each as NAME.vst3."""
    stamp = home / "pins"
    if stamp.exists() and stamp.read_text() == STAMP:
        return
    for tool in ("apt-get", "dpkg-deb", "dpkg"):
        if shutil.which(tool) is None:
            raise Unable(f"the plugins come from Debian's packages, and there is no {tool} here; run this on a Debian machine.")
    architecture = subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, check=True).stdout.strip()
    if architecture != ARCHITECTURE:
        raise Unable(f"the pinned packages are built for {ARCHITECTURE}; this machine is {architecture}.")
    with tempfile.TemporaryDirectory(prefix="dasp-plugins-") as folder:
        work = Path(folder)
        for path in download(work):
            run(f"unpacking {path.name}", "dpkg-deb", "-x", path, work / "tree", cwd=work)
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir()
        for plugin in sorted((work / "tree/usr/lib/vst3").glob("*.vst3")):
            shutil.copytree(plugin, home / plugin.name)
        for notice in (work / "tree/usr/share/doc").glob("*/copyright"):
            shutil.copy(notice, home / f"{notice.parent.name}.copyright")
    stamp.write_text(STAMP)


def main() -> int:
    """Exit code 0 done, 2 not possible here."""
    try:
        fetch(HOME)
    except Unable as error:
        print(f"fetch_plugins: {error}", file=sys.stderr)
        return 2
    plugins = sorted(p.stem for p in HOME.glob("*.vst3"))
    print(f"{len(plugins)} plugins in {os.path.relpath(HOME)}: {', '.join(plugins)}")
    if absent := missing_libraries():
        print(f"they need libraries that are not here: apt-get install {' '.join(absent)}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
