"""The host's side of the frames: who sits in which slot, and what came of it, always one frame behind.

A frame is started before the tokens of the one before are looked at, so the device never waits for the host: while
it computes frame k, the host reads frame k - 1, hands out streams, and prepares frame k + 1. Lengths are known ahead;
a stop is seen one frame late, and by then its slot has idled for that frame. Before each frame slots get the blocks
that they will fill in it, in one small upload behind the frame in flight.
"""

import heapq
from collections.abc import Sequence as Many

import numpy as np
import torch

from orpheus_batch.data import TokenStream
from orpheus_batch.engine.torch.blocks import num_blocks_for
from orpheus_batch.engine.torch.frame_model import FrameModel, frame_sizes, smallest_fitting
from orpheus_batch.engine.torch.frame_state import FrameState
from orpheus_batch.engine.torch.lane import LaneStats
from orpheus_batch.engine.torch.scheduler import Sequence
from orpheus_batch.tokens import TokenLayout
from orpheus_batch.units import TOKENS_PER_FRAME


class _Launched:
    """A frame on its way: who was in it, and where its tokens will be."""

    def __init__(self, members: list[tuple[int, Sequence]], frame: torch.Tensor):
        self.members = members
        self._event = None
        if frame.device.type == "cuda":
            self._tokens = torch.empty(frame.shape, dtype=frame.dtype, pin_memory=True)
            self._tokens.copy_(frame, non_blocking=True)
            self._event = torch.cuda.Event()
            self._event.record()
        else:
            self._tokens = frame.clone()

    @property
    def has_ended(self) -> bool:
        """Whether the device is done with it."""
        return self._event is not None and self._event.query()

    def tokens(self) -> np.ndarray:
        """Wait for the frame and return its ids, int32 [slots, 7]."""
        if self._event is not None:
            self._event.synchronize()
        return self._tokens.numpy()


