"""REAPER projects: states as REAPER itself saves them, laws that were measured, and changes made in REAPER."""

import base64
import math

import exports
import numpy as np
import pytest
import torch
from synthetic import RATE
from test_export import LANES, usual

from dasp.effects import find
from mixing import UserError
from mixing.export import cockos, export, read, reaper_map
from mixing.export.cockos import COMP, EQ, EqBand
from mixing.export.rpp import Chunk, parse, quoted

# ReaEQ as REAPER 7.65 saved it: a high-pass at 100.417 Hz that is on, four bands that are off.
SAVED_EQ = (
    "cWVlcu5e7f4CAAAAAQAAAAAAAAACAAAAAAAAAAIAAAABAAAAAAAAAAIAAAAAAAAAzQAAAAEAAAAAABAA",
    "IQAAAAUAAAAEAAAAAQAAAG9ScPi3GllAAAAAAAAA8D8AAAAAAAAAQAEAAAAAAAAAAAQEaDDZCWlAAAAAAAAA8D8AAAAAAAAAQAEIAAAAAAAAAAEaHb6ED4lAAAAAAAAA",
    "8D8AAAAAAADwPwEIAAAAAAAAAHfH++l3aKdAAAAAAAAA8D8AAAAAAADwPwEBAAAAAAAAAKWt3qUPUL9AAAAAAAAA8D8AAAAAAAAAQAEBAAAAAQAAAAAAAAAAAPA/AAAA",
    "AP0BAABcAQAAAgAAAA==",
)
BANDS = [
    EqBand(4, 100.41747866600939, 1.0, 2.0),
    EqBand(0, 200.3077623397404, 1.0, 2.0, on=False),
    EqBand(8, 801.9398157380639, 1.0, 1.0, on=False),
    EqBand(8, 2996.2342070275295, 1.0, 1.0, on=False),
    EqBand(1, 8016.061124722856, 1.0, 2.0, on=False),
]
# ReaComp as it is inserted: threshold 0 dB, 4:1, 3 ms, 100 ms, RMS 5 ms; and with a preset that was changed by hand.
SAVED_COMP = (
    "bWNlcu9e7f4EAAAAAQAAAAAAAAACAAAAAAAAAAQAAAAAAAAACAAAAAAAAAACAAAAAQAAAAAAAAACAAAAAAAAAFwAAAAAAAAAAAAQAA==",
    "776t3g3wrd4AAIA/ED74PKabxDsK16M8AAAAAAAAAAAAAIA/AAAAAAAAAAAAAAAAnNEHMwAAgD8AAAAAzcxMPQAAAAAAAAAAAAAAAAAAgD4AAAAAAAAAAAAAAAA=",
)
SAVED_GATE = "776t3g3wrd6c0QczppvEOwrXozwAAAAAAAAAAAAAgD8AAAAAAAAAAAAAAACc0QczAACAP5zRBzMAAIA/AAAAAAAAAAAAAAAA"


@pytest.fixture(scope="module")
def stems(tmp_path_factory):
    return exports.stems(tmp_path_factory.mktemp("song") / "stems", ["track1", "track2", "track3"])


def lines(chunk):
    return [line[0] for line in chunk.body]


def test_an_equaliser_is_written_as_reaper_writes_it():
    made = EQ.chunk(cockos.eq_state(BANDS, 1.0))
    assert lines(made)[:4] == list(SAVED_EQ)
    saved = Chunk(made.head, [[line] for line in (*SAVED_EQ, "AFByb2dyYW0gMQAQAAAA")])
    assert cockos.eq_bands(cockos.state_of("x", saved)) == (BANDS, 1.0)


def test_a_compressor_is_written_as_reaper_writes_it():
    default = {0: 1.0, 1: 3 / 99, 2: 3 / 500, 3: 100 / 5000, 13: 5 / 100, 10: 3.1622775e-8, 12: 0.0}
    made = COMP.chunk(cockos.floats_state(COMP, default))
    assert lines(made)[0] == SAVED_COMP[0]
    ours, theirs = (np.frombuffer(base64.b64decode(x), "<f4", offset=8) for x in (lines(made)[1], SAVED_COMP[1]))
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_a_gate_is_written_as_reaper_writes_it():
    theirs = np.frombuffer(base64.b64decode(SAVED_GATE), "<f4", offset=8)
    np.testing.assert_allclose(cockos.GATE.default[: len(theirs)], theirs, rtol=1e-6)


def cookbook(kind, frequency, gain_db, alpha):
    """Magnitude in dB of the cookbook's filter at some frequencies."""
    a, w = 10 ** (gain_db / 40), 2 * math.pi * frequency / RATE
    c, root = math.cos(w), 2 * math.sqrt(a) * alpha
    if kind == "peak":
        b, d = (1 + alpha * a, -2 * c, 1 - alpha * a), (1 + alpha / a, -2 * c, 1 - alpha / a)
    else:
        s = 1 if kind == "low_shelf" else -1
        b = (a * (a + 1 - s * (a - 1) * c + root), s * 2 * a * (a - 1 - s * (a + 1) * c), a * (a + 1 - s * (a - 1) * c - root))
        d = (a + 1 + s * (a - 1) * c + root, -s * 2 * (a - 1 + s * (a + 1) * c), a + 1 + s * (a - 1) * c - root)
    z = np.exp(-2j * np.pi * np.geomspace(30, 10000, 60) / RATE)
    return 20 * np.log10(np.abs((b[0] + b[1] * z + b[2] * z**2) / (d[0] + d[1] * z + d[2] * z**2)))


