"""The mixing desk in a real browser: what is heard is what the settings say, and what is saved renders the same."""

import json
import re
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from browser import opened, serious_faults
from desk_song import SECONDS, full_settings, level_db, of_page, results, stems
from synthetic import RATE, save, stem

from mixing import Multitrack, demo_data, settings
from mixing.audio import read
from mixing.blocks import Whole
from mixing.cli import dasp
from mixing.desk import write
from mixing.loss import residual_db
from mixing.loudness import integrated_loudness
from mixing.playback import render
from mixing.plots import third_octaves

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder of results with a desk of several pieces, a reference and another mix."""
    base = tmp_path_factory.mktemp("desk")
    results(base / "out", stems(base / "song"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mixing.desk.carry._SECONDS", 0.5)
        reference = save(base / "reference.wav", stem(1, SECONDS, channels=2))
        dasp.main(
            ["desk", str(base / "out"), "--reference", str(reference), "--mix", f"other={base / 'out' / 'mix.wav'}"],
            standalone_mode=False,
        )
    return base


@pytest.fixture
def page(made, browser):
    options = {"viewport": {"width": 1440, "height": 1000}, "reduced_motion": "reduce"}  # nothing scrolls while it is clicked
    with opened(browser, made / "out" / "desk" / "index.html", **options) as page:
        page.evaluate("dasp.ready")
        yield page


def until(page, expression, seconds=20):
    """Wait; the page allows no script to be made of a string, so that Playwright's own waiting does not work."""
    end = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < end, expression
        page.wait_for_timeout(20)


def agreement(ours, exact) -> float:
    """The largest difference of third-octave bands in dB."""
    ours, exact = (third_octaves(x, RATE)[1] for x in (ours, exact))
    return float(np.abs(ours - exact).max())


def test_the_pages_mix_is_the_exact_render(made, page):
    exact, _ = read(made / "out" / "mix.wav")
    ours = of_page(page)
    assert level_db(exact) > 10
    assert agreement(ours, exact) < 0.05
    assert residual_db(ours[None], exact[None]) < -60


def test_a_fader_moved_by_the_keyboard_is_heard(page):
    page.get_by_role("button", name="Solo 1 kick").press("Enter")
    before, was = of_page(page), page.evaluate("dasp.desk.settings.state.tracks[0].fader_db")
    fader = page.get_by_role("slider", name="1 kick fader")
    fader.focus()
    for _ in range(30):
        page.keyboard.press("ArrowDown")
    now = page.evaluate("dasp.desk.settings.state.tracks[0].fader_db")
    assert -3.1 < now - was < -2.9
    assert fader.get_attribute("aria-valuetext") == f"{now:+.1f} dB".replace("-", "\N{MINUS SIGN}")
    assert abs(level_db(of_page(page)) - level_db(before) - (now - was)) < 0.1


def peak_of_kick(page) -> float:
    """The highest peak that the meter of the first strip shows while the loop goes round."""
    return page.evaluate(
        """() => new Promise((done) => {
             let peak = 0;
             dasp.desk.player.onmeters = ({ peaks }) => (peak = Math.max(peak, peaks[0]));
             setTimeout(() => done(20 * Math.log10(peak)), 2500);
           })"""
    )


def test_a_fader_moves_the_sound_that_is_playing(page):
    page.keyboard.press("l")
    page.keyboard.press(" ")
    until(page, "dasp.desk.player.meters.playing")
    before, was = peak_of_kick(page), page.evaluate("dasp.desk.settings.state.tracks[0].fader_db")
    number = page.get_by_role("spinbutton", name="1 kick fader, dB")
    number.fill(f"{was - 6:.2f}")
    number.press("Enter")
    page.wait_for_timeout(300)
    assert abs(peak_of_kick(page) - before + 6) < 0.1
    assert page.evaluate("dasp.desk.player.dropouts.stalls") == 0


def test_solo_and_mute(page):
    kick = page.get_by_role("button", name="Solo 1 kick")
    kick.press("Enter")
    assert kick.get_attribute("aria-pressed") == "true"
    alone = of_page(page)
    kick.press("Enter")
    for name in ("2 synth", "3 hat"):
        page.get_by_role("button", name=f"Mute {name}").press("Space")
    assert level_db(alone) > 0
    assert (of_page(page) - alone).abs().max() < 1e-6
    page.get_by_role("button", name="Mute 1 kick").press("Space")
    assert of_page(page).abs().max() == 0


