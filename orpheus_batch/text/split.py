"""Cuts a chapter into sentences that tile it, and names the stretches that are not read.

A chapter is cut into paragraphs first, and sentences are looked for only inside one, so none can run over a
paragraph's end, and a mere line wrap can't end one. Voices and lengths are not known here.
"""

import re
from typing import TYPE_CHECKING

from orpheus_batch.data import Book, Boundary, Chapter, Sentence, TextUnit
from orpheus_batch.text.blocks import Layout, iter_blocks, measure_layout
from orpheus_batch.text.boundaries import sentence_ends
from orpheus_batch.text.headings import is_bare_number, is_label_line
from orpheus_batch.text.markup import APART, clean
from orpheus_batch.text.paragraphs import cut_paragraphs
from orpheus_batch.text.punkt import load_tokenizer

if TYPE_CHECKING:
    from nltk.tokenize.punkt import PunktSentenceTokenizer


class SentenceSplitter:
    """Splits chapters of one book.

    Built once a book: the shipped Punkt parameters, refined on the book's own words.
    """

    def __init__(self, tokenizer: "PunktSentenceTokenizer | None" = None, layout: Layout | None = None):
        """Make a splitter.

        Args:
            tokenizer: Punkt; None: the shipped parameters alone.
            layout: How the book's lines are wrapped; None: judged from each chapter by itself.
        """
        self._tokenizer = tokenizer if tokenizer is not None else load_tokenizer()
        self._layout = layout

    @classmethod
    def for_book(cls, book: Book) -> "SentenceSplitter":
        """Return a splitter that has learned the book's own abbreviations and its margin."""
        text = "\n\n".join(chapter.text for chapter in book.chapters)
        return cls(load_tokenizer(text), measure_layout(text))

    def split_chapter(self, chapter: Chapter) -> list[Sentence]:
        """Cut a chapter into sentences.

        Args:
            chapter: Its text is cut; spans of the result count in the book's source.

        Returns:
            Sentences whose spans tile the chapter; white space belongs to the sentence before it.
        """
        text = chapter.text
        layout = self._layout or measure_layout(text)
        pieces: list[tuple[int, str, Boundary, str]] = []  # start, text, boundary, skip reason
        if chapter.heading_length:
            heading = _heading_text(text[: chapter.heading_length])
            reason = "" if heading else "no pronounceable characters"
            pieces.append((0, heading, Boundary.HEADING, reason))
        units = chapter.units
        for unit in cut_paragraphs(text, chapter.heading_length, layout) if units is None else units:
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

    def _split_unit(self, text: str, unit: TextUnit) -> list[tuple[int, str, Boundary, str]]:
        if unit.skip_reason:
            left_out = " ".join(text[unit.start : unit.end].translate(APART).split())
            return [(unit.start, left_out, unit.boundary, unit.skip_reason)]
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
