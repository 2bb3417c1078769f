"""report.html: whole, safe, small, and words in place of numbers that would mean nothing."""

import base64
import dataclasses
import io
import math
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import soundfile
import torch
from synthetic import RATE, fake_match, stem

from mixing import Multitrack, report
from mixing.loudness import integrated_loudness
from mixing.plots import losses, third_octaves
from mixing.settings import of_match

HOSTILE = '</td><script>alert("x")</script><img src=x onerror=alert(1)>'


class Page(HTMLParser):
    """Elements, text, and whether every element that was opened was closed."""

    VOID = {"meta", "link", "img", "br", "hr", "wbr", "input", "path", "use"}

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.words, self.wrong = [], [], [], []
        self.feed(text)
        assert not self.open
        assert not self.wrong

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag in self.VOID:
            return
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.words.append(data.strip())

    @property
    def text(self):
        return " ".join(w for w in self.words if w)

    def all(self, tag):
        return [a for t, a in self.elements if t == tag]


def make(seconds=1.5, names=("kick", "synth", "hat"), rate=RATE, master=True):
    tracks = Multitrack.from_tracks([stem(k, seconds, rate, 1 + k % 2) for k in range(3)], rate, names)
    tracks = dataclasses.replace(tracks, mix=0.4 * tracks.unity_mix())
    result = fake_match(tracks, lag=40, master=master)
    about = {"dasp": "0.1.0", "seed": 0, "gradient": "autodiff", "reference": "mix.wav", "command": "dasp match"}
    settings = of_match(result, tracks.channels[0].tolist(), about)
    return result, settings, tracks


@pytest.fixture(scope="module")
def made():
    result, settings, tracks = make()
    text = report.page(result, settings, tracks)
    return result, settings, tracks, text, Page(text)


def test_it_has_its_parts(made):
    result, _, _, _, page = made
    for part in (
        "How mix.wav was mixed",
        "Residual",
        "\N{MINUS SIGN}33.0 dB",
        "Listen",
        "Settings",
        "Curves",
        "A note.",
        "Bus: reverb",
        "Master",
    ):
        assert part in page.text
    assert len(page.all("audio")) == 4
    assert len([a for a in page.all("svg") if a.get("role") == "img" and a.get("aria-label")]) == 2
    for name in result.tracks:
        assert name in page.text


def test_it_needs_nothing_from_outside(made):
    *_, text, page = made
    for _, attributes in page.elements:
        for key in ("src", "href", "xlink:href", "action", "data", "poster", "srcset"):
            if key in attributes:
                assert attributes[key].startswith(("data:audio/", "#"))
    assert not re.search(r"@import|url\((?!#)", text)
    assert "default-src 'none'" in next(a["content"] for a in page.all("meta") if a.get("http-equiv"))


def test_ids_are_unique_and_references_lead_somewhere(made):
    page = made[-1]
    ids = [a["id"] for _, a in page.elements if "id" in a]
    assert len(ids) == len(set(ids))
    wanted = {a[k].lstrip("#") for _, a in page.elements for k in ("aria-labelledby", "xlink:href") if k in a}
    wanted |= {m for _, a in page.elements for v in a.values() for m in re.findall(r"url\(#([^)]+)\)", v or "")}
    assert wanted
    assert wanted <= set(ids)


def test_it_follows_light_and_dark_in_every_colour(made):
    *_, text, _ = made
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)[1]
    light, dark = (set(re.findall(r"(--[\w-]+):", block)) for block in style.split("prefers-color-scheme: dark")[:2])
    assert light == dark == set(re.findall(r"var\((--[\w-]+)\)", text))
    for svg in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        assert not re.search(r"(?:fill|stroke): #(?!fff)", svg)


def test_names_from_outside_are_text():
    result, settings, tracks = make(names=(HOSTILE, "b", "c"))
    settings["provenance"] |= {"reference": HOSTILE, "command": HOSTILE}
    settings["notes"] = [HOSTILE]
    page = Page(report.page(result, settings, tracks))
    assert len(page.all("script")) == 1
    assert not page.all("img")
    assert page.text.count(HOSTILE) == 5


def test_words_stand_where_numbers_would_mean_nothing(made):
    _, settings, *_ = made
    inactive, always, unheard = (report.row(t) for t in settings["tracks"])
    cells = [{c.title: c for c in r.cells} for r in (inactive, always, unheard)]
    assert [c.title for c in inactive.cells] == ["Fader", "Pan", "Low shelf", "Peak", "High shelf", "Compressor", "Reverb send"]
    assert cells[0]["Compressor"].lines == ("inactive",)
    assert inactive.flags == ["40 samples late: move it earlier"]
    assert not any("threshold" in line for line in cells[1]["Compressor"].lines)
    level = settings["tracks"][1]["fader_db"] - 2.5
    assert cells[1]["Fader"].lines == (report.decibels(level), "compressed")
    assert always.flags == ["the compressor is always on: its threshold and the fader cannot be told apart"]
    assert {c.lines for c in unheard.cells[2:6]} == {("not recovered",)}
    assert cells[2]["Fader"].lines[0].startswith("≈ ")


