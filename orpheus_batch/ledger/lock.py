"""One writer a folder, by an operating-system lock that dies with its process.

The lock is what counts; what the file says (pid and host) only makes the refusal readable. A file left by a
killed process is therefore no obstacle.
"""

import errno
import fcntl
import os
import socket
import time
import weakref
from pathlib import Path
from typing import TextIO

from orpheus_batch.errors import LedgerError

LOCK_NAME = "ledger.lock"

_RETRY_S = 0.25
"""a reader that asks who holds the lock has it for an instant; a writer outwaits that"""

_held: "weakref.WeakSet[FolderLock]" = weakref.WeakSet()


class FolderLock:
    """An exclusive lock on a folder, held until `release` or the end of this process, however it ends."""

    def __init__(self, folder: Path):
        self.path = folder / LOCK_NAME
        self._file: TextIO | None = None

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            LedgerError: Another process holds it, which the message names; or the folder can't be written.
        """
        try:
            # "a+" creates the file without emptying one that another process has signed.
            file = self.path.open("a+", encoding="utf-8")
        except OSError as error:
            raise LedgerError(f"can't write to {self.path.parent}: {error.strerror}") from error
        try:
            _lock_within(file, _RETRY_S)
            file.seek(0)
            file.truncate()
            file.write(f"{os.getpid()} {socket.gethostname()}\n")
            file.flush()
        except BlockingIOError as error:
            file.close()
            raise LedgerError(
                f"{self.path.parent} is being written by {_signature(self.path)}; wait for it to end, stop it, "
                "or give another output folder"
            ) from error
        except OSError as error:
            file.close()
            raise LedgerError(f"can't lock {self.path}: {error.strerror}") from error
        self._file = file
        _held.add(self)

    def release(self) -> None:
        """Give the lock back. The file stays: were it removed, two processes could lock two files so named."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def forget(self) -> None:
        """Close a forked child's copy of the file, which would keep the lock after the parent was killed."""
        self.release()


def holder(folder: Path) -> str | None:
    """Return who is writing to ``folder``, "process 4711 on host x", or None where nobody is."""
    path = folder / LOCK_NAME
    try:
        with path.open(encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _signature(path)
    except OSError:
        return None
    return None


def _lock_within(file: TextIO, patience_s: float) -> None:
    """Lock ``file`` exclusively, asking again for ``patience_s``."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            if time.monotonic() >= deadline:
                raise BlockingIOError(error.errno, error.strerror) from error
            time.sleep(0.01)


def _signature(path: Path) -> str:
    try:
        pid, _, host = path.read_text(encoding="utf-8").strip().partition(" ")
    except OSError:
        pid, host = "", ""
    return f"process {pid} on {host}" if pid and host else "another process"


def _forget_in_child() -> None:
    for lock in list(_held):
        lock.forget()


os.register_at_fork(after_in_child=_forget_in_child)
