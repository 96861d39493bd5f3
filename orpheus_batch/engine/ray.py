"""Many engines as one, on the GPUs of a machine or a cluster, through Ray: a thin adapter and no scheduler.

Each worker is an actor with an engine of its own, fed with a stream of requests, so that it does not drain
between them, or with whole blocks, each from an empty engine. Token streams come back through the object store;
judging, decoding and the ledger stay with the one process that asked. A worker that dies is replaced, and what it
had is generated again; workers are added as the cluster grows.
"""

import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from typing import Any, Generic, TypeVar

from orpheus_batch.data import TokenRequest, TokenStream
from orpheus_batch.engine.base import Engine
from orpheus_batch.errors import ConfigError, EngineError

LOOK_S = 10.0
"""between two looks at whether the cluster has grown"""
WAIT_S = 1.0
CONNECT_S = 10.0
"""for a cluster's head to answer"""
MAX_DEATHS = 5
"""of workers, without any work done in between: then it is no accident"""
AHEAD = 1.5
"""batches handed to a worker: it holds one and finds the next at hand"""

POLL_S = 0.02
"""between two questions to a source that has nothing now"""

Item = TypeVar("Item")
Block = tuple[int, list[TokenRequest]]
_END: Any = object()


class Worker:
    """One engine in a process of its own; an actor's body.

    Args:
        make: Makes the engine, in the worker's process.
    """

    def __init__(self, make: Callable[[], Engine]):
        self._engine = make()
        self._lock = threading.Lock()
        """held while the engine generates: one thing at a time"""
        self._requests: dict[int, deque[TokenRequest | None]] = {}
        """by session"""
        self._session = -1

    def capacity(self) -> int:
        """Return how many sequences run together."""
        return self._engine.max_batch_size

    def block(self, requests: list[TokenRequest]) -> list[TokenStream]:
        """Generate a block from an empty engine."""
        with self._lock:
            return list(self._engine.generate(requests))

    def push(self, session: int, requests: list[TokenRequest | None]) -> None:
        """Add requests to what `streams` generates in a session; None is the last."""
        self._requests.setdefault(session, deque()).extend(requests)

    def streams(self, session: int) -> Iterator[TokenStream]:
        """Yield streams of what is pushed, until None is, or another session begins."""
        self._session = session
        with self._lock, closing(self._engine.generate(self._pulled(session))) as streams:
            for stream in streams:
                if self._session != session:
                    return
                yield stream
        self._requests.pop(session, None)

    def _pulled(self, session: int) -> Iterator[TokenRequest | None]:
        requests = self._requests.setdefault(session, deque())
        while self._session == session:
            if not requests:
                yield None
            elif (request := requests.popleft()) is None:
                return
            else:
                yield request


