"""Moonshine base-en, hearing in processes that end after a few utterances.

See `moonshine_process` for why. One process a thread; each hears one utterance at a time, so that none waits for
another's batch.
"""

import contextlib
import json
import os
import queue
import struct
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from importlib.metadata import version
from pathlib import Path

import numpy as np

from orpheus_batch.errors import RecogniserError

MAX_UTTERANCES = 8
"""that one process hears before another takes its place: starting takes 0.9 s"""
PROCESS_GB = 2.0
"""that one may come to"""
TIMEOUT_S = 120.0
"""for one utterance, which takes a second or two; then the process is taken to hang"""

SCRIPT = Path(__file__).with_name("moonshine_process.py")


class Moonshine:
    """A `Recogniser` on `moonshine-cpp`, whose wheel brings the weights (MIT).

    Args:
        num_processes: At once, each keeping a core busy; None: one a core, as far as memory goes.
    """

    def __init__(self, num_processes: int | None = None):
        self.name = f"Moonshine base-en (moonshine-cpp {version('moonshine-cpp')})"
        self._threads = ThreadPoolExecutor(num_processes or _default_num_processes(), "moonshine")
        self._idle: queue.SimpleQueue[_Process] = queue.SimpleQueue()
        self._busy: set[_Process] = set()

    def transcribe(self, utterances: Sequence[np.ndarray]) -> list[str]:
        """See `Recogniser.transcribe`."""
        waiting = [self._threads.submit(self._hear, samples) for samples in utterances]
        try:
            return [heard.result() for heard in waiting]
        except BaseException:
            self._stop(waiting)
            raise

    def close(self) -> None:
        """End the processes."""
        self._stop(())
        while not self._idle.empty():
            self._idle.get().end()
        self._threads.shutdown()

    def _hear(self, samples: np.ndarray) -> str:
        try:
            process = self._idle.get_nowait()
        except queue.Empty:
            process = _Process()
        self._busy.add(process)
        try:
            heard = process.hear(samples)
        except RecogniserError:
            process.end()
            raise
        finally:
            self._busy.discard(process)
        if process.num_heard < MAX_UTTERANCES:
            self._idle.put(process)
        else:
            process.end()
        return heard

    def _stop(self, waiting: Sequence[Future[str]]) -> None:
        """Have nothing more begun, and what is in work end, badly."""
        for heard in waiting:
            heard.cancel()
        for process in list(self._busy):
            process.kill()
        wait(waiting)


class _Process:
    def __init__(self) -> None:
        self.num_heard = 0
        self._process = subprocess.Popen(
            [sys.executable, str(SCRIPT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is the parent's affair; without a parent its input ends
        )

    def hear(self, samples: np.ndarray) -> str:
        """Return what is heard in int16 [num_samples].

        Raises:
            RecogniserError: The process died, or does not answer.
        """
        content = samples.astype("<i2").tobytes()
        watchdog = threading.Timer(TIMEOUT_S, self._process.kill)
        watchdog.start()
        try:
            self._process.stdin.write(struct.pack("<I", len(content)) + content)
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except OSError:
            answer = b""
        finally:
            watchdog.cancel()
        if not answer:
            raise RecogniserError(
                f"the recogniser's process ended with {self._process.wait()} amid an utterance; if memory was "
                "short, set asr.processes lower, and run the same command again"
            )
        self.num_heard += 1
        return json.loads(answer)

    def kill(self) -> None:
        """Have it end; `hear`, in another thread, raises."""
        self._process.kill()

    def end(self) -> None:
        """End it and let go of its pipes."""
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()
        self._process.wait()


def _default_num_processes() -> int:
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return max(1, min(os.cpu_count() or 1, int(memory_gb / 2 / PROCESS_GB)))
