"""A process of its own for one model, and the two pipes to it.

The parent never blocks on it: what can't be written yet waits here, so that a process that has stopped reading is
noticed instead of waited for. It is spawned, never forked, in a session of its own, and killed with all that it
has started. What travels on the pipes is not known here.
"""

import contextlib
import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orpheus_batch.engine.trtllm.process_tree import kill_tree
from orpheus_batch.errors import EngineError

WORKER_MODULE = "orpheus_batch.engine.trtllm.worker"
_READ_BYTES = 1 << 16
_LOG_TAIL_LINES = 15
_REAP_S = 2.0


class WorkerProcess:
    """A running worker; a message is a dictionary of JSON values.

    Args:
        environment: The whole environment of the process.
        module: What it runs with ``python -m``.

    Raises:
        EngineError: It can't be started.
    """

    def __init__(self, environment: Mapping[str, str], module: str = WORKER_MODULE):
        self._folder = Path(tempfile.mkdtemp(prefix="orpheus-trtllm-"))
        self.log = self._folder / "engine.log"
        """what the process wrote on its standard output and error"""
        to_child, self._write_fd = os.pipe()
        self._read_fd, from_child = os.pipe()
        try:
            with self.log.open("wb") as log:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", module, str(to_child), str(from_child)],
                    env=importable(environment),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    pass_fds=(to_child, from_child),
                    start_new_session=True,
                )
        except OSError as error:
            os.close(self._write_fd)
            os.close(self._read_fd)
            self.forget()
            raise EngineError(f"can't start {sys.executable} -m {module}: {error}") from error
        finally:
            os.close(to_child)
            os.close(from_child)
        os.set_blocking(self._write_fd, False)
        os.set_blocking(self._read_fd, False)
        self._outgoing = bytearray()
        self._incoming = bytearray()
        self._at_end = self._is_killed = False

    @property
    def pid(self) -> int:
        """Of the process, which leads its group."""
        return self._process.pid

    @property
    def ended(self) -> bool:
        """Whether nothing more will come: it closed its pipe, or is dead, and all it said was read."""
        return self._at_end and not self._incoming

    def send(self, message: dict[str, Any]) -> None:
        """Queue a message and write what the pipe takes; a process that is gone is not told."""
        self._outgoing += json.dumps(message).encode() + b"\n"
        self._flush()

    def receive(self, timeout_s: float) -> list[dict[str, Any]]:
        """Return what has come, waiting at most ``timeout_s`` for the first of it.

        Raises:
            EngineError: What came is not JSON.
        """
        deadline = time.monotonic() + timeout_s
        while not self._at_end and b"\n" not in self._incoming:
            left = deadline - time.monotonic()
            self._wait(max(0.0, left))
            self._flush()
            self._fill()
            if left <= 0:
                break
        *lines, rest = bytes(self._incoming).split(b"\n")
        self._incoming[:] = b"" if self._at_end else rest
        try:
            return [json.loads(line) for line in lines]
        except ValueError as error:
            raise EngineError(f"the engine's process sent what is not JSON; see {self.log}") from error

    def log_tail(self) -> str:
        """Return the last lines that the process wrote."""
        with contextlib.suppress(OSError):
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
            return "\n".join(lines[-_LOG_TAIL_LINES:])
        return ""

    def exit_description(self) -> str:
        """Return how it ended, for people."""
        try:
            code = self._process.wait(timeout=_REAP_S)  # its pipe may close a moment before it is gone
        except subprocess.TimeoutExpired:
            return "it is still there"
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"

    def stop(self, timeout_s: float) -> None:
        """Ask it to end, wait, and kill what is left of it; the log goes too."""
        self.send({"op": "stop"})
        deadline = time.monotonic() + timeout_s
        while self._process.poll() is None and time.monotonic() < deadline:
            self.receive(0.05)
        self.kill()
        self.forget()

    def forget(self) -> None:
        """Remove its log."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def kill(self) -> None:
        """Kill it and everything that it started, and wait; the log stays."""
        if not self._is_killed:
            kill_tree(self._process.pid)
            self._process.wait()
            self._is_killed = True  # its number may be another's from now on
        for fd in (self._read_fd, self._write_fd):
            with contextlib.suppress(OSError):
                os.close(fd)
        self._read_fd = self._write_fd = -1
        self._at_end = True
        self._outgoing.clear()

    def _wait(self, timeout_s: float) -> None:
        if self._read_fd < 0:
            return
        with selectors.DefaultSelector() as selector:
            selector.register(self._read_fd, selectors.EVENT_READ)
            if self._outgoing:
                selector.register(self._write_fd, selectors.EVENT_WRITE)
            selector.select(timeout_s)

    def _flush(self) -> None:
        try:
            while self._outgoing and self._write_fd >= 0:
                written = os.write(self._write_fd, self._outgoing[:_READ_BYTES])
                del self._outgoing[:written]
        except BlockingIOError:
            return
        except OSError:
            self._outgoing.clear()  # it is gone; its end is read from the other pipe

    def _fill(self) -> None:
        try:
            while self._read_fd >= 0:
                data = os.read(self._read_fd, _READ_BYTES)
                if not data:
                    self._at_end = True
                    return
                self._incoming += data
        except BlockingIOError:
            return
        except OSError:
            self._at_end = True


def importable(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment in which this very package is found by a fresh interpreter."""
    root = str(Path(__file__).parents[3])
    paths = [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path]
    return {**environment, "PYTHONPATH": os.pathsep.join([*paths, root] if root not in paths else paths)}
