"""From sentences to segments: the pieces that are spoken in one go, and the plan of a chapter.

Short sentences are joined with a neighbour of their paragraph, long ones cut at a clause, every character of
the source accounted for. What is joined or cut is decided from a sentence and its nearest neighbours alone, so
an edit changes the segments around it and no others.
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence

from orpheus_batch.config import PauseConfig
from orpheus_batch.data import Book, Boundary, Chapter, ChapterPlan, Sampling, Segment, Sentence, SkippedSpan
from orpheus_batch.errors import ConfigError, CoverageError
from orpheus_batch.text.lexicon import Lexicon
from orpheus_batch.text.marks import EARLY_PAUSE, LONG_PAUSE, MAX_PAUSE_S
from orpheus_batch.text.paragraphs import SCENE_BREAK
from orpheus_batch.text.speak import Spoken, speak_chapter
from orpheus_batch.text.split import SentenceSplitter
from orpheus_batch.voices import ModelPack

SEGMENT_FORMAT_VERSION = 1
"""part of every segment id: raised when the same fields would be spoken differently"""
JOIN_ROUNDS = 3
"""how often short pieces look for a neighbour; bounds how far an edit reaches"""
Casting = Callable[[Book, Sequence[Sequence[Sentence]]], list[list[Sentence]]]
"""of a book and each chapter's sentences: the same, cut where the voice changes, each with its voice"""
MIN_MAX_CHARS = 20
"""a limit below this would cut inside clauses of three words"""


@dataclasses.dataclass(frozen=True, slots=True)
class _Piece:
    """A stretch on its way to a segment."""

    text: str
    """spoken; empty where it is skipped"""
    start: int
    end: int
    boundary: Boundary
    skip_reason: str = ""
    fixed: bool = False
    """a heading: joined with nothing"""
    pause_s: float | None = None
    """silence that it asks for after what is before it"""
    voice: str = ""


def segment_id(text: str, voice: str, model_fingerprint: str, sampling: Sampling, seed: int) -> str:
    """Return the name of what is spoken: equal inputs share one take, wherever they stand.

    Args:
        text: As it is spoken.
        voice: The voice's name.
        model_fingerprint: Of weights, precision and tokenizer; see `ModelPack.model_fingerprint`.
        sampling: How tokens are drawn.
        seed: Of the first take.

    Returns:
        Hexadecimal sha256.
    """
    fields = [SEGMENT_FORMAT_VERSION, text, voice, model_fingerprint, dataclasses.astuple(sampling), seed]
    return hashlib.sha256(json.dumps(fields, ensure_ascii=False).encode("utf-8", "surrogatepass")).hexdigest()


def plan_chapter(
    chapter: Chapter,
    sentences: Sequence[Sentence],
    *,
    pack: ModelPack,
    voice: str,
    model_fingerprint: str,
    pauses: PauseConfig,
    seed: int = 0,
    min_chars: int | None = None,
    max_chars: int | None = None,
    lexicon: Lexicon | None = None,
) -> ChapterPlan:
    """Turn a chapter's sentences into segments.

    Args:
        chapter: Where the sentences come from.
        sentences: They tile the chapter; marks (`orpheus_batch.text.marks`) are cut out of them here.
        pack: Its alphabet, tags, limits and sampling.
        voice: One of the pack's, of sentences that name none.
        model_fingerprint: See `segment_id`.
        pauses: Silence after each kind of boundary.
        seed: Of every first take.
        min_chars: Shorter pieces are joined; None: the pack's.
        max_chars: Longer ones are cut; None: the pack's.
        lexicon: What to say for some of the book's words.

    Returns:
        Segments and skipped spans that together tile the chapter.

    Raises:
        ConfigError: The limits exclude each other, or the pack has no such voice.
    """
    low, high = segment_limits(pack, min_chars, max_chars)
    pack.voice(voice)
    pieces: list[_Piece] = []
    paragraph: list[_Piece] = []
    for spoken in speak_chapter(chapter, sentences, pack=pack, voice=voice, max_chars=high, lexicon=lexicon):
        paragraph += _pieces(spoken)
        if spoken.sentence.boundary not in (Boundary.SENTENCE, Boundary.CLAUSE):
            pieces += _join_short(paragraph, low, high)
            paragraph = []
    pieces += _join_short(paragraph, low, high)
    return _number(chapter, pieces, pack, voice, model_fingerprint, pauses, seed)


