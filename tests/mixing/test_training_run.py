"""Training of mixing models: exact resumption, several processes as one, what a run leaves behind."""

import json
import signal
import subprocess
import time

import pytest
import torch
from safetensors.torch import load_file
from training_songs import TINY, command, songs

from mixing import models
from mixing.errors import UserError
from mixing.training.config import config
from mixing.training.data import material
from mixing.training.lightning import Steps, newest
from mixing.training.run import build, train


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return songs(tmp_path_factory.mktemp("songs"))


@pytest.fixture
def trained(data):
    def run(folder, settings=None, **options):
        whole = config({**TINY, **(settings or {})})
        return train(whole, [data], folder, name="tiny", command="dasp train tiny", device="cpu", **options)

    return run


@pytest.fixture(scope="module")
def reference(data, tmp_path_factory):
    """The run that nothing interrupts."""
    return train(config(TINY), [data], tmp_path_factory.mktemp("run"), name="tiny", command="dasp train tiny", device="cpu")


def checkpoint(folder, step):
    return torch.load(folder / "checkpoints" / f"{step:09d}.ckpt", weights_only=True)


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_a_killed_run_ends_as_the_uninterrupted_one(data, reference, trained, tmp_path):
    called, environment = command(data, tmp_path / "killed")
    process = subprocess.Popen(called, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    limit = time.monotonic() + 300
    while newest(tmp_path / "killed") is None and process.poll() is None and time.monotonic() < limit:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "killed" / "tiny.safetensors").exists()
    found = newest(tmp_path / "killed")
    assert found is not None and 0 < int(found.stem) < 12
    again = trained(tmp_path / "killed")
    assert same(load_file(reference), load_file(again))
    whole, other = (checkpoint(path.parent, 12) for path in (reference, again))
    assert same(whole["state_dict"], other["state_dict"])
    for state in ("exp_avg", "exp_avg_sq"):
        pairs = (o["optimizer_states"][0]["state"] for o in (whole, other))
        assert all(torch.equal(a[state], b[state]) for a, b in zip(*(p.values() for p in pairs), strict=True))
    assert whole["counters"] | {"seconds": 0} == other["counters"] | {"seconds": 0}


def test_what_a_run_leaves_behind(reference, trained):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    loaded = models.load(reference)
    training, validation = (loaded.header["scores"][part] for part in ("training", "validation"))
    assert (loaded.header["command"], loaded.header["seed"]) == ("dasp train tiny", 0)
    assert training["songs"] == {"training": ["song0", "song1"], "validation": ["song2"]}
    state = checkpoint(reference.parent, 12)
    assert training["steps"] == state["counters"]["best_step"] and validation["loss"] == state["counters"]["best"]
    assert same({name: value for name, value in state["best"].items() if name in load_file(reference)}, load_file(reference))
    assert sorted(p.name for p in (reference.parent / "checkpoints").iterdir()) == ["000000009.ckpt", "000000012.ckpt"]
    events = EventAccumulator(str(reference.parent / "tensorboard"))
    events.Reload()
    tags = events.Tags()
    assert {"training/loss", "training/l1", "training/learning rate", "validation/loss"} <= set(tags["scalars"])
    assert set(tags["audio"]) == {"validation/output", "validation/target"}
    assert any("settings" in name for name in tags["tensors"])
    started = time.monotonic()
    written = reference.stat().st_mtime_ns
    assert trained(reference.parent) == reference and reference.stat().st_mtime_ns == written, "a finished run is at its end"
    assert time.monotonic() - started < 5


def test_a_folder_with_another_run_is_refused_or_started_over(trained, data, tmp_path):
    short = {"steps": 1, "validate": 1, "validation_excerpts": 1, "batch": 1}
    trained(tmp_path, short)
    with pytest.raises(UserError, match=r"^train: .* has a run with another seed; choose another folder"):
        trained(tmp_path, {**short, "seed": 3})
    again = trained(tmp_path, {**short, "seed": 3}, fresh=True)
    assert models.load(again).header["seed"] == 3
    songs(tmp_path / "more", 4)
    with pytest.raises(UserError, match="has a run with other songs"):
        train(config({**TINY, **short, "seed": 3}), [tmp_path / "more"], tmp_path, name="tiny", command="x", device="cpu")


