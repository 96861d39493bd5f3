"""Which segments run together: fixed blocks, or one queue that does not run dry.

Both take pending segments from ledgers and hand finished streams to `SegmentRun.settle`. How a take is judged and
how a chapter is made is not known here.
"""

import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing

from orpheus_batch.data import TokenRequest, TokenStream
from orpheus_batch.engine.base import Engine
from orpheus_batch.errors import EngineError
from orpheus_batch.ledger.records import PendingSegment
from orpheus_batch.pipeline.engine_thread import EngineThread
from orpheus_batch.pipeline.judge import Finished
from orpheus_batch.pipeline.models import Models
from orpheus_batch.pipeline.segment_run import BOOK_ERRORS, SegmentRun

SETTLE_STREAMS = 64
"""finished streams that are judged and recorded together: enough to fill a codec's batch"""
SETTLE_AFTER_S = 10.0
"""no stream waits longer than this for others: it bounds what a kill costs"""
SETTLE_LAST_AFTER_S = 1.0
"""and than this, once there is nothing new to ask for: what is to be taken again should join what still runs"""

BATCHES_IN_FLIGHT = 2
"""that an engine may have pulled: what runs, and as much to choose the longest from

An engine that looks farther ahead ends a little sooner, and chapters a little later: simulated at 1,000 times real time
with 14 encoders (`benchmarks/look_ahead.py`), a ten-hour book is finished after 45 s whether it has two, three or five
batches to choose from, and after 48 with one.
"""

_ASK_AGAIN_S = 0.02
_END = object()

MAX_OPEN_BOOKS = 100
"""each holds some five files open, and a process may often have no more than 1,024"""

Key = tuple[str, int]
"""segment_id and attempt"""

Block = tuple[int, list[TokenRequest]]
"""a number, and what is generated together"""


def run_blocks(
    run: SegmentRun, models: Models, block_size: int, on_settled: Callable[[SegmentRun], None]
) -> None:
    """Generate a book in fixed blocks, each from an empty engine.

    What is in a block follows from the ledger alone (`SegmentRun.next_block`), and the ledger changes only by
    whole blocks: so a run that was stopped anywhere goes on with the blocks that it would have had.

    Args:
        run: The book.
        models: The engine is loaded only if something is pending.
        block_size: Segments in a block.
        on_settled: Called with the book first of all, and after each block.

    Raises:
        EngineError: The engine can't go on.
        LedgerError, EncodeError: The book's files can't be written.
    """
    on_settled(run)
    flying: dict[int, dict[str, PendingSegment]] = {}

    def blocks() -> Iterator[Block | None]:
        for number in itertools.count():
            while not (
                pending := run.next_block(block_size, {name for block in flying.values() for name in block})
            ):
                if not flying:
                    return
                yield None
            flying[number] = {item.segment.segment_id: item for item in pending}
            yield number, [models.prompts.request(item.segment, item.attempt) for item in pending]

    waiting = blocks()
    first = next(waiting, None)
    if first is None:
        return
    source = itertools.chain([first], waiting)
    several = getattr(models.engine(), "generate_blocks", None)
    done = several(source) if several else _one_by_one(models.engine(), source, flying, run)
    for number, found in done:
        streams = {stream.segment_id: stream for stream in found}
        block = flying[number]
        if len(streams) != len(block):
            raise EngineError(
                f"the engine '{models.engine().name}' ended after {len(streams)} of {len(block)} streams"
            )
        if several:
            for stream in found:
                run.arrived(block[stream.segment_id], stream)
        run.settle([(item, streams[segment_id]) for segment_id, item in block.items()])
        del flying[number]
        on_settled(run)


def _one_by_one(
    engine: Engine,
    blocks: Iterable[Block | None],
    flying: dict[int, dict[str, PendingSegment]],
    run: SegmentRun,
) -> Iterator[tuple[int, list[TokenStream]]]:
    """Generate blocks one after another; each is settled before the next is asked for."""
    for found in blocks:
        if found is None:
            continue
        number, requests = found
        streams = []
        with closing(engine.generate(requests)) as generated:
            for stream in generated:
                streams.append(stream)
                run.arrived(flying[number][stream.segment_id], stream)
        yield number, streams


