"""A segment's takes: how one is kept, which one is heard, and when a segment is settled.

All functions but `read_take` are to be called inside a transaction. Keys are rows of ``segments``.
"""

import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from orpheus_batch.errors import LedgerError
from orpheus_batch.ledger.database import Database
from orpheus_batch.ledger.records import SegmentState, Take
from orpheus_batch.ledger.token_blob import decode_tokens, encode_tokens, take_sha256

TAKE_COLUMNS = """
    t.attempt, t.seed, t.finish_reason, t.engine, t.problems, t.score, t.accepted, t.num_audio_s,
    t.measurements, t.seed_honoured, t.sha256, t.tokens
"""
"""of ``takes t``, as `read_take` wants them"""


def insert_take(database: Database, key: int, take: Take) -> None:
    """Add a take; leave an equal one that is there already.

    Raises:
        LedgerError: Another take has this number, or its ids or score can't be kept.
    """
    if math.isnan(take.score):
        raise LedgerError(f"segment {take.segment_id}, take {take.attempt}: its score is not a number")
    sha256 = take_sha256(take.segment_id, take.attempt, take.token_ids)
    is_new = database.execute(
        "INSERT INTO takes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
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
            bool(take.seed_honoured),
        ),
    )
    if is_new:
        return
    known = database.rows(
        "SELECT sha256, seed, finish_reason FROM takes WHERE segment = ? AND attempt = ?",
        (key, take.attempt),
    )
    if known != [(sha256, take.seed, take.finish_reason)]:
        raise LedgerError(
            f"{database.path}: segment {take.segment_id} already has another take {take.attempt}, "
            "and a recorded take is never changed"
        )


def settle(database: Database, key: int, max_attempts: int | None) -> SegmentState:
    """Work out of a segment's takes its state and the take to hear; write both and return the state.

    Args:
        database: Inside a transaction.
        key: The segment's.
        max_attempts: Tries before it is settled without an accepted take; None: it stays pending.
    """
    ((retake_from,),) = database.rows("SELECT retake_from FROM segments WHERE key = ?", (key,))
    takes = [
        _Outcome(*row)
        for row in database.rows(
            "SELECT attempt, accepted, score, num_audio_s FROM takes WHERE segment = ? ORDER BY attempt", (key,)
        )
    ]
    num_takes = takes[-1].attempt + 1 if takes else 0
    is_exhausted = max_attempts is not None and num_takes - retake_from >= max_attempts
    state = SegmentState.PENDING
    if any(take.accepted and (is_exhausted or take.attempt >= retake_from) for take in takes):
        state = SegmentState.ACCEPTED
    elif is_exhausted:
        state = SegmentState.FAILED
    best = max((take for take in takes if take.num_audio_s > 0), key=_rank, default=None)
    database.execute(
        """
        UPDATE segments SET state = ?, failure = '', num_takes = ?, chosen = ?, score = ?, num_audio_s = ?
        WHERE key = ?
        """,
        (
            state.value,
            num_takes,
            *((best.attempt, best.score, best.num_audio_s) if best else (None, None, 0.0)),
            key,
        ),
    )
    return state


@dataclass(frozen=True, slots=True)
class _Outcome:
    attempt: int
    accepted: int
    score: float
    num_audio_s: float


def _rank(take: _Outcome) -> tuple[bool, float, int]:
    """Order takes: the newest accepted one first, then by score, then the earliest."""
    return (True, 0.0, take.attempt) if take.accepted else (False, take.score, -take.attempt)


def set_damaged_aside(database: Database, key: int) -> None:
    """Take from a segment's choice what can't be read any more; the tokens stay as they are found."""
    for take_id, segment_id, attempt, sha256, blob in database.rows(
        """
        SELECT t.rowid, s.segment_id, t.attempt, t.sha256, t.tokens
        FROM takes t JOIN segments s ON s.key = t.segment WHERE s.key = ?
        """,
        (key,),
    ):
        try:
            _intact_tokens(segment_id, attempt, sha256, blob)
        except LedgerError as error:
            database.execute(
                "UPDATE takes SET accepted = 0, num_audio_s = 0, problems = ? WHERE rowid = ?",
                (json.dumps([str(error)]), take_id),
            )


def read_take(database: Database, segment_id: str, row: tuple[Any, ...]) -> Take:
    """Build a take of the segment that was asked for, of a row of `TAKE_COLUMNS`.

    Raises:
        LedgerError: The row is not what was written; says how to make another.
    """
    attempt, seed, finish, engine, problems, score, accepted, audio_s, extra, honoured, sha256, blob = row
    try:
        return Take(
            segment_id=segment_id,
            attempt=attempt,
            seed=seed,
            token_ids=_intact_tokens(segment_id, attempt, sha256, blob),
            finish_reason=finish,
            engine=engine,
            problems=tuple(json.loads(problems)),
            score=score,
            accepted=bool(accepted),
            num_audio_s=audio_s,
            measurements=json.loads(extra),
            seed_honoured=bool(honoured),
        )
    except (LedgerError, ValueError) as error:
        raise LedgerError(
            f"{database.path}: segment {segment_id}, take {attempt}: {error}; make another with "
            f"`orpheus-batch redo {database.path.parent} --segment {segment_id}`"
        ) from error


def _intact_tokens(segment_id: str, attempt: int, sha256: bytes, blob: bytes) -> np.ndarray:
    token_ids = decode_tokens(blob)
    if take_sha256(segment_id, attempt, token_ids) != sha256:
        raise LedgerError("damaged tokens: the checksum differs")
    return token_ids