@pytest.mark.slow
def test_two_processes_are_one_with_the_whole_batch(data, reference, tmp_path):
    called, environment = command(data, tmp_path / "two", "--processes", "2")
    finished = subprocess.run(called, env=environment, capture_output=True, text=True, check=False, timeout=600)
    assert finished.returncode == 0, finished.stderr
    alone, together = (checkpoint(folder, 12) for folder in (reference.parent, tmp_path / "two"))
    weights, others = alone["state_dict"], together["state_dict"]
    assert weights.keys() == others.keys()
    start = build_state(TINY)
    for name, value in weights.items():
        if "encoder" in name and name.endswith("bias"):
            continue  # of convolutions before a normalisation: their gradient is rounding, and Adam makes steps of it
        moved, apart = (value - start[name]).norm(), (value - others[name]).norm()
        assert apart <= 1e-3 * moved + 1e-7, name
    assert together["counters"]["best"] == pytest.approx(alone["counters"]["best"], rel=1e-4)


def build_state(settings):
    torch.manual_seed(0)
    model = build(config(settings))
    return {f"model.{name}": value.clone() for name, value in model.state_dict().items()}


def test_an_excerpt_is_heard_once_whoever_hears_it_and_when():
    alone = [list(Steps(5, 6, 0, 1, epoch)) for epoch in range(3)]
    assert [k for epoch in alone for k in epoch] == list(range(90))
    for world in (2, 3):
        parts = [list(Steps(5, 6, rank, world, 1)) for rank in range(world)]
        assert len({len(p) for p in parts}) == 1
        size = 6 // world
        for step in range(5):
            together = [k for p in parts for k in p[step * size : (step + 1) * size]]
            assert together == alone[1][step * 6 : (step + 1) * 6]
    moved = Steps(5, 6, 0, 1, 0)
    moved.set_epoch(2)
    assert list(moved) == alone[2]


def test_songs_are_split_and_what_cannot_be_used_is_told(data, tmp_path):
    whole = songs(tmp_path, 4)
    (whole / "song3" / "mix.wav").write_bytes(b"no audio")
    settings = {**TINY, "data": {**TINY["data"], "hold_out": ["work1"]}}
    heard = material(config(settings), [whole])
    assert heard.songs == {"training": ("song0",), "validation": ("song2",)}
    assert any("song3" in note for note in heard.notes)
    first = heard.training[5]
    assert torch.equal(first.multitrack.audio, material(config(settings), [whole]).training[5].multitrack.audio)
    for change, sentence in (
        ({"songs": ["none"], "hold_out": [], "validation": []}, "none is left to learn from"),
        ({"hold_out": ["song9"]}, "matches no song"),
        ({"augment": {"levels": 3}}, "config: data: .*levels"),
        ({"excerpts": {"max_tracks": 0}}, "config: data: .*max_tracks"),
        ({"options": {"nothing": 1}}, "nothing"),
    ):
        with pytest.raises(UserError, match=sentence):
            material(config({**settings, "data": {**settings["data"], **change}}), [whole])
    with pytest.raises(UserError, match="patience needs songs"):
        material(config({**TINY, "patience": 2, "data": {"samples": 8192}}), [whole])
    with pytest.raises(UserError, match="name a folder with --data"):
        material(config(TINY), [])


