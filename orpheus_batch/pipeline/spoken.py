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
        facts = ledger.facts()
        placed = {row.index: ledger.chapter_pieces(row.index) for row in ledger.chapters() if row.num_segments}
        written = _written(facts, placed, progress) if with_words else {}
        sections = [
            Section(
                title=row.title,
                cache_dir=folder / CACHE_FOLDER,
                codec_fingerprint=models.codec_fingerprint,
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
            for row in ledger.chapters()
            if row.num_segments
        ]
    if _missing(sections, read_only=True):
        # Under the ledger's lock: the cache has one writer at a time.
        with Ledger.open(folder) as ledger:
            _fill_cache(ledger, sections, models, progress)
    return sections


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


def _missing(sections: Sequence[Section], *, read_only: bool) -> dict[CacheKey, int]:
    """Return what the cache lacks, with the first section that wants it."""
    found: dict[CacheKey, int] = {}
    if sections:
        cache = AudioCache(sections[0].cache_dir, sections[0].codec_fingerprint, read_only=read_only)
        for index, section in enumerate(sections):
            pieces = (spoken.piece for spoken in section.pieces)
            keys = ((piece.segment_id, piece.attempt) for piece in pieces if piece.attempt is not None)
            for key in cache.missing(keys):
                found.setdefault(key, index)
    return found


def _fill_cache(ledger: Ledger, sections: Sequence[Section], models: Models, progress: Progress) -> None:
    """Decode what the cache lacks, saying beforehand how long that will take."""
    cache = AudioCache(sections[0].cache_dir, sections[0].codec_fingerprint)
    section_of = _missing(sections, read_only=False)
    takes = [take for take in (ledger.chosen_take(segment_id) for segment_id, _ in section_of) if take]
    missing_s = sum(take.num_audio_s for take in takes)
    title = ledger.facts()["book"]["title"]
    progress.told(f"{title}: {format_duration(missing_s)} of sound are not in the cache and are decoded first")
    models.codec()
    done_s, started, told_at_s = 0.0, time.monotonic(), -_TELL_EVERY_S
    for batch in (takes[:_FIRST_BATCH], *batched(takes[_FIRST_BATCH:], DECODE_BATCH)):
        waveforms = decode([(take.segment_id, take.attempt, take.token_ids) for take in batch], models)
        for index, entries in _by_section(batch, waveforms, section_of).items():
            cache.put(index, entries)
        done_s += sum(take.num_audio_s for take in batch)
        elapsed_s = time.monotonic() - started
        if elapsed_s - told_at_s >= _TELL_EVERY_S and done_s < missing_s:
            left_s = (missing_s - done_s) * elapsed_s / max(done_s, 1e-9)
            progress.told(f"{title}: decoding takes about {format_duration(left_s)} more")
            told_at_s = elapsed_s


def _by_section(
    takes: Sequence[Take], waveforms: Sequence[Waveform], section_of: dict[CacheKey, int]
) -> dict[int, list[tuple[str, int, Waveform]]]:
    """Return what goes into each section's file: one record a section and batch, for each costs a process."""
    found: dict[int, list[tuple[str, int, Waveform]]] = {}
    for take, waveform in zip(takes, waveforms, strict=True):
        index = section_of[take.segment_id, take.attempt]
        found.setdefault(index, []).append((take.segment_id, take.attempt, waveform))
    return found
