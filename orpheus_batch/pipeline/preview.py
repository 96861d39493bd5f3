"""What a run would do, worked out from the text alone: no model is loaded, nothing is written.

Lengths are the pack's prediction; money and time follow from a speed that the caller has measured elsewhere.
"""

import dataclasses
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orpheus_batch.config import Config
from orpheus_batch.data import Book, ChapterPlan, Segment
from orpheus_batch.errors import ConfigError, InputError
from orpheus_batch.pipeline.books import find_sources, load_book, make_plan, needed_bytes, predicted_s
from orpheus_batch.pipeline.casting import Casting, check_single
from orpheus_batch.pipeline.models import pack_of
from orpheus_batch.text.dialogue.cast import UNKNOWN
from orpheus_batch.text.dialogue.script import Line
from orpheus_batch.text.languages import language_notes
from orpheus_batch.text.marks import REPORTED, advice
from orpheus_batch.text.markup import APART
from orpheus_batch.text.segment import segment_limits
from orpheus_batch.voices import ModelPack

NO_MODEL = "preview"
"""stands for the model's fingerprint: segment ids of a preview are nobody's"""
EXAMPLE_CHARS = 60
CONTEXT_CHARS = 30
"""shown on each side of a mark"""


@dataclass(frozen=True, slots=True)
class ChapterPreview:
    """One chapter as it would be spoken."""

    title: str
    num_segments: int
    num_words: int
    audio_s: float
    """predicted, pauses included"""


@dataclass(frozen=True, slots=True)
class SkippedPreview:
    """What is left out for one reason."""

    reason: str
    num_spans: int
    num_chars: int
    example: str
    """how the first of it begins, where it lies inside a chapter"""


@dataclass(frozen=True, slots=True)
class OddSegment:
    """A segment outside the lengths that the voice speaks well."""

    chapter_title: str
    num_chars: int
    text: str


@dataclass(frozen=True, slots=True)
class MarkPreview:
    """A pause or an emotion tag that is not heard as its author meant it."""

    chapter_title: str
    mark: str
    """as the book has it"""
    context: str
    """what stands around it, on one line"""
    reason: str
    advice: str


@dataclass(frozen=True, slots=True)
class SpeakerPreview:
    """One who speaks, in a book with a cast or a script."""

    name: str
    """a character's, "narrator", or "unknown" for quotations that the narrator reads for want of knowing"""
    voice: str
    num_turns: int
    """stretches of a paragraph"""
    num_segments: int
    """that begin in one of these turns"""
    audio_s: float
    """of those, predicted, pauses included"""


@dataclass(frozen=True, slots=True)
class BookPreview:
    """One book as it would be rendered; with an error and nothing else where it can't be."""

    source: str
    title: str = ""
    author: str = ""
    chapters: tuple[ChapterPreview, ...] = ()
    skipped: tuple[SkippedPreview, ...] = ()
    too_short: tuple[OddSegment, ...] = ()
    too_long: tuple[OddSegment, ...] = ()
    language: str = ""
    handled: tuple[tuple[str, int], ...] = ()
    """what a marked-up book holds beside plain paragraphs, and how often"""
    marks: tuple[MarkPreview, ...] = ()
    """pauses and emotion tags to look at"""
    notes: tuple[str, ...] = ()
    """what is not done for the book's language"""
    speakers: tuple[SpeakerPreview, ...] = ()
    """with a cast or a script, who speaks most first"""
    num_quotations: int = 0
    num_attributed: int = 0
    error: str = ""

    @property
    def audio_s(self) -> float:
        """Predicted length of the whole book, pauses included."""
        return sum(chapter.audio_s for chapter in self.chapters)

    @property
    def num_segments(self) -> int:
        """Segments of all chapters."""
        return sum(chapter.num_segments for chapter in self.chapters)


@dataclass(frozen=True, slots=True)
class Preview:
    """All books."""

    books: tuple[BookPreview, ...]
    audio_s: float
    disk_bytes: int
    compute_s: float | None
    """at the speed-up that was asked about"""
    cost: float | None
    """of so much compute, in the currency of the price"""

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return dataclasses.asdict(self)


def preview_books(
    paths: Sequence[Path], config: Config, *, speedup: float | None = None, price_per_hour: float | None = None
) -> Preview:
    """Read and cut books as `render_books` would.

    Args:
        paths: Text or Markdown files, or folders of them.
        config: Of the run.
        speedup: Seconds of audio made a second, to tell time from.
        price_per_hour: Of the machine, to tell money from; needs ``speedup``.

    Raises:
        ConfigError: The pack or an option is wrong.
        InputError: A folder among ``paths`` holds no book.
    """
    if price_per_hour is not None and speedup is None:
        raise ConfigError("a price tells nothing without a speed: add --speedup, such as --speedup 400")
    pack = pack_of(config)
    limits = segment_limits(pack, config.text.min_chars, config.text.max_chars)
    sources = find_sources(paths)
    check_single(config, len(sources))
    books = tuple(_preview(source, config, pack, limits) for source in sources)
    audio_s = sum(book.audio_s for book in books)
    compute_s = audio_s / speedup if speedup else None
    return Preview(
        books=books,
        audio_s=audio_s,
        disk_bytes=needed_bytes(audio_s, config),
        compute_s=compute_s,
        cost=compute_s / 3600 * price_per_hour
        if compute_s is not None and price_per_hour is not None
        else None,
    )


