"""The ledger: one SQLite file in a book's output folder that knows what is planned, made, judged and finished.

Every public method that writes is one transaction. A take, once recorded, is never changed and never deleted.
How audio is made, judged or encoded is not known here, and no time of day is kept: nothing that comes out of a
ledger depends on when it went in.
"""

import hashlib
import json
import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from orpheus_batch.data import Book, Boundary, ChapterPlan, Cue, Segment
from orpheus_batch.errors import LedgerError
from orpheus_batch.fingerprint import sha256_file
from orpheus_batch.ledger import reports
from orpheus_batch.ledger.database import Database
from orpheus_batch.ledger.lock import FolderLock
from orpheus_batch.ledger.migrations import MIGRATIONS, check_version, migrate
from orpheus_batch.ledger.plan import replace_plan
from orpheus_batch.ledger.records import (
    ChapterRow,
    EncodedChapter,
    EncodedFile,
    PendingSegment,
    Piece,
    PlanDiff,
    RunSummary,
    SegmentReport,
    SegmentState,
    Take,
)
from orpheus_batch.ledger.token_blob import decode_tokens, encode_tokens, tokens_sha256

LEDGER_NAME = "ledger.sqlite"

_PLACED_SEGMENT = """
    s.segment_id, p.chapter_index, p.segment_index, s.text, s.voice, p.boundary, p.pause_after_s,
    p.source_start, p.source_end, s.seed
"""
_TAKE = """
    s.segment_id, t.attempt, t.seed, t.finish_reason, t.engine, t.problems, t.score, t.accepted, t.num_audio_s,
    t.measurements, t.tokens_sha256, t.tokens
    FROM takes t JOIN segments s ON s.key = t.segment
"""
_BEST_TAKE = "accepted DESC, CASE WHEN accepted THEN attempt END DESC, score DESC, attempt"
"""the newest accepted take, else the best score, else the earliest"""


