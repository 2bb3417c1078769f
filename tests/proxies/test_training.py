"""Training: exact resumption, several processes as one, what a run leaves behind, and that it learns."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import proxies
from dasp import Compressor, Gain, ParametricEQ, PeakFilter
from proxies import normalisation, snapshot
from proxies.config import Optimiser, config
from proxies.data import ahead, batches
from proxies.initial import begin
from proxies.network import build
from proxies.trainer import learning_rate, train

ROOT = Path(__file__).resolve().parents[2]
TINY = {
    "target": "dasp:Compressor",
    "network": {"kind": "tcn", "blocks": 2, "growth": 4, "kernel": 3, "channels": 4, "condition": 4},
    "audio": {"samples": 2048},
    "loss": {"fft_sizes": [256]},
    "optimiser": {"warm_up": 0},
    "batch": 4,
    "steps": 12,
    "validate": 3,
    "validation_batches": 1,
}


def run(folder, settings=None, **options):
    whole = config({**TINY, **(settings or {})})
    return train(whole, [], folder, name="Tiny", command="python -m proxies.train dasp:Compressor", device="cpu", **options)


def command(folder, *more):
    """The command line of the same run."""
    words = [f"{name}={json.dumps(value)}" for name, value in TINY.items() if name != "target"]
    options = [word for setting in words for word in ("--set", setting)]
    threads = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    called = [sys.executable, "-m", "proxies.train", "dasp:Compressor", "--run", str(folder), "--device", "cpu", *options, *more]
    return called, {**os.environ, **threads}


def result(path):
    """Weights of a result."""
    return {name: value.clone() for name, value in load_file(path).items()}


def test_a_killed_run_ends_as_the_uninterrupted_one(tmp_path, monkeypatch):
    settings = {"optimiser": {"average": 0.9, "warm_up": 0}}
    whole = run(tmp_path / "whole", settings)
    monkeypatch.setitem(TINY, "optimiser", settings["optimiser"])
    called, environment = command(tmp_path / "killed", "--set", "steps=12")
    process = subprocess.Popen(called, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    states = tmp_path / "killed" / "snapshots"
    limit = time.monotonic() + 600
    while not list(states.glob("*.safetensors")) and process.poll() is None and time.monotonic() < limit:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "killed" / "dasp-Compressor.safetensors").exists()
    found = snapshot.newest(states)
    assert found is not None
    assert 0 < found[1]["step"] <= 12
    again = run(tmp_path / "killed", settings)
    expected, got = result(whole), result(again)
    assert expected.keys() == got.keys()
    assert all(torch.equal(expected[name], got[name]) for name in expected)
    assert again.read_bytes() == whole.read_bytes()


def test_a_run_goes_on_from_any_snapshot(tmp_path):
    expected = result(run(tmp_path / "a"))
    (newest, older) = sorted((tmp_path / "a" / "snapshots").glob("*.safetensors"), reverse=True)
    newest.write_bytes(newest.read_bytes()[:1000])  # as if the disk had lost its end
    assert snapshot.newest(newest.parent)[1]["step"] == int(older.stem) == 9
    got = result(run(tmp_path / "a"))
    assert all(torch.equal(expected[name], got[name]) for name in expected)


def test_a_folder_with_another_run_is_refused_or_started_over(tmp_path):
    run(tmp_path, {"steps": 3})
    with pytest.raises(ValueError, match=r"^train: .* has a run with another batch \(4\); choose another folder"):
        run(tmp_path, {"steps": 3, "batch": 2})
    run(tmp_path, {"steps": 3, "batch": 2}, fresh=True)


def test_the_result_is_a_proxy_with_its_origin(tmp_path):
    licence = {"name": "a collection", "licence": "CC0-1.0", "origin": "somewhere"}
    path = run(tmp_path, {"steps": 3, "audio": {"samples": 2048, "licences": [licence]}, "seed": 7})
    loaded = proxies.load(path, Compressor.controls)
    header = loaded.header
    assert (header.effect, header.seed, header.sample_rate, header.level_db) == ("dasp:Compressor", 7, 44100.0, (-36.0, 0.0))
    assert header.data[0] == licence
    assert header.data[1]["name"] == "synthetic signals"
    assert header.command == "python -m proxies.train dasp:Compressor"
    assert header.scores["step"] == 3
    with pytest.raises(ValueError, match=r"python -m proxies\.train dasp:Compressor"):
        proxies.load(path, Gain.controls)
    y = Compressor(gradient="proxy", proxy=loaded)(torch.randn(1, 2, 500), torch.rand(1, 4))
    assert y.isfinite().all()
    assert list((tmp_path / "tensorboard").iterdir())


def test_parts_start_from_weights(tmp_path):
    path = run(tmp_path, {"steps": 1, "validate": 1})
    kind = {**TINY["network"]}
    whole = build("series", num_controls=8, networks=[{**kind, "controls": [0, 1, 2, 3]}, {**kind, "controls": [4, 5, 6, 7]}])
    table = [*Compressor.controls, *Compressor.controls]
    begin(whole, {"networks.1": str(path)}, table)
    loaded = proxies.load(path).state_dict()
    assert all(torch.equal(value, loaded[name]) for name, value in whole.networks[1].state_dict().items())
    assert not torch.equal(whole.networks[0].output.weight, loaded["output.weight"])
    with pytest.raises(ValueError, match=r"^config: initial\.networks\.2 cannot start from"):
        begin(whole, {"networks.2": str(path)}, table)


def test_a_part_with_a_narrower_table_computes_what_the_weights_do(tmp_path):
    settings = {"kind": "filter", "width": 4}
    path = run(tmp_path, {"target": "dasp:PeakFilter", "steps": 1, "validate": 1, "network": settings})
    parts = [{**settings, "controls": [0, 1, 2]}, {**settings, "controls": [3, 4, 5]}]
    equaliser = build("series", num_controls=6, networks=parts).eval()
    table = ParametricEQ.controls[:6]
    begin(equaliser, {"networks.1": str(path)}, table)
    x, u = torch.randn(3, 1, 400), torch.rand(3, 3)
    physical = {q.name: r.to_physical(u[:, i]) for i, (q, r) in enumerate(zip(PeakFilter.controls, table[3:], strict=True))}
    same = PeakFilter().unit(3, **physical).float()
    torch.testing.assert_close(equaliser.networks[1](x, u), proxies.load(path)(x, same))
    with pytest.raises(ValueError, match=r"low_shelf_q goes from 0\.1 to 10, log; the weights know -24 to 24, linear"):
        begin(equaliser, {"networks.0": str(path)}, [table[0], table[2], table[1]])


def test_it_learns(tmp_path):
    settings = {
        "target": "dasp:Gain",
        "network": {"kind": "tcn", "blocks": 1, "kernel": 1, "channels": 4, "condition": 8, "tanh": False},
        "audio": {"samples": 512, "silence": 0.0},
        "loss": {"mr_stft": 0.0},
        "optimiser": {"learning_rate": 0.02},
        "steps": 150,
        "validate": 75,
    }
    first = proxies.load(run(tmp_path / "first", {**settings, "steps": 1})).header.scores
    last = proxies.load(run(tmp_path / "last", settings)).header.scores
    assert last["validation"]["l1"] < 0.3 * first["validation"]["l1"]


def test_early_stopping_and_plateaus(tmp_path, monkeypatch):
    scores, sound = iter([3.0, 2.0, 2.5, 2.4, 1.0]), torch.zeros(1, 9)
    monkeypatch.setattr("proxies.trainer._Run._validate", lambda self, checks: (next(scores), {}, (sound, sound, sound)))
    run(tmp_path, {"optimiser": {"schedule": "plateau", "every": 1}, "validate": 1, "patience": 2})
    _, counters = snapshot.newest(tmp_path / "snapshots")
    assert (counters["step"], counters["stale"], counters["best_step"], counters["reductions"]) == (4, 2, 2, 2)


def test_bf16_and_differences(tmp_path):
    path = run(tmp_path, {"precision": "bf16", "loss": {"fft_sizes": [256], "difference": 0.1}, "steps": 3})
    assert "difference" in proxies.load(path).header.scores["validation"]


@pytest.mark.parametrize("difference", [0.0, 0.1])
def test_two_processes_are_one_with_the_whole_batch(tmp_path, difference):
    # Smooth terms: the sign of an error that is rounding, or the logarithm of a bin that is, would differ for good reason.
    settings = {
        "loss": {"l1": 0.0, "mr_stft": 0.0, "esr": 1.0, "difference": difference},
        "audio": {"samples": 2048, "silence": 0.0},
    }
    settings |= {"optimiser": {"clip": 0.0, "warm_up": 0}, "steps": 2, "validate": 1}
    run(tmp_path / "one", settings)
    more = [word for name, value in settings.items() for word in ("--set", f"{name}={json.dumps(value)}")]
    called, environment = command(tmp_path / "two", "--processes", "2", *more)
    finished = subprocess.run(called, env=environment, capture_output=True, text=True, check=False, timeout=600)
    assert finished.returncode == 0, finished.stderr
    for step in (1, 2):
        alone, together = (load_file(tmp_path / run / "snapshots" / f"{step:09d}.safetensors") for run in ("one", "two"))
        assert alone.keys() == together.keys()
        for name, value in alone.items():
            if name.endswith("exp_avg_sq"):
                continue
            error = (together[name] - value).double().norm() / value.double().norm().clamp_min(1e-3)
            assert error < 1e-4, (name, step)  # exp_avg is a tenth of the gradient after one step


def test_shared_normalisation_is_torchs(tmp_path):
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        results = []
        for shared in (False, True):
            torch.manual_seed(0)
            layer = torch.nn.Sequential(torch.nn.BatchNorm1d(3)).double()
            if shared:
                normalisation.share(layer)
            x = torch.randn(4, 3, 50, dtype=torch.float64, requires_grad=True)
            y = layer(3 * x + 1)
            y.pow(3).sum().backward()
            normalisation.unshare(layer)
            assert type(layer[0]) is torch.nn.BatchNorm1d
            results.append([y, x.grad, layer[0].weight.grad, *layer.state_dict().values(), layer.eval()(x)])
        for expected, got in zip(*results, strict=True):
            torch.testing.assert_close(got, expected)
    finally:
        torch.distributed.destroy_process_group()


def test_a_batch_is_the_same_whoever_makes_it_and_when():
    data = batches(config({**TINY, "controls": {"moving": 0.5}}), [])
    frames = set()
    for number in (5, 0, 3, 1, 2):
        whole = data.training(number)
        parts = [data.training(number, rank, 2) for rank in range(2)]
        for a, b in zip(whole, zip(*parts, strict=True), strict=True):
            assert torch.equal(a, torch.cat(b))
        frames.add(whole.u.shape[2:])
    assert len(frames) > 1
    assert not torch.equal(data.training(0).x, data.training(1).x)
    checks = batches(config({**TINY, "seed": 5}), []).validation()
    assert torch.equal(checks[0].x, data.validation()[0].x)


def test_controls_stand_still_where_they_must():
    static = config({**TINY, "target": "dasp:Chorus", "controls": {"moving": 1.0}})
    data = batches(static, [])
    assert bool(data.teacher.static) == (data.training(0).u.ndim == 2)


def test_neighbours_share_their_audio():
    data = batches(config({**TINY, "loss": {"difference": 1.0}}), [])
    x, u, _ = data.training(3)
    assert torch.equal(x[::2], x[1::2])
    distance = (u[1::2] - u[::2]).norm(dim=1)
    assert ((distance > 0.009) & (distance < 0.081)).all()


def test_batches_come_in_order_and_failures_arrive():
    assert list(ahead(lambda k: k, 3, 9, 2)) == list(ahead(lambda k: k, 3, 9, 0)) == [3, 4, 5, 6, 7, 8]

    def fails(number):
        if number == 2:
            raise ValueError("number 2")
        return number

    with pytest.raises(ValueError, match="number 2"):
        list(ahead(fails, 0, 9, 3))


@pytest.mark.parametrize(
    ("settings", "values"),
    [
        ({"schedule": "cosine", "final": 0.1, "warm_up": 10}, {0: 0.1, 9: 1.0, 10: 1.0, 55: 0.55, 100: 0.1}),
        ({"schedule": "step", "every": 30, "factor": 0.5, "warm_up": 0}, {29: 1.0, 30: 0.5, 99: 0.125}),
        ({"schedule": "constant", "warm_up": 0}, {0: 1.0, 99: 1.0}),
    ],
)
def test_learning_rates(settings, values):
    found = {step: learning_rate(Optimiser(learning_rate=1.0, **settings), step, 100) for step in values}
    assert found == pytest.approx(values)
    assert learning_rate(Optimiser(learning_rate=1.0, schedule="plateau", warm_up=0), 50, 100, 2) == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["dasp:Compresor"], "Did you mean 'Compressor'?"),
        ([], "needs a target such as dasp:Compressor"),
        (["dasp:Gain", "--set", "stepz=3"], "no setting stepz. Did you mean steps?"),
        (["dasp:Gain", "--set", "steps"], "expected NAME=VALUE"),
        (["dasp:Gain", "--audio", "nowhere-at-all"], "nowhere-at-all is not a folder"),
        (["dasp:StereoWidener"], "takes 2 channels; audio.channels is 1"),
        (["dasp:Gain", "--wrong"], "No such option"),
    ],
)
def test_a_users_mistake_is_one_sentence(words, sentence, capsys, tmp_path, monkeypatch):
    from proxies.train import main

    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as exit:
        main(words)
    assert exit.value.code == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.startswith("proxies.train: ") and error.count("\n") == 1


def test_the_retraining_command_has_no_folders_of_this_machine():
    from proxies.train import retraining

    words = retraining("dasp:Gain", "/home/me/my.yaml", ["/home/me/songs"], {"steps": 3, "audio.synthetic": 0.5})
    assert words == ("python -m proxies.train dasp:Gain --config my.yaml --audio songs --set audio.synthetic=0.5 --set steps=3")


@pytest.mark.vst3
def test_a_vst3_is_imitated_and_differentiated(tmp_path, plugins):
    import dasp

    path = plugins / "ZamTube.vst3"
    network = {"kind": "series", "networks": [{"kind": "filter"}, {"kind": "shaper"}, {"kind": "filter"}]}
    weights = run(tmp_path, {"target": str(path), "network": network, "steps": 2, "validate": 1})
    tube = dasp.external(path, gradient="hybrid", proxy=str(weights))
    x, u = 0.1 * torch.randn(1, 1, 4096), torch.full((1, len(tube.controls)), 0.5, requires_grad=True)
    y = tube(x, u)
    assert torch.equal(y, dasp.external(path)(x, u.detach()))
    y.square().mean().backward()
    assert u.grad is not None and u.grad.isfinite().all() and u.grad.any()
