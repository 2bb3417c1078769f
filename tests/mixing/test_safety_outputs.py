"""One hostile song over everything that dasp writes: files stay in their folder, names are text on pages and on the terminal."""

import contextlib
import dataclasses
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
import yaml
from browser import opened
from listener import handed_in, invented_key
from synthetic import RATE, fake_match, listing, save, stem

from mixing import Multitrack, settings
from mixing.cli import main
from mixing.commands import match
from mixing.evaluation import statistics
from mixing.listening import analysis
from mixing.training.lightning import _table

ROOT = Path(__file__).resolve().parents[2]
NAMES = (
    "<img src=x onerror=pwned=1>",
    "\"'><svg onload=pwned=1>",
    "<script>pwned=1<",
    "x\\..\\..\\escaped",
    "\x1b]0;pwned\x07\x1b[31m",
    "a|b`c`\nd",
    "$\\frac{$",
    "CON",
    "[red]x[",
    "{{ 7 * 7 }}",
    "javascript:pwned=1",
    "--output",
    "=1+1",
    "\N{RIGHT-TO-LEFT OVERRIDE}gnp.wav",
    "x" * 240,
)
HTML = "</script><script>pwned=1</script><img src=x onerror=pwned=1>"
PAGES = ("report", "desk", "listening test", "listening report", "evaluation")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Everything written once: (its folder, its pages, what the terminal was told)."""
    base = tmp_path_factory.mktemp("safety")
    data, out = base / "in", base / "out"
    out.mkdir()
    save(base / "other" / "mix.wav", stem(0))
    song = data / "songs" / NAMES[0]
    for n, name in enumerate(NAMES):
        save(song / "stems" / f"{name}.wav", stem(n % 3, 1.0, RATE, 1 + n % 2), subtype="FLOAT")
    for name in NAMES[:2]:
        save(data / "songs" / name / "mix.wav", 0.3 * stem(1, 1.0, RATE, 2))
    save(data / "songs" / NAMES[1] / "stems" / f"{NAMES[4]}.wav", stem(1, 1.0))
    for k, condition in enumerate(NAMES[:3]):
        for name in (NAMES[1], NAMES[4]):
            save(data / "mixes" / condition / f"{name}.wav", (0.2 + 0.2 * k) * stem(k, 2.5, RATE, 2))
    (data / "welcome.txt").write_text(HTML)
    question = {"name": "q", "text": HTML, "type": "choice", "options": [HTML, "no"], "required": True}
    (data / "questions.json").write_text(json.dumps([question]))
    key = invented_key(conditions=NAMES[:3])
    rate = dict(zip(NAMES[:3], (20.0, 50.0, 80.0), strict=True))
    (data / "ratings").mkdir()
    (data / "ratings" / "key.json").write_text(json.dumps(key))
    for i in range(6):
        handed = handed_in(key, f"p{i}", lambda condition, criterion, page, i=i: rate[condition] + i)
        (data / "ratings" / f"p{i}.json").write_text(json.dumps(handed))
    before = {place: listing(base / place) for place in ("in", "other")}
    told = io.StringIO()

    def run(*args):
        with contextlib.redirect_stdout(told), contextlib.redirect_stderr(told), pytest.raises(SystemExit) as end:
            main([str(a) for a in args])
        assert not end.value.code, told.getvalue()

    mixed = out / HTML.replace("/", "")
    with pytest.MonkeyPatch.context() as patch:
        for module in (statistics, analysis):
            patch.setattr(module, "RESAMPLES", 100)
        run("mix", song, "--model", "sum", "-o", mixed, "--desk")
        run("export", mixed, "--to", "reaper", "-o", out / "a.rpp")
        run("export", mixed, "--to", "dawproject", "-o", out / "a.dawproject")
        run("apply-settings", song, mixed / "settings.json", out / "again.wav")
        texts = ("--title", HTML, "--welcome", data / "welcome.txt", "--questionnaire", data / "questions.json")
        mushra = ("--method", "mushra", "--reference", NAMES[0], "--webmushra", "--seconds", 2)
        run("listen", *(data / "mixes" / c for c in NAMES[:3]), "-o", out / "test", *texts, *mushra)
        run("listen-report", data / "ratings", "-o", out / "listened")
        run("evaluate", "sum", data / "mixes" / NAMES[2], "--data", data / "songs", "-o", out / "evaluated", "--by", "song")
        run("fx-normalise", data / "songs", out / "normalised", "--effects", "loudness")
        tracks = Multitrack.from_tracks([stem(n % 3, 1.0) for n in range(len(NAMES))], RATE, NAMES)
        tracks = dataclasses.replace(tracks, mix=0.1 * tracks.unity_mix())
        result = dataclasses.replace(fake_match(tracks), notes=(HTML, *NAMES))
        patch.setattr(match, "provenance", lambda **more: {"dasp": "0", "command": HTML, **more})
        match.write_results(out / "matched", tracks, result, HTML, "autodiff", 0)
        with contextlib.redirect_stdout(told):
            match._summary(result)
    assert {place: listing(base / place) for place in ("in", "other")} == before
    pages = (
        out / "matched" / "report.html",
        mixed / "desk" / "index.html",
        out / "test" / "page" / "index.html",
        out / "listened" / "listening.html",
        out / "evaluated" / "evaluation.html",
    )
    return out, dict(zip(PAGES, pages, strict=True)), told.getvalue()


def test_every_file_is_where_it_belongs(made):
    out, _, _ = made
    assert {p.name for p in out.parent.iterdir()} == {"in", "other", "out"}
    mixed = HTML.replace("/", "")
    top = {mixed, "a.rpp", "a_media", "a.dawproject", "again.wav", "test", "listened", "evaluated", "normalised", "matched"}
    assert {p.name for p in out.iterdir()} == top
    assert {p.name for p in (out / mixed).iterdir()} == {"mix.wav", "settings.json", "desk"}
    assert {p.name for p in (out / "matched").iterdir()} == {"mix.wav", "settings.json", "report.html"}
    assert {p.name for p in (out / "normalised").iterdir()} == {"statistics.json", *NAMES[:2]}
    for folder in (out / mixed / "desk", out / "a_media", out / "test"):
        for path in folder.rglob("*"):
            assert re.fullmatch(r"[\w.-]+", path.name, re.ASCII), path
            assert path.stem.upper() not in ("CON", "NUL") and len(path.name) < 100


def test_names_come_back_as_they_were(made):
    from mixing.export import read

    out, _, _ = made
    for file in ("a.rpp", "a.dawproject"):
        assert {t["name"] for t in read(out / file).settings["tracks"]} == set(NAMES)


def test_no_name_reaches_the_terminal_as_a_control(made):
    _, _, told = made
    assert "CON" in told and "javascript:pwned=1" in told and "[red]x[" in told
    assert {c for c in told if not c.isprintable()} == {"\n"}


@pytest.mark.browser
@pytest.mark.parametrize("kind", PAGES)
def test_no_script_of_a_name_runs(kind, made, browser):
    """`opened` adds: no request leaves the page's folder, no error is on the console (a refused script would be one)."""
    _, pages, _ = made
    with opened(browser, pages[kind]) as page:
        if kind == "desk":
            page.evaluate("dasp.ready")
            for name in (NAMES[0], NAMES[1]):
                page.get_by_role("button", name=name, exact=True).first.click()
        page.wait_for_timeout(100)
        assert page.evaluate("typeof pwned") == "undefined"
        text = page.evaluate("document.documentElement.textContent")
        assert ("onerror=pwned=1>" in text) == (kind != "listening test" or HTML in text)
        assert page.locator("[onerror], [onload], img, a[href^=javascript]").count() == 0