def plan_book(
    book: Book,
    *,
    pack: ModelPack,
    voice: str,
    model_fingerprint: str,
    pauses: PauseConfig,
    seed: int = 0,
    min_chars: int | None = None,
    max_chars: int | None = None,
    lexicon: Lexicon | None = None,
    casting: Casting | None = None,
) -> list[ChapterPlan]:
    """Plan every chapter of a book; arguments and errors as in `plan_chapter`.

    ``casting`` gives sentences the voices of those who speak them; without it one voice reads all.

    Raises:
        CoverageError: A character of the book is in no span or in two.
    """
    splitter = SentenceSplitter.for_book(book)
    own = lexicon.for_book(book.title, book.source_path, book.language) if lexicon else None
    sentences = [splitter.split_chapter(chapter) for chapter in book.chapters]
    if casting is not None:
        sentences = casting(book, sentences)
    plans = [
        plan_chapter(
            chapter,
            of_chapter,
            pack=pack,
            voice=voice,
            model_fingerprint=model_fingerprint,
            pauses=pauses,
            seed=seed,
            min_chars=min_chars,
            max_chars=max_chars,
            lexicon=own,
        )
        for chapter, of_chapter in zip(book.chapters, sentences, strict=True)
    ]
    check_coverage(book, plans)
    return plans


def check_coverage(book: Book, plans: Sequence[ChapterPlan]) -> None:
    """Prove that every source character is spoken or skipped exactly once.

    Raises:
        CoverageError: It is not; the message names the place.
    """
    spans = [(span.start, span.end, f"skipped: {span.reason}") for span in book.skipped]
    for plan in plans:
        spans += [
            (s.start, s.end, f"chapter {plan.chapter_index + 1}, segment {s.index}") for s in plan.segments
        ]
        spans += [
            (s.start, s.end, f"chapter {plan.chapter_index + 1}, skipped: {s.reason}") for s in plan.skipped
        ]
    position = 0
    for start, end, what in sorted(spans):
        if start != position or end <= start:
            kind = "left out" if start > position else "covered twice"
            raise CoverageError(
                f"{book.source_path}: characters {min(start, position)} to {max(start, position)} are {kind} "
                f"at {what} [{start}, {end}); please report this book"
            )
        position = end
    if position != book.num_source_chars:
        raise CoverageError(
            f"{book.source_path}: the plan ends at character {position} of {book.num_source_chars}; "
            "please report this book"
        )


def segment_limits(pack: ModelPack, min_chars: int | None, max_chars: int | None) -> tuple[int, int]:
    """Return the shortest and longest segment, in characters as spoken.

    Raises:
        ConfigError: The limits exclude each other.
    """
    low = pack.segment_limits.min_chars if min_chars is None else min_chars
    high = pack.segment_limits.max_chars if max_chars is None else max_chars
    if high < MIN_MAX_CHARS or not 0 <= low <= high:
        raise ConfigError(
            f"segments of {low} to {high} characters: max_chars must be at least {MIN_MAX_CHARS}, "
            "and min_chars no more than max_chars"
        )
    return low, high


def _pieces(spoken: Spoken) -> Iterator[_Piece]:
    """Yield a sentence's parts as pieces."""
    for part in spoken.parts:
        last = part is spoken.parts[-1]
        yield _Piece(
            part.text,
            part.start,
            part.end,
            spoken.sentence.boundary if last else Boundary.CLAUSE,
            part.skip_reason,
            fixed=spoken.heading,
            pause_s=spoken.sentence.pause_s,
            voice=spoken.sentence.voice,
        )


