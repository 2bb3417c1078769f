"""Metrics on functions that are known: a network that is the effect has no error, one that is off by so much has just that."""

import json
import math

import numpy as np
import pytest
import soundfile
import torch

from proxies import Header, Network, control_table, metrics, save
from proxies.evaluate import evaluate, main, put
from proxies.scoring import Case, draw, page, real_time_factor, score
from proxies.teacher import Teacher, teacher

RATE = 44100


class Known(Network):
    """The curve and the gain of `table`, exactly; `bend` and `gain` put both off by a factor."""

    def __init__(self, num_controls=2, *, bend=1.0, gain=1.0):
        super().__init__(locals())
        self.bend, self.gain = bend, gain

    def process(self, x, controls, state):
        a, b = controls[:, :1, None], controls[:, 1:2, None]
        return self.gain * torch.tanh(self.bend * (1 + 4 * a) * x) * (0.5 + b)


class Control:
    def __init__(self, name, low, high, scale="linear", surrogate=""):
        self.name, self.unit, self.low, self.high, self.scale, self.surrogate = name, "", low, high, scale, surrogate


TABLE = (Control("drive", 1.0, 5.0), Control("level", 0.5, 50.0, "log"))
EFFECT = Known()


def white(x, u):
    return EFFECT.process(x, u.to(x.dtype), None)


def black(x, u):
    """As a plugin: float32, and nothing for autograd."""
    return white(x.detach().float(), u.detach().float())


def source(whitebox=white, table=TABLE):
    return Teacher("Known", "tests:Known", table, RATE, "", black, whitebox)


class Noise:
    """A source of clips."""

    def clip(self, generator, samples, channels):
        return (0.3 * generator.standard_normal((channels, samples))).astype(np.float32)


def cases(count=24, samples=4096):
    return list(draw(Noise(), source(), count, samples, 1, 0, 0.05))


@pytest.mark.parametrize("whitebox", [white, None], ids=["white box", "differences"])
def test_a_network_that_is_the_effect_has_no_error(whitebox):
    scores = score(EFFECT, source(whitebox), cases(), 24)
    tight = 1e-4 if whitebox else 2e-2  # differences of a float32 box
    assert scores["esr"] < 1e-10 and scores["mr_stft"] < 1e-4 and scores["mean_absolute_error"] < 1e-6
    for kind in ("mr_stft", "mse"):
        g = scores["gradient"][kind]
        assert g["relative_error"] < tight
        assert min(g["cosine"], g["cosine_p10"], *g["controls"].values()) > 1 - tight
        assert math.isclose(g["norm_ratio"], 1, abs_tol=tight)
    assert max(scores["jacobian_error"].values()) < tight**2
    assert scores["cases"] + scores["left_out"] == 24
    assert scores["truth"].startswith("white" if whitebox else "black")


def test_a_gain_of_1_1_is_an_error_of_a_tenth_everywhere():
    scores = score(Known(gain=1.1), source(), cases(), 24)
    assert math.isclose(scores["esr"], 0.01, rel_tol=1e-3)
    assert math.isclose(scores["esr_p90"], 0.01, rel_tol=1e-3)
    for error in scores["jacobian_error"].values():
        assert math.isclose(error, 0.01, rel_tol=1e-3)
    g = scores["gradient"]["mse"]
    assert math.isclose(g["relative_error"], 0.1, rel_tol=1e-3)
    assert math.isclose(g["norm_ratio"], 1.1, rel_tol=1e-3)
    assert g["cosine"] > 0.9999
    for row in scores["regions"]:
        if row["cases"]:
            assert math.isclose(row["relative_error"], 0.1, abs_tol=0.01)
            assert math.isclose(row["jacobian_error"], 0.01, rel_tol=1e-3)


def test_a_network_with_the_wrong_sign_is_found_by_its_control():
    class Backwards(Known):
        def process(self, x, controls, state):
            return super().process(x, torch.cat([controls[:, :1], 1 - controls[:, 1:]], 1), state)

    scores = score(Backwards(), source(), cases(), 24)
    by_control = scores["gradient"]["mse"]["controls"]
    assert by_control["drive"] > 0.8 and by_control["level"] < -0.9
    assert scores["jacobian_error"]["level"] > 3.9  # (-1 - 1)^2
    assert "Weakest: `" in page("Backwards", scores)


def test_cases_where_the_effect_does_nothing_do_not_count():
    x = 1e-4 * torch.ones(1, 1, 4096)  # the curve is straight there
    still, acting = torch.tensor([[0.0, 0.5]]), torch.tensor([[0.9, 0.9]])
    both = [Case(x, u.double(), acting.double() / 2) for u in (still, acting)]
    scores = score(EFFECT, source(), both, 2)
    assert (scores["cases"], scores["left_out"]) == (1, 1)
    assert score(EFFECT, source(), [*both, *both], 2)["left_out"] == 2
    with pytest.raises(ValueError, match="all of 1 cases"):
        score(EFFECT, source(), both[:1], 2)


def test_a_control_with_a_surrogate_derivative_is_left_out():
    table = (TABLE[0], Control("level", 0.5, 50.0, "log", surrogate="straight through"))
    drawn = list(draw(Noise(), source(table=table), 8, 2048, 1, 0, 0.05))
    assert all(torch.equal(c.controls[0, 1], c.goal[0, 1]) for c in drawn)
    scores = score(EFFECT, source(table=table), drawn, 8)
    assert list(scores["jacobian_error"]) == ["drive"]
    assert scores["gradient"]["mse"]["relative_error"] < 1e-4


