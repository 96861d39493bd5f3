"""Cuts a chapter into sentences that tile it, and names the stretches that are not read.

A chapter is cut into paragraphs first, and sentences are looked for only inside one, so none can run over a
paragraph's end, and a mere line wrap can't end one. Voices and lengths are not known here.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orpheus_batch.data import Book, Boundary, Chapter, Sentence
from orpheus_batch.text.blocks import UNWRAPPED_CHARS, Block, iter_blocks
from orpheus_batch.text.boundaries import sentence_ends
from orpheus_batch.text.headings import is_bare_number, is_capitals, is_label_line
from orpheus_batch.text.markup import clean
from orpheus_batch.text.punkt import load_tokenizer

if TYPE_CHECKING:
    from nltk.tokenize.punkt import PunktSentenceTokenizer

SCENE_BREAK = "scene break"
"""skip reason of a row of asterisks or the like; a longer pause stands for it"""
DEFAULT_WIDTH = 72
EARLY_END_CHARS = 12
"""a line that ends this much before the margin, its next word included, was ended on purpose"""
NARROW = 0.6
"""lines shorter than this share of the margin, on average, are no wrapped prose"""
_MOST = 0.6
MAX_AFTER_NOTE = 4
"""characters after a note's bracket that may still belong to it; more, and it stands within a paragraph"""
MAX_NOTE_BLOCKS = 40
"""paragraphs that one bracketed note may run over"""

_NOTES = (
    (
        re.compile(r"[\[{]\s*_*(?:Illustration|Plate|Frontispiece|Ornament|Decoration|Map|Music)\b", re.I),
        "illustration",
    ),
    (re.compile(r"\[\s*_*(?:Foot|End)note\b", re.I), "footnote"),
    (re.compile(r"\[\s*_*Sidenote\b", re.I), "sidenote"),
    (re.compile(r"\[\s*_*Transcriber", re.I), "transcriber's note"),
)
_INLINE_NOTE = re.compile(r"\[_*(?:Footnote|Endnote|Sidenote|Illustration)\b[^\[\]]{0,5000}\]")
_NOTE_REASONS = frozenset(reason for _, reason in _NOTES)
_PAGE = re.compile(r"[\[{(]?\s*(?:[Pp]g?\.|[Pp]age|Pg)\s*[\divxlc]{1,6}\s*[\]})]?|[\[{]\s*\d{1,4}\s*[\]}]")
_ATX = re.compile(r"#{1,6}[ \t]+\S")


@dataclass(frozen=True, slots=True)
class _Unit:
    """A stretch of the chapter that is treated as one: paragraph, verse, or what is not read."""

    start: int
    end: int
    boundary: Boundary
    verse: bool = False
    skip_reason: str = ""