@pytest.mark.browser
def test_questions_of_a_listening_test_are_text(made, browser):
    _, pages, _ = made
    with opened(browser, pages["listening test"]) as page:
        assert page.title() == HTML
        assert HTML in page.locator("main").inner_text()
        page.evaluate("dasp.questions(() => {})")
        page.locator("select").select_option(HTML)
        assert page.locator("label").inner_text().startswith(HTML)
        page.locator("button.primary").click()
        assert page.evaluate("dasp.state.answers.q") == HTML
        assert page.locator("img").count() == 0
        assert page.evaluate("typeof pwned") == "undefined"


class Policy(HTMLParser):
    """The Content-Security-Policy of a page: directive -> sources."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)
        (policy,) = self.found
        self.rules = {words[0]: words[1:] for part in policy.split(";") if (words := part.split())}

    def handle_starttag(self, tag, attrs):
        about = dict(attrs)
        if about.get("http-equiv") == "Content-Security-Policy":
            self.found.append(about["content"])


@pytest.mark.parametrize("kind", PAGES)
def test_a_page_forbids_what_it_does_not_need(kind, made):
    _, pages, _ = made
    rules = Policy(pages[kind].read_text()).rules
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == ["'none'"]
    assert rules.get("connect-src", ["'none'"]) == ["'none'"]
    assert "'unsafe-inline'" not in rules.get("script-src", []) and "'unsafe-eval'" not in rules.get("script-src", [])
    assert not any("http" in source for sources in rules.values() for source in sources)
    assert ("script-src" in rules) == (kind in ("report", "desk", "listening test"))


@pytest.mark.browser
@pytest.mark.parametrize("kind", PAGES)
def test_a_script_that_got_in_would_not_run(kind, made, browser, tmp_path):
    """A second wall: were a name ever not escaped, the page's policy stops it."""
    _, pages, _ = made
    wrong = "<script>pwned=1</script><img src=x onerror='pwned=1'><base href='https://example.org/'><script src='https://example.org/x.js'></script>"
    (tmp_path / "p.html").write_text(pages[kind].read_text().replace("</body>", f"{wrong}</body>"))
    inside = browser.new_context(offline=True)
    page = inside.new_page()
    said = []
    page.on("console", lambda m: said.append(m.text))
    page.goto((tmp_path / "p.html").as_uri())
    page.wait_for_timeout(100)
    assert page.evaluate("typeof pwned") == "undefined"
    assert page.evaluate("document.baseURI").startswith("file:")
    assert sum("Content Security Policy" in line for line in said) >= 3, said
    inside.close()


