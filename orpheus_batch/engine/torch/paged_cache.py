"""Keys and values in blocks.

It stores; it does not know which sequence a block belongs to (`orpheus_batch.engine.torch.blocks`), nor what is
done with it (`orpheus_batch.engine.torch.attention`). Keys lie transposed within a block, as they are multiplied.

Source: paged KV caches, Kwon et al., arXiv:2309.06180.
"""

import torch


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
        # On CPU untouched pages take no memory: it grows with the blocks that are really used.
        shape = (num_layers, num_blocks, num_kv_heads)
        self._key_pool = torch.empty(*shape, head_dim, tokens_per_block, device=device, dtype=dtype)
        self._value_pool = torch.empty(*shape, tokens_per_block, head_dim, device=device, dtype=dtype)
        self._num_clean_blocks = 0
        self.keys = list(self._key_pool)
        """for each layer [blocks, kv_heads, head_dim, tokens_per_block]"""
        self.values = list(self._value_pool)
        """for each layer [blocks, kv_heads, tokens_per_block, head_dim]"""

    def use_blocks(self, num_blocks: int) -> None:
        """Make blocks 0..num_blocks-1 fit for use; call it whenever there are more than before.

        Cells not yet written are masked, but their weight of 0 times whatever memory held, NaN for one, would
        not be 0.
        """
        if num_blocks > self._num_clean_blocks:
            for pool in (self._key_pool, self._value_pool):
                pool[:, self._num_clean_blocks : num_blocks] = 0
            self._num_clean_blocks = num_blocks

    def write(self, layer: int, block: torch.Tensor, cell: torch.Tensor, kv: torch.Tensor) -> None:
        """Store keys and values of some tokens.

        Args:
            layer: Which.
            block: int64 [n].
            cell: int64 [n], place within the block.
            kv: [n, 2, kv_heads, head_dim], keys then values.
        """
        keys, values = kv.unbind(1)
        self.keys[layer][block, :, :, cell] = keys
        self.values[layer][block, :, cell] = values

    def move_blocks(self, sources: list[int], targets: list[int]) -> None:
        """Copy blocks of all layers; no block may be in both lists."""
        if not sources:
            return
        source, target = (torch.tensor(blocks, device=self.device) for blocks in (sources, targets))
        for pool in (self._key_pool, self._value_pool):
            pool[:, target] = pool[:, source]