def measured(name, **controls):
    impulse = torch.zeros(1, 1, 8192, dtype=torch.float64)
    impulse[..., 0] = 1
    with torch.no_grad():
        y = find(name)(RATE)(impulse, **controls)[0, 0].numpy()
    z = np.exp(-2j * np.pi * np.geomspace(30, 10000, 60)[:, None] / RATE * np.arange(len(y)))
    return 20 * np.log10(np.abs(z @ y))


@pytest.mark.parametrize("gain", [-9.0, 6.0])
@pytest.mark.parametrize(
    ("name", "q"), [("PeakFilter", 0.7), ("PeakFilter", 4.0), ("LowShelfFilter", 0.6), ("HighShelfFilter", 0.72)]
)
def test_reaeq_has_dasp_s_curve(name, q, gain):
    """By what was measured of ReaEQ: bandwidth in octaves, digital, for a band; slope 1 / bandwidth^2 for a shelf."""
    controls = {"cutoff_frequency_hz": 900.0, "gain_db": gain, "q": q}
    entry = {"effect": name, "controls": {k: {"value": v} for k, v in controls.items()}}
    made = reaper_map.chunk("equalizer", [entry], RATE)
    (band,), _ = cockos.eq_bands(cockos.state_of("x", made))
    w = 2 * math.pi * band.frequency / RATE
    gain_db = 20 * math.log10(band.gain)
    if name == "PeakFilter":
        alpha = math.sin(w) * math.sinh(math.log(2) / 2 * band.bandwidth * w / math.sin(w))
    else:
        a = 10 ** (gain_db / 40)
        alpha = math.sin(w) / 2 * math.sqrt((a + 1 / a) * (band.bandwidth**2 - 1) + 2)
    kind = {"PeakFilter": "peak", "LowShelfFilter": "low_shelf", "HighShelfFilter": "high_shelf"}[name]
    np.testing.assert_allclose(cookbook(kind, band.frequency, gain_db, alpha), measured(name, **controls), atol=0.02)


@pytest.mark.parametrize("name", ["LowpassFilter", "HighpassFilter"])
@pytest.mark.parametrize("frequency", [60.0, 500.0, 3000.0])
def test_the_one_pole_filter_is_3_db_down_where_dasp_s_is(name, frequency):
    """By the equations of the effect that ships with REAPER: y = 2 a0 x + b1 y', and what that leaves of x."""
    entry = {"effect": name, "controls": {"cutoff_frequency_hz": {"value": frequency}}}
    made = reaper_map.chunk(name, [entry], RATE)
    assert made.head[:2] == ["JS", "Liteon/simplelp6db"]
    _, high, scale, gain_db = map(float, made.body[0][:4])
    x = 2 * math.pi * 8.17742 * 1.059 ** (16 + 1.20103 * scale)
    n = 1 / (x + 3 * RATE)

    def level(f):
        low = 2 * x * n / (1 - (3 * RATE - x) * n * np.exp(-2j * math.pi * f / RATE))
        return gain_db + 20 * np.log10(np.abs(1 - low if high else low))

    assert level(frequency) == pytest.approx(-3.01, abs=0.01)
    if name == "HighpassFilter":
        here = np.geomspace(30, 10000, 60)
        np.testing.assert_allclose(level(here), measured(name, cutoff_frequency_hz=frequency), atol=0.05)


def test_tracks_have_dasp_s_pan_law(stems, tmp_path):
    path = tmp_path / "song.rpp"
    export(usual(), stems, path, lanes=LANES)
    root = parse("x", path.read_text())
    tracks = list(root.chunks("TRACK"))
    assert [next(t.lines("NAME"))[1] for t in tracks] == ["track1", "track2", "track3", "reverb"]
    for n, track in enumerate(usual()["tracks"]):
        volume, pan, law = map(float, next(tracks[n].lines("VOLPAN"))[1:4])
        theta = (1 + pan) * math.pi / 4  # sine taper: measured of REAPER with this law, for mono and stereo
        assert law == pytest.approx(0.5**0.5)
        assert volume * math.cos(theta) == pytest.approx(10 ** (track["fader_db"] / 20) * math.cos(track["pan"] * math.pi / 2))
        assert volume * math.sin(theta) == pytest.approx(10 ** (track["fader_db"] / 20) * math.sin(track["pan"] * math.pi / 2))
    assert next(tracks[3].lines("VOLPAN"))[1:4] == ["1", "0", "1"]
    assert next(tracks[3].lines("AUXRECV"))[1:3] == ["0", "0"]
    assert [float(line[3]) for line in tracks[3].lines("AUXRECV")] == pytest.approx([10 ** (-12 / 20)] * 3)