def test_early_stopping_and_plateaus(trained, tmp_path, monkeypatch):
    from mixing.training.lightning import Training

    scores = iter([3.0, 2.0, 2.5, 2.4, 1.0])
    judge = Training._judge
    monkeypatch.setattr(Training, "_judge", lambda self, score, terms: judge(self, next(scores), terms))
    plateau = {"schedule": "plateau", "every": 1, "learning_rate": 0.01, "warm_up": 0}
    path = trained(tmp_path, {"optimiser": plateau, "validate": 1, "patience": 2, "validation_excerpts": 1})
    state = checkpoint(path.parent, 4)
    counters = state["counters"]
    assert (counters["stale"], counters["best_step"], counters["reductions"]) == (2, 2, 2)
    assert state["optimizer_states"][0]["param_groups"][0]["lr"] == pytest.approx(0.001), "of the fourth step"
    path.unlink()
    trained(tmp_path, {"optimiser": plateau, "validate": 1, "patience": 2, "validation_excerpts": 1})
    assert newest(path.parent).stem == "000000004", "a run that had stopped does not go on"


def test_averaged_weights_mixed_precision_and_no_validation(trained, tmp_path):
    settings = {"optimiser": {"average": 0.9, "learning_rate": 0.01}, "precision": "bf16", "data": {"samples": 8192}, "steps": 3}
    path = trained(tmp_path, settings)
    state = checkpoint(path.parent, 3)["state_dict"]
    assert same(load_file(path), {k: state[f"average.module.{k}"] for k in load_file(path)})
    assert not torch.equal(state["average.module.encoder.output.weight"], state["model.encoder.output.weight"])
    header = models.load(path).header
    assert header["scores"]["validation"] == {} and header["scores"]["training"]["steps"] == 3


def test_a_loss_that_is_not_finite_is_told(trained, tmp_path):
    with pytest.raises(UserError, match=r"^train: the loss of step \d+ is not finite .*learning_rate"):
        trained(tmp_path, {"optimiser": {"learning_rate": 1e30, "warm_up": 0, "clip": 0.0}})


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["dmc-gain-pam"], "Did you mean 'dmc-gain-pan'?"),
        (["dmc-gain-pan"], "name a folder with --data"),
        (["dmc-gain-pan", "--set", "stepz=3"], "no setting stepz. Did you mean steps?"),
        (["dmc-gain-pan", "--set", "steps"], "expected NAME=VALUE"),
        (["dmc-gain-pan", "--data", "nowhere-at-all"], "nowhere-at-all"),
        (["dmc-gain-pan", "--processes", "3", "--data", "x"], "a batch of 4 cannot be shared by 3 processes"),
        (
            ["dmc-gain-pan", "--set", "adapt.lr=0.1", "--data", "DATA"],
            "adapt.lr is for a model with model.gradient proxy or hybrid",
        ),
        (["dmc-full", "--gradient", "spsb", "--data", "DATA"], "spsb"),
        (["mix-wave-u-net-small", "--gradient", "spsa", "--data", "DATA"], "gradient"),
        (["mix-wave-u-net-small", "--set", "loss.parameters=1", "--data", "DATA"], "loss.parameters is for models that set"),
    ],
)
def test_a_users_mistake_is_one_sentence(words, sentence, refused, data, tmp_path):
    words = [str(data) if word == "DATA" else word for word in words]
    small = ["data.hold_out=[]", "data.validation=[]", "data.samples=8192", "batch=4", "sample_rate=22050", "workers=0"]
    settings = [word for setting in small for word in ("--set", setting)]
    assert sentence in refused("train", *words, *settings, "--run", tmp_path / "run")


def test_the_command_trains_and_says_how_to_do_it_again(dasp_command, data, tmp_path):
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(json.dumps({**TINY, "steps": 1, "validate": 1, "batch": 1, "validation_excerpts": 1}))
    code, out, err = dasp_command("train", recipe, "--data", data, "--run", tmp_path / "run", "--seed", 4, "--device", "cpu")
    assert code == 0, err
    assert out.splitlines()[-1] == str(tmp_path / "run" / "mine.safetensors")
    header = models.load(tmp_path / "run" / "mine.safetensors").header
    assert header["command"] == f"dasp train mine.yaml --data {data.name} --set seed=4"