class RayEngine:
    """Engines on a Ray cluster.

    Args:
        make: Makes one engine; sent to the workers.
        address: "local" for this machine alone, else a cluster's address ("auto": the one this machine is of).
        device: "cpu" workers take a processor each, others a GPU each.
        num_workers: None: one a GPU, or, on CPU, one a machine.

    Raises:
        ConfigError: Ray is not installed, or the address is one of Ray Client, which can't stream.
        EngineError: The cluster can't be reached, or has no room for a worker.
    """

    name = "ray"

    def __init__(self, make: Callable[[], Engine], *, address: str, device: str, num_workers: int | None):
        try:
            import ray
        except ImportError as error:
            raise ConfigError("--ray needs Ray: pip install 'orpheus-batch[ray]'") from error
        check_address(address)
        self._ray = ray
        self._make = make
        self._on_gpu = device != "cpu"
        self._num_wanted = num_workers
        self._owns_ray = not ray.is_initialized()
        if self._owns_ray:
            try:
                options: dict[str, Any] = (
                    {"include_dashboard": False} if address == "local" else {"address": address}
                )
                if address == "local" and not self._on_gpu and num_workers:
                    options["num_cpus"] = num_workers
                ray.init(log_to_driver=False, logging_level="ERROR", **options)
            except (ConnectionError, ValueError, RuntimeError) as error:
                raise EngineError(f"can't reach Ray at '{address}': {error}") from error
        self._workers: list[Any] = []
        self._num_deaths = 0
        self._num_sessions = 0
        self._looked_at = 0.0
        self._grow()
        if not self._workers:
            self.close()
            raise EngineError("the Ray cluster has no GPU; add one, or use --device cpu")
        self._capacity = self._ask_capacity()
        self.max_batch_size = self._capacity * len(self._workers)

    def generate(self, requests: Iterable[TokenRequest | None]) -> Iterator[TokenStream]:
        """Yield a stream for each request, in any order; see `Engine.generate`."""
        supply: _Supply[TokenRequest] = _Supply(requests)
        self._num_sessions += 1
        feeds: dict[Any, _Feed] = {}
        try:
            while True:
                for worker in self._grow():
                    if worker not in feeds:
                        feeds[worker] = _Feed(worker, self._num_sessions)
                # The emptiest first; what one does not get now, none does.
                for feed in sorted(feeds.values(), key=lambda feed: len(feed.held)):
                    feed.push(supply.take(int(self._capacity * AHEAD) - len(feed.held)))
                waiting = [feed for feed in feeds.values() if feed.held]
                if not waiting:
                    if supply.is_empty:
                        return
                    time.sleep(POLL_S)
                    continue
                timeout_s = WAIT_S if supply.is_empty else POLL_S
                ready, _ = self._ray.wait([feed.streams for feed in waiting], timeout=timeout_s)
                for feed in [feed for feed in waiting if feed.streams in ready]:
                    try:
                        stream = self._get(next(feed.streams))
                    except _WorkerDied as error:
                        supply.give_back(feed.held.values())
                        del feeds[feed.worker]
                        self._bury(feed.worker, error)
                    else:
                        del feed.held[stream.segment_id, stream.attempt]
                        self._num_deaths = 0
                        yield stream
        finally:
            for feed in feeds.values():
                with suppress(Exception):
                    feed.push([None])

    def generate_blocks(self, blocks: Iterable[Block | None]) -> Iterator[tuple[int, list[TokenStream]]]:
        """Generate blocks, each by one worker from an empty engine, as many at once as there are workers.

        Args:
            blocks: A number and requests; None: nothing now, ask again.

        Yields:
            A block's number and its streams, in any order of blocks.

        Raises:
            EngineError: Workers die one after another, or an engine can't go on.
        """
        supply: _Supply[Block] = _Supply(blocks)
        flying: dict[Any, tuple[Any, Block]] = {}
        while True:
            busy = {worker for worker, _ in flying.values()}
            idle = [worker for worker in self._grow() if worker not in busy]
            for worker, block in zip(idle, supply.take(len(idle)), strict=False):
                flying[worker.block.remote(block[1])] = (worker, block)
            if not flying:
                if supply.is_empty:
                    return
                time.sleep(POLL_S)
                continue
            ready, _ = self._ray.wait(list(flying), timeout=WAIT_S)
            for ref in ready:
                worker, block = flying.pop(ref)
                try:
                    streams = self._get(ref)
                except _WorkerDied as error:
                    supply.give_back([block])
                    self._bury(worker, error)
                else:
                    self._num_deaths = 0
                    yield block[0], streams

    def close(self) -> None:
        """End the workers, and Ray if it was begun for them."""
        for worker in self._workers:
            with suppress(Exception):
                self._ray.kill(worker)
        self._workers.clear()
        if self._owns_ray and self._ray.is_initialized():
            self._ray.shutdown()

    def _ask_capacity(self) -> int:
        """Return how many sequences an engine runs together; a worker that dies before it can say so is replaced."""
        while True:
            worker = self._grow()[0]
            try:
                return int(self._get(worker.capacity.remote()))
            except _WorkerDied as error:
                self._bury(worker, error)

    def _grow(self) -> list[Any]:
        """Return the workers, with new ones where the cluster has room for more."""
        now = time.monotonic()
        if not self._workers or now - self._looked_at > LOOK_S:
            self._looked_at = now
            actor = self._ray.remote(Worker)
            resources = {"num_gpus": 1} if self._on_gpu else {"num_cpus": 1}
            while len(self._workers) < self._room():
                self._workers.append(actor.options(max_concurrency=3, **resources).remote(self._make))
        return self._workers

    def _room(self) -> int:
        total = self._ray.cluster_resources()
        if self._on_gpu:
            room = int(total.get("GPU", 0))
        else:
            room = min(int(total.get("CPU", 1)), self._num_wanted or len(self._ray.nodes()))
        return room if self._num_wanted is None else min(room, self._num_wanted)

    def _get(self, ref: Any) -> Any:
        """Return a result; the death of its worker is told from an engine's own error."""
        from ray.exceptions import ActorUnavailableError, ObjectLostError, RayActorError, RayTaskError

        try:
            return self._ray.get(ref)
        except (RayActorError, ActorUnavailableError, ObjectLostError) as error:
            raise _WorkerDied(str(error)) from error
        except (RayTaskError, EngineError) as error:
            raise EngineError(
                f"a Ray worker's engine can't go on: {getattr(error, 'cause', None) or error}"
            ) from error

    def _bury(self, worker: Any, error: Exception) -> None:
        """Have a dead worker replaced at the next look.

        Raises:
            EngineError: Too many died in a row.
        """
        self._num_deaths += 1
        if self._num_deaths > MAX_DEATHS:
            raise EngineError(f"{self._num_deaths} Ray workers died one after another; the last one: {error}")
        with suppress(ValueError):
            self._workers.remove(worker)
        self._looked_at = 0.0


