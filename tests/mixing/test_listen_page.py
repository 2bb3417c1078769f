"""The page of a listening test in Chromium: taken with the keyboard alone, kept over reloads, without clicks, shut to outside."""

import http.server
import json
import threading
from contextlib import contextmanager

import pytest
from browser import opened, serious_faults
from listener import Listener, listen, mixes, table

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return list(mixes(tmp_path_factory.mktemp("mixes")).values())


@pytest.fixture(scope="module")
def ape(folders, tmp_path_factory):
    return listen(tmp_path_factory.mktemp("ape") / "t", *folders, "--criteria", "value,excitement")


@pytest.fixture(scope="module")
def mushra(folders, tmp_path_factory):
    options = ("--method", "mushra", "--reference", "human", "--anchor", "--criteria", "similarity")
    return listen(tmp_path_factory.mktemp("mushra") / "t", *folders, *options)


def wanted(label):
    """Keys by which a mark or slider comes to a place that only its letter settles: A 90, B 75, ..."""
    return ["End", *["PageDown"] * (1 + "ABCDE".index(label)), *["ArrowRight"] * 5 * (label != "A")]


PLACES = {"A": 90, "B": 85, "C": 75, "D": 65, "E": 55}


def decoded(out, result):
    """Condition -> ratings, by the key."""
    key = json.loads((out / "key.json").read_text())
    found = {}
    for page in result["pages"]:
        for s in page["stimuli"]:
            found.setdefault(key["pages"][page["page"]]["stimuli"][s["stimulus"]]["condition"], []).extend(s["ratings"].values())
    return found


def taken(browser, out, folder, reload_at=(), **context):
    """A whole test by keyboard; the result, as saved."""
    with opened(browser, out / "page" / "index.html", **context) as page:
        me = Listener(page)
        me.begin()
        me.set_volume()
        me.ready("Training")
        me.fill(wanted)
        me.next()
        for k in range(page.evaluate("dasp.test.pages.length")):
            me.ready(f"Page {k + 1} of")
            if k in reload_at:
                me.hear("a")
                me.rate(wanted("A"))
                before = me.state()
                page.reload()
                me.ready(f"Page {k + 1} of")
                after = me.state()
                assert after["order"] == before["order"]
                assert after["participant"] == "p1"
                assert after["volume_db"] == before["volume_db"] == -3
                (now,) = [after["pages"][n] for n in after["order"][k : k + 1]]
                then = before["pages"][after["order"][k]]
                assert now["ratings"] == then["ratings"] and any(now["ratings"].values())
                assert now["plays"] == then["plays"] and now["order"] == then["order"]
                shown = page.evaluate("document.querySelector('[role=slider], .rated input').getAttribute('aria-valuetext')")
                assert shown.startswith("90")
            me.fill(wanted)
            me.next()
        me.answer()
        files = me.save(folder)
        me.heading("Thank you")
        page.reload()
        me.heading("Thank you")
        assert me.state()["result"] == json.loads(files[0].read_text())
    return files


@pytest.mark.parametrize(("method", "reload_at"), [("ape", (1,)), ("mushra", (0,))])
def test_a_whole_test_by_keyboard(method, reload_at, request, browser, tmp_path, dasp_command):
    out = request.getfixturevalue(method)
    saved, rows = taken(browser, out, tmp_path, reload_at)
    assert saved.name == "ratings_p1.json" and rows.name == "ratings_p1.csv"
    result = json.loads(saved.read_text())
    assert len(result["pages"]) == 2
    for page in result["pages"]:
        for s in page["stimuli"]:
            assert set(s["ratings"].values()) == {PLACES[s["label"]]}
            assert s["plays"] >= 1 and s["heard_s"] > 0.1
        assert page["seconds"] > 0.4
    rows = table(rows)
    assert len(rows) == sum(len(s["ratings"]) for p in result["pages"] for s in p["stimuli"])
    off = ("--min-page-seconds", 0, "--min-heard", 0.1, "--reference-below", 0, "--repeat-tolerance", 100)
    code, _, err = dasp_command("listen-report", saved, "--key", out / "key.json", "-o", tmp_path / "report", *off)
    assert code == 0, err
    assert "left out" not in err
    rows = table(tmp_path / "report" / "ratings.csv")
    found = {}
    for row in rows:
        found.setdefault(row["condition"], []).append(float(row["rating"]))
    assert {c: sorted(v) for c, v in found.items()} == {c: sorted(v) for c, v in decoded(out, result).items()}
    assert found


