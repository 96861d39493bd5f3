"""The arithmetic of a run's speed and of how long it will go on."""

import pytest

from orpheus_batch.pipeline.progress import Meter


class Clock:
    """Goes when it is told to."""

    def __init__(self):
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def meter(clock) -> Meter:
    meter = Meter(clock=clock)
    meter.planned(num_segments=10, num_pending=8, pending_audio_s=100.0)
    return meter


def test_nothing_is_said_before_anything_is_known(meter):
    """No speed and no time left until a stream has come."""
    assert meter.speedup is None
    assert meter.remaining_s is None
    assert (10, 2) == (meter.num_segments, meter.num_done)


def test_time_left_goes_by_audio_and_not_by_segments(meter, clock):
    """One long segment of eight is 60 % of the work; counting segments would promise seven times as long."""
    clock.now += 6.0
    meter.generated("I", predicted_s=60.0, audio_s=66.0)
    meter.settled(1)
    assert pytest.approx(4.0) == meter.remaining_s
    assert pytest.approx(11.0) == meter.speedup
    assert 3 == meter.num_done


def test_loading_does_not_count(meter, clock):
    """The clock stands still while models load, also while one asks."""
    meter.loading("language model")
    clock.now += 1000.0
    assert pytest.approx(0.0) == meter.elapsed_s
    meter.loaded("language model", 1000.0)
    clock.now += 5.0
    meter.generated("I", 50.0, 50.0)
    assert pytest.approx(5.0) == meter.elapsed_s
    assert pytest.approx(5.0) == meter.remaining_s


def test_a_retake_is_new_work_and_its_audio_was_in_vain(meter, clock):
    """After a refusal there is more to do and less made."""
    clock.now += 10.0
    meter.generated("I", 50.0, 80.0)
    meter.retake(50.0, 80.0)
    assert pytest.approx(0.0) == meter.audio_s
    assert meter.speedup is None
    assert pytest.approx(20.0) == meter.remaining_s


def test_a_check_that_raises_ends_the_run_at_the_next_step(clock):
    """So a signal whose exception was swallowed is not forgotten."""

    def check():
        raise KeyboardInterrupt

    meter = Meter(check, clock)
    for step in (
        lambda: meter.generated("I", 1.0, 1.0),
        lambda: meter.settled(1),
        lambda: meter.loaded("codec", 1.0),
        lambda: meter.encoded("01 - I.mp3", 1.0),
    ):
        with pytest.raises(KeyboardInterrupt):
            step()