class SentenceSplitter:
    """Splits chapters of one book.

    Built once a book: the shipped Punkt parameters, refined on the book's own words.
    """

    def __init__(self, tokenizer: "PunktSentenceTokenizer | None" = None, width: int = DEFAULT_WIDTH):
        """Make a splitter.

        Args:
            tokenizer: Punkt; None: the shipped parameters alone.
            width: Margin at which the book's lines are wrapped, in characters.
        """
        self._tokenizer = tokenizer if tokenizer is not None else load_tokenizer()
        self._width = width

    @classmethod
    def for_book(cls, book: Book) -> "SentenceSplitter":
        """Return a splitter that has learned the book's own abbreviations and its margin."""
        text = "\n\n".join(chapter.text for chapter in book.chapters)
        return cls(load_tokenizer(text), _wrap_width(text))

    def split_chapter(self, chapter: Chapter) -> list[Sentence]:
        """Cut a chapter into sentences.

        Args:
            chapter: Its text is cut; spans of the result count in the book's source.

        Returns:
            Sentences whose spans tile the chapter; white space belongs to the sentence before it.
        """
        text = chapter.text
        pieces: list[tuple[int, str, Boundary, str]] = []  # start, text, boundary, skip reason
        if chapter.heading_length:
            heading = _heading_text(text[: chapter.heading_length])
            reason = "" if heading else "no pronounceable characters"
            pieces.append((0, heading, Boundary.HEADING, reason))
        for unit in self._units(text, chapter.heading_length):
            pieces += self._split_unit(text, unit)
        if not pieces:
            pieces = [(0, "", Boundary.CHAPTER, "no pronounceable characters")]
        starts = [0, *(piece[0] for piece in pieces[1:]), len(text)]
        last = len(pieces) - 1
        return [
            Sentence(
                chapter_index=chapter.index,
                index=index,
                text=sentence,
                start=chapter.source_start + starts[index],
                end=chapter.source_start + starts[index + 1],
                boundary=Boundary.CHAPTER if index == last else boundary,
                skip_reason=reason,
            )
            for index, (_, sentence, boundary, reason) in enumerate(pieces)
        ]

    def split_text(self, text: str) -> list[str]:
        """Return the sentences of a text without a book around it, skipped stretches left out."""
        chapter = Chapter(0, "", text, 0, 0)
        return [sentence.text for sentence in self.split_chapter(chapter) if not sentence.skip_reason]

    def _split_unit(self, text: str, unit: _Unit) -> list[tuple[int, str, Boundary, str]]:
        if unit.skip_reason:
            return [(unit.start, text[unit.start : unit.end], unit.boundary, unit.skip_reason)]
        cleaned = clean(text, unit.start, unit.end, ", " if unit.verse else " ")
        ends = sentence_ends(cleaned.text, self._tokenizer)
        pieces = []
        start, clean_start = unit.start, 0
        for end in [*ends, len(cleaned.text)]:
            last = end == len(cleaned.text)
            sentence = cleaned.text[clean_start:end].strip()
            boundary = unit.boundary if last else Boundary.SENTENCE
            reason = "" if any(c.isalnum() for c in sentence) else "no pronounceable characters"
            pieces.append((start, sentence, boundary, reason))
            if not last:
                start = cleaned.source_offset(end)
                while start < unit.end and text[start].isspace():
                    start += 1
                clean_start = end
        return pieces

    def _units(self, text: str, start: int) -> Iterator[_Unit]:
        """Cut the text after the heading into units."""
        open_note, blocks_left = "", 0
        for block in iter_blocks(text, start):
            if open_note:
                yield _Unit(block.start, block.end, Boundary.PARAGRAPH, skip_reason=open_note)
                blocks_left -= 1
                if block.text.rstrip("_* ").endswith("]") or not blocks_left:
                    open_note = ""
                continue
            reason = _skip_reason(block)
            if reason:
                unclosed = block.text.count("[") > block.text.count("]")
                if unclosed and reason in _NOTE_REASONS and _closes_soon(text, block.end):
                    open_note, blocks_left = reason, MAX_NOTE_BLOCKS
                yield _Unit(block.start, block.end, Boundary.PARAGRAPH, skip_reason=reason)
                continue
            yield from self._around_notes(text, block)

    def _around_notes(self, text: str, block: Block) -> Iterator[_Unit]:
        """Part a paragraph where a note stands in the middle of it; the note alone is not read."""
        notes = [match.span() for match in _INLINE_NOTE.finditer(text, block.start, block.end)]
        if not notes:
            yield from self._units_of_block(block)
            return
        position = block.start
        for start, end in notes:
            if text[position:start].strip():
                yield _Unit(position, start, Boundary.CLAUSE)
            last = not text[end : block.end].strip()
            boundary = Boundary.PARAGRAPH if last else Boundary.CLAUSE
            yield _Unit(start, block.end if last else end, boundary, skip_reason=_note_reason(text[start:end]))
            position = block.end if last else end
        if position < block.end:
            yield _Unit(position, block.end, Boundary.PARAGRAPH)

    def _units_of_block(self, block: Block) -> Iterator[_Unit]:
        lines = block.lines
        if len(lines) == 1:
            heading = _is_sub_heading(lines[0].text)
            yield _Unit(block.start, block.end, Boundary.HEADING if heading else Boundary.PARAGRAPH)
            return
        ends = [line.start + len(line.text) for line in lines]
        if self._width > UNWRAPPED_CHARS or any(len(line.text) > UNWRAPPED_CHARS for line in lines):
            for line, end in zip(lines, ends, strict=True):
                yield _Unit(line.start, end, Boundary.PARAGRAPH)
            return
        if self._is_verse(block):
            yield _Unit(block.start, block.end, Boundary.PARAGRAPH, verse=True)
            return
        flush = min(line.indent for line in lines)
        first = 0
        for number in range(1, len(lines)):
            indented = lines[number].indent > flush and lines[number - 1].indent == flush
            if indented and lines[number - 1].text[-1] in ".!?\"'”’:)_":
                yield _Unit(lines[first].start, ends[number - 1], Boundary.PARAGRAPH)
                first = number
        yield _Unit(lines[first].start, block.end, Boundary.PARAGRAPH)

    def _is_verse(self, block: Block) -> bool:
        """Say whether lines end on purpose: well before the margin, and the next one begins with a capital."""
        lines = block.lines
        widths = [line.indent + len(line.text) for line in lines]
        early = capital = filled = 0
        for width, after in zip(widths, lines[1:], strict=False):
            used = width + 1 + len(after.text.split(maxsplit=1)[0])
            early += used + EARLY_END_CHARS <= self._width
            filled += used > max(widths)
            initial = next((character for character in after.text if character.isalnum()), "a")
            capital += not initial.islower()
        breaks = len(lines) - 1
        if early < _MOST * breaks:
            return False
        narrow = sum(widths[:-1]) < NARROW * self._width * breaks
        return capital >= _MOST * breaks or (narrow and filled < _MOST * breaks)


