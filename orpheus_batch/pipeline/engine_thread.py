"""An engine in a thread of its own, so that a GPU does not wait while streams are judged, decoded and recorded.

Requests go in and streams come out through bounded queues; everything else (ledgers, codec, files) stays in the
thread that made this one. What the requests are and what becomes of the streams is not known here.
"""

import queue
import threading
from collections.abc import Iterator
from contextlib import closing
from types import TracebackType

from orpheus_batch.data import TokenRequest, TokenStream
from orpheus_batch.engine.base import Engine

MAX_HANDED_OVER = 256
"""requests that the engine has not pulled yet, and streams that nobody has taken yet: with an engine that ends a
hundred streams a second, two seconds in which the other side may be busy. Streams in here are lost by a kill"""

_END = object()
_JOIN_S = 0.05


class _Stopped(Exception):
    """Ends the engine's generator at its next pull."""


class EngineThread:
    """Runs one `Engine.generate`. A context manager: leaving it ends the generator, at the next frame.

    An engine that may be busy for longer between two pulls is told, if it has an ``interrupt``.
    """

    def __init__(self, engine: Engine, max_in_flight: int | None = None):
        """Start it; it waits for the first request.

        Args:
            engine: Closed by its owner.
            max_in_flight: Most requests that it has pulled and not answered, running or waiting; None: as many as
                it likes.
        """
        self._engine = engine
        self._max_in_flight = max_in_flight
        self._incoming: queue.SimpleQueue[TokenRequest | object] = queue.SimpleQueue()
        self._outgoing: queue.Queue[TokenStream | BaseException | None] = queue.Queue(MAX_HANDED_OVER)
        self._stopping = threading.Event()
        self._num_pulled = self._num_yielded = 0
        # A daemon: whoever is killed by a second Ctrl-C while this one is in a frame does not wait for it.
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    @property
    def has_room(self) -> bool:
        """Whether another request may be handed over."""
        return self._incoming.qsize() < MAX_HANDED_OVER

    def push(self, request: TokenRequest) -> None:
        """Hand a request over."""
        self._incoming.put(request)

    def end(self) -> None:
        """Say that no request will follow."""
        self._incoming.put(_END)

    def take(self, timeout_s: float) -> TokenStream | None:
        """Return the next stream; None if there is none for so long, or the engine has ended (see `is_alive`).

        Raises:
            Exception: Whatever the engine raised.
        """
        try:
            found = self._outgoing.get(timeout=timeout_s) if timeout_s > 0 else self._outgoing.get_nowait()
        except queue.Empty:
            return None
        if isinstance(found, BaseException):
            raise found
        return found

    @property
    def is_alive(self) -> bool:
        """Whether streams may still come."""
        return self._thread.is_alive() or not self._outgoing.empty()

    def __enter__(self) -> "EngineThread":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._incoming.put(_END)
        interrupt = getattr(self._engine, "interrupt", None)
        if interrupt is not None:
            interrupt()
        while self._thread.is_alive():
            while not self._outgoing.empty():  # it may wait for room
                self._outgoing.get_nowait()
            self._thread.join(_JOIN_S)

    def _run(self) -> None:
        outcome: BaseException | None = None
        try:
            with closing(self._engine.generate(self._requests())) as streams:
                for stream in streams:
                    self._outgoing.put(stream)
                    self._num_yielded += 1
                    if self._stopping.is_set():
                        break
        except _Stopped:
            pass
        except BaseException as error:  # handed to the other thread, which decides
            outcome = error
        self._outgoing.put(outcome)

    def _requests(self) -> Iterator[TokenRequest | None]:
        while True:
            if self._stopping.is_set():
                raise _Stopped
            num_in_flight = self._num_pulled - self._num_yielded
            is_full = self._max_in_flight is not None and num_in_flight >= self._max_in_flight
            if num_in_flight and (is_full or self._incoming.empty()):
                yield None
                continue
            found = self._incoming.get()  # where nothing runs, the engine need not ask again and again
            if self._stopping.is_set():
                raise _Stopped
            if found is _END:
                return
            self._num_pulled += 1
            yield found