def test_regions_are_thirds_in_the_controls_unit():
    rows = [r for r in score(EFFECT, source(), cases(), 24)["regions"] if r["control"] == "level"]
    assert [r["third"] for r in rows] == ["low", "middle", "high"]
    torch.testing.assert_close(torch.tensor([r["from"] for r in rows]), 0.5 * 100 ** torch.tensor([0, 1 / 3, 2 / 3]))
    assert sum(r["cases"] for r in rows) == score(EFFECT, source(), cases(), 24)["cases"]


def test_cases_are_reproducible_and_cover_the_table():
    first, again, other = (list(draw(Noise(), source(), 64, 64, 2, seed, 0.005)) for seed in (0, 0, 1))
    assert all(torch.equal(a.x, b.x) and torch.equal(a.controls, b.controls) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0].controls, other[0].controls) and first[0].x.shape == (1, 2, 64)
    u = torch.cat([c.controls for c in first])
    assert u.min() >= 0.005 and u.max() <= 0.995
    assert torch.histc(u[:, 0].float(), 4, 0, 1).min() >= 14, "a Sobol sequence is even"


def test_forward_mode_equals_differences_and_falls_back_on_them():
    x, u = torch.randn(1, 1, 256, dtype=torch.float64), torch.tensor([[0.3, 0.6]], dtype=torch.float64)
    forward = metrics.jacobian(white, x, u)
    torch.testing.assert_close(forward, metrics.differences(white, x, u, 1e-4), atol=1e-6, rtol=1e-6)

    class Opaque(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, u):
            return white(x, u)

    torch.testing.assert_close(metrics.jacobian(Opaque.apply, x, u), forward, atol=1e-6, rtol=1e-6)


def test_loudness_error_is_the_meters_difference():
    t = torch.arange(RATE) / RATE
    tone = 0.1 * torch.sin(2 * torch.pi * 997 * t)[None]
    assert math.isclose(metrics.loudness_error_lu(tone, 2 * tone, RATE), 20 * math.log10(2), abs_tol=0.01)
    assert math.isnan(metrics.loudness_error_lu(tone[:, :1000], tone[:, :1000], RATE))
    assert math.isnan(metrics.loudness_error_lu(0 * tone, tone, RATE))


def test_an_inert_control_has_no_jacobian_error():
    truth = torch.stack([torch.zeros(1, 8), torch.ones(1, 8)])
    errors = metrics.jacobian_errors(truth + 0.5, truth, torch.ones(1, 1, 8))
    assert errors[0].isnan() and errors[1] == 0.25


@pytest.fixture
def songs(tmp_path):
    """Two works of a second."""
    for n in range(2):
        (tmp_path / "songs" / f"song{n}").mkdir(parents=True)
        audio = 0.3 * np.random.default_rng(n).standard_normal(RATE)
        soundfile.write(tmp_path / "songs" / f"song{n}" / "a.wav", audio, RATE, subtype="PCM_16")
    return tmp_path / "songs"


@pytest.fixture
def weights(tmp_path):
    """A TCN that was never trained, as a distortion's proxy."""
    from proxies import TCN

    network = TCN(1, blocks=1, channels=4).eval()
    source = teacher("dasp:Distortion")
    header = Header(
        effect="dasp:Distortion",
        controls=control_table(source.controls),
        sample_rate=44100.0,
        channels=None,
        network=network.description,
        receptive_field=network.receptive_field,
        level_db=(-20.0, 0.0),
        scores={"step": 3},
        command="python -m proxies.train dasp:Distortion",
        seed=0,
        data=(),
        licence="CC0-1.0",
    )
    path = tmp_path / "Distortion.safetensors"
    save(path, network, header, half=True)
    return path


def test_the_command_scores_and_writes(songs, weights, tmp_path, capsys):
    size = weights.stat().st_size
    arguments = ["dasp:Distortion", "--weights", str(weights), "--audio", str(songs), "--works", "song1", "--cases", "4"]
    main([*arguments, "--seconds", "0.5", "--json", str(tmp_path / "s.json"), "--page", str(tmp_path / "s.md"), "--write"])
    out = capsys.readouterr().out
    assert "| ESR, median |" in out and "`drive_db`" in out and "wrote the scores" in out
    assert (tmp_path / "s.md").read_text() in out
    scores = json.loads((tmp_path / "s.json").read_text())
    assert scores["works"] == ["song1"] and scores["real_time_factor"]["cpu"] > 0
    from proxies import load

    header = load(weights).header
    assert header.scores["step"] == 3
    assert math.isclose(header.scores["evaluation"]["esr"], scores["esr"], rel_tol=1e-3)
    assert weights.stat().st_size < size + 8000, "float16 stays float16"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"target": "dasp:Compressor"}, "another control table"),
        ({"works": ["none*"]}, "matches none*"),
        ({"weights": "Distortiom"}, "no shipped weights 'Distortiom'"),
    ],
)
def test_what_the_command_refuses(songs, weights, capsys, change, words):
    given = {"target": "dasp:Distortion", "weights": str(weights), "works": []} | change
    patterns = [a for w in given["works"] for a in ("--works", w)]
    with pytest.raises(SystemExit) as stop:
        main([given["target"], "--weights", given["weights"], "--audio", str(songs), "--cases", "2", *patterns])
    assert stop.value.code == 2
    assert words in capsys.readouterr().err


def test_real_time_factor_is_of_a_second():
    assert 0 < real_time_factor(EFFECT, RATE, 1, "cpu", runs=1) < 1


def test_scores_survive_the_header(songs, weights):
    name, scores = evaluate("dasp:Distortion", str(weights), [songs], cases=2, seconds=0.5)
    assert name == "Distortion"
    put(str(weights), scores)
    put(str(weights), scores)
