"""What all tests share: one thread and one seed for each, and the packages that some tests need."""

from pathlib import Path

import pytest
import torch

LEAVE = ("torchaudio", "vst3", "cuda", "browser", "schema")
"""Markers of the tests that may be skipped: they need what this machine may not have."""


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    # Two workers of pytest-xdist share two cores.
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def pedalboard():
    """The package of real plugins. The development extra installs it, so its absence is a failure, not a reason to skip."""
    from dasp.blackbox import pedalboard

    return pedalboard()


@pytest.fixture(scope="session")
def oracle():
    """torchaudio.functional; one of the two things without which a test may be skipped. `make compat` leaves none out."""
    from dasp._torchaudio import torchaudio

    try:
        return torchaudio().functional
    except ImportError as error:
        pytest.skip(f"torchaudio needs a registry (CUDA) build of torch: {error}")


@pytest.fixture(scope="session")
def plugins():
    """The folder of third-party plugins; the other thing without which a test may be skipped."""
    from dasp.hosting import load

    folder = Path(__file__).resolve().parents[1] / ".plugins"
    if not (folder / "pins").exists():
        pytest.skip("the third-party plugins are not here: make plugins")
    try:
        load(str(folder / "ZamDelay.vst3"))
    except ImportError as error:
        pytest.skip(f"the third-party plugins do not load here: {error}")
    return folder


@pytest.fixture(scope="session")
def browser():
    """Chromium without a window; its tests are marked `browser`, and `.ci/run` installs it."""
    from browser import binary, launched

    if binary() is None:
        pytest.skip("there is no Chromium here: install Debian's package chromium, or name one by DASP_CHROMIUM")
    with launched() as chromium:
        yield chromium


def _refuse(report):
    """A skip becomes a failure with its reason."""
    report.outcome = "failed"
    report.longrepr = f"skipped without leave ({report.longrepr[-1]}); only tests marked {' or '.join(LEAVE)} may be skipped."


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if item.config.getoption("benchmark_only"):  # then pytest-benchmark skips every test
        return report
    if report.skipped and not hasattr(report, "wasxfail") and not any(map(item.get_closest_marker, LEAVE)):
        _refuse(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    report = yield
    if report.skipped:
        _refuse(report)
    return report