def check_address(address: str) -> None:
    """See that somebody listens at a cluster's address; Ray itself would try for minutes.

    Raises:
        ConfigError: It is an address of Ray Client.
        EngineError: Nobody does.
    """
    if address.startswith("ray://"):
        raise ConfigError(
            f"--ray {address}: Ray Client can't stream; run on a machine of the cluster, with --ray auto or HOST:6379"
        )
    host, _, port = address.rpartition(":")
    if not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_S).close()
    except OSError as error:
        raise EngineError(
            f"can't reach Ray at '{address}': {error}; `ray status` on the head node tells its address"
        ) from error


class _WorkerDied(Exception):
    """Its process is gone, or its machine."""


class _Supply(Generic[Item]):
    """What is to be done: given back first, then from the source, as long as that has something."""

    def __init__(self, source: Iterable[Item | None]):
        self._source = iter(source)
        self._again: deque[Item] = deque()
        self._ended = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing is to come any more."""
        return self._ended and not self._again

    def take(self, max_items: int) -> list[Item]:
        """Return what there is now, so many at most."""
        taken: list[Item] = []
        while len(taken) < max_items:
            if self._again:
                taken.append(self._again.popleft())
                continue
            item = None if self._ended else next(self._source, _END)
            if item is _END:
                self._ended = True
            if item is None or item is _END:
                break
            taken.append(item)
        return taken

    def give_back(self, items: Iterable[Item]) -> None:
        """Have items done by another worker."""
        self._again.extend(items)


class _Feed:
    """What one worker has been given and not answered yet."""

    def __init__(self, worker: Any, session: int):
        self.worker = worker
        self.held: dict[tuple[str, int], TokenRequest] = {}
        self.streams = worker.streams.options(num_returns="streaming").remote(session)
        self._session = session

    def push(self, requests: Sequence[TokenRequest | None]) -> None:
        """Hand over requests; None is the last."""
        if requests:
            self.held |= {(r.segment_id, r.attempt): r for r in requests if r is not None}
            self.worker.push.remote(self._session, list(requests))
