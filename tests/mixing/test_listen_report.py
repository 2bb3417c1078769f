"""`dasp listen-report`: effects that are there are found, others are not; what is wrong is refused and listed."""

import contextlib
import copy
import json
import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from listener import handed_in, invented_key, table

from mixing.commands.listen_report import FILES
from mixing.evaluation import statistics
from mixing.listening import analysis
from mixing.listening.analysis import analyse, median_interval, pairs, rank_biserial
from mixing.listening.cleaning import Rules, clean, repeat_difference
from mixing.listening.files import canonical, digest
from mixing.listening.ratings import read, read_key, read_one
from mixing.listening.report import Report, page

EFFECT = {"a": 30.0, "b": 55.0, "c": 58.0}


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    monkeypatch.setattr(analysis, "RESAMPLES", 300)
    assert statistics.RESAMPLES > 300


def rater(seed, effect, spread=8.0):
    """Ratings of someone who hears `effect` and is off by `spread`, with a use of the scale of their own."""
    rng = np.random.default_rng(seed)
    own = rng.normal(0, 6)
    return lambda condition, criterion, page: round(float(np.clip(effect[condition] + own + rng.normal(0, spread), 0, 100)), 1)


def save(folder, data, name=None):
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name or data['participant']}.json"
    file.write_text(json.dumps(data, indent=1), encoding="utf-8")
    return file


def sessions(folder, key, effect, count=14, **options):
    files = [save(folder, handed_in(key, f"p{i}", rater(i, effect), **options)) for i in range(count)]
    found = read(files, key)
    assert not found.refused
    return found.sessions


@pytest.fixture
def test_folder(tmp_path):
    """A key, and a folder for ratings below it."""
    key = invented_key(repeats=1)
    (tmp_path / "key.json").write_text(json.dumps(key))
    return tmp_path, key


def test_a_known_effect_is_found(tmp_path):
    key = invented_key()
    result = analyse(sessions(tmp_path, key, EFFECT), key["conditions"], "preference")
    assert result.friedman.p < 1e-4 and result.friedman.w > 0.6 and result.friedman.freedom == 2
    found = {(p.first, p.second): p for p in result.pairs}
    assert found["a", "b"].p_holm < 0.01 and found["a", "b"].effect == -1 and found["a", "c"].p_holm < 0.01
    assert found["a", "b"].difference == pytest.approx(-25, abs=4)
    for name, truth in EFFECT.items():
        centre = result.centres[name]
        assert centre.low <= centre.median <= centre.high
        assert centre.low - 4 < truth < centre.high + 4
        assert (centre.count, len(centre.ratings)) == (14, 56)
    assert set(result.songs) == {f"song {i}" for i in range(4)}


def test_none_is_found_where_none_is(tmp_path):
    key = invented_key()
    wrong = 0
    for run in range(20):
        files = [
            save(tmp_path / str(run), handed_in(key, f"p{i}", rater(1000 * run + i, dict.fromkeys("abc", 50.0))))
            for i in range(10)
        ]
        result = analyse(read(files, key).sessions, key["conditions"], "preference")
        wrong += any(p.p_holm < 0.05 for p in result.pairs)
    assert wrong <= 4, "5 % of tests are expected to find what is not there"


def test_blocks_are_listeners_or_pages(tmp_path):
    key = invented_key()
    people = sessions(tmp_path, key, EFFECT, count=3)
    assert analyse(people, key["conditions"], "preference").friedman.count == 3
    assert analyse(people, key["conditions"], "preference", by="page").friedman.count == 12


def test_few_listeners_have_no_intervals_and_no_tests(tmp_path):
    key = invented_key(conditions=("a", "b"))
    result = analyse(sessions(tmp_path, key, EFFECT, count=1), key["conditions"], "preference")
    assert math.isnan(result.friedman.p) and math.isnan(result.centres["a"].low)
    (pair,) = result.pairs
    assert pair.p == 1


def test_statistics_against_their_definitions():
    assert rank_biserial(np.array([3.0, -1.0, 2.0, 0.0])) == pytest.approx((3 + 2 - 1) / 6)
    assert rank_biserial(np.zeros(3)) == 0
    assert median_interval(np.array([4.0, 4.0, 4.0])) == (4, 4)
    blocks = np.array([[1.0, 2.0, 3.0]] * 6) + np.random.default_rng(0).normal(0, 0.1, (6, 3))
    tests = pairs(blocks, "abc")
    assert [p.p for p in tests] == [2 / 2**6] * 3  # all six differences of one sign
    assert [p.p_holm for p in tests] == [3 * 2 / 2**6] * 3


def test_intervals_cover_the_median():
    rng = np.random.default_rng(0)
    hits = sum(low <= 50 <= high for low, high in (median_interval(rng.normal(50, 10, 15), seed=i) for i in range(100)))
    assert 86 <= hits <= 100


