"""Which request runs next, and whether there is room for it.

Host side, plain Python: no tensors, no block ids. A sequence is admitted only when the KV budget holds its
prompt and its longest possible continuation beside those of all others running, so a running sequence can
always go on: nothing is evicted, nothing is computed twice, nothing can deadlock. Blocks themselves are taken
as the sequence grows. The price is budget reserved for length that is rarely used; caps come from the text's
predicted length, which keeps it small.

Longest first, because what starts last decides when the batch runs empty; within a bounded look-ahead, so
that memory is flat and early segments finish early; and no request is overtaken for ever.
"""

from collections.abc import Iterator
from collections.abc import Sequence as Many
from dataclasses import dataclass, field

import numpy as np

from orpheus_batch.data import FinishReason, TokenRequest, TokenStream
from orpheus_batch.engine.base import token_stream
from orpheus_batch.engine.torch.blocks import num_blocks_for
from orpheus_batch.units import TOKENS_PER_FRAME


@dataclass(slots=True, eq=False)
class Sequence:
    """A request in a slot."""

    request: TokenRequest
    max_frames: int
    """it ends here if it has not stopped before"""
    reserved_blocks: int
    """counted against its lane's budget until it ends"""
    num_frames: int = 0
    """finished so far"""
    token_ids: np.ndarray = field(init=False)
    """int32 [7 * max_frames], the first 7 * num_frames of them valid"""

    def __post_init__(self) -> None:
        self.token_ids = np.empty(self.max_frames * TOKENS_PER_FRAME, dtype=np.int32)

    @property
    def num_cached_tokens(self) -> int:
        """Tokens in the cache at a frame's start: all but the newest, which is yet to be taken."""
        return len(self.request.prompt_token_ids) - 1 + self.num_frames * TOKENS_PER_FRAME

    def append(self, frame: np.ndarray) -> None:
        """Add one frame, int [7]."""
        start = self.num_frames * TOKENS_PER_FRAME
        self.token_ids[start : start + TOKENS_PER_FRAME] = frame
        self.num_frames += 1

    def stream(self, finish_reason: FinishReason) -> TokenStream:
        """Return what was generated."""
        token_ids = self.token_ids[: self.num_frames * TOKENS_PER_FRAME].copy()
        return token_stream(self.request, token_ids, finish_reason)


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    sequence: Sequence
    num_frames: int
    """expected; decides the order"""
    overdue_at: int
    """number of admissions after which it goes first"""


class Scheduler:
    """Pulls requests, orders them, and keeps the budget of each lane."""

    def __init__(
        self, lane_sizes: Many[int], num_blocks: int, tokens_per_block: int, max_positions: int, look_ahead: int
    ):
        """Make an empty one.

        Args:
            lane_sizes: Most sequences of each lane.
            num_blocks: KV budget of each lane.
            tokens_per_block: Size of a block.
            max_positions: Longest sequence the model takes, prompt included, in tokens.
            look_ahead: Most requests held waiting.
        """
        self.exhausted = False
        """the requests have ended"""
        self._lane_sizes = lane_sizes
        self._num_blocks = num_blocks
        self._tokens_per_block = tokens_per_block
        self._max_positions = max_positions
        self._look_ahead = look_ahead
        self._waiting: list[_Waiting] = []
        self._num_admitted = 0

    @property
    def num_waiting(self) -> int:
        """Requests pulled and not yet running."""
        return len(self._waiting)

    def pull(self, requests: Iterator[TokenRequest | None]) -> Iterator[TokenStream]:
        """Take requests until enough wait, or there are none for now.

        Yields:
            A stream with ``finish_reason`` "error" for each request that can't run at all.
        """
        while not self.exhausted and len(self._waiting) < self._look_ahead:
            try:
                request = next(requests)
            except StopIteration:
                self.exhausted = True
                return
            if request is None:
                return
            error = self._add(request)
            if error:
                yield token_stream(request, np.empty(0, dtype=np.int32), "error", error)

    def admit(self, running: Many[Many[Sequence]]) -> list[list[Sequence]]:
        """Give out free slots while the budget lasts, the emptiest lane first.

        Args:
            running: The sequences of each lane.

        Returns:
            For each lane the sequences that join it.
        """
        joining: list[list[Sequence]] = [[] for _ in running]
        num_running = [len(lane) for lane in running]
        num_reserved = [sum(sequence.reserved_blocks for sequence in lane) for lane in running]
        while self._waiting:
            index = self._next_index()
            sequence = self._waiting[index].sequence
            fitting = [
                lane
                for lane, size in enumerate(self._lane_sizes)
                if num_running[lane] < size
                and num_reserved[lane] + sequence.reserved_blocks <= self._num_blocks
            ]
            # it is not passed over for a shorter one: it might never find room
            if not fitting:
                break
            lane = min(fitting, key=num_running.__getitem__)
            joining[lane].append(sequence)
            num_running[lane] += 1
            num_reserved[lane] += sequence.reserved_blocks
            del self._waiting[index]
            self._num_admitted += 1
        return joining

    def _add(self, request: TokenRequest) -> str:
        """Put a request among the waiting; return why it can't run, or nothing."""
        prompt = len(request.prompt_token_ids)
        if prompt == 0:
            return "the prompt is empty"
        room_model = (self._max_positions - prompt) // TOKENS_PER_FRAME
        room_cache = (self._num_blocks * self._tokens_per_block - prompt + 1) // TOKENS_PER_FRAME
        if request.forced_num_tokens is not None:
            max_frames = -(-request.forced_num_tokens // TOKENS_PER_FRAME)
            expected_frames = max_frames
        else:
            max_frames = request.max_new_tokens // TOKENS_PER_FRAME
            expected_frames = min(max_frames, -(-request.expected_num_tokens // TOKENS_PER_FRAME))
        if max_frames < 1:
            return f"max_new_tokens {request.max_new_tokens} leaves no room for one frame of {TOKENS_PER_FRAME}"
        needed = prompt + max(1, expected_frames) * TOKENS_PER_FRAME
        if max(1, expected_frames) > room_model:
            return (
                f"the prompt of {prompt} tokens and its speech take about {needed}; the model's longest "
                f"sequence is {self._max_positions}"
            )
        if max(1, expected_frames) > room_cache:
            return (
                f"the prompt of {prompt} tokens and its speech take about {needed}; the KV cache holds "
                f"{self._num_blocks * self._tokens_per_block}, raise engine.kv_cache_gb"
            )
        max_frames = min(max_frames, room_model, room_cache)
        num_cached = prompt - 1 + max_frames * TOKENS_PER_FRAME
        reserved_blocks = num_blocks_for(num_cached, self._tokens_per_block)
        self._waiting.append(
            _Waiting(
                sequence=Sequence(request, max_frames, reserved_blocks),
                num_frames=expected_frames,
                overdue_at=self._num_admitted + 2 * self._look_ahead,
            )
        )
        return ""

    def _next_index(self) -> int:
        """Return the oldest request if it has waited too long, else the longest; ties go to the older."""
        if self._waiting[0].overdue_at <= self._num_admitted:
            return 0
        return max(range(len(self._waiting)), key=lambda i: (self._waiting[i].num_frames, -i))
