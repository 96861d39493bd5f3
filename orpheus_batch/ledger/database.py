"""SQLite as the ledger uses it: how a file is opened, one transaction at a time, and errors in plain words.

What is in the tables is not known here.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from orpheus_batch.errors import LedgerError

NETWORK_FILESYSTEMS = frozenset(
    (
        "9p", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "fuse.davfs2", "fuse.glusterfs", "fuse.rclone",
        "fuse.s3fs", "fuse.sshfs", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "smb", "smb2", "smb3",
        "smbfs", "vboxsf", "virtiofs",
    )
)  # fmt: skip
"""where shared memory is not shared, or file locks are not to be trusted with a write-ahead log

Source: https://www.sqlite.org/wal.html, "all processes must be on the same host computer"; names as the kernel
and FUSE give them in /proc/mounts.
"""

_BUSY_S = 10.0
_CACHE_KIB = 64 * 1024
"""page cache; ids are hashes, so an insert touches any page of their index"""

_DAMAGED = (
    "the file is damaged: `sqlite3 ledger.sqlite .recover` may save its rows, finished audio files are not "
    "touched; move the ledger away to start over"
)

_WHAT_TO_DO = (
    ("database or disk is full", "the disk is full: free some space and run the same command again"),
    ("disk i/o error", "a read or a write was refused (quota, unplugged disk?): mend that and run again"),
    ("readonly database", "it can't be written: check the permissions of the folder and its files"),
    ("unable to open database file", "it can't be opened: check the permissions of the folder and its files"),
    ("malformed", _DAMAGED),
    ("could not decode", _DAMAGED),
    ("not a database", "it is not a ledger, or its first page is damaged: move it away to start over"),
    ("locked", "another process is using it: wait for it to end"),
)


class Database:
    """One connection, in autocommit mode outside `transaction`."""

    def __init__(self, connection: sqlite3.Connection, path: Path):
        self.path = path
        self._connection = connection

    @classmethod
    def open(cls, path: Path, *, read_only: bool) -> "Database":
        """Open a file, or create it.

        Commits are synced to disk (``synchronous=FULL``): what a commit costs is nothing beside the batch of
        speech it records, and it then outlives a power cut, not only a kill.

        Raises:
            LedgerError: It can't be opened.
        """
        with _explained(path):
            if read_only:
                return cls(_connect_read_only(path), path)
            connection = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=rwc", uri=True, isolation_level=None, timeout=_BUSY_S
            )
            database = cls(connection, path)
            try:
                database._prepare()
            except LedgerError:
                connection.close()
                raise
            return database

    def _prepare(self) -> None:
        self.execute("PRAGMA synchronous = FULL")
        self.execute("PRAGMA foreign_keys = ON")
        self.execute("PRAGMA cell_size_check = ON")
        self.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        local = filesystem_type(self.path.parent) not in NETWORK_FILESYSTEMS
        ((mode,),) = self.rows(f"PRAGMA journal_mode = {'WAL' if local else 'TRUNCATE'}")
        if local and mode != "wal":  # no shared memory here: SQLite kept the mode it had
            self.execute("PRAGMA journal_mode = TRUNCATE")

    def rows(self, sql: str, parameters: Iterable[Any] = ()) -> list[tuple[Any, ...]]:
        """Return all rows of a query."""
        with _explained(self.path):
            return self._connection.execute(sql, tuple(parameters)).fetchall()

    def execute(self, sql: str, parameters: Iterable[Any] = ()) -> int:
        """Run one statement and return how many rows it changed (-1 where that means nothing)."""
        with _explained(self.path):
            return self._connection.execute(sql, tuple(parameters)).rowcount

    def execute_many(self, sql: str, parameters: Iterable[Iterable[Any]]) -> None:
        """Run one statement for each set of parameters, read as they are needed."""
        with _explained(self.path):
            self._connection.executemany(sql, parameters)

    def explained(self) -> AbstractContextManager[None]:
        """Turn errors on values that were read, and can't be what was written, into ones about the file."""
        return _explained(self.path)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, and synced to disk when the block is left. Does not nest."""
        self.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.execute("COMMIT")
        finally:
            self._roll_back()

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Several reads of one moment, whatever a writer does meanwhile."""
        self.execute("BEGIN DEFERRED")
        try:
            yield
        finally:
            self._roll_back()

    def _roll_back(self) -> None:
        """Undo an open transaction; SQLite has closed it already after some errors."""
        with _explained(self.path):
            if self._connection.in_transaction:
                self._connection.rollback()

    def close(self) -> None:
        """Close the file; what was committed is kept."""
        with _explained(self.path):
            self._connection.close()


def filesystem_type(folder: Path, mounts: Path = Path("/proc/mounts")) -> str:
    """Return the kind of filesystem that ``folder`` lies on ("ext4", "nfs4"), "" where that can't be told."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    target = folder.resolve()
    best = (-1, "")
    for line in lines:
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        # The kernel writes blanks and backslashes of a mount point as octal escapes.
        point = Path(fields[1].replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\"))
        if target == point or point in target.parents:
            best = max(best, (len(point.parts), fields[2]), key=lambda found: found[0])
    return best[1]


def _connect_read_only(path: Path) -> sqlite3.Connection:
    """Connect without the right to write, beside a writer or on a medium that can't be written."""
    uri = f"{path.absolute().as_uri()}?mode=ro"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=_BUSY_S)
    try:
        connection.execute("SELECT count(*) FROM sqlite_master")
    except sqlite3.OperationalError:
        connection.close()
        log = path.with_name(path.name + "-wal")
        if log.exists() and log.stat().st_size:
            raise
        # WAL mode wants a file beside the ledger even to read it. Where none can be made nobody can be
        # writing either, and with no log to replay the file alone is the whole truth.
        connection = sqlite3.connect(f"{uri}&immutable=1", uri=True, isolation_level=None)
        connection.execute("SELECT count(*) FROM sqlite_master")
    return connection


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into ones that say which file and what to do."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        message = str(error)
        advice = next((advice for sign, advice in _WHAT_TO_DO if sign in message.lower()), "")
        raise LedgerError(f"{path}: {message}" + (f"; {advice}" if advice else "")) from error
    except ValueError as error:  # text that is not UTF-8, in a row or in SQLite's own message about it
        raise LedgerError(f"{path}: a value in it is not what was written ({error}); {_DAMAGED}") from error
