"""Whoever stops a run does not wait for the engine: not for a hang, nor for a process that is loading."""

import itertools
import threading

import pytest
from fake_worker import SETTINGS, FakeWorker, make, requests

from orpheus_batch.pipeline.engine_thread import EngineThread


class BusyWorker(FakeWorker):
    """A second process, which loads for ever or does not start; ``is_busy`` is set once that has begun."""

    def __init__(self, is_busy, answers):
        super().__init__(lambda message: "ok")
        self._is_busy = is_busy
        self._answers = answers

    def receive(self, timeout_s):
        if not self._answers:
            self._is_busy.set()
        return super().receive(timeout_s)

    def kill(self):
        super().kill()
        self._is_busy.set()


@pytest.mark.parametrize("busy_with", ["a hang", "loading", "a pause"])
def test_whoever_stops_the_run_waits_for_no_restart(monkeypatch, busy_with):
    """Nor for what comes before it: no further process is started, and the engine may be used again.

    Loading may take half an hour, with pauses between four tries; here each is five seconds.
    """
    monkeypatch.setattr("orpheus_batch.engine.trtllm.engine.RESTART_PAUSES_S", (5.0, 5.0, 5.0))
    is_busy, count, spawned = threading.Event(), itertools.count(1), []

    def behave(message):
        if busy_with != "a hang":
            return "die"
        if next(count) == 2 * SETTINGS.max_batch_size:  # the engine can't take another
            is_busy.set()
        return "hang"

    engine = make(behave, request_timeout_s=5.0, start_timeout_s=5.0)
    answers = [{"event": "fatal", "error": "no memory"}] if busy_with == "a pause" else []

    def spawn(environment):
        spawned.append(BusyWorker(is_busy, list(answers)))
        return spawned[-1]

    engine._spawn = spawn
    with EngineThread(engine) as thread:
        for request in requests(20):
            thread.push(request)
        assert is_busy.wait(30.0)
    assert [True] * (busy_with != "a hang") == [worker.ended for worker in spawned]
    assert 0 == engine.num_restarts

    engine._spawn = lambda environment: FakeWorker(lambda message: "ok")
    engine.workers[0]._behave = lambda message: "ok"
    assert 20 == len(list(engine.generate(requests(20))))
