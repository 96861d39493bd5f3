"""Puts a book's plan into the ledger: what is said where, and what is left out.

Segments are content and stay for ever; places are the book as it is now and are replaced as a whole.
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any

from orpheus_batch.data import Book, ChapterPlan
from orpheus_batch.errors import LedgerError
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

    An unchanged plan is known by its digest and not written again, so a restart costs one pass over it.
    """
    digest = _plan_sha256(plans)
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
        "plan_sha256": digest,
    }
    with database.transaction():
        known = database.rows("SELECT value FROM facts WHERE name = 'plan_sha256'")
        database.execute_many(
            "INSERT OR REPLACE INTO facts VALUES (?, ?)",
            ((name, json.dumps(value, sort_keys=True)) for name, value in facts.items()),
        )
        _replace_skipped(database, book, plans)
        if known == [(json.dumps(digest),)]:
            ((num_places,),) = database.rows("SELECT count(*) FROM places")
            ((num_segments,),) = database.rows("SELECT count(*) FROM segments WHERE position IS NOT NULL")
            return PlanDiff(num_places, num_segments, num_new=0, num_kept=num_segments, num_dropped=0)
        return _replace_places(database, plans)


def _replace_places(database: Database, plans: Sequence[ChapterPlan]) -> PlanDiff:
    ((num_rows_before,),) = database.rows("SELECT count(*) FROM segments")
    database.execute("DELETE FROM places")
    database.execute("DELETE FROM chapters")
    # An id never changes its meaning: the assignment of NULL is refused by the column and ends the transaction.
    try:
        database.execute_many(
            """
            INSERT INTO segments (segment_id, text, voice, seed) VALUES (?, ?, ?, ?)
            ON CONFLICT (segment_id) DO UPDATE SET text = NULL
            WHERE (text, voice, seed) IS NOT (excluded.text, excluded.voice, excluded.seed)
            """,
            ((s.segment_id, s.text, s.voice, s.seed) for plan in plans for s in plan.segments),
        )
    except LedgerError as error:
        if "NOT NULL constraint failed: segments.text" in str(error):
            raise LedgerError(f"{database.path}: one segment id stands for two different texts") from error
        raise
    database.execute_many(
        """
        INSERT INTO places SELECT ?, ?, ?, key, ?, ?, ?, ? FROM segments WHERE segment_id = ?
        """,
        _place_rows(plans),
    )
    position = 0
    for plan in plans:
        database.execute(
            "INSERT INTO chapters VALUES (?, ?, ?, ?)",
            (plan.chapter_index, plan.title, position, len(plan.segments)),
        )
        position += len(plan.segments)
    ((num_dropped,),) = database.rows(
        """
        SELECT count(*) FROM segments
        WHERE position IS NOT NULL AND key NOT IN (SELECT segment FROM places)
        """
    )
    database.execute(
        """
        UPDATE segments SET position = (SELECT min(position) FROM places WHERE segment = key)
        WHERE position IS NOT (SELECT min(position) FROM places WHERE segment = key)
        """
    )
    gone = "chapter_index NOT IN (SELECT chapter_index FROM chapters)"
    database.execute(f"UPDATE files SET chapter_index = NULL WHERE {gone}")
    database.execute(f"DELETE FROM cues WHERE {gone}")
    database.execute(f"DELETE FROM encoded_chapters WHERE {gone}")
    ((num_rows,),) = database.rows("SELECT count(*) FROM segments")
    ((num_planned,),) = database.rows("SELECT count(*) FROM segments WHERE position IS NOT NULL")
    num_new = num_rows - num_rows_before
    return PlanDiff(position, num_planned, num_new, num_planned - num_new, num_dropped)


def _place_rows(plans: Sequence[ChapterPlan]) -> Iterator[tuple[Any, ...]]:
    segments = (segment for plan in plans for segment in plan.segments)
    for position, s in enumerate(segments):
        place = (position, s.chapter_index, s.index, s.start, s.end, s.boundary.value, s.pause_after_s)
        yield (*place, s.segment_id)


def _replace_skipped(database: Database, book: Book, plans: Sequence[ChapterPlan]) -> None:
    database.execute("DELETE FROM skipped")
    outside = ((s.start, s.end, s.reason, None) for s in book.skipped)
    inside = ((s.start, s.end, s.reason, p.chapter_index) for p in plans for s in p.skipped)
    database.execute_many("INSERT INTO skipped VALUES (?, ?, ?, ?)", outside)
    database.execute_many("INSERT INTO skipped VALUES (?, ?, ?, ?)", inside)


def _plan_sha256(plans: Sequence[ChapterPlan]) -> str:
    digest = hashlib.sha256()
    for plan in plans:
        digest.update(repr((plan.chapter_index, plan.title)).encode())
        for segment in plan.segments:
            digest.update(repr(dataclasses.astuple(segment)).encode())
    return digest.hexdigest()
