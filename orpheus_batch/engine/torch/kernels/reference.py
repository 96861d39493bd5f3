"""The operations in PyTorch: what `fused` is held to, and what runs where there is no Triton."""

import math

import torch

from orpheus_batch.engine.torch.kernels.types import LayerCache, Product, Rows, SamplingState
from orpheus_batch.engine.torch.noise import seed_words, uniforms
from orpheus_batch.engine.torch.sampler import apply_repetition_penalty_, sample

FLOAT8 = torch.float8_e4m3fn
FLOAT8_MAX = 448.0
"""largest finite float8_e4m3fn"""


def add_norm(
    hidden: torch.Tensor, delta: Product | None, weight: torch.Tensor, eps: float, float8: bool
) -> Rows:
    """Add a product to the hidden state, in place, and return its RMS norm.

    Args:
        hidden: [n, hidden].
        delta: [n, hidden] to add, or None.
        weight: [hidden] of the norm.
        eps: Of the norm.
        float8: Return float8 rows.
    """
    if delta is not None:
        hidden.copy_(hidden.float() + unscaled(delta))
    rows = hidden.float()
    normed = rows * torch.rsqrt(rows.square().mean(1, keepdim=True) + eps) * weight.float()
    return _rows(normed, hidden.dtype, float8)


def gated(gate_up: Product, float8: bool) -> Rows:
    """Return silu(gate) * up, [n, intermediate], of [n, 2 * intermediate]: gate, then up."""
    gate, up = unscaled(gate_up).chunk(2, dim=1)
    return _rows(torch.nn.functional.silu(gate) * up, gate_up.values.dtype, float8)


def to_float8(rows: torch.Tensor) -> Rows:
    """Return [n, columns] as float8 with a factor a row, its largest number at `FLOAT8_MAX`."""
    return _rows(rows.float(), rows.dtype, True)


