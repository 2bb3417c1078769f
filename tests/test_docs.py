"""The documentation runs: every Python block, every docstring example, every command's name; generated tables are fresh."""

import doctest
import importlib
import importlib.util
import json
import re
import shlex
from pathlib import Path

import click
import pytest

from dasp.parity import certified

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
LAYERS = ("gradients", "proxies", "dasp", "mixing")
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for layer in LAYERS
    for path in sorted((ROOT / layer).rglob("*.py"))
    if ">>>" in path.read_text()
]


def blocks(language: str) -> dict[str, tuple[str, str]]:
    """Fenced blocks of a language in all pages: where -> (file name, the block behind as many lines as stand before it)."""
    found = {}
    for page in PAGES:
        text = page.read_text()
        for match in re.finditer(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            line = text.count("\n", 0, match.start(1))
            found[f"{page.name}:{line + 1}"] = (str(page), "\n" * line + match[1])
    return found


PYTHON = blocks("python")


@pytest.mark.parametrize("where", PYTHON)
def test_python_block_runs(where, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page, block = PYTHON[where]
    # Padded with blank lines, so that a traceback names the line of the page.
    exec(compile(block, page, "exec"), {"__name__": "__example__"})


def test_the_readme_has_its_example():
    assert any(where.startswith("README.md") for where in PYTHON)


@pytest.mark.parametrize("module", MODULES)
def test_docstring_examples(module):
    outcome = doctest.testmod(importlib.import_module(module), optionflags=doctest.ELLIPSIS)
    assert outcome.attempted > 0
    assert outcome.failed == 0


def command_lines(program: str) -> set[str]:
    """What stands behind a program's name in the pages' shell blocks and inline code, comments aside."""
    lines = [line for _, block in blocks("sh").values() for line in block.splitlines()]
    lines += [code for page in PAGES for code in re.findall(r"`([^`\n]+)`", page.read_text())]
    return {m[1].strip() for line in lines if (m := re.match(rf"(?:\S*/)?{program} ([a-z][^#]*)", line.strip()))}


def test_make_targets_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {"demo", "test"} <= command_lines("make") <= targets


@pytest.mark.parametrize("line", sorted(command_lines("dasp")))
def test_dasp_commands_parse(line):
    from mixing.cli import dasp

    command, arguments = dasp, shlex.split(line)
    while isinstance(command, click.Group):
        name, *arguments = arguments
        command = command.get_command(click.Context(command), name)
    command.make_context(name, arguments)  # parsed, not run


def test_the_main_job_is_documented():
    assert any(line.startswith("match ") and "--reference" in line for line in command_lines("dasp"))


def test_links_lead_somewhere():
    links = [(page, link) for page in PAGES for link in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())]
    assert links
    assert [f"{page.name}: {link}" for page, link in links if not (page.parent / link).exists()] == []


def test_generated_tables_are_fresh(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "tools")
    spec = importlib.util.spec_from_file_location("write_readme", ROOT / "tools" / "write_readme.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert tool.PAGE.read_text() == tool.page(), "run `make docs`"
    assert tool.PROXIES_PAGE.read_text() == tool.proxies_page(), "run `make docs`"
    assert tool.README.read_text() == tool.readme(), "run `make docs`"
    assert tool.PARITY_PAGE.read_text() == tool.parity_tables()[1], "run `make docs`"
    measured = {row["effect"] for row in json.loads(tool.MEASURED.read_text())["rows"]}
    assert measured == set(certified()), "run `make parity`"
