"""Scheduling under any load: the budget holds, all requests are answered, and none waits for ever."""

from hypothesis import given, settings
from hypothesis import strategies as st

from orpheus_batch.data import Sampling, TokenRequest
from orpheus_batch.engine.torch.blocks import BlockTables
from orpheus_batch.engine.torch.scheduler import Scheduler
from orpheus_batch.units import TOKENS_PER_FRAME

MAX_POSITIONS = 300


def request(index: int, prompt: int, frames: int, expected: int, forced: int | None = None) -> TokenRequest:
    """Return a request by its sizes."""
    return TokenRequest(
        segment_id=str(index),
        prompt_token_ids=(1,) * prompt,
        max_new_tokens=frames * TOKENS_PER_FRAME,
        expected_num_tokens=expected,
        sampling=Sampling(0.0, 1.0, 1.0),
        seed=0,
        forced_num_tokens=forced,
    )


sizes = st.tuples(st.integers(0, 330), st.integers(0, 40), st.integers(0, 300), st.none() | st.integers(1, 100))


@settings(max_examples=150)
@given(
    source=st.lists(st.none() | sizes, max_size=40),
    max_batch_size=st.integers(1, 5),
    num_blocks=st.integers(1, 60),
    tokens_per_block=st.integers(1, 16),
    look_ahead=st.integers(1, 12),
    stops=st.randoms(use_true_random=False),
)
def test_every_request_is_answered_once_and_within_the_budget(
    source, max_batch_size, num_blocks, tokens_per_block, look_ahead, stops
):
    """A run without a model: sequences grow by real block tables and end at random or at their cap."""
    asked = [size and request(index, *size) for index, size in enumerate(source)]
    scheduler = Scheduler(max_batch_size, num_blocks, tokens_per_block, MAX_POSITIONS, look_ahead)
    tables = BlockTables(max_batch_size, num_blocks, tokens_per_block)
    requests, answered, num_idle = iter(asked), [], 0
    while not scheduler.exhausted or scheduler.num_waiting or scheduler.running:
        answered += [stream.segment_id for stream in scheduler.pull(requests)]
        admitted = scheduler.admit()
        running = scheduler.running
        assert admitted == running[len(running) - len(admitted) :]
        assert len(running) <= max_batch_size
        assert scheduler.num_waiting <= look_ahead
        num_idle = 0 if running else num_idle + 1
        assert num_idle <= len(asked) + 1  # no deadlock: an empty engine always admits what waits
        assert running or not scheduler.num_waiting
        for slot, sequence in enumerate(running):
            # raises if a block is missing: what was reserved must be there
            tables.grow(slot, sequence.num_cached_tokens + TOKENS_PER_FRAME)
            assert sequence.num_cached_tokens + TOKENS_PER_FRAME <= MAX_POSITIONS
            sequence.num_frames += 1
        assert sum(s.reserved_blocks for s in running) == scheduler.num_reserved_blocks <= num_blocks
        assert tables.allocator.num_used <= scheduler.num_reserved_blocks
        for slot in reversed(range(len(running))):
            sequence = running[slot]
            if sequence.num_frames == sequence.max_frames or stops.random() < 0.1:
                answered.append(sequence.request.segment_id)
                tables.release(slot)
                last = scheduler.remove(slot)
                if last != slot:
                    tables.move(last, slot)
    assert tables.allocator.num_used == scheduler.num_reserved_blocks == 0
    assert sorted(r.segment_id for r in asked if r) == sorted(answered)


def test_longest_first_but_nobody_is_overtaken_for_ever():
    """One slot, a stream of long requests without end, one short one among the first."""
    look_ahead = 4
    scheduler = Scheduler(1, 100, 16, MAX_POSITIONS, look_ahead)
    source = iter([request(0, 5, 1, 7)] + [request(i, 5, 20, 140) for i in range(1, 100)])
    order = []
    for _ in range(20):
        assert list(scheduler.pull(source)) == []
        order += [sequence.request.segment_id for sequence in scheduler.admit()]
        scheduler.remove(0)
    assert order[:3] == ["1", "2", "3"]
    assert 2 * look_ahead == order.index("0")


def test_a_none_ends_the_pull_and_nothing_more():
    """What came before it runs; what comes after it is asked for the next time."""
    scheduler = Scheduler(4, 100, 16, MAX_POSITIONS, 16)
    source = iter([request(0, 5, 2, 14), None, request(1, 5, 2, 14), None, None])
    waiting = []
    for _ in range(4):
        list(scheduler.pull(source))
        waiting.append((scheduler.num_waiting, scheduler.exhausted))
    assert [(1, False), (2, False), (2, False), (2, True)] == waiting


def test_errors_say_what_does_not_fit():
    """Empty, longer than the model, longer than the cache, no frame: one stream each, with its reason."""
    scheduler = Scheduler(4, 10, 16, MAX_POSITIONS, 16)
    source = iter([request(0, 0, 2, 14), request(1, 298, 2, 14), request(2, 150, 2, 14), request(3, 5, 0, 14)])
    streams = list(scheduler.pull(source))
    assert ["error"] * 4 == [stream.finish_reason for stream in streams]
    for stream, expected in zip(streams, ("empty", "300", "160", "max_new_tokens"), strict=True):
        assert expected in stream.error
    assert scheduler.num_waiting == 0
