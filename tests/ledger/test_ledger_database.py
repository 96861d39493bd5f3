"""The file itself: where it lies, how it is opened, and its schema's versions."""

import shutil
import sqlite3
from pathlib import Path

import pytest

from orpheus_batch.errors import LedgerError
from orpheus_batch.ledger import database, migrations
from orpheus_batch.ledger.database import filesystem_type
from orpheus_batch.ledger.migrations import MIGRATIONS, Migration
from orpheus_batch.ledger.store import LEDGER_NAME, Ledger
from orpheus_batch.testing import make_plan


def journal_mode(ledger):
    return ledger._database.rows("PRAGMA journal_mode")[0][0]


def user_version(folder):
    connection = sqlite3.connect(folder / LEDGER_NAME)
    try:
        return connection.execute("PRAGMA user_version").fetchone()[0]
    finally:
        connection.close()


def test_the_filesystem_is_that_of_the_longest_mount_point(tmp_path):
    """/data/nfs2 does not lie under /data/nfs; blanks in mount points come as octal."""
    mounts = tmp_path / "mounts"
    mounts.write_text(
        "/dev/vda / ext4 rw 0 0\nserver:/x /data/nfs nfs4 rw 0 0\ntmpfs /data/nfs/tmp tmpfs rw 0 0\n"
        "u@h: /data/my\\040books fuse.sshfs rw 0 0\n"
    )
    cases = {
        "/data": "ext4",
        "/data/nfs": "nfs4",
        "/data/nfs/a/b": "nfs4",
        "/data/nfs2/a": "ext4",
        "/data/nfs/tmp/x": "tmpfs",
        "/data/my books/x": "fuse.sshfs",
    }
    assert cases == {folder: filesystem_type(Path(folder), mounts) for folder in cases}
    assert "" == filesystem_type(Path("/data"), tmp_path / "missing")


def test_a_local_ledger_has_a_write_ahead_log(tmp_path):
    """So that `status` reads beside a run without either waiting."""
    with Ledger.open(tmp_path) as ledger:
        assert "wal" == journal_mode(ledger)


def test_a_ledger_on_a_network_filesystem_has_a_rollback_journal(tmp_path, monkeypatch):
    """A write-ahead log needs memory shared by all its processes, which hosts do not share. A ledger that moved
    there is converted, and a reader still works beside the writer."""
    Ledger.open(tmp_path).close()
    monkeypatch.setattr(database, "filesystem_type", lambda folder: "nfs4")
    with Ledger.open(tmp_path) as ledger:
        assert "truncate" == journal_mode(ledger)
        ledger.record_plan(*make_plan(["a", "b"]), {}, {})
        with Ledger.open(tmp_path, read_only=True) as reader:
            assert 2 == reader.summary().num_places
            ledger.record_plan(*make_plan(["a", "b", "c"]), {}, {})
            assert 3 == reader.summary().num_places
    assert not (tmp_path / f"{LEDGER_NAME}-wal").exists()


def test_commits_are_synced(tmp_path):
    """NORMAL would lose the last transactions to a power cut: takes that were reported as recorded."""
    with Ledger.open(tmp_path) as ledger:
        assert [(2,)] == ledger._database.rows("PRAGMA synchronous")


def test_reading_what_is_not_there_makes_nothing(tmp_path):
    """`status` on a wrong folder must not leave a ledger behind."""
    with pytest.raises(LedgerError, match="nothing was rendered there"):
        Ledger.open(tmp_path, read_only=True)
    assert [] == list(tmp_path.iterdir())


def test_a_reader_cannot_write(tmp_path):
    """By SQLite's own refusal, not by good manners."""
    Ledger.open(tmp_path).close()
    with Ledger.open(tmp_path, read_only=True) as ledger, pytest.raises(LedgerError, match="readonly"):
        ledger.set_override("a", "b")


def test_another_sqlite_file_is_left_alone(tmp_path):
    """A table of somebody else's must not be migrated into a ledger."""
    connection = sqlite3.connect(tmp_path / LEDGER_NAME)
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    for read_only in (False, True):
        with pytest.raises(LedgerError, match="not a ledger of this program"):
            Ledger.open(tmp_path, read_only=read_only)
    connection = sqlite3.connect(tmp_path / LEDGER_NAME)
    assert [("theirs",)] == connection.execute("SELECT name FROM sqlite_master").fetchall()
    connection.close()


def test_a_newer_ledger_asks_for_an_upgrade(tmp_path):
    """And stays as it is."""
    Ledger.open(tmp_path).close()
    connection = sqlite3.connect(tmp_path / LEDGER_NAME)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    for read_only in (False, True):
        with pytest.raises(LedgerError, match=r"schema 99.*upgrade orpheus-batch"):
            Ledger.open(tmp_path, read_only=read_only)


def test_an_older_ledger_is_upgraded_with_its_rows(tmp_path, monkeypatch):
    """Each step leaves a record; a reader, who can't upgrade, says who can."""
    with Ledger.open(tmp_path) as ledger:
        ledger.record_plan(*make_plan(["a"]), {}, {})
    step = Migration("add a column", ("ALTER TABLE chapters ADD COLUMN mood TEXT",))
    monkeypatch.setattr(migrations, "MIGRATIONS", (*MIGRATIONS, step))
    monkeypatch.setattr("orpheus_batch.ledger.store.MIGRATIONS", (*MIGRATIONS, step))
    with pytest.raises(LedgerError, match="older release"):
        Ledger.open(tmp_path, read_only=True)
    with Ledger.open(tmp_path) as ledger:
        assert 1 == ledger.summary().num_places
        expected = [(i + 1, m.description) for i, m in enumerate((*MIGRATIONS, step))]
        assert expected == ledger._database.rows("SELECT * FROM migrations ORDER BY version")


def test_a_migration_that_fails_leaves_the_version_before_it(tmp_path, monkeypatch):
    """Its first statement is undone with it: half a step would fail for ever after."""
    Ledger.open(tmp_path).close()
    broken = Migration("break", ("CREATE TABLE half (x)", "CREATE TABLE half (x)"))
    monkeypatch.setattr(migrations, "MIGRATIONS", (*MIGRATIONS, broken))
    with pytest.raises(LedgerError, match="already exists"):
        Ledger.open(tmp_path)
    assert len(MIGRATIONS) == user_version(tmp_path)
    monkeypatch.setattr(migrations, "MIGRATIONS", MIGRATIONS)
    with Ledger.open(tmp_path) as ledger:
        assert [] == ledger._database.rows("SELECT 1 FROM sqlite_master WHERE name = 'half'")


def test_a_folder_with_odd_characters_works(tmp_path):
    """The path goes into a URI, where ? and # and % mean something."""
    folder = tmp_path / "What? #1 100% “done”"
    with Ledger.open(folder) as ledger:
        ledger.record_plan(*make_plan(["a"]), {}, {})
    assert (folder / LEDGER_NAME).is_file()
    with Ledger.open(folder, read_only=True) as ledger:
        assert 1 == ledger.summary().num_places


def test_a_copied_ledger_is_whole(tmp_path):
    """A clean end leaves one file with everything in it, so that copying a folder copies the work."""
    with Ledger.open(tmp_path / "one") as ledger:
        ledger.record_plan(*make_plan(["a"]), {}, {})
    (tmp_path / "two").mkdir()
    shutil.copy(tmp_path / "one" / LEDGER_NAME, tmp_path / "two" / LEDGER_NAME)
    with Ledger.open(tmp_path / "two", read_only=True) as ledger:
        assert 1 == ledger.summary().num_places