def set_number(page, label, value):
    entry = page.get_by_role("spinbutton", name=label)
    entry.fill(str(value))
    entry.press("Enter")


def test_saved_settings_render_as_the_page_plays_them(made, page, dasp_command, tmp_path):
    set_number(page, "1 kick fader, dB", -4.5)
    set_number(page, "1 kick pan, %", -40)
    set_number(page, "1 kick send to reverb, dB", -2)
    page.get_by_role("button", name="2 synth", exact=True).press("Enter")
    set_number(page, "2 synth Peak 2 Gain, dB", 7)
    set_number(page, "2 synth Peak 2 Frequency, Hz", 1500)
    set_number(page, "2 synth Compressor Threshold, dB", -30)
    set_number(page, "2 synth Compressor Ratio, :1", 6)
    page.get_by_role("button", name="Reverb", exact=True).press("Enter")
    set_number(page, "reverb Reverb Room size, number", 0.8)
    page.get_by_role("button", name="Mute 3 hat").press("Enter")
    set_number(page, "Output gain of the mix, dB", -5)
    with page.expect_download() as download:
        page.get_by_role("button", name="Save settings").press("Enter")
    assert download.value.suggested_filename == "settings.json"
    download.value.save_as(tmp_path / "settings.json")
    saved = settings.read(tmp_path / "settings.json")
    kick, synth, hat = saved["tracks"]
    assert (kick["fader_db"], kick["sends_db"], hat["mute"], synth["mute"]) == (-4.5, {"reverb": -2}, True, False)
    assert kick["pan"] == pytest.approx(0.3)
    assert synth["inserts"][0]["controls"]["peak2_gain_db"] == {"value": 7, "unit": "dB"}
    assert "Changed on the mixing desk." in saved["notes"]
    code, *_ = dasp_command("apply-settings", made / "song", tmp_path / "settings.json", tmp_path / "exact.wav")
    assert code == 0
    exact, _ = read(tmp_path / "exact.wav")
    ours = of_page(page)
    assert agreement(ours, read(made / "out" / "mix.wav")[0]) > 1
    assert agreement(ours, exact) < 0.05
    # The file goes back in, and comes out the same.
    page.get_by_role("button", name="Reset").press("Enter")
    assert not page.evaluate("dasp.desk.settings.isChanged")
    page.set_input_files("#file", tmp_path / "settings.json")
    until(page, "dasp.desk.settings.isChanged")
    assert json.loads(page.evaluate("dasp.desk.settings.text()")) == saved


def test_a_band_is_drawn_in_the_curve(page):
    page.get_by_role("button", name="Effects of 2 synth").press("Enter")
    band = "dasp.desk.settings.state.tracks[1].inserts[0].controls"
    handle = page.locator(".handle").nth(2).locator("circle").last
    plot = page.locator(".wide .plot").bounding_box()
    box = handle.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    # A quarter of the height is half of the range up; the range is 18 dB. Half of the width is the middle of 20 Hz and 20 kHz.
    page.mouse.move(plot["x"] + plot["width"] / 2, plot["y"] + plot["height"] / 4, steps=4)
    page.mouse.up()
    assert page.evaluate(f"{band}.peak2_gain_db.value") == pytest.approx(9, abs=0.3)
    assert page.evaluate(f"{band}.peak2_cutoff_frequency_hz.value") == pytest.approx(632, rel=0.02)
    page.keyboard.press("Control+z")
    assert not page.evaluate("dasp.desk.settings.isChanged")


