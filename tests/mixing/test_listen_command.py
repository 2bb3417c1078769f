"""`dasp listen`: what is written and refused, and that the folder for listeners does not tell what is what."""

import base64
import json
import re
import shutil
from collections import Counter

import numpy as np
import pytest
import yaml
from listener import mixes
from scipy.stats import chisquare
from synthetic import listing, save, stem

from mixing.cli import main
from mixing.commands.listen import WELCOME
from mixing.listening import design, sound
from mixing.listening.criteria import CRITERIA, chosen
from mixing.listening.files import check, digest
from mixing.listening.folder import origin
from mixing.listening.questionnaire import DEFAULT, read

SHORT = ("--seconds", 2)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return mixes(tmp_path_factory.mktemp("mixes"))


def made(dasp_command, out, conditions, *options):
    code, text, err = dasp_command("listen", *conditions, "-o", out, *SHORT, *options)
    assert code == 0, err
    return *written(out), text, err


def written(out):
    """The key, and what the page knows."""
    key = json.loads((out / "key.json").read_text())
    test = json.loads((out / "page" / "test.js").read_text().removeprefix("dasp.test = ").removesuffix(";\n"))
    return key, test


def samples(out, name):
    text = (out / "page" / "audio" / f"{name}.js").read_text()
    return base64.b64decode(re.fullmatch(r'dasp\.received\("[0-9a-f]{16}","([A-Za-z0-9+/=]+)"\);\n', text)[1])


@pytest.fixture(scope="module")
def full(folders, tmp_path_factory):
    """A test with everything: a reference, anchors, a repeated page."""
    out = tmp_path_factory.mktemp("full") / "test"
    options = ("--reference", "human", "--anchor", "--method", "mushra", "--repeats", 1)
    with pytest.raises(SystemExit) as end:
        main([str(a) for a in ("listen", *folders.values(), "-o", out, *SHORT, *options)])
    assert end.value.code == 0
    return (out, *written(out))


def test_what_is_written(full):
    _, key, test = full
    check("key", key, "key")
    assert key["digest"] == test["digest"] == digest({k: v for k, v in test.items() if k != "digest"})
    assert key["conditions"] == ["dmc", "sum", "human", "anchor 3.5 kHz", "anchor 7 kHz"]
    assert Counter(p["kind"] for p in key["pages"].values()) == {"rated": 2, "repeat": 1, "training": 1}
    assert len(test["pages"]) == 3
    assert {p["page"] for p in (*test["pages"], test["training"])} == set(key["pages"])
    for page in (*test["pages"], test["training"]):
        known = key["pages"][page["page"]]["stimuli"]
        assert set(page["stimuli"]) == set(known)
        assert Counter(s["role"] for s in known.values()) == {"condition": 2, "reference": 1, "anchor": 2}
    assert test["welcome"] == list(WELCOME)


def test_every_sound_is_as_loud_as_was_asked(full):
    out, key, test = full
    names = [n for p in (*test["pages"], test["training"]) for n in (*p["stimuli"], p["reference"])]
    assert len(set(names)) == 4 * 6 == len(list((out / "page" / "audio").iterdir()))
    for name in names:
        x = sound.of_pcm(samples(out, name), test["bits"])
        assert abs(sound.loudness(x, test["rate"]) + 23) < 0.1
        assert sound.true_peak_db(x) < 0
        assert abs(x[:, [0, -1]]).max() < 2e-3, "faded at both ends"
    measured = [s["loudness_lufs"] for p in key["pages"].values() for s in p["stimuli"].values()]
    assert max(abs(v + 23) for v in measured) < 0.1


