"""A chapter in the ledger: what it is stitched from, whether it can be, and what was made of it."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from orpheus_batch.data import Boundary, Cue, Segment
from orpheus_batch.errors import LedgerError
from orpheus_batch.fingerprint import sha256_file
from orpheus_batch.ledger.database import Database
from orpheus_batch.ledger.records import ChapterRow, EncodedChapter, EncodedFile, Piece, SegmentState

_SEGMENTS_PER_CHAPTER = 1 << 32

PLACED_SEGMENT_COLUMNS = """
    s.segment_id, p.position >> 32, p.position & 0xFFFFFFFF, s.text, s.voice, p.boundary, p.pause_after_s,
    p.source_start, p.source_end, s.seed, s.temperature
"""
"""of ``segments s`` and ``places p``, as `placed_segment` wants them at the start of a row"""

_NUM_SEGMENT_COLUMNS = 11
_FILE_COLUMNS = "name, num_bytes, sha256, duration_s"


def position_range(chapter_index: int) -> tuple[int, int]:
    """Return the first position of a chapter's places and one past the last that it may have."""
    return chapter_index * _SEGMENTS_PER_CHAPTER, (chapter_index + 1) * _SEGMENTS_PER_CHAPTER


def placed_segment(row: tuple[Any, ...]) -> Segment:
    """Build a `Segment` of a row that begins with `PLACED_SEGMENT_COLUMNS`."""
    segment_id, chapter_index, index, text, voice, boundary, *rest = row[:_NUM_SEGMENT_COLUMNS]
    return Segment(segment_id, chapter_index, index, text, voice, Boundary(boundary), *rest)


def chapter_rows(database: Database) -> list[ChapterRow]:
    """Return every chapter's standing, in order."""
    with database.snapshot():
        rows = database.rows(
            """
            SELECT c.chapter_index, c.title, count(p.position), coalesce(sum(s.state <> 'pending'), 0),
                coalesce(sum(s.state = 'failed'), 0), coalesce(sum(s.num_audio_s), 0.0)
            FROM chapters c
            LEFT JOIN places p
                ON p.position >= c.chapter_index << 32 AND p.position < c.chapter_index + 1 << 32
            LEFT JOIN segments s ON s.key = p.segment
            GROUP BY c.chapter_index ORDER BY c.chapter_index
            """
        )
        return [ChapterRow(*row, encoded=encoded_chapter(database, row[0])) for row in rows]


def is_settled(database: Database, chapter_index: int) -> bool:
    """Return whether no segment of a chapter is pending."""
    return not database.rows(
        """
        SELECT 1 FROM places p JOIN segments s ON s.key = p.segment
        WHERE p.position >= ? AND p.position < ? AND s.state = 'pending' LIMIT 1
        """,
        _positions(database, chapter_index),
    )


def pieces(database: Database, chapter_index: int) -> list[Piece]:
    """Return what a chapter is stitched from, in order."""
    return [piece for piece, _ in _pieces_and_checksums(database, chapter_index)]


