"""The ledger: one SQLite file in a book's output folder that knows what is planned, made, judged and finished.

Every public method that writes is one transaction. A take, once recorded, is never changed and never deleted.
How audio is made, judged or encoded is not known here, and no time of day is kept: nothing that comes out of a
ledger depends on when it went in.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from orpheus_batch.data import Book, ChapterPlan, Cue
from orpheus_batch.errors import LedgerError
from orpheus_batch.files import sync
from orpheus_batch.ledger import chapters, reports
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
from orpheus_batch.ledger.takes import (
    TAKE_COLUMNS,
    insert_take,
    read_take,
    set_damaged_aside,
    settle,
)

LEDGER_NAME = "ledger.sqlite"


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
                    sync(folder)
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
        """Return what was recorded beside the plan: "book", "config" and "model"."""
        with self._database.explained():
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
            SELECT {chapters.PLACED_SEGMENT_COLUMNS}, s.num_takes, s.num_takes - s.retake_from, s.position
            FROM segments s JOIN places p ON p.position = s.position
            WHERE s.state = 'pending' AND s.position > ? {"" if attempt is None else "AND s.num_takes = ?"}
            ORDER BY s.position LIMIT ?
            """,
            (after, *(() if attempt is None else (attempt,)), -1 if limit is None else limit),
        )
        with self._database.explained():
            return [PendingSegment(chapters.placed_segment(row), *row[-3:]) for row in rows]

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
                insert_take(self._database, key, take)
                if settle(self._database, key, max_attempts) is SegmentState.FAILED:
                    failed.append(take.segment_id)
        return failed

    def apply_max_attempts(self, max_attempts: int) -> None:
        """Follow a changed ``max_attempts``: more tries for failed segments, or an end to pending ones'."""
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
                settle(self._database, key, max_attempts)

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
            set_damaged_aside(self._database, key)
            self._database.execute("UPDATE segments SET retake_from = num_takes WHERE key = ?", (key,))
            settle(self._database, key, max_attempts=None)
            ((attempt,),) = self._database.rows("SELECT num_takes FROM segments WHERE key = ?", (key,))
        return attempt

    def takes(self, segment_id: str) -> list[Take]:
        """Return all takes of a segment, oldest first.

        Raises:
            LedgerError: The segment is unknown, or a take is damaged.
        """
        rows = self._database.rows(
            f"SELECT {TAKE_COLUMNS} FROM takes t WHERE t.segment = ? ORDER BY t.attempt",
            (self._key(segment_id),),
        )
        return [read_take(self._database, segment_id, row) for row in rows]

    def chosen_take(self, segment_id: str) -> Take | None:
        """Return the take that is heard, None where there is none yet.

        Raises:
            LedgerError: The segment is unknown, or the take is damaged; says how to make another.
        """
        rows = self._database.rows(
            f"""
            SELECT {TAKE_COLUMNS} FROM takes t JOIN segments s ON s.key = t.segment AND s.chosen = t.attempt
            WHERE s.key = ?
            """,
            (self._key(segment_id),),
        )
        return read_take(self._database, segment_id, rows[0]) if rows else None

    # Chapters

    def chapters(self) -> list[ChapterRow]:
        """Return every chapter's standing, in order."""
        return chapters.chapter_rows(self._database)

    def chapter_is_settled(self, chapter_index: int) -> bool:
        """Return whether every segment of a chapter is accepted or failed."""
        return chapters.is_settled(self._database, chapter_index)

    def chapter_pieces(self, chapter_index: int) -> list[Piece]:
        """Return what a chapter is stitched from, in order."""
        return chapters.pieces(self._database, chapter_index)

    def recipe_sha256(self, chapter_index: int, settings: dict[str, Any]) -> str:
        """Return what a chapter's files depend on: its chosen takes, pauses and order, and ``settings``.

        Args:
            chapter_index: Which.
            settings: Everything else that a byte of the files may depend on (codec, audio settings, tags),
                as JSON values.
        """
        return chapters.recipe_sha256(self._database, chapter_index, settings)

    def mark_encoded(
        self, chapter_index: int, recipe_sha256: str, files: Sequence[EncodedFile], cues: Sequence[Cue]
    ) -> None:
        """Mark a chapter as finished. Its files must lie in the folder already, synced and under their names.

        Files that it had before under other names are superseded; see `superseded_files`.

        Raises:
            LedgerError: A file is not there or has another size, or there is no such chapter.
        """
        chapters.mark_encoded(self._database, self.folder, chapter_index, recipe_sha256, files, cues)

    def encoded(self, chapter_index: int) -> EncodedChapter | None:
        """Return what is marked for a chapter, None where nothing is."""
        return chapters.encoded_chapter(self._database, chapter_index)

    def is_encoded(self, chapter_index: int, recipe_sha256: str) -> bool:
        """Return whether a chapter is finished by this recipe and its files are still what was marked."""
        return chapters.is_encoded(self._database, self.folder, chapter_index, recipe_sha256)

    def superseded_files(self) -> list[EncodedFile]:
        """Return files that were finished once and belong to no chapter now, by renaming or a new plan."""
        return chapters.superseded_files(self._database)

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

    def _key(self, segment_id: str) -> int:
        rows = self._database.rows("SELECT key FROM segments WHERE segment_id = ?", (segment_id,))
        if not rows:
            raise LedgerError(f"{self._database.path} has no segment {segment_id}")
        return rows[0][0]
