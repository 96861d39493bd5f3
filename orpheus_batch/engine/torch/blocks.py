"""Who owns which block of the KV cache: an allocator and a table of blocks for each slot.

Plain Python and numpy on the host; keys and values are elsewhere, and so is the decision who may run. Block ids
given out are always the lowest free, and `BlockTables.compact` closes the holes that finished sequences leave,
so that the blocks in use can be read as one piece.

Source: paged KV caches, Kwon et al., arXiv:2309.06180.
"""

import heapq
from collections.abc import Iterable

import numpy as np


def num_blocks_for(num_tokens: int, tokens_per_block: int) -> int:
    """Return how many blocks hold ``num_tokens``."""
    return -(-num_tokens // tokens_per_block)


class BlockAllocator:
    """Gives out block ids, lowest first."""

    def __init__(self, num_blocks: int):
        self.num_blocks = num_blocks
        self.num_used = 0
        self.peak_num_used = 0
        self.high_water = 0
        """one past the highest block in use"""
        self._holes: list[int] = []  # free blocks below high_water, a heap
        self._used = bytearray(num_blocks)

    def allocate(self) -> int:
        """Take a block.

        Raises:
            RuntimeError: None is free. The scheduler reserves what a sequence may need before it starts, so
                this is a bug in it.
        """
        if self._holes:
            block = heapq.heappop(self._holes)
        elif self.high_water < self.num_blocks:
            block = self.high_water
            self.high_water += 1
        else:
            raise RuntimeError(f"all {self.num_blocks} KV cache blocks are in use")
        self._used[block] = 1
        self.num_used += 1
        self.peak_num_used = max(self.peak_num_used, self.num_used)
        return block

    def release(self, blocks: Iterable[int]) -> None:
        """Give blocks back.

        Raises:
            ValueError: One of them is not in use.
        """
        for block in blocks:
            if not self._used[block]:
                raise ValueError(f"block {block} is released but not in use")
            self._used[block] = 0
            self.num_used -= 1
            heapq.heappush(self._holes, block)

    def compact(self) -> tuple[list[int], list[int]]:
        """Renumber so that blocks 0..num_used-1 are in use and no others.

        Returns:
            Two lists of equal length, where blocks were and where they are now; no block is in both.
        """
        sources = [block for block in range(self.num_used, self.high_water) if self._used[block]]
        targets = sorted(block for block in self._holes if block < self.num_used)
        for source, target in zip(sources, targets, strict=True):
            self._used[source], self._used[target] = 0, 1
        self._holes = []
        self.high_water = self.num_used
        return sources, targets


class BlockTables:
    """The blocks of each slot, in the order of its tokens."""

    def __init__(self, num_slots: int, num_blocks: int, tokens_per_block: int):
        self.allocator = BlockAllocator(num_blocks)
        self.tokens_per_block = tokens_per_block
        self.table = np.zeros((num_slots, 16), dtype=np.int64)
        """block ids [slots, blocks]; wider as sequences get longer"""
        self.num_blocks = np.zeros(num_slots, dtype=np.int64)
        """how many entries of each row of `table` are in use"""

    def grow(self, slot: int, num_tokens: int) -> None:
        """Give a slot the blocks that it lacks to hold ``num_tokens``."""
        have, want = int(self.num_blocks[slot]), num_blocks_for(num_tokens, self.tokens_per_block)
        if want > self.table.shape[1]:
            wider = max(want, 2 * self.table.shape[1]) - self.table.shape[1]
            self.table = np.pad(self.table, ((0, 0), (0, wider)))
        for index in range(have, want):
            self.table[slot, index] = self.allocator.allocate()
        self.num_blocks[slot] = max(have, want)

    def release(self, slot: int) -> None:
        """Give back all blocks of a slot."""
        self.allocator.release(int(b) for b in self.table[slot, : self.num_blocks[slot]])
        self.num_blocks[slot] = 0

    def move(self, source: int, target: int) -> None:
        """Let an empty slot take over another's blocks."""
        self.table[target] = self.table[source]
        self.num_blocks[target] = self.num_blocks[source]
        self.num_blocks[source] = 0

    def compact(self) -> tuple[list[int], list[int]]:
        """Close the holes; see `BlockAllocator.compact`. Keys and values must be copied as returned."""
        sources, targets = self.allocator.compact()
        if sources:
            renumbered = np.arange(self.allocator.num_blocks)
            renumbered[sources] = targets
            self.table = renumbered[self.table]
        return sources, targets
