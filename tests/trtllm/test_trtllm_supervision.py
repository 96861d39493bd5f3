"""The engine over a process that dies, hangs, refuses and rambles: played by a fake, so that it takes no time."""

import itertools
import time

import numpy as np
import pytest
from fake_worker import LAYOUT, SAMPLING, SETTINGS, FakeWorker, by_id, make, requests
from hypothesis import given, settings
from hypothesis import strategies as st

from orpheus_batch.config import QualityConfig
from orpheus_batch.data import TokenRequest
from orpheus_batch.engine.trtllm.engine import MAX_DEATHS_IN_A_ROW
from orpheus_batch.errors import EngineError
from orpheus_batch.quality.stream_checks import check_stream
from orpheus_batch.testing import FakeEngine


def test_every_request_gets_its_own_stream():
    """Identity, seed and attempt come back with the tokens."""
    streams = by_id(make(lambda message: "ok").generate(requests(20)))
    assert {f"s{i}" for i in range(20)} == set(streams)
    assert [(3, 2)] == [(s.seed, s.attempt) for name, s in streams.items() if name == "s3"]
    assert {35} == {len(stream.token_ids) for stream in streams.values()}


def test_requests_are_pulled_only_as_there_is_room():
    """Twice the batch and no more: a book of a million segments is not read ahead."""
    pulled = itertools.count()
    engine = make(lambda message: "ok")
    source = ((next(pulled) and None) or request for request in requests(100))
    streams = engine.generate(source)
    next(streams)
    assert next(pulled) <= 2 * SETTINGS.max_batch_size + 1
    list(streams)
    assert 2 * SETTINGS.max_batch_size >= engine.workers[0].most_unanswered


def test_a_none_means_ask_again():
    """A retake that is born while the last stream is judged still joins."""
    done = []

    def source():
        yield from requests(1)
        while not done:
            yield None
        yield TokenRequest("late", (1,), 70, 35, SAMPLING, seed=9)

    for stream in make(lambda message: "ok").generate(source()):
        done.append(stream.segment_id)
    assert ["s0", "late"] == done


@pytest.mark.parametrize("when", [1, 5, 19])
def test_a_death_loses_nothing(when):
    """Killed at any point: each request is answered exactly once, by whichever process."""
    count = itertools.count(1)
    engine = make(lambda message: "die" if next(count) == when else "ok")
    streams = list(engine.generate(requests(20)))
    assert sorted(f"s{i}" for i in range(20)) == sorted(stream.segment_id for stream in streams)
    assert {"stop"} == {stream.finish_reason for stream in streams}
    assert (2, 1) == (FakeWorker.num_started, engine.num_restarts)


def test_a_request_that_kills_the_engine_fails_one_segment():
    """However often it is tried: the other nineteen are spoken, it is named, and the run goes on."""
    engine = make(lambda message: "die" if message["prompt"][2] == 7 + 11 else "ok")
    streams = by_id(engine.generate(requests(20)))
    assert ["s11"] == [name for name, stream in streams.items() if stream.finish_reason == "error"]
    assert "did not survive it: its process ended (signal SIGKILL)" in streams["s11"].error
    assert 20 == len(streams)


def test_a_retake_of_what_killed_the_engine_is_not_tried():
    """Each would cost as many restarts as the first; another run tries it again."""
    engine = make(lambda message: "die" if message["prompt"][2] == 7 + 11 else "ok")
    list(engine.generate(requests(20)))
    num_restarts = engine.num_restarts
    streams = by_id(engine.generate(requests(20)))
    assert num_restarts == engine.num_restarts
    assert (
        "did not survive it: its process ended (signal SIGKILL); it is not tried again" in streams["s11"].error
    )
    assert 19 == sum(stream.finish_reason == "stop" for stream in streams.values())


def test_a_hung_request_is_taken_again_and_then_given_up():
    """The library ignores the timeout of `result`: the watchdog is ours, and its remedy another process."""
    engine = make(lambda message: "hang" if message["prompt"][2] == 7 + 3 else "ok", request_timeout_s=0.05)
    streams = by_id(engine.generate(requests(20)))
    assert ["s3"] == [name for name, stream in streams.items() if stream.finish_reason == "error"]
    assert 20 == len(streams)
    assert 2 == engine.num_restarts


