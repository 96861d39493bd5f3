"""A finished ledger's chapters as sections for a publisher, with all their audio in the cache.

What the cache lacks is decoded from the ledger's tokens, by the codec alone. It makes no files but the cache's.
"""

import time
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from orpheus_batch.audio.cache import AudioCache, CacheKey
from orpheus_batch.audio.delivery.sections import Section, SpokenPiece
from orpheus_batch.audio.encode import ChapterPiece
from orpheus_batch.data import Waveform
from orpheus_batch.errors import InputError
from orpheus_batch.ledger.records import Piece, Take
from orpheus_batch.ledger.store import Ledger
from orpheus_batch.pipeline.after import recorded_config
from orpheus_batch.pipeline.book_run import CACHE_FOLDER
from orpheus_batch.pipeline.books import load_book
from orpheus_batch.pipeline.judge import DECODE_BATCH, batched, decode
from orpheus_batch.pipeline.models import Models
from orpheus_batch.pipeline.progress import Progress
from orpheus_batch.text.split import SentenceSplitter
from orpheus_batch.units import format_duration

_FIRST_BATCH = 4
"""decoded before anything is said of the time that the rest will take"""
_TELL_EVERY_S = 30.0


def spoken_sections(
    folder: Path, models: Models, progress: Progress, *, with_words: bool = False
) -> list[Section]:
    """Return a ledger's chapters, in order, those without segments left out.

    Args:
        folder: Of the ledger.
        models: For the codec, if the cache lacks something.
        progress: Hears of decoding.
        with_words: Also find the sentences as the book has them.

    Raises:
        LedgerError: There is no ledger, or it can't be read.
        CodecError: The cache lacks audio and the codec can't be loaded.
        EncodeError: The cache can't be written.
    """
    with Ledger.open(folder, read_only=True) as ledger:
        facts, rows = ledger.facts(), [row for row in ledger.chapters() if row.num_segments]
        placed = {row.index: ledger.chapter_pieces(row.index) for row in rows}
    written = _written(facts, placed, progress) if with_words else {}
    fingerprint = _complete(folder / CACHE_FOLDER, placed, models)
    sections = [
        Section(
            title=row.title,
            cache_dir=folder / CACHE_FOLDER,
            codec_fingerprint=fingerprint or models.codec_fingerprint,
            pieces=tuple(
                SpokenPiece(
                    ChapterPiece(p.segment.segment_id, p.segment.index, p.attempt, p.segment.pause_after_s),
                    p.segment.text,
                    p.segment.start,
                    p.segment.end,
                    p.segment.boundary,
                    written.get((row.index, p.segment.index), ""),
                )
                for p in placed[row.index]
            ),
        )
        for row in rows
    ]
    if sections and fingerprint is None:
        # Under the ledger's lock: the cache has one writer at a time.
        with Ledger.open(folder) as ledger:
            _fill_cache(ledger, placed, sections[0], models, progress)
    return sections


def _keys(pieces: Sequence[Piece]) -> list[CacheKey]:
    return [(piece.segment.segment_id, piece.attempt) for piece in pieces if piece.attempt is not None]


def _complete(cache_dir: Path, placed: dict[int, list[Piece]], models: Models) -> str | None:
    """Return the codec of whose audio the cache holds all that is wanted; it may have run on another machine."""
    keys = [key for pieces in placed.values() for key in _keys(pieces)]
    for fingerprint in models.possible_codec_fingerprints():
        if not AudioCache(cache_dir, fingerprint, read_only=True).missing(keys):
            return fingerprint
    return None


def _written(
    facts: dict[str, Any], placed: dict[int, list[Piece]], progress: Progress
) -> dict[tuple[int, int], str]:
    """Return what the book itself says, by chapter and segment: each sentence where its last word is spoken."""
    source = Path(facts["book"]["source_path"])
    try:
        book = load_book(source, recorded_config(facts["config"]))
    except InputError:
        book = None
    if book is None or book.source_sha256 != facts["book"]["source_sha256"]:
        progress.told(f"{source} is not as it was when it was rendered: cues have the words as they are spoken")
        return {}
    splitter = SentenceSplitter.for_book(book)
    found: dict[tuple[int, int], str] = {}
    for chapter in book.chapters:
        pieces = placed.get(chapter.index, [])
        starts = [piece.segment.start for piece in pieces]
        for sentence in splitter.split_chapter(chapter):
            at = bisect_left(starts, sentence.end) - 1
            if at >= 0 and not sentence.skip_reason and sentence.start < pieces[at].segment.end:
                key = (chapter.index, pieces[at].segment.index)
                found[key] = f"{found[key]} {sentence.text}" if key in found else sentence.text
    return found


def _fill_cache(
    ledger: Ledger, placed: dict[int, list[Piece]], section: Section, models: Models, progress: Progress
) -> None:
    """Decode what the cache lacks, saying beforehand how long that will take."""
    cache = AudioCache(section.cache_dir, section.codec_fingerprint)
    chapter_of: dict[CacheKey, int] = {}
    for chapter_index, pieces in placed.items():
        for key in cache.missing(_keys(pieces)):
            chapter_of.setdefault(key, chapter_index)
    takes = [take for take in (ledger.chosen_take(segment_id) for segment_id, _ in chapter_of) if take]
    missing_s = sum(take.num_audio_s for take in takes)
    title = ledger.facts()["book"]["title"]
    progress.told(f"{title}: {format_duration(missing_s)} of sound are not in the cache and are decoded first")
    models.codec()
    done_s, started, told_at_s = 0.0, time.monotonic(), -_TELL_EVERY_S
    for batch in (takes[:_FIRST_BATCH], *batched(takes[_FIRST_BATCH:], DECODE_BATCH)):
        waveforms = decode([(take.segment_id, take.attempt, take.token_ids) for take in batch], models)
        for index, entries in _by_chapter(batch, waveforms, chapter_of).items():
            cache.put(index, entries)
        done_s += sum(take.num_audio_s for take in batch)
        elapsed_s = time.monotonic() - started
        if elapsed_s - told_at_s >= _TELL_EVERY_S and done_s < missing_s:
            left_s = (missing_s - done_s) * elapsed_s / max(done_s, 1e-9)
            progress.told(f"{title}: decoding takes about {format_duration(left_s)} more")
            told_at_s = elapsed_s


def _by_chapter(
    takes: Sequence[Take], waveforms: Sequence[Waveform], chapter_of: dict[CacheKey, int]
) -> dict[int, list[tuple[str, int, Waveform]]]:
    """Return what goes into each chapter's file: one record a chapter and batch, for each costs a process."""
    found: dict[int, list[tuple[str, int, Waveform]]] = {}
    for take, waveform in zip(takes, waveforms, strict=True):
        index = chapter_of[take.segment_id, take.attempt]
        found.setdefault(index, []).append((take.segment_id, take.attempt, waveform))
    return found