def _join_short(pieces: Sequence[_Piece], min_chars: int, max_chars: int) -> list[_Piece]:
    """Join short pieces of one paragraph with the shorter neighbour that wants them or is long enough.

    Every round looks one neighbour to each side, so an edit reaches a few pieces and stops there; packing from
    the left would shift everything after it.
    """
    joined = list(pieces)
    for _ in range(JOIN_ROUNDS):
        wishes = [_wish(joined, index, min_chars, max_chars) for index in range(len(joined))]
        links = []
        for left in range(len(joined) - 1):
            right = left + 1
            wanted = wishes[left] == right or wishes[right] == left
            links.append(wanted and wishes[left] in (right, None) and wishes[right] in (left, None))
        if not any(links):
            break
        out: list[_Piece] = []
        for index, piece in enumerate(joined):
            if index and links[index - 1] and len(out[-1].text) + 1 + len(piece.text) <= max_chars:
                out[-1] = dataclasses.replace(
                    out[-1], text=f"{out[-1].text} {piece.text}", end=piece.end, boundary=piece.boundary
                )
            else:
                out.append(piece)
        joined = out
    return joined


def _wish(pieces: Sequence[_Piece], index: int, min_chars: int, max_chars: int) -> int | None:
    """Return the neighbour that a short piece would join; None if it is long enough or none will do."""
    piece = pieces[index]
    if piece.skip_reason or piece.fixed or len(piece.text) >= min_chars:
        return None
    fits = [
        neighbour
        for neighbour in (index - 1, index + 1)
        if 0 <= neighbour < len(pieces)
        and not pieces[neighbour].skip_reason
        and not pieces[neighbour].fixed
        and pieces[neighbour].voice == piece.voice
        and len(pieces[neighbour].text) + 1 + len(piece.text) <= max_chars
    ]
    return min(fits, key=lambda neighbour: (len(pieces[neighbour].text), neighbour), default=None)


def _number(
    chapter: Chapter,
    pieces: Sequence[_Piece],
    pack: ModelPack,
    voice: str,
    model_fingerprint: str,
    pauses: PauseConfig,
    seed: int,
) -> ChapterPlan:
    """Give spoken pieces their ids, voices and pauses, and collect the others."""
    silence = {
        Boundary.CLAUSE: pauses.clause_s,
        Boundary.SENTENCE: pauses.sentence_s,
        Boundary.PARAGRAPH: pauses.paragraph_s,
        Boundary.HEADING: pauses.heading_s,
        Boundary.CHAPTER: pauses.chapter_s,
    }
    last_spoken = max((i for i, piece in enumerate(pieces) if not piece.skip_reason), default=-1)
    segments: list[Segment] = []
    skipped: list[SkippedSpan] = []
    marked_s = 0.0
    for index, piece in enumerate(pieces):
        if piece.skip_reason:
            reason = piece.skip_reason
            if piece.pause_s is not None and not segments:
                reason = EARLY_PAUSE
            elif piece.pause_s is not None:
                reason = LONG_PAUSE if marked_s + piece.pause_s > MAX_PAUSE_S else reason
                marked_s = min(marked_s + piece.pause_s, MAX_PAUSE_S)
                segments[-1] = dataclasses.replace(segments[-1], pause_after_s=marked_s)
            if skipped and skipped[-1].end == piece.start and skipped[-1].reason == reason:
                skipped[-1] = dataclasses.replace(skipped[-1], end=piece.end)
            else:
                skipped.append(SkippedSpan(piece.start, piece.end, reason))
            continue
        marked_s = 0.0
        boundary = Boundary.CHAPTER if index == last_spoken else piece.boundary
        pause_s = silence[boundary]
        if index + 1 < len(pieces) and pieces[index + 1].skip_reason == SCENE_BREAK:
            pause_s = max(pause_s, pauses.heading_s)
        speaks = piece.voice or voice
        segments.append(
            Segment(
                segment_id=segment_id(piece.text, speaks, model_fingerprint, pack.sampling, seed),
                chapter_index=chapter.index,
                index=len(segments),
                text=piece.text,
                voice=speaks,
                boundary=boundary,
                pause_after_s=pause_s,
                start=piece.start,
                end=piece.end,
                seed=seed,
            )
        )
    return ChapterPlan(chapter.index, chapter.title, tuple(segments), tuple(skipped))
