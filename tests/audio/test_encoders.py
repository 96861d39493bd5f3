"""The pool of encoder processes: bounded, and clear when one of them is lost."""

import multiprocessing
import os
import signal
import time

import pytest

from orpheus_batch.audio import encoders as module
from orpheus_batch.audio.encoders import Encoders, default_num_processes
from orpheus_batch.errors import EncodeError


def answer(job):
    """Stand in for `render_chapter_file` in the other process: ``job`` is what to do."""
    if job == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if job == "fail":
        raise EncodeError("no such chapter")
    if isinstance(job, float):
        time.sleep(job)
    return (job, os.getpid())


@pytest.fixture
def pool(monkeypatch):
    monkeypatch.setattr(module, "render_chapter_file", answer)
    with Encoders(1) as pool:
        yield pool


def test_results_come_to_the_one_who_asked(pool):
    """Each job's `Done` hears of that job, in the thread that collects."""
    heard = []
    for job in ("a", "b"):
        pool.submit(job, lambda result, job=job: heard.append((job, result[0])))
    while pool.num_running:
        pool.collect(block=True)
    assert [("a", "a"), ("b", "b")] == sorted(heard)


def test_a_job_s_error_is_its_result(pool):
    """It is handed over, not raised: the other chapters are nobody's fault."""
    heard = []
    pool.submit("fail", heard.append)
    pool.submit("a", heard.append)
    while pool.num_running:
        pool.collect(block=True)
    assert ["no such chapter"] == [str(result) for result in heard if isinstance(result, EncodeError)]
    assert 2 == len(heard)


def test_only_a_few_jobs_wait(pool):
    """Submitting more waits for the first: memory does not grow with the book."""
    heard = []
    for _ in range(8):
        pool.submit(0.05, heard.append)
        assert pool.num_running <= 2
    assert len(heard) >= 6


def test_a_killed_process_is_an_error_and_the_pool_recovers(pool):
    """Its job says what to do about it; a later job finds a new process."""
    heard = []
    pool.submit("die", heard.append)
    while pool.num_running:
        pool.collect(block=True)
    (error,) = heard
    assert isinstance(error, EncodeError)
    assert "encoder_processes: 1" in str(error)
    pool.submit("a", heard.append)
    while pool.num_running:
        pool.collect(block=True)
    assert "a" == heard[-1][0]


def test_leaving_does_not_wait_for_running_jobs(monkeypatch):
    """An interrupted run ends at once, and its processes with it."""
    monkeypatch.setattr(module, "render_chapter_file", answer)
    started = time.monotonic()
    with Encoders(1) as pool:
        pool.submit("a", lambda result: None)
        while pool.num_running:
            pool.collect(block=True)
        pool.submit(600.0, lambda result: None)
    assert time.monotonic() - started < 300
    assert [] == [child for child in multiprocessing.active_children() if "Spawn" in child.name]


@pytest.mark.parametrize(
    ("cores", "device", "expected"),
    [(2, "cpu", 1), (16, "cpu", 4), (1, "cuda", 1), (2, "cuda", 1), (16, "cuda:1", 14), (192, "cuda", 32)],
)
def test_encoders_take_the_cores_that_the_engine_leaves(monkeypatch, cores, device, expected):
    """Beside a GPU nearly all of them: with a quarter, ten hours would be encoded long after they were spoken."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(cores)), raising=False)
    assert expected == default_num_processes(device)
