"""The suite: each contender's CPU time of one thread, in turns. `make regressions`; skipped unless asked."""

from __future__ import annotations

import time
from typing import Any

import pytest

from benchmarks.contest import Missing
from benchmarks.measure import threads
from benchmarks.regressions.conftest import LEFT_OUT
from benchmarks.regressions.suite import TURNS, Run, chosen, entered, turns

BUDGET = 0.3  # seconds of a contender in one turn: what is fast runs more often, up to MOST times
MOST = 10


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    # With defaults: where pytest is given another folder above this one, conftest.py comes too late to have options.
    option = metafunc.config.getoption
    pairings = chosen(option("speed_group", None) or (), option("speed_quick", None) or False)
    count = option("speed_turns", None) or TURNS
    runs = list(turns(pairings, count if option("benchmark_only") else 1))
    names = [f"turn{turn}-{run.group}-{run.contest}-{run.work}-{run.contender}" for turn, run in runs]
    metafunc.parametrize(("turn", "run"), runs, ids=names)


@pytest.mark.benchmark(timer=time.process_time, disable_gc=True)
@pytest.mark.filterwarnings("ignore")  # other libraries' warnings are theirs
def test_speed(turn: int, run: Run, benchmark: Any, request: pytest.FixtureRequest) -> None:
    with threads(1):
        try:
            work = entered(run)
        except Missing as reason:
            request.config.stash[LEFT_OUT].setdefault(run.group, {})[str(reason)] = None
            pytest.skip(str(reason))
        # The others ran since this contender's last turn; the first run finds its memory cold, and says how long it takes.
        start = time.process_time()
        work()
        rounds = int(BUDGET / max(time.process_time() - start, 1e-9))
        benchmark.extra_info.update(run.key, turn=turn)
        benchmark.pedantic(work, rounds=min(max(rounds, 1), MOST))
