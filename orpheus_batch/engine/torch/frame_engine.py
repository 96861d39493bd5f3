"""What frames that run ahead of the host need for as long as an engine lives: model, state, graphs, a stream.

It makes them fit: where memory does not hold them, batch and cache are halved until it does.
"""

import dataclasses
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from orpheus_batch.engine.torch.frame_lane import FrameLane, max_blocks_per_sequence
from orpheus_batch.engine.torch.frame_model import FrameModel, frame_sizes
from orpheus_batch.engine.torch.frame_state import FrameState
from orpheus_batch.engine.torch.lane import LaneStats
from orpheus_batch.engine.torch.resources import LanePlan
from orpheus_batch.engine.torch.weights import LlamaConfig, LlamaWeights
from orpheus_batch.tokens import TokenLayout

logger = logging.getLogger(__name__)


class FrameEngine:
    """One lane of frames on one device."""

    def __init__(
        self,
        config: LlamaConfig,
        weights: LlamaWeights,
        layout: TokenLayout,
        plan: LanePlan,
        tokens_per_block: int,
        kv_dtype: torch.dtype,
    ):
        """Set memory aside and capture the graphs.

        Raises:
            torch.OutOfMemoryError: Memory does not hold a single slot.
        """
        self._layout = layout
        self._stream = None
        device = weights.embedding.device
        if device.type == "cuda":
            self._stream = torch.cuda.Stream(device)
            torch.cuda.synchronize(device)  # the weights were loaded on another stream
        num_slots, num_blocks = sum(plan.lane_sizes), plan.blocks_per_lane
        while True:
            self.plan = dataclasses.replace(plan, lane_sizes=(num_slots,), blocks_per_lane=num_blocks)
            try:
                with self.stream():
                    self._make(config, weights, tokens_per_block, kv_dtype)
                return
            except torch.OutOfMemoryError:
                if num_slots == 1 or num_blocks == 1:
                    raise
                logger.warning("out of memory with %d sequences; trying with half of them", num_slots)
            num_slots, num_blocks = num_slots // 2, num_blocks // 2
            if device.type == "cuda":
                torch.cuda.empty_cache()

    @contextmanager
    def stream(self) -> Iterator[None]:
        """Queue work on the engine's own stream, beside the codec's."""
        if self._stream is None:
            yield
            return
        with torch.cuda.stream(self._stream):
            yield

    def start(self, stats: LaneStats) -> FrameLane:
        """Return an empty lane; one that was left in the middle is forgotten."""
        with self.stream():
            return FrameLane(
                self._model,
                self._state,
                self._layout,
                self.plan.lane_sizes[0],
                self.plan.blocks_per_lane,
                stats,
            )

    @torch.inference_mode()
    def _make(
        self, config: LlamaConfig, weights: LlamaWeights, tokens_per_block: int, kv_dtype: torch.dtype
    ) -> None:
        self._model = self._state = None  # what an attempt before this one left
        num_slots, num_blocks = self.plan.lane_sizes[0], self.plan.blocks_per_lane
        max_positions = config.max_position_embeddings
        width = max_blocks_per_sequence(max_positions, num_blocks, tokens_per_block)
        self._state = FrameState(num_slots, width, self._layout, weights.embedding.device)
        self._model = FrameModel(
            config, weights, self._layout, num_blocks, tokens_per_block, kv_dtype, max_positions
        )
        self._model.capture(self._state, frame_sizes(num_slots))
