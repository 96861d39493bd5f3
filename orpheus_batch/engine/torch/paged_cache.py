"""Keys and values in blocks, and decode attention that reads them where they lie.

Nothing is gathered and nothing is padded: every block in use is multiplied with its owner's queries, all
blocks in one batched product, and the partial results are put together by the rules of a split softmax. That
reads each key and value exactly once a step, whatever the lengths of the sequences, which is what attention
costs.

It knows slots and blocks, no requests and no tokens. It needs the blocks in use to be 0..N-1 (see
`orpheus_batch.engine.torch.blocks`).

Source: split softmax as in Flash-Decoding (Dao et al., 2023); blocks as in arXiv:2309.06180.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from orpheus_batch.engine.torch.blocks import BlockTables
from orpheus_batch.engine.torch.linear import multiply_pairs


@dataclass(frozen=True, slots=True, eq=False)
class BlockPlan:
    """Where the blocks in use belong, fixed for one frame. N blocks in use, n slots running."""

    num_blocks: int
    """N"""
    owner: torch.Tensor
    """int64 [N], the slot of each block"""
    cell_positions: torch.Tensor
    """int64 [N, tokens_per_block], the position in its sequence of each cell"""
    table: torch.Tensor
    """int64 [n, most blocks of a slot], rows filled up with the slot's first block"""
    blocks: torch.Tensor
    """int64 [N], blocks by slot and position"""
    offsets: torch.Tensor
    """int64 [n], where each slot begins in ``blocks``"""


@dataclass(frozen=True, slots=True, eq=False)
class StepPlan:
    """What one token a slot needs: where its key goes, and which cells it may look at."""

    block: torch.Tensor
    """int64 [n]"""
    cell: torch.Tensor
    """int64 [n], place within the block"""
    bias: torch.Tensor
    """[N * kv_heads, 1, tokens_per_block], 0 for cells up to the token's own position, else -inf"""