@pytest.mark.parametrize("scheme", ["dark", "light"])
@pytest.mark.parametrize("method", ["ape", "mushra"])
def test_every_step_is_accessible_and_fits(method, scheme, request, browser, tmp_path):
    out = request.getfixturevalue(method)
    width = {"dark": 360, "light": 1000}[scheme]
    with opened(browser, out / "page" / "index.html", color_scheme=scheme, viewport={"width": width, "height": 800}) as page:
        me = Listener(page)

        def look():
            step = page.text_content("h1").split(":")[0]
            page.screenshot(path=tmp_path / f"{method}-{scheme}-{step}.png", full_page=True)
            assert serious_faults(page) == []
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing is wider than the page"

        look()
        me.begin()
        me.heading("Set the volume")
        page.wait_for_selector("button.play")
        look()
        me.set_volume()
        me.ready("Training")
        look()
        me.fill(lambda label: ["End"])  # all on one place: marks are stacked
        if method == "ape":
            boxes = page.evaluate(
                "[...document.querySelectorAll('.mark')].map(m => (r => [r.x, r.y])(m.getBoundingClientRect()))"
            )
            assert len({tuple(map(round, b)) for b in boxes}) == len(boxes)
        look()
        me.next()
        me.ready("Page 1 of")
        for step, heading in (("questions", "Some questions"), ("finish", "Thank you")):
            page.evaluate("dasp.state.order.forEach(n => dasp.pageState(dasp.test.pages.find(p => p.page === n)))")
            page.evaluate("s => { dasp.state.step = s; dasp.save(); }", step)
            page.reload()
            me.heading(heading)
            look()


def test_nothing_is_left_before_all_is_heard_and_rated(ape, browser):
    with opened(browser, ape / "page" / "index.html") as page:
        me = Listener(page)
        told = lambda: page.evaluate("document.querySelector('[role=alert]').textContent")
        me.tab_to("button.primary")
        me.keys.press("Enter")
        assert "tick the box" in told()
        me.begin()
        me.heading("Set the volume")
        me.tab_to("button.primary")
        me.keys.press("Enter")
        assert "play the sound first" in told()
        me.set_volume()
        me.ready("Training")
        me.next()
        assert told() == "Please listen to A, B, C as well."
        me.hear("b")
        me.next()
        assert told() == "Please listen to A, C as well."
        me.hear("a")
        me.hear("c")
        me.next()
        assert told() == "Please place A, B, C under Production value as well."
        me.keys.press("c")
        me.keys.press("ArrowLeft")
        me.next()
        assert told() == "Please place A, B under Production value as well."
        assert "Training" in page.text_content("h1")


def test_marks_are_dragged_too(ape, browser):
    with opened(browser, ape / "page" / "index.html") as page:
        me = Listener(page)
        me.begin()
        me.set_volume()
        me.ready("Training")
        mark = page.locator(".mark").first
        box, line = mark.bounding_box(), page.locator(".axis").first.bounding_box()
        page.mouse.move(box["x"] + 20, box["y"] + 20)
        page.mouse.down()
        page.mouse.move(line["x"] + line["width"] - 22, box["y"] + 20, steps=4)
        page.mouse.up()
        kept = page.evaluate("dasp.pageState(dasp.currentPage())")
        assert kept["ratings"]["value"] == {kept["order"][0]: 100}
        assert kept["plays"][kept["order"][0]] == 1
        assert mark.get_attribute("aria-valuetext") == "100 of 100"


