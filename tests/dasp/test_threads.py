"""How many threads, and what they do with work and with exceptions."""

import os
import threading

import pytest
import torch

from dasp import threads
from dasp.threads import each


@pytest.fixture(params=[1, 4], ids=["one thread", "four"])
def count(request, monkeypatch):
    monkeypatch.setattr("dasp.threads.threads", lambda: request.param)
    return request.param


def test_every_number_once(count):
    done = []
    each(done.append, 1000)
    assert sorted(done) == list(range(1000))
    each(done.append, 0)
    assert len(done) == 1000


def test_work_goes_over_the_threads(count):
    """Where each waits for the others, all must be there."""
    gate = threading.Barrier(min(count, threads.cores() + 1), timeout=20)
    each(lambda _: gate.wait(), gate.parties)


def test_an_exception_ends_the_work_and_arrives(count):
    done = []

    def work(number):
        if number == 3:
            raise IndexError("mine")
        done.append(number)

    with pytest.raises(IndexError, match="mine"):
        each(work, 10000)
    assert len(done) < 9999


def test_work_within_work_does_not_wait_for_itself(count):
    done = []
    each(lambda i: each(lambda j: done.append((i, j)), 5), 20)
    assert len(set(done)) == len(done) == 100


def test_torchs_own_limit_holds(monkeypatch):
    monkeypatch.setattr("dasp.threads.cores", lambda: 3)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    assert threads.threads() == 3
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert threads.threads() == 1


def test_the_affinity_mask_holds():
    got = []

    def narrow():  # a mask is a thread's own
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        got.append(threads.cores())

    thread = threading.Thread(target=narrow)
    thread.start()
    thread.join()
    assert got == [1]


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "150000 100000\n"}, 1.5),
        ("0::/\n", {"cpu.max": "400000 100000\n"}, 4.0),
        ("0::/host/path\n", {"cpu.max": "50000 100000\n"}, 0.5),
        ("0::/a\n", {"a/cpu.max": "max 100000\n"}, float("inf")),
        ("4:cpu,cpuacct:/a\n0::/\n", {"cpu/a/cpu.cfs_quota_us": "200000\n", "cpu/a/cpu.cfs_period_us": "100000\n"}, 2.0),
        ("4:cpu:/a\n", {"cpu/a/cpu.cfs_quota_us": "-1\n", "cpu/a/cpu.cfs_period_us": "100000\n"}, float("inf")),
        ("3:memory:/a\n", {"cpu/a/cpu.cfs_quota_us": "200000\n", "cpu/a/cpu.cfs_period_us": "100000\n"}, float("inf")),
        (None, {}, float("inf")),
    ],
    ids=["parent", "root", "container", "none", "version 1", "version 1 none", "other controller", "no groups"],
)
def test_a_control_groups_quota_is_read(tmp_path, monkeypatch, groups, files, expected):
    if groups is not None:
        (tmp_path / "groups").write_text(groups)
    for name, text in files.items():
        path = tmp_path / "fs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert threads.quota(tmp_path / "fs", tmp_path / "groups") == expected
    monkeypatch.setattr("dasp.threads.quota", lambda: 0.5)
    assert threads.cores() == 1
