"""A Llama that writes prompts into a paged cache and then takes one token a slot and step.

It knows embeddings, layers and logits; it does not know requests, sampling, or which token stops.

Source: the architecture and its order of operations as in `transformers`' ``modeling_llama``.
"""

import math

import torch
import torch.nn.functional as F

from orpheus_batch.engine.torch.attention import FrameAttention
from orpheus_batch.engine.torch.paged_cache import PagedCache
from orpheus_batch.engine.torch.rope import rotate_, rotations
from orpheus_batch.engine.torch.weights import LayerWeights, LlamaConfig, LlamaWeights


class _Layer:
    """One decoder layer, cut where attention happens."""

    def __init__(self, config: LlamaConfig, weights: LayerWeights):
        self._config = config
        self._weights = weights

    def qkv(self, hidden: torch.Tensor, rotation: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return rotated queries [n, heads * head_dim], and keys and values [n, 2, kv_heads, head_dim].

        Args:
            hidden: [n, hidden].
            rotation: complex64 [n, heads + kv_heads, head_dim / 2], of queries and keys.
        """
        config = self._config
        qkv = self._weights.qkv(self._normed(hidden, self._weights.input_norm))
        pairs = qkv.view(len(hidden), -1, config.head_dim // 2, 2)
        rotate_(pairs[:, : rotation.shape[1]], rotation)
        q_size = config.num_heads * config.head_dim
        return qkv[:, :q_size], qkv[:, q_size:].view(-1, 2, config.num_kv_heads, config.head_dim)

    def finish(self, hidden: torch.Tensor, attended: torch.Tensor) -> torch.Tensor:
        """Add attention [n, heads * head_dim] and the feed-forward part to ``hidden``."""
        hidden = self._weights.out.plus(attended, hidden)
        gate, up = self._weights.gate_up(self._normed(hidden, self._weights.post_attention_norm)).chunk(
            2, dim=1
        )
        return self._weights.down.plus(F.silu(gate).mul_(up), hidden)

    def _normed(self, hidden: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return F.rms_norm(hidden, weight.shape, weight, self._config.rms_norm_eps)


class Llama:
    """The model on one device."""

    def __init__(self, config: LlamaConfig, weights: LlamaWeights):
        self.num_heads = config.num_heads
        self._config = config
        self._embedding = weights.embedding
        self._inverse_frequencies = config.rope.inverse_frequencies().to(weights.embedding.device)
        # the scale of attention's scores goes into the queries as they are rotated; see `FrameAttention.attend`
        scales = [config.head_dim**-0.5 / math.log(2)] * config.num_heads + [1.0] * config.num_kv_heads
        self._head_scales = torch.tensor(scales, device=weights.embedding.device)[:, None]
        self._layers = [_Layer(config, layer) for layer in weights.layers]
        self._norm = weights.norm
        self._heads = weights.heads

    def prefill(
        self,
        token_ids: torch.Tensor,
        lengths: list[int],
        block: torch.Tensor,
        cell: torch.Tensor,
        cache: PagedCache,
    ) -> None:
        """Write keys and values of whole prompts into the cache.

        Args:
            token_ids: int64 [sum of lengths], prompt after prompt.
            lengths: Of each prompt, at least 1.
            block: int64 [sum of lengths], where each token's key and value go.
            cell: int64 [sum of lengths], likewise.
            cache: Written to, not read: a prompt starts its sequence.
        """
        device = token_ids.device
        widths = torch.tensor(lengths, device=device)
        columns = torch.arange(max(lengths), device=device)
        inside = columns < widths[:, None]
        positions = columns.expand(len(lengths), -1)[inside]
        rotation = rotations(positions, self._inverse_frequencies) * self._head_scales
        hidden = self._embedding[token_ids]
        for index, layer in enumerate(self._layers):
            query, kv = layer.qkv(hidden, rotation)
            cache.write(index, block, cell, kv)
            if index < len(self._layers) - 1:  # nobody reads what the last layer would make of a prompt
                hidden = layer.finish(hidden, self._attend_prompts(query, kv, inside))

    def decode(
        self, token_ids: torch.Tensor, positions: torch.Tensor, attention: FrameAttention
    ) -> torch.Tensor:
        """Take one token a slot; its keys and values are added to the cache.

        Args:
            token_ids: int64 [n].
            positions: int64 [n], of the tokens in their sequences.
            attention: Over what comes before.

        Returns:
            [n, hidden], ready for `logits`.
        """
        rotation = rotations(positions, self._inverse_frequencies) * self._head_scales
        hidden = self._embedding[token_ids]
        attention.start_step(positions)
        for index, layer in enumerate(self._layers):
            query, kv = layer.qkv(hidden, rotation)
            attention.write(index, kv)
            hidden = layer.finish(hidden, attention.attend(index, query))
        return F.rms_norm(hidden, self._norm.shape, self._norm, self._config.rms_norm_eps)

    def logits(self, hidden: torch.Tensor, position: int) -> torch.Tensor:
        """Return logits of the ids that are legal at ``position`` (0..6) of the frame.

        Returns:
            float32 [n, codebook_size], a column a code; at position 0 the stop id comes before them.
        """
        return self._heads[position](hidden).float()

    def _attend_prompts(self, query: torch.Tensor, kv: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
        """Return causal attention [tokens, heads * head_dim] within each prompt.

        Prompts are padded to the longest for this alone; padding comes last, so nothing real looks at it.
        """
        config = self._config
        num_prompts, width = inside.shape

        def padded(rows: torch.Tensor) -> torch.Tensor:
            full = rows.new_zeros(num_prompts, width, *rows.shape[1:])
            full[inside] = rows
            return full.transpose(1, 2)

        keys, values = (
            padded(part).repeat_interleave(config.queries_per_kv_head, dim=1) for part in kv.unbind(1)
        )
        queries = padded(query.unflatten(1, (config.num_heads, config.head_dim)))
        attended = F.scaled_dot_product_attention(queries, keys, values, is_causal=True, scale=math.log(2))
        return attended.transpose(1, 2)[inside].flatten(1)