def test_two_ratings_of_a_page_count_as_their_mean(tmp_path):
    key = invented_key(songs=2, repeats=1)

    def rate(condition, criterion, page):
        return 80 if page["kind"] == "repeat" else 60

    (one,) = read([save(tmp_path, handed_in(key, "p", rate))], key).sessions
    result = analyse([one], key["conditions"], "preference")
    assert sorted(result.songs[s]["a"] for s in result.songs) == [60, 70]
    assert repeat_difference(one) == 20


@pytest.mark.parametrize(
    ("options", "rate", "rules", "why"),
    [
        ({"seconds": 3.0}, 50, {}, "3.0 s on the page; 10 s are asked for"),
        ({"heard": 0.2}, 50, {}, "3 of 3 stimuli not listened to"),
        ({}, None, {"repeat_tolerance": 25.0}, "repeated pages differ by 40 on average; 25 are allowed"),
    ],
)
def test_what_does_not_count(options, rate, rules, why, tmp_path):
    key = invented_key(repeats=1)

    def rated(condition, criterion, page):
        return rate if rate is not None else (90 if page["kind"] == "repeat" else 50)

    files = [
        save(tmp_path, handed_in(key, "bad", rated, **options)),
        save(tmp_path, handed_in(key, "good", rater(0, EFFECT, 1.0))),
    ]
    kept, out = clean(read(files, key).sessions, Rules(**rules))
    assert [s.participant for s in kept] == ["good"]
    assert {e.participant for e in out} == {"bad"}
    assert why in {e.why for e in out}
    off = Rules(min_page_s=0, min_heard_s=0, repeat_tolerance=100)
    assert clean(read(files, key).sessions, off)[1] == ()


def test_screening_by_reference_and_anchor(tmp_path):
    key = invented_key(conditions=("a", "ref"), method="mushra", reference="ref", anchors=True, songs=5)
    good = {"a": 60, "ref": 100, "anchor 3.5 kHz": 10, "anchor 7 kHz": 30}
    deaf = {**good, "ref": 80}
    polite = {**good, "anchor 7 kHz": 95}
    files = [
        save(tmp_path, handed_in(key, name, lambda c, _, page, of=of: of[c]))
        for name, of in (("good", good), ("deaf", deaf), ("polite", polite))
    ]
    once = handed_in(key, "once", lambda c, _, page: deaf[c] if page["song"] == "song 0" else good[c])
    people = read([*files, save(tmp_path, once)], key).sessions
    more = [save(tmp_path, handed_in(key, f"more{i}", lambda c, _, page: good[c])) for i in range(3)]
    people += read(more, key).sessions
    kept, out = clean(people, Rules(share=0.25))
    assert [s.participant for s in kept] == ["good", "once", "more0", "more1", "more2"], "one page in five is allowed"
    assert {e.participant: e.why.split(" on ")[0] for e in out} == {
        "deaf": "rates the hidden reference below 90",
        "polite": "rates the anchor 7 kHz above 90",
    }
    assert "once" not in [s.participant for s in clean(people, Rules())[0]], "one in five is more than 15 %"
    assert len(clean(people, Rules().screening(mushra=False))[0]) == 7
    few = clean(people[:3], Rules(share=0.25))[0]
    assert [s.participant for s in few] == ["good", "polite"], "where many rate the anchor high, it is the anchor's fault"


def changed(data, change):
    data = copy.deepcopy(data)
    change(data)
    return {**data, "digest": digest({k: v for k, v in data.items() if k != "digest"})}


def first(data):
    return data["pages"][0]["stimuli"][0]


