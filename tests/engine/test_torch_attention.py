"""Attention over blocks equals attention over plain rows, wherever the blocks lie."""

import math

import pytest
import torch
import torch.nn.functional as F

from orpheus_batch.engine.torch.attention import FrameAttention
from orpheus_batch.engine.torch.blocks import BlockTables
from orpheus_batch.engine.torch.paged_cache import PagedCache

HEAD_DIM, NUM_KV_HEADS, NUM_HEADS = 16, 2, 6
CPU = torch.device("cpu")


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    """Return float32 noise, always the same."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def write_all(cache: PagedCache, tables: BlockTables, slot: int, kv: torch.Tensor) -> None:
    """Write keys and values [tokens, 2, kv_heads, head_dim] from a sequence's start."""
    positions = torch.arange(len(kv))
    blocks = torch.from_numpy(tables.table[slot])[positions // tables.tokens_per_block]
    cache.write(0, blocks, positions % tables.tokens_per_block, kv)


def attend(cache: PagedCache, tables: BlockTables, query: torch.Tensor, lengths: list[int]) -> torch.Tensor:
    """Attend from the last token of each slot."""
    attention = FrameAttention(cache, tables, len(lengths), NUM_HEADS)
    attention.start_step(torch.tensor(lengths) - 1)
    return attention.attend(0, query.flatten(1) * (HEAD_DIM**-0.5 / math.log(2)))


def plain(query: torch.Tensor, kv: torch.Tensor) -> torch.Tensor:
    """Attention of one query [heads, head_dim] over [tokens, 2, kv_heads, head_dim]."""
    keys, values = (
        part.transpose(0, 1).repeat_interleave(NUM_HEADS // NUM_KV_HEADS, 0) for part in kv.unbind(1)
    )
    return F.scaled_dot_product_attention(query[:, None], keys, values).reshape(-1)


@pytest.mark.parametrize("tokens_per_block", [1, 4, 7, 32])
def test_paged_attention_equals_plain_attention(tokens_per_block):
    """Unequal lengths, blocks given out in turns, one slot freed and the holes closed."""
    lengths = [1, 40, 9, 23]
    tables = BlockTables(4, 200, tokens_per_block)
    cache = PagedCache(1, NUM_KV_HEADS, HEAD_DIM, 200, tokens_per_block, CPU, torch.float32)
    cache.keys[0].fill_(torch.nan)  # what fresh memory may hold must not be seen
    cache.values[0].fill_(torch.nan)
    sequences = [random(length, 2, NUM_KV_HEADS, HEAD_DIM, seed=length) for length in lengths]
    query = random(4, NUM_HEADS, HEAD_DIM)
    for num_tokens in range(1, 48):  # block by block, so that the slots' blocks are mixed
        for slot, length in enumerate(lengths):
            tables.grow(slot, min(num_tokens, length + 3))
    cache.use_blocks(tables.allocator.high_water)
    for slot, kv in enumerate(sequences):
        write_all(cache, tables, slot, kv)
    expected = torch.stack([plain(q, kv) for q, kv in zip(query, sequences, strict=True)])
    torch.testing.assert_close(attend(cache, tables, query, lengths), expected)

    tables.release(1)
    tables.move(3, 1)
    cache.move_blocks(*tables.compact())
    expected, query, lengths = expected[[0, 3, 2]], query[[0, 3, 2]], [lengths[i] for i in (0, 3, 2)]
    torch.testing.assert_close(attend(cache, tables, query, lengths), expected)


def test_large_scores_do_not_overflow():
    """Scores in the thousands in one block and minus thousands in another: the softmax is shifted as one."""
    tables = BlockTables(1, 4, 4)
    cache = PagedCache(1, NUM_KV_HEADS, HEAD_DIM, 4, 4, CPU, torch.float32)
    tables.grow(0, 10)
    cache.use_blocks(3)
    kv = random(10, 2, NUM_KV_HEADS, HEAD_DIM)
    kv[:, 0] *= 1000.0
    write_all(cache, tables, 0, kv)
    query = random(1, NUM_HEADS, HEAD_DIM, seed=1)
    expected = plain(query[0], kv)[None]
    assert expected.isfinite().all()
    torch.testing.assert_close(attend(cache, tables, query, [10]), expected)