def test_numbers_as_people_write_them():
    assert [report.pan(p) for p in (0, 0.2, 0.499, 0.5, 1)] == ["L 100 %", "L 60 %", "C", "C", "R 100 %"]
    assert [report.decibels(v) for v in (-3.14, 0.01, -0.01, 2.96)] == ["\N{MINUS SIGN}3.1 dB", "0.0 dB", "0.0 dB", "+3.0 dB"]
    assert [report.hertz(v) for v in (98.4, 1234, 12345)] == ["98 Hz", "1.23 kHz", "12.3 kHz"]
    assert [report.milliseconds(v) for v in (0.123, 4.56, 78.9)] == ["0.12 ms", "4.6 ms", "79 ms"]


def test_every_effect_can_stand_in_the_table():
    from dasp.effects import registry

    for name, cls in registry().items():
        entry = {"effect": name, "controls": {q.name: {"value": q.default, "unit": q.unit} for q in cls.controls}}
        cell = report.effect_cell(entry)
        assert cell.title
        assert all(cell.lines)
    flat = {"effect": "PeakFilter", "controls": {"cutoff_frequency_hz": 440.0, "gain_db": 0.04, "q": 1.0}}
    flat["controls"] = {k: {"value": v, "unit": ""} for k, v in flat["controls"].items()}
    assert report.effect_cell(flat) == report.Cell("Peak", ("flat",), "word")


def decode(player):
    kind, content = player.source.split(";base64,")
    assert kind in ("data:audio/mpeg", "data:audio/ogg")
    return soundfile.read(io.BytesIO(base64.b64decode(content)))


def test_players_play_at_one_loudness_without_clipping(made):
    result, _, tracks, *_ = made
    signals = {"reference": tracks.mix[0], "match": 8 * result.audio, "plain sum": tracks.unity_mix()[0]}
    found = report.players(signals, RATE)
    heard = {}
    assert "softer than in the match" in found["listed"][-1].about
    for player in found["listed"]:
        sound, rate = decode(player)
        assert abs(len(sound) / rate - 1.5) < 0.2
        heard[player.name] = sound
        assert np.abs(sound).max() < 1
    levels = [integrated_loudness(torch.from_numpy(heard[n].T.copy()), rate) for n in ("Reference", "Match", "Plain sum")]
    assert max(levels) - min(levels) < 0.5
    assert math.isclose(levels[0], found["loudness"], abs_tol=0.5)


def test_a_perfect_match_leaves_silence(made):
    tracks = made[2]
    signals = {"reference": tracks.mix[0], "match": tracks.mix[0], "plain sum": tracks.unity_mix()[0]}
    left = report.players(signals, RATE)["listed"][-1]
    assert left.name == "What is left"
    assert np.abs(decode(left)[0]).max() < 1e-3


def test_a_long_song_has_its_loudest_part_and_a_small_page(monkeypatch):
    monkeypatch.setattr(report, "SECONDS", 1.0)
    result, settings, tracks = make(seconds=4.0, master=False)
    loud = tracks.mix.clone()
    loud[..., : 2 * RATE] *= 0.01
    loud[..., 3 * RATE :] *= 0.01
    text = report.page(result, settings, dataclasses.replace(tracks, mix=loud))
    assert "An excerpt, 0:02 to 0:03." in Page(text).text
    # Ten megabytes at 45 s a player.
    assert len(text) * 45 < 10e6 + 45 * 100e3


def test_a_rate_that_mp3_does_not_have_is_resampled():
    player = report.players(dict.fromkeys(("reference", "match", "plain sum"), stem(1, 0.5, 96000, 2)), 96000)["listed"][0]
    assert decode(player)[1] == 44100


def test_ogg_where_there_is_no_mp3(monkeypatch):
    monkeypatch.setattr(soundfile, "available_formats", lambda: {"OGG": ""})
    player = report.players(dict.fromkeys(("reference", "match", "plain sum"), stem(1, channels=2)), RATE)["listed"][0]
    assert player.source.startswith("data:audio/ogg")
    decode(player)


def test_a_match_without_steps_has_no_loss_curve():
    assert losses([("align", 0, 0.0), ("fit", 1, 0.5)]) == ""
    assert "fit: from 0.5 to 0.3 in 3 steps" in losses([("fit", 1, 0.5), ("fit", 2, 0.4), ("fit", 1, 0.3)])
    result, settings, tracks = make(master=False)
    page = Page(report.page(dataclasses.replace(result, history=()), settings, tracks))
    assert "Loss" not in page.text
    assert "Master" not in page.text


def test_third_octaves_find_a_tone():
    tone = torch.sin(2 * math.pi * 1000 * torch.arange(44100, dtype=torch.float64) / 44100).expand(2, -1)
    frequency, level = third_octaves(tone, 44100)
    assert math.isclose(frequency[level.argmax()], 1000)
    assert np.sort(level)[-3] < level.max() - 40