def recipe_sha256(database: Database, chapter_index: int, settings: dict[str, Any]) -> str:
    """Return a digest of what a chapter's files depend on; see `Ledger.recipe_sha256`."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for piece, take_sha256 in _pieces_and_checksums(database, chapter_index):
        segment = piece.segment
        made_of = (segment.segment_id, segment.boundary.value, segment.pause_after_s, segment.seed)
        digest.update(repr((*made_of, piece.attempt, take_sha256)).encode())
    return digest.hexdigest()


def mark_encoded(
    database: Database,
    folder: Path,
    chapter_index: int,
    recipe: str,
    files: Sequence[EncodedFile],
    cues: Sequence[Cue],
) -> None:
    """Mark a chapter as finished; see `Ledger.mark_encoded`."""
    for file in files:
        path = folder / file.name
        if not path.is_file() or path.stat().st_size != file.num_bytes:
            raise LedgerError(f"{path} is not there as it was encoded: it can't be marked as finished")
    with database.transaction():
        _positions(database, chapter_index)
        # A name taken over from another chapter leaves that one unfinished.
        database.execute_many(
            """
            DELETE FROM encoded_chapters
            WHERE chapter_index = (SELECT chapter_index FROM files WHERE name = ?)
            """,
            ((file.name,) for file in files),
        )
        database.execute("UPDATE files SET chapter_index = NULL WHERE chapter_index = ?", (chapter_index,))
        database.execute("DELETE FROM cues WHERE chapter_index = ?", (chapter_index,))
        database.execute("INSERT OR REPLACE INTO encoded_chapters VALUES (?, ?)", (chapter_index, recipe))
        database.execute_many(
            "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)",
            ((f.name, chapter_index, f.num_bytes, f.sha256, f.duration_s) for f in files),
        )
        database.execute_many(
            "INSERT INTO cues VALUES (?, ?, ?, ?)",
            ((chapter_index, cue.segment_index, cue.start_sample, cue.num_samples) for cue in cues),
        )


def encoded_chapter(database: Database, chapter_index: int) -> EncodedChapter | None:
    """Return what is marked for a chapter, None where nothing is."""
    recipe = database.rows(
        "SELECT recipe_sha256 FROM encoded_chapters WHERE chapter_index = ?", (chapter_index,)
    )
    if not recipe:
        return None
    files = database.rows(
        f"SELECT {_FILE_COLUMNS} FROM files WHERE chapter_index = ? ORDER BY name", (chapter_index,)
    )
    return EncodedChapter(recipe[0][0], tuple(EncodedFile(*row) for row in files))


def is_encoded(database: Database, folder: Path, chapter_index: int, recipe: str) -> bool:
    """Return whether a chapter is finished by this recipe and its files are still what was marked."""
    encoded = encoded_chapter(database, chapter_index)
    if encoded is None or encoded.recipe_sha256 != recipe:
        return False
    return all(_is_intact(folder / file.name, file) for file in encoded.files)


def superseded_files(database: Database) -> list[EncodedFile]:
    """Return files that were marked once and belong to no chapter now."""
    rows = database.rows(f"SELECT {_FILE_COLUMNS} FROM files WHERE chapter_index IS NULL ORDER BY name")
    return [EncodedFile(*row) for row in rows]


def _is_intact(path: Path, file: EncodedFile) -> bool:
    try:
        return path.stat().st_size == file.num_bytes and sha256_file(path) == file.sha256
    except OSError:  # not there, or not to be read: it is encoded again
        return False


def _positions(database: Database, chapter_index: int) -> tuple[int, int]:
    """Return the position range of a chapter that there must be."""
    if not database.rows("SELECT 1 FROM chapters WHERE chapter_index = ?", (chapter_index,)):
        raise LedgerError(f"{database.path} has no chapter {chapter_index}")
    return position_range(chapter_index)


def _pieces_and_checksums(database: Database, chapter_index: int) -> list[tuple[Piece, bytes | None]]:
    rows = database.rows(
        f"""
        SELECT {PLACED_SEGMENT_COLUMNS}, s.state, s.chosen, s.failure, t.problems, t.sha256
        FROM places p JOIN segments s ON s.key = p.segment
        LEFT JOIN takes t ON t.segment = s.key AND t.attempt = s.chosen
        WHERE p.position >= ? AND p.position < ? ORDER BY p.position
        """,
        _positions(database, chapter_index),
    )
    found = []
    with database.explained():
        for row in rows:
            state, attempt, failure, problems, take_sha256 = row[_NUM_SEGMENT_COLUMNS:]
            piece = Piece(
                segment=placed_segment(row),
                state=SegmentState(state),
                attempt=attempt,
                problems=(failure,) if failure else tuple(json.loads(problems or "[]")),
            )
            found.append((piece, take_sha256))
    return found
