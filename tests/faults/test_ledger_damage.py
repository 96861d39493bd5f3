"""A damaged ledger: noticed, named, mended where it can be, and never silently wrong."""

import random
import sqlite3
from functools import partial

import numpy as np
import pytest

from orpheus_batch.errors import LedgerError
from orpheus_batch.ledger.records import Take
from orpheus_batch.ledger.store import LEDGER_NAME, Ledger
from orpheus_batch.testing import make_plan


def take_of(segment_id, attempt=0, *, accepted=True):
    noise = np.random.default_rng(int(segment_id[:8], 16) + attempt)
    tokens = noise.integers(0, 1 << 17, 7 * 60).astype(np.int32)
    return Take(segment_id, attempt, attempt, tokens, "stop", "fake", (), 0.0, accepted, 5.0)


def filled(folder, texts):
    """A closed ledger with one accepted take for each text; returns the ids."""
    book, plans = make_plan(texts)
    segment_ids = [segment.segment_id for segment in plans[0].segments]
    with Ledger.open(folder) as ledger:
        ledger.record_plan(book, plans, {}, {})
        ledger.record_takes([take_of(segment_id) for segment_id in segment_ids], max_attempts=2)
    return segment_ids


def test_a_damaged_take_is_named_and_taken_again(tmp_path):
    """A flipped bit in one row: the error says which segment and which command mends it, the others are not
    touched, and after the retake the chapter can be stitched, though the bad row is still there."""
    good, bad = filled(tmp_path, ["good", "bad"])
    connection = sqlite3.connect(tmp_path / LEDGER_NAME)
    (rowid, blob) = connection.execute(
        "SELECT t.rowid, tokens FROM takes t JOIN segments s ON s.key = segment WHERE segment_id = ?", (bad,)
    ).fetchone()
    damaged = bytearray(blob)
    damaged[len(blob) // 2] ^= 4
    connection.execute("UPDATE takes SET tokens = ? WHERE rowid = ?", (bytes(damaged), rowid))
    connection.commit()
    connection.close()
    with Ledger.open(tmp_path) as ledger:
        np.testing.assert_array_equal(take_of(good).token_ids, ledger.chosen_take(good).token_ids)
        with pytest.raises(
            LedgerError, match=rf"segment {bad}, take 0: damaged tokens.*redo .* --segment {bad}"
        ):
            ledger.chosen_take(bad)
        assert 1 == ledger.request_retake(bad)
        assert ledger.chosen_take(bad) is None  # it must not be fallen back on
        ledger.record_takes([take_of(bad, 1, accepted=False), take_of(bad, 2, accepted=False)], max_attempts=2)
        assert 1 == ledger.chosen_take(bad).attempt
        assert [bad] == [failure.segment_id for failure in ledger.failures()]


def test_damaged_pages_never_give_wrong_tokens(tmp_path):
    """Bytes overwritten anywhere in the file: each read gives the right tokens or an error, never other tokens,
    and never an error of another kind, which would reach the user as a traceback."""
    segment_ids = filled(tmp_path / "whole", [f"text {i}" for i in range(40)])
    whole = (tmp_path / "whole" / LEDGER_NAME).read_bytes()
    random_ = random.Random(0)
    num_errors = 0
    for number in range(150):
        folder = tmp_path / f"{number}"
        folder.mkdir()
        damaged = bytearray(whole)
        at = random_.randrange(len(whole))
        damaged[at : at + 16] = random_.randbytes(len(damaged[at : at + 16]))
        (folder / LEDGER_NAME).write_bytes(damaged)
        try:
            ledger = Ledger.open(folder)
        except LedgerError:
            num_errors += 1
            continue
        with ledger:
            for segment_id in segment_ids:
                try:
                    take = ledger.chosen_take(segment_id)
                except LedgerError:
                    num_errors += 1
                    continue
                if take is not None:
                    np.testing.assert_array_equal(take_of(segment_id, take.attempt).token_ids, take.token_ids)
            pieces = partial(ledger.chapter_pieces, 0)
            for read in (
                ledger.summary,
                ledger.chapters,
                ledger.pending,
                ledger.suspects,
                ledger.facts,
                pieces,
            ):
                try:
                    read()
                except LedgerError:
                    num_errors += 1
    assert num_errors > 50  # the damage was not all in unused space


@pytest.mark.parametrize("content", [b"not a database at all" * 100, b"\0" * 5000], ids=["text", "zeros"])
def test_a_file_that_is_no_database_is_not_overwritten(tmp_path, content):
    """The message says what to do; the file stays for whoever can save it."""
    (tmp_path / LEDGER_NAME).write_bytes(content)
    for read_only in (False, True):
        with pytest.raises(LedgerError, match="move it away"):
            Ledger.open(tmp_path, read_only=read_only)
    assert content == (tmp_path / LEDGER_NAME).read_bytes()


def test_a_truncated_file_is_noticed(tmp_path):
    """Half a copy, as an interrupted transfer leaves it."""
    filled(tmp_path, [f"text {i}" for i in range(40)])
    path = tmp_path / LEDGER_NAME
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(LedgerError, match=r"malformed.*\.recover"), Ledger.open(tmp_path) as ledger:
        ledger.chapter_pieces(0)
