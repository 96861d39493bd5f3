"""A book as turns: stretches of one paragraph that one person speaks, narration included.

Finds them, attributes them, and gives sentences the voices of those who speak them, cut where the voice changes.
Which voices there are is not known here, nor pauses.
"""

import dataclasses
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from orpheus_batch.data import Book, Boundary, Chapter, Sentence
from orpheus_batch.text.cuts import cut_sentence
from orpheus_batch.text.dialogue.attribution import attribute_chapter
from orpheus_batch.text.dialogue.lines import NO_SPEECH, Attribution, explicit_mentions, narration_of
from orpheus_batch.text.dialogue.mentions import Mention
from orpheus_batch.text.dialogue.quotation import Quotation
from orpheus_batch.text.dialogue.quotes import find_quotations, judge_style
from orpheus_batch.text.dialogue.roster import Roster, Speaker

NARRATION = "narration"
"""how a turn outside quotation marks is attributed"""

MakeRoster = Callable[[Sequence[Mention], Sequence[str]], Roster]
"""of the mentions of speakers in a book, and its narration"""


@dataclass(frozen=True, slots=True)
class Turn:
    """What one person speaks, within a paragraph."""

    chapter_index: int
    paragraph: int
    """position among the chapter's paragraphs, headings included, from 1"""
    index: int
    """position in the paragraph, from 1"""
    text: str
    """the book's words, on one line"""
    first: int
    """offset into the paragraph's text"""
    start: int
    """source character"""
    speaker: Speaker | None
    """None: the narrator"""
    how: str
    """which rule says so, and by which words"""
    is_quoted: bool

    @property
    def place(self) -> str:
        """Where it stands: "c3.p12.2" is the third chapter's twelfth paragraph, second turn."""
        return f"c{self.chapter_index + 1}.p{self.paragraph}.{self.index}"

    @property
    def is_speech(self) -> bool:
        """Whether somebody speaks it: a quotation that is no mere word or title."""
        return self.is_quoted and self.how != NO_SPEECH


@dataclass(frozen=True, slots=True)
class _Paragraph:
    """Sentences that belong together, joined."""

    sentences: tuple[int, ...]
    """positions in the chapter's list"""
    text: str
    offsets: tuple[int, ...]
    """where each sentence begins in ``text``"""
    is_heading: bool


def find_turns(
    book: Book, sentences: Sequence[Sequence[Sentence]], make_roster: MakeRoster
) -> list[list[Turn]]:
    """Find who speaks what.

    Args:
        book: As it was read.
        sentences: Of each chapter.
        make_roster: Who there is to speak.

    Returns:
        The turns of each chapter; they hold every spoken word once.
    """
    chapters = [
        _paragraphs(chapter, of_chapter) for chapter, of_chapter in zip(book.chapters, sentences, strict=True)
    ]
    style = judge_style([p.text for paragraphs in chapters for p in paragraphs])
    quotations: list[list[list[Quotation]]] = []
    mentions: list[Mention] = []
    narration: list[str] = []
    for paragraphs in chapters:
        found = find_quotations(["" if p.is_heading else p.text for p in paragraphs], style)
        quotations.append(found)
        for paragraph, of_paragraph in zip(paragraphs, found, strict=True):
            mentions += [m for m in explicit_mentions(paragraph.text, of_paragraph) if m is not None]
            narration += narration_of(paragraph.text, of_paragraph)
    roster = make_roster(mentions, narration)
    turns: list[list[Turn]] = []
    for chapter, of_chapter, paragraphs, found in zip(
        book.chapters, sentences, chapters, quotations, strict=True
    ):
        attributed = attribute_chapter([p.text for p in paragraphs], found, roster)
        turns.append(
            [
                turn
                for number, paragraph in enumerate(paragraphs)
                for turn in _turns(
                    chapter, of_chapter, number + 1, paragraph, found[number], attributed[number]
                )
            ]
        )
    return turns


def with_voices(
    chapter: Chapter, sentences: Sequence[Sentence], turns: Sequence[Turn], voice_of: Callable[[Turn], str]
) -> list[Sentence]:
    """Give a chapter's sentences the voices of those who speak them.

    Args:
        chapter: Where they stand.
        sentences: They tile it.
        turns: The chapter's, from `find_turns`.
        voice_of: Of a turn; "" for the chapter's voice.

    Returns:
        Sentences that tile the chapter as before, numbered anew, cut where the voice changes and nowhere else.
    """
    voiced: list[Sentence] = list(sentences)
    replaced: dict[int, list[Sentence]] = {}
    by_paragraph: dict[int, list[Turn]] = {}
    for turn in turns:
        by_paragraph.setdefault(turn.paragraph, []).append(turn)
    for number, paragraph in enumerate(_paragraphs(chapter, sentences)):
        own = by_paragraph.get(number + 1, [])
        voices = [voice_of(turn) for turn in own]
        if not any(voices):
            continue
        for index, offset in zip(paragraph.sentences, paragraph.offsets, strict=True):
            replaced[index] = _voiced(chapter, sentences[index], offset, own, voices)
    if not replaced:
        return voiced
    voiced = [piece for index, sentence in enumerate(sentences) for piece in replaced.get(index, [sentence])]
    return [dataclasses.replace(sentence, index=index) for index, sentence in enumerate(voiced)]


