"""The bookkeeping of what is in flight: nothing is lost when an engine dies, and one culprit takes no others along."""

import pytest

from orpheus_batch.data import Sampling, TokenRequest
from orpheus_batch.engine.trtllm.window import Window

SAMPLING = Sampling(temperature=0.6, top_p=0.9, repetition_penalty=1.1)


def request(name):
    return TokenRequest(str(name), (1, 2, 3), 70, 35, SAMPLING, seed=0)


def fill(window, names, now=0.0):
    for name in names:
        window.admit(request(name), 70, now)


def readmit_all(window, now):
    flights = []
    while window.num_again and window.num_free:
        flights.append(window.readmit(now))
    return flights


def test_twice_the_batch_is_in_flight():
    """A slot that falls free finds the next request there already, and memory stays bounded."""
    window = Window(max_batch_size=4)
    assert 8 == window.num_free
    fill(window, range(8))
    assert 0 == window.num_free


@pytest.mark.parametrize("num_requests", [1, 7, 100, 2048])
def test_one_poisonous_request_is_found_and_the_others_come_through(num_requests):
    """The engine dies whenever it holds the culprit; all others are answered, and it takes five deaths."""
    window = Window(max_batch_size=1024)
    culprit = num_requests // 2
    fill(window, range(num_requests))
    answered, given_up, num_deaths = set(), [], 0
    while not window.is_idle:
        if window.wants_probe:  # the engine works again
            window.answered(window.probe(request("known good"), 7, 0.0).number)
            given_up += window.release()
            continue
        flights = readmit_all(window, 0.0)
        names = {int(flight.request.segment_id) for flight in flights}
        if not flights or culprit in names:  # the first round is in flight as it is
            num_deaths += 1
            window.died("a crash")
            continue
        for flight in flights:
            window.came_through(window.answered(flight.number))
            answered.add(int(flight.request.segment_id))
    assert [str(culprit)] == [flight.request.segment_id for flight in given_up]
    assert "a crash" in given_up[0].error
    assert set(range(num_requests)) - {culprit} == answered
    assert num_deaths <= 5


def test_what_failed_is_held_until_a_probe_has_come_through():
    """A broken engine fails whatever it is given: only those are released that failed before the probe was sent."""
    window = Window(max_batch_size=4)
    fill(window, ["a", "b"])
    window.hold(window.answered(0), "no")
    assert window.wants_probe
    probe = window.probe(request("known good"), 7, 0.0)
    assert not window.wants_probe
    window.hold(window.answered(1), "no")
    assert 6 == window.num_free
    assert window.answered(probe.number) is probe
    assert [("a", "no")] == [(flight.request.segment_id, flight.error) for flight in window.release()]
    assert window.wants_probe
    window.died("broken")
    assert ["b"] == [flight.request.segment_id for flight in readmit_all(window, 0.0)]


def test_a_request_that_hangs_alone_is_given_up_the_second_time():
    """Once may be the machine's fault; twice, while others come through, is its own."""
    window = Window(max_batch_size=64)
    fill(window, ["hangs"], now=0.0)
    fill(window, ["young"], now=90.0)
    window.hung(50.0, "too long", stands_still=False)
    flights = readmit_all(window, now=100.0)
    assert ["hangs", "young"] == [flight.request.segment_id for flight in flights]
    window.came_through(window.answered(flights[1].number))
    window.hung(150.0, "too long", stands_still=False)
    window.answered(window.probe(request("known good"), 7, 0.0).number)
    (given_up,) = window.release()
    assert "hangs" == given_up.request.segment_id
    assert window.is_idle


def test_an_engine_that_stands_still_is_no_fault_of_its_requests():
    """However many are overdue, and twice: none is given up, fewer are sent the next time."""
    window = Window(max_batch_size=16)
    fill(window, ["oldest"], now=0.0)
    fill(window, range(31), now=1.5)
    window.hung(1.0, "too long", stands_still=True)
    assert 4 == len(readmit_all(window, now=2.0))
    window.hung(3.0, "too long", stands_still=True)
    assert 32 == window.num_again
    assert not window.wants_probe


def test_an_answer_to_a_forgotten_request_is_nobodys():
    """What was sent again has a new number: a late answer of a dead engine is not taken for it."""
    window = Window(max_batch_size=1)
    fill(window, ["a"])
    window.died("a crash")
    flight = window.readmit(0.0)
    assert window.answered(0) is None
    assert window.answered(flight.number) is flight


def test_the_window_grows_again():
    """After the culprit is gone the engine is fed as before."""
    window = Window(max_batch_size=32)
    fill(window, range(64))
    window.died("a crash")
    while window.num_again:
        for flight in readmit_all(window, 0.0):
            window.came_through(window.answered(flight.number))
    assert 64 == window.num_free
