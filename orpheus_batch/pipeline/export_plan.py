"""Which files a book becomes: credits, chapters in parts, a sample, or all in one; their numbers, names and tags.

Arithmetic on lengths and texts; nothing is read or written here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orpheus_batch.audio.delivery.assemble import Span, whole
from orpheus_batch.audio.delivery.cues import CueFormat
from orpheus_batch.audio.delivery.presets import Preset
from orpheus_batch.audio.delivery.produce import FileJob
from orpheus_batch.audio.delivery.sections import StitchedSection
from orpheus_batch.audio.delivery.split import split_at_sentences
from orpheus_batch.audio.delivery.tags import Tags
from orpheus_batch.audio.naming import chapter_filename
from orpheus_batch.data import Boundary
from orpheus_batch.units import seconds_to_samples

RETAIL_SAMPLE = "Retail Sample"

MIN_SAMPLE_S = 60.0
"""A chapter that is shorter makes no sample, where another is longer."""


@dataclass(frozen=True, slots=True)
class BookFacts:
    """What all files of a book have in common."""

    target: Path
    """folder of the files"""
    title: str
    author: str
    narrator: str
    language: str
    year: str
    genre: str
    cover: bytes | None
    gain_db: float
    cues: CueFormat | None


@dataclass(frozen=True, slots=True)
class _Listed:
    """A file on its way to a job."""

    title: str
    spans: tuple[Span, ...]
    number: int
    """of the chapter, from 1"""
    part: int = 1
    num_parts: int = 1


def plan_files(
    book: BookFacts,
    preset: Preset,
    opening: StitchedSection | None,
    chapters: Sequence[StitchedSection],
    closing: StitchedSection | None,
    *,
    one_file: bool,
    retail_sample: bool,
) -> list[FileJob]:
    """Return a job for each file, in the order of the book; the sample comes last.

    Args:
        book: For names and tags.
        preset: What is asked.
        opening: Credits; None: none.
        chapters: At least one.
        closing: Likewise.
        one_file: All of it in one file, chapters marked inside.
        retail_sample: Whether to make a sample, where the preset has one.
    """
    if one_file:
        spans = tuple(whole(section) for section in (opening, *chapters, closing) if section is not None)
        return [_job(book, preset, _Listed(book.title, spans, 1), 1, name=book.title, marks_chapters=True)]
    listed = []
    if opening is not None:
        listed.append(_Listed(opening.section.title, (whole(opening),), 1))
    for chapter in chapters:
        listed += _parts(chapter, listed[-1].number + 1 if listed else 1, preset)
    if closing is not None:
        listed.append(_Listed(closing.section.title, (whole(closing),), listed[-1].number + 1))
    last = listed[-1].number
    jobs = [_job(book, preset, file, last) for file in listed]
    if retail_sample and preset.retail_sample_s is not None:
        sample = _Listed(RETAIL_SAMPLE, (_sample(chapters, preset),), last + 1)
        jobs.append(_job(book, preset, sample, last + 1, name=RETAIL_SAMPLE))
    return jobs


def _parts(chapter: StitchedSection, number: int, preset: Preset) -> list[_Listed]:
    """Return a chapter's files: one, or parts that end with a sentence."""
    parts = [(0, len(chapter.section.pieces))]
    if preset.max_file_s is not None:
        longest = seconds_to_samples(preset.max_file_s - preset.head_s - preset.tail_s)
        ends = [piece.may_end_file for piece in chapter.section.pieces]
        parts = split_at_sentences(chapter.piece_samples, ends, longest)
    title = chapter.section.title or f"Chapter {number}"
    return [
        _Listed(title, (Span(chapter, first, stop),), number, part, len(parts))
        for part, (first, stop) in enumerate(parts, start=1)
    ]


def _sample(chapters: Sequence[StitchedSection], preset: Preset) -> Span:
    """Return a sample: whole sentences from the first after a chapter's heading, as many as there is room for.

    It is the first chapter's, or that of the first that is long enough.
    """
    longest_s = preset.retail_sample_s or 0.0
    room = seconds_to_samples(longest_s - preset.head_s - preset.tail_s)
    samples = [_sample_of(chapter, room) for chapter in chapters]
    enough = seconds_to_samples(MIN_SAMPLE_S)
    return next((s for s in samples if s.num_samples >= enough), max(samples, key=lambda s: s.num_samples))


def _sample_of(chapter: StitchedSection, room: int) -> Span:
    pieces = chapter.section.pieces
    first = next((i for i, piece in enumerate(pieces) if piece.boundary is not Boundary.HEADING), 0)
    length, stop = 0, first + 1
    for index in range(first, len(pieces)):
        length += chapter.piece_samples[index]
        if length > room:
            break
        if pieces[index].may_end_file:
            stop = index + 1
    return Span(chapter, first, stop)


def _job(
    book: BookFacts, preset: Preset, file: _Listed, last: int, *, name: str = "", marks_chapters: bool = False
) -> FileJob:
    """Return a file's job; ``name`` stands for one that the preset's template does not make."""
    if not name:
        values = {
            "number": str(file.number).zfill(max(2, len(str(last)))),
            "title": file.title,
            "book": book.title,
            "author": book.author,
        }
        name = preset.file_name.format_map(values)
    is_part = file.num_parts > 1
    return FileJob(
        path=book.target / f"{_safe(name)}{f' (part {file.part})' if is_part else ''}.{preset.format}",
        spans=file.spans,
        preset=preset,
        gain_db=book.gain_db,
        tags=Tags(
            title=f"{file.title} (part {file.part})" if is_part else file.title,
            album=book.title,
            artist=book.author or "Unknown",
            composer=book.narrator,
            track=file.number,
            num_tracks=last,
            disc=file.part,
            num_discs=file.num_parts,
            year=book.year,
            genre=book.genre,
            language=book.language,
        ),
        marks_chapters=marks_chapters,
        cover=book.cover,
        cues=book.cues,
    )


def _safe(name: str) -> str:
    """Return a name by the package's own rules; they put a number in front, which is taken off again."""
    return chapter_filename(0, 1, name).removeprefix("01 - ").removesuffix(".mp3")
