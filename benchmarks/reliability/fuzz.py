"""Ten thousand files that are nearly right, each given to dasp as its user would give it.

A file is used, or refused in one sentence. Anything else is a failure: a traceback, no end, a leap of memory, an end of the
process, an output that is not whole, or something left lying about.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from benchmarks.reliability import mutations, ratings
from benchmarks.reliability.drawing import each
from benchmarks.reliability.outcome import Outcome
from benchmarks.reliability.worker import Worker

KINDS = {
    "audio": (0.45, "Audio files through `apply`"),
    "stems": (0.1, "Audio files among the stems of `mix`"),
    "settings": (0.2, "Settings through `apply-settings`"),
    "weights": (0.1, "Weights of proxies and of mixing models, and checkpoints of a killed run"),
    "ratings": (0.05, "Ratings and keys of a listening test through `listen-report`"),
    "recipe": (0.1, "Recipes of `train` and of `proxies.train`"),
}
SETTINGS: dict[str, Any] = {
    "schema": "dasp-settings/1",
    "sample_rate": mutations.RATE,
    "tracks": [
        {
            "name": "a",
            "channels": 1,
            "lag_samples": 3,
            "inserts": [
                {"effect": "PeakFilter", "controls": {"gain_db": {"value": 3.0, "unit": "dB"}, "q": {"value": 1.0}}},
                {"effect": "Compressor", "controls": {"threshold_db": {"value": -20.0, "unit": "dB"}}},
            ],
            "fader_db": -3.0,
            "pan": 0.3,
            "sends_db": {"reverb": -20.0},
            "flags": ["x"],
        },
        {"name": "b", "fader_db": 0.0},
    ],
    "buses": [{"name": "reverb", "effects": [{"effect": "Reverb", "controls": {"room_size": {"value": 0.5}}}]}],
    "master": [{"effect": "Limiter"}],
    "output_gain_db": -1.0,
    "notes": ["y"],
    "metrics": {"z": 1.0},
    "provenance": {"dasp": "0"},
}


def run(count: int, seed: int, tell: Callable[[str], None]) -> list[Outcome]:
    """Try so many files, shared among the kinds.

    Args:
        count: of files.
        seed: of their damage.
        tell: progress.
    """
    outcomes = []
    with tempfile.TemporaryDirectory() as folder, Worker("benchmarks.reliability.fuzz:trial") as worker:
        for kind, (share, title) in KINDS.items():
            tell(f"fuzz: {kind}")
            outcomes.append(_tried(kind, title, max(1, round(share * count)), seed, worker, Path(folder)))
    return outcomes


def _tried(kind: str, title: str, count: int, seed: int, worker: Worker, folder: Path) -> Outcome:
    outcome = Outcome(title)

    def one(case: tuple[str, bytes]) -> None:
        end, failure = worker.run(kind, str(folder), *case)
        if failure:
            failure = f"{kind}: {failure}; {case[0]}, {len(case[1])} bytes {case[1][:200].hex()}"
        outcome.count(end, failure)

    each(cases(kind), count, seed, one)
    return outcome


def cases(kind: str) -> SearchStrategy[tuple[str, bytes]]:
    """(ending, bytes) of a file of a kind, damaged nine times in ten."""
    if kind in ("audio", "stems"):
        whole: SearchStrategy[tuple[str, bytes]] = mutations.whole()
    elif kind == "weights":
        whole = st.sampled_from([(f"{name}.safetensors", data) for name, data in _weights().items()])
    else:
        documents = {"recipe": _recipes, "ratings": _rated}.get(kind, lambda: {"json": SETTINGS})()
        whole = st.sampled_from(sorted(documents)).flatmap(
            lambda name: mutations.changed(documents[name]).map(lambda d: (name, _text(name, d)))
        )
    damaged = whole.flatmap(lambda w: mutations.damaged(w[1]).map(lambda data: (w[0], data)))
    if kind in ("settings", "recipe", "ratings"):  # mostly well-formed text with odd contents
        return st.one_of(whole, whole, whole, damaged)
    return st.one_of(whole, *[damaged] * 9)


def trial(kind: str, folder: str, ending: str, data: bytes) -> tuple[str, str]:
    """Use one file; runs in the worker."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        where = Path(name)
        used = {"audio": _audio, "stems": _stems, "settings": _settings, "weights": _load, "ratings": _ratings, "recipe": _recipe}
        return used[kind](where, ending, data)


def _audio(where: Path, ending: str, data: bytes) -> tuple[str, str]:
    source = where / f"in.{ending}"
    source.write_bytes(data)
    return _command(where, ["apply", "Gain", str(source), str(where / "out.wav"), "--gain-db", "-6"], {source.name}, {"out.wav"})


def _stems(where: Path, ending: str, data: bytes) -> tuple[str, str]:
    stems = where / "stems"
    stems.mkdir()
    shutil.copyfile(_stem(), stems / "b.wav")
    (stems / f"a.{ending}").write_bytes(data)
    out = {"mix.wav", "settings.json"}
    return _command(where, ["mix", str(stems), "-o", str(where / "out"), "--model", "equal-loudness"], {"stems"}, out, "out")