def _voiced(
    chapter: Chapter, sentence: Sentence, offset: int, turns: Sequence[Turn], voices: Sequence[str]
) -> list[Sentence]:
    """Cut one sentence where the voice changes, and name the voices."""
    number = max(0, bisect_right(turns, offset, key=lambda turn: turn.first) - 1)
    changes = [(0, voices[number])]
    while number + 1 < len(turns) and turns[number + 1].first < offset + len(sentence.text):
        number += 1
        if voices[number] != changes[-1][1]:
            changes.append((turns[number].first - offset, voices[number]))
    parts = cut_sentence(chapter, sentence, [place for place, _ in changes])
    voice_at = dict(changes)
    pieces = []
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        pieces.append(
            dataclasses.replace(
                sentence,
                text=sentence.text[part.first : part.last].strip(),
                start=part.start,
                end=part.end,
                boundary=sentence.boundary if last else Boundary.CLAUSE,
                voice=voice_at.get(part.first, changes[0][1]),
            )
        )
    return pieces


def _paragraphs(chapter: Chapter, sentences: Sequence[Sentence]) -> list[_Paragraph]:
    """Join a chapter's sentences to paragraphs, what is not read left out."""
    heading_end = chapter.source_start + chapter.heading_length
    paragraphs: list[_Paragraph] = []
    held: list[Sentence] = []

    def close() -> None:
        if not held:
            return
        offsets, length = [], 0
        for sentence in held:
            offsets.append(length)
            length += len(sentence.text) + 1
        heading = held[-1].boundary is Boundary.HEADING or held[0].start < heading_end
        text = " ".join(sentence.text for sentence in held)
        paragraphs.append(_Paragraph(tuple(s.index for s in held), text, tuple(offsets), heading))
        held.clear()

    for sentence in sentences:
        if not sentence.skip_reason and sentence.text:
            held.append(sentence)
        if sentence.boundary not in (Boundary.SENTENCE, Boundary.CLAUSE):
            close()
    close()
    return paragraphs


def _turns(
    chapter: Chapter,
    sentences: Sequence[Sentence],
    number: int,
    paragraph: _Paragraph,
    quotations: Sequence[Quotation],
    attributed: Sequence[Attribution],
) -> list[Turn]:
    """Part a paragraph into speech and narration; marks between them belong to what is before."""
    text = paragraph.text
    stretches: list[tuple[int, Attribution | None]] = []
    position = 0
    for quotation, attribution in zip(quotations, attributed, strict=True):
        if any(map(str.isalnum, text[position : quotation.start])):
            stretches.append((position, None))
        begin = quotation.start if stretches else 0
        stretches.append((begin, attribution))
        position = quotation.end
    if any(map(str.isalnum, text[position:])) or not stretches:
        stretches.append((position, None))
    firsts = []
    for first, _ in stretches:
        while first < len(text) and text[first].isspace():
            first += 1  # noqa: PLW2901 (the place of the first word)
        firsts.append(first)
    starts = _source_starts(chapter, sentences, paragraph, firsts)
    ends = [*firsts[1:], len(text)]
    return [
        Turn(
            chapter_index=chapter.index,
            paragraph=number,
            index=index + 1,
            text=text[first:end].strip(),
            first=first,
            start=start,
            speaker=attribution.speaker if attribution else None,
            how=attribution.how if attribution else NARRATION,
            is_quoted=attribution is not None,
        )
        for index, ((_, attribution), first, end, start) in enumerate(
            zip(stretches, firsts, ends, starts, strict=True)
        )
    ]


def _source_starts(
    chapter: Chapter, sentences: Sequence[Sentence], paragraph: _Paragraph, firsts: Sequence[int]
) -> list[int]:
    """Find the source characters of places in a paragraph."""
    starts: dict[int, int] = {}
    bounds = [*paragraph.offsets[1:], len(paragraph.text) + 1]
    for index, offset, end in zip(paragraph.sentences, paragraph.offsets, bounds, strict=True):
        inside = firsts[bisect_left(firsts, offset) : bisect_left(firsts, end)]
        if inside:
            parts = cut_sentence(chapter, sentences[index], [first - offset for first in inside])
            known = {part.first + offset: part.start for part in parts}
            starts |= {first: known.get(first, sentences[index].start) for first in inside}
    return [starts.get(first, chapter.source_start) for first in firsts]
