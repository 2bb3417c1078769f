"""pytest's options for the suite; why it was skipped; the machine and who was left out, into pytest-benchmark's JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.regressions.suite import GROUPS, SEED, TURNS
from benchmarks.results import machine

HERE = Path(__file__).parent
LEFT_OUT = pytest.StashKey[dict[str, dict[str, None]]]()  # group -> reasons, each once


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("dasp's regressions in speed")
    group.addoption("--speed-group", action="append", choices=GROUPS, help="Some groups only; repeat for more.")
    group.addoption("--speed-turns", type=int, default=TURNS, help="How often all contenders come to it.")
    group.addoption("--speed-quick", action="store_true", help="Short audio: to see that it works, not how fast it is.")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[LEFT_OUT] = {}


# First, so that its reason is the one that is shown, and not pytest-benchmark's.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("benchmark_only"):
        return
    unasked = pytest.mark.skip(reason="times are taken when asked: make regressions, or --benchmark-only on this folder")
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(unasked)


def pytest_benchmark_update_json(config: pytest.Config, benchmarks: list[Any], output_json: dict[str, Any]) -> None:
    left_out = {group: list(reasons) for group, reasons in config.stash[LEFT_OUT].items()}
    output_json["dasp"] = {"left_out": left_out, "machine": machine(SEED)}