class Queue:
    """All books' pending segments as one stream of requests, and finished streams on their way to the ledgers.

    Retakes go before new segments, so that a chapter does not wait for one sentence. Books are opened as the
    queue reaches them; segments that two books share are generated once.

    Args:
        books: Opens one book after another.
        models: The engine is loaded only if any book has something pending.
        on_settled: Called with a book after it was opened, and after streams of it were recorded.
        on_error: Called with a book that can't go on and why; it gets no more requests.
    """

    def __init__(
        self,
        books: Iterator[SegmentRun],
        models: Models,
        on_settled: Callable[[SegmentRun], None],
        on_error: Callable[[SegmentRun, Exception], None],
    ):
        self._books = books
        self._models = models
        self._on_settled = on_settled
        self._on_error = on_error
        self._fresh = self._pages()
        self._retakes: deque[tuple[SegmentRun, PendingSegment]] = deque()
        self._in_flight: dict[Key, list[tuple[SegmentRun, PendingSegment]]] = {}
        """with who waits for it: nobody, where only books wanted it that were dropped"""
        self._finished: dict[SegmentRun, list[Finished]] = {}
        self._num_finished = 0
        self._settled_at = time.monotonic()
        self._dropped: set[SegmentRun] = set()
        self._is_exhausted = False

    def run(self) -> None:
        """Generate everything.

        Raises:
            EngineError: The engine can't go on.
        """
        first = next(self._fresh, None)
        if first is None:
            return
        self._retakes.append(first)
        loaded = self._models.engine()
        # before the engine speaks: loading is left out of a run's time, and would wait for the engine
        self._models.codec().warm_up()
        with EngineThread(loaded, self._max_in_flight(loaded)) as engine:
            requests = self._requests()
            while True:
                is_dry = self._hand_over(requests, engine)
                if self._is_exhausted and self._in_flight:
                    break  # leaving ends the engine's generator, with streams that nobody wants
                stream = engine.take(_ASK_AGAIN_S)
                if stream is not None:
                    self._arrived(stream)
                elif not engine.is_alive:
                    break
                if self._is_time_to_settle(nothing_new=is_dry and stream is None):
                    self._settle()
        num_missing = sum(map(bool, self._in_flight.values()))
        if num_missing:
            raise EngineError(f"the engine '{loaded.name}' ended without {num_missing} streams")
        self._settle()

    def _max_in_flight(self, engine: Engine) -> int | None:
        """Return how many requests the engine may hold; None for several engines, which share them out."""
        if self._models.config.engine.ray:
            return None
        return BATCHES_IN_FLIGHT * engine.max_batch_size

    def _hand_over(self, requests: Iterator[TokenRequest | None], engine: EngineThread) -> bool:
        """Give the engine what it has room for, and return whether there was less."""
        while engine.has_room or not self._is_awaited:  # what nobody wants must not hide that all is done
            request = next(requests, _END)
            if request is _END and not self._in_flight:
                engine.end()
            if request is _END or request is None:
                return True
            engine.push(request)
        return False

    @property
    def _is_awaited(self) -> bool:
        """Whether a book waits for a stream that is in flight."""
        return any(self._in_flight.values())

    def _is_time_to_settle(self, *, nothing_new: bool) -> bool:
        """Return whether finished streams should wait for others no longer."""
        waited_s = time.monotonic() - self._settled_at
        if self._num_finished >= SETTLE_STREAMS or waited_s >= SETTLE_AFTER_S:
            return True
        return nothing_new and (waited_s >= SETTLE_LAST_AFTER_S or not self._is_awaited)

    def _requests(self) -> Iterator[TokenRequest | None]:
        """Yield requests, None while more may come.

        The end comes only when nothing is waiting, awaited from the engine or unjudged: all that may become a retake.
        """
        while True:
            found = self._next()
            if found is not None:
                _, item = found
                key = (item.segment.segment_id, item.attempt)
                is_asked_for = key in self._in_flight
                self._in_flight.setdefault(key, []).append(found)
                if not is_asked_for:
                    yield self._models.prompts.request(item.segment, item.attempt)
            elif self._finished or self._is_awaited:
                yield None
            else:
                self._is_exhausted = True
                return

    def _next(self) -> tuple[SegmentRun, PendingSegment] | None:
        return self._retakes.popleft() if self._retakes else next(self._fresh, None)

    def _pages(self) -> Iterator[tuple[SegmentRun, PendingSegment] | None]:
        """Yield every pending segment of every book, opening the next book after the last one's.

        None while too many books are open: the next one waits until some are settled.
        """
        while True:
            while self._num_busy() >= MAX_OPEN_BOOKS:
                yield None
            run = next(self._books, None)
            if run is None:
                return
            try:
                self._on_settled(run)
                for item in run.pending():
                    if run in self._dropped:
                        break
                    yield run, item
            except BOOK_ERRORS as error:
                self._drop(run, error)

    def _num_busy(self) -> int:
        """Return how many books have segments in flight, finished or to be taken again."""
        busy = {run for waiting in self._in_flight.values() for run, _ in waiting}
        return len(busy | self._finished.keys() | {run for run, _ in self._retakes})

    def _arrived(self, stream: TokenStream) -> None:
        for run, item in self._in_flight.pop((stream.segment_id, stream.attempt)):
            run.arrived(item, stream)
            self._finished.setdefault(run, []).append((item, stream))
            self._num_finished += 1

    def _settle(self) -> None:
        finished, self._finished, self._num_finished = self._finished, {}, 0
        self._settled_at = time.monotonic()
        for run, streams in finished.items():
            try:
                self._retakes += ((run, item) for item in run.settle(streams))
                self._on_settled(run)
            except BOOK_ERRORS as error:
                self._drop(run, error)

    def _drop(self, run: SegmentRun, error: Exception) -> None:
        """Forget what a book waits for; it will be closed. What the engine has of it stays in flight, for nobody."""
        self._dropped.add(run)
        self._num_finished -= len(self._finished.pop(run, ()))
        self._retakes = deque(found for found in self._retakes if found[0] is not run)
        for key, waiting in self._in_flight.items():
            self._in_flight[key] = [found for found in waiting if found[0] is not run]
        self._on_error(run, error)