TAMPERED = {
    "rating raised": (lambda d: first(d)["ratings"].update(preference=100), False, "was changed after it was saved"),
    "out of range": (lambda d: first(d)["ratings"].update(preference=101), True, "101 is greater than the maximum of 100"),
    "below range": (lambda d: first(d)["ratings"].update(preference=-1), True, "-1 is less than the minimum"),
    "not a number": (lambda d: first(d)["ratings"].update(preference="9"), True, "is not of type 'number'"),
    "no rating": (lambda d: first(d)["ratings"].pop("preference"), True, "ratings"),
    "other criterion": (lambda d: first(d).update(ratings={"taste": 3}), True, "is not rated by preference"),
    "unknown stimulus": (lambda d: first(d).update(stimulus="0" * 16), True, "is no stimulus of this page"),
    "twice": (lambda d: d["pages"][0]["stimuli"].__setitem__(1, first(d)), True, "stands twice"),
    "one missing": (lambda d: d["pages"][0]["stimuli"].pop(), True, "1 stimuli are missing"),
    "page missing": (lambda d: d["pages"].pop(), True, "1 of 5 pages are missing"),
    "page twice": (lambda d: d["pages"].__setitem__(1, {**d["pages"][0], "position": 2}), True, "1 pages stand twice"),
    "unknown page": (lambda d: d["pages"][0].update(page="f" * 16), True, "is no rated page"),
    "positions": (lambda d: d["pages"][0].update(position=9), True, "not numbered from 1 to 5"),
    "other test": (lambda d: d.update(test="a" * 16), True, "is of another test"),
    "edited page": (lambda d: d.update(test_digest="a" * 64), True, "the page or the key was edited"),
    "other method": (lambda d: d.update(method="mushra"), True, "was made by the method mushra"),
    "other version": (lambda d: d.update(schema="dasp-ratings/9"), True, "'dasp-ratings/1' was expected"),
    "more": (lambda d: d.update(note="hi"), True, "Additional properties"),
    "hostile name": (lambda d: d.update(participant="<script>"), True, "does not match"),
    "not asked": (lambda d: d["answers"].update(income="9"), True, "a question that was not asked (income)"),
    "no option": (lambda d: d["answers"].update(playback="a horn"), True, "none that can be given (a horn)"),
    "plays": (lambda d: first(d).update(plays=-3), True, "-3 is less than the minimum"),
    "time": (lambda d: d["pages"][0].update(seconds=-1), True, "less than the minimum"),
}


@pytest.mark.parametrize("case", TAMPERED)
def test_tampered_files_are_refused_and_listed(case, test_folder):
    folder, key = test_folder
    change, signed, says = TAMPERED[case]
    good = handed_in(key, "good", rater(0, EFFECT))
    bad = handed_in(key, "bad", rater(1, EFFECT))
    wrong = changed(bad, change)
    if not signed:
        wrong["digest"] = bad["digest"]
    found = read([save(folder / "in", good), save(folder / "in", wrong, "bad")], key)
    assert [s.participant for s in found.sessions] == ["good"]
    ((file, why),) = found.refused
    assert file.endswith("bad.json") and says in why


def broken(folder):
    """Files that are nothing of the kind."""
    folder.mkdir(parents=True, exist_ok=True)
    contents = {
        "empty": b"",
        "text": b"hello",
        "binary": bytes(range(256)),
        "list": b"[]",
        "nan": b'{"a": NaN}',
        "huge": b'{"a": 1e999}',
        "twice": b'{"a": 1, "a": 2}',
        "deep": b"[" * 100_000,
        "cut": b'{"schema": "dasp-ratings/1", "pages": [',
    }
    for name, content in contents.items():
        (folder / f"{name}.json").write_bytes(content)
    (folder / "table.csv").write_text("participant\n")
    return [folder / f"{n}.json" for n in contents] + [folder / "table.csv"]


def test_the_report_says_all(test_folder, dasp_command):
    folder, key = test_folder
    for i in range(8):
        data = handed_in(key, f"p{i}", rater(i, EFFECT, 4.0), answers={"playback": "headphones"})
        data["pages"][0]["comment"] = "=1+1 <img src=x onerror=alert(1)>"
        save(folder / "in", changed(data, lambda d: None))
    save(folder / "in", handed_in(key, "hasty", rater(9, EFFECT), seconds=1.0))
    save(folder / "in", handed_in(key, "p1", rater(1, EFFECT)), "p1_copy")
    bad = broken(folder / "bad")
    code, text, err = dasp_command("listen-report", folder / "in", *bad, "-o", folder / "out")
    assert code == 0, err
    assert sorted(f.name for f in (folder / "out").iterdir()) == sorted(FILES)
    for file in [*bad, folder / "in" / "p1_copy.json"]:
        assert f"note: left out: {file.name}: " in err
    assert "hasty: no page is left" in err
    assert "p1_copy.json: p1 has already handed in p1.json" in err
    assert "condition" in text and "Preference" in text
    rows = table(folder / "out" / "ratings.csv")
    assert len(rows) == 8 * 5 * 3
    assert {r["condition"] for r in rows} == {"a", "b", "c"}
    summary = {r["condition"]: r for r in table(folder / "out" / "summary.csv")}
    assert float(summary["a"]["median"]) < float(summary["b"]["low"])
    tests = table(folder / "out" / "tests.csv")
    assert [t["test"] for t in tests] == ["Friedman", "Wilcoxon", "Wilcoxon", "Wilcoxon"]
    excluded = table(folder / "out" / "excluded.csv")
    assert len([r for r in excluded if r["what"] == "file"]) == len(bad) + 1
    assert [r["name"] for r in excluded if r["what"] == "listener"] == ["hasty"]
    html = (folder / "out" / "listening.html").read_text()
    assert "<img" not in html and "&lt;img" in html
    assert "//" not in html.replace("http://www.w3.org", "")
    markdown = (folder / "out" / "listening.md").read_text()
    assert "A = " in markdown and "A = " in html, "letters of a comment are decoded"
    assert "b over a" in markdown and "headphones" in markdown and "\\<img" in markdown