def test_the_folder_for_listeners_does_not_tell(full, folders):
    out, key, test = full
    files = [f for f in (out / "page").rglob("*") if f.is_file()]
    secrets = {*key["conditions"], "alpha", "beta", "anchor", key["secret"], str(out), *map(str, folders.values())}
    for file in files:
        # Of a sound, `samples` sees to it that there is nothing but samples. Names stand alone: "sum" is in "presumably".
        text = str(file.relative_to(out)) + ("" if file.parent.name == "audio" else file.read_text())
        code = file.suffix == ".js" and file.name != "test.js" and file.parent.name != "audio"
        found = {s for s in secrets if re.search(rf"(?<![A-Za-z]){re.escape(s)}(?![A-Za-z])", text)}
        assert not found - ({"sum"} if code else set()), f"{file.name} holds {found}"
    audio = [f for f in files if f.parent.name == "audio"]
    lengths = {
        p["page"]: {len(samples(out, n)) for n in (*p["stimuli"], p["reference"])} for p in (*test["pages"], test["training"])
    }
    assert all(len(sizes) == 1 for sizes in lengths.values()), "one size a page"
    assert len({f.read_bytes()[30:] for f in audio}) == len(audio), "the hidden reference is not the open one's file"
    assert len({f.stat().st_mtime_ns for f in out.rglob("*")}) == 1
    assert len({f.stat().st_mode for f in audio}) == 1
    for page in (*test["pages"], test["training"]):
        assert page["stimuli"] == sorted(page["stimuli"]), "in the order of names that tell nothing"
        assert set(page) == {"page", "seconds", "stimuli", "reference"}
    kinds = [key["pages"][p["page"]]["kind"] for p in test["pages"]]
    assert [p["page"] for p in test["pages"]] == sorted(p["page"] for p in test["pages"])
    assert "repeat" in kinds


def test_names_and_places_tell_nothing_over_many_tests():
    conditions, runs = ["a", "b", "c", "d"], 400
    places = {c: Counter() for c in conditions}
    letters, pages = Counter(), Counter()
    for run in range(runs):
        key = design.secret(run, [b"x"], {})
        test = design.design(key, ["s", "t"], conditions, method="ape", criteria=chosen("preference"))
        for page in test.pages:
            for place, stimulus in enumerate(page.stimuli):
                places[stimulus.condition][place] += 1
                if stimulus.condition == "a":
                    letters.update(stimulus.name)
        pages[test.rated[0].song] += 1
    for counts in places.values():
        assert chisquare([counts[i] for i in range(4)]).pvalue > 1e-3
    assert chisquare([letters[c] for c in "0123456789abcdef"]).pvalue > 1e-3
    assert chisquare([pages["s"], pages["t"]]).pvalue > 1e-3


def test_names_cannot_be_derived_without_the_key():
    names = {
        design.opaque(design.secret(seed, [data], o), "rated", "s", "c")
        for seed in (0, 1)
        for data in (b"x", b"y")
        for o in (0, 1)
    }
    assert len(names) == 8, "they depend on seed, sound and options"


def test_same_input_same_output(folders, tmp_path, dasp_command):
    for name in ("one", "two"):
        made(dasp_command, tmp_path / name, folders.values(), "--seed", 5)
    one, two = listing(tmp_path / "one" / "page"), listing(tmp_path / "two" / "page")
    assert one == two
    made(dasp_command, tmp_path / "three", folders.values(), "--seed", 6)
    three = listing(tmp_path / "three" / "page")
    assert set(one) & set(three) == {f for f in one if not f.startswith("audio/")} | {"audio"} & set(one)


def test_conditions_as_files_and_mono(tmp_path, dasp_command):
    a = save(tmp_path / "first mix.wav", stem(0, 2.2, 22050))
    b = save(tmp_path / "b.flac", stem(1, 2.2, 48000, 2), 48000)
    key, test, _, _ = made(dasp_command, tmp_path / "t", [a, f"other={b}"], "--bits", 24, "--title", "<b>Hm</b>")
    assert key["conditions"] == ["first mix", "other"]
    assert test["rate"] == 48000
    assert test["bits"] == 24
    page = (tmp_path / "t" / "page" / "index.html").read_text()
    assert "<title>&lt;b&gt;Hm&lt;/b&gt;</title>" in page
    x = sound.of_pcm(samples(tmp_path / "t", next(n for n, s in stimuli(key).items() if s["condition"] == "first mix")), 24)
    np.testing.assert_allclose(x[0], x[1], atol=1e-6)