def test_a_hang_that_was_the_machines_fault_costs_no_segment():
    """One hang, then never again: all are spoken."""
    hangs = iter([True])
    engine = make(lambda message: "hang" if next(hangs, False) else "ok", request_timeout_s=0.05)
    assert {"stop"} == {stream.finish_reason for stream in engine.generate(requests(20))}


def test_a_slow_reader_is_no_hang():
    """While the caller decodes for longer than the watchdog waits, answers lie in the pipe: nothing is killed."""
    engine = make(lambda message: "ok", request_timeout_s=0.02)
    for _ in engine.generate(requests(6)):
        time.sleep(0.03)
    assert 0 == engine.num_restarts


def test_an_engine_that_only_dies_ends_the_run():
    """With what it said last; what is recorded stays for the next run."""
    with pytest.raises(EngineError, match=r"(?s)started \d+ times without one stream.*last words"):
        list(make(lambda message: "die").generate(requests(40)))


def test_a_failed_request_fails_one_segment():
    """It comes back as a stream that says why, and the checks refuse it."""
    streams = by_id(make(lambda m: "fail" if m["prompt"][2] == 7 else "ok").generate(requests(9)))
    assert "RequestError: no" == streams["s0"].error
    assert 8 == sum(stream.finish_reason == "stop" for stream in streams.values())


def test_a_last_request_that_fails_is_settled_without_a_restart():
    """Nothing else is in flight to tell whose fault it was: a request that is known to work is asked again, briefly."""
    asked = []
    engine = make(lambda m: asked.append(m) or ("fail" if m["prompt"][2] == 7 + 8 else "ok"))
    streams = list(engine.generate(requests(9)))
    assert [f"s{i}" for i in range(9)] == [stream.segment_id for stream in streams]
    assert ("error", 0) == (streams[-1].finish_reason, engine.num_restarts)
    assert (10, 7) == (len(asked), asked[-1]["max_tokens"])


@pytest.mark.parametrize("num_good", [1, 5, 19])
def test_an_engine_that_answers_everything_with_errors_is_started_again(num_good):
    """Its executor is broken and refuses all alike: no segment is charged for that, all are spoken by the next one."""
    count = itertools.count()

    def behave(message):
        return "fail" if FakeWorker.num_started == 1 and next(count) >= num_good else "ok"

    engine = make(behave)
    streams = list(engine.generate(requests(30)))
    assert sorted(f"s{i}" for i in range(30)) == sorted(stream.segment_id for stream in streams)
    assert {"stop"} == {stream.finish_reason for stream in streams}
    assert (2, 1) == (FakeWorker.num_started, engine.num_restarts)


def test_a_request_that_breaks_the_executor_fails_one_segment():
    """From it on everything fails until another process is there: it is found as one that kills is found."""
    broken = set()

    def behave(message):
        if message["prompt"][2] == 7 + 11:
            broken.add(FakeWorker.num_started)
        return "fail" if FakeWorker.num_started in broken else "ok"

    streams = by_id(make(behave).generate(requests(20)))
    assert ["s11"] == [name for name, stream in streams.items() if stream.finish_reason == "error"]
    assert 20 == len(streams)


def test_an_engine_that_stays_broken_ends_the_run_and_fails_no_segment():
    """Restarts that bring nothing are counted; what was asked for stays pending for the next run."""
    count = itertools.count()
    engine = make(lambda message: "ok" if next(count) < 4 else "fail")
    reasons = []
    with pytest.raises(
        EngineError, match=rf"started {MAX_DEATHS_IN_A_ROW + 1} times.*what it spoke before.*no"
    ):
        reasons.extend(stream.finish_reason for stream in engine.generate(requests(40)))
    assert ["stop"] * 4 == reasons


def test_a_library_that_refuses_every_call_ends_the_run_at_once():
    """One that misreads our arguments is not mended by loading it again."""
    with pytest.raises(EngineError, match=r"refuses every request, 8 so far, the last with: TypeError: no"):
        list(make(lambda message: "refuse").generate(requests(50)))
    assert 1 == FakeWorker.num_started