@pytest.mark.browser
def test_the_pages_own_scripts_run(made, browser):
    """Their digests are those of what stands there. The desk and the test would not have opened; the report's is not seen."""
    _, pages, _ = made
    with opened(browser, pages["report"]) as page:
        assert page.evaluate("typeof all") == "object" and page.evaluate("all.length") == page.locator("audio").count() > 0


def test_no_script_of_a_page_makes_markup_of_text():
    scripts = sorted((ROOT / "mixing").rglob("*.js"))
    assert len(scripts) > 20
    bad = re.compile(
        r"(inner|outer)HTML|insertAdjacentHTML|document\.write|srcdoc|\beval\(|new Function|createContextualFragment"
    )
    assert [s.name for s in scripts if bad.search(s.read_text())] == []


def test_only_drawings_and_own_scripts_stand_in_a_page_as_they_are():
    """Everything else in a template is escaped: a name that is marked safe has to be one of these."""
    found = [
        (template.name, name)
        for template in sorted((ROOT / "mixing").rglob("*.j2"))
        for name in re.findall(r"\{\{\s*([^}]*?)\s*\|\s*safe\b", template.read_text())
    ]
    own = {"style", "sound", "worklet", "page", "player", "about", "drawing", "spectra", "losses"}
    assert {name for _, name in found} == own
    assert [t for t, name in found if name == "about"] == ["page.html.j2"]


