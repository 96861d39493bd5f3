"""Decode attention that reads the cache's blocks where they lie.

Nothing is gathered and nothing is padded: every block in use is multiplied with its owner's queries, all blocks
in one batched product, and the partial results are put together by the rules of a split softmax. That reads each
key and value exactly once a step, whatever the lengths of the sequences, which is what attention costs.

It knows slots and blocks, no requests and no tokens.

Source: split softmax as in Flash-Decoding (Dao et al., 2023).
"""

import numpy as np
import torch

from orpheus_batch.engine.torch.blocks import BlockTables
from orpheus_batch.engine.torch.paged_cache import PagedCache
from orpheus_batch.engine.torch.products import PairProduct


class FrameAttention:
    """Attention of n slots over their N blocks for as long as no block changes hands: one frame.

    What does not change from step to step is worked out once: who owns which block, and the memory that
    queries, scores and partial results go through.
    """

    def __init__(self, cache: PagedCache, tables: BlockTables, num_slots: int, num_heads: int):
        """Take slots 0..num_slots-1; the blocks in use must be 0..N-1 (see `BlockTables.compact`)."""
        self._cache = cache
        self._num_heads = num_heads
        self._is_float32 = cache.keys[0].dtype == torch.float32
        counts = tables.num_blocks[:num_slots]
        columns = np.arange(counts.max())
        used = columns < counts[:, None]
        table = tables.table[:num_slots, : len(columns)]
        blocks = table[used]
        num_blocks = len(blocks)
        owner, first_position = np.empty(num_blocks, dtype=np.int64), np.empty(num_blocks, dtype=np.int64)
        owner[blocks] = np.repeat(np.arange(num_slots), counts)
        first_position[blocks] = np.broadcast_to(columns * cache.tokens_per_block, used.shape)[used]
        self._owner = self._tensor(owner)  # [N], the slot of each block
        self._blocks = self._tensor(blocks)  # [N], blocks by slot and position
        self._offsets = self._tensor(np.cumsum(counts) - counts)  # [n], where each slot begins in them
        # [n, most blocks of a slot], short rows filled up with the slot's first block
        self._table = self._tensor(np.where(used, table, table[:, :1]))
        self._flat_table = self._table.flatten()
        cells = torch.arange(cache.tokens_per_block, device=cache.device)
        self._cell_positions = self._tensor(first_position)[:, None] + cells  # [N, tokens_per_block]
        self._block = self._cell = self._bias = torch.empty(0)  # set by each step
        self._make_products(num_blocks, num_heads)

    def start_step(self, positions: torch.Tensor) -> None:
        """Say where the next token of each slot stands, int64 [n], before its keys are written."""
        size = self._cache.tokens_per_block
        self._block = self._table.gather(1, (positions // size)[:, None]).squeeze(1)
        self._cell = positions % size
        visible = self._cell_positions <= positions.index_select(0, self._owner)[:, None]
        self._bias = torch.where(visible, 0.0, -torch.inf).unsqueeze(1)  # [N, 1, tokens_per_block]

    def write(self, layer: int, kv: torch.Tensor) -> None:
        """Store the tokens' keys and values [n, 2, kv_heads, head_dim]."""
        self._cache.write(layer, self._block, self._cell, kv)

    def attend(self, layer: int, query: torch.Tensor) -> torch.Tensor:
        """Return attention of the tokens over their sequences, themselves included.

        Args:
            layer: Which; the tokens' keys and values are written already.
            query: [n, heads * head_dim], times head_dim^-0.5 / ln 2: with it the softmax is one of powers of
                two, which are faster. Head h reads the keys of kv head h // (heads / kv_heads).

        Returns:
            [n, heads * head_dim].
        """
        num_slots = len(query)
        torch.index_select(query, 0, self._owner, out=self._queries)
        self._score_products[layer]()
        # softmax in float32; where the cache is float32, in the very memory of the scores
        scores = self._scores if self._is_float32 else self._scores.float()
        scores.add_(self._bias)  # [N, heads, tokens_per_block]
        block_peak = scores.amax(2)
        peak = block_peak.index_select(0, self._flat_table).view(num_slots, -1, self._num_heads).amax(1)
        scores.sub_(peak.index_select(0, self._owner).unsqueeze(2)).exp2_()
        weight_sum = self._sum_over_blocks(scores.sum(2))
        if not self._is_float32:
            self._scores.copy_(scores)
        self._value_products[layer]()
        attended = self._sum_over_blocks(self._partial if self._is_float32 else self._partial.float())
        attended.view(num_slots, self._num_heads, -1).div_(weight_sum.unsqueeze(2))
        return attended if self._is_float32 else attended.to(query.dtype)

    def _make_products(self, num_blocks: int, num_heads: int) -> None:
        """Lay out the memory of a step, and what is multiplied in it for each layer."""
        _, num_kv_heads, head_dim, size = self._cache.keys[0].shape
        num_pairs, shared = num_blocks * num_kv_heads, num_heads // num_kv_heads
        like = self._cache.keys[0]
        self._queries = like.new_empty(num_blocks, num_heads * head_dim)
        self._scores = like.new_empty(num_blocks, num_heads, size)
        self._partial = like.new_empty(num_blocks, num_heads * head_dim)
        queries, scores, partial = (
            buffer.view(num_pairs, shared, -1) for buffer in (self._queries, self._scores, self._partial)
        )
        self._score_products = [
            PairProduct(queries, keys[:num_blocks].flatten(0, 1), scores) for keys in self._cache.keys
        ]
        self._value_products = [
            PairProduct(scores, values[:num_blocks].flatten(0, 1), partial) for values in self._cache.values
        ]

    def _sum_over_blocks(self, values: torch.Tensor) -> torch.Tensor:
        """Add up the rows [N, …] of each slot's blocks, in the order of positions wherever the blocks lie."""
        return torch.embedding_bag(values, self._blocks, self._offsets)[0]

    def _tensor(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(array).to(self._cache.device)
