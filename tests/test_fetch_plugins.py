"""`make plugins`: the source that apt is given, and what it says where it cannot fetch."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def tool():
    spec = importlib.util.spec_from_file_location("fetch_plugins", ROOT / "tools" / "fetch_plugins.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def etc(tmp_path, name, text):
    (tmp_path / "sources.list.d").mkdir()
    path = tmp_path / name
    path.write_text(text)
    return tmp_path


LINES = """# deb mirror:commented bookworm main
deb-src mirror:one bookworm main
deb mirror:other jammy main
deb [signed-by=/keys/debian.gpg] mirror:one bookworm main contrib
"""
PARAGRAPHS = """Types: deb
URIs: mirror:other
Suites: nodistro
Components: main

# The system's own.
Types: deb deb-src
URIs: mirror:one
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /keys/debian.gpg
"""


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("sources.list", LINES, {"deb [signed-by=/keys/debian.gpg] mirror:one trixie main"}),
        (
            "sources.list.d/debian.sources",
            PARAGRAPHS,
            {"Types: deb", "Uris: mirror:one", "Suites: trixie", "Components: main", "Signed-By: /keys/debian.gpg"},
        ),
    ],
)
def test_the_machines_own_source_with_another_suite(tool, tmp_path, name, text, expected):
    file, entry = tool.debian_source(etc(tmp_path, name, text), {"bookworm"})
    assert set(entry.splitlines()) == expected
    assert Path(file).suffix == Path(name).suffix


def test_where_apt_has_no_debian_it_says_so(tool, tmp_path):
    with pytest.raises(tool.Unable, match="no source of Debian's packages"):
        tool.debian_source(etc(tmp_path, "sources.list", "deb mirror:other jammy main\n"), {"bookworm"})


def test_without_apt_it_is_one_sentence_and_exit_code_2(tool, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tool, "HOME", tmp_path / "plugins")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert tool.main() == 2
    assert capsys.readouterr().err == (
        "fetch_plugins: the plugins come from Debian's packages, and there is no apt-get here; run this on a Debian machine.\n"
    )


def test_what_is_there_is_not_fetched_again(tool, tmp_path, monkeypatch):
    monkeypatch.setattr(tool, "download", lambda work: pytest.fail("fetched again"))
    (tmp_path / "pins").write_text(tool.STAMP)
    tool.fetch(tmp_path)


def test_another_checksum_is_refused(tool, tmp_path, monkeypatch):
    monkeypatch.setattr(tool, "debian_source", lambda etc, suites: ("dasp.list", "deb mirror:one trixie main\n"))
    work = tmp_path / "work"

    def apt(what, *command, cwd):
        for package, (version, _) in tool.PINS.items():
            (cwd / f"{package}_{version}_amd64.deb").write_bytes(b"not the package")

    monkeypatch.setattr(tool, "run", apt)
    with pytest.raises(tool.Unable, match=r"its SHA-256 is [0-9a-f]{64}, not the pinned"):
        tool.download(work)


def test_missing_libraries_are_named_by_their_packages(tool, monkeypatch):
    monkeypatch.setattr(tool, "LIBRARIES", {"libc.so.6": "libc6", "libnowhere.so.9": "libnowhere9"})
    assert tool.missing_libraries() == ["libnowhere9"]