def _skip_reason(block: Block) -> str:
    """Return why a whole block is not read; empty if it is."""
    text = block.text
    if not any(character.isalnum() for character in text):
        return SCENE_BREAK if len(text) <= 400 else "no pronounceable characters"
    if len(block.lines) == 1 and _PAGE.fullmatch(text):
        return "page number"
    return _note_reason(text) if len(text) - text.rfind("]") <= MAX_AFTER_NOTE or "]" not in text else ""


def _note_reason(text: str) -> str:
    """Return what kind of note begins a text; empty if none does."""
    return next((reason for pattern, reason in _NOTES if pattern.match(text)), "")


def _closes_soon(text: str, position: int) -> bool:
    """Say whether an open bracketed note has an end within reason."""
    closing = text.find("]", position, position + 20_000)
    opening = text.find("[", position, position + 20_000)
    return closing >= 0 and (opening < 0 or closing < opening)


def _is_sub_heading(line: str) -> bool:
    """Say whether a line that stands alone is a heading inside the chapter."""
    if is_bare_number(line) or is_label_line(line) or _ATX.match(line):
        return True
    return is_capitals(line) and len(line) <= 80 and len(line.split()) <= 12 and line[0] not in "\"'“‘"


def _heading_text(heading: str) -> str:
    """Return a heading on one line: a full stop after its label and between its parts."""
    parts: list[str] = []
    for block in iter_blocks(heading):
        lines = [clean(heading, line.start, line.start + len(line.text)).text.strip() for line in block.lines]
        lines = [re.sub(r"^#{1,6}\s+|\s*#+$", "", line) for line in lines if re.search(r"[^\W_]", line)]
        for number, line in enumerate(lines):
            continues = (
                number > 0 and not is_label_line(lines[number - 1]) and not is_bare_number(lines[number - 1])
            )
            if parts and continues and parts[-1][-1].isalnum():
                parts[-1] += f" {line}"
            else:
                parts.append(line)
    return " ".join(
        part if part[-1] in ".!?:;," or number == len(parts) - 1 else f"{part}."
        for number, part in enumerate(parts)
    )


def _wrap_width(text: str) -> int:
    """Return the margin at which lines are wrapped: a high quantile of the lengths of lines that go on."""
    lengths = sorted(len(line.rstrip()) for line in text.split("\n") if line.strip())
    if not lengths:
        return DEFAULT_WIDTH
    return lengths[int(0.95 * (len(lengths) - 1))]


def sentence_texts(sentences: Sequence[Sentence]) -> list[str]:
    """Return the words of the sentences that are read."""
    return [sentence.text for sentence in sentences if not sentence.skip_reason]
