"""A segment's takes: how one is kept, which one is heard, and when a segment is settled.

All functions but `read_take` are to be called inside a transaction. Keys are rows of ``segments``.
"""

import json
import math
from typing import Any

from orpheus_batch.errors import LedgerError
from orpheus_batch.ledger.database import Database
from orpheus_batch.ledger.records import SegmentState, Take
from orpheus_batch.ledger.token_blob import decode_tokens, encode_tokens, tokens_sha256

TAKE_COLUMNS = """
    s.segment_id, t.attempt, t.seed, t.finish_reason, t.engine, t.problems, t.score, t.accepted, t.num_audio_s,
    t.measurements, t.tokens_sha256, t.tokens
"""
"""of ``takes t`` and ``segments s``, as `read_take` wants them"""

_BEST_FIRST = "accepted DESC, CASE WHEN accepted THEN attempt END DESC, score DESC, attempt"
"""the newest accepted take, else the best score, else the earliest"""


def insert_take(database: Database, key: int, take: Take) -> None:
    """Add a take; leave an equal one that is there already.

    Raises:
        LedgerError: Another take has this number, or its ids or score can't be kept.
    """
    if math.isnan(take.score):
        raise LedgerError(f"segment {take.segment_id}, take {take.attempt}: its score is not a number")
    sha256 = tokens_sha256(take.token_ids)
    known = database.rows(
        "SELECT tokens_sha256, seed, finish_reason FROM takes WHERE segment = ? AND attempt = ?",
        (key, take.attempt),
    )
    if known == [(sha256, take.seed, take.finish_reason)]:
        return
    if known:
        raise LedgerError(
            f"{database.path}: segment {take.segment_id} already has another take {take.attempt}, "
            "and a recorded take is never changed"
        )
    database.execute(
        "INSERT INTO takes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            key,
            take.attempt,
            int(take.seed),  # numpy's scalars, which SQLite does not take, are as good
            bool(take.accepted),
            float(take.score),
            float(take.num_audio_s),
            take.finish_reason,
            take.engine,
            json.dumps(take.problems),
            json.dumps(take.measurements, sort_keys=True),
            sha256,
            encode_tokens(take.token_ids),
        ),
    )
    database.execute("UPDATE segments SET num_takes = max(num_takes, ?) WHERE key = ?", (take.attempt + 1, key))


def settle(database: Database, key: int, max_attempts: int) -> SegmentState:
    """Work a segment's state out of its takes, write it, and return it."""
    ((num_tries, num_fresh, num_accepted),) = database.rows(
        """
        SELECT s.num_takes - s.retake_from, coalesce(sum(t.accepted AND t.attempt >= s.retake_from), 0),
            coalesce(sum(t.accepted), 0)
        FROM segments s LEFT JOIN takes t ON t.segment = s.key WHERE s.key = ?
        """,
        (key,),
    )
    state = SegmentState.PENDING
    if num_fresh or (num_accepted and num_tries >= max_attempts):
        state = SegmentState.ACCEPTED
    elif num_tries >= max_attempts:
        state = SegmentState.FAILED
    database.execute("UPDATE segments SET state = ?, failure = '' WHERE key = ?", (state.value, key))
    choose(database, key)
    return state


def choose(database: Database, key: int) -> None:
    """Point a segment at its best take with any audio in it."""
    best = database.rows(
        f"""
        SELECT attempt, score, num_audio_s FROM takes
        WHERE segment = ? AND num_audio_s > 0 ORDER BY {_BEST_FIRST} LIMIT 1
        """,
        (key,),
    )
    database.execute(
        "UPDATE segments SET chosen = ?, score = ?, num_audio_s = ? WHERE key = ?",
        (*(best[0] if best else (None, None, 0.0)), key),
    )


def set_damaged_aside(database: Database, key: int) -> None:
    """Take from a segment's choice what can't be read any more; the rows stay as they are found."""
    for take_id, attempt, blob, sha256 in database.rows(
        "SELECT rowid, attempt, tokens, tokens_sha256 FROM takes WHERE segment = ?", (key,)
    ):
        try:
            decode_tokens(blob, sha256)
        except LedgerError as error:
            database.execute(
                "UPDATE takes SET accepted = 0, num_audio_s = 0, problems = ? WHERE rowid = ?",
                (json.dumps([f"take {attempt}: {error}"]), take_id),
            )


def read_take(database: Database, row: tuple[Any, ...]) -> Take:
    """Build a take of a row of `TAKE_COLUMNS`.

    Raises:
        LedgerError: The row is not what was written; says how to make another.
    """
    segment_id, attempt, seed, finish, engine, problems, score, accepted, audio_s, extra, sha256, blob = row
    try:
        return Take(
            segment_id=segment_id,
            attempt=attempt,
            seed=seed,
            token_ids=decode_tokens(blob, sha256),
            finish_reason=finish,
            engine=engine,
            problems=tuple(json.loads(problems)),
            score=score,
            accepted=bool(accepted),
            num_audio_s=audio_s,
            measurements=json.loads(extra),
        )
    except (LedgerError, ValueError) as error:
        raise LedgerError(
            f"{database.path}: segment {segment_id}, take {attempt}: {error}; make another with "
            f"`orpheus-batch redo {database.path.parent} --segment {segment_id}`"
        ) from error