def test_nothing_left_is_one_sentence(test_folder, refused, capsys):
    folder, key = test_folder
    hint = "no key.json beside the ratings"
    (folder / "else" / "deep" / "er").mkdir(parents=True)
    assert hint in refused(
        "listen-report", save(folder / "else" / "deep" / "er", handed_in(key, "p", rater(0, EFFECT))), "-o", folder / "o"
    )
    assert "there is no such file" in refused("listen-report", folder / "nothing.json", "-o", folder / "o")
    (folder / "void").mkdir()
    assert "has no .json files" in refused("listen-report", folder / "void", "-o", folder / "o")
    assert "no ratings are left of 0 files" in refused(
        "listen-report", folder / "key.json", "--key", folder / "key.json", "-o", folder / "o"
    )


def test_all_files_wrong_is_refused_after_they_are_listed(test_folder, dasp_command):
    folder, _ = test_folder
    bad = broken(folder / "bad")
    code, _, err = dasp_command("listen-report", *bad, "-o", folder / "o")
    assert code == 2
    assert len([line for line in err.splitlines() if line.startswith("note: left out")]) == len(bad)
    assert "Traceback" not in err and "no ratings are left of 10 files" in err.splitlines()[-1]
    assert not (folder / "o").exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda k: k.pop("secret"), "'secret' is a required property"),
        (lambda k: k.update(schema="dasp-listening-key/2"), "'dasp-listening-key/1' was expected"),
        (lambda k: next(iter(k["pages"].values()))["stimuli"].popitem(), "does not have each condition once"),
        (lambda k: k.update(criteria=["beauty"]), "criteria"),
        (lambda k: k["questions"][0].pop("options"), "'options' is a required property"),
    ],
)
def test_wrong_keys(change, says, test_folder, refused):
    folder, key = test_folder
    file = save(folder / "in", handed_in(key, "p", rater(0, EFFECT)))
    change(key)
    (folder / "key.json").write_text(json.dumps(key))
    assert says in refused("listen-report", file, "-o", folder / "o")


def test_hostile_names_are_text(tmp_path):
    names = ("<script>alert(1)</script>", "a|b *c*", "$x^2$")
    key = invented_key(conditions=names)
    effect = dict(zip(names, (20.0, 50.0, 80.0), strict=True))
    found = read([save(tmp_path, handed_in(key, f"p{i}", rater(i, effect))) for i in range(6)], key)
    report = Report(key, found, Rules())
    html = page(report, {"dasp": "0", "command": "<b>"})
    assert "<script" not in html and "<b>" not in html
    assert "\\<script\\>" in report.markdown() and "a\\|b" in report.markdown()


def test_several_criteria(tmp_path):
    key = invented_key(criteria=("value", "clarity", "excitement"))
    report = Report(key, read([save(tmp_path, handed_in(key, f"p{i}", rater(i, EFFECT))) for i in range(6)], key), Rules())
    assert list(report.results) == ["value", "clarity", "excitement"]
    html = page(report, {"dasp": "0", "command": "x"})
    assert all(t in html for t in ("Production value", "Clarity", "Excitement"))
    assert html.count("<svg") == 3
    assert page(report, {"dasp": "0", "command": "x"}) == html


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_file_crashes_the_reader(tmp_path, data):
    key = KEY
    if data.draw(st.booleans()):
        content = data.draw(st.binary(max_size=200) | st.text(max_size=200).map(lambda t: t.encode("utf-8", "surrogatepass")))
    else:
        value = handed_in(key, "p", lambda c, k, page: 50)
        where = value
        for _ in range(data.draw(st.integers(1, 5))):
            keys = list(where) if isinstance(where, dict) else list(range(len(where)))
            if not keys:
                break
            step = data.draw(st.sampled_from(keys))
            if data.draw(st.booleans()) or not isinstance(where[step], dict | list):
                where[step] = data.draw(json_values)
                break
            where = where[step]
        if data.draw(st.booleans()):
            with contextlib.suppress(ValueError):  # NaN has no digest
                value["digest"] = digest({k: v for k, v in value.items() if k != "digest"})
        content = json.dumps(value).encode()
    file = tmp_path / "x.json"
    file.write_bytes(content)
    found = read([file], key)
    assert len(found.sessions) + len(found.refused) == 1
    Report(key, found, Rules()).markdown()


KEY = invented_key(songs=2)


def test_canonical_text():
    assert canonical({"b": [1, 2.5, "é\n"], "a": None}) == '{"a":null,"b":[1,2.5,"é\\n"]}'


def test_a_whole_key_is_read(test_folder):
    folder, key = test_folder
    assert read_key(folder / "key.json") == key
    assert read_one(save(folder, handed_in(key, "p", rater(0, EFFECT))), key).seconds == 300