def test_letters_can_be_turned_off_and_are_text_where_one_types(ape, browser):
    with opened(browser, ape / "page" / "index.html") as page:
        me = Listener(page)
        me.begin()
        me.set_volume()
        me.ready("Training")
        me.tab_to("textarea")
        me.keys.type("a b c")
        kept = page.evaluate("dasp.pageState(dasp.currentPage())")
        assert kept["comment"] == "a b c" and not any(kept["plays"].values())
        page.evaluate("document.querySelector('h1').focus()")
        me.tab_to("input[type=checkbox]")
        me.keys.press("Space")
        me.keys.press("a")
        assert not any(page.evaluate("dasp.pageState(dasp.currentPage()).plays").values())


def test_a_second_person_starts_anew_and_the_first_is_kept(ape, browser):
    with opened(browser, ape / "page" / "index.html") as page:
        me = Listener(page)
        me.begin()
        me.set_volume(0)
        me.ready("Training")
        page.evaluate("dasp.state.order.forEach(n => dasp.pageState(dasp.test.pages.find(p => p.page === n)))")
        page.evaluate("dasp.state.step = 'finish'; dasp.save()")
        page.reload()
        me.heading("Thank you")
        me.tab_to("main p:last-child button")
        me.keys.press("Enter")
        assert "have not been saved" in page.text_content("[role=alert]")
        me.keys.press("Enter")
        me.heading("Listening test")
        assert me.state()["participant"] is None
        me.begin()
        assert "has taken this test here" in page.text_content("[role=alert]")
        me.name = "p2"
        page.evaluate("document.querySelector('input[type=checkbox]').checked = false")
        me.begin()
        me.heading("Set the volume")


def test_a_browser_that_keeps_nothing_is_said(ape, browser):
    with opened(browser, ape / "page" / "index.html") as page:
        page.add_init_script("Storage.prototype.setItem = () => { throw new Error('no room'); }")
        page.reload()
        assert "would lose your ratings" in page.text_content(".complaint")
        me = Listener(page)
        me.begin()
        me.heading("Set the volume")


def test_another_version_of_the_test_starts_anew(ape, browser):
    with opened(browser, ape / "page" / "index.html") as page:
        Listener(page).begin()
        page.evaluate("dasp.state.digest = 'of another'; dasp.save()")
        page.reload()
        Listener(page).heading("Listening test")
        assert Listener(page).state()["participant"] is None


def test_a_sound_that_is_missing_is_said(ape, browser, tmp_path):
    import shutil

    copy = shutil.copytree(ape / "page", tmp_path / "page")
    for file in (copy / "audio").iterdir():
        file.write_text("")
    with opened(browser, copy / "index.html") as page:
        me = Listener(page)
        me.begin()
        page.wait_for_selector("[role=alert]")
        assert "could not be loaded" in page.text_content("[role=alert]")


@contextmanager
def collector(answer=200):
    """A server that keeps what is posted to it."""
    got = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            got.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
            self.send_response(answer)
            self.send_header("Access-Control-Allow-Origin", "*")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/ratings?test=1", got
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("answer", [200, 500])
def test_ratings_are_posted_where_asked_and_nowhere_else(answer, folders, browser, tmp_path):
    with collector(answer) as (url, got):
        out = listen(tmp_path / "t", *folders[:2], "--post-url", url)
        page = browser.new_page()
        asked = []
        page.on("request", lambda r: asked.append(r.url))
        page.goto((out / "page" / "index.html").as_uri())
        me = Listener(page)
        me.begin()
        me.set_volume(0)
        me.ready("Training")
        page.evaluate("dasp.state.order.forEach(n => dasp.pageState(dasp.test.pages.find(p => p.page === n)))")
        page.evaluate("dasp.state.step = 'finish'; dasp.save()")
        page.reload()
        said = {200: "were sent", 500: "not certain"}[answer]
        page.wait_for_function("t => document.querySelector('main [role=status]')?.textContent.includes(t)", arg=said)
        state = me.state()
        page.close()
    assert got == [("/ratings?test=1", state["result"])]
    assert state["downloaded"] == (answer == 200)
    assert [u for u in asked if not u.startswith("file:")] == [url]
