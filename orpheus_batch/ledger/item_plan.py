"""Puts items on the line and takes them off: their segments, their places, and the files that they had."""

import json
from collections.abc import Sequence

from orpheus_batch.errors import LedgerError
from orpheus_batch.ledger.database import Database
from orpheus_batch.ledger.item_records import ItemRecord


def plan_items(
    database: Database,
    source: int,
    epoch: int,
    met: Sequence[tuple[int, int]],
    planned: Sequence[ItemRecord],
    bad: Sequence[tuple[int, str, str, str]],
) -> None:
    """Record a stretch of a source, in one transaction; see `ItemLedger.plan_items`.

    Args:
        database: Not inside a transaction.
        source: Its key.
        epoch: Of this planning.
        met: Number and line of items that are as they were.
        planned: New ones and changed ones.
        bad: Line, id, text and reason of rows that can't be items.
    """
    with database.transaction():
        database.execute_many(
            "UPDATE items SET line = ?, epoch = ?, source = ? WHERE number = ?",
            ((line, epoch, source, number) for number, line in met),
        )
        changed = [item.number for item in planned]
        supersede(database, changed)
        remove_places(database, changed)
        database.execute_many(
            """
            INSERT OR REPLACE INTO items (number, item_id, row_sha256, text, voice, seed, temperature,
                format, file, split, extra, source, line, epoch)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            """,
            (
                (
                    i.number, i.item_id, i.row_sha256, i.text, i.voice, i.seed, i.temperature, i.format,
                    i.file, i.split, i.extra, source, i.line, epoch,
                )
                for i in planned
            ),
        )  # fmt: skip
        _insert_segments(database, planned)
        database.execute_many("INSERT INTO bad_rows VALUES (?, ?, ?, ?, ?)", ((source, *row) for row in bad))


def remove_places(database: Database, numbers: Sequence[int]) -> None:
    """Take items off the line; a segment that is said elsewhere too keeps its place there."""
    if not numbers:
        return
    database.execute("CREATE TEMP TABLE leaving (key INTEGER PRIMARY KEY)")
    spans = [(number << 32, (number + 1) << 32) for number in numbers]
    database.execute_many(
        "INSERT OR IGNORE INTO leaving SELECT segment FROM places WHERE position >= ? AND position < ?",
        spans,
    )
    database.execute_many("DELETE FROM places WHERE position >= ? AND position < ?", spans)
    database.execute(
        """
        UPDATE segments SET position = (SELECT min(position) FROM places WHERE segment = key)
        WHERE key IN (SELECT key FROM leaving)
        """
    )
    database.execute("DROP TABLE leaving")


def supersede(database: Database, numbers: Sequence[int]) -> None:
    """Note the files of items that are planned anew, to be removed if no item makes them again."""
    database.execute(
        """
        INSERT OR REPLACE INTO files (name, chapter_index, num_bytes, sha256, duration_s)
        SELECT file, NULL, num_bytes, sha256, duration_s FROM items
        WHERE number IN (SELECT value FROM json_each(?)) AND sha256 IS NOT NULL AND file IS NOT NULL
        """,
        (json.dumps(list(numbers)),),
    )


def _insert_segments(database: Database, planned: Sequence[ItemRecord]) -> None:
    placed = [((item.number << 32) + s.index, s) for item in planned for s in item.segments]
    try:
        database.execute_many(
            """
            INSERT INTO segments (segment_id, text, voice, seed, temperature, position)
            VALUES (?, ?, ?, ?, ?, ?)
            ON CONFLICT (segment_id) DO UPDATE SET
                text = iif((text, voice, seed) = (excluded.text, excluded.voice, excluded.seed), text, NULL),
                temperature = excluded.temperature,
                position = min(coalesce(position, excluded.position), excluded.position)
            """,
            ((s.segment_id, s.text, s.voice, s.seed, s.temperature, position) for position, s in placed),
        )
    except LedgerError as error:
        if "NOT NULL constraint failed: segments.text" in str(error):
            raise LedgerError(f"{database.path}: one segment id stands for two different texts") from error
        raise
    database.execute_many(
        "INSERT INTO places SELECT ?, key, ?, ?, ?, ? FROM segments WHERE segment_id = ?",
        ((position, s.start, s.end, s.boundary.value, s.pause_after_s, s.segment_id) for position, s in placed),
    )