def test_envelopes_count_as_reaper_s(stems, tmp_path):
    path = tmp_path / "song.rpp"
    export(usual(), stems, path, lanes=LANES)
    tracks = list(parse("x", path.read_text()).chunks("TRACK"))
    (volume,) = tracks[0].chunks("VOLENV2")
    assert [[float(x) for x in line[1:3]] for line in volume.lines("PT")] == pytest.approx(
        np.array([[0, 10 ** (-6 / 20)], [0.1, 1], [0.2, 10 ** (-12 / 20)]])
    )
    (pan,) = tracks[1].chunks("PANENV2")
    assert [float(line[2]) for line in pan.lines("PT")] == pytest.approx([0.6, -0.6])  # +1 is left
    assert next(tracks[0].lines("AUTOMODE")) == ["AUTOMODE", "1"]
    assert len(list(tracks[3].chunks("AUXVOLENV"))) == 1


def test_what_is_changed_in_reaper_is_read(stems, tmp_path):
    path = tmp_path / "song.rpp"
    export(usual(), stems, path)
    root = parse("x", path.read_text())
    tracks = [c for c in root.body if isinstance(c, Chunk) and c.head[0] == "TRACK"]
    next(tracks[0].lines("VOLPAN"))[1:3] = ["0.5", "-0.25"]
    next(next(tracks[1].chunks("ITEM")).lines("SOFFS"))[1] = str(100 / RATE)
    next(tracks[3].lines("AUXRECV"))[3] = "1"
    compressor = [c for c in next(tracks[2].chunks("FXCHAIN")).body if isinstance(c, Chunk)][1]
    compressor.body = COMP.chunk(cockos.floats_state(COMP, {0: 0.1, 1: 9 / 99, 2: 0.01, 3: 0.01})).body
    # REAPER saves fourteen digits, renames and reorders freely, and adds what dasp did not write.
    next(tracks[2].lines("NAME"))[1] = "renamed"
    at = [root.body.index(t) for t in tracks]
    root.body[at[0]], root.body[at[2]] = tracks[2], tracks[0]
    for line in tracks[3].lines("AUXRECV"):
        line[1] = {"0": "2", "2": "0"}.get(line[1], line[1])
    root.line("SOMETHING", 1, 2, 3)
    path.write_text(root.text().replace("0.7071067811865476", "0.70710678118655"))
    back = read(path)
    assert back.notes == ()
    tracks = back.settings["tracks"]
    assert (tracks[0]["fader_db"], tracks[0]["pan"]) == pytest.approx((20 * math.log10(0.5), 0.375))
    assert tracks[1]["lag_samples"] == 100
    assert [t["sends_db"]["reverb"] for t in tracks] == [0.0, -12.0, -12.0]
    read_back = {k: c["value"] for k, c in tracks[2]["inserts"][3]["controls"].items()}
    expected = {"threshold_db": -20.0, "ratio": 10.0, "attack_ms": 10 * math.pi, "release_ms": 100 * math.pi}
    assert read_back == pytest.approx(expected, rel=1e-6)
    assert tracks[2]["inserts"][:3] == usual()["tracks"][2]["inserts"][:3]
    assert tracks[2]["name"] == "track3"


def test_other_effects_than_dasp_s_are_said_not_to_be_taken_over(stems, tmp_path):
    path = tmp_path / "song.rpp"
    export(usual(), stems, path)
    root = parse("x", path.read_text())
    chain = next(next(root.chunks("TRACK")).chunks("FXCHAIN"))
    chain.body.append(Chunk(["JS", "utility/volume", ""], [["3", "150"]]))
    path.write_text(root.text())
    back = read(path)
    assert back.settings == usual()
    assert back.notes[0] == "track track1: its effects are others than those that dasp wrote; they are not taken over."


def test_a_project_of_someone_else_is_refused(stems, tmp_path):
    path = tmp_path / "song.rpp"
    path.write_text('<REAPER_PROJECT 0.1 "7.0" 0\n  TEMPO 120 4 4\n>\n')
    with pytest.raises(UserError, match="has no settings of dasp in it"):
        read(path)
    export(usual(), stems, path)
    path.write_text(path.read_text().replace("SETTINGS00000 ey", "SETTINGS00000 !!"))
    with pytest.raises(UserError, match="is damaged"):
        read(path)


@pytest.mark.parametrize("word", ["a", "two words", 'a "quote"', "it's", "`", "", "<x", "|x", "\"'", "é"])
def test_words_survive_quoting(word):
    made = Chunk(["X"])
    made.line("NAME", word, 1.5)
    assert parse("x", made.text()).body == [["NAME", word, "1.5"]]


def test_a_word_with_every_quote_keeps_the_rest():
    assert quoted("a\"'`b") == "`a\"''b`"
