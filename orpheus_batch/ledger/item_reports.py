"""What a manifest says of items: read from the ledger a page at a time."""

import json
from collections.abc import Iterator, Sequence

from orpheus_batch.ledger.chapters import PLACED_SEGMENT_COLUMNS, placed_segment
from orpheus_batch.ledger.database import Database
from orpheus_batch.ledger.item_records import ItemPiece, ItemReport, ManifestRow, word_error_rate
from orpheus_batch.ledger.records import SegmentState

PAGE_ROWS = 1000
"""read at a time"""

FAILED = "WHERE i.state = 'failed' AND i.line IS NOT NULL ORDER BY i.number LIMIT ?"
WORST = """
    WHERE i.state = 'done' AND i.line IS NOT NULL ORDER BY (
        SELECT min(s.score) FROM places p JOIN segments s ON s.key = p.segment
        WHERE p.position >= i.number << 32 AND p.position < (i.number + 1) << 32), i.number LIMIT ?
"""
"""which items, and in what order, for `item_reports`"""


def manifest_rows(database: Database, source: int) -> Iterator[ManifestRow]:
    """Yield a source's rows in the order of its lines, bad ones too."""
    after = 0
    while True:
        rows = database.rows(
            """
            SELECT * FROM (
                SELECT line, item_id, text, state, number, file, voice, seed, temperature, duration_s,
                    loudness_db, num_words, num_wrong_words
                FROM items WHERE source = ?1 AND line > ?2 ORDER BY line LIMIT ?3)
            UNION ALL SELECT * FROM (
                SELECT line, item_id, text, reason, -1, NULL, '', NULL, NULL, NULL, NULL, NULL, NULL
                FROM bad_rows WHERE source = ?1 AND line > ?2 ORDER BY line LIMIT ?3)
            ORDER BY line LIMIT ?3
            """,
            (source, after, PAGE_ROWS),
        )
        if not rows:
            return
        after = rows[-1][0]
        found = pieces(database, [row[4] for row in rows if row[4] >= 0])
        tokens = _num_tokens(database, list(found))
        for line, item_id, text, state, number, *rest in rows:
            if number < 0:
                yield ManifestRow(line, item_id, text, "bad", state)
                continue
            file, voice, seed, temperature, duration_s, loudness_db, num_words, num_wrong_words = rest
            made = state != "planned"
            problems = [problem for piece in found[number] for problem in piece.problems]
            yield ManifestRow(
                line=line,
                item_id=item_id,
                text=text,
                status=state,
                reason="; ".join(problems) if state == "failed" else "",
                file=file if made and duration_s else None,
                voice=voice,
                seed=seed,
                temperature=temperature,
                duration_s=duration_s if made else None,
                num_tokens=tokens.get(number) if made else None,
                attempts=max((piece.num_takes for piece in found[number]), default=0),
                loudness_db=loudness_db if made else None,
                word_error_rate=word_error_rate(num_words, num_wrong_words) if made else None,
            )


def item_reports(database: Database, which: str, limit: int) -> list[ItemReport]:
    """Return items for people.

    Args:
        database: Only read.
        which: `FAILED` or `WORST`.
        limit: At most so many; -1: all.
    """
    rows = database.rows(
        f"""
        SELECT i.line, c.path, i.item_id, i.text, i.voice, i.file, i.num_bytes, h.name, i.num_words,
            i.num_wrong_words, i.number
        FROM items i JOIN sources c ON c.key = i.source LEFT JOIN shards h ON h.key = i.shard {which}
        """,
        (limit,),
    )
    found = pieces(database, [row[-1] for row in rows])
    reports = []
    for line, source, item_id, text, voice, file, num_bytes, shard, num_words, num_wrong, number in rows:
        reports.append(
            ItemReport(
                line=line,
                source=source,
                item_id=item_id,
                text=text,
                voice=voice,
                attempts=max((piece.num_takes for piece in found[number]), default=0),
                problems=tuple(problem for piece in found[number] for problem in piece.problems),
                score=min((piece.score for piece in found[number] if piece.score is not None), default=None),
                word_error_rate=word_error_rate(num_words, num_wrong),
                file=file if num_bytes is not None and shard is None else None,
                shard=shard,
            )
        )
    return reports


def _num_tokens(database: Database, numbers: Sequence[int]) -> dict[int, int]:
    """Return the tokens in the chosen takes of items; audio is 2,048 samples for seven."""
    rows = database.rows(
        """
        SELECT p.position >> 32, sum(s.num_audio_s) FROM json_each(?) CROSS JOIN places p
            ON p.position >= value << 32 AND p.position < (value + 1) << 32
        JOIN segments s ON s.key = p.segment GROUP BY 1
        """,
        (json.dumps(list(numbers)),),
    )
    return {number: round(audio_s * 24_000 / 2_048 * 7) for number, audio_s in rows}


def pieces(database: Database, numbers: Sequence[int]) -> dict[int, list[ItemPiece]]:
    """Return the segments of items, in order, by the items' numbers."""
    rows = database.rows(
        f"""
        SELECT {PLACED_SEGMENT_COLUMNS}, s.state, s.chosen, s.num_takes, s.failure, t.problems, s.score,
            s.num_audio_s, t.measurements, coalesce(t.seed_honoured, 1)
        FROM json_each(?) CROSS JOIN places p
            ON p.position >= value << 32 AND p.position < (value + 1) << 32
        JOIN segments s ON s.key = p.segment
        LEFT JOIN takes t ON t.segment = s.key AND t.attempt = s.chosen
        ORDER BY p.position
        """,
        (json.dumps(list(numbers)),),
    )
    found: dict[int, list[ItemPiece]] = {number: [] for number in numbers}
    with database.explained():
        for row in rows:
            segment = placed_segment(row)
            state, attempt, num_takes, failure, problems, score, audio_s, measured, honoured = row[-9:]
            why = (failure,) if failure else tuple(json.loads(problems or "[]"))
            found[segment.chapter_index].append(
                ItemPiece(
                    segment=segment,
                    state=SegmentState(state),
                    attempt=attempt,
                    num_takes=num_takes,
                    problems=why,
                    score=score,
                    num_audio_s=audio_s,
                    measurements=json.loads(measured or "{}"),
                    seed_honoured=bool(honoured),
                )
            )
    return found