def rotate_and_store(
    qkv: Product,
    positions: torch.Tensor,
    cosines: torch.Tensor,
    sines: torch.Tensor,
    table: torch.Tensor,
    cache: LayerCache,
) -> torch.Tensor:
    """Rotate queries and keys, and write keys and values into the cache.

    Args:
        qkv: [n, (heads + 2 * kv_heads) * head_dim]; numbers that are rotated together lie side by side.
        positions: int32 [n] of the tokens; negative: nothing is written.
        cosines: float32 [positions, head_dim / 2].
        sines: likewise.
        table: int32 [n, blocks of a sequence].
        cache: Written to.

    Returns:
        Rotated queries [n, heads * head_dim]; in idle slots anything.
    """
    _, num_kv_heads, tokens_per_block, head_dim = cache.keys.shape
    parts = unscaled(qkv).unflatten(1, (-1, head_dim))
    num_heads = parts.shape[1] - 2 * num_kv_heads
    place = positions.clamp_min(0).long()
    pairs = parts[:, : num_heads + num_kv_heads].unflatten(2, (-1, 2))
    even, odd = pairs.unbind(-1)
    cos, sin = cosines[place][:, None], sines[place][:, None]
    rotated = torch.stack([even * cos - odd * sin, even * sin + odd * cos], dim=-1).flatten(2)
    busy = (positions >= 0).nonzero().squeeze(1)
    block = table[busy, place[busy] // tokens_per_block].long()
    cell = place[busy] % tokens_per_block
    cache.keys[block, :, cell] = _to(rotated[busy, num_heads:], cache.keys.dtype)
    cache.values[block, :, cell] = _to(parts[busy, num_heads + num_kv_heads :], cache.values.dtype)
    return rotated[:, :num_heads].flatten(1).to(qkv.values.dtype)


def decode_attention(
    query: torch.Tensor,
    positions: torch.Tensor,
    table: torch.Tensor,
    cache: LayerCache,
    order: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return attention of one token a slot over its sequence, itself included.

    Args:
        query: [n, heads * head_dim]; head h reads the keys of kv head h // (heads / kv_heads).
        positions: int32 [n] of the tokens, whose keys and values are written already.
        table: int32 [n, blocks of a sequence].
        cache: Read from.
        order: int32 [n], in which slots are begun; None: as they come. The result is the same, but a long
            sequence begun last is waited for: a tenth of the time at a book's lengths.

    Returns:
        [n, heads * head_dim]; 0 in idle slots.
    """
    _, num_kv_heads, tokens_per_block, head_dim = cache.keys.shape
    attended = torch.zeros_like(query)
    for slot, position in enumerate(positions.tolist()):
        if position < 0:
            continue
        blocks = table[slot, : position // tokens_per_block + 1].long()
        keys, values = (
            part[blocks].float().transpose(0, 1).flatten(1, 2)[:, : position + 1]
            for part in (cache.keys, cache.values)
        )
        queries = query[slot].float().view(num_kv_heads, -1, head_dim)
        weights = torch.softmax(queries @ keys.transpose(1, 2) / math.sqrt(head_dim), dim=-1)
        attended[slot] = (weights @ values).flatten().to(query.dtype)
    return attended


def sample_step(
    logits: torch.Tensor,
    place: int,
    stop_column: int | None,
    stop_id: int,
    first_id: int,
    codebook_size: int,
    state: SamplingState,
) -> None:
    """Draw the next token of every slot and take it over into the state.

    The distribution is that of `orpheus_batch.engine.torch.sampler`. A slot that stops, or reaches its end,
    falls idle.

    Args:
        logits: [n, columns], the first ``codebook_size`` of them of the codes.
        place: Position in the frame, 0..6.
        stop_column: Where the stop id's logit is, if it may be legal here.
        stop_id: Its token id.
        first_id: Token id of code 0 at this place.
        codebook_size: Codes a level.
        state: Rows 0..n-1 are read and changed.
    """
    num_slots = len(logits)
    rows = slice(0, num_slots)
    codes = logits[:, :codebook_size].float().clone()  # the penalty goes in place
    apply_repetition_penalty_(codes, state.seen[rows, place].bool(), state.repetition_penalty[rows])
    if stop_column is None:
        stop = torch.full_like(codes[:, :1], -torch.inf)
    else:
        legal = (state.step[rows] >= state.stop_from_step[rows])[:, None]
        stop = torch.where(legal, logits[:, stop_column, None].float(), -torch.inf)
    seeds = torch.tensor([seed_words(seed) for seed in state.seed[rows].tolist()], device=logits.device)
    noise = uniforms(seeds, state.segment[rows], state.step[rows, None].long())[:, 0]
    columns = torch.cat([stop, codes], dim=1)
    choice = sample(columns, state.temperature[rows], state.top_p[rows], noise).int()
    busy = state.position[rows] >= 0
    stopped = choice == 0
    token = torch.where(stopped, stop_id, first_id + choice - 1).int()
    marked = (busy & ~stopped).nonzero().squeeze(1)
    state.seen[marked, place, (choice[marked] - 1).long()] = 1
    state.frame[rows, place] = torch.where(busy, token, state.frame[rows, place])
    state.token[rows] = torch.where(busy, token, state.token[rows])
    state.step[rows] += busy.int()
    ended = stopped | (state.step[rows] >= state.end_step[rows])
    following = torch.where(ended, -1, state.position[rows] + 1)
    state.position[rows] = torch.where(busy, following, state.position[rows])


def unscaled(product: Product) -> torch.Tensor:
    """Return what a product stands for, float32."""
    if product.row_scale is None or product.column_scale is None:
        return product.values.float()
    return product.values.float() * product.row_scale[:, None] * product.column_scale


def _rows(values: torch.Tensor, dtype: torch.dtype, float8: bool) -> Rows:
    if not float8:
        return Rows(values.to(dtype))
    scale = values.abs().amax(1).clamp_min(1e-12) / FLOAT8_MAX
    return Rows(_to(values / scale[:, None], FLOAT8), scale)


def _to(values: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Convert; to float8 with what is too large held at its largest number, where a plain cast gives NaN."""
    if dtype == FLOAT8:
        values = values.clamp(-FLOAT8_MAX, FLOAT8_MAX)
    return values.to(dtype)