class Ledger:
    """One book's ledger. Use as a context manager; not for several threads, and not across a fork."""

    def __init__(self, folder: Path, database: Database, lock: FolderLock | None):
        self.folder = folder
        self._database = database
        self._lock = lock

    @classmethod
    def open(cls, folder: Path, *, read_only: bool = False) -> "Ledger":
        """Open the ledger of ``folder``; for writing, make folder and ledger where they are missing.

        Args:
            folder: The book's output folder.
            read_only: Look without writing, also while another process writes.

        Raises:
            LedgerError: Another process writes here (named by its pid), the folder can't be written, the
                file is damaged or is not a ledger, a newer release wrote it, or there is none to read.
        """
        path = folder / LEDGER_NAME
        if read_only:
            if not path.is_file():
                raise LedgerError(f"there is no {LEDGER_NAME} in {folder}: nothing was rendered there")
            database = Database.open(path, read_only=True)
            try:
                if check_version(database) < len(MIGRATIONS):
                    raise LedgerError(f"{path} was written by an older release; `render` again to upgrade it")
            except LedgerError:
                database.close()
                raise
            return cls(folder, database, None)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LedgerError(f"can't make the output folder {folder}: {error.strerror}") from error
        lock = FolderLock(folder)
        lock.acquire()
        try:
            is_new = not path.exists()
            database = Database.open(path, read_only=False)
            try:
                migrate(database)
                if is_new:
                    _sync_folder(folder)
            except LedgerError:
                database.close()
                raise
        except LedgerError:
            lock.release()
            raise
        return cls(folder, database, lock)

    def close(self) -> None:
        """Close the file and give the lock back."""
        try:
            self._database.close()
        finally:
            if self._lock is not None:
                self._lock.release()

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Plan

    def record_plan(
        self, book: Book, plans: Sequence[ChapterPlan], config: dict[str, Any], model: dict[str, Any]
    ) -> PlanDiff:
        """Replace the book's plan, its metadata and the resolved configuration. Takes stay whatever it drops.

        Args:
            book: Its metadata and what lies outside chapters is kept, its text is not.
            plans: In reading order.
            config: The resolved configuration, as JSON values.
            model: What identifies the model, as JSON values.

        Raises:
            LedgerError: It can't be written, or one segment id stands for two texts.
        """
        return replace_plan(self._database, book, plans, config, model)

    def facts(self) -> dict[str, Any]:
        """Return what was recorded beside the plan: "book", "config", "model", "plan_sha256"."""
        return {name: json.loads(value) for name, value in self._database.rows("SELECT * FROM facts")}

    def set_override(self, text: str, spoken: str) -> None:
        """Speak ``spoken`` wherever this book's plan says ``text``, from the next plan on.

        ``text`` may itself be the result of an earlier override, which then leads to the new words.
        """
        with self._database.transaction():
            self._database.execute("UPDATE overrides SET spoken = ? WHERE spoken = ?", (spoken, text))
            self._database.execute("INSERT OR REPLACE INTO overrides VALUES (?, ?)", (text, spoken))

    def overrides(self) -> dict[str, str]:
        """Return the words to speak, by the words that the plan would; to be looked up once, not chained."""
        return dict(self._database.rows("SELECT text, spoken FROM overrides WHERE text <> spoken"))

    # Takes

    def pending(
        self, *, attempt: int | None = None, after: int = -1, limit: int | None = None
    ) -> list[PendingSegment]:
        """Return distinct segments that want a take, in plan order.

        Args:
            attempt: Only those whose next take has this number.
            after: Only those past this position, so that a long plan is read in pages.
            limit: At most so many.
        """
        rows = self._database.rows(
            f"""
            SELECT {_PLACED_SEGMENT}, s.num_takes, s.num_takes - s.retake_from, s.position
            FROM segments s JOIN places p ON p.position = s.position
            WHERE s.state = 'pending' AND s.position > ? {"" if attempt is None else "AND s.num_takes = ?"}
            ORDER BY s.position LIMIT ?
            """,
            (after, *(() if attempt is None else (attempt,)), -1 if limit is None else limit),
        )
        return [PendingSegment(_segment(row), *row[10:]) for row in rows]

    def next_attempt(self) -> int | None:
        """Return the lowest take number that any segment wants, None where nothing is pending."""
        ((attempt,),) = self._database.rows(
            "SELECT min(num_takes) FROM segments WHERE state = 'pending' AND position IS NOT NULL"
        )
        return attempt

    def record_takes(self, takes: Sequence[Take], *, max_attempts: int) -> list[str]:
        """Record takes, and settle their segments, in one transaction.

        A segment is accepted with its newest accepted take. After ``max_attempts`` takes without one it is
        failed with its best, or stays with what was accepted before a retake was asked for. A take that is
        there already is left as it is.

        Returns:
            Ids of the segments that failed by this.

        Raises:
            LedgerError: A segment is unknown, a take differs from what is recorded under its number, or the
                ledger can't be written; nothing of ``takes`` is recorded then.
        """
        failed = []
        with self._database.transaction():
            for take in takes:
                key = self._key(take.segment_id)
                self._insert(key, take)
                if self._settle(key, max_attempts) is SegmentState.FAILED:
                    failed.append(take.segment_id)
        return failed

    def apply_max_attempts(self, max_attempts: int) -> None:
        """Bring segments in line with a changed ``max_attempts``: more tries for failed ones, or an end to them."""
        with self._database.transaction():
            keys = self._database.rows(
                """
                SELECT key FROM segments WHERE failure = '' AND (
                    state = 'failed' AND num_takes - retake_from < ?
                    OR state = 'pending' AND num_takes - retake_from >= ?
                )
                """,
                (max_attempts, max_attempts),
            )
            for (key,) in keys:
                self._settle(key, max_attempts)

    def mark_failed(self, segment_id: str, reason: str) -> None:
        """Settle a segment that can't be spoken at all, with the reason; a retake undoes it."""
        with self._database.transaction():
            self._database.execute(
                "UPDATE segments SET state = 'failed', failure = ? WHERE key = ?",
                (reason, self._key(segment_id)),
            )

    def request_retake(self, segment_id: str) -> int:
        """Ask for another take of a segment, whatever it has; return the new take's number.

        Older takes stay, and an accepted one is kept if no new one is. Takes that can't be read any more are
        set aside.
        """
        with self._database.transaction():
            key = self._key(segment_id)
            for take_id, attempt, blob, sha256 in self._database.rows(
                "SELECT rowid, attempt, tokens, tokens_sha256 FROM takes WHERE segment = ?", (key,)
            ):
                try:
                    decode_tokens(blob, sha256)
                except LedgerError as error:
                    self._database.execute(
                        "UPDATE takes SET accepted = 0, num_audio_s = 0, problems = ? WHERE rowid = ?",
                        (json.dumps([f"take {attempt}: {error}"]), take_id),
                    )
            self._database.execute(
                "UPDATE segments SET state = 'pending', failure = '', retake_from = num_takes WHERE key = ?",
                (key,),
            )
            self._choose(key)
            ((attempt,),) = self._database.rows("SELECT num_takes FROM segments WHERE key = ?", (key,))
        return attempt

    def takes(self, segment_id: str) -> list[Take]:
        """Return all takes of a segment, oldest first.

        Raises:
            LedgerError: The segment is unknown, or a take is damaged.
        """
        key = self._key(segment_id)
        rows = self._database.rows(f"SELECT {_TAKE} WHERE t.segment = ? ORDER BY t.attempt", (key,))
        return [self._take(row) for row in rows]

    def chosen_take(self, segment_id: str) -> Take | None:
        """Return the take that is heard, None where there is none yet.

        Raises:
            LedgerError: The segment is unknown, or the take is damaged; says how to make another.
        """
        key = self._key(segment_id)
        rows = self._database.rows(f"SELECT {_TAKE} WHERE t.segment = ? AND t.attempt = s.chosen", (key,))
        return self._take(rows[0]) if rows else None

    # Chapters

    def chapters(self) -> list[ChapterRow]:
        """Return every chapter's standing, in order."""
        rows = self._database.rows(
            """
            SELECT c.chapter_index, c.title, c.num_places, coalesce(sum(s.state <> 'pending'), 0),
                coalesce(sum(s.state = 'failed'), 0), coalesce(sum(s.num_audio_s), 0.0)
            FROM chapters c
            LEFT JOIN places p ON p.position >= c.first_position AND p.position < c.first_position + c.num_places
            LEFT JOIN segments s ON s.key = p.segment
            GROUP BY c.chapter_index ORDER BY c.first_position
            """
        )
        return [ChapterRow(*row, encoded=self.encoded(row[0])) for row in rows]

    def chapter_is_settled(self, chapter_index: int) -> bool:
        """Return whether every segment of a chapter is accepted or failed."""
        first, num_places = self._chapter(chapter_index)
        rows = self._database.rows(
            """
            SELECT 1 FROM places p JOIN segments s ON s.key = p.segment
            WHERE p.position >= ? AND p.position < ? AND s.state = 'pending' LIMIT 1
            """,
            (first, first + num_places),
        )
        return not rows

    def chapter_pieces(self, chapter_index: int) -> list[Piece]:
        """Return what a chapter is stitched from, in order."""
        return [
            Piece(
                segment=_segment(row),
                state=SegmentState(row[10]),
                attempt=row[11],
                problems=(row[12],) if row[12] else tuple(json.loads(row[13])) if row[13] else (),
            )
            for row in self._piece_rows(chapter_index)
        ]

    def recipe_sha256(self, chapter_index: int, settings: dict[str, Any]) -> str:
        """Return what a chapter's files depend on: its chosen takes, pauses and order, and ``settings``.

        Args:
            chapter_index: Which.
            settings: Everything else that a byte of the files may depend on (codec, audio settings, tags),
                as JSON values.
        """
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
        for row in self._piece_rows(chapter_index):
            segment, attempt, tokens = _segment(row), row[11], row[14]
            piece = (segment.segment_id, segment.boundary.value, segment.pause_after_s, segment.seed)
            digest.update(repr((*piece, attempt, tokens)).encode())
        return digest.hexdigest()

    def mark_encoded(
        self, chapter_index: int, recipe_sha256: str, files: Sequence[EncodedFile], cues: Sequence[Cue]
    ) -> None:
        """Mark a chapter as finished. Its files must lie in the folder already, synced and under their names.

        Files that it had before under other names are superseded; see `superseded_files`.

        Raises:
            LedgerError: A file is not there or has another size.
        """
        for file in files:
            path = self.folder / file.name
            if not path.is_file() or path.stat().st_size != file.num_bytes:
                raise LedgerError(f"{path} is not there as it was encoded: it must not be marked as finished")
        with self._database.transaction():
            # A name taken over from another chapter leaves that one unfinished.
            self._database.execute_many(
                """
                DELETE FROM encoded_chapters
                WHERE chapter_index = (SELECT chapter_index FROM files WHERE name = ?)
                """,
                ((file.name,) for file in files),
            )
            self._database.execute(
                "UPDATE files SET chapter_index = NULL WHERE chapter_index = ?", (chapter_index,)
            )
            self._database.execute("DELETE FROM cues WHERE chapter_index = ?", (chapter_index,))
            self._database.execute(
                "INSERT OR REPLACE INTO encoded_chapters VALUES (?, ?)", (chapter_index, recipe_sha256)
            )
            self._database.execute_many(
                "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)",
                ((f.name, chapter_index, f.num_bytes, f.sha256, f.duration_s) for f in files),
            )
            self._database.execute_many(
                "INSERT INTO cues VALUES (?, ?, ?, ?)",
                ((chapter_index, cue.segment_index, cue.start_sample, cue.num_samples) for cue in cues),
            )

    def encoded(self, chapter_index: int) -> EncodedChapter | None:
        """Return what is marked for a chapter, None where nothing is."""
        recipe = self._database.rows(
            "SELECT recipe_sha256 FROM encoded_chapters WHERE chapter_index = ?", (chapter_index,)
        )
        if not recipe:
            return None
        files = self._database.rows(
            "SELECT name, num_bytes, sha256, duration_s FROM files WHERE chapter_index = ? ORDER BY name",
            (chapter_index,),
        )
        return EncodedChapter(recipe[0][0], tuple(EncodedFile(*row) for row in files))

    def is_encoded(self, chapter_index: int, recipe_sha256: str) -> bool:
        """Return whether a chapter is finished by this recipe and its files are still what was marked."""
        encoded = self.encoded(chapter_index)
        if encoded is None or encoded.recipe_sha256 != recipe_sha256:
            return False
        for file in encoded.files:
            path = self.folder / file.name
            if not path.is_file() or path.stat().st_size != file.num_bytes or sha256_file(path) != file.sha256:
                return False
        return True

    def superseded_files(self) -> list[EncodedFile]:
        """Return files that were finished once and belong to no chapter now, by renaming or a new plan."""
        rows = self._database.rows(
            "SELECT name, num_bytes, sha256, duration_s FROM files WHERE chapter_index IS NULL ORDER BY name"
        )
        return [EncodedFile(*row) for row in rows]

    def forget_files(self, names: Iterable[str]) -> None:
        """Drop superseded files from the ledger, once they are removed from disk."""
        with self._database.transaction():
            self._database.execute_many(
                "DELETE FROM files WHERE name = ? AND chapter_index IS NULL", ((name,) for name in names)
            )

    # Reports

    def summary(self) -> RunSummary:
        """Return where the book stands."""
        return reports.run_summary(self._database)

    def failures(self) -> list[SegmentReport]:
        """Return every failed segment, in plan order."""
        return reports.failed_segments(self._database)

    def suspects(self, limit: int = 20) -> list[SegmentReport]:
        """Return settled segments, the worst score first."""
        return reports.worst_segments(self._database, limit)

    def find_segments(self, *, id_prefix: str = "", text: str = "", limit: int = 20) -> list[SegmentReport]:
        """Return segments of the plan whose id starts with ``id_prefix`` and whose text contains ``text``."""
        return reports.matching_segments(self._database, id_prefix, text, limit)

    # Below, inside a transaction of the caller's

    def _key(self, segment_id: str) -> int:
        rows = self._database.rows("SELECT key FROM segments WHERE segment_id = ?", (segment_id,))
        if not rows:
            raise LedgerError(f"{self.folder / LEDGER_NAME} has no segment {segment_id}")
        return rows[0][0]

    def _chapter(self, chapter_index: int) -> tuple[int, int]:
        rows = self._database.rows(
            "SELECT first_position, num_places FROM chapters WHERE chapter_index = ?", (chapter_index,)
        )
        if not rows:
            raise LedgerError(f"{self.folder / LEDGER_NAME} has no chapter {chapter_index}")
        return rows[0]

    def _piece_rows(self, chapter_index: int) -> list[tuple[Any, ...]]:
        first, num_places = self._chapter(chapter_index)
        return self._database.rows(
            f"""
            SELECT {_PLACED_SEGMENT}, s.state, s.chosen, s.failure, t.problems, t.tokens_sha256
            FROM places p JOIN segments s ON s.key = p.segment
            LEFT JOIN takes t ON t.segment = s.key AND t.attempt = s.chosen
            WHERE p.position >= ? AND p.position < ? ORDER BY p.position
            """,
            (first, first + num_places),
        )

    def _insert(self, key: int, take: Take) -> None:
        if math.isnan(take.score):
            raise LedgerError(f"segment {take.segment_id}, take {take.attempt}: its score is not a number")
        sha256 = tokens_sha256(take.token_ids)
        known = self._database.rows(
            "SELECT tokens_sha256, seed, finish_reason FROM takes WHERE segment = ? AND attempt = ?",
            (key, take.attempt),
        )
        if known == [(sha256, take.seed, take.finish_reason)]:
            return
        if known:
            raise LedgerError(
                f"segment {take.segment_id} has another take {take.attempt} already: a recorded take is never changed"
            )
        self._database.execute(
            "INSERT INTO takes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                key,
                take.attempt,
                take.seed,
                take.accepted,
                take.score,
                take.num_audio_s,
                take.finish_reason,
                take.engine,
                json.dumps(take.problems),
                json.dumps(take.measurements, sort_keys=True),
                sha256,
                encode_tokens(take.token_ids),
            ),
        )
        self._database.execute(
            "UPDATE segments SET num_takes = max(num_takes, ?) WHERE key = ?", (take.attempt + 1, key)
        )

    def _settle(self, key: int, max_attempts: int) -> SegmentState:
        """Work a segment's state out of its takes."""
        ((num_tries, num_fresh, num_accepted),) = self._database.rows(
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
        self._database.execute("UPDATE segments SET state = ?, failure = '' WHERE key = ?", (state.value, key))
        self._choose(key)
        return state

    def _choose(self, key: int) -> None:
        """Point a segment at its best take with any audio."""
        best = self._database.rows(
            f"""
            SELECT attempt, score, num_audio_s FROM takes
            WHERE segment = ? AND num_audio_s > 0 ORDER BY {_BEST_TAKE} LIMIT 1
            """,
            (key,),
        )
        self._database.execute(
            "UPDATE segments SET chosen = ?, score = ?, num_audio_s = ? WHERE key = ?",
            (*(best[0] if best else (None, None, 0.0)), key),
        )

    def _take(self, row: tuple[Any, ...]) -> Take:
        (
            segment_id,
            attempt,
            seed,
            finish,
            engine,
            problems,
            score,
            accepted,
            num_audio_s,
            extra,
            sha256,
            blob,
        ) = row
        try:
            token_ids = decode_tokens(blob, sha256)
        except LedgerError as error:
            raise LedgerError(
                f"{self.folder / LEDGER_NAME}: segment {segment_id}, take {attempt}: {error}; make another with "
                f"`orpheus-batch redo {self.folder} --segment {segment_id}`"
            ) from error
        return Take(
            segment_id=segment_id,
            attempt=attempt,
            seed=seed,
            token_ids=token_ids,
            finish_reason=finish,
            engine=engine,
            problems=tuple(json.loads(problems)),
            score=score,
            accepted=bool(accepted),
            num_audio_s=num_audio_s,
            measurements=json.loads(extra),
        )


def _segment(row: tuple[Any, ...]) -> Segment:
    """Build a `Segment` of the first columns of a row that begins with `_PLACED_SEGMENT`."""
    segment_id, chapter_index, index, text, voice, boundary, pause_after_s, start, end, seed = row[:10]
    return Segment(
        segment_id, chapter_index, index, text, voice, Boundary(boundary), pause_after_s, start, end, seed
    )


def _sync_folder(folder: Path) -> None:
    """Put a new file's name itself on disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
