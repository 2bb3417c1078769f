"""An evaluation whole: what is measured, what is left out and why; its tables and its page, also with hostile names."""

import csv
import dataclasses
import io
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from synthetic import save
from test_evaluation_features import RATE, music
from test_report import HOSTILE, Page

from mixing import Mix, Multitrack
from mixing.errors import UserError
from mixing.evaluation import FinishedMixes, Table, evaluate, statistics
from mixing.evaluation.metrics import BY_NAME, GROUPS, METRICS
from mixing.evaluation.page import page
from mixing.evaluation.table import LeftOut, Row
from mixing.text_tables import NOTHING

ABOUT = {"data": "songs", "dasp": "0", "command": "dasp evaluate"}


@dataclasses.dataclass
class FakeSong:
    """A song in memory: what `evaluate` asks of one."""

    name: str
    group: str
    mix: Path | None = Path("mix.wav")
    seconds: float = 1.2
    seed: int = 0
    gains_db: tuple | None = (0.0, -6.0)
    pans: tuple | None = (0.3, 0.7)
    sample_rate: int = RATE
    bad: str = ""

    @property
    def samples(self):
        return round(self.seconds * self.sample_rate)

    def read(self, start=0, samples=None, sample_rate=None):
        if self.bad == "file":
            raise UserError("stem.wav: is cut short after 0.10 s; copy or export it again.")
        assert sample_rate in (None, self.sample_rate, RATE // 2)
        tracks = [torch.from_numpy(music(self.seconds, self.seed + k)[:1]).float() for k in range(2)]
        step = 1 if sample_rate in (None, RATE) else 2
        stop = None if samples is None else start + samples
        tracks = [t[:, ::step][:, start:stop] for t in tracks]
        made = Multitrack.from_tracks(tracks, float(sample_rate or self.sample_rate), ["a", "b"])
        audio = torch.stack([0.7 * tracks[0][0] + 0.3 * tracks[1][0], 0.3 * tracks[0][0] + 0.4 * tracks[1][0]])[None]
        return dataclasses.replace(made, mix=None if self.bad == "mixless" else audio * (self.bad != "silent"))


@dataclasses.dataclass
class Faders:
    """A mixer of two faders, panned centre."""

    gains: tuple = (1.0, 1.0)
    bad: str = ""
    sample_rate: float | None = None

    def __call__(self, multitrack):
        assert self.sample_rate in (None, multitrack.sample_rate)
        if self.bad == "refuses":
            raise ValueError("Faders: no more than one track.")
        gains = torch.tensor(self.gains)
        audio = (multitrack.audio * gains[None, :, None, None]).sum(1)
        if self.bad == "nan":
            audio[0, 0, 5] = math.nan
        tracks = {"fader_db": 20 * gains.log10()[None], "pan": torch.full((1, 2), 0.5)}
        return Mix(audio * (self.bad != "silent"), {"tracks": tracks})


SONGS = [FakeSong(f"song{k}", f"work{k // 2}", seed=k) for k in range(4)]
MIXERS = {"even": Faders(), "near": Faders((1.0, 0.6)), "far": Faders((0.001, 0.1))}


def level(audio: np.ndarray, rate: float) -> np.ndarray:
    """An embedding: the channels' levels in dB."""
    return 10 * np.log10(np.square(audio).mean(1))


@pytest.fixture(scope="module")
def table():
    return evaluate(MIXERS, SONGS, embedding=level)


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    monkeypatch.setattr(statistics, "RESAMPLES", 200)


def test_every_mix_is_measured(table):
    assert [(r.song, r.mixer) for r in table.rows] == [(s.name, m) for s in SONGS for m in MIXERS]
    assert table.left_out == ()
    assert [m.name for m in table.metrics] == [m.name for m in METRICS]
    for metric in METRICS:
        assert all(math.isfinite(r.values[metric.name]) for r in table.rows)
    means = {m: table.summary("stereo_mrstft")[m].mean for m in MIXERS}
    assert means["near"] < means["even"] < means["far"]
    gains = {m: table.summary("gain_error_db")[m].mean for m in MIXERS}
    # True faders are 3 and -3 around their mean; those of 1.0 and 0.6 are 2.22 and -2.22.
    assert gains["even"] == pytest.approx(3)
    assert gains["near"] == pytest.approx(3 - 10 * math.log10(1 / 0.6), abs=1e-4)
    assert gains["far"] == pytest.approx(23)
    assert table.summary("pan_error")["near"].mean == pytest.approx(0.2)
    assert table.frechet["near"] < table.frechet["far"]


def test_tests_are_against_the_first_or_the_one_named(table):
    assert set(table.tests("stereo_mrstft")) == {"near", "far"}
    assert table.tests("stereo_mrstft")["near"].difference < 0 < table.tests("stereo_mrstft")["far"].difference
    assert table.tests("stereo_mrstft")["near"].count == 2  # works
    by_song = dataclasses.replace(table, by="song", against="far")
    assert set(by_song.tests("stereo_mrstft")) == {"even", "near"}
    assert by_song.tests("stereo_mrstft")["near"].count == 4
    with pytest.raises(ValueError, match="even, near, far"):
        evaluate(MIXERS, SONGS, against="fat")


def test_only_the_middle(monkeypatch):
    asked, read = [], FakeSong.read
    monkeypatch.setattr(FakeSong, "read", lambda self, *span: (asked.append(span), read(self, *span))[1])
    for seconds in (1.0, 5.0):
        evaluate({"even": Faders()}, [FakeSong("long", "work", seconds=2.0)], seconds=seconds)
    assert asked == [(RATE // 2, RATE), (0, None)]


def test_a_model_of_another_rate_gets_songs_at_its_own():
    found = evaluate({"half": Faders((1.0, 0.6), sample_rate=RATE / 2), "near": MIXERS["near"]}, SONGS[:1])
    assert found.left_out == ()
    half, near = (r.values for r in found.rows)
    assert half["gain_error_db"] == near["gain_error_db"]
    assert abs(half["rms_error_db"] - near["rms_error_db"]) < 0.5


def test_what_is_bad_is_listed_and_counts_nowhere():
    songs = [
        SONGS[0],
        FakeSong("no mix", "w", mix=None),
        FakeSong("cut", "w", bad="file"),
        FakeSong("quiet", "w", bad="silent"),
        FakeSong("unread", "w", bad="mixless"),
        FakeSong("short", "w", seconds=0.2),
        SONGS[1],
    ]
    mixers = {"even": Faders(), "nan": Faders(bad="nan"), "mute": Faders(bad="silent"), "shy": Faders(bad="refuses")}
    table = evaluate(mixers, songs)
    assert [(r.song, r.mixer) for r in table.rows] == [("song0", "even"), ("song1", "even")]
    reasons = {(x.song, x.mixer): x.why for x in table.left_out}
    assert len(reasons) == 5 + 2 * 3
    for key, words in {
        ("no mix", None): "no mix",
        ("cut", None): "cut short",
        ("quiet", None): "silent",
        ("unread", None): "without its mix",
        ("short", None): "0.40 s",
        ("song0", "nan"): "1 samples are not numbers",
        ("song0", "mute"): "silent",
        ("song1", "shy"): "no more than one track",
    }.items():
        assert words in reasons[key]
    assert all(math.isfinite(r.values["stereo_mrstft"]) for r in table.rows)
    text = table.markdown()
    assert "11 could not be measured" in text
    assert "- cut: stem.wav: is cut short" in text
    with pytest.raises(UserError, match=r"nothing could be measured \(no mix: has no mix"):
        evaluate(mixers, songs[1:2])


def rows_of(values: dict[str, list[float]]) -> tuple[Row, ...]:
    return tuple(Row(f"s{k}", f"s{k}", m, {"stereo_mrstft": v}) for m, row in values.items() for k, v in enumerate(row))


def test_means_are_of_songs_that_every_mixer_has():
    rows = rows_of({"a": [1.0, 2.0, 30.0], "b": [2.0, 3.0, math.nan], "c": [math.nan] * 3})
    table = Table(("a", "b", "c"), rows)
    found = table.summary("stereo_mrstft")
    assert (found["a"].mean, found["b"].mean) == (1.5, 2.5)
    assert "c" not in found
    assert found["a"].count == 2
    assert "songs left out for that: Stereo MR-STFT 1" in table.markdown()
    assert f"| c | {NOTHING} |" in table.markdown()
    assert table.tests("stereo_mrstft")["b"].count == 2
    assert Table(("c", "a"), rows, against="c").tests("stereo_mrstft") == {}


def test_csv(table):
    lines = list(csv.DictReader(io.StringIO(table.csv())))
    assert len(lines) == 12
    for line, row in zip(lines, table.rows, strict=True):
        assert (line["song"], line["group"], line["mixer"]) == (row.song, row.group, row.mixer)
        assert all(math.isclose(float(line[n]), row.values[n], rel_tol=1e-8, abs_tol=1e-12) for n in BY_NAME)
    summary = list(csv.DictReader(io.StringIO(table.summary_csv())))
    assert len(summary) == 3 * len(METRICS)
    first = summary[1]
    assert (first["metric"], first["mixer"], first["songs"]) == ("stereo_mrstft", "near", "4")
    assert float(first["low"]) <= float(first["mean"]) <= float(first["high"])
    assert float(first["p_holm"]) >= float(first["p"])
    sheet = Table(("=1+1",), (Row("@x", "-y", "=1+1", {"stereo_mrstft": math.nan, "pan_error": 1.0}),))
    assert list(csv.reader(io.StringIO(sheet.csv())))[1] == ["'@x", "'-y", "'=1+1", "1"]


def test_markdown(table):
    text = table.markdown()
    for title in ("Overall", "Tests against even", *GROUPS.values(), "Songs", "What is measured"):
        assert f"## {title}\n" in text
    mean = table.summary("gain_error_db")["near"].mean
    assert f"{mean:.3f} (" in text
    widths = [len(re.findall(r"(?<!\\)\|", line)) for line in text.splitlines() if line.startswith("|")]
    assert len(set(widths)) > 1
    blocks = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    for block in blocks:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1


@pytest.fixture(scope="module")
def hostile():
    values = {"stereo_mrstft": 1.0, "pan_error": 0.1}
    names = (HOSTILE, "b|c\n# d $x_1$", "plain")
    rows = tuple(Row(HOSTILE + str(k), HOSTILE, m, {n: v + 0.1 * k for n, v in values.items()}) for k in range(3) for m in names)
    return Table(names, rows, (LeftOut(HOSTILE, HOSTILE, HOSTILE),), by="song", frechet={HOSTILE: 1.0})


def test_names_from_outside_are_text(hostile):
    text = page(hostile, dict.fromkeys(ABOUT, HOSTILE))
    found = Page(text)
    assert not found.all("script")
    assert not found.all("img")
    assert found.text.count(HOSTILE) > 10
    markdown = hostile.markdown()
    assert "<script" not in markdown.replace("\\<script", "")
    assert "\n# d" not in markdown


def test_the_page_is_whole_and_needs_nothing(table):
    text = page(table, ABOUT)
    found = Page(text)
    for part in (
        "Evaluation on songs",
        "Overall",
        "Songs and means",
        "Tests against even",
        *GROUPS.values(),
        "Every song",
        "What is measured",
    ):
        assert part in found.text
    assert len(found.all("svg")) == len(table.headlines) == 6
    for _, attributes in found.elements:
        for key in ("src", "href", "xlink:href", "action", "data", "poster", "srcset"):
            assert attributes.get(key, "#").startswith("#")
    assert not re.search(r"@import|url\((?!#)", text)
    ids = [a["id"] for _, a in found.elements if "id" in a]
    assert len(ids) == len(set(ids))
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)[1]
    light, dark = (set(re.findall(r"(--[\w-]+):", block)) for block in style.split("prefers-color-scheme: dark")[:2])
    assert light == dark == set(re.findall(r"var\((--[\w-]+)\)", text))
    assert page(table, ABOUT) == text


def test_the_best_of_each_column_is_marked(table):
    text = page(table, ABOUT)
    row = re.search(r'<th scope="row">near</th>(.*?)</tr>', text, re.DOTALL)[1]
    assert re.search(r'class="best">\s*' + re.escape(f"{table.summary('stereo_mrstft')['near'].mean:.3f}"), row)


def test_finished_mixes(tmp_path):
    song = SONGS[0]
    tracks = song.read()
    save(tmp_path / "song0.wav", tracks.mix[0], RATE, subtype="FLOAT")
    save(tmp_path / "song1.flac", tracks.mix[0][:, :-20000], RATE)
    save(tmp_path / "song2.wav", torch.nn.functional.pad(tracks.mix[0].mean(0, keepdim=True), (0, 300)), RATE)
    table = evaluate({"done": FinishedMixes(tmp_path)}, SONGS, seconds=0.8)
    done = {r.song: r.values for r in table.rows}
    assert set(done) == {"song0", "song2"}
    assert done["song0"]["stereo_mrstft"] < 1e-4
    assert done["song2"]["width_error"] > 0
    reasons = {x.song: x.why for x in table.left_out}
    assert "0.45 s shorter" in reasons["song1"]
    assert "no such mix" in reasons["song3"]
    assert "gain_error_db" not in done["song0"]
    with pytest.raises(UserError, match="no such folder"):
        FinishedMixes(tmp_path / "none")


def test_few_embeddings_have_no_frechet_distance():
    table = evaluate({"even": Faders()}, SONGS[:1], embedding=level)
    assert table.frechet == {}
    assert "too few embeddings" in table.markdown()
