"""A bounded pool of processes that make chapter files beside the generation.

It moves jobs and results; what a job does is `orpheus_batch.audio.encode.render_chapter_file`'s business. It does
not know ledgers or books, and a process starts without importing what does.
"""

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from orpheus_batch.audio.encode import render_chapter_file
from orpheus_batch.errors import EncodeError, OrpheusBatchError

JOBS_PER_PROCESS = 2
"""running and waiting; more would only hold memory, and keep their books open"""

MAX_PROCESSES = 32
"""beside a GPU: three thousand times real time, at some 100 MB each"""

_SIGNALS = (signal.SIGINT, signal.SIGTERM)

Done = Callable[[Any], None]
"""called in the submitting thread with what a job returned (a chapter's files), or with what went wrong"""


def num_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_num_processes(device: str = "cpu") -> int:
    """Return how many encoders suit this machine.

    An encoder does some hundred times real time. On a CPU one on up to four cores, else a quarter of them, keeps up
    with the generator, whose cores they are. Beside a GPU all cores but two: it makes up to a thousand seconds of
    speech a second, and a book is finished when its last chapters are encoded.

    Args:
        device: Where the engine runs.
    """
    cores = num_cores()
    return max(1, cores // 4 if device == "cpu" else min(cores - 2, MAX_PROCESSES))


class Encoders:
    """Makes chapter files in other processes; a context manager.

    The processes live as long as this one does and not an instant longer, even if it is killed: each watches a
    pipe whose other end is held here. They form process groups of their own, so that Ctrl-C in a terminal
    reaches neither them nor their ffmpeg; whoever holds the pool decides.
    """

    def __init__(self, num_processes: int):
        self._num_processes = num_processes
        self._pool: ProcessPoolExecutor | None = None
        self._held: multiprocessing.connection.Connection | None = None
        self._running: dict[Future[Any], Done] = {}

    def __enter__(self) -> "Encoders":
        return self

    def __exit__(self, *_: object) -> None:
        """Kill what still runs: files are written beside and renamed, so nothing half-made is left in place."""
        if not self._running and self._pool is not None:
            self._pool.shutdown(wait=True)
        self._kill()

    @property
    def num_running(self) -> int:
        """Jobs submitted whose `Done` has not been called."""
        return len(self._running)

    def submit(self, job: Any, done: Done, work: Callable[[Any], Any] | None = None) -> None:
        """Queue a job; waits while too many are queued already.

        Args:
            job: Picklable; what ``work`` takes.
            done: Told of the outcome, from `submit`, `collect` or `drain`.
            work: A function of a module that imports nothing heavy; None: `render_chapter_file`.
        """
        work = work or render_chapter_file
        while len(self._running) >= JOBS_PER_PROCESS * self._num_processes:
            self.collect(block=True)
        try:
            future = self._submit(job, work)
        except BrokenProcessPool:  # a process died earlier; its job has been told
            self._kill()
            future = self._submit(job, work)
        self._running[future] = done

    def collect(self, *, block: bool = False) -> None:
        """Hand finished jobs to their `Done`.

        Args:
            block: Wait until at least one has finished, if any runs.
        """
        if not self._running:
            return
        finished, _ = wait(self._running, timeout=None if block else 0, return_when=FIRST_COMPLETED)
        for future in finished:
            done = self._running.pop(future)
            try:
                result = future.result()
            except OrpheusBatchError as error:
                result = error
            except BrokenProcessPool:
                result = EncodeError(
                    "an encoder process was killed, most likely for want of memory; run the same command "
                    "again, with audio.encoder_processes: 1 if it happens again"
                )
            done(result)

    def drain(self) -> None:
        """Wait for every job."""
        while self._running:
            self.collect(block=True)

    def _submit(self, job: Any, work: Callable[[Any], Any]) -> Future[Any]:
        if self._pool is None:
            context = multiprocessing.get_context("spawn")
            watched, self._held = context.Pipe(duplex=False)
            self._pool = ProcessPoolExecutor(
                self._num_processes, mp_context=context, initializer=_begin, initargs=(watched,)
            )
        # A process starts inside submit() and inherits the mask: a Ctrl-C while it still imports would make it
        # print a traceback. `_begin` lifts the mask once the process stands in its own group.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            return self._pool.submit(work, job)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _kill(self) -> None:
        if self._held is not None:
            self._held.close()
            self._held = None
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None


def _begin(watched: multiprocessing.connection.Connection) -> None:
    """Set up an encoder process: a process group of its own, which ends with the main process.

    It and its ffmpeg are scheduled as batch work where the system knows that (Linux): ffmpeg's threads hand small
    frames to each other, and being woken for each of them took up to half of the time.
    """
    with contextlib.suppress(PermissionError):  # already the leader of a session
        os.setpgid(0, 0)
    with contextlib.suppress(AttributeError, OSError):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    for signum in _SIGNALS:
        signal.signal(signum, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)

    def follow() -> None:
        with contextlib.suppress(EOFError, OSError):
            watched.recv_bytes()
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=follow, daemon=True, name="follow the main process").start()