def test_an_engine_that_never_spoke_is_tried_as_often_as_one_that_dies():
    """The first request may be what breaks it: the others are to be spoken, and nothing is if nothing can be."""
    with pytest.raises(
        EngineError, match=rf"started {MAX_DEATHS_IN_A_ROW + 1} times.*nothing yet.*RequestError: no"
    ):
        list(make(lambda message: "fail").generate(requests(50)))
    broken = set()

    def behave(message):
        if message["prompt"][2] == 7:
            broken.add(FakeWorker.num_started)
        return "fail" if FakeWorker.num_started in broken else "ok"

    streams = by_id(make(behave).generate(requests(20)))
    assert ["s0"] == [name for name, stream in streams.items() if stream.finish_reason == "error"]
    assert 20 == len(streams)
    with pytest.raises(EngineError, match=r"spoken nothing in 3 processes.*RequestError: no"):
        list(make(behave).generate(requests(1)))  # and no other to tell them apart by


def test_a_process_that_reports_its_own_end_is_started_again():
    """An error of Python's own in there is a death like any other."""
    count = itertools.count(1)
    engine = make(lambda message: "fatal" if next(count) == 5 else "ok")
    assert {"stop"} == {stream.finish_reason for stream in engine.generate(requests(20))}
    assert 1 == engine.num_restarts


@pytest.mark.parametrize("num_failing", [1, 3, 4])
def test_a_restart_is_tried_more_than_once(monkeypatch, num_failing):
    """The killed process's memory may not be free yet: it waits and tries again, and at last says what was said."""
    monkeypatch.setattr("orpheus_batch.engine.trtllm.engine.RESTART_PAUSES_S", (0.0, 0.0, 0.0))
    count, tries = itertools.count(1), itertools.count()
    engine = make(lambda message: "die" if next(count) == 5 else "ok")

    def spawn(environment):
        worker = FakeWorker(lambda message: "ok")
        if next(tries) < num_failing:
            worker._answers = [{"event": "fatal", "error": "CUDA out of memory"}]
        return worker

    engine._spawn = spawn
    if num_failing < 4:
        assert 20 == len(list(engine.generate(requests(20))))
        assert 1 == engine.num_restarts
    else:
        with pytest.raises(EngineError, match=r"(?s)in 4 tries; what is recorded is safe.*CUDA out of memory"):
            list(engine.generate(requests(20)))


def test_a_hung_request_is_noticed_while_others_flow():
    """Its own time counts: a book that goes on for hours must not hide it to the end."""
    done = []

    def endless():
        for request in requests(1_000_000):
            if any(stream.segment_id == "s3" for stream in done):
                return
            yield request

    engine = make(lambda m: "hang" if m["prompt"][2] == 7 + 3 else "ok", request_timeout_s=0.05)
    for stream in engine.generate(endless()):
        done.append(stream)
        assert len(done) < 100_000
    assert ["s3"] == [stream.segment_id for stream in done if stream.finish_reason == "error"]
    assert 2 == engine.num_restarts


@given(
    faults=st.dictionaries(st.integers(0, 29), st.sampled_from(["fail", "die", "break"]), max_size=4)
    | st.dictionaries(st.integers(1, 29), st.just("fail"), max_size=29),
    breaks_at=st.integers(1, 40),
)
@settings(max_examples=100, deadline=None)
def test_every_request_is_answered_once_whatever_befalls(faults, breaks_at):
    """Some fail, kill or break the engine each time, or it breaks once by itself: only they fail, all are answered."""
    broken, count = set(), itertools.count(1)
    if set(faults.values()) - {"fail"}:
        breaks_at = (
            None  # by itself just when a suspect is alone: nobody could tell that from the suspect's doing
        )

    def behave(message):
        fault = faults.get(message["prompt"][2] - 7)
        if fault == "break" or next(count) == breaks_at:
            broken.add(FakeWorker.num_started)
        return "fail" if FakeWorker.num_started in broken else fault or "ok"

    streams = list(make(behave).generate(requests(30)))
    assert sorted(f"s{i}" for i in range(30)) == sorted(stream.segment_id for stream in streams)
    failed = {stream.segment_id for stream in streams if stream.finish_reason == "error"}
    assert {f"s{i}" for i in faults} == failed


GOOD = [LAYOUT.position_start(p) + 1 + f for f in range(5) for p in range(7)]