def test_markdown_and_tables_hold_names_as_text(made):
    out, _, _ = made
    for file in (out / "evaluated" / "evaluation.md", out / "listened" / "listening.md"):
        text = file.read_text()
        assert not re.search(r"(?<!\\)<(img|svg|script)", text)
        assert {c for c in text if not c.isprintable()} == {"\n"}
    table = _table(NAMES, {"fader_db": torch.zeros(1, len(NAMES))})
    assert len(table.splitlines()) == 2 + len(NAMES)
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()} == {3}
    assert not re.search(r"(?<!\\)<", table)


def test_webmushra_reads_names_as_text(made):
    out, _, _ = made
    (file,) = (out / "test" / "webmushra" / "configs").glob("*.yaml")
    config = yaml.safe_load(file.read_text())
    assert config["testname"] == HTML
    assert "<script" not in config["pages"][0]["content"]
    assert "<script" not in json.dumps(config["pages"][-1]["questionnaire"])


@pytest.mark.parametrize(
    "name", ["../../other/mix", "/etc/passwd", "..\\..\\other\\mix", "a\0b", "y" * 300, "NUL", ".", "..", "stems/../a"]
)
def test_settings_name_stems_and_no_paths(name, tmp_path, dasp_command):
    """A name is looked up among the stems of the folder; nothing is opened by it."""
    save(tmp_path / "other" / "mix.wav", stem(0))
    save(tmp_path / "a" / "b" / "a.wav", stem(0))
    table = {"schema": settings.SCHEMA, "sample_rate": RATE, "tracks": [{"name": name, "fader_db": 0.0}]}
    save(tmp_path / "out" / "mix.wav", stem(0))
    (tmp_path / "out" / "settings.json").write_text(json.dumps(table))
    before, stems = listing(tmp_path), tmp_path / "a" / "b"
    for words in (
        ("apply-settings", stems, tmp_path / "out" / "settings.json", tmp_path / "out" / "x.wav"),
        ("export", tmp_path / "out", "--to", "reaper", "--stems", stems),
        ("export", tmp_path / "out", "--to", "dawproject", "--stems", stems),
        ("desk", tmp_path / "out", "--stems", stems),
    ):
        code, _, said = dasp_command(*words)
        assert code == 2 and "no stem is named" in said
    assert listing(tmp_path) == before


def test_outputs_replace_links_and_never_write_through_them(tmp_path, dasp_command, refused):
    save(tmp_path / "stems" / "a.wav", stem(0))
    own = tmp_path / "own"
    own.mkdir()
    for name in ("mix.wav", "settings.json", "o.wav", "out.dawproject", "index.html", "notes.txt"):
        (own / name).write_text("mine")
    out = tmp_path / "out"
    out.mkdir()
    for name in ("mix.wav", "settings.json", "out.dawproject"):
        (out / name).symlink_to(own / name)
    (tmp_path / "o.wav").symlink_to(own / "o.wav")
    (out / "out_media").symlink_to(own)
    before = listing(own)
    assert dasp_command("mix", tmp_path / "stems", "--model", "sum", "-o", out)[0] == 0
    assert dasp_command("apply-settings", tmp_path / "stems", out / "settings.json", tmp_path / "o.wav")[0] == 0
    assert dasp_command("export", out, "--to", "dawproject", "--stems", tmp_path / "stems")[0] == 0
    assert "is a link" in refused("export", out, "--to", "reaper", "--stems", tmp_path / "stems")
    (out / "desk").symlink_to(own)
    assert "holds files that are no mixing desk" in refused("desk", out, "--stems", tmp_path / "stems")
    (own / "notes.txt").unlink()
    for name in ("mix.wav", "settings.json", "o.wav", "out.dawproject"):
        (own / name).rename(tmp_path / f"{name}.kept")
    assert dasp_command("desk", out, "--stems", tmp_path / "stems")[0] == 0
    assert (own / "index.html").read_text() == "mine" and not (out / "desk").is_symlink()
    assert {k: v for k, v in before.items() if k != "notes.txt"}.items() >= listing(own).items()
    assert all((tmp_path / f"{n}.kept").read_text() == "mine" for n in ("mix.wav", "settings.json", "o.wav", "out.dawproject"))
