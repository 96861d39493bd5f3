"""Disks that are full, small, or not to be written to: a clear error, and nothing lost."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from orpheus_batch.errors import LedgerError
from orpheus_batch.ledger.records import Take
from orpheus_batch.ledger.store import LEDGER_NAME, Ledger
from orpheus_batch.testing import make_plan

FILL = """
import resource, signal, sys
from pathlib import Path
sys.path.insert(0, {here!r})
from test_ledger_disk import fill
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
print(*fill(Path(sys.argv[1])), sep="|")
"""


def take_of(segment_id, attempt=0):
    noise = np.random.default_rng(int(segment_id[:8], 16))
    tokens = noise.integers(0, 1 << 20, 7 * 300).astype(np.int32)
    return Take(segment_id, attempt, 0, tokens, "stop", "fake", (), 0.0, True, 3.0)


def fill(folder):
    """Record takes until the disk refuses; return how many were promised, and the refusal."""
    _, plans = make_plan([f"text {i}" for i in range(2000)])
    num_promised = 0
    with Ledger.open(folder) as ledger:
        ledger.record_plan(make_plan()[0], [], {}, {})
        try:
            ledger.record_plan(make_plan()[0], plans, {}, {})
            for segment in plans[0].segments:
                ledger.record_takes([take_of(segment.segment_id)], max_attempts=1)
                num_promised += 1
        except LedgerError as error:
            return num_promised, str(error)
    raise AssertionError("the disk took everything")


def check_kept(folder, num_promised):
    """Reopen with room to spare: all that was promised is there, and the run can go on."""
    with Ledger.open(folder) as ledger:
        assert [("ok",)] == ledger._database.rows("PRAGMA integrity_check")
        _, plans = make_plan([f"text {i}" for i in range(2000)])
        ledger.record_plan(make_plan()[0], plans, {}, {})
        assert num_promised == 2000 - len(ledger.pending())
        for segment in plans[0].segments[:num_promised]:
            np.testing.assert_array_equal(
                take_of(segment.segment_id).token_ids, ledger.chosen_take(segment.segment_id).token_ids
            )
        ledger.record_takes([take_of(plans[0].segments[-1].segment_id)], max_attempts=1)


@pytest.fixture
def small_disk(tmp_path):
    """A filesystem of 4 MB, where this process may mount one."""
    folder = tmp_path / "small"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting a small filesystem takes root")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"can't mount a small filesystem here: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk(small_disk):
    """ENOSPC in the middle of a run: the message names the file and the remedy; after making room every
    promised take is there and the next can be recorded."""
    num_promised, message = fill(small_disk / "book")
    assert num_promised > 0
    assert (
        f"{small_disk / 'book' / LEDGER_NAME}: database or disk is full; the disk is full: free some" in message
    )
    subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
    check_kept(small_disk / "book", num_promised)


def test_a_file_size_limit(tmp_path):
    """EFBIG, as `ulimit -f` gives it, needs no root to try; the error is another, the promise is not."""
    here = str(Path(__file__).parent)
    done = subprocess.run(
        [sys.executable, "-c", FILL.format(here=here), str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    num_promised, message = done.stdout.strip().split("|")
    assert f"{tmp_path / LEDGER_NAME}: " in message
    assert "run again" in message or "run the same command again" in message
    check_kept(tmp_path, int(num_promised))


def test_a_disk_that_was_full_for_a_moment(small_disk):
    """The same open ledger goes on once there is room: a failed transaction must not leave it stuck in one."""
    ballast = small_disk / "ballast"
    _, plans = make_plan(["a", "b"])
    a, b = (take_of(s.segment_id) for s in plans[0].segments)
    with Ledger.open(small_disk / "book") as ledger:
        ledger.record_plan(make_plan()[0], plans, {}, {})
        ledger.record_takes([a], max_attempts=1)
        with pytest.raises(OSError, match="No space"), ballast.open("wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass
        # Whatever room the log still has inside its last page runs out within a few plans.
        with pytest.raises(LedgerError, match="disk is full"):
            for i in range(100):
                ledger.record_plan(make_plan()[0], plans, {"x": "y" * 5000 * (i + 1)}, {})
        ballast.unlink()
        ledger.record_takes([b], max_attempts=1)
        assert [] == ledger.pending()
        np.testing.assert_array_equal(a.token_ids, ledger.chosen_take(a.segment_id).token_ids)


@pytest.fixture
def unwritable(tmp_path):
    """A folder with a ledger in it, that can't be written to."""
    folder = tmp_path / "unwritable"
    folder.mkdir()
    if os.geteuid() != 0:
        Ledger.open(folder).close()
        folder.chmod(0o500)
        for file in folder.iterdir():
            file.chmod(0o400)
        yield folder
        folder.chmod(0o700)
        return
    mounted = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip(f"root may write anywhere, and can't mount here: {mounted.stderr.decode().strip()}")
    Ledger.open(folder).close()
    subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_folder_that_cannot_be_written(unwritable):
    """A sentence, not a traceback; and what is there can still be looked at, though not even the file that
    SQLite's log wants beside the ledger can be made."""
    with pytest.raises(LedgerError, match=f"can't write to {unwritable}"):
        Ledger.open(unwritable)
    with pytest.raises(LedgerError, match="can't make the output folder"):
        Ledger.open(unwritable / "book")
    with Ledger.open(unwritable, read_only=True) as ledger:
        assert 0 == ledger.summary().num_places


def test_a_file_in_the_folders_place(tmp_path):
    """`-o` given a file by mistake."""
    (tmp_path / "out").write_text("mine")
    with pytest.raises(LedgerError, match="can't make the output folder"):
        Ledger.open(tmp_path / "out")
    assert "mine" == (tmp_path / "out").read_text()
