"""Items in the ledger: rows of a table or sentences of a corpus that become one audio file each.

An item stands on the line as a chapter does, with its segments at places of its own; what a chapter is in
memory, an item is in SQL, so that a million of them cost disk and not memory. What a row means, and how audio
is made of it, is not known here.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

from orpheus_batch.errors import LedgerError
from orpheus_batch.ledger import item_plan, item_reports
from orpheus_batch.ledger.chapters import PLACED_SEGMENT_COLUMNS, placed_segment
from orpheus_batch.ledger.item_records import (
    ItemRecord,
    ItemReport,
    KnownItem,
    MadeItem,
    ManifestRow,
    SettledItem,
    word_error_rate,
)
from orpheus_batch.ledger.records import PendingSegment
from orpheus_batch.ledger.store import Ledger

PAGE_ITEMS = 1000
"""read at a time"""


class ItemLedger(Ledger):
    """A ledger of items."""

    # Planning

    def open_source(self, path: str, digest: str) -> tuple[int, bool]:
        """Return a source's key, and whether all of it was planned under this digest already."""
        rows = self._database.rows("SELECT key, digest FROM sources WHERE path = ?", (path,))
        if rows:
            return rows[0][0], rows[0][1] == digest
        self._database.execute("INSERT INTO sources (path, digest, report) VALUES (?, '', '{}')", (path,))
        ((key,),) = self._database.rows("SELECT key FROM sources WHERE path = ?", (path,))
        return key, False

    def begin_source(self, source: int) -> int:
        """Begin to plan a source again; return the epoch of it."""
        with self._database.transaction():
            self._database.execute("UPDATE sources SET digest = '' WHERE key = ?", (source,))
            self._database.execute("DELETE FROM bad_rows WHERE source = ?", (source,))
            ((epoch,),) = self._database.rows("SELECT coalesce(max(epoch), 0) + 1 FROM items")
        return epoch

    def end_source(self, source: int, digest: str, report: dict[str, Any], leave_epoch: int | None) -> int:
        """Note that a source is planned to its end.

        Args:
            source: Its key.
            digest: See `open_source`.
            report: What was left out.
            leave_epoch: Items of the source that this epoch has not met leave the plan; None: all stay.

        Returns:
            How many left.
        """
        with self._database.transaction():
            num_left = 0
            if leave_epoch is not None:
                gone = self._database.rows(
                    "SELECT number FROM items WHERE source = ? AND epoch < ? AND line IS NOT NULL",
                    (source, leave_epoch),
                )
                numbers = [number for (number,) in gone]
                item_plan.supersede(self._database, numbers)
                item_plan.remove_places(self._database, numbers)
                num_left = self._database.execute(
                    "UPDATE items SET line = NULL WHERE source = ? AND epoch < ? AND line IS NOT NULL",
                    (source, leave_epoch),
                )
            self._database.execute(
                "UPDATE sources SET digest = ?, report = ? WHERE key = ?",
                (digest, json.dumps(report, sort_keys=True), source),
            )
        return num_left

    def source_reports(self) -> list[tuple[str, dict[str, Any]]]:
        """Return every source's path, and what of it was left out."""
        with self._database.explained():
            rows = self._database.rows("SELECT path, report FROM sources ORDER BY key")
            return [(path, json.loads(report)) for path, report in rows]

    def known_items(self, item_ids: Iterable[str]) -> dict[str, KnownItem]:
        """Return what is known of ids."""
        rows = self._database.rows(
            """
            SELECT item_id, number, row_sha256, epoch, source, line IS NOT NULL FROM items
            WHERE item_id IN (SELECT value FROM json_each(?))
            """,
            (json.dumps(list(item_ids)),),
        )
        return {item_id: KnownItem(*rest) for item_id, *rest in rows}

    def files_in_use(self, files: Iterable[str], epoch: int) -> dict[str, tuple[int, int]]:
        """Return number and line of items that this epoch has met, by their files in lower case."""
        rows = self._database.rows(
            """
            SELECT file, number, line FROM json_each(?) CROSS JOIN items ON file = value COLLATE NOCASE
            WHERE epoch = ? AND line IS NOT NULL
            """,
            (json.dumps(list(files)), epoch),
        )
        return {file.lower(): (number, line) for file, number, line in rows}

    def next_number(self) -> int:
        """Return the number of the next new item."""
        ((number,),) = self._database.rows("SELECT coalesce(max(number), -1) + 1 FROM items")
        return number

    def plan_items(
        self,
        source: int,
        epoch: int,
        met: Sequence[tuple[int, int]],
        planned: Sequence[ItemRecord],
        bad: Sequence[tuple[int, str, str, str]],
    ) -> None:
        """Record a stretch of a source, in one transaction.

        Args:
            source: Its key.
            epoch: Of this planning.
            met: Number and line of items that are as they were.
            planned: New ones and changed ones.
            bad: Line, id, text and reason of rows that can't be items.

        Raises:
            LedgerError: It can't be written, or one segment id stands for two texts.
        """
        item_plan.plan_items(self._database, source, epoch, met, planned, bad)

    def work_left(self, base_tokens: float, tokens_per_char: float) -> tuple[int, int, float]:
        """Return how many segments are on the line, how many want a take, and the tokens that those will have.

        Args:
            base_tokens: Predicted of any segment.
            tokens_per_char: And of each of its characters.
        """
        ((num_segments,),) = self._database.rows("SELECT count(*) FROM segments WHERE position IS NOT NULL")
        ((num_pending, num_chars),) = self._database.rows(
            """
            SELECT count(*), coalesce(sum(length(text)), 0) FROM segments
            WHERE state = 'pending' AND position IS NOT NULL
            """
        )
        return num_segments, num_pending, base_tokens * num_pending + tokens_per_char * num_chars

    # Generating

    def first_pending_number(self, after: int = 0) -> int | None:
        """Return the first item, of this number or a later one, that wants a take."""
        ((position,),) = self._database.rows(
            "SELECT min(position) FROM segments WHERE state = 'pending' AND position IS NOT NULL AND position >= ?",
            (after << 32,),
        )
        return None if position is None else position >> 32

    def pending_between(self, first: int, end: int, limit: int) -> list[PendingSegment]:
        """Return segments of items from ``first`` to below ``end`` that want the lowest take number of any there."""
        span = (first << 32, end << 32)
        ((attempt,),) = self._database.rows(
            """
            SELECT min(num_takes) FROM segments INDEXED BY segments_pending
            WHERE state = 'pending' AND position IS NOT NULL AND position >= ? AND position < ?
            """,
            span,
        )
        if attempt is None:
            return []
        rows = self._database.rows(
            f"""
            SELECT {PLACED_SEGMENT_COLUMNS}, s.num_takes, s.num_takes - s.retake_from, s.position
            FROM segments s INDEXED BY segments_pending JOIN places p ON p.position = s.position
            WHERE s.state = 'pending' AND s.position IS NOT NULL AND s.position >= ? AND s.position < ?
                AND s.num_takes = ?
            ORDER BY s.position LIMIT ?
            """,
            (*span, attempt, limit),
        )
        with self._database.explained():
            return [PendingSegment(placed_segment(row), *row[-3:]) for row in rows]

    # Making

    def numbers_of(self, segment_ids: Iterable[str]) -> list[int]:
        """Return the items in which segments stand, in order."""
        rows = self._database.rows(
            """
            SELECT DISTINCT p.position >> 32 FROM json_each(?)
            JOIN segments s ON s.segment_id = value JOIN places p ON p.segment = s.key ORDER BY 1
            """,
            (json.dumps(list(segment_ids)),),
        )
        return [number for (number,) in rows]

    def settled(self, numbers: Sequence[int]) -> list[SettledItem]:
        """Return those of some items that are settled and not made yet, in order, with their pieces."""
        rows = self._database.rows(
            """
            SELECT number, item_id, text, voice, seed, format, file, split, extra FROM items i
            WHERE number IN (SELECT value FROM json_each(?)) AND state = 'planned' AND line IS NOT NULL
            AND NOT EXISTS (
                SELECT 1 FROM places p JOIN segments s ON s.key = p.segment
                WHERE p.position >= i.number << 32 AND p.position < (i.number + 1) << 32
                AND s.state = 'pending'
            ) ORDER BY number
            """,
            (json.dumps(list(numbers)),),
        )
        pieces = item_reports.pieces(self._database, [row[0] for row in rows])
        return [SettledItem(*row, pieces=tuple(pieces[row[0]])) for row in rows]

    def settled_pages(self) -> Iterator[list[int]]:
        """Yield the numbers of items that are settled and not made, in order, a page at a time."""
        after = -1
        while True:
            rows = self._database.rows(
                """
                SELECT number FROM items i INDEXED BY items_open
                WHERE state = 'planned' AND line IS NOT NULL AND number > ? AND NOT EXISTS (
                    SELECT 1 FROM places p JOIN segments s ON s.key = p.segment
                    WHERE p.position >= i.number << 32 AND p.position < (i.number + 1) << 32
                    AND s.state = 'pending'
                ) ORDER BY number LIMIT ?
                """,
                (after, PAGE_ITEMS),
            )
            if not rows:
                return
            yield [number for (number,) in rows]
            after = rows[-1][0]

    def mark_made(self, made: Sequence[MadeItem], made_by: str) -> None:
        """Mark items as made; files that they have must lie in place, synced."""
        with self._database.transaction():
            self._database.execute_many(
                """
                UPDATE items SET state = ?, made_by = ?, num_bytes = ?, sha256 = ?, duration_s = ?,
                    loudness_db = ?, num_words = ?, num_wrong_words = ? WHERE number = ?
                """,
                (
                    (
                        "failed" if m.failed else "done", made_by, m.num_bytes, m.sha256, m.duration_s,
                        m.loudness_db, m.num_words, m.num_wrong_words, m.number,
                    )
                    for m in made
                ),
            )  # fmt: skip

    def reopen(self, made_by: str) -> int:
        """Have items made again whose settings have changed, or that want a take again; return how many."""
        with self._database.transaction():
            num = self._database.execute(
                """
                UPDATE items SET state = 'planned'
                WHERE state <> 'planned' AND line IS NOT NULL AND shard IS NULL AND made_by <> ?
                """,
                (made_by,),
            )
        return num + self.reopen_retried()

    def reopen_retried(self) -> int:
        """Have items made again of which a segment is to be taken again; return how many."""
        with self._database.transaction():
            return self._database.execute(
                """
                UPDATE items SET state = 'planned' WHERE state <> 'planned' AND shard IS NULL AND number IN (
                    SELECT p.position >> 32 FROM segments s INDEXED BY segments_by_attempt
                    JOIN places p ON p.segment = s.key
                    WHERE s.state = 'pending' AND s.position IS NOT NULL AND s.num_takes > 0)
                """
            )

    def made_files(self) -> Iterator[tuple[int, str, int]]:
        """Yield number, file and size of every made item that has a file of its own."""
        after = -1
        while True:
            rows = self._database.rows(
                """
                SELECT number, file, num_bytes FROM items
                WHERE number > ? AND state <> 'planned' AND line IS NOT NULL AND num_bytes IS NOT NULL
                ORDER BY number LIMIT ?
                """,
                (after, PAGE_ITEMS),
            )
            if not rows:
                return
            yield from rows
            after = rows[-1][0]

    def mark_unmade(self, numbers: Sequence[int]) -> None:
        """Have items made again, their files being gone or changed."""
        with self._database.transaction():
            self._database.execute_many(
                "UPDATE items SET state = 'planned' WHERE number = ?", ((number,) for number in numbers)
            )

    def superseded_item_files(self) -> list[tuple[str, str]]:
        """Return name and sha256 of files that were made for items that have others now."""
        return self._database.rows(
            """
            SELECT name, sha256 FROM files WHERE chapter_index IS NULL
            AND name NOT IN (SELECT file FROM items WHERE file IS NOT NULL AND line IS NOT NULL)
            """
        )

    # Reporting

    def counts(self) -> dict[str, int]:
        """Return how many items on the line are planned, done and failed."""
        rows = self._database.rows("SELECT state, count(*) FROM items WHERE line IS NOT NULL GROUP BY state")
        return {"planned": 0, "done": 0, "failed": 0} | dict(rows)

    def done_by(self, column: Literal["voice", "split"]) -> dict[str, dict[str, Any]]:
        """Return number and seconds of finished items that passed the checks, by voice or by split."""
        rows = self._database.rows(
            f"""
            SELECT {column}, count(*), coalesce(sum(duration_s), 0.0) FROM items
            WHERE state = 'done' AND line IS NOT NULL GROUP BY 1 ORDER BY 1
            """
        )
        return {name: {"num_items": num, "audio_s": audio_s} for name, num, audio_s in rows}

    def num_takes(self) -> int:
        """Return how many takes the items on the line have."""
        ((num,),) = self._database.rows(
            "SELECT coalesce(sum(num_takes), 0) FROM segments WHERE position IS NOT NULL"
        )
        return num

    def failed_items(self, limit: int = -1) -> list[ItemReport]:
        """Return items of which a segment failed, in order."""
        return item_reports.item_reports(self._database, item_reports.FAILED, limit)

    def worst_items(self, limit: int) -> list[ItemReport]:
        """Return finished items, the worst score first; an item is as good as its worst segment."""
        return item_reports.item_reports(self._database, item_reports.WORST, limit)

    def word_error_rate(self) -> float | None:
        """Return the wrong words for each word, of finished items that a recogniser heard; None if it heard none."""
        ((num_words, num_wrong),) = self._database.rows(
            "SELECT sum(num_words), sum(num_wrong_words) FROM items WHERE state = 'done' AND line IS NOT NULL"
        )
        return word_error_rate(num_words, num_wrong)

    def num_bad_rows(self) -> int:
        """Return how many rows can't be items."""
        ((num,),) = self._database.rows("SELECT count(*) FROM bad_rows")
        return num

    def bad_rows(self, limit: int) -> list[tuple[int, str]]:
        """Return line and reason of the first bad rows."""
        return self._database.rows("SELECT line, reason FROM bad_rows ORDER BY line LIMIT ?", (limit,))

    def manifest_rows(self, source: int) -> Iterator[ManifestRow]:
        """Yield a source's rows in the order of its lines, bad ones too."""
        return item_reports.manifest_rows(self._database, source)

    def set_facts(self, facts: dict[str, Any]) -> None:
        """Record facts beside the plan, as JSON values."""
        with self._database.transaction():
            self._database.execute_many(
                "INSERT OR REPLACE INTO facts VALUES (?, ?)",
                ((name, json.dumps(value, sort_keys=True)) for name, value in facts.items()),
            )

    def claim(self, kind: str) -> None:
        """Mark the folder as one command's, or see that it is.

        Raises:
            LedgerError: It is another's.
        """
        facts = self.facts()
        owner = facts.get("kind", "render" if "book" in facts else kind)
        if owner != kind:
            raise LedgerError(
                f"{self.folder} holds the output of `{owner}`; give `{kind}` a folder of its own with -o"
            )
        self.set_facts({"kind": kind})

    def claim_any(self, kinds: Sequence[str]) -> None:
        """See that the folder is one of these commands'.

        Raises:
            LedgerError: It is not.
        """
        kind = self.facts().get("kind", "render")
        if kind not in kinds:
            raise LedgerError(f"{self.folder} holds the output of `{kind}`, which has no parts")
