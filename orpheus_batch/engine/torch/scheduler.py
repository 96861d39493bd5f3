"""Which request runs next, and whether there is room for it.

Host side, plain Python and numpy: no tensors, no block ids. Sequences take blocks as they grow and give all of them
back when they end, and how long one can get is known when it comes. So how many blocks will be in use is known too,
frame by frame, and a sequence is admitted only if the budget holds at every frame to come, all running to their caps.
A running sequence can always go on: nothing is evicted, nothing is computed twice, nothing can deadlock. (To set aside
what each may need at its end costs twice the memory: a running sequence is half grown on average.)

Longest first, because what starts last decides when the batch runs empty; where the longest do not fit beside what
runs, the longest that does, which has ended before they all are at their largest. Within a bounded look-ahead, so that
memory is flat; and when half a batch of later requests has overtaken one it goes first, or a chapter would wait to the
book's end for its shortest sentence.
"""

from bisect import insort
from collections import deque
from collections.abc import Iterator
from collections.abc import Sequence as Many
from dataclasses import dataclass, field

import numpy as np

from orpheus_batch.data import FinishReason, TokenRequest, TokenStream
from orpheus_batch.engine.base import token_stream
from orpheus_batch.units import TOKENS_PER_FRAME


@dataclass(slots=True, eq=False)
class Sequence:
    """A request in a slot."""

    request: TokenRequest
    max_frames: int
    """it ends here if it has not stopped before"""
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

    def num_blocks_by_frame(self, tokens_per_block: int) -> np.ndarray:
        """Return int64 [max_frames], the blocks that it holds during each of its frames."""
        last = len(self.request.prompt_token_ids) - 1 + TOKENS_PER_FRAME * np.arange(1, self.max_frames + 1)
        return -(-last // tokens_per_block)

    def append(self, frame: np.ndarray) -> None:
        """Add one frame, int [7]."""
        start = self.num_frames * TOKENS_PER_FRAME
        self.token_ids[start : start + TOKENS_PER_FRAME] = frame
        self.num_frames += 1

    def stream(self, finish_reason: FinishReason) -> TokenStream:
        """Return what was generated."""
        token_ids = self.token_ids[: self.num_frames * TOKENS_PER_FRAME].copy()
        return token_stream(self.request, token_ids, finish_reason)


@dataclass(slots=True, eq=False)
class _Waiting:
    sequence: Sequence
    num_frames: int
    """expected; decides the order"""
    arrival: int
    overdue_at: int
    """number of admissions after which it goes first, if there is room for it"""
    is_admitted: bool = False

    @property
    def order(self) -> tuple[int, int]:
        """Ascending: the last is the longest, of equals the one that came first."""
        return self.num_frames, -self.arrival


class _Forecast:
    """How many blocks of a lane are in use during the next frame, the one after it, and so on, at most."""

    def __init__(self, num_slots: int, num_blocks: int, tokens_per_block: int):
        self.running: dict[Sequence, int] = {}
        """with the number of frames that each was given"""
        self.num_slots, self._num_blocks, self._tokens_per_block = num_slots, num_blocks, tokens_per_block
        self._used = np.zeros(0, dtype=np.int64)

    def start_frame(self, running: Many[Sequence]) -> None:
        """Let a frame pass, and take out what has ended."""
        self._used = self._used[1:]
        still = set(running)
        for sequence, num_frames in list(self.running.items()):
            self.running[sequence] = num_frames + 1
            if sequence not in still:
                del self.running[sequence]
                left = sequence.num_blocks_by_frame(self._tokens_per_block)[num_frames + 1 :]
                self._used[: len(left)] -= left

    def holds(self, sequence: Sequence) -> bool:
        """Return whether there is room for a sequence that starts now."""
        if len(self.running) == self.num_slots:
            return False
        wanted = sequence.num_blocks_by_frame(self._tokens_per_block)
        beside = self._used[: len(wanted)]
        wanted[: len(beside)] += beside
        return int(wanted.max()) <= self._num_blocks

    def add(self, sequence: Sequence) -> None:
        """Let a sequence start now."""
        self.running[sequence] = 0
        wanted = sequence.num_blocks_by_frame(self._tokens_per_block)
        if len(wanted) > len(self._used):
            self._used = np.pad(self._used, (0, len(wanted) - len(self._used)))
        self._used[: len(wanted)] += wanted


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
        self._lanes = [_Forecast(size, num_blocks, tokens_per_block) for size in lane_sizes]
        self._num_blocks = num_blocks
        self._tokens_per_block = tokens_per_block
        self._max_positions = max_positions
        self._look_ahead = look_ahead
        self._max_latecomers = sum(lane_sizes) // 2
        self._waiting: list[_Waiting] = []  # by `_Waiting.order`
        self._arrived: deque[_Waiting] = deque()
        self._num_arrived = 0
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
        """Give out free slots while the budget lasts, the emptiest lane first; called before each frame.

        Args:
            running: The sequences of each lane. Each has had a frame for every call since it was admitted.

        Returns:
            For each lane the sequences that join it.
        """
        joining: list[list[Sequence]] = [[] for _ in running]
        for lane, sequences in zip(self._lanes, running, strict=True):
            lane.start_frame(sequences)
        while self._waiting:
            found = self._next()
            if found is None:
                break
            index, lane = found
            waiting = self._waiting.pop(index)
            waiting.is_admitted = True
            self._lanes[lane].add(waiting.sequence)
            joining[lane].append(waiting.sequence)
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
        waiting = _Waiting(
            sequence=Sequence(request, min(max_frames, room_model, room_cache)),
            num_frames=expected_frames,
            arrival=self._num_arrived,
            overdue_at=self._num_admitted + len(self._waiting) + self._max_latecomers,
        )
        self._num_arrived += 1
        self._arrived.append(waiting)
        insort(self._waiting, waiting, key=lambda w: w.order)
        return ""

    def _next(self) -> tuple[int, int] | None:
        """Return which of the waiting joins which lane, or None if there is no room.

        The oldest if half a batch has overtaken it, else the longest that fits. Where there is no room for that
        oldest one, others go on before it for a while; then it is waited for.
        """
        while self._arrived[0].is_admitted:
            self._arrived.popleft()
        overdue_by = self._num_admitted - self._arrived[0].overdue_at
        if overdue_by >= 0:
            oldest = self._waiting.index(self._arrived[0])
            lane = self._lane_for(oldest)
            if lane is not None:
                return oldest, lane
            if overdue_by >= 2 * self._look_ahead:
                return None
        if all(len(lane.running) == lane.num_slots for lane in self._lanes):
            return None
        low, high = 0, len(self._waiting) - 1
        if (lane := self._lane_for(high)) is not None:
            return high, lane
        if (lane := self._lane_for(low)) is None:
            return None
        while high - low > 1:  # what is shorter needs less, or nearly so
            middle = (low + high) // 2
            found = self._lane_for(middle)
            if found is None:
                high = middle
            else:
                low, lane = middle, found
        return low, lane

    def _lane_for(self, index: int) -> int | None:
        """Return the emptiest lane that holds one of the waiting."""
        sequence = self._waiting[index].sequence
        fitting = [number for number, lane in enumerate(self._lanes) if lane.holds(sequence)]
        return min(fitting, key=lambda number: len(self._lanes[number].running), default=None)
