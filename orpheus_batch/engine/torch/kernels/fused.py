"""The operations in Triton, one launch each. What they mean is said in `reference`, argument by argument."""

import math

import torch
import triton
import triton.language as tl

from orpheus_batch.engine.torch.kernels.attention import decode_attention_kernel
from orpheus_batch.engine.torch.kernels.reference import FLOAT8
from orpheus_batch.engine.torch.kernels.rows import (
    add_norm_kernel,
    gated_kernel,
    rotate_and_store_kernel,
    to_float8_kernel,
)
from orpheus_batch.engine.torch.kernels.sampling import sample_step_kernel
from orpheus_batch.engine.torch.kernels.types import LayerCache, Product, Rows, SamplingState

_ATTENTION_TILE = 32
"""tokens a step of the attention kernel"""
_MIN_DOT = 16
"""smallest side of a product on the tensor cores"""
_EIGHTH_DOT = tl.float16
"""float8 becomes float16 in one instruction, bfloat16 in several: 2.7 instead of 1.9 TB/s on an H100"""
_DOT_TYPES = {torch.float32: tl.float32, torch.bfloat16: tl.bfloat16}


def add_norm(
    hidden: torch.Tensor, delta: Product | None, weight: torch.Tensor, eps: float, float8: bool
) -> Rows:
    """See `reference.add_norm`."""
    num_rows, width = hidden.shape
    out = _empty_rows(hidden, width, float8)
    is_scaled = delta is not None and delta.row_scale is not None
    block = triton.next_power_of_2(width)
    add_norm_kernel[(num_rows,)](
        hidden,
        hidden if delta is None else delta.values,
        delta.row_scale if is_scaled else hidden,
        delta.column_scale if is_scaled else hidden,
        weight,
        out.values,
        hidden if out.row_scale is None else out.row_scale,
        eps,
        width,
        HAS_DELTA=delta is not None,
        SCALED=is_scaled,
        FLOAT8=float8,
        BLOCK=block,
        num_warps=_warps(block, 8),
    )
    return out


def gated(gate_up: Product, float8: bool) -> Rows:
    """See `reference.gated`."""
    values = gate_up.values
    num_rows, width = values.shape[0], values.shape[1] // 2
    out = _empty_rows(values, width, float8)
    is_scaled = gate_up.row_scale is not None
    block = triton.next_power_of_2(width)
    gated_kernel[(num_rows,)](
        values,
        gate_up.row_scale if is_scaled else values,
        gate_up.column_scale if is_scaled else values,
        out.values,
        values if out.row_scale is None else out.row_scale,
        width,
        SCALED=is_scaled,
        FLOAT8=float8,
        BLOCK=block,
        num_warps=_warps(block),
    )
    return out


def to_float8(rows: torch.Tensor) -> Rows:
    """See `reference.to_float8`."""
    num_rows, width = rows.shape
    out = _empty_rows(rows, width, True)
    block = triton.next_power_of_2(width)
    to_float8_kernel[(num_rows,)](rows, out.values, out.row_scale, width, BLOCK=block, num_warps=_warps(block))
    return out


def rotate_and_store(
    qkv: Product,
    positions: torch.Tensor,
    cosines: torch.Tensor,
    sines: torch.Tensor,
    table: torch.Tensor,
    cache: LayerCache,
) -> torch.Tensor:
    """See `reference.rotate_and_store`."""
    _, num_kv_heads, tokens_per_block, head_dim = cache.keys.shape
    values = qkv.values
    num_slots, total = values.shape[0], values.shape[1] // head_dim
    num_heads = total - 2 * num_kv_heads
    query = values.new_empty(num_slots, num_heads * head_dim)
    heads = 8
    is_scaled = qkv.row_scale is not None
    rotate_and_store_kernel[(num_slots, triton.cdiv(total, heads))](
        values,
        qkv.row_scale if is_scaled else values,
        qkv.column_scale if is_scaled else values,
        positions,
        cosines,
        sines,
        table,
        cache.keys,
        cache.values,
        query,
        table.stride(0),
        NUM_HEADS=num_heads,
        NUM_KV_HEADS=num_kv_heads,
        HEAD_DIM=head_dim,
        TOKENS_PER_BLOCK=tokens_per_block,
        SCALED=is_scaled,
        CLAMP=cache.keys.dtype == FLOAT8,
        HEADS=heads,
        HALF=triton.next_power_of_2(head_dim // 2),
        num_warps=4,
    )
    return query


def decode_attention(
    query: torch.Tensor,
    positions: torch.Tensor,
    table: torch.Tensor,
    cache: LayerCache,
    order: torch.Tensor | None = None,
) -> torch.Tensor:
    """See `reference.decode_attention`."""
    _, num_kv_heads, tokens_per_block, head_dim = cache.keys.shape
    num_slots = query.shape[0]
    shared = query.shape[1] // head_dim // num_kv_heads
    out = torch.empty_like(query)
    is_float8 = cache.keys.dtype == FLOAT8
    decode_attention_kernel[(num_kv_heads, num_slots)](
        query,
        positions,
        table,
        positions if order is None else order,
        cache.keys,
        cache.values,
        out,
        table.stride(0),
        head_dim**-0.5 / math.log(2),
        HAS_ORDER=order is not None,
        NUM_KV_HEADS=num_kv_heads,
        SHARED=shared,
        ROWS=max(_MIN_DOT, triton.next_power_of_2(shared)),
        HEAD_DIM=head_dim,
        DIMS=max(_MIN_DOT, triton.next_power_of_2(head_dim)),
        TOKENS_PER_BLOCK=tokens_per_block,
        TILE=_ATTENTION_TILE,
        PRECISION="ieee" if query.dtype == torch.float32 else "tf32",
        # the interpreter, which alone runs on a CPU, multiplies the bits of bfloat16 as if they were integers
        COMPUTE=(_EIGHTH_DOT if is_float8 else _DOT_TYPES[query.dtype]) if query.is_cuda else tl.float32,
        num_warps=4 if query.dtype == torch.float32 else 1,
    )
    return out


def sample_step(
    logits: torch.Tensor,
    place: int,
    stop_column: int | None,
    stop_id: int,
    first_id: int,
    codebook_size: int,
    state: SamplingState,
) -> None:
    """See `reference.sample_step`."""
    block = triton.next_power_of_2(codebook_size)
    sample_step_kernel[(logits.shape[0],)](
        logits,
        logits.stride(0),
        state.token,
        state.position,
        state.step,
        state.stop_from_step,
        state.end_step,
        state.seed,
        state.segment,
        state.temperature,
        state.top_p,
        state.repetition_penalty,
        state.seen,
        state.frame,
        place,
        stop_id,
        first_id,
        codebook_size,
        STOP_COLUMN=-1 if stop_column is None else stop_column,
        BLOCK=block,
        num_warps=_warps(block),
    )


def _empty_rows(like: torch.Tensor, width: int, float8: bool) -> Rows:
    num_rows = like.shape[0]
    if not float8:
        return Rows(like.new_empty(num_rows, width))
    return Rows(like.new_empty(num_rows, width, dtype=FLOAT8), like.new_empty(num_rows, dtype=torch.float32))


def _warps(block: int, num_each: int = 16) -> int:
    """Return a number of warps that leaves a thread about so many numbers of a row."""
    return min(max(block // (32 * num_each), 1), 16)