class PagedCache:
    """Key and value blocks of all layers."""

    def __init__(
        self,
        num_layers: int,
        num_kv_heads: int,
        head_dim: int,
        num_blocks: int,
        tokens_per_block: int,
        device: torch.device,
        dtype: torch.dtype,
    ):
        self.num_blocks = num_blocks
        self.tokens_per_block = tokens_per_block
        self.device = device
        self._num_kv_heads = num_kv_heads
        # On CPU untouched pages take no memory: it grows with the blocks that are really used.
        shape = (num_layers, num_blocks, num_kv_heads)
        self._keys = torch.empty(*shape, head_dim, tokens_per_block, device=device, dtype=dtype)
        self._values = torch.empty(*shape, tokens_per_block, head_dim, device=device, dtype=dtype)
        self._num_clean_blocks = 0
        self._cells = torch.arange(tokens_per_block, device=device)

    def use_blocks(self, num_blocks: int) -> None:
        """Make blocks 0..num_blocks-1 fit for use; call it whenever there are more than before.

        Cells not yet written are masked, but their weight of 0 times whatever memory held, NaN for one, would
        not be 0.
        """
        for pool in (self._keys, self._values):
            pool[:, self._num_clean_blocks : num_blocks] = 0
        self._num_clean_blocks = max(self._num_clean_blocks, num_blocks)

    def plan_frame(self, tables: BlockTables, num_slots: int) -> BlockPlan:
        """Return the plan for slots 0..num_slots-1; holds until a block changes hands."""
        counts = tables.num_blocks[:num_slots]
        columns = np.arange(counts.max())
        used = columns < counts[:, None]
        table = tables.table[:num_slots, : len(columns)]
        blocks = table[used]
        num_blocks = len(blocks)
        owner, start = np.empty(num_blocks, dtype=np.int64), np.empty(num_blocks, dtype=np.int64)
        owner[blocks] = np.repeat(np.arange(num_slots), counts)
        start[blocks] = np.broadcast_to(columns * self.tokens_per_block, used.shape)[used]
        return BlockPlan(
            num_blocks=num_blocks,
            owner=self._tensor(owner),
            cell_positions=self._tensor(start)[:, None] + self._cells,
            table=self._tensor(np.where(used, table, table[:, :1])),
            blocks=self._tensor(blocks),
            offsets=self._tensor(np.cumsum(counts) - counts),
        )

    def plan_step(self, plan: BlockPlan, positions: torch.Tensor) -> StepPlan:
        """Return the plan for one token a slot.

        Args:
            plan: Of the frame.
            positions: int64 [n], of the token in its sequence.
        """
        block = plan.table.gather(1, (positions // self.tokens_per_block)[:, None]).squeeze(1)
        visible = plan.cell_positions <= positions.index_select(0, plan.owner)[:, None]
        bias = torch.zeros_like(visible, dtype=self._keys.dtype).masked_fill_(~visible, -torch.inf)
        bias = bias.repeat_interleave(self._num_kv_heads, dim=0).unsqueeze(1)
        return StepPlan(block=block, cell=positions % self.tokens_per_block, bias=bias)

    def write(self, layer: int, block: torch.Tensor, cell: torch.Tensor, kv: torch.Tensor) -> None:
        """Store keys and values of some tokens.

        Args:
            layer: Which.
            block: int64 [n].
            cell: int64 [n].
            kv: [n, 2, kv_heads, head_dim], keys then values.
        """
        self._keys[layer][block, :, :, cell] = kv[:, 0]
        self._values[layer][block, :, cell] = kv[:, 1]

    def move_blocks(self, sources: list[int], targets: list[int]) -> None:
        """Copy blocks of all layers; no block may be in both lists."""
        if not sources:
            return
        source, target = (self._tensor(np.asarray(blocks)) for blocks in (sources, targets))
        for pool in (self._keys, self._values):
            pool[:, target] = pool[:, source]

    def attend(self, layer: int, query: torch.Tensor, plan: BlockPlan, step: StepPlan) -> torch.Tensor:
        """Return attention of one token a slot over its sequence.

        Args:
            layer: Which.
            query: [n, heads, head_dim]; head h reads the keys of kv head h // (heads / kv_heads).
            plan: Of the frame.
            step: Of the step; the token's own key and value are written already.

        Returns:
            [n, heads * head_dim].
        """
        num_slots, num_heads, head_dim = query.shape
        num_pairs = plan.num_blocks * self._num_kv_heads
        keys = self._keys[layer, : plan.num_blocks].view(num_pairs, head_dim, -1)
        values = self._values[layer, : plan.num_blocks].view(num_pairs, -1, head_dim)
        queries = (query.reshape(num_slots, -1) * head_dim**-0.5).index_select(0, plan.owner)
        scores = multiply_pairs(queries.view(num_pairs, -1, head_dim), keys).float().add_(step.bias)

        block_peak = scores.amax(-1).view(plan.num_blocks, num_heads)
        peak = block_peak.index_select(0, plan.table.flatten()).view(num_slots, -1, num_heads).amax(1)
        weights = scores.sub_(peak.index_select(0, plan.owner).view(num_pairs, -1, 1)).exp_()
        weight_sum = self._sum_over_blocks(plan, weights.sum(-1).view(plan.num_blocks, num_heads))
        partial = multiply_pairs(weights.to(values.dtype), values).float().view(plan.num_blocks, -1)
        attended = self._sum_over_blocks(plan, partial).view(query.shape)
        return attended.div_(weight_sum.unsqueeze(-1)).to(query.dtype).view(num_slots, -1)

    def _sum_over_blocks(self, plan: BlockPlan, values: torch.Tensor) -> torch.Tensor:
        """Add up the rows [N, …] of each slot's blocks, in the order of positions wherever the blocks lie."""
        return F.embedding_bag(plan.blocks, values, plan.offsets, mode="sum")

    def _tensor(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(array).to(self.device)