def _settings(where: Path, ending: str, data: bytes) -> tuple[str, str]:
    stems = where / "stems"
    stems.mkdir()
    for track in "ab":
        shutil.copyfile(_stem(), stems / f"{track}.wav")
    (where / "settings.json").write_bytes(data)
    arguments = ["apply-settings", str(stems), str(where / "settings.json"), str(where / "out.wav")]
    return _command(where, arguments, {"stems", "settings.json"}, {"out.wav"})


def _ratings(where: Path, ending: str, data: bytes) -> tuple[str, str]:
    from mixing.commands.listen_report import FILES

    for name, document in _rated().items():
        (where / name).write_bytes(data if name == ending else _text(name, document))
    arguments = ["listen-report", str(where / "ratings.json"), "--key", str(where / "key.json"), "-o", str(where / "out")]
    return _command(where, arguments, set(_rated()), set(FILES), "out")


def _command(where: Path, arguments: list[str], inputs: set[str], outputs: set[str], folder: str = "") -> tuple[str, str]:
    """Run `dasp`, and look at what it said and wrote."""
    import sys

    import numpy as np
    import soundfile

    from mixing.cli import main

    code: Any = 0
    try:
        main(arguments)
    except SystemExit as end:
        code = end.code
    said = sys.stderr.getvalue()  # type: ignore[attr-defined]
    left = {path.name for path in where.iterdir()} - inputs
    written = {path.name for path in (where / folder).iterdir()} if folder and (where / folder).exists() else left - {folder}
    if code == 0:
        if written != outputs:
            return "done", f"wrote {sorted(written)}, not {sorted(outputs)}"
        for path in (where / folder).glob("*.wav"):
            audio, _ = soundfile.read(path)
            if path.name in outputs and not np.isfinite(audio).all():
                return "done", "the output has samples that are no numbers"
        return "done", ""
    if code != 2 or not re.fullmatch(r"(note: .*\n)*dasp: .*[.?]\n", said):
        return "refused", f"status {code}, and not one sentence: {said[-300:]!r}"
    if left:
        return "refused", f"left {sorted(left)} behind"
    return "refused", ""


def _load(where: Path, ending: str, data: bytes) -> tuple[str, str]:
    import proxies
    from mixing import models
    from mixing.errors import UserError
    from proxies import snapshot

    file = where / "x.safetensors"
    file.write_bytes(data)
    if ending.startswith("checkpoint"):
        return ("refused" if snapshot.newest(where) is None else "done"), ""
    try:
        (models.load if ending.startswith("mixing") else proxies.load)(file)
    except (UserError, ValueError):
        return "refused", ""
    return "done", ""


def _recipe(where: Path, ending: str, data: bytes) -> tuple[str, str]:
    from mixing.errors import UserError
    from mixing.training import config as mixing_config
    from proxies import config as proxies_config

    file = where / "recipe.yaml"
    file.write_bytes(data)
    module = mixing_config if ending.startswith("mixing") else proxies_config
    try:
        module.config(module.read(file))
    except (UserError, ValueError):
        return "refused", ""
    return "done", ""


@cache
def _stem() -> Path:
    """A healthy stem, made once in a process."""
    import atexit

    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    (folder / "stem.wav").write_bytes(mutations.sound("wav", "WAV", "PCM_16", 1, 1999, None))
    return folder / "stem.wav"


@cache
def _weights() -> dict[str, bytes]:
    """Files of weights, small ones."""
    import torch

    import proxies
    from mixing import models
    from proxies import snapshot

    shipped = min((Path(proxies.__file__).parent / "weights").glob("*.safetensors"), key=lambda path: path.stat().st_size)
    header = {"data": [], "licence": "x", "command": "x", "seed": 0, "scores": {}}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "dmc.safetensors")
        models.save(path, models.build("dmc", embedding=4, channels=(2,), mels=4, hidden=4), header)
        snapshot.write(Path(folder, "run"), 7, {"a.weight": torch.ones(3, 4), "b": torch.zeros(())}, {"step": 7, "of": "x"})
        (kept,) = Path(folder, "run").iterdir()
        return {"proxies": shipped.read_bytes(), "mixing": path.read_bytes(), "checkpoint": kept.read_bytes()}


@cache
def _recipes() -> dict[str, Any]:
    from mixing.training import config as mixing_config
    from proxies import config as proxies_config

    return {
        "mixing": mixing_config.read("dmc-full"),
        "proxies": proxies_config.read("Compressor"),
    }


@cache
def _rated() -> dict[str, Any]:
    key = ratings.key()
    return {"key.json": key, "ratings.json": ratings.handed_in(key)}


def _text(name: str, document: Any) -> bytes:
    """A document as the file of that name has it."""
    if name.endswith("json"):
        document = ratings.signed(document) if name == "ratings.json" else document
        return json.dumps(document).encode("utf-8", "surrogatepass")
    import yaml

    return yaml.safe_dump(document, allow_unicode=True).encode("utf-8", "surrogatepass")
