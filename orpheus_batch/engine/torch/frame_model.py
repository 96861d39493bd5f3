"""The model as a frame runs it: seven equal steps over all slots, with nothing that the host must decide.

The same weights and order of operations as `orpheus_batch.engine.torch.model`; between the matrix products stand
`orpheus_batch.engine.torch.kernels`. On a GPU a frame of each number of slots is captured once as a CUDA graph, and
so is a step over rows of prompts of each of a few numbers: while books are read no step compiles, loads or allocates
anything, each of which would make the host wait for the device.
"""

import itertools
from bisect import bisect_left
from collections.abc import Callable
from collections.abc import Sequence as Many

import numpy as np
import torch
import torch.nn.functional as F

from orpheus_batch.engine.torch.float8 import Float8Linear
from orpheus_batch.engine.torch.frame_state import FrameState
from orpheus_batch.engine.torch.kernels import operations_for
from orpheus_batch.engine.torch.kernels.types import LayerCache, Product, Rows
from orpheus_batch.engine.torch.products import Linear
from orpheus_batch.engine.torch.rope import rotations
from orpheus_batch.engine.torch.weights import LlamaConfig, LlamaWeights
from orpheus_batch.tokens import TokenLayout
from orpheus_batch.units import TOKENS_PER_FRAME

Step = Callable[[FrameState, int], None]

_HEAD_MULTIPLE = 8
"""rows of a head are filled up to it: a product with an odd number of columns is several times slower"""
_SIZES = (1, 2, 4, 8, 16, 32, 48, 64, 96, 128, 192, 256, 320, 384, 448, 512, 640, 768, 896, 1024)
_PROMPT_SIZES = (64, 128, 256, 384, 512, 640, 768, 896, 1024, 1280, 1536, 2048)
"""rows of prompts that are written in one go; as many as a product needs to be at its best"""


def frame_sizes(num_slots: int) -> list[int]:
    """Return the numbers of slots that a frame is made for, ascending, the last of them ``num_slots``."""
    beyond = range(1280, num_slots, 256)
    return [*(size for size in (*_SIZES, *beyond) if size < num_slots), num_slots]


