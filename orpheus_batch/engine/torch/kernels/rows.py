"""Triton kernels that go over rows: norm, gate, float8, and rotation into the cache.

Memory alone bounds them, so each reads and writes what it must once.
"""

import triton
import triton.language as tl

FLOAT8_MAX: tl.constexpr = tl.constexpr(448.0)


@triton.jit
def _store_row(values, out, out_scale, row, columns, inside, width, FLOAT8: tl.constexpr):
    if FLOAT8:
        scale = tl.maximum(tl.max(tl.where(inside, tl.abs(values), 0.0), axis=0), 1e-12) / FLOAT8_MAX
        tl.store(out_scale + row, scale)
        values = tl.minimum(tl.maximum(values / scale, -FLOAT8_MAX), FLOAT8_MAX)
    tl.store(out + row * width + columns, values.to(out.dtype.element_ty), mask=inside)


@triton.jit
def add_norm_kernel(
    hidden,
    delta,
    row_scale,
    column_scale,
    weight,
    out,
    out_scale,
    eps,
    width,
    HAS_DELTA: tl.constexpr,
    SCALED: tl.constexpr,
    FLOAT8: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """A row a program: hidden += delta; out = norm(hidden)."""
    row = tl.program_id(0).to(tl.int64)
    columns = tl.arange(0, BLOCK)
    inside = columns < width
    x = tl.load(hidden + row * width + columns, mask=inside, other=0.0).to(tl.float32)
    if HAS_DELTA:
        d = tl.load(delta + row * width + columns, mask=inside, other=0.0).to(tl.float32)
        if SCALED:
            d = d * tl.load(row_scale + row) * tl.load(column_scale + columns, mask=inside, other=0.0)
        rounded = (x + d).to(hidden.dtype.element_ty)
        tl.store(hidden + row * width + columns, rounded, mask=inside)
        x = rounded.to(tl.float32)
    rms = tl.rsqrt(tl.sum(x * x, axis=0) / width + eps)
    w = tl.load(weight + columns, mask=inside, other=0.0).to(tl.float32)
    _store_row(x * rms * w, out, out_scale, row, columns, inside, width, FLOAT8)


@triton.jit
def gated_kernel(
    gate_up,
    row_scale,
    column_scale,
    out,
    out_scale,
    width,
    SCALED: tl.constexpr,
    FLOAT8: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """A row a program: silu(gate) * up."""
    row = tl.program_id(0).to(tl.int64)
    columns = tl.arange(0, BLOCK)
    inside = columns < width
    start = gate_up + row * 2 * width
    gate = tl.load(start + columns, mask=inside, other=0.0).to(tl.float32)
    up = tl.load(start + width + columns, mask=inside, other=0.0).to(tl.float32)
    if SCALED:
        by = tl.load(row_scale + row)
        gate = gate * by * tl.load(column_scale + columns, mask=inside, other=0.0)
        up = up * by * tl.load(column_scale + width + columns, mask=inside, other=0.0)
    _store_row(gate * tl.sigmoid(gate) * up, out, out_scale, row, columns, inside, width, FLOAT8)


@triton.jit
def to_float8_kernel(rows, out, out_scale, width, BLOCK: tl.constexpr):
    """A row a program: float8 with one factor."""
    row = tl.program_id(0).to(tl.int64)
    columns = tl.arange(0, BLOCK)
    inside = columns < width
    x = tl.load(rows + row * width + columns, mask=inside, other=0.0).to(tl.float32)
    _store_row(x, out, out_scale, row, columns, inside, width, True)


@triton.jit
def rotate_and_store_kernel(
    qkv,
    row_scale,
    column_scale,
    positions,
    cosines,
    sines,
    table,
    keys,
    values,
    query,
    table_stride,
    NUM_HEADS: tl.constexpr,
    NUM_KV_HEADS: tl.constexpr,
    HEAD_DIM: tl.constexpr,
    TOKENS_PER_BLOCK: tl.constexpr,
    SCALED: tl.constexpr,
    CLAMP: tl.constexpr,
    HEADS: tl.constexpr,
    HALF: tl.constexpr,
):
    """``HEADS`` heads of a slot a program; ``HALF`` is head_dim / 2, rounded up to a power of two."""
    slot = tl.program_id(0).to(tl.int64)
    position = tl.load(positions + slot)
    if position >= 0:
        head = tl.program_id(1) * HEADS + tl.arange(0, HEADS)
        dim = tl.arange(0, 2 * HALF)
        pair = tl.arange(0, HALF)
        total: tl.constexpr = NUM_HEADS + 2 * NUM_KV_HEADS
        inside = (head[:, None] < total) & (dim[None, :] < HEAD_DIM)
        column = head[:, None] * HEAD_DIM + dim[None, :]
        x = tl.load(qkv + slot * (total * HEAD_DIM) + column, mask=inside, other=0.0).to(tl.float32)
        if SCALED:
            x = x * tl.load(row_scale + slot) * tl.load(column_scale + column, mask=inside, other=0.0)
        even, odd = tl.split(tl.reshape(x, [HEADS, HALF, 2]))
        angle = position.to(tl.int64) * (HEAD_DIM // 2) + pair
        cos = tl.load(cosines + angle, mask=pair < HEAD_DIM // 2, other=1.0)[None, :]
        sin = tl.load(sines + angle, mask=pair < HEAD_DIM // 2, other=0.0)[None, :]
        is_rotated = head[:, None] < NUM_HEADS + NUM_KV_HEADS
        rotated = tl.join(even * cos - odd * sin, even * sin + odd * cos)
        x = tl.where(is_rotated, tl.reshape(rotated, [HEADS, 2 * HALF]), x)
        is_query = inside & (head[:, None] < NUM_HEADS)
        tl.store(query + slot * (NUM_HEADS * HEAD_DIM) + column, x.to(query.dtype.element_ty), mask=is_query)
        if CLAMP:
            x = tl.minimum(tl.maximum(x, -FLOAT8_MAX), FLOAT8_MAX)
        block = tl.load(table + slot * table_stride + position // TOKENS_PER_BLOCK).to(tl.int64)
        cell = position % TOKENS_PER_BLOCK
        for is_value in tl.static_range(2):
            kv_head = head[:, None] - NUM_HEADS - is_value * NUM_KV_HEADS
            mine = inside & (kv_head >= 0) & (kv_head < NUM_KV_HEADS)
            place = ((block * NUM_KV_HEADS + kv_head) * TOKENS_PER_BLOCK + cell) * HEAD_DIM + dim[None, :]
            pool = values if is_value else keys
            tl.store(pool + place, x.to(pool.dtype.element_ty), mask=mine)
