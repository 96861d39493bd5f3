"""What people ask a ledger: how far a book is, what failed, what may sound wrong and where to hear it.

Reads only; no take's tokens are touched.
"""

import json
from collections.abc import Iterable
from typing import Any

from orpheus_batch.data import Boundary
from orpheus_batch.ledger.database import Database
from orpheus_batch.ledger.records import RunSummary, SegmentReport, SegmentState
from orpheus_batch.units import samples_to_seconds

_SEGMENT_REPORT = """
    SELECT s.segment_id, c.chapter_index, c.title, p.position & 0xFFFFFFFF, p.boundary, s.text, s.state,
        s.chosen, s.num_takes, s.score, s.failure, t.problems, q.start_sample
    FROM segments s
    JOIN places p ON p.position = s.position
    JOIN chapters c ON c.chapter_index = p.position >> 32
    LEFT JOIN takes t ON t.segment = s.key AND t.attempt = s.chosen
    LEFT JOIN cues q
        ON q.chapter_index = c.chapter_index AND q.segment_index = p.position & 0xFFFFFFFF
"""


def run_summary(database: Database) -> RunSummary:
    """Return where the book stands."""
    with database.snapshot():
        facts = database.rows("SELECT value FROM facts WHERE name = 'book'")
        with database.explained():
            book = json.loads(facts[0][0]) if facts else {"title": "", "author": ""}
        states = dict(
            database.rows("SELECT state, count(*) FROM segments WHERE position IS NOT NULL GROUP BY state")
        )
        ((num_takes,),) = database.rows(
            "SELECT coalesce(sum(num_takes), 0) FROM segments WHERE position IS NOT NULL"
        )
        ((num_places, num_audio_s),) = database.rows(
            """
            SELECT count(*), coalesce(sum(s.num_audio_s), 0.0)
            FROM places p JOIN segments s ON s.key = p.segment
            """
        )
        ((num_chapters,),) = database.rows("SELECT count(*) FROM chapters")
        ((num_encoded,),) = database.rows("SELECT count(*) FROM encoded_chapters")
        ((num_skipped,),) = database.rows("SELECT coalesce(sum(source_end - source_start), 0) FROM skipped")
    return RunSummary(
        title=book["title"],
        author=book["author"],
        num_chapters=num_chapters,
        num_chapters_encoded=num_encoded,
        num_places=num_places,
        num_segments=sum(states.values()),
        num_accepted=states.get(SegmentState.ACCEPTED.value, 0),
        num_failed=states.get(SegmentState.FAILED.value, 0),
        num_pending=states.get(SegmentState.PENDING.value, 0),
        num_takes=num_takes,
        num_audio_s=num_audio_s,
        num_skipped_chars=num_skipped,
    )


def failed_segments(database: Database) -> list[SegmentReport]:
    """Return every failed segment of the plan, in plan order."""
    return _reports(database, "WHERE s.state = 'failed' AND s.position IS NOT NULL ORDER BY s.position", ())


def worst_segments(database: Database, limit: int) -> list[SegmentReport]:
    """Return settled segments, the worst score first; those without any audio lead."""
    where = "WHERE s.state <> 'pending' AND s.position IS NOT NULL ORDER BY s.score, s.position LIMIT ?"
    return _reports(database, where, (limit,))


def matching_segments(database: Database, id_prefix: str, text: str, limit: int) -> list[SegmentReport]:
    """Return segments of the plan whose id starts so and whose text contains ``text``, in plan order."""
    where = """
        WHERE s.position IS NOT NULL AND substr(s.segment_id, 1, ?) = ? AND instr(s.text, ?) > 0
        ORDER BY s.position LIMIT ?
    """
    return _reports(database, where, (len(id_prefix), id_prefix, text, limit))


def _reports(database: Database, where: str, parameters: Iterable[Any]) -> list[SegmentReport]:
    rows = database.rows(_SEGMENT_REPORT + where, parameters)
    with database.explained():
        return [_report(row) for row in rows]


def _report(row: tuple[Any, ...]) -> SegmentReport:
    segment_id, chapter_index, title, segment_index, boundary, text, state, *of_take = row
    attempt, num_takes, score, failure, problems, start_sample = of_take
    return SegmentReport(
        segment_id=segment_id,
        chapter_index=chapter_index,
        chapter_title=title,
        segment_index=segment_index,
        boundary=Boundary(boundary),
        text=text,
        state=SegmentState(state),
        attempt=attempt,
        num_takes=num_takes,
        score=score,
        problems=(failure,) if failure else tuple(json.loads(problems or "[]")),
        start_s=None if start_sample is None else samples_to_seconds(start_sample),
    )