class FrameModel:
    """A Llama, its cache and its graphs on one device."""

    def __init__(
        self,
        config: LlamaConfig,
        weights: LlamaWeights,
        layout: TokenLayout,
        num_blocks: int,
        tokens_per_block: int,
        cache_dtype: torch.dtype,
        max_positions: int,
    ):
        """Set the cache aside.

        Args:
            config: The model's shape.
            weights: Its tensors, as `orpheus_batch.engine.torch.weights` loads them.
            layout: Which ids are legal.
            num_blocks: KV blocks.
            tokens_per_block: Size of a block.
            cache_dtype: The weights' dtype, or float8_e4m3fn.
            max_positions: Longest sequence.
        """
        self._config = config
        self._weights = weights
        self._layout = layout
        self.device = weights.embedding.device
        self._operations = operations_for(self.device)
        self._float8 = isinstance(weights.layers[0].qkv, Float8Linear)
        self.tokens_per_block = tokens_per_block
        shape = (num_blocks, config.num_kv_heads, tokens_per_block, config.head_dim)
        # zeros: what a tile reads past a sequence's end gets the weight 0, and 0 times NaN would be NaN
        self._caches = [
            LayerCache(*(torch.zeros(shape, dtype=cache_dtype, device=self.device) for _ in range(2)))
            for _ in range(config.num_layers)
        ]
        angles = rotations(torch.arange(max_positions), config.rope.inverse_frequencies()).squeeze(1)
        self._cosines, self._sines = (part.contiguous().to(self.device) for part in (angles.real, angles.imag))
        self._heads = [self._head(place) for place in range(TOKENS_PER_FRAME)]
        self._prompt_rows = torch.zeros(3, _PROMPT_SIZES[-1], dtype=torch.int32, device=self.device)
        self._prompt_rows[1] = -1
        self._graphs: dict[int, torch.cuda.CUDAGraph] = {}
        self._prompt_graphs: dict[int, torch.cuda.CUDAGraph] = {}

    @torch.inference_mode()
    def capture(self, state: FrameState, sizes: list[int]) -> None:
        """Capture a graph of a frame for each number of slots; on a CPU there is nothing to capture.

        Raises:
            torch.OutOfMemoryError: What a step needs beside cache and weights does not fit.
        """
        if self.device.type != "cuda":
            return
        state.clear()
        pool = None
        for run, run_sizes, graphs in (
            (self._prompt_step, _PROMPT_SIZES, self._prompt_graphs),
            (self._frame, sizes, self._graphs),
        ):
            for size in reversed(run_sizes):
                run(state, size)  # compiles what was never run, on idle slots
                torch.cuda.synchronize(self.device)
                graphs[size] = torch.cuda.CUDAGraph()
                with torch.cuda.graph(graphs[size], pool=pool):
                    run(state, size)
                pool = graphs[size].pool()

    def run_frame(self, state: FrameState, size: int) -> None:
        """Give slots 0..size-1 one frame; returns before the device has done it."""
        _run(self._frame, self._graphs, state, size)

    def prefill(self, prompts: list[tuple[int, ...]], slots: list[int], state: FrameState) -> None:
        """Write keys and values of whole prompts into the blocks of their slots, all but their last tokens.

        A prompt's token looks at what comes before it as a generated one does: each is a row of a step, keys and
        values of all rows being in the cache before any row reads them. So a prompt may go on in a next step.

        Args:
            prompts: A single id leaves nothing to write.
            slots: Of each prompt; their block tables are filled.
            state: Holds the tables.
        """
        lengths = [len(prompt) - 1 for prompt in prompts]
        token_ids = itertools.chain.from_iterable(prompt[:-1] for prompt in prompts)
        rows = np.empty((3, sum(lengths)), dtype=np.int32)
        rows[0] = np.fromiter(token_ids, dtype=np.int32, count=rows.shape[1])
        rows[1] = np.concatenate([np.arange(length) for length in lengths])
        rows[2] = np.repeat(slots, lengths)
        for start in range(0, rows.shape[1], _PROMPT_SIZES[-1]):
            part = rows[:, start : start + _PROMPT_SIZES[-1]]
            size = smallest_fitting(_PROMPT_SIZES, part.shape[1])
            filled = np.zeros((3, size), dtype=np.int32)
            filled[1] = -1  # rows beyond the prompts idle
            filled[:, : part.shape[1]] = part
            self._prompt_rows[:, :size] = state.upload(filled)
            _run(self._prompt_step, self._prompt_graphs, state, size)

    def _prompt_step(self, state: FrameState, size: int) -> None:
        """Run one step over the first prompt rows, as it is captured."""
        tokens, positions, slots = self._prompt_rows[:, :size]
        hidden = F.embedding(tokens, self._weights.embedding)
        self._layers(hidden, positions, state.table.index_select(0, slots), is_prefill=True)

    def _frame(self, state: FrameState, size: int) -> None:
        """Run seven steps, as they are captured."""
        layout, sampling = self._layout, state.sampling
        positions, table = sampling.position[:size], state.table[:size]
        longest_first = torch.argsort(positions, descending=True).int()
        for place in range(TOKENS_PER_FRAME):
            hidden = F.embedding(sampling.token[:size], self._weights.embedding)
            normed = self._layers(hidden, positions, table, longest_first)
            head = self._heads[place]
            self._operations.sample_step(
                F.linear(normed.values, head),
                place,
                layout.codebook_size if place == 0 else None,
                layout.stop_id,
                layout.position_start(place),
                layout.codebook_size,
                sampling,
            )

    def _layers(
        self,
        hidden: torch.Tensor,
        positions: torch.Tensor,
        table: torch.Tensor,
        order: torch.Tensor | None = None,
        is_prefill: bool = False,
    ) -> Rows:
        """Take one token a row through all layers; ``order`` is `decode_attention`'s.

        Returns:
            The normed hidden state [n, hidden]; of a prefill nothing that is of use.
        """
        operations, eps = self._operations, self._config.rms_norm_eps
        delta: Product | None = None
        for index, (layer, cache) in enumerate(zip(self._weights.layers, self._caches, strict=True)):
            normed = operations.add_norm(hidden, delta, layer.input_norm, eps, self._float8)
            qkv = _times(normed, layer.qkv)
            query = operations.rotate_and_store(qkv, positions, self._cosines, self._sines, table, cache)
            if is_prefill and index == self._config.num_layers - 1:
                return normed  # nobody reads what the last layer would make of a prompt
            attended = operations.decode_attention(query, positions, table, cache, order)
            rows = operations.to_float8(attended) if self._float8 else Rows(attended)
            delta = _times(rows, layer.out)
            normed = operations.add_norm(hidden, delta, layer.post_attention_norm, eps, self._float8)
            gated = operations.gated(_times(normed, layer.gate_up), self._float8)
            delta = _times(gated, layer.down)
        return operations.add_norm(hidden, delta, self._weights.norm, eps, False)

    def _head(self, place: int) -> torch.Tensor:
        """Return the rows legal at a place, codes first; at place 0 the stop id's follows."""
        weight = self._weights.heads[place].plain()
        if place == 0:
            weight = torch.cat([weight[1:], weight[:1]])
        missing = -len(weight) % _HEAD_MULTIPLE
        return F.pad(weight, (0, 0, 0, missing)).contiguous()


def _run(step: Step, graphs: dict[int, torch.cuda.CUDAGraph], state: FrameState, size: int) -> None:
    """Run a step as it was captured, or as it is where nothing was."""
    graph = graphs.get(size)
    if graph is None:
        step(state, size)
    else:
        graph.replay()


def smallest_fitting(sizes: Many[int], count: int) -> int:
    """Return the smallest of ascending ``sizes`` that is no smaller than ``count``."""
    return sizes[bisect_left(sizes, count)]


def _times(rows: Rows, linear: Linear | Float8Linear) -> Product:
    return linear(rows) if isinstance(linear, Float8Linear) else Product(linear(rows.values))
