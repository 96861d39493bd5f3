"""One writer a folder, readers beside it, and no stale lock."""

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from orpheus_batch.errors import LedgerError
from orpheus_batch.ledger.lock import LOCK_NAME, holder
from orpheus_batch.ledger.store import Ledger

HOLD = """
import sys, time
from pathlib import Path
from orpheus_batch.ledger.store import Ledger
with Ledger.open(Path(sys.argv[1])):
    print("open", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def other_writer(tmp_path):
    """Another process that holds the ledger of ``tmp_path``."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert "open\n" == process.stdout.readline()
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_writer_is_refused_by_name(tmp_path, other_writer):
    """The message says which process to wait for; the first one keeps its lock and its signature."""
    for _ in range(2):
        with pytest.raises(LedgerError, match=rf"being written by process {other_writer.pid} on "):
            Ledger.open(tmp_path)
    assert f"process {other_writer.pid} on" in holder(tmp_path)


def test_a_reader_works_beside_a_writer(tmp_path, other_writer):
    """`status` during a run; and reading does not disturb the lock."""
    with Ledger.open(tmp_path, read_only=True) as ledger:
        assert 0 == ledger.summary().num_places
    with pytest.raises(LedgerError, match="being written"):
        Ledger.open(tmp_path)


def test_a_killed_writer_leaves_no_lock(tmp_path, other_writer):
    """The file is still there and still names the dead process; that is no obstacle."""
    other_writer.send_signal(signal.SIGKILL)
    other_writer.wait()
    assert (tmp_path / LOCK_NAME).read_text().startswith(str(other_writer.pid))
    assert holder(tmp_path) is None
    with Ledger.open(tmp_path) as ledger:
        assert [] == ledger.pending()
        assert f"process {os.getpid()} on" in holder(tmp_path)


def test_a_closed_ledger_is_free(tmp_path):
    """Also for the same process, and also after an error inside."""
    with pytest.raises(KeyError), Ledger.open(tmp_path):
        raise KeyError
    with Ledger.open(tmp_path), pytest.raises(LedgerError, match=rf"process {os.getpid()}"):
        Ledger.open(tmp_path)
    assert holder(tmp_path) is None


def test_a_forked_child_does_not_keep_the_lock(tmp_path):
    """A pool's worker inherits open files. If it kept the lock, a killed run could not be resumed while one of
    its encoders was still alive."""
    ledger = Ledger.open(tmp_path)
    child = os.fork()
    if child == 0:
        time.sleep(60)
        os._exit(0)
    try:
        with pytest.raises(LedgerError, match="being written"):  # the child has not given the lock away
            Ledger.open(tmp_path)
        ledger.close()
        Ledger.open(tmp_path).close()
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_asking_who_writes_does_not_turn_a_writer_away(tmp_path):
    """A reader's question takes the lock for an instant; a writer that starts just then must outwait it."""
    Ledger.open(tmp_path).close()
    reader = (tmp_path / LOCK_NAME).open()
    fcntl.flock(reader, fcntl.LOCK_SH)
    release = threading.Timer(0.05, reader.close)
    release.start()
    Ledger.open(tmp_path).close()
    release.join()