def test_undo_and_redo(page):
    text = "dasp.desk.settings.text()"
    first = page.evaluate(text)
    set_number(page, "1 kick fader, dB", -4.5)
    page.get_by_role("button", name="Mute 2 synth").press("Enter")
    last = page.evaluate(text)
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    assert page.evaluate(text) == first
    assert page.get_by_role("button", name="Undo").is_disabled()
    page.keyboard.press("Control+Shift+z")
    page.get_by_role("button", name="Redo").press("Enter")
    assert page.evaluate(text) == last


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: "no", "is not JSON"),
        (lambda s: s | {"schema": "dasp-settings/2"}, "is no dasp-settings/1 file"),
        (lambda s: s | {"sample_rate": 44100}, "are for 44100 Hz"),
        (lambda s: s | {"tracks": s["tracks"][1:]}, "other tracks"),
        (lambda s: s | {"tracks": None}, "other tracks"),
        (lambda s: s | {"buses": []}, "other buses"),
        (lambda s: s["tracks"][0].update(fader_db="<b>") or s, "1 kick: fader must be a number"),
        (lambda s: s["tracks"][0].update(inserts=[]) or s, "1 kick has other effects"),
        (lambda s: s["tracks"][0]["inserts"][1]["controls"]["ratio"].update(value=99) or s, "Compressor's ratio"),
        (lambda s: s["tracks"][0].update(lag_samples=3) or s, "another lag"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_in_a_sentence(made, page, tmp_path, change, words):
    given = change(json.loads((made / "out" / "settings.json").read_text()))
    (tmp_path / "s.json").write_text(given if isinstance(given, str) else json.dumps(given))
    before = page.evaluate("dasp.desk.settings.text()")
    page.set_input_files("#file", tmp_path / "s.json")
    until(page, "document.getElementById('alert').textContent")
    assert words in page.get_by_role("alert").inner_text()
    assert page.evaluate("dasp.desk.settings.text()") == before


def test_transport(page):
    page.keyboard.press("Space")
    until(page, "dasp.desk.player.meters.position > 22050 * 0.3")
    assert page.get_by_role("button", name="Pause").is_visible()
    page.keyboard.press("Space")
    until(page, "!dasp.desk.player.meters.playing")
    position = page.get_by_role("slider", name="Position")
    position.focus()
    page.keyboard.press("ArrowRight")
    until(page, "dasp.desk.player.meters.position >= 22050 * 1.3")
    page.get_by_role("button", name="Loop ends here").press("Enter")
    assert page.evaluate("dasp.desk.player.loop")[0] == 0
    position.focus()
    page.keyboard.press("Space")
    until(page, "dasp.desk.player.meters.position < 22050 * 0.5")
    page.keyboard.press("l")
    # Without the loop it ends where the song does.
    until(page, "!dasp.desk.player.meters.playing")
    assert page.evaluate("dasp.desk.player.meters.position") >= RATE * SECONDS


def test_versions_play_at_one_loudness(made, page):
    names = page.locator(".version .who").all_inner_texts()
    assert names == ["Mix", "Plain sum", "Exact render", "Reference", "other"]
    files = [made / "out" / "mix.wav", made / "reference.wav"]
    mix, reference = (integrated_loudness(read(f)[0], RATE) for f in files)
    gains = page.evaluate("dasp.desk.gains")
    assert gains[3] == pytest.approx(mix - reference, abs=1e-6)
    assert gains[2] == gains[0] == 0
    shown = page.get_by_label(re.compile("^4 ?Reference")).locator("xpath=..").inner_text()
    assert f"{gains[3]:+.1f} dB".replace("-", "\N{MINUS SIGN}") in shown
    page.keyboard.press("4")
    assert page.get_by_role("radio", name="Reference").is_checked()
    page.keyboard.press("b")
    assert page.get_by_role("radio", name="Mix", exact=False).first.is_checked()
    page.keyboard.press("b")
    page.keyboard.press("Space")
    until(page, "dasp.desk.player.meters.position > 8000")
    page.get_by_role("checkbox", name="At one loudness").uncheck()
    assert page.evaluate("dasp.desk.gains") == [0] * 5


def test_a_changed_mix_is_measured_again(page):
    set_number(page, "Output gain of the mix, dB", -12)
    assert page.get_by_text("measured before your changes").is_visible()
    page.get_by_role("button", name="Measure the mix").press("Enter")
    until(page, "!dasp.desk.isStale")
    assert page.get_by_text("measured before your changes").is_hidden()
    expected = integrated_loudness(of_page(page), RATE)
    assert page.evaluate("dasp.desk.measured.loudness") == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_it_can_be_used_by_everyone(made, browser, tmp_path, scheme, width):
    options = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
    with opened(browser, made / "out" / "desk" / "index.html", **options) as page:
        page.evaluate("dasp.ready")
        for summary in page.locator("summary").all():
            summary.press("Enter")
        page.get_by_role("button", name="Mute 3 hat").press("Enter")
        page.get_by_role("button", name="Solo 1 kick").press("Enter")
        page.screenshot(path=tmp_path / f"desk-{scheme}-{width}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert serious_faults(page) == []


def test_stems_arrive_sample_by_sample(made, page):
    ours = page.evaluate("dasp.desk.carrier.load(1, 1).then((sides) => sides.map((side) => Array.from(side)))")
    expected = read(made / "song" / "2 synth.wav")[0]
    length = page.evaluate("dasp.desk.song.piece")
    exact = expected[:, length : 2 * length].double()
    assert (torch.tensor(ours, dtype=torch.float64) - exact).abs().max() <= 2**-24


def test_the_desk_of_the_demo_song(tmp_path, browser):
    whole = Multitrack.from_folder(Path(demo_data.__file__).parent / "francium")
    tracks = whole.excerpt(round(22 * whole.sample_rate), round(1.5 * whole.sample_rate))
    values = full_settings(tracks, master=False)
    write(tmp_path / "desk", "francium", values, Whole(tracks))
    with opened(browser, tmp_path / "desk" / "index.html") as page:
        page.evaluate("dasp.ready")
        exact, ours = render(settings_of(tmp_path, values), tracks), of_page(page)
        ours_db, exact_db = (third_octaves(x, tracks.sample_rate)[1] for x in (ours, exact))
        assert level_db(exact) > 20
        assert np.abs(ours_db - exact_db).max() < 0.05
        page.get_by_role("button", name="Solo 05_kick").press("Enter")
        before, was = of_page(page), page.evaluate("dasp.desk.settings.state.tracks[4].fader_db")
        page.get_by_role("slider", name="05_kick fader").focus()
        for _ in range(20):
            page.keyboard.press("ArrowUp")
        moved = page.evaluate("dasp.desk.settings.state.tracks[4].fader_db") - was
        assert moved > 1.8
        assert abs(level_db(of_page(page)) - level_db(before) - moved) < 0.1


HOSTILE = "<script>alert(1)</script>"


def test_what_is_printed_and_what_is_foreign(tmp_path, browser):
    names = (HOSTILE, '"><img src=x onerror=alert(1)>', "plain")
    tracks = Multitrack.from_tracks([stem(n, 1.0, channels=1 + n % 2) for n in range(3)], RATE, names)
    values = full_settings(tracks)
    values["tracks"][0]["inserts"].insert(1, {"effect": "Distortion", "controls": {"drive_db": {"value": 12.0}}})
    values["tracks"][0]["lag_samples"] = 100
    gain = {"gain_db": {"value": 6.0}}
    shaped = [{"effect": "PeakFilter", "controls": gain}, {"effect": "HighShelfFilter", "controls": gain}]
    values["tracks"][1]["inserts"] = [{"effect": "HighpassFilter"}, *shaped, {"effect": "NoiseGate"}, {"effect": "Limiter"}]
    values["buses"].append({"name": "echo", "effects": [{"effect": "Delay"}]})
    values["tracks"][2]["sends_db"]["echo"] = -3.0
    values["tracks"][2]["inserts"] = [{"effect": "Reverb"}, {"effect": "LowpassFilter"}]
    values["notes"] = [HOSTILE]
    write(tmp_path / "desk", HOSTILE, values, Whole(tracks), notes=[HOSTILE])
    with opened(browser, tmp_path / "desk" / "index.html") as page:
        page.evaluate("dasp.ready")
        assert page.locator("h1").inner_text() == HOSTILE
        assert page.get_by_role("button", name=HOSTILE, exact=True).count() == 1
        assert page.locator("img").count() == 0
        assert page.get_by_text("Printed: in the sound as it is rendered").is_visible()
        page.locator("summary").first.press("Enter")
        said = page.locator("details").first.inner_text()
        assert f"{HOSTILE}: ParametricEQ, Distortion cannot be changed here" in said
        assert "The bus echo is played as it was rendered" in said
        exact = render(settings_of(tmp_path, values), tracks)
        assert agreement(of_page(page), exact) < 0.05
        assert residual_db(of_page(page)[None], exact[None]) < -50


def settings_of(tmp_path, values):
    settings.write(tmp_path / "s.json", values)
    return settings.read(tmp_path / "s.json")


def test_a_damaged_or_missing_sound_is_said(made, browser, tmp_path):
    import shutil

    for name, words in (("damaged", "is damaged"), ("missing", "is missing")):
        folder = shutil.copytree(made / "out" / "desk", tmp_path / name)
        piece = folder / "audio" / "001-0000.js"
        if name == "missing":
            piece.unlink()
        else:
            content = piece.read_bytes()
            piece.write_bytes(content[:500] + bytes([content[500] ^ 1]) + content[501:])
        inside = browser.new_context()
        page = inside.new_page()
        page.goto((folder / "index.html").as_uri())
        page.evaluate("dasp.ready")
        assert words in page.get_by_role("alert").inner_text()
        inside.close()