def _preview(source: Path, config: Config, pack: ModelPack, limits: tuple[int, int]) -> BookPreview:
    try:
        book = load_book(source, config)
        casting = Casting(pack, config)
        plans = make_plan(book, pack, config, NO_MODEL, casting=casting)
    except InputError as error:
        return BookPreview(source=str(source), error=str(error))
    segments = [(plan, segment) for plan in plans for segment in plan.segments]
    return BookPreview(
        source=str(source),
        title=book.title,
        author=book.author,
        chapters=tuple(_chapter(plan, pack) for plan in plans if plan.segments),
        skipped=_skipped(book, plans),
        language=book.language,
        handled=book.handled,
        marks=_marks(book, plans, pack),
        speakers=_speakers(plans, casting.lines, pack, config.voice or pack.default_voice),
        num_quotations=sum(line.turn.is_speech for line in casting.lines),
        num_attributed=sum(line.turn.is_speech and line.speaker != UNKNOWN for line in casting.lines),
        notes=language_notes(book.language, pack, pack.voice(config.voice or pack.default_voice)),
        too_short=tuple(_odd(p, s) for p, s in segments if len(s.text) < limits[0]),
        too_long=tuple(_odd(p, s) for p, s in segments if len(s.text) > limits[1]),
    )


def _chapter(plan: ChapterPlan, pack: ModelPack) -> ChapterPreview:
    return ChapterPreview(
        title=plan.title,
        num_segments=len(plan.segments),
        num_words=sum(len(segment.text.split()) for segment in plan.segments),
        audio_s=sum(predicted_s(pack, s.text) + s.pause_after_s for s in plan.segments),
    )


def _odd(plan: ChapterPlan, segment: Segment) -> OddSegment:
    return OddSegment(plan.title, len(segment.text), segment.text)


def _speakers(
    plans: Sequence[ChapterPlan], lines: Sequence[Line], pack: ModelPack, narrator: str
) -> tuple[SpeakerPreview, ...]:
    """Return who speaks how much: each segment is the speaker's in whose turn it begins."""
    if not lines:
        return ()
    starts = [line.turn.start for line in lines]
    turns = Counter((line.speaker, line.voice or narrator) for line in lines)
    segments: Counter[tuple[str, str]] = Counter()
    audio_s: Counter[tuple[str, str]] = Counter()
    for plan in plans:
        for segment in plan.segments:
            line = lines[max(0, bisect_right(starts, segment.start) - 1)]
            who = (line.speaker, line.voice or narrator)
            segments[who] += 1
            audio_s[who] += predicted_s(pack, segment.text) + segment.pause_after_s
    return tuple(
        SpeakerPreview(*who, turns[who], segments[who], audio_s[who])
        for who in sorted(turns, key=lambda who: (-audio_s[who], who))
    )


def _marks(book: Book, plans: Sequence[ChapterPlan], pack: ModelPack) -> tuple[MarkPreview, ...]:
    """Return the marks that `orpheus_batch.text.marks` left out against their author's wish, in order."""
    found = []
    for chapter, plan in zip(book.chapters, plans, strict=True):
        for span in plan.skipped:
            if span.reason not in REPORTED:
                continue
            start, end = span.start - chapter.source_start, span.end - chapter.source_start
            mark = " ".join(chapter.text[start:end].split())
            around = chapter.text[max(0, start - CONTEXT_CHARS) : end + CONTEXT_CHARS]
            found.append(
                MarkPreview(plan.title, mark, " ".join(around.split()), span.reason, advice(mark, pack.tags))
            )
    return tuple(found)


def _skipped(book: Book, plans: Sequence[ChapterPlan]) -> tuple[SkippedPreview, ...]:
    """Return what is left out, by reason, the largest first."""
    texts = {chapter.index: chapter for chapter in book.chapters}
    spans = [(span, span.title) for span in book.skipped]
    for plan in plans:
        chapter = texts[plan.chapter_index]
        spans += [
            (span, chapter.text[span.start - chapter.source_start : span.end - chapter.source_start])
            for span in plan.skipped
        ]
    by_reason: dict[str, list] = {}
    for span, text in spans:
        by_reason.setdefault(span.reason, []).append(
            (span.end - span.start, " ".join(text.translate(APART).split()))
        )
    found = [
        SkippedPreview(
            reason=reason,
            num_spans=len(cases),
            num_chars=sum(num_chars for num_chars, _ in cases),
            example=next((text for _, text in cases if text), "")[:EXAMPLE_CHARS],
        )
        for reason, cases in by_reason.items()
    ]
    return tuple(sorted(found, key=lambda skipped: -skipped.num_chars))
