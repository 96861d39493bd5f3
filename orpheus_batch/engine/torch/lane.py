"""A lane: slots that go through a frame together, with a part of the cache of their own.

A frame is seven equal steps for all slots of the lane; between its first and its last step nothing is looked
at by the host. Lanes share the model's weights and nothing else, so several can run at once: on a CPU one a
core, which keeps cores busy that would wait for each other at every operation; on a GPU one, for now.

It knows what runs in it; which request comes next is the scheduler's.
"""

import time
from collections.abc import Sequence as Many
from dataclasses import dataclass

import numpy as np
import torch

from orpheus_batch.data import TokenStream
from orpheus_batch.engine.torch.attention import FrameAttention
from orpheus_batch.engine.torch.blocks import BlockTables
from orpheus_batch.engine.torch.model import Llama
from orpheus_batch.engine.torch.paged_cache import PagedCache
from orpheus_batch.engine.torch.sampler import apply_repetition_penalty_, sample
from orpheus_batch.engine.torch.scheduler import Sequence
from orpheus_batch.engine.torch.state import SlotState
from orpheus_batch.tokens import TokenLayout
from orpheus_batch.units import TOKENS_PER_FRAME

_MAX_PREFILL_TOKENS = 8_192
"""prompts written in one go; bounds the memory of their activations"""


@dataclass(slots=True)
class LaneStats:
    """What a lane has done."""

    num_prefill_tokens: int = 0
    num_frames: int = 0
    """of the lane; each is seven steps"""
    num_slot_frames: int = 0
    """frames summed over slots"""
    num_late_frames: int = 0
    """which had ended before the host had started the next: the device waited for it (frames ahead only)"""
    peak_num_blocks: int = 0
    prefill_s: float = 0.0
    decode_s: float = 0.0


class Lane:
    """Slots 0..n-1 in use, with their blocks, their state and their sequences."""

    def __init__(self, model: Llama, cache: PagedCache, layout: TokenLayout, num_slots: int, stats: LaneStats):
        """Make an empty one.

        Args:
            model: Shared with other lanes.
            cache: This lane's own.
            layout: Which id stops.
            num_slots: Most sequences at a time.
            stats: Added to.
        """
        self.running: list[Sequence] = []
        """by slot"""
        self._stats = stats
        self._model = model
        self._cache = cache
        self._layout = layout
        self._tables = BlockTables(num_slots, cache.num_blocks, cache.tokens_per_block)
        self._state = SlotState(num_slots, layout, cache.device)

    @torch.inference_mode()
    def run_frame(self, joining: Many[Sequence]) -> None:
        """Take in new sequences, write their prompts into the cache, and give every slot one frame."""
        began = time.perf_counter()
        self._take_in(joining)
        written = time.perf_counter()
        self._decode()
        self._stats.prefill_s += written - began
        self._stats.decode_s += time.perf_counter() - written

    @torch.inference_mode()
    def collect(self) -> list[TokenStream]:
        """Take the frame's tokens to the host; end what is done, let others move into its slots.

        Returns:
            The streams that ended, by slot.
        """
        frames = self._state.frame[: len(self.running)].cpu().numpy()
        finished, streams = [], []
        for slot, (sequence, frame) in enumerate(zip(self.running, frames, strict=True)):
            if frame[0] == self._layout.stop_id:
                streams.append(sequence.stream("stop"))
                finished.append(slot)
                continue
            sequence.append(frame)
            if sequence.num_frames == sequence.max_frames:
                streams.append(sequence.stream("length"))
                finished.append(slot)
        for slot in reversed(finished):
            self._remove(slot)
        return streams

    def _remove(self, slot: int) -> None:
        """Empty a slot and let the last one's sequence move in."""
        last = len(self.running) - 1
        self._tables.release(slot)
        self.running[slot] = self.running[last]
        self.running.pop()
        if slot != last:
            self._tables.move(last, slot)
            self._state.move(last, slot)

    def _take_in(self, joining: Many[Sequence]) -> None:
        if not joining:
            return
        start = len(self.running)
        self.running.extend(joining)
        self._grow(start)
        self._state.fill(start, [sequence.request for sequence in joining])
        group, num_tokens = [], 0
        for slot, sequence in enumerate(joining, start):
            if group and num_tokens + sequence.num_cached_tokens > _MAX_PREFILL_TOKENS:
                self._prefill(group)
                group, num_tokens = [], 0
            if sequence.num_cached_tokens > 0:
                group.append((slot, sequence.request.prompt_token_ids[:-1]))
                num_tokens += sequence.num_cached_tokens
        if group:
            self._prefill(group)

    def _prefill(self, prompts: Many[tuple[int, tuple[int, ...]]]) -> None:
        """Write prompts, each less its last token, into the blocks of their slots."""
        size, device = self._tables.tokens_per_block, self._cache.device
        lengths = [len(prompt) for _, prompt in prompts]
        token_ids = np.concatenate([prompt for _, prompt in prompts])
        positions = np.concatenate([np.arange(length) for length in lengths])
        blocks = self._tables.table[np.repeat([slot for slot, _ in prompts], lengths), positions // size]
        self._model.prefill(
            torch.from_numpy(token_ids).to(device),
            lengths,
            torch.from_numpy(blocks).to(device),
            torch.from_numpy(positions % size).to(device),
            self._cache,
        )
        self._stats.num_prefill_tokens += len(token_ids)

    def _grow(self, start: int) -> None:
        """Give slots from ``start`` on the blocks that they need up to the end of the next frame."""
        for slot in range(start, len(self.running)):
            self._tables.grow(slot, self.running[slot].num_cached_tokens + TOKENS_PER_FRAME)
        self._cache.use_blocks(self._tables.allocator.high_water)

    def _decode(self) -> None:
        """Give every slot one frame."""
        state, num_slots = self._state, len(self.running)
        self._grow(0)
        self._cache.move_blocks(*self._tables.compact())
        attention = FrameAttention(self._cache, self._tables, num_slots, self._model.num_heads)
        settings = [sequence.request.sampling for sequence in self.running]
        penalized = any(s.repetition_penalty != 1.0 for s in settings)
        top_p = state.top_p[:num_slots] if any(s.top_p < 1.0 for s in settings) else None
        noise = state.noise(num_slots) if any(s.temperature != 0.0 for s in settings) else None
        stop_illegal = state.num_frames[:num_slots] < state.stop_from_frame[:num_slots]
        for position in range(TOKENS_PER_FRAME):
            hidden = self._model.decode(state.last_token[:num_slots], state.position[:num_slots], attention)
            logits = self._model.logits(hidden, position)
            if penalized:
                codes = logits[:, 1:] if position == 0 else logits
                seen, penalty = state.seen[:num_slots, position], state.repetition_penalty[:num_slots]
                apply_repetition_penalty_(codes, seen, penalty)
            if position == 0:
                logits[:, 0].masked_fill_(stop_illegal, -torch.inf)
            if noise is None:
                choice = logits.argmax(-1)
            else:
                choice = sample(logits, state.temperature[:num_slots], top_p, noise[:, position])
            state.accept(position, choice)
        state.num_frames[:num_slots] += 1
        self._stats.num_frames += 1
        self._stats.num_slot_frames += num_slots
        peak = self._tables.allocator.peak_num_used
        self._stats.peak_num_blocks = max(self._stats.peak_num_blocks, peak)
