"""`make compat`: the versions of its environments, its page and what it keeps; and that the sdist and the wheel are whole."""

import importlib
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[1] / "tools"


@pytest.fixture
def compat(monkeypatch):
    monkeypatch.syspath_prepend(TOOLS)
    return importlib.import_module("compat")


@pytest.fixture
def archives(monkeypatch):
    monkeypatch.syspath_prepend(TOOLS)
    return importlib.import_module("compat_archives")


@pytest.fixture
def outcome(compat):
    return compat.Outcome("2.14.1", None, "1.26.4", "3.11.7", 7, 0, (), 1.6)


def test_an_environments_own_versions_are_not_constrained(compat):
    pins = "numpy==2.4.6\nnumpydoc==1.0\nsetuptools==84.2.1\ntorch==2.13.0\ntorchaudio==2.11.0\ntriton==3.9.0\n"
    assert compat.constraints(pins, ("numpy==1.26.0",)) == pins.removeprefix("numpy==2.4.6\n")
    assert compat.constraints(pins, ("torch==2.11.*", "torchaudio==2.11.*", "numpy>=2.4")) == "numpydoc==1.0\n"
    assert compat.constraints(pins, ()) == pins


def test_the_environments_span_what_is_declared(compat):
    declared = (compat.ROOT / "pyproject.toml").read_text()
    asked = {e.name: e.requirements for e in compat.ENVIRONMENTS}
    assert f'"torch>={compat.TORCH[0]},<2.{int(compat.TORCH[1].split(".")[1]) + 1}", "numpy>=1.26"' in declared
    assert "numpy==1.26.0" in asked["core-oldest"]
    assert all((compat.ROOT / test).is_file() for e in compat.ENVIRONMENTS for test in e.tests)


def test_what_fails_or_is_skipped_is_not_good_and_stands_on_the_page(compat, outcome):
    skipped = replace(outcome, skipped=("test_a: no Chromium | here",))
    assert outcome.good
    assert not any(o.good for o in (skipped, replace(outcome, failed=1), replace(outcome, tests=0)))
    page = compat.markdown({"oldest": skipped, "core-oldest": outcome})
    rows = {line.split("|")[1].strip(): line for line in page.splitlines() if line.startswith("| ")}
    assert rows["oldest"].endswith("| 2.14.1 | - | 1.26.4 | 3.11.7 | 7 | 0 | 1; test_a: no Chromium \\| here | 2 s |")
    assert "not run yet" in rows["newest"]
    assert len({line.replace("\\|", "").count("|") for line in rows.values()}) == 1


def test_outcomes_are_kept_one_by_one(compat, outcome, tmp_path, monkeypatch):
    monkeypatch.setattr(compat, "STORED", tmp_path / "compat.json")
    monkeypatch.setattr(compat, "PAGE", tmp_path / "compat.md")
    compat.keep("oldest", outcome)
    compat.keep("newest", replace(outcome, tests=9))
    compat.keep("oldest", replace(outcome, skipped=("a: b",)))
    compat.keep("gone", outcome)
    assert compat.stored() == {"oldest": replace(outcome, skipped=("a: b",)), "newest": replace(outcome, tests=9)}
    assert (tmp_path / "compat.md").read_text() == compat.markdown(compat.stored())


def test_the_page_is_that_of_what_is_kept(compat):
    assert compat.PAGE.read_text() == compat.markdown(compat.stored())


def test_the_sdist_and_the_wheel_hold_all_that_the_packages_read(archives, tmp_path):
    code = """
import sys
sys.path.insert(0, "tools")
import build_backend
build_backend.build_sdist(sys.argv[1])
build_backend.build_wheel(sys.argv[1], {"wheel.cmake": "false"})  # its kernels take minutes
"""
    subprocess.run([sys.executable, "-c", code, tmp_path], cwd=archives.ROOT, check=True, capture_output=True)
    ((sdist,), (wheel,)) = (list(tmp_path.glob(f"*.{kind}")) for kind in ("tar.gz", "whl"))
    files = archives.sources()
    assert {Path(f).suffix for f in files} >= {".py", ".cpp", ".flac", ".safetensors", ".json", ".j2", ".yaml", ".js", ".css"}
    assert archives.lacking(sdist, files) == archives.lacking(wheel, files) == []
    with tarfile.open(sdist) as tar:
        folders = {name.split("/")[1] for name in tar.getnames()}
    assert not folders & {"tests", "docs", "benchmarks", ".ci"}
    with zipfile.ZipFile(wheel) as archive:
        assert {name.split("/")[0] for name in archive.namelist() if ".dist-info" not in name} == set(archives.PACKAGES)


def test_a_file_that_is_left_out_is_named(archives, tmp_path):
    files = {"dasp/a.py", "mixing/b.html.j2", f"{archives.NATIVE}c.cpp"}
    with zipfile.ZipFile(tmp_path / "x.whl", "w") as wheel:
        wheel.writestr("dasp/a.py", "")
    assert archives.lacking(tmp_path / "x.whl", files) == ["mixing/b.html.j2"]
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz") as sdist:
        for name in {"dasp/a.py", "mixing/b.html.j2", *archives.BUILDING}:
            sdist.addfile(tarfile.TarInfo(f"x-1/{name}"))
    assert archives.lacking(tmp_path / "x.tar.gz", files) == [f"{archives.NATIVE}c.cpp"]
