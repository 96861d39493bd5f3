"""Scheduling under any load: the budget holds, all requests are answered, and none waits for ever."""

from hypothesis import given, settings
from hypothesis import strategies as st

from orpheus_batch.data import Sampling, TokenRequest
from orpheus_batch.engine.torch.blocks import BlockTables
from orpheus_batch.engine.torch.scheduler import Scheduler, Sequence
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
    lane_sizes=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    num_blocks=st.integers(1, 60),
    tokens_per_block=st.integers(1, 16),
    look_ahead=st.integers(1, 12),
    stops=st.randoms(use_true_random=False),
)
def test_every_request_is_answered_once_and_within_the_budget(
    source, lane_sizes, num_blocks, tokens_per_block, look_ahead, stops
):
    """A run without a model: sequences grow by real block tables and end at random or at their cap."""
    asked = [size and request(index, *size) for index, size in enumerate(source)]
    scheduler = Scheduler(lane_sizes, num_blocks, tokens_per_block, MAX_POSITIONS, look_ahead)
    lanes: list[list[Sequence]] = [[] for _ in lane_sizes]
    tables = [BlockTables(size, num_blocks, tokens_per_block) for size in lane_sizes]
    requests, answered, num_idle = iter(asked), [], 0
    while not scheduler.exhausted or scheduler.num_waiting or any(lanes):
        answered += [stream.segment_id for stream in scheduler.pull(requests)]
        for lane, joining in zip(lanes, scheduler.admit(lanes), strict=True):
            lane.extend(joining)
        assert scheduler.num_waiting <= look_ahead
        num_idle = 0 if any(lanes) else num_idle + 1
        assert num_idle <= len(asked) + 1  # no deadlock: an empty engine always admits what waits
        assert any(lanes) or not scheduler.num_waiting
        for lane, size, table in zip(lanes, lane_sizes, tables, strict=True):
            assert len(lane) <= size
            for slot, sequence in enumerate(lane):
                # raises if a block is missing: what was promised must be there
                table.grow(slot, sequence.num_cached_tokens + TOKENS_PER_FRAME)
                assert sequence.num_cached_tokens + TOKENS_PER_FRAME <= MAX_POSITIONS
                sequence.num_frames += 1
            for slot in reversed(range(len(lane))):
                if lane[slot].num_frames == lane[slot].max_frames or stops.random() < 0.1:
                    answered.append(lane[slot].request.segment_id)
                    last = len(lane) - 1
                    table.release(slot)
                    lane[slot] = lane[last]
                    lane.pop()
                    if slot != last:
                        table.move(last, slot)
    assert [0] * len(tables) == [table.allocator.num_used for table in tables]
    assert sorted(r.segment_id for r in asked if r) == sorted(answered)


def test_longest_first_but_half_a_batch_overtakes_at_most():
    """Eight slots, a stream of long requests without end, a short one among the first of sixteen waiting."""
    scheduler = Scheduler([8], 1000, 16, MAX_POSITIONS, 16)
    source = iter(
        [request(i, 5, 20, 140) for i in range(3)]
        + [request(3, 5, 1, 7)]
        + [request(i, 5, 20, 140) for i in range(4, 100)]
    )
    order = []
    for _ in range(4):
        assert list(scheduler.pull(source)) == []
        order += [sequence.request.segment_id for sequence in scheduler.admit([[]])[0]]
    assert order[:4] == ["0", "1", "2", "4"]
    assert 3 + 8 // 2 == order.index("3")


def test_what_never_fits_beside_others_is_waited_for():
    """One that needs the whole cache, while short ones keep a slot busy: they stop coming, and it runs alone."""
    look_ahead = 4
    scheduler = Scheduler([2], 10, 16, MAX_POSITIONS, look_ahead)
    # beside the first, of three frames, these end by turns
    short = [request(i, 5, 2, 14) for i in range(2, 100)]
    source = iter([request(0, 5, 3, 21), request(1, 150, 1, 7), *short])
    order, running = [], []
    for _ in range(40):
        assert list(scheduler.pull(source)) == []
        for sequence in running:
            sequence.num_frames += 1
        running = [sequence for sequence in running if sequence.num_frames < sequence.max_frames]
        joined = scheduler.admit([running])[0]
        order += [sequence.request.segment_id for sequence in joined]
        running += joined
        if "1" in order:
            break
    assert ["1"] == [sequence.request.segment_id for sequence in running]
    assert 2 * look_ahead <= order.index("1") <= 2 * look_ahead + 3


def test_short_ones_fill_what_long_ones_will_need_later():
    """Two of twenty frames take the whole cache at their end; until then there is room for three of four frames."""
    scheduler = Scheduler([8], 20, 16, MAX_POSITIONS, 16)  # 10 blocks each: 17 + 7 * 20 tokens
    source = iter([request(i, 18, 20, 140) for i in range(3)] + [request(i, 4, 4, 28) for i in range(3, 20)])
    list(scheduler.pull(source))
    joined = [sequence.request.segment_id for sequence in scheduler.admit([[]])[0]]
    assert joined[:2] == ["0", "1"]  # the third would need thirty blocks when all are long
    assert len(joined) == 8
    assert "2" not in joined


def test_lanes_are_filled_evenly():
    """Seven requests into lanes of 4 and 3, one of which runs two already: the emptier one comes first."""
    scheduler = Scheduler([4, 3], 100, 16, MAX_POSITIONS, 16)
    first = [request(i, 5, 20 - i, 140) for i in range(7)]
    second = [request(7, 5, 3, 21), request(8, 5, 2, 14), request(9, 5, 1, 7)]
    source = iter([*first, None, *second])

    def admit(running: list[list[Sequence]]) -> list[list[str]]:
        assert [] == list(scheduler.pull(source))
        lanes = scheduler.admit(running)
        for lane, joining in zip(running, lanes, strict=True):
            lane.extend(joining)
        return [[sequence.request.segment_id for sequence in lane] for lane in lanes]

    running: list[list[Sequence]] = [[], []]
    assert [["0", "2", "4", "6"], ["1", "3", "5"]] == admit(running)
    assert [["9"], ["7", "8"]] == admit([running[0][:2], []])


def test_a_none_ends_the_pull_and_nothing_more():
    """What came before it runs; what comes after it is asked for the next time."""
    scheduler = Scheduler([4], 100, 16, MAX_POSITIONS, 16)
    source = iter([request(0, 5, 2, 14), None, request(1, 5, 2, 14), None, None])
    waiting = []
    for _ in range(4):
        list(scheduler.pull(source))
        waiting.append((scheduler.num_waiting, scheduler.exhausted))
    assert [(1, False), (2, False), (2, False), (2, True)] == waiting


def test_errors_say_what_does_not_fit():
    """Empty, longer than the model, longer than the cache, no frame: one stream each, with its reason."""
    scheduler = Scheduler([4], 10, 16, MAX_POSITIONS, 16)
    source = iter([request(0, 0, 2, 14), request(1, 298, 2, 14), request(2, 150, 2, 14), request(3, 5, 0, 14)])
    streams = list(scheduler.pull(source))
    assert ["error"] * 4 == [stream.finish_reason for stream in streams]
    for stream, expected in zip(streams, ("empty", "300", "160", "max_new_tokens"), strict=True):
        assert expected in stream.error
    assert scheduler.num_waiting == 0