@pytest.mark.parametrize(
    ("token_ids", "finish_reason", "num_tokens", "accepted", "problem"),
    [
        (GOOD, "stop", 35, True, ""),
        ([*GOOD, LAYOUT.stop_id], "stop", 35, True, ""),
        ([*GOOD, LAYOUT.stop_id], "length", 35, True, ""),
        ([*GOOD, LAYOUT.stop_id, LAYOUT.stop_id], "stop", 35, True, ""),
        ([*GOOD[:28], LAYOUT.stop_id, *GOOD[:7]], "stop", 28, True, ""),
        (GOOD, "length", 35, False, "had not stopped"),
        (GOOD[:31], "stop", 31, False, "ends 3 tokens into a frame"),
        ([*GOOD[:10], GOOD[3], *GOOD[11:]], "stop", 35, True, None),
        ([*GOOD[:10], GOOD[5], *GOOD[11:]], "stop", 35, False, "of another position"),
        ([*GOOD[:10], 40, *GOOD[11:]], "stop", 35, False, "no audio code"),
        ([*GOOD[:10], LAYOUT.prompt_suffix[0], *GOOD[11:]], "stop", 35, False, "no audio code"),
        ([*GOOD[:17], LAYOUT.stop_id], "stop", 17, False, "into a frame"),
        (GOOD, "timeout", 0, False, "finish_reason 'timeout'"),
        (GOOD, None, 0, False, "finish_reason None"),
        ([*GOOD[:7], -1], "stop", 0, False, "outside of any vocabulary"),
        ([*GOOD[:7], 1 << 40], "stop", 0, False, "outside of any vocabulary"),
        ([], "stop", 0, False, "no whole frame"),
        ([LAYOUT.stop_id], "stop", 0, False, "no whole frame"),
    ],
)
def test_whatever_the_library_returns_is_judged(token_ids, finish_reason, num_tokens, accepted, problem):
    """Ids can't be restricted by position there: every kind of wrong stream is survived, and refused by the checks."""
    answer = {"token_ids": token_ids, "finish_reason": finish_reason}
    engine = make(lambda message: answer if message["prompt"][2] == 7 + 1 else "ok")
    stream = by_id(engine.generate(requests(2)))["s1"]
    assert num_tokens == len(stream.token_ids)
    assert np.int32 == stream.token_ids.dtype
    verdict = check_stream(stream, layout=LAYOUT, expected_num_tokens=35, config=QualityConfig())
    assert accepted == verdict.ok, verdict.problems
    if problem:
        assert problem in " ".join(verdict.problems)


def test_a_prompt_too_long_never_reaches_the_library():
    """It would refuse it, or cut it: the segment fails alone, and says by how much."""
    long = TokenRequest("long", tuple(range(500)), 70, 35, SAMPLING, seed=0)
    streams = by_id(make(lambda message: "ok").generate([long, *requests(2)]))
    assert "take about 535; the engine's longest sequence is 512" in streams["long"].error
    assert 2 == sum(stream.finish_reason == "stop" for stream in streams.values())


def test_a_cap_is_lowered_to_what_the_engine_holds():
    """Beyond the longest sequence the library raises: a cap that loose is cut to whole frames."""
    seen = []
    engine = make(lambda message: seen.append(message["max_tokens"]) or "ok")
    list(engine.generate([TokenRequest("a", (1,) * 400, 700, 70, SAMPLING, seed=0)]))
    assert [112 // 7 * 7] == seen


def test_an_unheeded_seed_is_marked_on_every_stream():
    """The ledger's column comes from here."""
    streams = make(lambda message: "ok", honours_seed=False).generate(requests(3))
    assert {False} == {stream.seed_honoured for stream in streams}


def test_leaving_early_cancels_what_is_in_flight():
    """The next use starts empty: no stream of the abandoned one turns up in it."""
    engine = make(lambda message: "ok")
    streams = engine.generate(requests(20))
    next(streams)
    streams.close()
    again = list(engine.generate(TokenRequest(f"b{i}", (1,), 70, 35, SAMPLING, seed=0) for i in range(3)))
    assert ["b0", "b1", "b2"] == sorted(stream.segment_id for stream in again)


def test_one_generator_at_a_time_and_none_after_close():
    """Misuse is named."""
    engine = make(lambda message: "ok")
    streams = engine.generate(requests(3))
    next(streams)
    with pytest.raises(EngineError, match="generating already"):
        next(engine.generate(requests(1)))
    streams.close()
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        next(engine.generate(requests(1)))


def test_it_agrees_with_the_protocols_fake():
    """The same requests are answered by `FakeEngine`, whose behaviour the line is tested with."""
    ours = by_id(make(lambda message: "ok").generate(requests(5)))
    assert set(by_id(FakeEngine(LAYOUT).generate(requests(5)))) == set(ours)