class FrameLane:
    """Slots that go through frames together, one frame ahead of the host."""

    def __init__(
        self,
        model: FrameModel,
        state: FrameState,
        layout: TokenLayout,
        num_slots: int,
        num_blocks: int,
        stats: LaneStats,
    ):
        """Make an empty one over slots 0..num_slots-1 of ``state``; ``stats`` is added to."""
        self._model, self._state, self._layout, self._stats = model, state, layout, stats
        self._slots: list[Sequence | None] = [None] * num_slots
        self._sizes = frame_sizes(num_slots)
        self._free_blocks = list(range(num_blocks))
        self._blocks: dict[Sequence, list[int]] = {}
        self._started: dict[Sequence, int] = {}
        self._ended: set[Sequence] = set()
        self._in_flight: _Launched | None = None
        self._num_blocks = num_blocks
        with torch.inference_mode():
            state.clear()

    @property
    def running(self) -> list[Sequence]:
        """Sequences that sit in a slot."""
        return [sequence for sequence in self._slots if sequence is not None]

    @property
    def is_waiting(self) -> bool:
        """Whether a frame is in flight whose tokens were not collected."""
        return self._in_flight is not None

    @torch.inference_mode()
    def run_frame(self, joining: Many[Sequence]) -> list[TokenStream]:
        """Start a frame with those who sit and those who join; return what ended in the frame before."""
        before = self._in_flight
        self._in_flight = None
        self._take_in(joining)
        self._close_up()
        self._grow()
        members = [(slot, sequence) for slot, sequence in enumerate(self._slots) if sequence is not None]
        if members:
            size = smallest_fitting(self._sizes, members[-1][0] + 1)
            self._stats.num_late_frames += before is not None and before.has_ended
            self._model.run_frame(self._state, size)
            self._in_flight = _Launched(members, self._state.sampling.frame[:size])
            self._stats.num_frames += 1
            self._stats.num_slot_frames += len(members)
            for slot, sequence in members:
                self._started[sequence] += 1
                if self._started[sequence] == sequence.max_frames:  # the device knows, too
                    self._leave(slot)
        return self._collect(before) if before else []

    def _collect(self, launched: _Launched) -> list[TokenStream]:
        streams = []
        tokens = launched.tokens()
        for slot, sequence in launched.members:
            if sequence in self._ended:  # it stopped in the frame before this one
                self._ended.discard(sequence)
                continue
            frame = tokens[slot]
            if frame[0] == self._layout.stop_id:
                streams.append(sequence.stream("stop"))
                if self._started[sequence] > sequence.num_frames + 1:
                    self._ended.add(sequence)
                if sequence in self._blocks:
                    self._leave(self._slots.index(sequence))
            else:
                sequence.append(frame)
                if sequence.num_frames < sequence.max_frames:
                    continue
                streams.append(sequence.stream("length"))
            del self._started[sequence]
        return streams

    def _leave(self, slot: int) -> None:
        sequence = self._slots[slot]
        self._slots[slot] = None
        for block in self._blocks.pop(sequence):
            heapq.heappush(self._free_blocks, block)

    def _missing_blocks(self, sequence: Sequence) -> int:
        """Return how many more blocks a sequence fills in its next frame."""
        num_tokens = len(sequence.request.prompt_token_ids) - 1
        num_tokens += (self._started[sequence] + 1) * TOKENS_PER_FRAME
        return num_blocks_for(num_tokens, self._model.tokens_per_block) - len(self._blocks[sequence])

    def _take_blocks(self, sequence: Sequence, count: int) -> list[int]:
        """Give a sequence more blocks; the scheduler has seen to it that there are some."""
        taken = [heapq.heappop(self._free_blocks) for _ in range(count)]
        self._blocks[sequence] += taken
        return taken

    def _grow(self) -> None:
        """Write the blocks of the next frame into the table."""
        added = []
        for slot, sequence in enumerate(self._slots):
            if sequence is None or (missing := self._missing_blocks(sequence)) == 0:
                continue
            column = len(self._blocks[sequence])
            added += [(slot, column + k, block) for k, block in enumerate(self._take_blocks(sequence, missing))]
        if added:
            self._state.add_blocks(np.array(added, dtype=np.int64))
        used = self._num_blocks - len(self._free_blocks)
        self._stats.peak_num_blocks = max(self._stats.peak_num_blocks, used)

    def _take_in(self, joining: Many[Sequence]) -> None:
        if not joining:
            return
        free = [slot for slot, sequence in enumerate(self._slots) if sequence is None][: len(joining)]
        for slot, sequence in zip(free, joining, strict=True):
            self._slots[slot], self._blocks[sequence], self._started[sequence] = sequence, [], 0
            self._take_blocks(sequence, self._missing_blocks(sequence))
        requests = [sequence.request for sequence in joining]
        blocks = [self._blocks[sequence] for sequence in joining]
        self._state.fill(free, requests, [sequence.max_frames for sequence in joining], blocks)
        prompts = [request.prompt_token_ids for request in requests]
        self._stats.num_prefill_tokens += sum(len(prompt) - 1 for prompt in prompts)
        self._model.prefill(prompts, free, self._state)

    def _close_up(self) -> None:
        """Let the last slots move into the holes, if that makes the frame smaller."""
        taken = [slot for slot, sequence in enumerate(self._slots) if sequence is not None]
        if not taken:
            return
        size = smallest_fitting(self._sizes, len(taken))
        if size >= smallest_fitting(self._sizes, taken[-1] + 1):
            return
        sources = [slot for slot in taken if slot >= size]
        targets = [slot for slot in range(size) if self._slots[slot] is None][: len(sources)]
        for source, target in zip(sources, targets, strict=True):
            self._slots[target], self._slots[source] = self._slots[source], None
        self._state.move(sources, targets)


def max_blocks_per_sequence(max_positions: int, num_blocks: int, tokens_per_block: int) -> int:
    """Return the width of a block table: no sequence has more blocks, and one frame more is never asked for."""
    return min(num_blocks, -(-(max_positions + TOKENS_PER_FRAME) // tokens_per_block))