def stimuli(key):
    return {n: s for p in key["pages"].values() for n, s in p["stimuli"].items()}


def test_webmushra(folders, tmp_path, dasp_command):
    out = tmp_path / "t"
    key, _, _, err = made(
        dasp_command, out, folders.values(), "--reference", "human", "--anchor", "--webmushra", "--criteria", "similarity"
    )
    assert "excerpts of 2 s" in err
    (file,) = (out / "webmushra" / "configs").glob("*.yaml")
    config = yaml.safe_load(file.read_text())
    assert config["testId"] == key["test"] == file.stem
    kinds = [p["type"] if isinstance(p, dict) else p[0] for p in config["pages"]]
    assert kinds == ["generic", "volume", "mushra", "random", "finish"]
    for page in (config["pages"][2], *config["pages"][3][1:]):
        known = key["pages"][page["id"]]["stimuli"]
        hidden = {n for n, s in known.items() if s["role"] == "reference"}
        assert set(page["stimuli"]) == set(known) - hidden
        for wav in (page["reference"], *page["stimuli"].values()):
            import soundfile

            info = soundfile.info(out / "webmushra" / wav)
            assert (info.samplerate, info.channels, info.frames) == (44100, 2, 2 * 44100)
    questions = config["pages"][-1]["questionnaire"]
    assert [q["name"] for q in questions] == ["participant", *(q["name"] for q in DEFAULT)]
    assert {q["type"] for q in questions} == {"text", "number", "likert"}
    assert questions[1]["response"][0] == {"value": "under 18", "label": "under 18"}
    # Its parser knows no brackets over several lines, and takes 12e4 without quotes for a number.
    assert all(re.match(r' *(- )*("|pages:|-$)', line) for line in file.read_text().splitlines())
    names = {f.stem for f in (out / "webmushra").rglob("*.wav")}
    assert not names & {n for n, s in stimuli(key).items() if s["role"] == "reference"}


def test_own_questions_and_words(folders, tmp_path, dasp_command):
    (tmp_path / "q.yaml").write_text('- {name: rooms, text: "How many rooms?", type: number, low: 0, high: 9}\n')
    (tmp_path / "w.txt").write_text("One line\nof a paragraph.\n\nAnother <b>one</b>.\n")
    options = (
        "--questionnaire",
        tmp_path / "q.yaml",
        "--welcome",
        tmp_path / "w.txt",
        "--post-url",
        "https://example.org:8443/a?b=1",
    )
    _, test, _, _ = made(dasp_command, tmp_path / "t", folders.values(), *options)
    assert test["questions"] == [{"name": "rooms", "text": "How many rooms?", "type": "number", "low": 0, "high": 9}]
    assert test["welcome"] == ["One line of a paragraph.", "Another <b>one</b>."]
    assert "connect-src https://example.org:8443;" in (tmp_path / "t" / "page" / "index.html").read_text()


