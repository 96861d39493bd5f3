"""Decode attention in Triton: reads each key and value once, where its block lies.

A program is one slot and one head of keys and values, with all query heads that share it: three of them, filled
up to the sixteen rows that the tensor cores take, cost nothing beside the memory. It is small, a warp with a few
tokens at a time, so that many stand on a multiprocessor and one computes while others wait for memory. The softmax
runs along (Milakov and Gimelshein, arXiv:1805.02867), in powers of two.
"""

import triton
import triton.language as tl


@triton.jit
def decode_attention_kernel(
    query,
    positions,
    table,
    order,
    keys,
    values,
    out,
    table_stride,
    scale,
    HAS_ORDER: tl.constexpr,
    NUM_KV_HEADS: tl.constexpr,
    SHARED: tl.constexpr,
    ROWS: tl.constexpr,
    HEAD_DIM: tl.constexpr,
    DIMS: tl.constexpr,
    TOKENS_PER_BLOCK: tl.constexpr,
    TILE: tl.constexpr,
    PRECISION: tl.constexpr,
    COMPUTE: tl.constexpr,
):
    """Attend, with products of ``COMPUTE``.

    ``scale`` is head_dim^-0.5 / ln 2; ``ROWS`` and ``DIMS`` are padded to powers of two.
    """
    kv_head = tl.program_id(0)
    slot = tl.program_id(1).to(tl.int64)
    if HAS_ORDER:
        slot = tl.load(order + slot).to(tl.int64)
    length = tl.load(positions + slot) + 1
    row, dim = tl.arange(0, ROWS), tl.arange(0, DIMS)
    real = (row < SHARED)[:, None] & (dim < HEAD_DIM)[None, :]
    at = slot * (NUM_KV_HEADS * SHARED * HEAD_DIM)
    at += (kv_head * SHARED + row)[:, None] * HEAD_DIM + dim[None, :]
    q = tl.load(query + at, mask=real, other=0.0).to(COMPUTE)
    peak = tl.full([ROWS], -float("inf"), tl.float32)
    total = tl.zeros([ROWS], tl.float32)
    sums = tl.zeros([ROWS, DIMS], tl.float32)
    blocks = table + slot * table_stride
    column = tl.arange(0, TILE) // TOKENS_PER_BLOCK
    following = tl.load(blocks + column, mask=column < table_stride, other=0)
    for start in range(0, length, TILE):
        token = start + tl.arange(0, TILE)
        inside = token < length
        # the next tile's blocks are asked for before they are needed, and the first's before the length is known
        block = following
        column = (token + TILE) // TOKENS_PER_BLOCK
        following = tl.load(blocks + column, mask=column < table_stride, other=0)
        cell = (block.to(tl.int64) * NUM_KV_HEADS + kv_head) * TOKENS_PER_BLOCK + token % TOKENS_PER_BLOCK
        place = cell[:, None] * HEAD_DIM + dim[None, :]
        wanted = inside[:, None] & (dim < HEAD_DIM)[None, :]
        k = tl.load(keys + place, mask=wanted, other=0.0).to(COMPUTE)
        v = tl.load(values + place, mask=wanted, other=0.0).to(COMPUTE)
        scores = tl.dot(q, tl.trans(k), input_precision=PRECISION) * scale
        scores = tl.where(inside[None, :], scores, -float("inf"))
        higher = tl.maximum(peak, tl.max(scores, axis=1))
        weights = tl.exp2(scores - higher[:, None])
        fade = tl.exp2(peak - higher)
        total = total * fade + tl.sum(weights, axis=1)
        sums = sums * fade[:, None] + tl.dot(weights.to(COMPUTE), v, input_precision=PRECISION)
        peak = higher
    attended = sums / tl.where(total > 0, total, 1.0)[:, None]
    tl.store(out + at, attended.to(out.dtype.element_ty), mask=real)
