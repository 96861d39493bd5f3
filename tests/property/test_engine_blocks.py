"""Block bookkeeping under any order of events: nothing leaks, nothing is shared, nothing is out of place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orpheus_batch.engine.torch.blocks import BlockAllocator, BlockTables

NUM_SLOTS, NUM_BLOCKS = 6, 60


@given(
    tokens_per_block=st.integers(1, 9),
    events=st.lists(
        st.one_of(
            st.tuples(st.just("grow"), st.integers(0, NUM_SLOTS - 1), st.integers(1, 10)),
            st.tuples(st.just("release"), st.integers(0, NUM_SLOTS - 1), st.just(0)),
            st.tuples(st.just("move"), st.integers(0, NUM_SLOTS - 1), st.integers(0, NUM_SLOTS - 1)),
            st.tuples(st.just("compact"), st.just(0), st.just(0)),
        ),
        max_size=60,
    ),
)
def test_tables_keep_what_is_written(tokens_per_block, events):
    """Each block carries the mark of the slot and place it was given to; at every point all marks are found.

    Comparing ids alone would miss a table that is renumbered without the copy that goes with it.
    """
    tables = BlockTables(NUM_SLOTS, NUM_BLOCKS, tokens_per_block)
    content: list[object] = [None] * NUM_BLOCKS
    expected: list[list[object]] = [[] for _ in range(NUM_SLOTS)]
    serial = 0
    for kind, slot, number in events:
        if kind == "grow":
            wanted = min(number, 10)
            tables.grow(slot, wanted * tokens_per_block)
            while len(expected[slot]) < wanted:
                serial += 1
                content[tables.table[slot, len(expected[slot])]] = serial
                expected[slot].append(serial)
        elif kind == "release":
            tables.release(slot)
            expected[slot] = []
        elif kind == "move" and slot != number and not expected[number]:
            tables.move(slot, number)
            expected[number], expected[slot] = expected[slot], []
        elif kind == "compact":
            sources, targets = tables.compact()
            assert set() == set(sources) & set(targets)
            for source, target in zip(sources, targets, strict=True):
                content[target] = content[source]
            assert tables.allocator.high_water == tables.allocator.num_used
        owned = [tables.table[s, : tables.num_blocks[s]].tolist() for s in range(NUM_SLOTS)]
        assert expected == [[content[block] for block in blocks] for blocks in owned]
        assert sum(map(len, expected)) == tables.allocator.num_used
        assert tables.allocator.num_used <= tables.allocator.high_water <= NUM_BLOCKS


@given(st.lists(st.booleans(), max_size=200))
def test_the_lowest_free_block_is_given_out(takes):
    """Take or give back, in any order: always the lowest that is free, never one in use."""
    allocator, used = BlockAllocator(50), []
    for take in takes:
        if take and len(used) < 50:
            expected = min(set(range(50)) - set(used))
            assert expected == allocator.allocate()
            used.append(expected)
        elif not take and used:
            allocator.release([used.pop(len(used) // 2)])
    assert len(used) == allocator.num_used


def test_misuse_is_an_error():
    """A block given back twice would soon have two owners; one too many would have none."""
    allocator = BlockAllocator(1)
    block = allocator.allocate()
    with pytest.raises(RuntimeError, match="in use"):
        allocator.allocate()
    allocator.release([block])
    with pytest.raises(ValueError, match="not in use"):
        allocator.release([block])
