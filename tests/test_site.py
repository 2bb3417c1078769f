"""The documentation site: it builds without a warning, needs no network, can be searched and read by everybody."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from browser import opened, serious_faults

from dasp.effects import registry

ROOT = Path(__file__).resolve().parents[1]
TOOLS = str(ROOT / "tools")


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The short form: all pages, pictures and sounds of two effects, notebooks that are not run. Workers share one."""
    from filelock import FileLock

    base = tmp_path_factory.getbasetemp()
    out = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "site"
    with FileLock(f"{out}.lock"):
        if not (out / "objects.inv").exists():
            command = [sys.executable, str(ROOT / "tools" / "build_site.py"), "--short", "--quiet", "-o", str(out)]
            built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
            assert built.returncode == 0, built.stderr[-3000:]
            assert "WARNING" not in built.stderr
    return out


def test_it_builds_without_a_warning_and_has_every_page(site):
    pages = {p.relative_to(site).as_posix() for p in site.rglob("*.html")}
    assert {f"effects/{name}.html" for name in registry()} <= pages
    assert {"index.html", "five_minutes.html", "strategies.html", "limits.html", "contributing.html", "api/dasp.html"} <= pages
    assert not [p for p in pages if p.startswith("equations/")]


def test_nothing_is_asked_of_other_hosts(site):
    """What a page loads lies beside it; links that a reader follows may lead anywhere."""
    for page in site.rglob("*.html"):
        tags = re.findall(r"<(?:script|img|audio|source|iframe|link)\b[^>]*>", page.read_text())
        assert [tag for tag in tags if re.search(r"(?:src|href)=[\"'](?:https?:)?//", tag)] == [], page
    for sheet in site.rglob("*.css"):
        assert not re.findall(r"url\([\"']?(?:https?:)?//|@import", sheet.read_text()), sheet


def test_an_effects_page_has_what_it_should(site):
    page = (site / "effects" / "Compressor.html").read_text()
    for part in ("threshold_db", "<math", "Giannoulis", "SPSA 16", "Parity", "attack_ms", "_static/sounds/Compressor.mp3"):
        assert part in page
    assert (site / "_static" / "sounds" / "Compressor.mp3").stat().st_size > 10000
    assert "<svg" in (site / "_images" / "Compressor.svg").read_text()


@pytest.mark.browser
def test_search_finds_an_effect_from_disk(site, browser):
    with opened(browser, site / "index.html") as page:
        page.get_by_role("textbox", name="Search").fill("compressor")
        page.keyboard.press("Enter")
        page.wait_for_selector("ul.search li a", timeout=20000)
        assert any("Compressor" in text for text in page.locator("ul.search li a").all_inner_texts())


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_everybody_can_read_it(site, browser, scheme, width):
    size = {"width": width, "height": 844}
    with opened(browser, site / "index.html", color_scheme=scheme, viewport=size) as page:
        for name in ("index", "effects/Compressor", "strategies"):
            page.goto((site / f"{name}.html").resolve().as_uri())
            assert serious_faults(page) == []
            assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.browser
def test_equations_are_drawn_and_pictures_load(site, browser):
    with opened(browser, site / "index.html") as page:
        page.goto((site / "effects" / "Reverb.html").resolve().as_uri())
        heights = page.evaluate("[...document.querySelectorAll('.equation math')].map(m => m.getBoundingClientRect().height)")
        assert min(heights) > 20
        assert min(page.evaluate("[...document.images].map(i => i.naturalWidth)")) > 0
        page.evaluate("document.querySelectorAll('audio').forEach(a => { a.preload = 'metadata'; a.load(); })")
        page.wait_for_function("[...document.querySelectorAll('audio')].every(a => a.duration > 3)", timeout=20000)


@pytest.mark.parametrize("name", registry())
def test_every_effect_has_its_equation_with_a_source_and_an_example(name, monkeypatch):
    monkeypatch.syspath_prepend(TOOLS)
    from docutils.utils.math.latex2mathml import tex2mathml
    from website.examples import FAMILIES, example
    from website.pages import EQUATIONS, _call

    text = (EQUATIONS / f"{name}.md").read_text()
    blocks = text.split("$$")[1::2]
    assert blocks and "\nSource: " in text
    for block in blocks:
        tex2mathml(block.strip(), as_block=True)
    assert example(name).family in FAMILIES
    exec("\n".join(_call(registry()[name])), {})


def test_no_equation_is_left_of_an_effect_that_is_gone(monkeypatch):
    monkeypatch.syspath_prepend(TOOLS)
    from website.examples import EXAMPLES
    from website.pages import EQUATIONS

    assert {p.stem for p in EQUATIONS.glob("*.md")} == set(registry()) == set(EXAMPLES)


def test_an_effect_without_an_example_is_told_where_to_add_one(monkeypatch):
    monkeypatch.syspath_prepend(TOOLS)
    from website.examples import example

    with pytest.raises(KeyError, match="add one to tools/website/examples"):
        example("Nothing")