def test_the_default_questions_fit_their_schema(tmp_path):
    check("default", DEFAULT, "questionnaire")
    (tmp_path / "q.json").write_text(json.dumps(DEFAULT))
    assert read(tmp_path / "q.json") == DEFAULT


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "is not JSON"),
        ('[{"name": "a", "text": "A", "type": "choice"}]', "options"),
        ('[{"name": "A b", "text": "A", "type": "text"}]', "does not match"),
        ('[{"name": "a", "text": "A", "type": "text"}, {"name": "a", "text": "B", "type": "text"}]', "two questions are named a"),
        ('[{"name": "a", "text": "A", "type": "number", "low": 2, "high": 1}]', "not below"),
        ('{"a": 1}', "is not of type 'array'"),
        ('[{"name": "a", "text": "\\ud800", "type": "text"}]', "half a character"),
    ],
)
def test_questions_that_cannot_be_asked(text, says, folders, tmp_path, refused):
    file = tmp_path / "q.json"
    file.write_text(text)
    assert says in refused("listen", *folders.values(), "-o", tmp_path / "t", "--questionnaire", file)
    file = file.rename(tmp_path / "q.yaml")
    if says != "is not JSON":
        assert says in refused("listen", *folders.values(), "-o", tmp_path / "t", "--questionnaire", file)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--reference", "humn"), "--reference humn: is no condition; there are dmc, sum, human. Did you mean 'human'?"),
        (("--anchor",), "anchors are made of the reference"),
        (("--criteria", "clarty"), "Did you mean 'clarity'?"),
        (("--criteria", "clarity,clarity"), "stands twice"),
        (("--criteria", ","), "give one or more"),
        (("--criteria", "similarity"), "name it by --reference"),
        (("--repeats", 3), "there are only 2 songs"),
        (("--webmushra",), "need a reference"),
        (("--post-url", "ftp://example.org"), "expected an address such as https://"),
        (("--post-url", "https://a.org; script-src *"), "expected an address"),
        (("--start", 100), "--start 100: the song ends at 3.0 s"),
        (("--loudness", -10), "would clip at -10 LUFS"),
        (("--seconds", "nan"), "nan is not a number from 2 to 120 s"),
        (("--welcome", "/no/such"), "there is no such file"),
    ],
)
def test_what_is_refused(options, says, folders, tmp_path, refused):
    assert says in refused("listen", *folders.values(), "-o", tmp_path / "t", *options)
    assert not (tmp_path / "t").exists()
    assert list(tmp_path.iterdir()) == []


def test_conditions_that_are_refused(folders, tmp_path, refused):
    out = ("-o", tmp_path / "t")
    one = folders["dmc"]
    assert "at least two conditions; got 1" in refused("listen", one, *out)
    assert "two conditions called dmc" in refused("listen", one, f"dmc={folders['sum']}", *out)
    assert "there is no such file or folder" in refused("listen", one, "x=nowhere", *out)
    assert "expected NAME=" in refused("listen", one, f"={folders['sum']}", *out)
    assert "is a file and" in refused("listen", one, f"x={one / 'alpha.wav'}", *out)
    many = [f"c{i}={one}" for i in range(12)]
    assert "12 stimuli a page are too many" in refused("listen", *many, *out)
    (tmp_path / "empty").mkdir()
    assert "no song is in every condition" in refused("listen", one, tmp_path / "empty", *out)
    both = shutil.copytree(one, tmp_path / "both")
    shutil.copy(both / "alpha.wav", both / "alpha.flac")
    assert "leave one of the two" in refused("listen", one, both, *out)
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "key.json").write_text("{}")
    assert "is not empty" in refused("listen", *folders.values(), "-o", tmp_path / "used")


def test_songs_that_not_all_have_are_left_out(folders, tmp_path, dasp_command):
    fewer = shutil.copytree(folders["sum"], tmp_path / "fewer")
    (fewer / "beta.wav").unlink()
    key, _, _, err = made(dasp_command, tmp_path / "t", [folders["dmc"], fewer])
    assert {p["song"] for p in key["pages"].values()} == {"alpha"}
    assert "beta: left out: fewer has no file of that name" in err


def test_long_tests_are_noted(folders, tmp_path, dasp_command, monkeypatch):
    monkeypatch.setattr(design, "FATIGUE_S", 1.0)
    _, _, text, err = made(dasp_command, tmp_path / "t", folders.values(), "--reference", "sum")
    assert "tests above 45 min tire" in err
    assert "a reference invites" in err
    assert "key.json tells what is what" in text


def test_addresses():
    assert origin("http://localhost:8000/x") == "http://localhost:8000"
    assert origin("https://[::1]/x") == "https://[::1]"


def test_every_criterion_has_words():
    assert all(c.title and c.about.endswith((".", "?")) and c.low and c.high for c in CRITERIA.values())
