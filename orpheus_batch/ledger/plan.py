"""Puts a book's plan into the ledger: what is said where, and what is left out.

Segments are content and stay for ever; places are the book as it is now, replaced by the chapter.
"""

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from operator import attrgetter
from typing import Any

from orpheus_batch.data import Book, ChapterPlan, Segment
from orpheus_batch.errors import LedgerError
from orpheus_batch.ledger.chapters import position_range
from orpheus_batch.ledger.database import Database
from orpheus_batch.ledger.records import PlanDiff


def replace_plan(
    database: Database,
    book: Book,
    plans: Sequence[ChapterPlan],
    config: dict[str, Any],
    model: dict[str, Any],
) -> PlanDiff:
    """Replace the plan in one transaction; see `Ledger.record_plan`.

    A chapter that has not changed is known by its digest and not written again, so a restart costs one pass
    over the plan, and an edit costs its chapter.
    """
    facts = {
        "book": {
            "title": book.title,
            "author": book.author,
            "language": book.language,
            "source_path": book.source_path,
            "source_sha256": book.source_sha256,
            "num_source_chars": book.num_source_chars,
        },
        "config": config,
        "model": model,
    }
    with database.transaction():
        database.execute_many(
            "INSERT OR REPLACE INTO facts VALUES (?, ?)",
            ((name, json.dumps(value, sort_keys=True)) for name, value in facts.items()),
        )
        _replace_skipped(database, book, plans)
        ((num_rows_before,),) = database.rows("SELECT count(*) FROM segments")
        num_dropped = _replace_chapters(database, plans)
        ((num_rows,),) = database.rows("SELECT count(*) FROM segments")
        ((num_places,),) = database.rows("SELECT count(*) FROM places")
        ((num_planned,),) = database.rows("SELECT count(*) FROM segments WHERE position IS NOT NULL")
    num_new = num_rows - num_rows_before
    return PlanDiff(num_places, num_planned, num_new, num_planned - num_new, num_dropped)


def _replace_chapters(database: Database, plans: Sequence[ChapterPlan]) -> int:
    """Write the chapters that differ from what is there; return how many segments fell out of the plan."""
    known = dict(database.rows("SELECT chapter_index, plan_sha256 FROM chapters"))
    changed = []
    for plan in plans:
        digest = _plan_sha256(plan)
        if known.pop(plan.chapter_index, None) != digest:
            changed.append((plan, digest))
    database.execute("CREATE TEMP TABLE touched (key INTEGER PRIMARY KEY)")
    for chapter_index in (*known, *(plan.chapter_index for plan, _ in changed)):
        database.execute(
            "INSERT OR IGNORE INTO touched SELECT segment FROM places WHERE position >= ? AND position < ?",
            position_range(chapter_index),
        )
        database.execute(
            "DELETE FROM places WHERE position >= ? AND position < ?", position_range(chapter_index)
        )
        database.execute("DELETE FROM chapters WHERE chapter_index = ?", (chapter_index,))
    for chapter_index in known:
        database.execute("UPDATE files SET chapter_index = NULL WHERE chapter_index = ?", (chapter_index,))
        database.execute("DELETE FROM cues WHERE chapter_index = ?", (chapter_index,))
        database.execute("DELETE FROM encoded_chapters WHERE chapter_index = ?", (chapter_index,))
    database.execute(
        """
        UPDATE segments SET position = (SELECT min(position) FROM places WHERE segment = key)
        WHERE key IN (SELECT key FROM touched)
        """
    )
    for plan, digest in changed:
        _insert_chapter(database, plan, digest)
    ((num_dropped,),) = database.rows(
        "SELECT count(*) FROM touched JOIN segments USING (key) WHERE position IS NULL"
    )
    database.execute("DROP TABLE touched")
    return num_dropped


def _insert_chapter(database: Database, plan: ChapterPlan, digest: str) -> None:
    database.execute("INSERT INTO chapters VALUES (?, ?, ?)", (plan.chapter_index, plan.title, digest))
    first, _ = position_range(plan.chapter_index)
    try:
        # An id never changes its meaning: NULL is refused by the column and ends the transaction.
        database.execute_many(
            """
            INSERT INTO segments (segment_id, text, voice, seed, position) VALUES (?, ?, ?, ?, ?)
            ON CONFLICT (segment_id) DO UPDATE SET
                text = iif((text, voice, seed) = (excluded.text, excluded.voice, excluded.seed), text, NULL),
                position = min(coalesce(position, excluded.position), excluded.position)
            """,
            ((s.segment_id, s.text, s.voice, s.seed, first + s.index) for s in plan.segments),
        )
    except LedgerError as error:
        if "NOT NULL constraint failed: segments.text" in str(error):
            raise LedgerError(f"{database.path}: one segment id stands for two different texts") from error
        raise
    database.execute_many(
        "INSERT INTO places SELECT ?, key, ?, ?, ?, ? FROM segments WHERE segment_id = ?",
        (
            (first + s.index, s.start, s.end, s.boundary.value, s.pause_after_s, s.segment_id)
            for s in plan.segments
        ),
    )


def _replace_skipped(database: Database, book: Book, plans: Sequence[ChapterPlan]) -> None:
    database.execute("DELETE FROM skipped")
    outside = ((s.start, s.end, s.reason, None) for s in book.skipped)
    inside = ((s.start, s.end, s.reason, p.chapter_index) for p in plans for s in p.skipped)
    database.execute_many("INSERT INTO skipped VALUES (?, ?, ?, ?)", outside)
    database.execute_many("INSERT INTO skipped VALUES (?, ?, ?, ?)", inside)


def _plan_sha256(plan: ChapterPlan) -> str:
    fields = attrgetter(*(field.name for field in dataclasses.fields(Segment)))
    digest = hashlib.sha256(repr((plan.chapter_index, plan.title)).encode())
    for segment in plan.segments:
        digest.update(repr(fields(segment)).encode())
    return digest.hexdigest()
